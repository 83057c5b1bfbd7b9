/*-------------------------------------------------------------------------
 *
 * read_workflow.c
 *	  workflow_summary(): a workflow's executions and logs in figures.
 *
 * Executions count by the time they were registered, logs by created_at; both
 * bounds are inclusive.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "common/int.h"
#include "execution_json.h"
#include "json.h"
#include "mb/pg_wchar.h"
#include "reader.h"
#include "totals.h"
#include "utils/float.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(wflog_workflow_summary);

#define MAX_BUCKETS 10000
#define MAX_BUCKET (36500 * USECS_PER_DAY)
#define TOP_ERRORS 10
#define MAX_ERROR_TEXTS 10000	/* told apart; the rest is counted as others */
#define ERROR_TEXT_BYTES 200	/* by which they are told apart */

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
	LogFilter  *filter;			/* the time span */
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
	int64		execution_logs; /* of the execution at hand */
} WorkflowTotals;

/* The bucket a time falls into. */
static Bucket *
bucket_at(WorkflowTotals *totals, TimestampTz time)
{
	int64		number = time / totals->bucket - (time % totals->bucket < 0 ? 1 : 0);
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
add_error(WorkflowTotals *totals, TupleTableSlot *slot, TimestampTz at)
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

/* Add a log; a LogVisitor. */
static void
add_log(TupleTableSlot *slot, void *arg)
{
	WorkflowTotals *totals = arg;
	bool		isnull;
	int			level;
	TimestampTz at;

	slot_getsomeattrs(slot, Anum_log_created_at);
	level = wflog_enum_value(WFLOG_LEVEL_ENUM,
							 DatumGetObjectId(slot_getattr(slot, Anum_log_level, &isnull)));
	at = DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull));
	totals->execution_logs++;
	totals->levels[level]++;
	if (totals->bucket > 0)
		bucket_at(totals, at)->levels[level]++;
	if (level >= LEVEL_ERROR)
	{
		Oid			type = DatumGetObjectId(slot_getattr(slot, Anum_log_event_type, &isnull));

		totals->error_events[wflog_enum_value(WFLOG_EVENT_TYPE_ENUM, type)]++;
		add_error(totals, slot, at);
	}
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

	totals->execution_logs = 0;
	log_visit_all(&key, totals->filter, add_log, totals);
	totals->logs += totals->execution_logs;
	if (execution->created_at < totals->filter->start_time ||
		execution->created_at > totals->filter->end_time)
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

static int
compare_doubles(const void *a, const void *b)
{
	double		left = *(const double *) a;
	double		right = *(const double *) b;

	return left < right ? -1 : left > right ? 1 : 0;
}

/* A percentile of the sorted durations, interpolated as percentile_cont(). */
static double
percentile(const WorkflowTotals *totals, double fraction)
{
	double		place = fraction * (totals->durations - 1);
	int			below = (int) place;
	double		low = totals->seconds[below];
	double		high = totals->seconds[Min(below + 1, totals->durations - 1)];

	return low + (place - below) * (high - low);
}

/* Write the durations of ended executions, in seconds. */
static void
write_durations(StringInfo buf, WorkflowTotals *totals)
{
	double		sum = 0;

	appendStringInfo(buf, "{\"count\":%d", totals->durations);
	if (totals->durations > 0)
	{
		qsort(totals->seconds, totals->durations, sizeof(double), compare_doubles);
		for (int i = 0; i < totals->durations; i++)
			sum += totals->seconds[i];
		json_literal(buf, ",\"mean\":");
		json_double(buf, sum / totals->durations);
		json_literal(buf, ",\"min\":");
		json_double(buf, totals->seconds[0]);
		json_literal(buf, ",\"p50\":");
		json_double(buf, percentile(totals, 0.5));
		json_literal(buf, ",\"p95\":");
		json_double(buf, percentile(totals, 0.95));
		json_literal(buf, ",\"max\":");
		json_double(buf, totals->seconds[totals->durations - 1]);
	}
	json_literal(buf, "}");
}

