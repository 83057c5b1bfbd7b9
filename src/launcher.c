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
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <signal.h>

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "common/pg_prng.h"
#include "launcher.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PGDLLEXPORT void wflog_launcher_main(Datum arg);

/* All in ms. */
#define SCAN_INTERVAL 60000		/* between looks at the list of databases */
#define STOPPED_PAUSE 1000		/* after somebody has stopped a process */
#define FIRST_PAUSE 1000		/* after a failure; then it doubles */
#define LONGEST_PAUSE 60000
#define RECOVERED 60000			/* a failure after so long is the first one */
#define PROCESS_PAUSE 10000		/* until the next try when there are too few processes */
#define PROBE_PATIENCE 10000	/* a probe may take so long */

/* Does a database have the extension? */
typedef enum HasExtension
{
	HAS_UNKNOWN,				/* to be probed */
	HAS_NOT,
	HAS
} HasExtension;

/* What is known of a database. */
typedef struct Database
{
	Oid			oid;			/* key */
	NameData	name;
	HasExtension has;
	bool		void_slot;		/* its slot must be taken back first */
	bool		told_no_slot;
	uint64		notices;		/* told of when something was last heard of it */
	uint32		scan;			/* in which it was last found */
	TimestampTz not_before;		/* of the next probe */
	int			failures;		/* of probes */
} Database;

/* A process that is, or should be. */
typedef struct Process
{
	BackgroundWorkerHandle *handle; /* NULL: none, or another launcher's */
	bool		was_there;		/* at the last look */
	TimestampTz started;
	TimestampTz not_before;		/* of the next start */
	int			failures;
	bool		lacking;		/* there was none to be had */
} Process;

static HTAB *databases;
static Process *processes;		/* by slot and kind */
static Process probe;
static uint32 scans = 0;
static TimestampTz now;
static TimestampTz wake_at;		/* when there is something to do at the latest */
static bool told_no_processes = false;

/* See to it that the loop does not sleep longer than that. */
static void
wake_by(TimestampTz time)
{
	wake_at = Min(wake_at, time);
}

/* When to try again after so many failures. */
static TimestampTz
after_failures(int failures)
{
	double		pause = FIRST_PAUSE;

	for (int i = 1; i < failures && pause < LONGEST_PAUSE; i++)
		pause *= 2;
	pause = Min(pause, LONGEST_PAUSE);
	pause *= 0.8 + 0.4 * pg_prng_double(&pg_global_prng_state);
	return TimestampTzPlusMilliseconds(now, (int64) pause);
}

/* The database with that OID, entered unless it is known. */
static Database *
know_database(Oid oid)
{
	bool		found;
	Database   *database = hash_search(databases, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(database, 0, sizeof(Database));
		database->oid = oid;
		database->scan = scans;
		snprintf(NameStr(database->name), NAMEDATALEN, "%u", oid);
	}
	return database;
}

/* Look at the list of databases.  Those that nobody may connect to are left out. */
static void
scan_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS all;
	Database   *database;

	scans++;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		/* -2: a DROP DATABASE was interrupted */
		if (!form->datallowconn || form->datconnlimit == -2)
			continue;
		database = know_database(form->oid);
		database->scan = scans;
		database->name = form->datname;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
		if (database->scan != scans && slot_of_database(database->oid) == NULL)
			(void) hash_search(databases, &database->oid, HASH_REMOVE, NULL);
}

/* Forget what is known of all databases, because something has been missed. */
static void
doubt_everything(void)
{
	HASH_SEQ_STATUS all;
	Database   *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		database->has = HAS_UNKNOWN;
		database->void_slot = slot_of_database(database->oid) != NULL;
		database->failures = 0;
		database->not_before = 0;
	}
}

/* Ask the processes of a slot to stop. */
static void
stop_processes(DatabaseSlot *slot, bool start_again_at_once)
{
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	for (int i = 0; i < wflog_control->slot_count; i++)
		for (int kind = 0; kind < WORKER_KINDS && slot_number(i) == slot; kind++)
			if (slot->pids[kind] != 0)
			{
				launcher_report(i, kind)->at_once |= start_again_at_once;
				kill(slot->pids[kind], SIGTERM);
			}
	LWLockRelease(wflog_control->lock);
}

