/*-------------------------------------------------------------------------
 *
 * bgworker.c
 *	  The frame of the worker and the keeper, and the probe.
 *
 * The launcher starts all three for one database.  A process first enters
 * itself in shared memory, unless the database is parked, and connects then;
 * it leaves the place when it is gone from the list of processes, so that who
 * waits for that finds nobody in the database.  How it has ended it tells in
 * its report, for the launcher.
 *
 * The probe looks whether the database has the extension, and ends.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <signal.h>

#include "access/xact.h"
#include "commands/extension.h"
#include "common/pg_prng.h"
#include "bgworker.h"
#include "launcher.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

PGDLLEXPORT void wflog_worker_main(Datum arg);
PGDLLEXPORT void wflog_keeper_main(Datum arg);
PGDLLEXPORT void wflog_probe_main(Datum arg);

/* Pause after an error, in ms: the first, and the longest. */
#define FIRST_PAUSE 1000
#define LONGEST_PAUSE 60000

/* An error after so long is not a repetition, in ms. */
#define RECOVERED 60000

/* After so many errors in a row a new process tries. */
#define MAX_FAILURES 8

static const char *const kind_names[WORKER_KINDS] = {
	[KIND_WORKER] = "worker",
	[KIND_KEEPER] = "keeper",
};

static volatile sig_atomic_t stop_requested = false;

static WorkerOrder order;
static WorkerKind my_kind;
static DatabaseSlot *slot_here = NULL;	/* NULL: a probe */
static WorkerReport report = {.exit = EXIT_FAILED};
static Oid	extension = InvalidOid; /* as it was found at the start */

/* SIGTERM: end what goes on, and leave. */
static void
handle_stop(SIGNAL_ARGS)
{
	int			save_errno = errno;

	stop_requested = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/*
 * Leave the place in shared memory and tell how it ended.  At exit, after the
 * process is gone from the process array.
 */
static void
leave_place(int code, Datum arg)
{
	WorkerReport *place;

	if (slot_here != NULL)
		slot_leave(slot_here, my_kind);

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	if (slot_here != NULL)
		place = launcher_report(order.slot, my_kind);
	else
	{
		launcher_area->probe_pid = 0;
		place = &launcher_area->probe;
	}
	place->exit = report.exit;
	place->notices = report.notices;
	if (wflog_control->launcher_latch != NULL)
		SetLatch(wflog_control->launcher_latch);
	LWLockRelease(wflog_control->lock);
	ConditionVariableBroadcast(&launcher_area->left);
}

/* End the process. */
pg_noreturn static void
leave(WorkerExit how)
{
	report.exit = how;
	proc_exit(how == EXIT_FAILED ? 1 : 0);
}

/*
 * Take the place in shared memory that the order names, or leave if the
 * database is parked, or the place somebody else's by now.
 */
static void
take_place(void)
{
	bool		taken = false;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	report.notices = launcher_area->notices;
	if (is_parked(order.database))
		 /* leave */ ;
	else if (order.slot >= 0)
	{
		DatabaseSlot *slot = slot_number(order.slot);

		if (pg_atomic_read_u32(&slot->database) == order.database &&
			pg_atomic_read_u32(&slot->generation) == order.generation &&
			slot->pids[my_kind] == 0)
		{
			slot->pids[my_kind] = MyProcPid;
			slot->latches[my_kind] = &MyProc->procLatch;
			slot_here = slot;
			taken = true;
		}
	}
	else if (launcher_area->probe_pid == 0 && launcher_area->probe_database == order.database)
	{
		launcher_area->probe_pid = MyProcPid;
		taken = true;
	}
	if (!taken)
	{
		if (order.slot >= 0)
			launcher_report(order.slot, my_kind)->exit = EXIT_PARKED;
		else
			launcher_area->probe.exit = EXIT_PARKED;
	}
	LWLockRelease(wflog_control->lock);

	if (!taken)
		proc_exit(0);
	on_shmem_exit(leave_place, (Datum) 0);
}

/* Settings that the work relies on, whatever the database's own say. */
static void
pin_settings(const char *name)
{
	static const char *const pinned[][2] = {
		{"role", "none"},
		{"search_path", "pg_catalog, pg_temp"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"session_replication_role", "origin"},
		{"row_security", "off"},
		{"zero_damaged_pages", "off"},
		{"jit", "off"},
	};

	for (int i = 0; i < lengthof(pinned); i++)
		SetConfigOption(pinned[i][0], pinned[i][1], PGC_SUSET, PGC_S_OVERRIDE);
#if PG_VERSION_NUM >= 170000
	SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#endif

	/* as autovacuum does: nobody waits for us, and we wait for no standby */
	if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);

	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_OVERRIDE);
}

