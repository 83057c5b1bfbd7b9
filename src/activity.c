/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  Which leaf has been written to by which transactions at most.
 *
 * A reader that knows already what old transactions have written passes over
 * the leaves that no newer one has touched.  A writer notes its leaf before
 * its row exists, and a reader takes its snapshot before it asks, so what the
 * snapshot shows has been noted.
 *
 * The table is open addressing in shared memory, read and raised without a
 * lock; only a new leaf takes activity_lock.  Leaves are never removed one by
 * one.  When it fills up, the half that has been idle longest goes, and the
 * floor, which counts for all leaves, rises to what they had; while entries
 * move, activity_version is odd, and who finds that it was or has changed asks
 * again under the lock.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "shared.h"

/* Full enough to make room; searches stay short. */
#define ACTIVITY_FULL (ACTIVITY_MAX * 3 / 4)

/* A leaf's entry, or the free one where it would be.  Steps through at most all. */
static LeafActivity *
find_leaf(DatabaseSlot *slot, Oid leaf)
{
	uint32		at = murmurhash32(leaf);

	for (int i = 0; i < ACTIVITY_MAX; i++)
	{
		LeafActivity *entry = &slot->activity[(at + i) % ACTIVITY_MAX];
		Oid			found = pg_atomic_read_u32(&entry->leaf);

		if (found == leaf || !OidIsValid(found))
			return entry;
	}
	return NULL;				/* cannot be, but while entries move */
}

/* Let a value rise. */
static void
raise_to(pg_atomic_uint64 *value, uint64 to)
{
	uint64		old = pg_atomic_read_u64(value);

	while (old < to && !pg_atomic_compare_exchange_u64(value, &old, to))
		;
}

/* Compare by last_xact, the greatest first. */
static int
compare_activity(const void *a, const void *b)
{
	uint64		left = ((const uint64 *) a)[0];
	uint64		right = ((const uint64 *) b)[0];

	return left > right ? -1 : left < right ? 1 : 0;
}

/* Keep the half that was written to last.  Under activity_lock, exclusively. */
static void
make_room(DatabaseSlot *slot)
{
	static uint64 entries[ACTIVITY_MAX][2]; /* last_xact, leaf */
	int			count = 0;
	int			kept;

	pg_atomic_fetch_add_u32(&slot->activity_version, 1);
	/* a full barrier: who raises an entry after we have read it sees the version */
	for (int i = 0; i < ACTIVITY_MAX; i++)
	{
		Oid			leaf = pg_atomic_read_u32(&slot->activity[i].leaf);

		if (!OidIsValid(leaf))
			continue;
		entries[count][0] = pg_atomic_read_u64(&slot->activity[i].last_xact);
		entries[count++][1] = leaf;
	}
	qsort(entries, count, sizeof(entries[0]), compare_activity);
	kept = count / 2;
	/* if it is not known yet, what will be set covers all that is forgotten here */
	if (pg_atomic_read_u64(&slot->activity_floor) != 0)
		raise_to(&slot->activity_floor, entries[kept][0]);
	for (int i = 0; i < ACTIVITY_MAX; i++)
	{
		pg_atomic_write_u32(&slot->activity[i].leaf, InvalidOid);
		pg_atomic_write_u64(&slot->activity[i].last_xact, 0);
	}
	for (int i = 0; i < kept; i++)
	{
		LeafActivity *entry = find_leaf(slot, (Oid) entries[i][1]);

		pg_atomic_write_u64(&entry->last_xact, entries[i][0]);
		pg_atomic_write_u32(&entry->leaf, (Oid) entries[i][1]);
	}
	slot->activity_count = kept;
	pg_memory_barrier();
	pg_atomic_fetch_add_u32(&slot->activity_version, 1);
}

