/*-------------------------------------------------------------------------
 *
 * read_workflow_totals.c
 *	  Adding up executions and logs for workflow_summary() and statistics().
 *
 * An execution's logs are taken by the day from its roll-up, where a day lies
 * within the time span and within one bucket of the series.  What else counts
 * is visited log by log: the other days, logs not rolled up yet, and errors,
 * whose messages only the logs have, by the index on errors.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "execution_json.h"
#include "mb/pg_wchar.h"
#include "read_workflow.h"
#include "rollup.h"
#include "utils/memutils.h"

#define MAX_ERROR_TEXTS 10000	/* told apart; the rest is counted as others */

/* The number of the bucket a time falls into. */
static int64
bucket_number(const WorkflowTotals *totals, TimestampTz time)
{
	return time / totals->bucket - (time % totals->bucket < 0 ? 1 : 0);
}

/* That bucket. */
static Bucket *
bucket_at(WorkflowTotals *totals, TimestampTz time)
{
	int64		number = bucket_number(totals, time);
	bool		found;
	Bucket	   *bucket = hash_search(totals->buckets, &number, HASH_ENTER, &found);

	if (!found)
	{
		memset(bucket, 0, sizeof(*bucket));
		bucket->number = number;
		if (hash_get_num_entries(totals->buckets) > MAX_BUCKETS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the series would have more than %d buckets", MAX_BUCKETS),
					 errhint("Choose a longer bucket or a shorter time span.")));
	}
	return bucket;
}

/* Count an error by its message. */
static void
add_error_text(WorkflowTotals *totals, TupleTableSlot *slot, TimestampTz at)
{
	char		key[ERROR_TEXT_BYTES + 1] = {0};
	bool		isnull;
	Datum		value = slot_getattr(slot, Anum_log_message, &isnull);
	text	   *message = DatumGetTextPP(value);
	ErrorText  *error;
	bool		found;

	memcpy(key, VARDATA_ANY(message),
		   pg_mbcliplen(VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message), ERROR_TEXT_BYTES));
	error = hash_search(totals->errors, key,
						hash_get_num_entries(totals->errors) < MAX_ERROR_TEXTS ? HASH_ENTER : HASH_FIND,
						&found);
	if (error == NULL)
		totals->other_errors++;
	else
	{
		if (!found)
		{
			error->count = 0;
			error->last = at;
		}
		error->count++;
		error->last = Max(error->last, at);
	}
	if ((Pointer) message != DatumGetPointer(value))
		pfree(message);
}

/* Add what only an error's log tells; a LogVisitor. */
static void
add_error(TupleTableSlot *slot, void *arg)
{
	WorkflowTotals *totals = arg;
	bool		isnull;
	Oid			type = DatumGetObjectId(slot_getattr(slot, Anum_log_event_type, &isnull));

	totals->error_events[wflog_enum_value(WFLOG_EVENT_TYPE_ENUM, type)]++;
	add_error_text(totals, slot, DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull)));
}

/* Add a log, if it is of the time span; a LogVisitor. */
static void
add_log(TupleTableSlot *slot, void *arg)
{
	WorkflowTotals *totals = arg;
	bool		isnull;
	int			level;
	TimestampTz at;

	slot_getsomeattrs(slot, Anum_log_created_at);
	at = DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull));
	if (at < totals->span->start_time || at > totals->span->end_time)
		return;
	level = wflog_enum_value(WFLOG_LEVEL_ENUM,
							 DatumGetObjectId(slot_getattr(slot, Anum_log_level, &isnull)));
	totals->execution_logs++;
	totals->levels[level]++;
	if (totals->bucket > 0)
		bucket_at(totals, at)->levels[level]++;
	if (level >= LEVEL_ERROR)
		add_error(slot, totals);
}

