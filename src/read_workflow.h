/*-------------------------------------------------------------------------
 *
 * read_workflow.h
 *	  What workflow_summary() and statistics() add up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_READ_WORKFLOW_H
#define WFLOG_READ_WORKFLOW_H

#include "filter.h"
#include "utils/hsearch.h"

#define MAX_BUCKETS 10000
#define ERROR_TEXT_BYTES 200	/* by which error messages are told apart */

/* What falls into one bucket of time. */
typedef struct Bucket
{
	int64		number;			/* key: bucket lengths since 2000-01-01 UTC */
	int64		executions;
	int64		succeeded;
	int64		failed;
	int64		levels[LEVEL_COUNT];
} Bucket;

/* One error message and how often it was logged. */
typedef struct ErrorText
{
	char		text[ERROR_TEXT_BYTES + 1]; /* key */
	int64		count;
	TimestampTz last;
} ErrorText;

typedef struct WorkflowTotals
{
	MemoryContext context;
	const LogFilter *span;		/* of time */
	int64		bucket;			/* microseconds, 0 without a series */
	int64		executions;
	int64		by_status[STATUS_COUNT];
	int64		with_logs;
	int64		logs;
	int64		counted_logs;	/* of the executions that count */
	int64		levels[LEVEL_COUNT];
	int64		error_events[EVENT_TYPE_COUNT];
	HTAB	   *errors;
	int64		other_errors;
	int			durations;
	int			duration_room;
	double	   *seconds;		/* of ended executions */
	HTAB	   *buckets;
	MemoryContext scratch;		/* of the execution at hand */
	int64		execution_logs; /* and its logs so far */
} WorkflowTotals;

extern void workflow_totals_init(WorkflowTotals *totals, LogFilter *span, int64 bucket);
extern void workflow_totals_add(WorkflowTotals *totals, const char *workflow_id);

#endif							/* WFLOG_READ_WORKFLOW_H */
