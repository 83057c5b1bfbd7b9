/*-------------------------------------------------------------------------
 *
 * shared.h
 *	  What backends, the launcher, the workers and the keepers share.
 *
 * Shared memory has one slot per database, up to wflog.max_databases; it
 * exists only where the library is preloaded, so every function here that a
 * backend may call does nothing, or says "unknown", without it.
 *
 * What is in a slot is hints and what has been published, never the only copy
 * of anything: a lost hint costs somebody a look into the table.
 *
 * Lock order: control->lock, slot->asked_lock, slot->queue_lock,
 * slot->activity_lock, slot->published_lock, slot->fold_lock.  None is held
 * while anything is read from disk or anyone is waited for.
 *
 * A slot can change hands while a backend holds a pointer to it.  Whoever
 * changes anything in a slot checks, under the lock in question, that it is
 * still its database's (slot_is_mine()); all functions here do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_SHARED_H
#define WFLOG_SHARED_H

#include "access/transam.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "xact_set.h"

/* ---- the commit queue: hints which transaction touched which execution ---- */

typedef enum QueueKind
{
	QUEUE_LOGS = 1,				/* logs of the execution in the leaf */
	QUEUE_UNKNOWN,				/* more than could be noted: ask the table; leaf is 1 if
								 * it was about more than logs */
	QUEUE_STATUS,				/* the audit trail of the execution named in the text grew */
	QUEUE_OWNER					/* the workflow named in the text changed hands */
} QueueKind;

/*
 * An entry of the ring.  Where text_len > 0, the text follows in as many
 * further places of the ring as it takes.  The transaction may have written
 * less than its entries say (a savepoint was rolled back, ON CONFLICT DO
 * NOTHING), and it may abort after all; never more.
 */
typedef struct QueueEntry
{
	uint64		xact;			/* top-level */
	int64		hash;			/* of the execution id */
	TimestampTz pushed_at;		/* just before the commit */
	Oid			leaf;			/* QUEUE_STATUS: position in the trail */
	uint8		kind;			/* QueueKind */
	bool		async;			/* committed with synchronous_commit off */
	uint16		text_len;		/* bytes */
} QueueEntry;

StaticAssertDecl(sizeof(QueueEntry) == 32, "a queue entry fills its place");

/* What a transaction may note before it degrades to one QUEUE_UNKNOWN entry. */
#define QUEUE_MAX_NOTES 1024

/* ---- executions whose channel has been asked for ---- */

#define ASKED_MAX 4096
#define ASKED_MAX_ID 255		/* bytes; a longer one makes all executions asked */
#define ASKED_BITS 65536		/* of the filter, a power of 2 */
#define CHANNEL_LEN (6 + 24)	/* characters of a channel's name */

typedef enum AskedKind
{
	ASKED_EXECUTION = 1,
	ASKED_WORKFLOW
} AskedKind;

#define ASKED_INDEX (2 * ASKED_MAX)	/* places, a power of 2 */

/* Why all executions count as asked. */
#define ASKED_ALL_FULL 0x01		/* one did not fit; for good, we cannot know which */
#define ASKED_ALL_SCOPE 0x02	/* wflog.notify_scope = all */

#define ASKED_BY_CHANNEL 0x01	/* notify on the subject's own channel */
#define ASKED_BY_GATEWAY 0x02	/* notify on the gateway's */

/*
 * What has been asked for, and the channel that was told: who asked may listen
 * to it.  There are several entries of an execution or workflow when it has
 * changed hands, until the worker has told the listeners of the older ones.
 */
typedef struct AskedEntry
{
	int64		hash;			/* of the id */
	uint64		since_epoch;	/* what was published when it was first asked for: epoch */
	uint64		since;			/* and number */
	uint64		last_asked;		/* slot->asked_calls when it was last asked for */
	uint8		kind;			/* AskedKind */
	uint8		flags;
	uint8		id_len;
	char		id[ASKED_MAX_ID];
	char		channel[CHANNEL_LEN + 1];	/* the name that was told, or would have been */
} AskedEntry;

/* ---- which leaves have been written to since when ---- */

#define ACTIVITY_MAX 1024		/* leaves */

typedef struct LeafActivity
{
	pg_atomic_uint32 leaf;		/* InvalidOid: free */
	pg_atomic_uint64 last_xact;	/* the greatest that has written to it */
} LeafActivity;

/* ---- hints for the keeper ---- */

#define FOLD_RING 16384			/* entries, a power of 2 */

typedef struct FoldHint
{
	int64		hash;
	TimestampTz since;			/* of the commit; 0: a reader asks */
	Oid			leaf;			/* InvalidOid: any */
	uint32		count;			/* transactions it stands for */
} FoldHint;

/* ---- statistics ---- */

#define LAG_SECONDS 60
#define LAG_BUCKETS 32			/* bucket b: below 2^b microseconds */
#define STAT_TEXT 256