/* The most frequent first, then the latest. */
static int
compare_errors(const void *a, const void *b)
{
	const ErrorText *left = *(ErrorText *const *) a;
	const ErrorText *right = *(ErrorText *const *) b;

	if (left->count != right->count)
		return left->count > right->count ? -1 : 1;
	if (left->last != right->last)
		return left->last > right->last ? -1 : 1;
	return strcmp(left->text, right->text);
}

/* Write the most frequent error messages. */
static void
write_errors(StringInfo buf, WorkflowTotals *totals)
{
	int64		distinct = hash_get_num_entries(totals->errors);
	ErrorText **sorted = palloc(sizeof(ErrorText *) * (distinct + 1));
	int			count = 0;
	HASH_SEQ_STATUS sequence;
	ErrorText  *error;

	hash_seq_init(&sequence, totals->errors);
	while ((error = hash_seq_search(&sequence)) != NULL)
		sorted[count++] = error;
	qsort(sorted, count, sizeof(ErrorText *), compare_errors);
	json_literal(buf, "[");
	for (int i = 0; i < Min(count, TOP_ERRORS); i++)
	{
		if (i > 0)
			json_literal(buf, ",");
		json_literal(buf, "{\"message\":");
		json_cstring(buf, sorted[i]->text);
		json_literal(buf, ",\"count\":");
		json_int(buf, sorted[i]->count);
		json_literal(buf, ",\"last_seen\":");
		json_time(buf, sorted[i]->last);
		json_literal(buf, "}");
	}
	json_literal(buf, "]");
}

/* Write the series, with empty buckets between the first and the last. */
static void
write_series(StringInfo buf, WorkflowTotals *totals)
{
	HASH_SEQ_STATUS sequence;
	Bucket	   *bucket;
	Bucket		empty = {0};
	int64		first = PG_INT64_MAX;
	int64		last = PG_INT64_MIN;

	hash_seq_init(&sequence, totals->buckets);
	while ((bucket = hash_seq_search(&sequence)) != NULL)
	{
		first = Min(first, bucket->number);
		last = Max(last, bucket->number);
	}
	if (first <= last && last - first >= MAX_BUCKETS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the series would have more than %d buckets", MAX_BUCKETS),
				 errhint("Choose a longer bucket or a shorter time span.")));
	json_literal(buf, "[");
	for (int64 number = first; number <= last; number++)
	{
		int64		logs = 0;

		bucket = hash_search(totals->buckets, &number, HASH_FIND, NULL);
		if (bucket == NULL)
			bucket = &empty;
		if (number > first)
			json_literal(buf, ",");
		for (int i = 0; i < LEVEL_COUNT; i++)
			logs += bucket->levels[i];
		json_literal(buf, "{\"start\":");
		json_time(buf, number * totals->bucket);
		appendStringInfo(buf, ",\"executions\":" INT64_FORMAT ",\"succeeded\":" INT64_FORMAT
						 ",\"failed\":" INT64_FORMAT ",\"logs\":" INT64_FORMAT ",\"log_levels\":",
						 bucket->executions, bucket->succeeded, bucket->failed, logs);
		json_levels(buf, bucket->levels);
		json_literal(buf, "}");
	}
	json_literal(buf, "]");
}

/* The argument bucket in microseconds; 0 if it is null. */
static int64
bucket_arg(FunctionCallInfo fcinfo, int arg)
{
	Interval   *interval;
	int64		days;
	int64		length;

	if (PG_ARGISNULL(arg))
		return 0;
	interval = PG_GETARG_INTERVAL_P(arg);
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(interval->time, days, &length))
		length = -1;			/* out of range anyway */
	if (interval->month != 0 || length < USECS_PER_SEC || length > MAX_BUCKET)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bucket must be between 1 second and 36500 days and have no months, not \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, PointerGetDatum(interval)))),
				 errhint("Write 30 days for a month.")));
	return length;
}