/* Take in what has been committed since.  Returns whether databases have changed. */
static bool
hear_notices(void)
{
	Notice		notices[MAX_NOTICES];
	int			count;
	uint64		sequence;
	bool		lost;
	bool		scan;

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	count = launcher_area->notice_count;
	memcpy(notices, launcher_area->pending, count * sizeof(Notice));
	sequence = launcher_area->notices;
	lost = launcher_area->notices_lost;
	scan = launcher_area->scan;
	launcher_area->notice_count = 0;
	launcher_area->notices_lost = launcher_area->scan = false;
	LWLockRelease(wflog_control->lock);

	if (lost)
		doubt_everything();
	for (int i = 0; i < count; i++)
	{
		Notice	   *notice = &notices[i];
		Database   *database = know_database(notice->database);
		DatabaseSlot *slot = slot_of_database(notice->database);

		if (notice->dropped)
		{
			database->has = HAS_UNKNOWN;
			database->void_slot = slot != NULL;
		}
		if (notice->created)
			database->has = HAS;
		if (notice->dropped || notice->created)
		{
			database->notices = sequence;
			database->failures = 0;
			database->not_before = 0;
			for (int s = 0; s < wflog_control->slot_count && slot != NULL; s++)
				for (int kind = 0; kind < WORKER_KINDS && slot_number(s) == slot; kind++)
				{
					processes[s * WORKER_KINDS + kind].not_before = 0;
					processes[s * WORKER_KINDS + kind].failures = 0;
				}
		}
		if (notice->restart && slot != NULL)
			stop_processes(slot, true);
	}
	return lost || scan;
}

/* Say it once when processes are lacking, and when they are not any more. */
static void
tell_lack(void)
{
	bool		lacking = probe.lacking;

	for (int i = 0; i < wflog_control->slot_count * WORKER_KINDS; i++)
		lacking |= processes[i].lacking;
	if (lacking == told_no_processes)
		return;
	told_no_processes = lacking;
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	launcher_area->no_processes = lacking;
	LWLockRelease(wflog_control->lock);

	if (lacking)
	{
		HASH_SEQ_STATUS all;
		Database   *database;
		int			count = 0;

		hash_seq_init(&all, databases);
		while ((database = hash_seq_search(&all)) != NULL)
			if (database->has == HAS)
				count++;
		count = Min(count, wflog_control->slot_count);
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no free background process for wflog"),
				 errdetail("wflog needs one, and two more for each database that has it: %d for those known so far.",
						   1 + 2 * count),
				 errhint("Increase max_worker_processes, which is %d and counts also parallel and replication workers.",
						 max_worker_processes)));
	}
	else
		ereport(LOG, (errmsg("wflog has got the background processes it lacked")));
}

/* Start a process, or note that there is none to be had. */
static void
start_process(Process *process, const char *name, const char *function, const WorkerOrder *order)
{
	BackgroundWorker worker;
	MemoryContext context;

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s", name);
	snprintf(worker.bgw_type, BGW_MAXLEN, "%s", name);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "wflog");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "%s", function);
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, order, sizeof(WorkerOrder));

	context = MemoryContextSwitchTo(TopMemoryContext);
	if (!RegisterDynamicBackgroundWorker(&worker, &process->handle))
		process->handle = NULL;
	MemoryContextSwitchTo(context);
	process->started = now;
	process->lacking = process->handle == NULL;
	if (process->lacking)
		wake_by(process->not_before = TimestampTzPlusMilliseconds(now, PROCESS_PAUSE));
}

