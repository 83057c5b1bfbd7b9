/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Which executions the keeper folds, and when.
 *
 * Hints say which executions have got logs, or that a reader would like one to
 * be folded.  They are lossy: an execution that is not folded is answered
 * right all the same, only slower, and its reader asks.
 *
 * A fold costs what a few dozen logs cost, however few it adds, so it waits
 * until there are many, or until the first is some seconds old.  What it costs
 * an execution in time keeps it from being folded again for twenty times as
 * long; and if a round does not get through, all wait longer, up to half a
 * minute, so that folding never takes more than it saves.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "bgworker.h"
#include "executor/spi.h"
#include "execution.h"
#include "fold.h"
#include "maintain.h"
#include "pgstat.h"
#include "rollup.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Executions with hints that are remembered; further ones are forgotten. */
#define MAX_PENDING 65536

/* Transactions with new logs that make a fold worthwhile at once. */
#define ENOUGH 500

/* In ms: how long fewer wait, at least and at most. */
#define SHORTEST_WAIT 5000
#define LONGEST_WAIT 30000

/* In ms: when a round's transaction ends, and when one that failed is tried again. */
#define ROUND 100
#define AFTER_FAILURE 10000

/* An execution may take this share of the keeper's time. */
#define SHARE 20

/* Executions of a round. */
#define MAX_DUE 2000

/* An execution with hints, or one that has been folded lately. */
typedef struct Pending
{
	int64		hash;			/* key */
	TimestampTz since;			/* oldest commit; 0: none */
	TimestampTz not_before;
	uint32		count;			/* transactions */
	Oid			leaf;			/* where it has logs; InvalidOid: not known */
	bool		wanted;			/* by a reader, or there is more to fold */
} Pending;

static HTAB *pending = NULL;
static int	wait_ms = SHORTEST_WAIT;
static TimestampTz next_due = 0;	/* of those pending; 0: there are none */
static TimestampTz list_again = 0;	/* when leaves may be listed again */
static bool leaf_missing = false;

/* The round at hand. */
static Pending *due[MAX_DUE];
static int	due_count;
static int	due_done;

/* Add a hint. */
static void
add_hint(const FoldHint *hint)
{
	bool		found;
	Pending    *entry = hash_search(pending, &hint->hash,
									hash_get_num_entries(pending) < MAX_PENDING ? HASH_ENTER : HASH_FIND,
									&found);

	if (entry == NULL)
		return;
	if (!found)
	{
		entry->since = entry->not_before = 0;
		entry->count = 0;
		entry->leaf = InvalidOid;
		entry->wanted = false;
	}
	if (OidIsValid(hint->leaf))
		entry->leaf = hint->leaf;
	if (hint->since == 0)
		entry->wanted = true;
	else
	{
		if (entry->since == 0 || hint->since < entry->since)
			entry->since = hint->since;
		entry->count += hint->count;
	}
}

/* Take all hints. */
static void
take_hints(DatabaseSlot *slot)
{
	static FoldHint hints[1024];
	int			count;

	do
	{
		count = fold_take(slot, hints, lengthof(hints));
		for (int i = 0; i < count; i++)
			add_hint(&hints[i]);
	} while (count == lengthof(hints));
}

/* When an execution is due; 0: never. */
static TimestampTz
due_at(const Pending *entry)
{
	TimestampTz at;

	if (entry->wanted || entry->count >= ENOUGH)
		at = 1;
	else if (entry->since == 0)
		return 0;
	else
		at = TimestampTzPlusMilliseconds(entry->since, wait_ms);
	return Max(at, entry->not_before);
}

/* List what is due, and forget what has no hints and may be folded again. */
static void
list_due(DatabaseSlot *slot, TimestampTz now)
{
	HASH_SEQ_STATUS sequence;
	Pending    *entry;

	due_count = due_done = 0;
	next_due = 0;
	hash_seq_init(&sequence, pending);
	while ((entry = hash_seq_search(&sequence)) != NULL)
	{
		TimestampTz at = due_at(entry);

		if (at == 0)
		{
			if (entry->not_before <= now)
				(void) hash_search(pending, &entry->hash, HASH_REMOVE, NULL);
		}
		else if (at <= now && due_count < MAX_DUE)
			due[due_count++] = entry;
		else if (next_due == 0 || at < next_due)
			next_due = at;
	}
}

