/*-------------------------------------------------------------------------
 *
 * asked.c
 *	  Executions and workflows whose channel has been asked for.
 *
 * Only their logs are worth a notification.  channel() enters them, with the
 * name that it tells, so that whoever listens to that can be told when it is no
 * more, whichever worker finds it out.  The worker removes those that have
 * ended, and names that are no more.  The entries are in an array without gaps,
 * found through an index by hash (open addressing), and committing backends
 * look into a filter of bits without any lock.  When one does not fit, all
 * executions count as asked for, until the server starts anew.
 *
 * All under asked_lock; the bits and asked_all, asked_any are also read
 * without.  Writers of those are under the lock.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "shared.h"

/* ---- the index ---- */

static uint32
index_home(int64 hash)
{
	return (uint32) (hash & (ASKED_INDEX - 1));
}

/*
 * Where in the index an entry is, or where the free place is that ends the
 * search.  channel is NULL for whichever entry comes first.
 */
static uint32
find_place(DatabaseSlot *slot, AskedKind kind, const char *id, int len, int64 hash,
		   const char *channel)
{
	uint32		at = index_home(hash);

	while (slot->asked_index[at] != 0)
	{
		AskedEntry *entry = &slot->asked[slot->asked_index[at] - 1];

		if (entry->hash == hash && entry->kind == kind && entry->id_len == len &&
			memcmp(entry->id, id, len) == 0 &&
			(channel == NULL || strcmp(entry->channel, channel) == 0))
			break;
		at = (at + 1) % ASKED_INDEX;
	}
	return at;
}

/* Take a place out of the index, and close the gap that it leaves. */
static void
free_place(DatabaseSlot *slot, uint32 gap)
{
	uint32		at = gap;

	for (;;)
	{
		uint32		home;

		at = (at + 1) % ASKED_INDEX;
		if (slot->asked_index[at] == 0)
			break;
		home = index_home(slot->asked[slot->asked_index[at] - 1].hash);
		/* it can move into the gap unless its home lies behind it */
		if ((at - home) % ASKED_INDEX >= (at - gap) % ASKED_INDEX)
		{
			slot->asked_index[gap] = slot->asked_index[at];
			gap = at;
		}
	}
	slot->asked_index[gap] = 0;
}

/* ---- the filter ---- */

static pg_atomic_uint32 *
filter_word(DatabaseSlot *slot, int64 hash)
{
	return &slot->asked_bits[(hash & (ASKED_BITS - 1)) / 32];
}

static uint32
filter_bit(int64 hash)
{
	return (uint32) 1 << (hash & 31);
}

/*
 * Clear the bit of an entry that has been removed, unless another has the same.
 * Those would have the same home in the index, which is smaller.
 */
StaticAssertDecl(ASKED_BITS % ASKED_INDEX == 0, "entries with one bit have one home");

static void
clear_bit(DatabaseSlot *slot, int64 hash)
{
	for (uint32 at = index_home(hash); slot->asked_index[at] != 0; at = (at + 1) % ASKED_INDEX)
	{
		int64		other = slot->asked[slot->asked_index[at] - 1].hash;

		if (((other ^ hash) & (ASKED_BITS - 1)) == 0)
			return;
	}
	pg_atomic_fetch_and_u32(filter_word(slot, hash), ~filter_bit(hash));
}

/* After a change. */
static void
set_asked_any(DatabaseSlot *slot)
{
	pg_atomic_write_u32(&slot->asked_any, slot->asked_count > 0 || slot->gateway_asked ||
						pg_atomic_read_u32(&slot->asked_all) != 0);
}

/* ---- asking ---- */

/*
 * Enter an execution or workflow.  flags are ASKED_BY flags; channel is the
 * name that is going to be told, or that would be.  When it returns, logs committed
 * from now on are notified.
 */
void
asked_enter(DatabaseSlot *slot, AskedKind kind, const char *id, int len, int64 hash, uint8 flags,
			const char *channel)
{
	AskedEntry *entry;
	uint32		place;

	LWLockAcquire(slot->asked_lock, LW_EXCLUSIVE);
	if (!slot_is_mine(slot))
	{
		LWLockRelease(slot->asked_lock);
		return;
	}
	slot->asked_calls++;
	if (len > ASKED_MAX_ID)
		entry = NULL;
	else
	{
		place = find_place(slot, kind, id, len, hash, channel);
		if (slot->asked_index[place] != 0)
			entry = &slot->asked[slot->asked_index[place] - 1];
		else if (slot->asked_count < ASKED_MAX)
		{
			entry = &slot->asked[slot->asked_count++];
			slot->asked_index[place] = slot->asked_count;
			entry->hash = hash;
			entry->kind = kind;
			entry->flags = 0;
			entry->id_len = len;
			memcpy(entry->id, id, len);
			strlcpy(entry->channel, channel, sizeof(entry->channel));
			LWLockAcquire(slot->published_lock, LW_SHARED);
			entry->since_epoch = slot->epoch;
			entry->since = slot->published;
			LWLockRelease(slot->published_lock);
		}
		else
			entry = NULL;
	}

	if (entry == NULL)
	{
		if ((pg_atomic_read_u32(&slot->asked_all) & ASKED_ALL_FULL) == 0)
		{
			pg_atomic_fetch_or_u32(&slot->asked_all, ASKED_ALL_FULL);
			slot->asked_version++;
		}
	}
	else
	{
		entry->last_asked = slot->asked_calls;
		if ((entry->flags & flags) != flags)
		{
			entry->flags |= flags;
			slot->asked_version++;
		}
		pg_atomic_fetch_or_u32(filter_word(slot, hash), filter_bit(hash));
	}
	if ((flags & ASKED_BY_GATEWAY) && !slot->gateway_asked)
	{
		slot->gateway_asked = true;
		slot->asked_version++;
	}
	set_asked_any(slot);
	LWLockRelease(slot->asked_lock);
}