/* Has a process of ours ended?  If so, forget its handle. */
static bool
process_ended(Process *process)
{
	pid_t		pid;

	if (process->handle == NULL ||
		GetBackgroundWorkerPid(process->handle, &pid) != BGWH_STOPPED)
		return false;
	pfree(process->handle);
	process->handle = NULL;

	/* who lacks one may have it now */
	if (probe.lacking)
		probe.not_before = now;
	for (int i = 0; i < wflog_control->slot_count * WORKER_KINDS; i++)
		if (processes[i].lacking)
			processes[i].not_before = now;
	return true;
}

/*
 * Is it better to start nothing in a database now?  Not while it is parked,
 * nor before we have heard what was said last: a DROP DATABASE tells us of it
 * and then ends its park, perhaps after we have listened and before we look
 * here.  Who tells us something wakes us.  Under control->lock.
 */
static bool
must_not_start(Oid database)
{
	return is_parked(database) || launcher_area->scan || launcher_area->notices_lost ||
		launcher_area->notice_count > 0;
}

/* Decide what follows from the way in which a worker or keeper has ended. */
static void
judge_end(Database *database, Process *process, int slot, WorkerKind kind)
{
	WorkerReport report;

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	report = *launcher_report(slot, kind);
	launcher_report(slot, kind)->at_once = false;
	LWLockRelease(wflog_control->lock);

	switch (report.exit)
	{
		case EXIT_STOPPED:
		case EXIT_PARKED:
		case EXIT_FOUND:
			process->failures = 0;
			process->not_before = report.at_once || report.exit == EXIT_PARKED ? now :
				TimestampTzPlusMilliseconds(now, STOPPED_PAUSE);
			break;

		case EXIT_GONE:
			/* unless it has been created since */
			if (database->notices <= report.notices)
			{
				database->has = HAS_NOT;
				database->void_slot = true;
			}
			process->not_before = now;
			break;

		case EXIT_FAILED:
			if (TimestampDifferenceExceeds(process->started, now, RECOVERED))
				process->failures = 0;
			process->not_before = after_failures(++process->failures);
			break;
	}
}

/* Look after a slot: what has ended, what is to be stopped and to be started. */
static void
tend_slot(int number)
{
	static const char *const names[WORKER_KINDS] = {"wflog worker", "wflog keeper"};
	static const char *const functions[WORKER_KINDS] = {"wflog_worker_main", "wflog_keeper_main"};
	DatabaseSlot *slot = slot_number(number);
	Oid			oid = pg_atomic_read_u32(&slot->database);
	Database   *database;
	bool		there[WORKER_KINDS];
	bool		parked;
	bool		wanted;

	if (!OidIsValid(oid))
		return;
	database = know_database(oid);

	LWLockAcquire(wflog_control->lock, LW_SHARED);
	parked = must_not_start(oid);
	for (int kind = 0; kind < WORKER_KINDS; kind++)
		there[kind] = slot->pids[kind] != 0;
	LWLockRelease(wflog_control->lock);

	for (int kind = 0; kind < WORKER_KINDS; kind++)
	{
		Process    *process = &processes[number * WORKER_KINDS + kind];

		if (process_ended(process) || (process->handle == NULL && process->was_there && !there[kind]))
			judge_end(database, process, number, kind);
		process->was_there = there[kind];
		if (process->handle != NULL)
			there[kind] = true;
	}

	/* a slot found at the start of a launcher is somebody's for good reason */
	if (database->has == HAS_UNKNOWN && !database->void_slot)
		database->has = HAS;
	wanted = database->has == HAS && !database->void_slot && database->scan == scans;
	if (!wanted)
	{
		if (there[KIND_WORKER] || there[KIND_KEEPER])
			stop_processes(slot, false);
		else
		{
			slot_release(slot);
			database->void_slot = false;
			memset(&processes[number * WORKER_KINDS], 0, WORKER_KINDS * sizeof(Process));
		}
		return;
	}

	for (int kind = 0; kind < WORKER_KINDS && !parked; kind++)
	{
		Process    *process = &processes[number * WORKER_KINDS + kind];
		WorkerOrder order = {.slot = number,.database = oid,
		.generation = pg_atomic_read_u32(&slot->generation)};

		if (there[kind])
			continue;
		if (process->not_before > now)
		{
			wake_by(process->not_before);
			continue;
		}
		LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
		memset(launcher_report(number, kind), 0, sizeof(WorkerReport));
		LWLockRelease(wflog_control->lock);
		start_process(process, names[kind], functions[kind], &order);
	}
}

