/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory: the control structure and the databases' slots.
 *
 * All of it is one block: Control, then the slots, each followed by its ring
 * and by its published hidden ids.  shared.h tells what is in a slot.  Most of
 * a slot is never touched, and so never takes memory, until there is something
 * to be kept in it.
 *
 * A slot belongs to the database whose OID is in it.  The launcher gives it to
 * a database and takes it back; while it does that it holds control->lock and
 * every lock of the slot, so whoever holds one of them can rely on the OID.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "shared.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

/* A slot's locks, by the names of their tranches. */
typedef enum SlotLock
{
	LOCK_ASKED,
	LOCK_QUEUE,
	LOCK_ACTIVITY,
	LOCK_PUBLISHED,
	LOCK_FOLD,
	SLOT_LOCKS
} SlotLock;

static const char *const tranche_names[SLOT_LOCKS] = {
	[LOCK_ASKED] = "wflog_asked",
	[LOCK_QUEUE] = "wflog_queue",
	[LOCK_ACTIVITY] = "wflog_activity",
	[LOCK_PUBLISHED] = "wflog_published",
	[LOCK_FOLD] = "wflog_fold",
};

#define CONTROL_TRANCHE "wflog_control"

Control    *wflog_control = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* Places of a ring of wflog.queue_size. */
static uint32
queue_places(void)
{
	return (uint32) ((Size) wflog_queue_size * 1024 / sizeof(QueueEntry));
}

/*
 * How many ids a snapshot can hide: one of each process that can have one, and
 * of each prepared transaction.
 */
static int
max_hidden(void)
{
	return MaxBackends + max_prepared_xacts;
}

/* Bytes of the control structure, of a slot, and of a slot with what follows it. */
#define CONTROL_SIZE CACHELINEALIGN(sizeof(Control))
#define SLOT_SIZE CACHELINEALIGN(sizeof(DatabaseSlot))

static Size
slot_stride(uint32 places, int hidden)
{
	return SLOT_SIZE + CACHELINEALIGN(mul_size(places, sizeof(QueueEntry))) +
		CACHELINEALIGN(mul_size(hidden, sizeof(uint64)));
}

/* One more for alignment: ShmemInitStruct() promises no more than a cache line of its own. */
static Size
shared_size(void)
{
	return add_size(CONTROL_SIZE + PG_CACHE_LINE_SIZE,
					mul_size(wflog_max_databases, slot_stride(queue_places(), max_hidden())));
}

/* The i-th slot. */
DatabaseSlot *
slot_number(int i)
{
	Assert(i >= 0 && i < wflog_control->slot_count);
	return (DatabaseSlot *) ((char *) wflog_control + CONTROL_SIZE +
							 i * slot_stride(wflog_control->queue_places, wflog_control->max_hidden));
}

/* A slot's ring, of control->queue_places. */
QueueEntry *
slot_ring(DatabaseSlot *slot)
{
	return (QueueEntry *) ((char *) slot + SLOT_SIZE);
}

/* The ids that the slot's published batch hides; room for control->max_hidden. */
uint64 *
published_hidden(DatabaseSlot *slot)
{
	return (uint64 *) ((char *) slot_ring(slot) +
					   CACHELINEALIGN(wflog_control->queue_places * sizeof(QueueEntry)));
}

/*
 * Forget all that a slot knows, except who works in it.  The rings' contents,
 * the published ids and the asked entries need no clearing: nothing refers to
 * them then.
 */
