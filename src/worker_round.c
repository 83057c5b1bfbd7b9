/*-------------------------------------------------------------------------
 *
 * worker_round.c
 *	  A round of the worker: from the commit queue to notifications.
 *
 * The worker reads every stream that somebody has asked for, all at once: it
 * takes a snapshot, and what that shows and the last round's did not is the
 * next batch of each.  Membership is decided by the snapshots, as in tail(),
 * so it does not matter in which order transactions commit.  The commit queue
 * only tells where to look.
 *
 * The order within a round is what makes it right.
 *
 * 1. The snapshot, then the queue.  Entries are pushed before the commit, so
 *	  all transactions that the snapshot shows have theirs in the queue by now.
 *	  If hints have been lost (the flag is taken together with the entries), all
 *	  ids handed out until then are suspect, and a new snapshot is taken.
 * 2. What has been asked for, then the publication of the batch, which is
 *	  refused if something has been asked for in between.  So who asks later
 *	  hears of a published batch that covers what he is not going to be told.
 * 3. The publication, then the commit of the notifications.  Who begins to
 *	  listen between the two does not get them, but tail() will tell him that
 *	  its rows cover the batch.
 *
 * When the worker ends in a round, the published batch shows whether its
 * notifications may have been lost; then the next worker tells everybody to
 * read the table.  Otherwise it goes on from the published set.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "fault.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker.h"

/* Begin a transaction of the round, with its snapshot. */
static void
begin_transaction(Worker *worker)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(worker->round_context);
	worker->shown = xact_set_from_snapshot(GetActiveSnapshot());
	notify_begin_part(worker);
}

/* When the transaction at hand had committed, in processor time. */
static int64 committed_at;

/* Transaction callback: what comes after it is waking listeners. */
static void
note_commit(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		committed_at = processor_time();
}

/* Commit it. */
static void
end_transaction(Worker *worker)
{
	static bool registered = false;
	bool		notifies;
	TimestampTz now;

	if (!registered)
		RegisterXactCallback(note_commit, NULL);
	registered = true;

	if (worker->scan)
		stream_scan_end(worker->scan);
	worker->scan = NULL;
	notify_end_part(worker);
	notifies = worker->part_count > 0;
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (notifies)
		worker->wake_time += processor_time() - committed_at;
	MemoryContextSwitchTo(worker->round_context);

	now = GetCurrentTimestamp();
	for (int i = 0; i < worker->lag_count; i++)
		stat_lag(worker->slot, worker->lags[i].pushed_at, now, worker->lags[i].logs);
	worker->lag_count = 0;
}

/*
 * Go on in another transaction, because this one's notifications are enough.
 * It has another snapshot, but what is told stays what the round's shows.
 */
void
worker_next_transaction(Worker *worker)
{
	end_transaction(worker);
	CHECK_FOR_INTERRUPTS();
	begin_transaction(worker);
}

/* Take a newer snapshot. */
static void
renew_snapshot(Worker *worker)
{
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	worker->shown = xact_set_from_snapshot(GetActiveSnapshot());
}

/* Remember what has been told, beyond the round. */
static void
set_told(Worker *worker, const XactSet *set)
{
	MemoryContext saved = MemoryContextSwitchTo(worker->context);
	uint64	   *old = worker->told.hidden;

	worker->told = xact_set_copy(set);
	if (old)
		pfree(old);
	MemoryContextSwitchTo(saved);
}

/* The next id to be handed out: all transactions that have written have lower ones. */
static uint64
next_xact(void)
{
	return U64FromFullTransactionId(ReadNextFullTransactionId());
}

/* Note that hints of any transaction so far may have been lost; status: not only of logs. */
static void
hints_are_lost(Worker *worker, bool status)
{
	worker->lost_status = status || (worker->lost && worker->lost_status);
	worker->lost = true;
	worker->lost_below = next_xact();
}