/* Learn from the probe, and send it on. */
static void
tend_probe(void)
{
	HASH_SEQ_STATUS all;
	Database   *database;
	bool		lacking = probe.lacking;

	if (probe.handle != NULL)
	{
		WorkerReport report;

		if (!process_ended(&probe))
		{
			TimestampTz end = TimestampTzPlusMilliseconds(probe.started, PROBE_PATIENCE);

			if (end <= now)
				TerminateBackgroundWorker(probe.handle);
			else
				wake_by(end);
			return;
		}

		LWLockAcquire(wflog_control->lock, LW_SHARED);
		report = launcher_area->probe;
		database = hash_search(databases, &launcher_area->probe_database, HASH_FIND, NULL);
		LWLockRelease(wflog_control->lock);
		if (database != NULL && database->has == HAS_UNKNOWN)
		{
			if (report.exit == EXIT_FOUND)
			{
				database->has = HAS;
				wake_by(now);	/* to give it a slot */
			}
			else if (report.exit == EXIT_GONE && database->notices <= report.notices)
				database->has = HAS_NOT;
			else if (report.exit == EXIT_FAILED)
				database->not_before = after_failures(++database->failures);
			else if (report.exit == EXIT_STOPPED)
				database->not_before = TimestampTzPlusMilliseconds(now, 100);
		}
	}

	/* nobody may need a probe any more */
	probe.lacking = false;
	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		WorkerOrder order = {.slot = -1,.database = database->oid};
		bool		parked;

		if (database->has != HAS_UNKNOWN || database->scan != scans)
			continue;
		if (Max(database->not_before, probe.not_before) > now)
		{
			wake_by(Max(database->not_before, probe.not_before));
			probe.lacking = lacking;
			continue;
		}
		LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
		parked = must_not_start(database->oid);
		if (!parked)
		{
			launcher_area->probe_database = database->oid;
			memset(&launcher_area->probe, 0, sizeof(WorkerReport));
		}
		LWLockRelease(wflog_control->lock);
		if (!parked)
		{
			start_process(&probe, "wflog probe", "wflog_probe_main", &order);
			hash_seq_term(&all);
			break;
		}
	}
}

/* Give slots to the databases that should have one. */
static void
give_slots(void)
{
	HASH_SEQ_STATUS all;
	Database   *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (database->has != HAS || database->void_slot || database->scan != scans)
			continue;
		if (slot_of_database(database->oid) != NULL)
			continue;
		if (slot_assign(database->oid) != NULL)
		{
			database->told_no_slot = false;
			wake_by(now);		/* to tend it */
		}
		else if (!database->told_no_slot)
		{
			database->told_no_slot = true;
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no slot left for wflog in database \"%s\"", NameStr(database->name)),
					 errdetail("Logs are not notified or rolled up there, and maintenance does not run by itself."),
					 errhint("Increase wflog.max_databases, which is %d.", wflog_control->slot_count)));
		}
	}
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
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(Database)};
	TimestampTz next_scan = 0;

	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "wflog launcher", PGC_USERSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);

	databases = hash_create("wflog databases", 32, &control, HASH_ELEM | HASH_BLOBS);
	processes = MemoryContextAllocZero(TopMemoryContext, wflog_control->slot_count *
									   WORKER_KINDS * sizeof(Process));
	launcher_enters();

	while (!ShutdownRequestPending)
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		now = GetCurrentTimestamp();
		wake_at = DT_NOEND;
		if (hear_notices() || next_scan <= now)
		{
			scan_databases();
			next_scan = TimestampTzPlusMilliseconds(now, SCAN_INTERVAL);
		}
		wake_by(next_scan);
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