static void
clear_slot(DatabaseSlot *slot)
{
	slot->queue_head = slot->queue_tail = 0;
	slot->overflow = false;
	slot->overflow_status = false;

	slot->asked_version++;
	slot->asked_count = 0;
	slot->gateway_asked = false;
	memset(slot->asked_index, 0, sizeof(slot->asked_index));
	for (int i = 0; i < lengthof(slot->asked_bits); i++)
		pg_atomic_write_u32(&slot->asked_bits[i], 0);
	pg_atomic_write_u32(&slot->asked_all, 0);
	pg_atomic_write_u32(&slot->asked_any, 0);
	pg_atomic_write_u32(&slot->notify_on, 0);
	pg_atomic_write_u32(&slot->worker_sleeps, 0);
	pg_atomic_write_u32(&slot->keeper_sleeps, 0);

	/* who looks for a leaf just now, without a lock, must not believe what it sees */
	pg_atomic_fetch_add_u32(&slot->activity_version, 1);
	slot->activity_count = 0;
	pg_atomic_write_u64(&slot->activity_floor, 0);
	for (int i = 0; i < ACTIVITY_MAX; i++)
	{
		pg_atomic_write_u32(&slot->activity[i].leaf, InvalidOid);
		pg_atomic_write_u64(&slot->activity[i].last_xact, 0);
	}
	pg_memory_barrier();
	pg_atomic_fetch_add_u32(&slot->activity_version, 1);

	slot->epoch = 0;
	slot->published = slot->committed = 0;
	slot->published_xmax = 0;
	slot->published_count = 0;

	slot->fold_head = slot->fold_tail = 0;

	slot->stats.queue_high_water = slot->stats.overflows = 0;
	SpinLockAcquire(&slot->stats.mutex);
	memset((char *) &slot->stats + offsetof(SlotStats, reset_at), 0,
		   sizeof(SlotStats) - offsetof(SlotStats, reset_at));
	SpinLockRelease(&slot->stats.mutex);
}

/* Make a slot, at server start. */
static void
init_slot(DatabaseSlot *slot, int number)
{
	LWLock	  **locks[SLOT_LOCKS] = {
		[LOCK_ASKED] = &slot->asked_lock,
		[LOCK_QUEUE] = &slot->queue_lock,
		[LOCK_ACTIVITY] = &slot->activity_lock,
		[LOCK_PUBLISHED] = &slot->published_lock,
		[LOCK_FOLD] = &slot->fold_lock,
	};

	pg_atomic_init_u32(&slot->database, InvalidOid);
	pg_atomic_init_u32(&slot->generation, 0);
	memset(slot->pids, 0, sizeof(slot->pids));
	memset(slot->latches, 0, sizeof(slot->latches));
	for (int i = 0; i < SLOT_LOCKS; i++)
		*locks[i] = &GetNamedLWLockTranche(tranche_names[i])[number].lock;
	for (int i = 0; i < lengthof(slot->asked_bits); i++)
		pg_atomic_init_u32(&slot->asked_bits[i], 0);
	pg_atomic_init_u32(&slot->worker_sleeps, 0);
	pg_atomic_init_u32(&slot->keeper_sleeps, 0);
	pg_atomic_init_u32(&slot->notify_on, 0);
	pg_atomic_init_u32(&slot->asked_all, 0);
	pg_atomic_init_u32(&slot->asked_any, 0);
	pg_atomic_init_u32(&slot->activity_version, 0);
	pg_atomic_init_u64(&slot->activity_floor, 0);
	for (int i = 0; i < ACTIVITY_MAX; i++)
	{
		pg_atomic_init_u32(&slot->activity[i].leaf, InvalidOid);
		pg_atomic_init_u64(&slot->activity[i].last_xact, 0);
	}
	slot->asked_version = 0;
	slot->asked_calls = 0;
	ConditionVariableInit(&slot->published_cv);
	SpinLockInit(&slot->stats.mutex);
	clear_slot(slot);
}

/* shmem_request_hook: MaxBackends is known by now. */
static void
request_shared(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche(CONTROL_TRANCHE, 1);
	for (int i = 0; i < SLOT_LOCKS; i++)
		RequestNamedLWLockTranche(tranche_names[i], wflog_max_databases);
}

