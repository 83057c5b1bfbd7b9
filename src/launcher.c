/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: finds the databases that have the extension, and keeps a
 *	  worker and a keeper in each.
 *
 * There is one launcher in a cluster, as soon as that is open for writing.  It
 * is connected to no database, so it stands in nobody's way, and sees the
 * shared catalogs alone: whether a database has the extension it learns from a
 * probe (bgworker.c), once for each database, and from then on from the
 * sessions that create and drop it (ddl_hooks.c).
 *
 * A database that has the extension gets a slot, if there is one left, and in
 * it a worker and a keeper.  When one of them ends, it is started again: at
 * once after a park, after a second if somebody has stopped it, and after a
 * failure with a pause that doubles up to a minute.
 *
 * The launcher sleeps until it is told something, a process of its own starts
 * or ends, or a pause is over; once in a minute it looks at the list of
 * databases for what it may not have been told.  A launcher that is started
 * again finds the workers by the slots.
 *
 * Here is its loop; what it knows of databases is in launcher_databases.c, what
 * it does about processes in launcher_processes.c.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <signal.h>

#include "launcher_parts.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/guc.h"

PGDLLEXPORT void wflog_launcher_main(Datum arg);

/* Between looks at the list of databases, in ms. */
#define SCAN_INTERVAL 60000

TimestampTz launcher_now;
static TimestampTz wake_at;		/* when there is something to do at the latest */

/* See to it that the loop does not sleep longer than that. */
void
launcher_wake_by(TimestampTz time)
{
	wake_at = Min(wake_at, time);
}

/* Forget the launcher in shared memory, at exit. */
static void
launcher_leaves(int code, Datum arg)
{
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	wflog_control->launcher_pid = 0;
	wflog_control->launcher_latch = NULL;
	LWLockRelease(wflog_control->lock);
}

/* Enter the launcher in shared memory. */
static void
launcher_enters(void)
{
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	wflog_control->launcher_pid = MyProcPid;
	wflog_control->launcher_latch = &MyProc->procLatch;
	launcher_area->no_processes = false;
	/* another launcher's probe: we would not hear of its end */
	if (launcher_area->probe_pid != 0)
		kill(launcher_area->probe_pid, SIGTERM);
	LWLockRelease(wflog_control->lock);
	on_shmem_exit(launcher_leaves, (Datum) 0);
}

/* Entry point of the launcher. */
void
wflog_launcher_main(Datum arg)
{
	TimestampTz next_scan = 0;

	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "wflog launcher", PGC_USERSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);

	launcher_databases_init();
	launcher_processes_init();
	launcher_enters();

	while (!ShutdownRequestPending)
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		launcher_now = GetCurrentTimestamp();
		wake_at = DT_NOEND;
		if (hear_notices() || next_scan <= launcher_now)
		{
			scan_databases();
			next_scan = TimestampTzPlusMilliseconds(launcher_now, SCAN_INTERVAL);
		}
		launcher_wake_by(next_scan);
		for (int i = 0; i < wflog_control->slot_count; i++)
			tend_slot(i);
		tend_probe();
		give_slots();
		tell_lack();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wake_at),
						 WFLOG_WAIT_EVENT("WflogLauncherMain"));
		ResetLatch(MyLatch);
	}
	proc_exit(1);				/* 0 would mean: never again */
}

/* Have the postmaster start the launcher.  To be called from _PG_init() when preloading. */
void
wflog_launcher_register(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "wflog launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "wflog launcher");
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;	/* seconds */
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "wflog");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "wflog_launcher_main");
	RegisterBackgroundWorker(&worker);
}
