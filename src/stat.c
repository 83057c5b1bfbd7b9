/*-------------------------------------------------------------------------
 *
 * stat.c
 *	  Statistics of the worker and the keeper, and the view wflog.stat.
 *
 * They live in the database's slot: they begin with the server, or with the
 * extension, and no crash survives them.  The lag of notifications is kept by
 * the second for a minute, each second with a histogram of powers of two, so
 * what is told of the last minute takes a fixed space and is exact in number,
 * sum and maximum; the percentile is interpolated.
 *
 * What several processes write is under stats.mutex, held for a copy at most.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "launcher.h"
#include "miscadmin.h"
#include "shared.h"
#include "storage/spin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(wflog_stat_get);
PG_FUNCTION_INFO_V1(wflog_stat_reset);

/* Columns of the view, in the order of sql/70_stat.sql. */
typedef enum StatColumn
{
	STAT_RUNNING,
	STAT_HINT,
	STAT_LAUNCHER_PID,
	STAT_WORKER_PID,
	STAT_KEEPER_PID,
	STAT_SCOPE,
	STAT_ASKED,
	STAT_QUEUE_SIZE,
	STAT_QUEUE_DEPTH,
	STAT_QUEUE_HIGH_WATER,
	STAT_OVERFLOWS,
	STAT_BATCHES,
	STAT_LOGS_NOTIFIED,
	STAT_NOTIFICATIONS,
	STAT_SKIPPED,
	STAT_LAG_MEAN,
	STAT_LAG_P99,
	STAT_LAG_MAX,
	STAT_FOLD_LAG,
	STAT_FOLD_HINTS,
	STAT_FOLDS,
	STAT_LOGS_FOLDED,
	STAT_MAINTENANCE_STARTED,
	STAT_MAINTENANCE_ENDED,
	STAT_MAINTENANCE_RESULT,
	STAT_MAINTENANCE_NEXT,
	STAT_LAST_ERROR,
	STAT_LAST_ERROR_IN,
	STAT_LAST_ERROR_AT,
	STAT_RESET_AT,
	STAT_COLUMNS
} StatColumn;

/* Lag of the last minute, all in microseconds. */
typedef struct LagSummary
{
	uint64		count;
	double		mean;
	double		p99;
	double		max;
} LagSummary;

/*
 * Note that logs have been notified, so long after their commit.  Called by
 * the worker for each transaction.
 */
void
stat_lag(DatabaseSlot *slot, TimestampTz pushed_at, TimestampTz sent_at, uint64 logs)
{
	uint64		lag = sent_at > pushed_at ? (uint64) (sent_at - pushed_at) : 0;
	int64		second = sent_at / USECS_PER_SEC;
	LagSecond  *place = &slot->stats.lag[second % LAG_SECONDS];
	int			bucket = lag == 0 ? 0 : pg_leftmost_one_pos64(lag) + 1;

	SpinLockAcquire(&slot->stats.mutex);
	if (place->second != second)
	{
		memset(place, 0, sizeof(LagSecond));
		place->second = second;
	}
	place->count += logs;
	place->sum += lag * logs;
	place->max = Max(place->max, lag);
	place->buckets[Min(bucket, LAG_BUCKETS - 1)] += logs;
	SpinLockRelease(&slot->stats.mutex);
}

/* Note an error of "worker" or "keeper". */
void
stat_error(DatabaseSlot *slot, const char *where, const char *text)
{
	TimestampTz now = GetCurrentTimestamp();

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->stats.mutex);
	slot->stats.error_at = now;
	strlcpy(slot->stats.error_in, where, sizeof(slot->stats.error_in));
	strlcpy(slot->stats.error_text, text, STAT_TEXT);
	SpinLockRelease(&slot->stats.mutex);
}

/*
 * Add up the seconds of the last minute.  The percentile is where 99% of the
 * logs lie below, taking those of a bucket for evenly spread.
 */
static void
summarize_lag(const SlotStats *stats, TimestampTz now, LagSummary *lag)
{
	int64		oldest = now / USECS_PER_SEC - LAG_SECONDS + 1;
	uint64		buckets[LAG_BUCKETS] = {0};
	uint64		sum = 0;
	uint64		below = 0;
	double		wanted;

	memset(lag, 0, sizeof(LagSummary));
	for (int i = 0; i < LAG_SECONDS; i++)
	{
		const LagSecond *second = &stats->lag[i];

		if (second->second < oldest || second->count == 0)
			continue;
		lag->count += second->count;
		sum += second->sum;
		lag->max = Max(lag->max, (double) second->max);
		for (int b = 0; b < LAG_BUCKETS; b++)
			buckets[b] += second->buckets[b];
	}
	if (lag->count == 0)
		return;

	lag->mean = (double) sum / lag->count;
	wanted = 0.99 * lag->count;
	for (int b = 0; b < LAG_BUCKETS; b++)
	{
		if (below + buckets[b] >= wanted)
		{
			double		from = b == 0 ? 0 : (double) (UINT64CONST(1) << (b - 1));
			double		to = b == 0 ? 0 : (double) (UINT64CONST(1) << b);

			lag->p99 = Min(from + (to - from) * (wanted - below) / buckets[b], lag->max);
			break;
		}
		below += buckets[b];
	}
}

