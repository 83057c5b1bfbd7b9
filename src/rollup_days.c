/*-------------------------------------------------------------------------
 *
 * rollup_days.c
 *	  Reading roll-ups by the day.
 *
 * For who needs other figures than the roll-up of a day has, or those of a
 * part of it: the logs behind it are visited one by one then, and only those.
 *
 * They are the visible ones in the leaf whose transactions are in "seen".
 * Visible ones of others are no part of the roll-up, but of the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "rollup.h"
#include "stream.h"

/* Passes on those logs of a leaf that are rolled up. */
typedef struct SeenVisitor
{
	const XactSet *seen;
	LogVisitor	visit;
	void	   *arg;
} SeenVisitor;

/* Pass on a log if it is rolled up; a LogVisitor. */
static void
visit_seen(TupleTableSlot *slot, void *arg)
{
	const SeenVisitor *visitor = arg;

	if (xact_set_contains(visitor->seen, stream_xact(slot)))
		visitor->visit(slot, visitor->arg);
}

/* The execution in one leaf only. */
static ExecutionKey
key_in_leaf(const Rollup *rollup, const ExecutionKey *key, int leaf)
{
	ExecutionKey one = *key;
	LeafSet    *set = leaf_set_copy(rollup->leaves);

	set->leaves[0] = rollup->leaves->leaves[leaf];
	set->count = 1;
	one.leaves = set;
	return one;
}

/* Visit the logs behind a part that pass a filter, or of those only the errors. */
static void
visit_behind(const Rollup *rollup, const ExecutionKey *key, int leaf, LogFilter filter,
			 bool errors_only, LogVisitor visit, void *arg)
{
	ExecutionKey one = key_in_leaf(rollup, key, leaf);
	SeenVisitor visitor = {&rollup->seen, visit, arg};
	LogScan    *scan;
	TupleTableSlot *slot;

	if (errors_only)
	{
		filter.min_level = LEVEL_ERROR;
		for (int i = 0; i < LEVEL_ERROR; i++)
			filter.level_wanted[i] = false;
	}
	scan = log_scan_begin(&one, &filter, ForwardScanDirection, NULL, NULL);
	while ((slot = log_scan_next(scan)) != NULL)
		visit_seen(slot, &visitor);
	log_scan_end(scan);
}

/* Visit all logs behind a part, in the order they lie in. */
static void
visit_all_behind(const Rollup *rollup, const ExecutionKey *key, int leaf, LogVisitor visit, void *arg)
{
	ExecutionKey one = key_in_leaf(rollup, key, leaf);
	SeenVisitor visitor = {&rollup->seen, visit, arg};

	log_visit_all(&one, log_filter_all(), visit_seen, &visitor);
}

/*
 * Visit an execution's logs within a time span: by the day, and where that
 * will not do, or where they are not rolled up, one by one.  Logs that are
 * visited one by one may be outside of the span.  The roll-up must be usable.
 */
void
rollup_visit(const Rollup *rollup, const ExecutionKey *key, const RollupVisitors *visitors,
			 const LogFilter *span)
{
	for (int i = 0; i < rollup->part_count; i++)
	{
		const RollupPart *part = &rollup->parts[i];
		LogTotals	totals;

		totals_init(&totals, true, false);
		totals_add_encoded(&totals, part->totals, part->totals_len);
		for (int day = 0; day < totals.day_count; day++)
		{
			const LogCounts *counts = &totals.days[day].counts;
			DayShare	share = visitors->day(counts, visitors->arg);
			LogFilter	filter = *span;

			filter.start_time = Max(span->start_time, counts->first);
			filter.end_time = Min(span->end_time, counts->last);
			/* if there is no other day, the cheapest order will do */
			if (share == DAY_LOGS && totals.day_count == 1 && filter.start_time == counts->first &&
				filter.end_time == counts->last)
				visit_all_behind(rollup, key, part->leaf, visitors->log, visitors->arg);
			else if (share != DAY_DONE)
				visit_behind(rollup, key, part->leaf, filter, share == DAY_ERRORS,
							 share == DAY_ERRORS ? visitors->error : visitors->log, visitors->arg);
		}
	}
	(void) rollup_visit_rest(rollup, key, visitors->log, visitors->arg, PG_INT64_MAX);
}