typedef struct LagSecond
{
	int64		second;			/* since the epoch of TimestampTz */
	uint64		count;
	uint64		sum;			/* microseconds */
	uint64		max;
	uint32		buckets[LAG_BUCKETS];
} LagSecond;

typedef struct SlotStats
{
	uint64		queue_high_water;	/* places of the ring; this and the next under queue_lock */
	uint64		overflows;		/* transactions whose hints were lost */
	slock_t		mutex;			/* of what follows */
	TimestampTz reset_at;
	uint64		batches;
	uint64		logs_notified;
	uint64		notifications;
	uint64		skipped;		/* rounds not sent: the notification queue was full */
	LagSecond	lag[LAG_SECONDS];
	uint64		folds;			/* executions folded */
	uint64		rows_folded;
	TimestampTz oldest_unfolded;	/* 0: none known of */
	uint32		unfolded;		/* executions that the keeper knows to wait */
	TimestampTz maintenance_started;
	TimestampTz maintenance_ended;
	TimestampTz maintenance_next;
	char		maintenance_result[STAT_TEXT];
	TimestampTz error_at;
	char		error_in[32];	/* worker or keeper */
	char		error_text[STAT_TEXT];
} SlotStats;

/* ---- a database's slot ---- */

typedef enum WorkerKind
{
	KIND_WORKER,				/* notifies */
	KIND_KEEPER,				/* folds and maintains */
	WORKER_KINDS
} WorkerKind;

typedef struct DatabaseSlot
{
	pg_atomic_uint32 database;	/* its OID; InvalidOid: the slot is free */
	pg_atomic_uint32 generation;	/* counts the databases the slot has had */

	/* who works here; under control->lock, read without it for waking */
	pid_t		pids[WORKER_KINDS];
	Latch	   *latches[WORKER_KINDS];	/* NULL: not running */

	/*
	 * Read by every commit without a lock.  worker_sleeps may be 0 only while
	 * the worker is going to take a snapshot anyway: it sets it to 1, and
	 * passes a memory barrier, before the snapshot of each round.  Then a
	 * commit that reads 0 is in that snapshot, and one that reads 1 sets the
	 * latch, which the worker must have reset before it took the snapshot.
	 */
	pg_atomic_uint32 worker_sleeps; /* it wants to be woken */
	pg_atomic_uint32 keeper_sleeps;
	pg_atomic_uint32 notify_on; /* the worker sends notifications at all */
	pg_atomic_uint32 asked_all; /* ASKED_ALL flags */
	pg_atomic_uint32 asked_any; /* somebody has asked for something */

	/* the commit queue: places from tail to head, both only grow */
	LWLock	   *queue_lock pg_attribute_aligned(PG_CACHE_LINE_SIZE);
	uint64		queue_head;
	uint64		queue_tail;
	bool		overflow;		/* hints have been lost */
	bool		overflow_status;	/* not only of logs */

	/* asked executions and workflows, without order; and where they are by hash */
	LWLock	   *asked_lock pg_attribute_aligned(PG_CACHE_LINE_SIZE);
	uint64		asked_version;	/* grows when something new is asked for */
	uint64		asked_calls;	/* grows with each call */
	int			asked_count;
	bool		gateway_asked;
	uint16		asked_index[ASKED_INDEX];	/* 1 + place in asked; 0: free */
	pg_atomic_uint32 asked_bits[ASKED_BITS / 32];	/* filter by hash */
	AskedEntry	asked[ASKED_MAX];

	/* leaf activity */
	LWLock	   *activity_lock pg_attribute_aligned(PG_CACHE_LINE_SIZE);
	pg_atomic_uint32 activity_version;	/* odd while entries move */
	int			activity_count;
	pg_atomic_uint64 activity_floor;	/* of any leaf; 0: not known yet */
	LeafActivity activity[ACTIVITY_MAX];	/* by hash */

	/* what has been notified: everything that this snapshot shows */
	LWLock	   *published_lock pg_attribute_aligned(PG_CACHE_LINE_SIZE);
	ConditionVariable published_cv;
	uint64		epoch;			/* of the worker, milliseconds; 0: none has published yet */
	uint64		published;		/* number of the batch */
	uint64		committed;		/* number whose notifications are known to be sent */
	uint64		published_xmax;
	int			published_count;	/* the hidden ids are published_hidden() */

	/* hints for the keeper */
	LWLock	   *fold_lock pg_attribute_aligned(PG_CACHE_LINE_SIZE);
	uint64		fold_head;
	uint64		fold_tail;
	FoldHint	fold_ring[FOLD_RING];

	SlotStats	stats;
} DatabaseSlot;

typedef struct Control
{
	LWLock	   *lock;
	pid_t		launcher_pid;
	Latch	   *launcher_latch;
	pg_atomic_uint32 assignments;	/* counts slots given and taken back */
	int			slot_count;		/* wflog.max_databases */
	uint32		queue_places;	/* of each slot's ring */
	int			max_hidden;		/* ids a published snapshot can hide */
	/* the launcher's and the hooks' own part follows in shmem.c and park.c */
} Control;