/* Add a day's logs at once, if possible; a DayVisitor. */
static DayShare
add_day(const LogCounts *counts, void *arg)
{
	WorkflowTotals *totals = arg;
	const LogFilter *span = totals->span;

	if (counts->last < span->start_time || counts->first > span->end_time)
		return DAY_DONE;
	if (counts->first < span->start_time || counts->last > span->end_time ||
		(totals->bucket > 0 &&
		 bucket_number(totals, counts->first) != bucket_number(totals, counts->last)))
		return DAY_LOGS;
	totals->execution_logs += counts->total;
	for (int i = 0; i < LEVEL_COUNT; i++)
		totals->levels[i] += counts->levels[i];
	if (totals->bucket > 0)
	{
		Bucket	   *bucket = bucket_at(totals, counts->first);

		for (int i = 0; i < LEVEL_COUNT; i++)
			bucket->levels[i] += counts->levels[i];
	}
	return counts_errors(counts) > 0 ? DAY_ERRORS : DAY_DONE;
}

/* Add the logs of the execution at hand. */
static void
add_logs(WorkflowTotals *totals, const ExecutionKey *key)
{
	MemoryContext saved = MemoryContextSwitchTo(totals->scratch);
	Rollup	   *rollup = rollup_begin(key);
	RollupVisitors visitors = {.day = add_day, .error = add_error, .log = add_log, .arg = totals};

	totals->execution_logs = 0;
	if (rollup->usable)
		rollup_visit(rollup, key, &visitors, totals->span);
	else
		log_visit_all(key, totals->span, add_log, totals);
	rollup_end(rollup);
	totals->logs += totals->execution_logs;
	MemoryContextSwitchTo(saved);
	MemoryContextReset(totals->scratch);
}

/* Remember how long an execution took. */
static void
add_duration(WorkflowTotals *totals, double seconds)
{
	if (totals->durations == totals->duration_room)
	{
		totals->duration_room = totals->duration_room ? totals->duration_room * 2 : 64;
		totals->seconds = totals->seconds ?
			repalloc_huge(totals->seconds, sizeof(double) * totals->duration_room) :
			MemoryContextAlloc(totals->context, sizeof(double) * totals->duration_room);
	}
	totals->seconds[totals->durations++] = seconds;
}

/* Add an execution and its logs; an ExecutionVisitor. */
static void
add_execution(const WflogExecution *execution, void *arg)
{
	WorkflowTotals *totals = arg;
	ExecutionKey key = execution_key(execution->execution_id, strlen(execution->execution_id));

	add_logs(totals, &key);
	if (execution->created_at < totals->span->start_time ||
		execution->created_at > totals->span->end_time)
		return;

	totals->executions++;
	totals->by_status[execution->status]++;
	totals->counted_logs += totals->execution_logs;
	if (totals->execution_logs > 0)
		totals->with_logs++;
	if (execution->has_start_time && execution->has_end_time)
		add_duration(totals, (execution->end_time - execution->start_time) / (double) USECS_PER_SEC);
	if (totals->bucket > 0)
	{
		Bucket	   *bucket = bucket_at(totals, execution->created_at);

		bucket->executions++;
		if (execution->status == STATUS_SUCCESS)
			bucket->succeeded++;
		if (execution->status == STATUS_FAILED)
			bucket->failed++;
	}
}

static HTAB *
make_table(const char *name, Size key_size, Size entry_size, int flags, MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = key_size;
	control.entrysize = entry_size;
	control.hcxt = context;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_CONTEXT | flags);
}

/* Nothing yet, of a time span; with a series if the buckets' length is not zero. */
void
workflow_totals_init(WorkflowTotals *totals, LogFilter *span, int64 bucket)
{
	memset(totals, 0, sizeof(*totals));
	totals->context = CurrentMemoryContext;
	totals->span = span;
	totals->bucket = bucket;
	totals->errors = make_table("wflog errors", ERROR_TEXT_BYTES + 1, sizeof(ErrorText), HASH_STRINGS,
								CurrentMemoryContext);
	if (bucket > 0)
		totals->buckets = make_table("wflog buckets", sizeof(int64), sizeof(Bucket), HASH_BLOBS,
									 CurrentMemoryContext);
}

/* Add a workflow's executions, or all that the asker may read if it is NULL. */
void
workflow_totals_add(WorkflowTotals *totals, const char *workflow_id)
{
	totals->scratch = AllocSetContextCreate(CurrentMemoryContext, "wflog workflow totals",
											ALLOCSET_DEFAULT_SIZES);
	visit_executions(workflow_id, add_execution, totals);
	MemoryContextDelete(totals->scratch);
}