/* An interval of so many microseconds. */
static Datum
interval_datum(double microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (TimeOffset) microseconds;
	return IntervalPGetDatum(interval);
}

/* Give the row a value if there is one. */
static void
set_time(Datum *values, bool *nulls, StatColumn column, TimestampTz time)
{
	nulls[column] = time == 0;
	values[column] = TimestampTzGetDatum(time);
}

static void
set_text(Datum *values, bool *nulls, StatColumn column, const char *text)
{
	nulls[column] = text == NULL || text[0] == '\0';
	if (!nulls[column])
		values[column] = CStringGetTextDatum(text);
}

static void
set_pid(Datum *values, bool *nulls, StatColumn column, pid_t pid)
{
	nulls[column] = pid == 0;
	values[column] = Int32GetDatum((int32) pid);
}

static void
set_count(Datum *values, bool *nulls, StatColumn column, uint64 count)
{
	nulls[column] = false;
	values[column] = Int64GetDatum((int64) count);
}

/* Why something does not run, and what to do; NULL: it does. */
static const char *
hint(bool launcher, bool worker, bool keeper, bool no_processes, DatabaseSlot *slot)
{
	bool		free_slot = false;

	if (worker && keeper)
		return NULL;
	if (RecoveryInProgress())
		return "this is a standby: the worker runs on the primary";
	if (!launcher)
		return "the launcher does not run: it should be back in some seconds, else see the server's log";
	if (slot == NULL)
	{
		for (int i = 0; i < wflog_control->slot_count; i++)
			if (pg_atomic_read_u32(&slot_number(i)->database) == InvalidOid)
				free_slot = true;
		if (!free_slot)
			return "there are more databases with wflog than slots: increase wflog.max_databases";
	}
	if (no_processes)
		return "there are too few processes: increase max_worker_processes";
	return "it should start in some seconds, else see the server's log";
}

/* Fill in what the slot knows. */
static void
fill_from_slot(DatabaseSlot *slot, Datum *values, bool *nulls)
{
	SlotStats  *stats = palloc(sizeof(SlotStats));
	TimestampTz now = GetCurrentTimestamp();
	LagSummary	lag;
	uint64		depth;
	uint64		hints;

	LWLockAcquire(slot->asked_lock, LW_SHARED);
	set_count(values, nulls, STAT_ASKED, slot->asked_count);
	LWLockRelease(slot->asked_lock);
	set_text(values, nulls, STAT_SCOPE,
			 pg_atomic_read_u32(&slot->notify_on) == 0 ? "none" :
			 pg_atomic_read_u32(&slot->asked_all) != 0 ? "all" : "asked");

	LWLockAcquire(slot->queue_lock, LW_SHARED);
	depth = slot->queue_head - slot->queue_tail;
	stats->queue_high_water = slot->stats.queue_high_water;
	stats->overflows = slot->stats.overflows;
	LWLockRelease(slot->queue_lock);
	set_count(values, nulls, STAT_QUEUE_SIZE, wflog_control->queue_places);
	set_count(values, nulls, STAT_QUEUE_DEPTH, depth);
	set_count(values, nulls, STAT_QUEUE_HIGH_WATER, stats->queue_high_water);
	set_count(values, nulls, STAT_OVERFLOWS, stats->overflows);

	LWLockAcquire(slot->fold_lock, LW_SHARED);
	hints = slot->fold_head - slot->fold_tail;
	LWLockRelease(slot->fold_lock);

	SpinLockAcquire(&slot->stats.mutex);
	memcpy(stats, &slot->stats, sizeof(SlotStats));
	SpinLockRelease(&slot->stats.mutex);
	set_count(values, nulls, STAT_FOLD_HINTS, hints + stats->unfolded);

	set_count(values, nulls, STAT_BATCHES, stats->batches);
	set_count(values, nulls, STAT_LOGS_NOTIFIED, stats->logs_notified);
	set_count(values, nulls, STAT_NOTIFICATIONS, stats->notifications);
	set_count(values, nulls, STAT_SKIPPED, stats->skipped);
	summarize_lag(stats, now, &lag);
	if (lag.count > 0)
	{
		nulls[STAT_LAG_MEAN] = nulls[STAT_LAG_P99] = nulls[STAT_LAG_MAX] = false;
		values[STAT_LAG_MEAN] = interval_datum(lag.mean);
		values[STAT_LAG_P99] = interval_datum(lag.p99);
		values[STAT_LAG_MAX] = interval_datum(lag.max);
	}
	nulls[STAT_FOLD_LAG] = false;
	values[STAT_FOLD_LAG] = interval_datum(stats->oldest_unfolded == 0 ? 0 :
										   (double) Max(now - stats->oldest_unfolded, 0));
	set_count(values, nulls, STAT_FOLDS, stats->folds);
	set_count(values, nulls, STAT_LOGS_FOLDED, stats->rows_folded);
	set_time(values, nulls, STAT_MAINTENANCE_STARTED, stats->maintenance_started);
	set_time(values, nulls, STAT_MAINTENANCE_ENDED, stats->maintenance_ended);
	set_text(values, nulls, STAT_MAINTENANCE_RESULT, stats->maintenance_result);
	set_time(values, nulls, STAT_MAINTENANCE_NEXT, stats->maintenance_next);
	set_text(values, nulls, STAT_LAST_ERROR, stats->error_text);
	set_text(values, nulls, STAT_LAST_ERROR_IN, stats->error_in);
	set_time(values, nulls, STAT_LAST_ERROR_AT, stats->error_at);
	set_time(values, nulls, STAT_RESET_AT, stats->reset_at);
}

