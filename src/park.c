/*-------------------------------------------------------------------------
 *
 * park.c
 *	  Keeping our processes out of a database, and telling the launcher what
 *	  has been committed.
 *
 * A process connected to a database is in the way of DROP DATABASE and its
 * like.  Who runs such a statement parks the database: it enters a park, asks
 * the processes that are there to stop, and waits until they are gone.  A
 * process enters itself before it connects, and not if there is a park, so
 * that none slips in.  The park ends with the transaction, whatever its fate,
 * and the launcher starts the processes again.
 *
 * No lock is held while waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <signal.h>

#include "launcher.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/wait_event.h"

/* How long to wait for our processes to go, in ms; then the statement may fail. */
#define PATIENCE_MS 10000

LauncherArea *launcher_area = NULL;

static int	my_parks = 0;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
area_size(void)
{
	return add_size(offsetof(LauncherArea, reports),
					mul_size(mul_size(wflog_max_databases, WORKER_KINDS), sizeof(WorkerReport)));
}

/* shmem_request_hook */
static void
request_area(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(area_size());
}

/* shmem_startup_hook: make the area, or find it. */
static void
startup_area(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	launcher_area = ShmemInitStruct("wflog launcher", area_size(), &found);
	if (!found)
	{
		memset(launcher_area, 0, area_size());
		ConditionVariableInit(&launcher_area->left);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Ask for shared memory.  To be called from _PG_init() when preloading. */
void
wflog_park_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_area;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_area;
}

/* Where a worker or keeper leaves word of its end.  Under control->lock. */
WorkerReport *
launcher_report(int slot, WorkerKind kind)
{
	return &launcher_area->reports[slot * WORKER_KINDS + kind];
}

/* Is the database parked, by whomever?  Under control->lock. */
bool
is_parked(Oid database)
{
	for (int i = 0; i < launcher_area->park_count; i++)
		if (launcher_area->parks[i].database == database)
			return true;
	return false;
}

/*
 * Ask our processes in a database to stop, or only count them.  Under
 * control->lock, exclusively if to stop; so the ids are still theirs.
 */
static int
processes_in(Oid database, bool stop)
{
	int			count = 0;

	for (int i = 0; i < wflog_control->slot_count; i++)
	{
		DatabaseSlot *slot = slot_number(i);

		if (pg_atomic_read_u32(&slot->database) != database)
			continue;
		for (int kind = 0; kind < WORKER_KINDS; kind++)
			if (slot->pids[kind] != 0)
			{
				count++;
				if (stop)
				{
					launcher_report(i, kind)->at_once = true;
					kill(slot->pids[kind], SIGTERM);
				}
			}
	}
	if (launcher_area->probe_pid != 0 && launcher_area->probe_database == database)
	{
		count++;
		if (stop)
			kill(launcher_area->probe_pid, SIGTERM);
	}
	return count;
}

/* Wake the launcher, if there is one.  Under control->lock. */
static void
wake_launcher(void)
{
	if (wflog_control->launcher_latch != NULL)
		SetLatch(wflog_control->launcher_latch);
}

/*
 * Keep our processes out of a database until the transaction at hand ends.
 * Waits for those that are there to go; can be interrupted, and gives up after
 * a while.
 */
void
park_database(Oid database)
{
	bool		have = false;
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	for (int i = 0; i < launcher_area->park_count; i++)
		if (launcher_area->parks[i].database == database && launcher_area->parks[i].pid == MyProcPid)
			have = true;
	if (!have && launcher_area->park_count < MAX_PARKS)
	{
		launcher_area->parks[launcher_area->park_count].database = database;
		launcher_area->parks[launcher_area->park_count].pid = MyProcPid;
		launcher_area->park_count++;
		my_parks++;
	}
	(void) processes_in(database, true);
	LWLockRelease(wflog_control->lock);

	ConditionVariablePrepareToSleep(&launcher_area->left);
	for (;;)
	{
		int			count;

		LWLockAcquire(wflog_control->lock, LW_SHARED);
		count = processes_in(database, false);
		LWLockRelease(wflog_control->lock);
		if (count == 0 || GetCurrentTimestamp() >= give_up)
			break;
		(void) ConditionVariableTimedSleep(&launcher_area->left, 100, WFLOG_WAIT_EVENT("WflogPark"));
	}
	ConditionVariableCancelSleep();
}

/* Has this process parked anything? */
bool
holds_parks(void)
{
	return my_parks > 0;
}

/* End the parks of this process.  Cannot fail. */
void
release_parks(void)
{
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	for (int i = launcher_area->park_count - 1; i >= 0; i--)
		if (launcher_area->parks[i].pid == MyProcPid)
			launcher_area->parks[i] = launcher_area->parks[--launcher_area->park_count];
	my_parks = 0;
	wake_launcher();
	LWLockRelease(wflog_control->lock);
}

/* End of a session that has restored something. */
static void
restore_ends(int code, Datum arg)
{
	LauncherArea *area = launcher_area;

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	for (int i = area->restore_count - 1; i >= 0; i--)
		if (area->restores[i].pid == MyProcPid)
			area->restores[i] = area->restores[--area->restore_count];
	LWLockRelease(wflog_control->lock);
}

/* Note that this session restores a dump, and goes on doing so until it ends. */
void
note_restore(void)
{
	static bool noted = false;
	LauncherArea *area = launcher_area;

	if (noted)
		return;
	on_shmem_exit(restore_ends, (Datum) 0);
	noted = true;
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	if (area->restore_count < MAX_RESTORES)
	{
		area->restores[area->restore_count].database = MyDatabaseId;
		area->restores[area->restore_count].pid = MyProcPid;
		area->restore_count++;
	}
	LWLockRelease(wflog_control->lock);
}

/* Is there a session that has been noted to restore the database? */
bool
restore_runs(Oid database)
{
	bool		runs = false;

	LWLockAcquire(wflog_control->lock, LW_SHARED);
	for (int i = 0; i < launcher_area->restore_count; i++)
		runs |= launcher_area->restores[i].database == database;
	LWLockRelease(wflog_control->lock);
	return runs;
}

/*
 * Tell the launcher what has been committed.  notice may be NULL, or have
 * nothing set; scan: databases have changed.  Notices of one database add up.
 * Cannot fail.
 */
void
notify_launcher(const Notice *notice, bool scan)
{
	LauncherArea *area = launcher_area;
	Notice	   *pending = NULL;

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	area->notices++;
	if (scan)
		area->scan = true;
	if (notice != NULL)
	{
		for (int i = 0; i < area->notice_count; i++)
			if (area->pending[i].database == notice->database)
				pending = &area->pending[i];
		if (pending == NULL && area->notice_count < MAX_NOTICES)
		{
			pending = &area->pending[area->notice_count++];
			memset(pending, 0, sizeof(Notice));
			pending->database = notice->database;
		}
		if (pending == NULL)
			area->notices_lost = true;
		else
		{
			if (notice->dropped)
			{
				pending->dropped = true;
				pending->created = false;
			}
			if (notice->created)
				pending->created = true;
			if (notice->restart)
				pending->restart = true;
		}
	}
	wake_launcher();
	LWLockRelease(wflog_control->lock);
}
