/*-------------------------------------------------------------------------
 *
 * totals.h
 *	  Adding up an execution's logs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_TOTALS_H
#define WFLOG_TOTALS_H

#include "json.h"
#include "log_scan.h"
#include "milestones.h"
#include "nodes.h"

typedef struct LogCounts
{
	int64		total;
	int64		levels[LEVEL_COUNT];
	int64		event_types[EVENT_TYPE_COUNT];
	int64		milestones;
	TimestampTz first;			/* if total > 0 */
	TimestampTz last;
} LogCounts;

/* Those of a day, UTC. */
typedef struct DayCounts
{
	int32		day;			/* since 2000-01-01 */
	LogCounts	counts;
} DayCounts;

/* The latest log that says how far the execution is. */
typedef struct Progress
{
	bool		known;
	PagePosition at;
	char	   *percent;		/* as JSON */
} Progress;

typedef struct LogTotals
{
	LogCounts	counts;
	/* only if asked for */
	bool		by_day;
	int			day_count;
	int			day_room;
	int			last_day;		/* place of the day looked up last */
	DayCounts  *days;			/* in no order */
	/* only if asked for */
	bool		details;
	NodeTable  *nodes;
	MilestoneList milestones;
	Progress	progress;
} LogTotals;

extern void totals_init(LogTotals *totals, bool by_day, bool details);
extern void totals_add_log(TupleTableSlot *slot, void *totals);
extern bytea *totals_encode(const LogTotals *totals);
extern void totals_add_encoded(LogTotals *totals, const char *data, int len);
extern void counts_add(LogCounts *counts, const LogCounts *more);
extern int32 day_of(TimestampTz time);
extern int64 counts_errors(const LogCounts *counts);
extern bool log_progress(TupleTableSlot *slot, char **percent);

extern void json_levels(StringInfo buf, const int64 *levels);
extern void json_event_types(StringInfo buf, const int64 *event_types);

#endif							/* WFLOG_TOTALS_H */