/* Milliseconds since 1970: an epoch is later than those of servers before. */
static uint64
present_epoch(void)
{
	return (GetCurrentTimestamp() +
			(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000;
}

/*
 * Begin to notify.  If the worker before came to the end of its batch, go on
 * from there: hints may have gone with it, the table has not.  Otherwise begin
 * at the present snapshot, and tell everybody that he has missed something.
 */
static void
begin_notifying(Worker *worker)
{
	DatabaseSlot *slot = worker->slot;
	XactSet		published;
	bool		known = published_batch(slot, &worker->epoch, &worker->number, &published);

	worker->resumed = known && slot->committed == worker->number && !worker->begun;
	if (worker->resumed)
		set_told(worker, &published);
	else
	{
		if (!known)
			worker->epoch = present_epoch();
		worker->number++;
		worker->all_missed = true;
		/* the key may have been made, by a transaction that is not over */
		renew_snapshot(worker);
		set_told(worker, &worker->shown);
	}
	worker->base = worker->number;
	hints_are_lost(worker, true);
	worker->notifying = true;
	pg_atomic_write_u32(&slot->notify_on, 1);
}

/* Take what the settings say, and begin if this is the first round. */
static void
begin_round(Worker *worker)
{
	bool		wanted = wflog_notify == WFLOG_NOTIFY_ON;

	if (wanted && !worker->notifying)
		begin_notifying(worker);
	else if (!wanted)
	{
		pg_atomic_write_u32(&worker->slot->notify_on, 0);
		worker->notifying = false;
	}
	if (!worker->begun)
	{
		if (!wanted)
			set_told(worker, &worker->shown);
		activity_set_floor(worker->slot, next_xact() - 1);
		worker->begun = true;
	}
}

/* Fold hints for the keeper, of all that is over. */
static void
pass_on_hints(Worker *worker)
{
	const Hint *last = NULL;

	for (int i = 0; i < worker->resolved.count; i++)
	{
		const Hint *hint = &worker->resolved.hints[i];

		if (hint->kind != QUEUE_LOGS ||
			(last && last->hash == hint->hash && last->leaf == hint->leaf))
			continue;
		fold_hint(worker->slot, hint->hash, hint->leaf, hint->pushed_at);
		last = hint;
	}
}

/*
 * Take the hints.  Those of transactions that the snapshot shows, and that
 * have not been told of, are resolved.
 */
static void
take_hints(Worker *worker)
{
	bool		overflow;
	bool		status;
	uint32		places;

	FAULT_POINT("round-snapshot");
	places = queue_drain(worker->slot, worker->buffer, &overflow, &status);
	FAULT_POINT("round-drained");

	if (overflow)
	{
		hints_are_lost(worker, status);
		renew_snapshot(worker);
		FAULT_POINT("round-renewed");
	}
	worker->now = worker->shown;
	worker->catch_up = worker->lost;
	worker->status_unknown = worker->lost && worker->lost_status;
	if (worker->lost)
	{
		watch_unknown(worker);
		worker->lost = worker->now.xmax < worker->lost_below;
	}
	watch_entries(worker, places);
	watch_resolve(worker);
	pass_on_hints(worker);
}

/* Publish the batch, for what has been asked for by now. */
static void
publish(Worker *worker)
{
	uint64		last = worker->number;

	for (;;)
	{
		worker->number = last;
		subjects_sync(worker);
		if (worker->all_missed)
			subjects_all_resync(worker);
		if (tell_is_needed(worker))
			worker->number++;
		FAULT_POINT("round-publish");
		if (publish_batch(worker->slot, worker->epoch, worker->number, &worker->now,
						  worker->asked_version))
			break;
		if (!slot_is_mine(worker->slot))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the slot of database %u has been given to another one", MyDatabaseId)));
		CHECK_FOR_INTERRUPTS();
	}
	FAULT_POINT("round-published");
	worker->all_missed = false;
	if (worker->number != last)
		tell_round(worker);
}

/* Count the round. */
static void
count_round(Worker *worker)
{
	SlotStats  *stats = &worker->slot->stats;

	SpinLockAcquire(&stats->mutex);
	stats->logs_notified += worker->round_logs;
	stats->notifications += worker->round_count;
	if (worker->round_count > 0)
		stats->batches++;
	if (!worker->sending)
		stats->skipped++;
	SpinLockRelease(&stats->mutex);
}

/* Give back the memory of a round, and forget what is in it. */
static void
forget_round(Worker *worker)
{
	MemoryContextReset(worker->round_context);
	memset(&worker->resolved, 0, sizeof(worker->resolved));
	memset(&worker->now, 0, sizeof(worker->now));
	memset(&worker->shown, 0, sizeof(worker->shown));
	worker->unknown = NULL;
	worker->unknown_count = 0;
	worker->told_channels = NIL;
}

/*
 * A round.  The caller has let commits wake us, and reset the latch, before.
 * An error ends the worker's loop, which then begins anew.
 */
void
worker_round(Worker *worker)
{
	worker->round++;
	worker->round_count = 0;
	worker->round_logs = 0;
	worker->wake_time = 0;

	begin_transaction(worker);
	begin_round(worker);
	take_hints(worker);
	if (worker->notifying)
		publish(worker);
	end_transaction(worker);
	FAULT_POINT("round-committed");

	subjects_forget_old_channels(worker);
	/* as long as somebody has yet to be told that he has missed something, a next worker must know */
	if (worker->notifying)
		publish_committed(worker->slot, worker_has_missed(worker) ? 0 : worker->number);
	set_told(worker, &worker->now);
	if (worker->round_count > 0 || !worker->sending)
		count_round(worker);
	/* the worker may now sleep for long: not with the memory of a great batch */
	forget_round(worker);
}