/* Connect to the database of the order. */
static void
connect_to_database(const char *name)
{
	PG_TRY();
	{
		BackgroundWorkerInitializeConnectionByOid(order.database, InvalidOid, 0);
	}
	PG_CATCH();
	{
		if (stop_requested)
			leave(EXIT_STOPPED);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pin_settings(name);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Leave if told to; otherwise re-read the settings if told so, and say whether. */
bool
bgworker_check(void)
{
	/*
	 * A cancellation that came when there was nothing to cancel.  To stop comes
	 * as one too, so look for that afterwards.
	 */
	QueryCancelPending = false;
	if (stop_requested)
		leave(EXIT_STOPPED);
	CHECK_FOR_INTERRUPTS();

	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}

/* Sleep until the latch is set or the time is over. */
bool
bgworker_wait(long timeout)
{
	if (!stop_requested)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0),
						 timeout, my_kind == KIND_WORKER ? WFLOG_WAIT_EVENT("WflogWorkerMain") : WFLOG_WAIT_EVENT("WflogKeeperMain"));
		ResetLatch(MyLatch);
	}
	return bgworker_check();
}

/* Sleep through, whoever wakes us, unless it is to stop. */
static void
pause_for(long milliseconds)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0)
		(void) bgworker_wait(left);
}

/* Begin a transaction with a snapshot. */
void
bgworker_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* Commit it. */
void
bgworker_commit(void)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Leave if the extension is not there, or not the one that was there before. */
static void
find_extension(DatabaseSlot *slot)
{
	Oid			found;

	StartTransactionCommand();
	found = get_extension_oid("wflog", true);
	CommitTransactionCommand();
	if (!OidIsValid(found) || (OidIsValid(extension) && found != extension))
		leave(EXIT_GONE);
	extension = found;
}

/*
 * Clean up after an error, whose data is given, and log and note it.  When the
 * extension has been dropped while we were at work, it is no more than that,
 * and the process ends.
 */
static void
recover(DatabaseSlot *slot, ErrorData *data, char *error)
{
	/* what the end of a transaction does, in case that there was none */
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	pgstat_report_wait_end();
	AbortOutOfAnyTransaction();
	FlushErrorState();
	if (stop_requested)
		return;

	PG_TRY();
	{
		if (OidIsValid(extension))
			find_extension(slot);
		ThrowErrorData(data);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();		/* again: an error begins to count anew */
		EmitErrorReport();
		AbortOutOfAnyTransaction();
		FlushErrorState();
	}
	PG_END_TRY();
	stat_error(slot, kind_names[my_kind], data->message);
	if (error != NULL)
		strlcpy(error, data->message, STAT_TEXT);
}

/* Run work(slot); after an error clean up, log it, note it, and return false. */
bool
bgworker_try(void (*work) (DatabaseSlot *slot), DatabaseSlot *slot, char *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		work(slot);
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *data;

		HOLD_INTERRUPTS();
		disable_all_timeouts(false);
		QueryCancelPending = false;
		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		recover(slot, data, error);
		MemoryContextSwitchTo(context);
		FreeErrorData(data);
		pgstat_report_activity(STATE_IDLE, NULL);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	if (stop_requested)
		leave(EXIT_STOPPED);
	return done;
}

/* The worker and the keeper. */
pg_noreturn static void
run(WorkerKind kind, const char *name, void (*loop) (DatabaseSlot *slot))
{
	MemoryContext context;
	int			failures = 0;

	my_kind = kind;
	pqsignal(SIGTERM, handle_stop);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	take_place();
	connect_to_database(name);
	find_extension(slot_here);

	context = AllocSetContextCreate(TopMemoryContext, "wflog loop", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz began = GetCurrentTimestamp();
		long		pause = FIRST_PAUSE;

		MemoryContextSwitchTo(context);
		if (bgworker_try(loop, slot_here, NULL))
			elog(FATAL, "the loop of the %s has ended", name);
		MemoryContextReset(context);

		(void) bgworker_try(find_extension, slot_here, NULL);
		if (TimestampDifferenceExceeds(began, GetCurrentTimestamp(), RECOVERED))
			failures = 0;
		if (++failures > MAX_FAILURES)
			leave(EXIT_FAILED);
		for (int i = 1; i < failures && pause < LONGEST_PAUSE; i++)
			pause *= 2;
		pause = Min(pause, LONGEST_PAUSE);
		pause_for((long) (pause * (0.8 + 0.4 * pg_prng_double(&pg_global_prng_state))));
	}
}

/* Entry point of the worker. */
void
wflog_worker_main(Datum arg)
{
	run(KIND_WORKER, "wflog worker", wflog_worker_loop);
}

/* Entry point of the keeper. */
void
wflog_keeper_main(Datum arg)
{
	run(KIND_KEEPER, "wflog keeper", wflog_keeper_loop);
}

/* Entry point of the probe. */
void
wflog_probe_main(Datum arg)
{
	pqsignal(SIGTERM, handle_stop);
	BackgroundWorkerUnblockSignals();

	take_place();
	connect_to_database("wflog probe");
	find_extension(NULL);
	leave(EXIT_FOUND);
}
