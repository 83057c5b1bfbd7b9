/*-------------------------------------------------------------------------
 *
 * launcher_processes.c
 *	  The processes that the launcher starts: a worker and a keeper in each
 *	  slot, and the probe; and what follows when one ends.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <signal.h>

#include "common/pg_prng.h"
#include "launcher_parts.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* All in ms. */
#define STOPPED_PAUSE 1000		/* after somebody has stopped a process */
#define FIRST_PAUSE 1000		/* after a failure; then it doubles */
#define LONGEST_PAUSE 60000
#define RECOVERED 60000			/* a failure after so long is the first one */
#define PROCESS_PAUSE 10000		/* until the next try when there are too few processes */
#define PROBE_PATIENCE 10000	/* a probe may take so long */

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

static Process *processes;		/* by slot and kind */
static Process probe;
static bool told_no_processes = false;

/* Begin with none. */
void
launcher_processes_init(void)
{
	processes = MemoryContextAllocZero(TopMemoryContext, wflog_control->slot_count *
									   WORKER_KINDS * sizeof(Process));
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
	return TimestampTzPlusMilliseconds(launcher_now, (int64) pause);
}

/* Ask the processes of a slot to stop. */
void
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

/* What has failed in a slot may be tried again. */
void
forget_failures(DatabaseSlot *slot)
{
	for (int i = 0; i < wflog_control->slot_count; i++)
		for (int kind = 0; kind < WORKER_KINDS && slot_number(i) == slot; kind++)
		{
			processes[i * WORKER_KINDS + kind].not_before = 0;
			processes[i * WORKER_KINDS + kind].failures = 0;
		}
}

/* Say it once when processes are lacking, and when they are not any more. */
void
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

		hash_seq_init(&all, launcher_databases);
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
	process->started = launcher_now;
	process->lacking = process->handle == NULL;
	if (process->lacking)
		launcher_wake_by(process->not_before = TimestampTzPlusMilliseconds(launcher_now, PROCESS_PAUSE));
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
		probe.not_before = launcher_now;
	for (int i = 0; i < wflog_control->slot_count * WORKER_KINDS; i++)
		if (processes[i].lacking)
			processes[i].not_before = launcher_now;
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
			process->not_before = report.at_once || report.exit == EXIT_PARKED ? launcher_now :
				TimestampTzPlusMilliseconds(launcher_now, STOPPED_PAUSE);
			break;

		case EXIT_GONE:
			/* unless it has been created since */
			if (database->notices <= report.notices)
			{
				database->has = HAS_NOT;
				database->void_slot = true;
			}
			process->not_before = launcher_now;
			break;

		case EXIT_FAILED:
			if (TimestampDifferenceExceeds(process->started, launcher_now, RECOVERED))
				process->failures = 0;
			process->not_before = after_failures(++process->failures);
			break;
	}
}

/* Look after a slot: what has ended, what is to be stopped and to be started. */
void
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
	wanted = database->has == HAS && !database->void_slot && database->scan == launcher_scans;
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
		if (process->not_before > launcher_now)
		{
			launcher_wake_by(process->not_before);
			continue;
		}
		LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
		memset(launcher_report(number, kind), 0, sizeof(WorkerReport));
		LWLockRelease(wflog_control->lock);
		start_process(process, names[kind], functions[kind], &order);
	}
}

/* Learn from the probe, and send it on. */
void
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

			if (end <= launcher_now)
				TerminateBackgroundWorker(probe.handle);
			else
				launcher_wake_by(end);
			return;
		}

		LWLockAcquire(wflog_control->lock, LW_SHARED);
		report = launcher_area->probe;
		database = hash_search(launcher_databases, &launcher_area->probe_database, HASH_FIND, NULL);
		LWLockRelease(wflog_control->lock);
		if (database != NULL && database->has == HAS_UNKNOWN)
		{
			if (report.exit == EXIT_FOUND)
			{
				database->has = HAS;
				launcher_wake_by(launcher_now);	/* to give it a slot */
			}
			else if (report.exit == EXIT_GONE && database->notices <= report.notices)
				database->has = HAS_NOT;
			else if (report.exit == EXIT_FAILED)
				database->not_before = after_failures(++database->failures);
			else if (report.exit == EXIT_STOPPED)
				database->not_before = TimestampTzPlusMilliseconds(launcher_now, 100);
		}
	}

	/* nobody may need a probe any more */
	probe.lacking = false;
	hash_seq_init(&all, launcher_databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		WorkerOrder order = {.slot = -1,.database = database->oid};
		bool		parked;

		if (database->has != HAS_UNKNOWN || database->scan != launcher_scans)
			continue;
		if (Max(database->not_before, probe.not_before) > launcher_now)
		{
			launcher_wake_by(Max(database->not_before, probe.not_before));
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