/* shmem_startup_hook: make the block, or find it. */
static void
startup_shared(void)
{
	bool		found;
	char	   *block;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	block = ShmemInitStruct("wflog", shared_size(), &found);
	wflog_control = (Control *) CACHELINEALIGN(block);
	if (!found)
	{
		memset(wflog_control, 0, sizeof(Control));
		wflog_control->lock = &GetNamedLWLockTranche(CONTROL_TRANCHE)->lock;
		pg_atomic_init_u32(&wflog_control->assignments, 0);
		wflog_control->slot_count = wflog_max_databases;
		wflog_control->queue_places = queue_places();
		wflog_control->max_hidden = max_hidden();
		for (int i = 0; i < wflog_control->slot_count; i++)
			init_slot(slot_number(i), i);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Ask for shared memory.  To be called from _PG_init() when preloading. */
void
wflog_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared;
}

/* The slot that a database has, if any. */
DatabaseSlot *
slot_of_database(Oid database)
{
	if (wflog_control == NULL || !OidIsValid(database))
		return NULL;
	for (int i = 0; i < wflog_control->slot_count; i++)
	{
		DatabaseSlot *slot = slot_number(i);

		if (pg_atomic_read_u32(&slot->database) == database)
			return slot;
	}
	return NULL;
}

/*
 * Our own database's slot, if it has one.  Cheap enough to be asked for each
 * row: the answer is kept until any slot changes hands.
 */
DatabaseSlot *
my_slot(void)
{
	static DatabaseSlot *slot = NULL;
	static uint32 asked_at = 0;
	static bool known = false;
	uint32		now;

	if (wflog_control == NULL)
		return NULL;
	now = pg_atomic_read_u32(&wflog_control->assignments);
	if (unlikely(!known || asked_at != now))
	{
		pg_read_barrier();
		slot = slot_of_database(MyDatabaseId);
		asked_at = now;
		known = OidIsValid(MyDatabaseId);
	}
	return slot;
}

/* Take every lock of a slot, in their order. */
static void
lock_slot(DatabaseSlot *slot)
{
	LWLockAcquire(slot->asked_lock, LW_EXCLUSIVE);
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	LWLockAcquire(slot->activity_lock, LW_EXCLUSIVE);
	LWLockAcquire(slot->published_lock, LW_EXCLUSIVE);
	LWLockAcquire(slot->fold_lock, LW_EXCLUSIVE);
}

static void
unlock_slot(DatabaseSlot *slot)
{
	LWLockRelease(slot->fold_lock);
	LWLockRelease(slot->published_lock);
	LWLockRelease(slot->activity_lock);
	LWLockRelease(slot->queue_lock);
	LWLockRelease(slot->asked_lock);
}

/* Give a slot another owner, with nothing in it.  Under control->lock. */
static void
hand_over(DatabaseSlot *slot, Oid database)
{
	lock_slot(slot);
	clear_slot(slot);
	pg_atomic_write_u32(&slot->database, database);
	pg_atomic_fetch_add_u32(&slot->generation, 1);
	unlock_slot(slot);
	ConditionVariableBroadcast(&slot->published_cv);
	/* after the OID is there for all to see */
	pg_atomic_fetch_add_u32(&wflog_control->assignments, 1);
}

/*
 * The slot of a database, given to it now unless it has one.  NULL if all are
 * taken.  Takes control->lock.
 */
DatabaseSlot *
slot_assign(Oid database)
{
	DatabaseSlot *slot;

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	slot = slot_of_database(database);
	for (int i = 0; slot == NULL && i < wflog_control->slot_count; i++)
	{
		DatabaseSlot *candidate = slot_number(i);

		if (!OidIsValid(pg_atomic_read_u32(&candidate->database)))
		{
			hand_over(candidate, database);
			slot = candidate;
		}
	}
	LWLockRelease(wflog_control->lock);
	return slot;
}

/*
 * Take a slot from its database.  Its worker and its keeper must be gone.
 * Takes control->lock.
 */
void
slot_release(DatabaseSlot *slot)
{
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	hand_over(slot, InvalidOid);
	LWLockRelease(wflog_control->lock);
}

/*
 * Tell that this process no longer is the slot's worker or keeper, as which
 * bgworker.c has entered it.  To be called at exit; takes control->lock.
 */
void
slot_leave(DatabaseSlot *slot, WorkerKind kind)
{
	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	if (slot->pids[kind] == MyProcPid)
	{
		slot->pids[kind] = 0;
		slot->latches[kind] = NULL;
		pg_atomic_write_u32(kind == KIND_WORKER ? &slot->worker_sleeps : &slot->keeper_sleeps, 0);
	}
	LWLockRelease(wflog_control->lock);
}
