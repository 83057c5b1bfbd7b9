/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The worker: what its parts share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_WORKER_H
#define WFLOG_WORKER_H

#include "log_scan.h"
#include "nodes/pg_list.h"
#include "notify.h"
#include "shared.h"
#include "stream.h"
#include "stream_cursor.h"
#include "utils/hsearch.h"

/* What a queue entry says, with its text where it is kept. */
typedef struct Hint
{
	uint64		xact;
	int64		hash;
	TimestampTz pushed_at;
	Oid			leaf;			/* QUEUE_STATUS: position in the trail */
	uint8		kind;			/* QueueKind */
	bool		async;			/* its commit may not be durable when it is seen */
	uint16		text_len;
	const char *text;
} Hint;

typedef struct HintList
{
	int			count;
	int			room;
	Hint	   *hints;
} HintList;

/* A transaction that is not over, and what it may have written. */
typedef struct Watched
{
	uint64		xact;
	bool		unknown;		/* its hints are lost: ask the table */
	bool		unknown_status; /* and they may not have been of logs only */
	MemoryContext context;		/* of its hints; NULL if there are none */
	HintList	hints;
} Watched;

/* An execution or workflow that somebody may listen for. */
typedef struct Subject
{
	struct Subject *next;		/* of the same hash */
	int64		hash;
	uint64		last_asked;		/* of its entry among the asked; 0: not among them */
	uint64		last;			/* number of the last batch told to it; 0: unknown */
	uint64		max_xact;		/* the greatest of its logs that has been told */
	TimestampTz removals;		/* for its cursors */
	TimestampTz removals_at;	/* when that was looked up; 0: not yet */
	TimestampTz channel_at;		/* when its channel was; 0: not yet */
	TimestampTz ended_at;		/* since when it is known to have ended; 0: it is not */
	uint8		kind;			/* AskedKind */
	uint8		flags;			/* ASKED_BY flags */
	bool		max_known;		/* max_xact covers all its logs there were */
	bool		resync;			/* something could not be told */
	bool		end_told;
	Oid			unreadable;		/* for want of an index of this leaf; or InvalidOid */
	uint64		round;			/* when it was last looked at; worker->round */
	char		channel[CHANNEL_LEN + 1];
	int			len;
	char		id[FLEXIBLE_ARRAY_MEMBER];
} Subject;

/* Logs of a transaction that is told of, for statistics. */
typedef struct Lag
{
	TimestampTz pushed_at;
	uint64		logs;
} Lag;

typedef struct Worker
{
	DatabaseSlot *slot;
	MemoryContext context;		/* lives as long as the worker */
	MemoryContext round_context;	/* reset with each round */
	MemoryContext row_context;	/* and with each log */
	bool		begun;
	bool		notifying;		/* wflog.notify is on, and we have begun to */
	bytea	   *key;			/* of the channels' names */

	/* batches */
	uint64		epoch;
	uint64		number;			/* of the batch at hand, or the last one */
	uint64		base;			/* published when this worker began */
	bool		resumed;		/* all up to base had been told */
	XactSet		told;			/* what has been told, or need not be */
	XactSet		now;			/* what this round's snapshot shows */
	XactSet		shown;			/* what that of the transaction at hand shows, a later part's */
	StreamScan *scan;			/* of the transaction at hand; or NULL */
	bool		leaves_changed; /* since the round before the last one */
	bool		leaves_changed_now;
	List	   *unreadable;		/* leaves without index, of which we have said so */
	Oid			looked_at;		/* one of them, and what it was like in that round */
	uint64		looked_at_round;
	bool		looked_readable;
	int			leaf_count;		/* leaves when last looked at */
	Oid		   *leaves;
	bool		all_missed;		/* everybody may have missed something before we began */
	bool		catch_up;		/* hints are lost: ask the table about all that is asked */
	bool		lost;			/* hints may have been lost of transactions below this id */
	bool		lost_status;	/* and not only of logs */
	uint64		lost_below;
	BatchLabel	label;			/* of the subject at hand */

	/* hints */
	QueueEntry *buffer;			/* room for a whole ring */
	HintList	resolved;		/* of transactions that are over, this round's */
	int			unknown_count;	/* those among them whose hints are lost */
	uint64	   *unknown;
	bool		status_unknown; /* what is lost may be about more than logs */
	int			watched_count;
	int			watched_room;
	Watched    *watched;

	/* who is told */
	uint64		asked_version;
	uint32		asked_all;
	bool		gateway_asked;
	HTAB	   *subjects;		/* chains by hash */
	int			subject_count;
	int			workflow_count; /* those that are workflows */
	int			unlisted_count; /* those not among the asked */
	uint64		unlisted_since; /* the last number such a one may have missed */
	Subject    *gateway;
	List	   *old_channels;	/* AskedEntries: names that may be no more */
	List	   *told_channels;	/* those of which this round tells so */

	/* sending */
	bool		sending;		/* the notification queue has room */
	bool		resync;			/* somebody is to be told that he missed something */
	TimestampTz usage_at;		/* when that was looked at */
	Size		usage_bytes;	/* sent since */
	int			part_count;		/* notifications of the transaction at hand */
	Size		part_bytes;
	XLogRecPtr	flush;			/* so far must be flushed before it commits */
	uint64		round;			/* counts rounds */
	uint64		events;			/* counts what has been told */
	bool		gateway_told;	/* something of this batch */
	int			round_count;	/* notifications of the round */
	int			round_logs;
	int			logs_before;	/* in the round before */
	int64		wake_time;		/* of the last round, processor time: waking listeners */
	int64		tell_time;		/* and all else; in microseconds */
	int			lag_count;		/* of the transaction at hand */
	int			lag_room;
	Lag		   *lags;
	StringInfoData head;		/* of the subject's payloads for logs */
	StringInfoData event_head;
	StringInfoData payload;
	StringInfoData cursor;
	StringInfoData log;
	StringInfoData batch;		/* the gateway's next notification */
	StringInfoData event;
	CursorMaker maker;
} Worker;

