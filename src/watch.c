/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  The worker's hints: which transactions are over, and which to watch.
 *
 * An entry of the queue is pushed before its transaction commits, so the
 * worker may read it before, or the transaction may be prepared and stay so
 * for days.  Those entries leave the ring, which is for everybody, and wait
 * here.  A snapshot tells when their transaction is over; whether it committed
 * is of no interest, since an aborted one's logs are not there.
 *
 * A transaction is "unknown" when its entries may have been lost or never
 * been made.  When it is over, the table is asked about it, for everything
 * that somebody has asked for.  When entries are lost, all ids that have been
 * handed out by then count as unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "utils/memutils.h"
#include "worker.h"

/* Add a hint to a list, which grows in the current memory context. */
void
hint_add(HintList *list, const Hint *hint)
{
	if (list->count == list->room)
	{
		list->room = Max(64, list->room * 2);
		list->hints = list->hints ?
			repalloc_huge(list->hints, sizeof(Hint) * list->room) :
			palloc(sizeof(Hint) * list->room);
	}
	list->hints[list->count++] = *hint;
}

/* Note a transaction that is over and whose hints are lost; status: not only of logs. */
static void
add_unknown(Worker *worker, uint64 xact, bool status)
{
	if (status)
		worker->status_unknown = true;
	worker->unknown = worker->unknown ?
		repalloc(worker->unknown, sizeof(uint64) * (worker->unknown_count + 1)) :
		palloc(sizeof(uint64));
	worker->unknown[worker->unknown_count++] = xact;
}

/* Watch a transaction. */
static Watched *
watch(Worker *worker, uint64 xact)
{
	Watched    *watched;

	for (int i = worker->watched_count - 1; i >= 0; i--)
		if (worker->watched[i].xact == xact)
			return &worker->watched[i];

	if (worker->watched_count == worker->watched_room)
	{
		worker->watched_room = Max(64, worker->watched_room * 2);
		worker->watched = worker->watched ?
			repalloc(worker->watched, sizeof(Watched) * worker->watched_room) :
			MemoryContextAlloc(worker->context, sizeof(Watched) * worker->watched_room);
	}
	watched = &worker->watched[worker->watched_count++];
	memset(watched, 0, sizeof(*watched));
	watched->xact = xact;
	return watched;
}

/* Keep a hint until its transaction is over. */
static void
keep_hint(Worker *worker, const Hint *hint)
{
	Watched    *watched = watch(worker, hint->xact);
	MemoryContext saved;
	Hint		kept = *hint;

	if (hint->kind == QUEUE_UNKNOWN)
	{
		watched->unknown = true;
		watched->unknown_status |= hint->leaf != 0;
		return;
	}
	if (watched->context == NULL)
		watched->context = AllocSetContextCreate(worker->context, "wflog watched transaction",
												 ALLOCSET_SMALL_SIZES);
	saved = MemoryContextSwitchTo(watched->context);
	if (hint->text_len > 0)
		kept.text = pnstrdup(hint->text, hint->text_len);
	hint_add(&watched->hints, &kept);
	MemoryContextSwitchTo(saved);
}

/* Take a hint whose transaction is over. */
static void
resolve_hint(Worker *worker, const Hint *hint)
{
	if (hint->kind == QUEUE_UNKNOWN)
		add_unknown(worker, hint->xact, hint->leaf != 0);
	else
		hint_add(&worker->resolved, hint);
}

/*
 * Sort what has been drained from the queue.  Texts of resolved hints stay in
 * the worker's buffer.
 */
void
watch_entries(Worker *worker, uint32 places)
{
	for (uint32 i = 0; i < places;)
	{
		QueueEntry *entry = &worker->buffer[i];
		Hint		hint;

		i += 1 + queue_text_places(entry);
		/* a transaction that has been asked about in the table already */
		if (xact_set_contains(&worker->told, entry->xact))
			continue;
		hint.xact = entry->xact;
		hint.hash = entry->hash;
		hint.pushed_at = entry->pushed_at;
		hint.leaf = entry->leaf;
		hint.kind = entry->kind;
		hint.async = entry->async;
		hint.text_len = entry->text_len;
		hint.text = (const char *) (entry + 1);
		if (xact_set_contains(&worker->now, entry->xact))
			resolve_hint(worker, &hint);
		else
			keep_hint(worker, &hint);
	}
}

/*
 * Watch those transactions that are still open and whose hints may have been
 * lost.  A snapshot does not name all of them: those with ids from its xmax on
 * it does not know.  So this goes on until the snapshots have come that far.
 */
void
watch_unknown(Worker *worker)
{
	for (int i = 0; i < worker->now.count && worker->now.hidden[i] < worker->lost_below; i++)
	{
		Watched    *watched = watch(worker, worker->now.hidden[i]);

		watched->unknown = true;
		watched->unknown_status |= worker->lost_status;
	}
}

/* Resolve what is over by now. */
void
watch_resolve(Worker *worker)
{
	for (int i = worker->watched_count - 1; i >= 0; i--)
	{
		Watched    *watched = &worker->watched[i];

		if (!xact_set_contains(&worker->now, watched->xact))
			continue;
		if (watched->unknown)
			add_unknown(worker, watched->xact, watched->unknown_status);
		for (int j = 0; j < watched->hints.count; j++)
		{
			Hint		hint = watched->hints.hints[j];

			if (hint.text_len > 0)
				hint.text = pnstrdup(hint.text, hint.text_len);
			hint_add(&worker->resolved, &hint);
		}
		if (watched->context)
			MemoryContextDelete(watched->context);
		*watched = worker->watched[--worker->watched_count];
	}
}
