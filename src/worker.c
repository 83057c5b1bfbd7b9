/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker's loop: when there is a round.
 *
 * Commits of what somebody has asked for wake the worker.  When it is idle, a
 * round begins at once.  Under load it pauses after a round in proportion to
 * the processor time it took, and gathers in the meantime.  That it was made to
 * wait for a processor is no reason to let others wait.  What counts most is
 * the waking of listeners: each round that sends anything wakes all there are
 * in the database, whatever they listen on.
 *
 * What nobody has asked for does not wake it.  The queue is looked at once a
 * second, for the keeper's sake.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <time.h>

#include "bgworker.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "worker.h"

/*
 * Pause after a round: so many times what telling took, and what waking the
 * listeners took; each at most so many microseconds.  What a listener takes to
 * find that there is nothing for it we cannot know, but it is many times what
 * we take to wake it.
 *
 * Telling takes more for a log of a small batch.  So where there is always
 * much to tell, the pause is longer: by so many microseconds times the square of
 * the logs of the last round or the one before it, whichever had fewer.  By that
 * a few logs make next to no difference, and the backlog of a moment makes none.
 */
#define TELL_FACTOR 1
#define TELL_MAX 2000
#define LOGS_FACTOR 3
#define LOGS_MAX 100
#define WAKE_FACTOR 10
#define WAKE_MAX 20000

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
bool
worker_has_missed(Worker *worker)
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
	return queued || worker->watched_count > 0 || worker->old_channels != NIL ||
		worker_has_missed(worker);
}

/* Processor time that this process has taken, in microseconds. */
int64
processor_time(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0)
		return 0;
	return (int64) time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* Let a while pass since the last round, in which more may come. */
static void
gather(Worker *worker, TimestampTz ended)
{
	int64		logs = Min(Min(worker->round_logs, worker->logs_before), LOGS_MAX);
	int64		pause = Min(worker->tell_time * TELL_FACTOR + logs * logs * LOGS_FACTOR, TELL_MAX) +
		Min(worker->wake_time * WAKE_FACTOR, WAKE_MAX);
	int64		passed = GetCurrentTimestamp() - ended;

	if (passed >= 0 && passed < pause)
		pg_usleep(pause - passed);
}

/* A round; and how long the next one may be gathered for. */
static void
do_round(Worker *worker)
{
	int64		began = processor_time();

	/* from here on commits wake us again, or the snapshot shows them */
	pg_atomic_write_u32(&worker->slot->worker_sleeps, 1);
	pg_memory_barrier();
	worker->logs_before = worker->round_logs;
	worker_round(worker);
	worker->tell_time = processor_time() - began - worker->wake_time;
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
	TimestampTz ended = 0;
	TimestampTz retired = GetCurrentTimestamp();
	bool		wanted = true;

	/* our transactions change nothing that has to be durable */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	asked_set_scope(slot, wflog_notify_scope == WFLOG_SCOPE_ALL);
	for (;;)
	{
		/* there will be a round: commits need not wake us before its snapshot */
		if (wanted)
			pg_atomic_write_u32(&slot->worker_sleeps, 0);

		/* whoever sets the latch from here on, the wait below returns at once */
		ResetLatch(MyLatch);
		if (bgworker_check())
		{
			/* what has been committed before is told in the scope of before */
			do_round(worker);
			asked_set_scope(slot, wflog_notify_scope == WFLOG_SCOPE_ALL);
			wanted = true;
		}
		if (wanted || has_work(worker))
		{
			gather(worker, ended);
			do_round(worker);
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
							worker_has_missed(worker) ? RETRY_INTERVAL_MS : LOOK_INTERVAL_MS,
							WFLOG_WAIT_EVENT("WflogWorkerMain")) & WL_LATCH_SET) != 0;
	}
}