/* ---- worker.c ---- */

extern int64 processor_time(void);
extern bool worker_has_missed(Worker *worker);

/* ---- worker_round.c ---- */

extern void worker_next_transaction(Worker *worker);
extern void worker_round(Worker *worker);

/* ---- watch.c ---- */

extern void hint_add(HintList *list, const Hint *hint);
extern void watch_entries(Worker *worker, uint32 places);
extern void watch_unknown(Worker *worker);
extern void watch_resolve(Worker *worker);

/* ---- subjects.c ---- */

extern void subjects_init(Worker *worker);
extern void subjects_sync(Worker *worker);
extern Subject *subjects_of_hash(Worker *worker, int64 hash);
extern Subject *subject_find(Worker *worker, AskedKind kind, const char *id, int len, int64 hash);
extern Subject *subject_unlisted(Worker *worker, AskedKind kind, const char *id, int len, int64 hash);
extern void subject_name_channel(Worker *worker, Subject *subject, TimestampTz older_than);
extern void subject_check_channel(Worker *worker, Subject *subject);
extern void subjects_name_channels(Worker *worker);
extern void subjects_tell_old_channels(Worker *worker);
extern void subjects_forget_old_channels(Worker *worker);
extern void subjects_retire(Worker *worker);
extern void subjects_all_resync(Worker *worker);
extern Subject **subjects_all(Worker *worker, int *count);

/* ---- notify.c ---- */

extern void notify_begin_part(Worker *worker);
extern void notify_end_part(Worker *worker);
extern bool notify_part_full(Worker *worker);
extern void notify_label(Worker *worker, const Subject *subject, BatchLabel *label);
extern void notify_begin_batch(Worker *worker, Subject *subject);
extern void notify_log(Worker *worker, Subject *subject, const pg_uuid_t *id);
extern void notify_status(Worker *worker, Subject *subject, const char *kind,
						  const StatusEvent *event);
extern void notify_simple(Worker *worker, Subject *subject, const char *channel, const char *kind);
extern void notify_gateway_resync(Worker *worker);

/* ---- tell.c ---- */

extern bool tell_is_needed(Worker *worker);
extern void tell_round(Worker *worker);

/* ---- missed.c ---- */

extern void missed_by(Worker *worker, Subject *subject);
extern void missed_events(Worker *worker, List *events);
extern void missed_unreadable(Worker *worker, Subject *subject, Oid leaf);
extern void missed_tell(Worker *worker);

/* ---- status.c ---- */

extern List *status_read_new(Worker *worker, const char *id, int len);

#endif							/* WFLOG_WORKER_H */
