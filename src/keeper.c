/*-------------------------------------------------------------------------
 *
 * keeper.c
 *	  The keeper: folds logs into roll-ups and runs maintenance.
 *
 * Both may take minutes, which is why the worker, on whom notifications wait,
 * does neither.
 *
 * Maintenance runs when the keeper finds none on record, which is after a
 * start of the server and after CREATE EXTENSION, and then at intervals of
 * wflog.maintenance_interval, sooner if partitions are so short that those made
 * ahead would not last.  A run that has left something undone, or failed, is
 * repeated sooner.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "bgworker.h"
#include "executor/spi.h"
#include "catalog/pg_type_d.h"
#include "fold.h"
#include "launcher.h"
#include "maintain.h"
#include "pgstat.h"
#include "storage/spin.h"
#include "utils/memutils.h"

/* All in ms. */
#define SOON INT64CONST(600000)	/* when something has been left undone */
#define RESTORE_GAP 3000		/* between the sessions of one restore */
#define FOLD_INTERVAL 250		/* between rounds while there have been hints lately */
#define FOLD_PATIENCE 3000		/* that is lately */
#define LONGEST_SLEEP INT64CONST(86400000)

#define RESULT_DONE "done"
#define RESULT_WAITS "waits for a restore to end"

/* Partition intervals in ms; a month is short enough at 28 days. */
static int64
partition_span(void)
{
	int64		hours = 24;

	if (pg_strcasecmp(wflog_partition_interval, "hour") == 0)
		hours = 1;
	else if (pg_strcasecmp(wflog_partition_interval, "week") == 0)
		hours = 7 * 24;
	else if (pg_strcasecmp(wflog_partition_interval, "month") == 0)
		hours = 28 * 24;
	return hours * 3600 * 1000;
}

/* Time to the next run after one that has done everything, in ms. */
static int64
interval(void)
{
	return Min((int64) wflog_maintenance_interval * 1000,
			   partition_span() * wflog_partitions_ahead / 2);
}

/*
 * Is a dump being restored into this database?  Maintenance would make the
 * partitions and indexes that the restore is about to make.  A session that
 * has created the extension as dumps do it has been noted; when there are
 * several jobs, that one ends before the others, and these tell by their name.
 */
static bool
dump_is_restored(DatabaseSlot *slot)
{
	static TimestampTz last_seen = 0;
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(MyDatabaseId)};

	if (restore_runs(MyDatabaseId))
	{
		last_seen = GetCurrentTimestamp();
		return true;
	}

	bgworker_begin("looking for pg_restore");
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute_with_args("SELECT FROM pg_catalog.pg_stat_activity a "
							  "WHERE a.datid OPERATOR(pg_catalog.=) $1 "
							  "AND a.application_name OPERATOR(pg_catalog.=) 'pg_restore'",
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_stat_activity");
	if (SPI_processed > 0)
		last_seen = GetCurrentTimestamp();
	SPI_finish();
	bgworker_commit();
	return last_seen != 0 &&
		!TimestampDifferenceExceeds(last_seen, GetCurrentTimestamp(), RESTORE_GAP);
}

/* Steps that the last run left to the next, or -1: another run was active. */
static int	steps_left;

/*
 * A run of maintenance, in transactions of its own.  What SPI and the run keep
 * from one to the next is in PortalContext, as if we were a CALL.
 */
static void
maintain(DatabaseSlot *slot)
{
	static MemoryContext kept = NULL;

	if (kept == NULL)
		kept = AllocSetContextCreate(TopMemoryContext, "wflog keeper maintenance",
									 ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(kept);	/* an error may have left something */
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, "maintenance");
	StartTransactionCommand();
	PortalContext = kept;
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	steps_left = wflog_maintain(0, false, LOG);
	SPI_finish();
	CommitTransactionCommand();
	PortalContext = NULL;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Note the beginning of a run.  With no next run on record, one that does not
 * come to its end is repeated at once.
 */
static void
note_start(DatabaseSlot *slot)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&slot->stats.mutex);
	slot->stats.maintenance_started = now;
	slot->stats.maintenance_next = 0;
	strlcpy(slot->stats.maintenance_result, "running", STAT_TEXT);
	SpinLockRelease(&slot->stats.mutex);
}

