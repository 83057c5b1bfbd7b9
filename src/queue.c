/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The commit queue: committing transactions tell the worker where to look.
 *
 * A transaction collects what it touches (touched.c).  Just before it commits
 * or is prepared, in a transaction callback, it puts that into the ring of its
 * database, and after the commit it wakes the worker if somebody has asked for
 * any of it.  So the entries are in the ring before the commit can be seen:
 * a worker that takes a snapshot first and then empties the ring has an entry
 * of every transaction that this snapshot shows and the last one did not.
 * docs/decisions/0009-commit-queue.md tells why entries are hints, and why no
 * callback decides what has happened to a transaction.
 *
 * Nothing can fail once the callback has begun: the entries are in memory, and
 * when the ring has no room for them it only notes that hints have been lost.
 * Nobody waits for the worker.
 *
 * queue_lock is held for copying entries in, and by the worker for a moment
 * before and after it copies them out: nobody writes between tail and head.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "fault.h"
#include "shared.h"
#include "touched.h"

NotifyFromTransaction notify_from_transaction = NULL;

/* The transaction's notes have been pushed; what comes later is pushed at once. */
static bool pushed = false;

/* Wake the worker after the commit in any case: the ring fills up. */
static bool wake_anyway = false;

/* Places of the ring that an entry's text takes. */
uint32
queue_text_places(const QueueEntry *entry)
{
	return (entry->text_len + sizeof(QueueEntry) - 1) / sizeof(QueueEntry);
}

/* Copy into the ring, which may wrap.  Under queue_lock, exclusively. */
static void
copy_in(DatabaseSlot *slot, const void *from, uint32 bytes)
{
	uint32		places = wflog_control->queue_places;
	QueueEntry *ring = slot_ring(slot);
	uint32		at = slot->queue_head % places;
	uint32		room = (places - at) * sizeof(QueueEntry);

	memcpy(&ring[at], from, Min(bytes, room));
	if (bytes > room)
		memcpy(ring, (const char *) from + room, bytes - room);
	slot->queue_head += (bytes + sizeof(QueueEntry) - 1) / sizeof(QueueEntry);
}

/*
 * Put notes from the given one on into the ring, or note that they are lost.
 * Cannot fail.
 */
static void
push(DatabaseSlot *slot, const TouchedSet *set, int from)
{
	QueueEntry	entry = {0};
	uint32		need = touched_places(set, from);
	uint64		used;

	entry.xact = set->xact;
	entry.pushed_at = GetCurrentTimestamp();
	entry.async = synchronous_commit == SYNCHRONOUS_COMMIT_OFF;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	if (!slot_is_mine(slot))
	{
		LWLockRelease(slot->queue_lock);
		return;
	}
	used = slot->queue_head - slot->queue_tail;
	if (need > wflog_control->queue_places - used)
	{
		slot->overflow = true;
		for (int i = from; i < set->count; i++)
			if (set->notes[i].kind != QUEUE_LOGS &&
				(set->notes[i].kind != QUEUE_UNKNOWN || set->notes[i].leaf != 0))
				slot->overflow_status = true;
		slot->stats.overflows++;
		wake_anyway = true;
	}
	else
	{
		for (int i = from; i < set->count; i++)
		{
			const TouchedNote *note = &set->notes[i];

			entry.kind = note->kind;
			entry.leaf = note->leaf;
			entry.hash = note->hash;
			entry.text_len = note->text_len;
			copy_in(slot, &entry, sizeof(entry));
			if (note->text_len > 0)
				copy_in(slot, set->texts + note->text, note->text_len);
		}
		used += need;
		if (used > slot->stats.queue_high_water)
			slot->stats.queue_high_water = used;
		if (used > wflog_control->queue_places / 2)
			wake_anyway = true;
	}
	LWLockRelease(slot->queue_lock);
}

/*
 * Add a note.  If the transaction's notes are in the ring already, for another
 * module writes in a callback after ours, it follows them there at once.
 */
static void
note(DatabaseSlot *slot, uint64 xact, QueueKind kind, Oid leaf, int64 hash, const char *text,
	 int len)
{
	int			added;

	touched_begin(&touched, xact);
	added = touched_add(&touched, kind, leaf, hash, text, len);
	if (unlikely(pushed && added >= 0))
		push(slot, &touched, added);
}

/*
 * Note that the transaction writes a log.  Called for every row, so the first
 * thing is to see that it is as the last one.
 */
void
queue_note_logs(Oid leaf, int64 hash, FullTransactionId xact, const char *id, int len)
{
	TouchedSet *set = &touched;
	DatabaseSlot *slot;

	if (likely(hash == set->last_hash && leaf == set->last_leaf &&
			   U64FromFullTransactionId(xact) == set->last_xact))
		return;

	if (wflog_notify == WFLOG_NOTIFY_TRANSACTION)
	{
		const TouchedExecution *execution = touched_execution(set, hash, id, len);

		if (execution != NULL && pushed && notify_from_transaction != NULL)
			notify_from_transaction(execution, 1);
	}
	slot = my_slot();
	if (slot != NULL)
	{
		/* before the row is visible to anyone, ourselves included */
		activity_note(slot, leaf, U64FromFullTransactionId(xact));
		note(slot, U64FromFullTransactionId(xact), QUEUE_LOGS, leaf, hash, NULL, 0);
	}
	set->last_hash = hash;
	set->last_leaf = leaf;
	set->last_xact = U64FromFullTransactionId(xact);
}

