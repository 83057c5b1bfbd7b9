/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Which logs of an execution are wanted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_FILTER_H
#define WFLOG_FILTER_H

#include "executor/tuptable.h"

typedef struct LogFilter
{
	TimestampTz start_time;		/* inclusive; DT_NOBEGIN if not asked for */
	TimestampTz end_time;		/* inclusive; DT_NOEND if not asked for */
	int			level;			/* -1 any */
	int			min_level;		/* -1 any */
	int			event_type;		/* -1 any */
	bool		milestones_only;
	int			attempt;		/* PG_INT32_MIN any */
	int			min_priority;	/* PG_INT32_MIN any */
	text	   *category;		/* NULL any; so are these: */
	text	   *node_id;
	text	   *source;
	int			word_count;		/* of search; 0 any */
	char	  **words;			/* in lower case */
	bool		ascii_words;

	Oid			event_type_oid;
	bool		level_wanted[LEVEL_COUNT];
} LogFilter;

/* Place of the first of the FILTERS arguments, and their number. */
#define FILTER_ARGUMENTS 12

extern LogFilter *log_filter_from_args(FunctionCallInfo fcinfo, int first);
extern LogFilter *log_filter_all(void);
extern bool log_filter_only_errors(const LogFilter *filter);
extern bool log_filter_needs_row(const LogFilter *filter, bool errors_known, bool milestones_known);
extern bool log_filter_matches(const LogFilter *filter, TupleTableSlot *slot);

#endif							/* WFLOG_FILTER_H */