/* Note how a run has ended, or why there was none, and when the next is due. */
static void
note_end(DatabaseSlot *slot, bool has_run, const char *result, int64 delay)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&slot->stats.mutex);
	if (has_run)
		slot->stats.maintenance_ended = now;
	slot->stats.maintenance_next = TimestampTzPlusMilliseconds(now, delay);
	strlcpy(slot->stats.maintenance_result, result, STAT_TEXT);
	SpinLockRelease(&slot->stats.mutex);
}

/* Run maintenance now and note how it went. */
static void
run_maintenance(DatabaseSlot *slot)
{
	char		result[STAT_TEXT];
	int64		delay = interval();

	if (dump_is_restored(slot))
	{
		note_end(slot, false, RESULT_WAITS, RESTORE_GAP);
		return;
	}
	note_start(slot);
	if (!bgworker_try(maintain, slot, result))
		delay = Min(delay, SOON);
	else if (steps_left == 0)
		strlcpy(result, RESULT_DONE, STAT_TEXT);
	else
	{
		if (steps_left < 0)
			strlcpy(result, "another run was active", STAT_TEXT);
		else
			snprintf(result, STAT_TEXT, "done, but %d left for the next run", steps_left);
		delay = Min(delay, SOON);
	}
	note_end(slot, true, result, delay);
}

/* When the next run is due, in ms from now; -1: not at all. */
static int64
until_maintenance(DatabaseSlot *slot)
{
	TimestampTz next;

	if (wflog_maintenance_interval == 0)
		return -1;
	SpinLockAcquire(&slot->stats.mutex);
	next = slot->stats.maintenance_next;
	SpinLockRelease(&slot->stats.mutex);
	return next == 0 ? 0 : TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
}

/* The settings may have changed: when the next run is due now. */
static void
reschedule(DatabaseSlot *slot)
{
	SlotStats  *stats = &slot->stats;
	TimestampTz regular;

	SpinLockAcquire(&stats->mutex);
	regular = TimestampTzPlusMilliseconds(stats->maintenance_ended, interval());
	if (wflog_maintenance_interval == 0)
		stats->maintenance_next = 0;
	else if (stats->maintenance_next != 0 && stats->maintenance_ended != 0 &&
			 (regular < stats->maintenance_next ||
			  strcmp(stats->maintenance_result, RESULT_DONE) == 0))
		stats->maintenance_next = regular;
	SpinLockRelease(&stats->mutex);
}

/* The loop of the keeper: see bgworker.h. */
void
wflog_keeper_loop(DatabaseSlot *slot)
{
	TimestampTz last_hints = GetCurrentTimestamp();

	reschedule(slot);
	for (;;)
	{
		int64		timeout;
		long		delay;
		TimestampTz now;

		if (bgworker_check())
			reschedule(slot);
		timeout = until_maintenance(slot);
		if (timeout == 0)
		{
			run_maintenance(slot);
			continue;
		}

		/* a look without the lock: who adds a hint now, wakes us below */
		if (slot->fold_head != slot->fold_tail)
			last_hints = GetCurrentTimestamp();
		if (wflog_fold_round(slot))
			continue;
		delay = wflog_fold_delay();
		if (delay >= 0)
			timeout = timeout < 0 ? delay : Min(timeout, delay);

		/*
		 * While hints come in, go round at intervals, and be woken by nobody;
		 * also to fold what the last round found too fresh.  Then sleep.
		 */
		now = GetCurrentTimestamp();
		if (TimestampDifferenceExceeds(last_hints, now, FOLD_PATIENCE))
		{
			pg_atomic_write_u32(&slot->keeper_sleeps, 1);
			pg_memory_barrier();
			if (slot->fold_head != slot->fold_tail)
				timeout = 0;
		}
		else if (timeout < 0 || timeout > FOLD_INTERVAL)
			timeout = FOLD_INTERVAL;
		if (bgworker_wait(Min(timeout, LONGEST_SLEEP)))
			reschedule(slot);
		pg_atomic_write_u32(&slot->keeper_sleeps, 0);
	}
}