/* Note that a gateway listens. */
void
asked_gateway(DatabaseSlot *slot)
{
	LWLockAcquire(slot->asked_lock, LW_EXCLUSIVE);
	if (slot_is_mine(slot) && !slot->gateway_asked)
	{
		slot->gateway_asked = true;
		slot->asked_version++;
		set_asked_any(slot);
	}
	LWLockRelease(slot->asked_lock);
}

/*
 * Has somebody asked for an execution of this hash?  Takes no lock.  May say
 * yes wrongly, but no only if nobody had asked before the call.
 */
bool
asked_maybe(DatabaseSlot *slot, int64 hash)
{
	return (pg_atomic_read_u32(filter_word(slot, hash)) & filter_bit(hash)) != 0 ||
		pg_atomic_read_u32(&slot->asked_all) != 0;
}

/* Has somebody asked for an execution of this hash?  Takes asked_lock. */
bool
asked_execution(DatabaseSlot *slot, int64 hash)
{
	bool		found = false;

	LWLockAcquire(slot->asked_lock, LW_SHARED);
	if (pg_atomic_read_u32(&slot->asked_all) != 0)
		found = true;
	for (uint32 at = index_home(hash); !found && slot->asked_index[at] != 0;
		 at = (at + 1) % ASKED_INDEX)
	{
		AskedEntry *entry = &slot->asked[slot->asked_index[at] - 1];

		found = entry->hash == hash && entry->kind == ASKED_EXECUTION;
	}
	LWLockRelease(slot->asked_lock);
	return found;
}

/*
 * A copy of all entries, in the current memory context; whether all executions
 * count as asked for; and the version, for publish_batch().
 */
AskedEntry *
asked_copy(DatabaseSlot *slot, int *count, bool *all, uint64 *version)
{
	AskedEntry *entries;
	int			room = 64;

	/* no memory is asked for under the lock */
	for (;;)
	{
		entries = palloc(sizeof(AskedEntry) * room);
		LWLockAcquire(slot->asked_lock, LW_SHARED);
		*count = slot->asked_count;
		if (*count <= room)
			break;
		LWLockRelease(slot->asked_lock);
		room = Min(*count + 64, ASKED_MAX);
		pfree(entries);
	}
	memcpy(entries, slot->asked, sizeof(AskedEntry) * *count);
	*all = pg_atomic_read_u32(&slot->asked_all) != 0;
	*version = slot->asked_version;
	LWLockRelease(slot->asked_lock);
	return entries;
}

/* Remove the entry at a place of the index.  Under asked_lock, exclusively. */
static void
remove_entry(DatabaseSlot *slot, uint32 place)
{
	int			gone = slot->asked_index[place] - 1;
	int			last = slot->asked_count - 1;
	int64		hash = slot->asked[gone].hash;

	free_place(slot, place);
	if (gone != last)
	{
		AskedEntry *moved = &slot->asked[last];

		place = find_place(slot, moved->kind, moved->id, moved->id_len, moved->hash,
						   moved->channel);
		slot->asked_index[place] = gone + 1;
		memcpy(&slot->asked[gone], moved, sizeof(AskedEntry));
	}
	slot->asked_count--;
	clear_bit(slot, hash);
	set_asked_any(slot);
}

/*
 * Forget the entry with the copy's name, which has been told to be no more,
 * unless somebody has asked for it again since the copy was made.  Returns
 * whether there is none such any more.
 */
bool
asked_remove_channel(DatabaseSlot *slot, const AskedEntry *copy)
{
	uint32		place;
	bool		removed;

	LWLockAcquire(slot->asked_lock, LW_EXCLUSIVE);
	place = find_place(slot, copy->kind, copy->id, copy->id_len, copy->hash, copy->channel);
	removed = slot->asked_index[place] == 0 ||
		slot->asked[slot->asked_index[place] - 1].last_asked <= copy->last_asked;
	if (removed && slot->asked_index[place] != 0)
		remove_entry(slot, place);
	LWLockRelease(slot->asked_lock);
	return removed;
}

/*
 * Forget all entries of an execution or workflow, unless somebody has asked for
 * it again since the copy was made.  Returns whether there is none any more.
 */
bool
asked_remove(DatabaseSlot *slot, const AskedEntry *copy)
{
	bool		removed = true;

	LWLockAcquire(slot->asked_lock, LW_EXCLUSIVE);
	while (removed)
	{
		uint32		place = find_place(slot, copy->kind, copy->id, copy->id_len, copy->hash, NULL);

		if (slot->asked_index[place] == 0)
			break;
		removed = slot->asked[slot->asked_index[place] - 1].last_asked <= copy->last_asked;
		if (removed)
			remove_entry(slot, place);
	}
	LWLockRelease(slot->asked_lock);
	return removed;
}

/* Let all executions count as asked for, or again only those that are. */
void
asked_set_scope(DatabaseSlot *slot, bool all)
{
	LWLockAcquire(slot->asked_lock, LW_EXCLUSIVE);
	if (all != ((pg_atomic_read_u32(&slot->asked_all) & ASKED_ALL_SCOPE) != 0))
	{
		if (all)
			pg_atomic_fetch_or_u32(&slot->asked_all, ASKED_ALL_SCOPE);
		else
			pg_atomic_fetch_and_u32(&slot->asked_all, ~(uint32) ASKED_ALL_SCOPE);
		slot->asked_version++;
		set_asked_any(slot);
	}
	LWLockRelease(slot->asked_lock);
}
