/*-------------------------------------------------------------------------
 *
 * read_workflow.c
 *	  workflow_summary() and statistics(): executions and logs in figures, of one
 *	  workflow or of all that the asker may read.
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
#include "read_workflow.h"
#include "reader.h"
#include "totals.h"
#include "utils/builtins.h"
#include "utils/float.h"

PG_FUNCTION_INFO_V1(wflog_statistics);
PG_FUNCTION_INFO_V1(wflog_workflow_summary);

#define MAX_BUCKET (36500 * USECS_PER_DAY)
#define TOP_ERRORS 10

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

/*
 * The figures of a workflow, or of all if workflow_id is NULL; the other
 * arguments are those of the call.
 *
 * Errors: 22023 for a span that ends before it begins, and for the bucket.
 */
static Datum
summarize(FunctionCallInfo fcinfo, const char *workflow_id)
{
	LogFilter  *span = log_filter_all();
	WorkflowTotals totals;
	StringInfoData buf;
	const char *comma = "";

	if (!PG_ARGISNULL(1))
		span->start_time = PG_GETARG_TIMESTAMPTZ(1);
	if (!PG_ARGISNULL(2))
		span->end_time = PG_GETARG_TIMESTAMPTZ(2);
	if (span->start_time > span->end_time)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since %s is after until %s",
						time_text(span->start_time), time_text(span->end_time))));
	workflow_totals_init(&totals, span, bucket_arg(fcinfo, 3));
	workflow_totals_add(&totals, workflow_id);

	json_begin(&buf);
	json_literal(&buf, "{\"workflow_id\":");
	if (workflow_id)
		json_cstring(&buf, workflow_id);
	else
		json_literal(&buf, "null");
	json_literal(&buf, ",\"since\":");
	write_bound(&buf, span->start_time);
	json_literal(&buf, ",\"until\":");
	write_bound(&buf, span->end_time);
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

/* SQL: wflog.workflow_summary(): P0002 for a workflow that there is not for the asker. */
Datum
wflog_workflow_summary(PG_FUNCTION_ARGS)
{
	return summarize(fcinfo, require_workflow(fcinfo, 0));
}

/* SQL: wflog.statistics(): the same, of all workflows if none is named. */
Datum
wflog_statistics(PG_FUNCTION_ARGS)
{
	return summarize(fcinfo, PG_ARGISNULL(0) ? NULL : require_workflow(fcinfo, 0));
}
