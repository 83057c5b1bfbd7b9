/*-------------------------------------------------------------------------
 *
 * fold_ring.c
 *	  Hints for the keeper: which executions have logs to be folded.
 *
 * The ring is lossy.  What is dropped is folded later, or counted by readers.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "shared.h"

/* How far back to look for a hint that says the same. */
#define FOLD_LOOK_BACK 8

/*
 * Add a hint, or nothing if the ring is full.  since is when the logs were
 * committed, or 0 if a reader wants them folded; leaf may be InvalidOid.
 */
void
fold_hint(DatabaseSlot *slot, int64 hash, Oid leaf, TimestampTz since)
{
	uint64		oldest;

	LWLockAcquire(slot->fold_lock, LW_EXCLUSIVE);
	if (!slot_is_mine(slot))
	{
		LWLockRelease(slot->fold_lock);
		return;
	}
	oldest = slot->fold_head - Min(slot->fold_head - slot->fold_tail, FOLD_LOOK_BACK);
	for (uint64 at = slot->fold_head; at > oldest; at--)
	{
		FoldHint   *hint = &slot->fold_ring[(at - 1) % FOLD_RING];

		if (hint->hash == hash && hint->leaf == leaf)
		{
			hint->count++;
			hint->since = Min(hint->since, since);
			LWLockRelease(slot->fold_lock);
			return;
		}
	}
	if (slot->fold_head - slot->fold_tail < FOLD_RING)
	{
		FoldHint   *hint = &slot->fold_ring[slot->fold_head++ % FOLD_RING];

		hint->hash = hash;
		hint->since = since;
		hint->leaf = leaf;
		hint->count = 1;
	}
	LWLockRelease(slot->fold_lock);
	queue_wake(slot, KIND_KEEPER);
}

/* Take up to room hints, oldest first; returns how many. */
int
fold_take(DatabaseSlot *slot, FoldHint *hints, int room)
{
	int			count;

	LWLockAcquire(slot->fold_lock, LW_EXCLUSIVE);
	count = (int) Min(slot->fold_head - slot->fold_tail, (uint64) room);
	for (int i = 0; i < count; i++)
		hints[i] = slot->fold_ring[slot->fold_tail++ % FOLD_RING];
	LWLockRelease(slot->fold_lock);
	return count;
}