/* Tell wflog.stat what waits to be folded. */
static void
report_waiting(DatabaseSlot *slot)
{
	HASH_SEQ_STATUS sequence;
	Pending    *entry;
	TimestampTz oldest = 0;
	int			waiting = 0;

	hash_seq_init(&sequence, pending);
	while ((entry = hash_seq_search(&sequence)) != NULL)
	{
		if (entry->since != 0 && (oldest == 0 || entry->since < oldest))
			oldest = entry->since;
		if (due_at(entry) != 0)
			waiting++;
	}
	SpinLockAcquire(&slot->stats.mutex);
	slot->stats.oldest_unfolded = oldest;
	slot->stats.unfolded = waiting;
	SpinLockRelease(&slot->stats.mutex);
}

/* Fold what is due, for a while. */
static void
fold_due(DatabaseSlot *slot)
{
	static bool complete[MAX_DUE];
	static TimestampTz not_before[MAX_DUE];
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz now = start;
	Fold	   *fold;
	int64		rows;

	pgstat_report_activity(STATE_RUNNING, "folding");
	fold = fold_begin();
	while (due_done < due_count && !TimestampDifferenceExceeds(start, now, ROUND))
	{
		TimestampTz began = now;

		CHECK_FOR_INTERRUPTS();
		complete[due_done] = fold_execution(fold, due[due_done]->hash, due[due_done]->leaf);
		now = GetCurrentTimestamp();
		not_before[due_done] = complete[due_done] ? now + SHARE * (now - began) : 0;
		due_done++;
	}
	rows = fold_end(fold, &leaf_missing);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);

	for (int i = 0; i < due_done; i++)
	{
		due[i]->since = 0;
		due[i]->count = 0;
		due[i]->wanted = !complete[i];
		due[i]->not_before = not_before[i];
	}
	report_waiting(slot);
	SpinLockAcquire(&slot->stats.mutex);
	slot->stats.folds += due_done;
	slot->stats.rows_folded += rows;
	SpinLockRelease(&slot->stats.mutex);
}

/* List the leaves that roll-ups do not know yet. */
static void
list_leaves(DatabaseSlot *slot)
{
	WflogCaller caller;

	StartTransactionCommand();
	wflog_enter_owner(&caller);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	rollup_list_leaves(NULL, NULL);
	PopActiveSnapshot();
	SPI_finish();
	wflog_become_caller(&caller);
	CommitTransactionCommand();
}

/* A round: see fold.h. */
bool
wflog_fold_round(DatabaseSlot *slot)
{
	TimestampTz now = GetCurrentTimestamp();

	if (pending == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Pending),
		.hcxt = TopMemoryContext};

		pending = hash_create("wflog pending folds", 1024, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	take_hints(slot);
	list_due(slot, now);
	report_waiting(slot);
	if (due_count == 0)
		return false;

	if (leaf_missing && now >= list_again)
	{
		list_again = TimestampTzPlusMilliseconds(now, AFTER_FAILURE);
		(void) bgworker_try(list_leaves, slot, NULL);
	}
	if (!bgworker_try(fold_due, slot, NULL))
	{
		/* nothing has been folded; leave out the one that failed, for now */
		Pending    *failed = due[Min(due_done, due_count - 1)];

		failed->since = 0;
		failed->count = 0;
		failed->wanted = true;
		failed->not_before = TimestampTzPlusMilliseconds(now, AFTER_FAILURE);
		return due_count > 1;
	}
	if (due_done < due_count)
	{
		wait_ms = Min(wait_ms * 5 / 4, LONGEST_WAIT);
		return true;
	}
	wait_ms = Max(wait_ms * 9 / 10, SHORTEST_WAIT);
	for (int i = 0; i < due_done; i++)
		if (due[i]->wanted)
			return true;
	return false;
}

/* When the next round is due. */
long
wflog_fold_delay(void)
{
	if (next_due == 0)
		return -1;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_due);
}
