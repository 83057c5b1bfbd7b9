/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  verify(): does what is rolled up agree with the logs?
 *
 * Both are read under one snapshot, so they must agree at any moment.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "reader.h"
#include "rollup.h"
#include "stream.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(wflog_verify);

/* What is counted from the logs. */
typedef struct Recount
{
	LogTotals	totals;
	uint64		next_xact;		/* the first id that is still to come */
	int64		ahead;			/* logs stamped with that or a later one */
} Recount;

/* Count a log; a LogVisitor. */
static void
recount_log(TupleTableSlot *slot, void *arg)
{
	Recount    *recount = arg;

	totals_add_log(slot, &recount->totals);
	if (stream_xact(slot) >= recount->next_xact)
		recount->ahead++;
}

/* Put out a difference; day is NULL if it is not of a day. */
static void
report(ReturnSetInfo *rsinfo, const int32 *day, const char *item, int64 rolled_up, int64 counted)
{
	Datum		values[4];
	bool		nulls[4] = {day == NULL, false, false, false};

	if (rolled_up == counted)
		return;
	values[0] = day ? DateADTGetDatum(*day) : (Datum) 0;
	values[1] = CStringGetTextDatum(item);
	values[2] = Int64GetDatum(rolled_up);
	values[3] = Int64GetDatum(counted);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The counts of a day, which are zero if it has none. */
static LogCounts
counts_of_day(const LogTotals *totals, int32 day)
{
	LogCounts	none = {0};

	for (int i = 0; i < totals->day_count; i++)
		if (totals->days[i].day == day)
			return totals->days[i].counts;
	return none;
}

/* Compare a day. */
static void
compare_day(ReturnSetInfo *rsinfo, int32 day, const LogCounts *rolled_up, const LogCounts *counted)
{
	report(rsinfo, &day, "logs", rolled_up->total, counted->total);
	for (int i = 0; i < LEVEL_COUNT; i++)
		report(rsinfo, &day, psprintf("level %s", wflog_enum_label(WFLOG_LEVEL_ENUM, i)),
			   rolled_up->levels[i], counted->levels[i]);
	for (int i = 0; i < EVENT_TYPE_COUNT; i++)
		report(rsinfo, &day, psprintf("event_type %s", wflog_enum_label(WFLOG_EVENT_TYPE_ENUM, i)),
			   rolled_up->event_types[i], counted->event_types[i]);
	report(rsinfo, &day, "milestones", rolled_up->milestones, counted->milestones);
	report(rsinfo, &day, "first log", rolled_up->first, counted->first);
	report(rsinfo, &day, "last log", rolled_up->last, counted->last);
}

/* Compare all days. */
static void
compare_days(ReturnSetInfo *rsinfo, const LogTotals *rolled_up, const LogTotals *counted)
{
	for (int i = 0; i < counted->day_count; i++)
	{
		LogCounts	counts = counts_of_day(rolled_up, counted->days[i].day);

		compare_day(rsinfo, counted->days[i].day, &counts, &counted->days[i].counts);
	}
	for (int i = 0; i < rolled_up->day_count; i++)
	{
		LogCounts	counts = counts_of_day(counted, rolled_up->days[i].day);

		if (counts.total == 0)
			compare_day(rsinfo, rolled_up->days[i].day, &rolled_up->days[i].counts, &counts);
	}
}

/* A number that differs if the texts do. */
static int64
checksum(const StringInfo buf)
{
	return (int64) hash_bytes_extended((unsigned char *) buf->data, buf->len, 0) & PG_INT64_MAX;
}

/* Compare what is no count: milestones, nodes and progress as they would be shown. */
static void
compare_details(ReturnSetInfo *rsinfo, const ExecutionKey *key, Rollup *rollup,
				LogTotals *rolled_up, LogTotals *counted)
{
	Rollup		none = {0};
	StringInfoData left;
	StringInfoData right;

	initStringInfo(&left);
	initStringInfo(&right);
	json_milestones(&left, rollup, key, rolled_up);
	json_milestones(&right, &none, key, counted);
	report(rsinfo, NULL, "checksum of milestones", checksum(&left), checksum(&right));

	report(rsinfo, NULL, "nodes", nodes_count(rolled_up->nodes), nodes_count(counted->nodes));
	resetStringInfo(&left);
	resetStringInfo(&right);
	json_nodes(&left, rolled_up->nodes);
	json_nodes(&right, counted->nodes);
	report(rsinfo, NULL, "checksum of nodes", checksum(&left), checksum(&right));

	resetStringInfo(&left);
	resetStringInfo(&right);
	appendStringInfoString(&left, rolled_up->progress.known ? rolled_up->progress.percent : "");
	appendStringInfoString(&right, counted->progress.known ? counted->progress.percent : "");
	report(rsinfo, NULL, "checksum of progress", checksum(&left), checksum(&right));
}

/*
 * How many leaves have logs of the execution and are not among those found.
 * Probing finds all that have, and also some whose logs nobody sees any more.
 */
static int64
leaves_overlooked(const ExecutionKey *key, const LeafSet *found)
{
	ExecutionKey one = *key;
	LeafSet    *set;
	int64		overlooked = 0;

	log_find_leaves(&one);
	set = leaf_set_copy(one.leaves);
	for (int i = 0; i < set->count; i++)
	{
		LeafSet    *leaf;
		bool		known = false;

		for (int j = 0; j < found->count; j++)
			if (found->leaves[j].relid == set->leaves[i].relid)
				known = true;
		if (known)
			continue;
		leaf = leaf_set_copy(set);
		leaf->leaves[0] = set->leaves[i];
		leaf->count = 1;
		one.leaves = leaf;
		if (log_count(&one, log_filter_all()) > 0)
			overlooked++;
	}
	return overlooked;
}

/* SQL: wflog.verify() */
Datum
wflog_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ReadableExecution execution;
	ExecutionKey found;
	Rollup	   *rollup;
	LogTotals	totals;
	Recount		recount = {.ahead = 0};

	require_execution(fcinfo, 0, &execution);
	InitMaterializedSRF(fcinfo, 0);
	found = execution.key;

	rollup = rollup_begin(&execution.key);
	totals_init(&totals, true, true);
	rollup_totals(rollup, &execution.key, &totals);

	totals_init(&recount.totals, true, true);
	recount.next_xact = U64FromFullTransactionId(ReadNextFullTransactionId());
	log_visit_all(&execution.key, log_filter_all(), recount_log, &recount);

	compare_days(rsinfo, &totals, &recount.totals);
	compare_details(rsinfo, &execution.key, rollup, &totals, &recount.totals);
	rollup_find_leaves(rollup, &found);
	report(rsinfo, NULL, "partitions", found.leaves->count,
		   found.leaves->count + leaves_overlooked(&execution.key, found.leaves));
	report(rsinfo, NULL, "logs stamped ahead of their time", 0, recount.ahead);
	rollup_end(rollup);
	return (Datum) 0;
}