/* ---- shmem.c ---- */

extern Control *wflog_control;	/* NULL: not preloaded */

extern void wflog_shmem_init(void); /* from _PG_init, when preloading */
extern DatabaseSlot *slot_number(int i);
extern DatabaseSlot *slot_of_database(Oid database);	/* NULL: it has none */
extern DatabaseSlot *my_slot(void);	/* of MyDatabaseId; cached; NULL: none */
extern DatabaseSlot *slot_assign(Oid database); /* launcher; NULL: all are taken */
extern void slot_release(DatabaseSlot *slot);	/* launcher, when worker and keeper are gone */
extern void slot_leave(DatabaseSlot *slot, WorkerKind kind);	/* worker and keeper, at exit */
extern QueueEntry *slot_ring(DatabaseSlot *slot);
extern uint64 *published_hidden(DatabaseSlot *slot);

/* Is the slot still our database's?  Holds as long as one of its locks is held. */
static inline bool
slot_is_mine(DatabaseSlot *slot)
{
	return pg_atomic_read_u32(&slot->database) == MyDatabaseId;
}

/* ---- queue.c ---- */

extern void wflog_queue_init(void); /* from _PG_init: transaction callbacks */

/*
 * Notes of the transaction at hand, pushed just before it commits.  leaf is
 * where the row goes.  May fail for want of memory, so not in callbacks.
 */
extern void queue_note_logs(Oid leaf, int64 hash, FullTransactionId xact, const char *id, int len);
extern void queue_note_status(const char *execution_id, int len, int64 position);	/* before it is committed */
extern void queue_note_owner(const char *workflow_id, int len);

/*
 * Take all that is in the ring, for the worker.  *overflow tells whether hints
 * have been lost since the last call, *status whether not only of logs; both
 * are reset.  The texts follow the entries as in the ring.  Returns the number of places copied into buffer,
 * which has room for queue_places.
 */
extern uint32 queue_drain(DatabaseSlot *slot, QueueEntry *buffer, bool *overflow, bool *status);
extern uint32 queue_text_places(const QueueEntry *entry);	/* that follow it */
extern void queue_wake(DatabaseSlot *slot, WorkerKind kind);

/* An execution that the transaction at hand has logged to, for wflog.notify = transaction. */
typedef struct TouchedExecution
{
	int64		hash;
	int			len;
	char	   *id;				/* not terminated */
} TouchedExecution;

/* Called before the commit if there are any; notify.c sets it.  It may fail. */
typedef void (*NotifyFromTransaction) (const TouchedExecution *executions, int count);
extern NotifyFromTransaction notify_from_transaction;

/* ---- asked.c ---- */

extern void asked_enter(DatabaseSlot *slot, AskedKind kind, const char *id, int len,
						int64 hash, uint8 flags, const char *channel);
extern void asked_gateway(DatabaseSlot *slot);
extern bool asked_maybe(DatabaseSlot *slot, int64 hash);	/* no lock; may say yes wrongly */
extern bool asked_execution(DatabaseSlot *slot, int64 hash);	/* exact, takes the lock */
extern AskedEntry *asked_copy(DatabaseSlot *slot, int *count, bool *all, uint64 *version);	/* palloc'd */
/* Forget a channel, or all about an execution or workflow, unless asked for again since. */
extern bool asked_remove_channel(DatabaseSlot *slot, const AskedEntry *copy);
extern bool asked_remove(DatabaseSlot *slot, const AskedEntry *copy);
extern void asked_set_scope(DatabaseSlot *slot, bool all);	/* worker, at start and reload */

/* ---- published.c: published batches ---- */

/* Publish what S shows as batch number; only if nothing was asked for since version. */
extern bool publish_batch(DatabaseSlot *slot, uint64 epoch, uint64 number, const XactSet *shown,
						  uint64 asked_version);
extern void publish_committed(DatabaseSlot *slot, uint64 number);
extern bool published_batch(DatabaseSlot *slot, uint64 *epoch, uint64 *number, XactSet *shown);	/* palloc'd set */

/* ---- activity.c ---- */

extern void activity_note(DatabaseSlot *slot, Oid leaf, uint64 xact);
extern void activity_note_moved(Oid leaf);	/* of any transaction so far */
extern uint64 activity_last_xact(Oid leaf); /* PG_UINT64_MAX: unknown */
extern void activity_set_floor(DatabaseSlot *slot, uint64 xact);

/* ---- fold_ring.c: fold hints ---- */

extern void fold_hint(DatabaseSlot *slot, int64 hash, Oid leaf, TimestampTz since); /* dropped when full */
extern int	fold_take(DatabaseSlot *slot, FoldHint *hints, int room);

/* ---- statistics (stat.c) ---- */

extern void stat_lag(DatabaseSlot *slot, TimestampTz pushed_at, TimestampTz sent_at, uint64 logs);
extern void stat_error(DatabaseSlot *slot, const char *where, const char *text);

#endif							/* WFLOG_SHARED_H */
