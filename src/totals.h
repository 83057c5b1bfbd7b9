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

struct nodes_hash;
struct NodeTotals;
struct MilestoneLog;

typedef struct LogTotals
{
	int64		total;
	int64		levels[LEVEL_COUNT];
	int64		event_types[EVENT_TYPE_COUNT];
	int64		milestones;
	TimestampTz first;			/* if total > 0 */
	TimestampTz last;
	/* the rest only if details were asked for */
	bool		details;
	struct nodes_hash *nodes;
	struct NodeTotals *last_node;
	int			milestone_room;
	struct MilestoneLog *milestone_logs;
} LogTotals;

extern void totals_of_execution(LogTotals *totals, const ExecutionKey *key, const LogFilter *filter,
								bool details);
extern int64 totals_errors(const LogTotals *totals);

extern void json_levels(StringInfo buf, const int64 *levels);
extern void json_event_types(StringInfo buf, const int64 *event_types);
extern void json_milestones(StringInfo buf, LogTotals *totals);
extern void json_nodes(StringInfo buf, LogTotals *totals);

#endif							/* WFLOG_TOTALS_H */