/* Write a bound of the time span, or null. */
static void
write_bound(StringInfo buf, TimestampTz time)
{
	if (TIMESTAMP_NOT_FINITE(time))
		json_literal(buf, "null");
	else
		json_time(buf, time);
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

/* SQL: wflog.workflow_summary() */
Datum
wflog_workflow_summary(PG_FUNCTION_ARGS)
{
	char	   *workflow_id = require_workflow(fcinfo, 0);
	WorkflowTotals totals = {0};
	StringInfoData buf;
	const char *comma = "";

	totals.filter = log_filter_all();
	if (!PG_ARGISNULL(1))
		totals.filter->start_time = PG_GETARG_TIMESTAMPTZ(1);
	if (!PG_ARGISNULL(2))
		totals.filter->end_time = PG_GETARG_TIMESTAMPTZ(2);
	if (totals.filter->start_time > totals.filter->end_time)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since %s is after until %s",
						time_text(totals.filter->start_time), time_text(totals.filter->end_time))));
	totals.bucket = bucket_arg(fcinfo, 3);
	totals.context = CurrentMemoryContext;
	totals.errors = make_table("wflog errors", ERROR_TEXT_BYTES + 1, sizeof(ErrorText), HASH_STRINGS,
							   CurrentMemoryContext);
	if (totals.bucket > 0)
		totals.buckets = make_table("wflog buckets", sizeof(int64), sizeof(Bucket), HASH_BLOBS,
									CurrentMemoryContext);
	visit_executions(workflow_id, add_execution, &totals);

	json_begin(&buf);
	json_literal(&buf, "{\"workflow_id\":");
	json_cstring(&buf, workflow_id);
	json_literal(&buf, ",\"since\":");
	write_bound(&buf, totals.filter->start_time);
	json_literal(&buf, ",\"until\":");
	write_bound(&buf, totals.filter->end_time);
	appendStringInfo(&buf, ",\"executions\":{\"total\":" INT64_FORMAT ",\"by_status\":{",
					 totals.executions);
	for (int i = 0; i < STATUS_COUNT; i++)
		if (totals.by_status[i] > 0)
		{
			appendStringInfo(&buf, "%s\"%s\":" INT64_FORMAT, comma,
							 wflog_enum_label(WFLOG_STATUS_ENUM, i), totals.by_status[i]);
			comma = ",";
		}
	appendStringInfo(&buf, "},\"with_logs\":" INT64_FORMAT ",\"share_with_logs\":", totals.with_logs);
	json_double(&buf, totals.executions ? totals.with_logs / (double) totals.executions : get_float8_nan());
	json_literal(&buf, ",\"mean_logs\":");
	json_double(&buf, totals.executions ? totals.counted_logs / (double) totals.executions : get_float8_nan());
	json_literal(&buf, ",\"duration_seconds\":");
	write_durations(&buf, &totals);
	json_literal(&buf, "},\"logs\":{\"total\":");
	json_int(&buf, totals.logs);
	json_literal(&buf, ",\"log_levels\":");
	json_levels(&buf, totals.levels);
	json_literal(&buf, "},\"errors\":{\"total\":");
	json_int(&buf, totals.levels[LEVEL_ERROR] + totals.levels[LEVEL_CRITICAL]);
	json_literal(&buf, ",\"event_types\":");
	json_event_types(&buf, totals.error_events);
	json_literal(&buf, ",\"most_frequent\":");
	write_errors(&buf, &totals);
	json_literal(&buf, "}");
	if (totals.bucket > 0)
	{
		json_literal(&buf, ",\"bucket_seconds\":");
		json_double(&buf, totals.bucket / (double) USECS_PER_SEC);
		json_literal(&buf, ",\"series\":");
		write_series(&buf, &totals);
	}
	json_literal(&buf, "}");
	return json_result(&buf);
}