/* Note an entry with text. */
static void
note_text(QueueKind kind, uint32 detail, const char *text, int len)
{
	DatabaseSlot *slot = my_slot();

	if (slot != NULL)
		note(slot, U64FromFullTransactionId(GetTopFullTransactionId()), kind, detail,
			 wflog_execution_hash(text, len), text, len);
}

/* Note that the audit trail of an execution grows by the event of that position. */
void
queue_note_status(const char *execution_id, int len, int64 position)
{
	note_text(QUEUE_STATUS, (uint32) position, execution_id, len);
}

/* Note that a workflow changes hands. */
void
queue_note_owner(const char *workflow_id, int len)
{
	note_text(QUEUE_OWNER, 0, workflow_id, len);
}

/*
 * Is there anything among the notes that somebody has asked for?  Asked after
 * the commit: who asks for an execution before that, and does not see the logs
 * after it, relies on our seeing that he has asked.
 */
static bool
is_asked(DatabaseSlot *slot, const TouchedSet *set)
{
	if (pg_atomic_read_u32(&slot->notify_on) == 0 || pg_atomic_read_u32(&slot->asked_any) == 0)
		return false;
	for (int i = 0; i < set->count; i++)
		if (set->notes[i].kind != QUEUE_LOGS || asked_maybe(slot, set->notes[i].hash))
			return true;
	return false;
}

/* Transaction callback. */
static void
transaction_event(XactEvent event, void *arg)
{
	TouchedSet *set = &touched;
	DatabaseSlot *slot;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (set->executions != NULL && notify_from_transaction != NULL)
			{
				int			count;
				TouchedExecution *executions = touched_executions(set, &count);

				notify_from_transaction(executions, count);
			}
			/* FALLTHROUGH */
		case XACT_EVENT_PRE_PREPARE:
			slot = set->count > 0 ? my_slot() : NULL;
			if (slot != NULL)
			{
				FAULT_POINT("queue-push");
				push(slot, set, 0);
				FAULT_POINT("queue-pushed");
			}
			pushed = true;
			break;

		case XACT_EVENT_COMMIT:
			slot = set->count > 0 ? my_slot() : NULL;
			if (slot != NULL)
			{
				FAULT_POINT("queue-committed");
				/* the commit, before what we read now */
				pg_memory_barrier();
				if (wake_anyway || is_asked(slot, set))
					queue_wake(slot, KIND_WORKER);
			}
			/* FALLTHROUGH */
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			touched_forget(set);
			pushed = false;
			wake_anyway = false;
			break;

		default:				/* parallel workers do not write */
			break;
	}
}

/* Follow transactions.  To be called from _PG_init(), preloading or not. */
void
wflog_queue_init(void)
{
	RegisterXactCallback(transaction_event, NULL);
}

/*
 * Take all that is in the ring, for the worker.  *overflow tells whether hints
 * have been lost since the last call, *status whether not only of logs; both
 * are reset.  Returns the number of places copied into buffer, which has room
 * for control->queue_places.
 */
uint32
queue_drain(DatabaseSlot *slot, QueueEntry *buffer, bool *overflow, bool *status)
{
	uint32		places = wflog_control->queue_places;
	QueueEntry *ring = slot_ring(slot);
	uint64		head;
	uint64		tail;
	uint32		count;
	uint32		at;
	uint32		first;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	head = slot->queue_head;
	tail = slot->queue_tail;
	*overflow = slot->overflow;
	*status = slot->overflow_status;
	slot->overflow = false;
	slot->overflow_status = false;
	LWLockRelease(slot->queue_lock);

	count = (uint32) (head - tail);
	if (count == 0)
		return 0;
	at = tail % places;
	first = Min(count, places - at);
	memcpy(buffer, &ring[at], first * sizeof(QueueEntry));
	memcpy(buffer + first, ring, (count - first) * sizeof(QueueEntry));

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	slot->queue_tail = head;
	LWLockRelease(slot->queue_lock);
	return count;
}

/*
 * Wake the worker or the keeper if it sleeps.  The latch is one of a PGPROC,
 * which never goes away: if its process has just gone, nobody or somebody else
 * is woken, which does no harm.
 */
void
queue_wake(DatabaseSlot *slot, WorkerKind kind)
{
	pg_atomic_uint32 *sleeps = kind == KIND_WORKER ? &slot->worker_sleeps : &slot->keeper_sleeps;
	Latch	   *latch;

	if (pg_atomic_read_u32(sleeps) == 0)
		return;
	latch = *(Latch *volatile *) &slot->latches[kind];
	if (latch != NULL)
		SetLatch(latch);
}
