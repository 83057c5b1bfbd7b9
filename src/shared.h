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
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_SHARED_H
#define WFLOG_SHARED_H

#include "access/transam.h"
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
	QUEUE_UNKNOWN,				/* more than could be noted: ask the table */
	QUEUE_STATUS,				/* the audit trail of the execution named in the text grew */
	QUEUE_OWNER					/* the workflow named in the text changed hands */
} QueueKind;

/*
 * An entry of the ring.  Where text_len > 0, the text follows in as many
 * further places of the ring as it takes.
 */
typedef struct QueueEntry
{
	uint64		xact;			/* top-level */
	int64		hash;			/* of the execution id */
	TimestampTz pushed_at;		/* just before the commit */
	Oid			leaf;
	uint16		kind;			/* QueueKind */
	uint16		text_len;		/* bytes */
} QueueEntry;

StaticAssertDecl(sizeof(QueueEntry) == 32, "a queue entry fills its place");

/* What a transaction may note before it degrades to one QUEUE_UNKNOWN entry. */
#define QUEUE_MAX_NOTES 1024

/* ---- executions whose channel has been asked for ---- */

#define ASKED_MAX 4096
#define ASKED_MAX_ID 255		/* bytes; a longer one makes all executions asked */
#define ASKED_BITS 65536		/* of the filter, a power of 2 */

typedef enum AskedKind
{
	ASKED_EXECUTION = 1,
	ASKED_WORKFLOW
} AskedKind;

#define ASKED_BY_CHANNEL 0x01	/* notify on the subject's own channel */
#define ASKED_BY_GATEWAY 0x02	/* notify on the gateway's */

typedef struct AskedEntry
{
	int64		hash;			/* of the id */
	uint64		since;			/* number published when it was first asked for */
	uint8		kind;			/* AskedKind; 0: free */
	uint8		flags;
	uint8		id_len;
	char		id[ASKED_MAX_ID];
} AskedEntry;

/* ---- which leaves have been written to since when ---- */

#define ACTIVITY_MAX 1024		/* leaves */

typedef struct LeafActivity
{
	Oid			leaf;
	uint64		last_xact;		/* the greatest that has written to it */
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
	slock_t		mutex;
	TimestampTz reset_at;
	uint64		queue_high_water;	/* places of the ring */
	uint64		overflows;
	uint64		batches;
	uint64		logs_notified;
	uint64		notifications;
	uint64		skipped;		/* rounds not sent: the notification queue was full */
	LagSecond	lag[LAG_SECONDS];
	uint64		folds;			/* executions folded */
	uint64		rows_folded;
	TimestampTz oldest_unfolded;	/* 0: none known of */
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

	/* the commit queue: places from tail to head, both only grow */
	LWLock	   *queue_lock;
	uint64		queue_head;
	uint64		queue_tail;
	bool		overflow;		/* hints have been lost */
	pg_atomic_uint32 worker_sleeps; /* it wants to be woken */
	pg_atomic_uint32 notify_on; /* the worker sends notifications at all */

	/* asked executions and workflows */
	LWLock	   *asked_lock;
	uint64		asked_version;	/* grows with every change by a backend */
	int			asked_count;
	bool		asked_all;		/* more than there is room for, or by setting */
	bool		gateway_asked;
	pg_atomic_uint32 asked_bits[ASKED_BITS / 32];	/* filter by hash; all ones if all */
	AskedEntry	asked[ASKED_MAX];

	/* leaf activity */
	LWLock	   *activity_lock;
	uint64		activity_floor; /* of leaves not listed; 0: not known yet */
	int			activity_count;
	LeafActivity activity[ACTIVITY_MAX];

	/* what has been notified: everything that this snapshot shows */
	LWLock	   *published_lock;
	ConditionVariable published_cv;
	uint64		epoch;			/* of the worker, milliseconds; 0: none has published yet */
	uint64		published;		/* number of the batch */
	uint64		committed;		/* number whose notifications are known to be sent */
	uint64		published_xmax;
	int			published_count;	/* the hidden ids are published_hidden() */

	/* hints for the keeper */
	LWLock	   *fold_lock;
	uint64		fold_head;
	uint64		fold_tail;
	pg_atomic_uint32 keeper_sleeps;
	FoldHint	fold_ring[FOLD_RING];

	SlotStats	stats;
} DatabaseSlot;

typedef struct Control
{
	LWLock	   *lock;
	pid_t		launcher_pid;
	Latch	   *launcher_latch;
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
extern void slot_release(DatabaseSlot *slot);	/* launcher */
extern QueueEntry *slot_ring(DatabaseSlot *slot);
extern uint64 *published_hidden(DatabaseSlot *slot);

/* ---- queue.c ---- */

extern void wflog_queue_init(void); /* from _PG_init: transaction callbacks */

/*
 * Notes of the transaction at hand, pushed just before it commits.  leaf is
 * where the row goes.  May fail for want of memory, so not in callbacks.
 */
extern void queue_note_logs(Oid leaf, int64 hash, FullTransactionId xact);
extern void queue_note_status(const char *execution_id, int len);
extern void queue_note_owner(const char *workflow_id, int len);

/*
 * Take all that is in the ring, for the worker.  *overflow tells whether hints
 * have been lost since the last call, and is reset.  The texts follow the
 * entries as in the ring.  Returns the number of places copied into buffer,
 * which has room for queue_places.
 */
extern uint32 queue_drain(DatabaseSlot *slot, QueueEntry *buffer, bool *overflow);
extern uint32 queue_text_places(const QueueEntry *entry);	/* that follow it */
extern void queue_wake(DatabaseSlot *slot, WorkerKind kind);

/* ---- asked.c ---- */

extern void asked_enter(DatabaseSlot *slot, AskedKind kind, const char *id, int len,
						int64 hash, uint8 flags);
extern bool asked_maybe(DatabaseSlot *slot, int64 hash);	/* no lock; may say yes wrongly */
extern bool asked_execution(DatabaseSlot *slot, int64 hash);	/* exact, takes the lock */
extern AskedEntry *asked_copy(DatabaseSlot *slot, int *count, bool *all, uint64 *version);	/* palloc'd */
extern void asked_remove(DatabaseSlot *slot, AskedKind kind, const char *id, int len);

/* ---- published batches (asked.c) ---- */

/* Publish what S shows as batch number; only if nothing was asked since version. */
extern bool publish_batch(DatabaseSlot *slot, uint64 number, const XactSet *shown, uint64 asked_version);
extern void publish_committed(DatabaseSlot *slot, uint64 number);
extern bool published_batch(DatabaseSlot *slot, uint64 *epoch, uint64 *number, XactSet *shown);	/* palloc'd set */

/* ---- activity.c ---- */

extern void activity_note(DatabaseSlot *slot, Oid leaf, uint64 xact);
extern uint64 activity_last_xact(Oid leaf); /* PG_UINT64_MAX: unknown */
extern void activity_set_floor(DatabaseSlot *slot, uint64 xact);

/* ---- fold hints (asked.c's neighbour fold_ring.c) ---- */

extern void fold_hint(DatabaseSlot *slot, int64 hash, Oid leaf, TimestampTz since); /* dropped when full */
extern int	fold_take(DatabaseSlot *slot, FoldHint *hints, int room);

/* ---- statistics (stat.c) ---- */

extern void stat_lag(DatabaseSlot *slot, TimestampTz pushed_at, TimestampTz sent_at, uint64 logs);
extern void stat_error(DatabaseSlot *slot, const char *where, const char *text);

#endif							/* WFLOG_SHARED_H */