/* Note it under the lock, making an entry for the leaf if need be. */
static void
note_slowly(DatabaseSlot *slot, Oid leaf, uint64 xact)
{
	LeafActivity *entry;

	LWLockAcquire(slot->activity_lock, LW_EXCLUSIVE);
	if (!slot_is_mine(slot))
	{
		LWLockRelease(slot->activity_lock);
		return;
	}
	entry = find_leaf(slot, leaf);
	if (!OidIsValid(pg_atomic_read_u32(&entry->leaf)))
	{
		if (slot->activity_count >= ACTIVITY_FULL)
		{
			make_room(slot);
			entry = find_leaf(slot, leaf);
		}
		pg_atomic_write_u64(&entry->last_xact, xact);
		pg_write_barrier();
		pg_atomic_write_u32(&entry->leaf, leaf);
		slot->activity_count++;
	}
	else
		raise_to(&entry->last_xact, xact);
	LWLockRelease(slot->activity_lock);
}

/*
 * Note that a transaction, by its top-level id, writes to a leaf: before it
 * does.
 */
void
activity_note(DatabaseSlot *slot, Oid leaf, uint64 xact)
{
	uint32		version = pg_atomic_read_u32(&slot->activity_version);
	LeafActivity *entry;

	pg_read_barrier();
	entry = (version & 1) == 0 ? find_leaf(slot, leaf) : NULL;
	if (entry != NULL && pg_atomic_read_u32(&entry->leaf) == leaf)
	{
		raise_to(&entry->last_xact, xact);
		pg_memory_barrier();
		if (pg_atomic_read_u32(&slot->activity_version) == version)
			return;
	}
	note_slowly(slot, leaf, xact);
}

/*
 * The greatest transaction that can have written to a leaf, as of a moment
 * after the call begins: take the snapshot first.  PG_UINT64_MAX: unknown.
 */
uint64
activity_last_xact(Oid leaf)
{
	DatabaseSlot *slot = my_slot();
	uint64		floor;
	uint64		last = 0;
	uint32		version;
	LeafActivity *entry;

	if (slot == NULL || RecoveryInProgress())
		return PG_UINT64_MAX;

	version = pg_atomic_read_u32(&slot->activity_version);
	pg_read_barrier();
	entry = (version & 1) == 0 ? find_leaf(slot, leaf) : NULL;
	if (entry != NULL && pg_atomic_read_u32(&entry->leaf) == leaf)
	{
		pg_read_barrier();
		last = pg_atomic_read_u64(&entry->last_xact);
	}
	pg_read_barrier();
	floor = pg_atomic_read_u64(&slot->activity_floor);
	pg_read_barrier();
	if (entry == NULL || pg_atomic_read_u32(&slot->activity_version) != version)
	{
		LWLockAcquire(slot->activity_lock, LW_SHARED);
		entry = find_leaf(slot, leaf);
		last = pg_atomic_read_u64(&entry->last_xact);
		floor = pg_atomic_read_u64(&slot->activity_floor);
		if (pg_atomic_read_u32(&entry->leaf) != leaf)
			last = 0;
		LWLockRelease(slot->activity_lock);
	}
	if (floor == 0 || !slot_is_mine(slot))
		return PG_UINT64_MAX;
	return Max(last, floor);
}

/*
 * Note that a leaf has got rows with the stamps of others, which have ended:
 * it may now hold rows of any transaction so far.
 */
void
activity_note_moved(Oid leaf)
{
	DatabaseSlot *slot = my_slot();

	if (slot != NULL)
		activity_note(slot, leaf, U64FromFullTransactionId(ReadNextFullTransactionId()) - 1);
}

/*
 * Say that all transactions which may have gone unnoted, because they wrote
 * before the slot was this database's, are at most this one, or have at least
 * got their id by now.  (A snapshot's xmax does not tell: it follows the last
 * id that is over, and greater ones may be at work.)  For the worker when it
 * starts; only the first one in a slot need say it, for since then all is
 * noted.
 */
void
activity_set_floor(DatabaseSlot *slot, uint64 xact)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	LWLockAcquire(slot->activity_lock, LW_EXCLUSIVE);
	if (slot_is_mine(slot) && pg_atomic_read_u64(&slot->activity_floor) == 0)
		pg_atomic_write_u64(&slot->activity_floor, Max(xact, next - 1));
	LWLockRelease(slot->activity_lock);
}
