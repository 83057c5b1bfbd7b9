/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker's loop: when there is a round.
 *
 * Commits of what somebody has asked for wake the worker.  When it is idle, a
 * round begins at once.  A round costs the more the more listeners there are,
 * since each notification wakes them all, so under load the worker pauses
 * after a round in proportion to what it took, and gathers in the meantime.
 *
 * What nobody has asked for does not wake it.  The queue is looked at once a
 * second, for the keeper's sake.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "bgworker.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "worker.h"

/* Pause after a round, in its own lengths and at most in microseconds. */
#define GATHER_FACTOR 2
#define GATHER_MAX 2000

/* Look at the queue this often; and whether there is room to notify again. */
#define LOOK_INTERVAL_MS 1000
#define RETRY_INTERVAL_MS 100

#define RETIRE_INTERVAL_MS 60000

/* Make the worker's state, in the current memory context. */
static Worker *
make_worker(DatabaseSlot *slot)
{
	Worker	   *worker = palloc0(sizeof(Worker));

	worker->slot = slot;
	worker->context = CurrentMemoryContext;
	worker->round_context = AllocSetContextCreate(worker->context, "wflog round",
												  ALLOCSET_DEFAULT_SIZES);
	worker->row_context = AllocSetContextCreate(worker->context, "wflog log",
												ALLOCSET_DEFAULT_SIZES);
	worker->buffer = MemoryContextAllocHuge(worker->context,
											sizeof(QueueEntry) * wflog_control->queue_places);
	worker->sending = true;
	initStringInfo(&worker->head);
	initStringInfo(&worker->event_head);
	initStringInfo(&worker->payload);
	initStringInfo(&worker->cursor);
	initStringInfo(&worker->log);
	initStringInfo(&worker->batch);
	initStringInfo(&worker->event);
	cursor_maker_init(&worker->maker);
	subjects_init(worker);
	return worker;
}

/* Has somebody missed something, and can be told? */
static bool
has_missed(Worker *worker)
{
	return worker->resync &&
		(worker->subject_count > 0 || worker->asked_all != 0 || worker->gateway_asked);
}

/* Is there anything to do that nobody wakes us for? */
static bool
has_work(Worker *worker)
{
	DatabaseSlot *slot = worker->slot;
	bool		queued;

	LWLockAcquire(slot->queue_lock, LW_SHARED);
	queued = slot->queue_head != slot->queue_tail || slot->overflow;
	LWLockRelease(slot->queue_lock);
	return queued || worker->watched_count > 0 || worker->old_channels != NIL || has_missed(worker);
}

/* Let a while pass since the last round, in which more may come. */
static void
gather(TimestampTz began, TimestampTz ended)
{
	int64		pause = Min((ended - began) * GATHER_FACTOR, GATHER_MAX);
	int64		passed = GetCurrentTimestamp() - ended;

	if (passed >= 0 && passed < pause)
		pg_usleep(pause - passed);
}

/* Show in pg_stat_activity what we do. */
static void
report_activity(Worker *worker)
{
	static char shown[64];
	char		text[64];

	if (!worker->notifying)
		strlcpy(text, "not notifying", sizeof(text));
	else
		snprintf(text, sizeof(text), "notifying: %d asked for%s",
				 worker->subject_count - worker->unlisted_count,
				 worker->asked_all != 0 ? ", all" : "");
	if (strcmp(text, shown) == 0)
		return;
	strlcpy(shown, text, sizeof(shown));
	pgstat_report_activity(STATE_IDLE, text);
}

/*
 * The worker's work; does not return.  bgworker.c ends the process, and calls
 * it anew after an error.
 */
void
wflog_worker_loop(DatabaseSlot *slot)
{
	Worker	   *worker = make_worker(slot);
	TimestampTz began = 0;
	TimestampTz ended = 0;
	TimestampTz retired = GetCurrentTimestamp();
	bool		wanted = true;

	/* our transactions change nothing that has to be durable */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	asked_set_scope(slot, wflog_notify_scope == WFLOG_SCOPE_ALL);
	for (;;)
	{
		if (bgworker_check())
		{
			/* what has been committed before is told in the scope of before */
			worker_round(worker);
			asked_set_scope(slot, wflog_notify_scope == WFLOG_SCOPE_ALL);
			wanted = true;
		}
		if (wanted || has_work(worker))
		{
			pg_atomic_write_u32(&slot->worker_sleeps, 0);
			gather(began, ended);

			/* from here on commits wake us again, or the snapshot shows them */
			ResetLatch(MyLatch);
			pg_atomic_write_u32(&slot->worker_sleeps, 1);
			pg_memory_barrier();
			began = GetCurrentTimestamp();
			worker_round(worker);
			ended = GetCurrentTimestamp();
			report_activity(worker);
			pgstat_report_stat(false);
		}
		if (TimestampDifferenceExceeds(retired, ended, RETIRE_INTERVAL_MS))
		{
			subjects_retire(worker);
			retired = ended;
		}
		wanted = (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							has_missed(worker) ? RETRY_INTERVAL_MS : LOOK_INTERVAL_MS,
							WFLOG_WAIT_EVENT("WflogWorkerMain")) & WL_LATCH_SET) != 0;
	}
}