/* stat_get(): the one row of the view wflog.stat.  No errors. */
Datum
wflog_stat_get(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	Datum		values[STAT_COLUMNS] = {0};
	bool		nulls[STAT_COLUMNS];
	DatabaseSlot *slot = my_slot();
	pid_t		worker = 0;
	pid_t		keeper = 0;
	pid_t		launcher;
	bool		no_processes;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE ||
		descriptor->natts != STAT_COLUMNS)
		elog(ERROR, "unexpected result type");
	memset(nulls, true, sizeof(nulls));

	if (launcher_area == NULL || !IsUnderPostmaster)
	{
		nulls[STAT_RUNNING] = false;
		values[STAT_RUNNING] = BoolGetDatum(false);
		set_text(values, nulls, STAT_HINT,
				 "wflog is not preloaded: add it to shared_preload_libraries and restart the server");
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
	}

	LWLockAcquire(wflog_control->lock, LW_SHARED);
	launcher = wflog_control->launcher_pid;
	no_processes = launcher_area->no_processes;
	if (slot != NULL)
	{
		worker = slot->pids[KIND_WORKER];
		keeper = slot->pids[KIND_KEEPER];
	}
	LWLockRelease(wflog_control->lock);

	nulls[STAT_RUNNING] = false;
	values[STAT_RUNNING] = BoolGetDatum(worker != 0 && keeper != 0);
	set_text(values, nulls, STAT_HINT,
			 hint(launcher != 0, worker != 0, keeper != 0, no_processes, slot));
	set_pid(values, nulls, STAT_LAUNCHER_PID, launcher);
	set_pid(values, nulls, STAT_WORKER_PID, worker);
	set_pid(values, nulls, STAT_KEEPER_PID, keeper);
	if (slot != NULL)
		fill_from_slot(slot, values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}

/*
 * stat_reset(): counters of this database begin anew.  What tells of the last
 * maintenance stays, because the next depends on it.
 *
 * Errors: 42501 without wflog_admin.
 */
Datum
wflog_stat_reset(PG_FUNCTION_ARGS)
{
	DatabaseSlot *slot = my_slot();
	SlotStats  *stats;
	TimestampTz now = GetCurrentTimestamp();

	if (!wflog_may_administer())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reset statistics"),
				 errdetail("Only members of wflog_admin may do that.")));
	if (slot == NULL)
		PG_RETURN_VOID();
	stats = &slot->stats;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	stats->queue_high_water = slot->queue_head - slot->queue_tail;
	stats->overflows = 0;
	LWLockRelease(slot->queue_lock);

	SpinLockAcquire(&stats->mutex);
	stats->reset_at = now;
	stats->batches = stats->logs_notified = stats->notifications = stats->skipped = 0;
	memset(stats->lag, 0, sizeof(stats->lag));
	stats->folds = stats->rows_folded = 0;
	stats->error_at = 0;
	stats->error_in[0] = stats->error_text[0] = '\0';
	SpinLockRelease(&stats->mutex);
	PG_RETURN_VOID();
}
