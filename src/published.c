/*-------------------------------------------------------------------------
 *
 * published.c
 *	  The batch that the worker has notified last.
 *
 * A batch is a number and a set of transactions: all logs of the set have been
 * notified, or are in the very moment, to whoever had asked for them.  tail()
 * tells it its readers, who then know which notifications they need not heed.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "shared.h"

/*
 * Publish what a set shows as a batch; false, and nothing is done, if
 * something has been asked for since asked_copy() gave the version.  To be
 * called before the notifications are committed: a client that has begun to
 * listen between the two would otherwise hear of the older batch only, and
 * take it that this one's notifications reach it.
 */
bool
publish_batch(DatabaseSlot *slot, uint64 epoch, uint64 number, const XactSet *shown,
			  uint64 asked_version)
{
	int			count = shown->count;
	uint64		xmax = shown->xmax;
	bool		current;

	/* more than processes and prepared transactions cannot be hidden; but then: claim less */
	if (count > wflog_control->max_hidden)
	{
		count = wflog_control->max_hidden;
		xmax = shown->hidden[count];
	}

	LWLockAcquire(slot->asked_lock, LW_SHARED);
	current = slot->asked_version == asked_version && slot_is_mine(slot);
	if (current)
	{
		LWLockAcquire(slot->published_lock, LW_EXCLUSIVE);
		slot->epoch = epoch;
		slot->published = number;
		slot->published_xmax = xmax;
		slot->published_count = count;
		memcpy(published_hidden(slot), shown->hidden, count * sizeof(uint64));
		LWLockRelease(slot->published_lock);
	}
	LWLockRelease(slot->asked_lock);
	if (current)
		ConditionVariableBroadcast(&slot->published_cv);
	return current;
}

/* Tell that the notifications of all batches up to this one have been committed; 0: not all. */
void
publish_committed(DatabaseSlot *slot, uint64 number)
{
	LWLockAcquire(slot->published_lock, LW_EXCLUSIVE);
	slot->committed = number;
	LWLockRelease(slot->published_lock);
}

/*
 * The batch published last, its set in the current memory context; false if
 * there is none.
 */
bool
published_batch(DatabaseSlot *slot, uint64 *epoch, uint64 *number, XactSet *shown)
{
	/* no memory is asked for under the lock */
	shown->hidden = palloc(sizeof(uint64) * (wflog_control->max_hidden + 1));
	LWLockAcquire(slot->published_lock, LW_SHARED);
	*epoch = slot->epoch;
	*number = slot->published;
	shown->xmax = slot->published_xmax;
	shown->count = slot->published_count;
	memcpy(shown->hidden, published_hidden(slot), shown->count * sizeof(uint64));
	LWLockRelease(slot->published_lock);
	return *epoch != 0 && slot_is_mine(slot);
}
