/*-------------------------------------------------------------------------
 *
 * stream_scan.c
 *	  Reading an execution's logs in stream order, which is (xact, seq).
 *
 * What one snapshot shows and another did not is: the logs of the few
 * transactions below the old one's xmax that it did not show, each looked up
 * by its id, and all from that xmax on.  Reading everything from the old
 * xmin on instead would read a day's logs again and again while some old
 * transaction is open.
 *
 * A transaction may have written to any leaf, so leaves are open at once and
 * merged.  Those in which there can be nothing new are passed over (activity.c
 * knows).  The others are locked at the beginning; stream_check_gap() relies on
 * that: what retention removes from a leaf that is passed over, the reader has
 * got.
 *
 * tail() reads one execution by a scan; the worker aims one scan at one
 * execution after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "leaf_scan.h"
#include "shared.h"
#include "stream.h"
#include "stream_leaf.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/* A leaf, and the row of it that is to be delivered next. */
typedef struct ScannedLeaf
{
	LeafStream *stream;			/* NULL if the leaf is empty, or not to be read */
	bool		unreadable;		/* for want of an index */
	TupleTableSlot *current;	/* row not yet taken, or NULL */
	bool		ended;			/* for the present target */
} ScannedLeaf;

struct StreamScan
{
	ExecutionKey key;
	text	   *id;				/* its id, for index keys */
	XactSet		now;			/* transactions whose logs may be delivered */
	const XactSet *shown;		/* what the snapshot shows, if that is more */
	bool		check_now;
	uint64		own;			/* our own transaction, or 0 */
	int			target_count;	/* single transactions still to look up */
	int			target;
	uint64	   *targets;
	uint64		from_xact;		/* then all from here on, unless 0 */
	int32		after_seq;		/* of the first target */
	bool		started;
	bool		readable_only;	/* pass over leaves that have no index */
	Oid			unreadable;		/* one of those that the aim has left out */
	LeafSet    *set;			/* all there are */
	ScannedLeaf **opened;		/* for each of them, or NULL */
	int			leaf_count;		/* those being read */
	ScannedLeaf **leaves;
};

/* A column that is never null. */
Datum
stream_attribute(TupleTableSlot *slot, AttrNumber attnum)
{
	bool		isnull;

	return slot_getattr(slot, attnum, &isnull);
}

/* The transaction a log is stamped with. */
uint64
stream_xact(TupleTableSlot *slot)
{
	return U64FromFullTransactionId(DatumGetFullTransactionId(stream_attribute(slot, Anum_log_xact)));
}

/* Let a leaf be read, unless there is nothing in it, or it is to be passed over. */
static void
read_leaf(StreamScan *scan, int number)
{
	ScannedLeaf *leaf = scan->opened[number];

	if (leaf == NULL)
	{
		leaf = palloc0(sizeof(ScannedLeaf));
		if (scan->readable_only && !leaf_has_index(&scan->set->leaves[number], LEAF_STREAM_INDEX))
			leaf->unreadable = true;
		else
			leaf->stream = leaf_stream_open(&scan->set->leaves[number]);
		scan->opened[number] = leaf;
	}
	if (leaf->unreadable)
		scan->unreadable = scan->set->leaves[number].relid;
	if (leaf->stream == NULL)
		return;
	leaf->current = NULL;
	scan->leaves[scan->leaf_count++] = leaf;
}

/* Let all leaves be read that transactions from the given one on may have written to. */
static void
read_leaves(StreamScan *scan, uint64 oldest)
{
	scan->leaf_count = 0;
	for (int i = 0; i < scan->set->count; i++)
		if (oldest == 0 || activity_last_xact(scan->set->leaves[i].relid) >= oldest)
			read_leaf(scan, i);
}

/* Position a leaf on what is wanted now. */
static void
aim(StreamScan *scan, ScannedLeaf *leaf)
{
	if (scan->target < scan->target_count)
		leaf_stream_aim(leaf->stream, scan->id, BTEqualStrategyNumber, scan->targets[scan->target],
						scan->target == 0 ? scan->after_seq : PG_INT32_MIN);
	else
		leaf_stream_aim(leaf->stream, scan->id, BTGreaterEqualStrategyNumber, scan->from_xact,
						PG_INT32_MIN);
	leaf->current = NULL;
	leaf->ended = false;
}

/*
 * May a row be delivered?  Our own is not committed, and what the snapshot
 * shows beyond what is wanted is not wanted.  A row that is visible although
 * the snapshot does not show its stamp has not got the stamp from this
 * cluster: it was restored with triggers disabled.
 */
static bool
is_deliverable(StreamScan *scan, TupleTableSlot *slot)
{
	uint64		xact = stream_xact(slot);

	if (xact == scan->own)
		return false;
	if (!scan->check_now || xact_set_contains(&scan->now, xact))
		return true;
	if (scan->shown == NULL || !xact_set_contains(scan->shown, xact))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("execution \"%.*s\" has logs that are stamped by another cluster",
						scan->key.len, scan->key.id),
				 errdetail("They were restored with triggers disabled."),
				 errhint("CALL wflog.maintain() stamps them anew.")));
	return false;
}

/* Make a leaf's next row current, if it has one. */
static void
load_row(StreamScan *scan, ScannedLeaf *leaf)
{
	while (!leaf->current && !leaf->ended)
	{
		TupleTableSlot *slot = leaf_stream_next(leaf->stream);

		if (slot == NULL)
			leaf->ended = true;
		else if (is_deliverable(scan, slot))
			leaf->current = slot;
	}
}

/* Does row a come before row b? */
static bool
precedes(TupleTableSlot *a, TupleTableSlot *b)
{
	uint64		a_xact = stream_xact(a);
	uint64		b_xact = stream_xact(b);

	if (a_xact != b_xact)
		return a_xact < b_xact;
	return DatumGetInt32(stream_attribute(a, Anum_log_seq)) <
		DatumGetInt32(stream_attribute(b, Anum_log_seq));
}

/* A scan that is not aimed at anything yet. */
static StreamScan *
new_scan(LeafSet *set)
{
	StreamScan *scan = palloc0(sizeof(StreamScan));

	scan->own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	scan->set = set;
	scan->opened = palloc0(sizeof(ScannedLeaf *) * (set->count + 1));
	scan->leaves = palloc(sizeof(ScannedLeaf *) * (set->count + 1));
	return scan;
}

/* Aim a scan at an execution. */
static void
aim_at(StreamScan *scan, const ExecutionKey *key)
{
	scan->key = *key;
	scan->id = execution_id_text(key);
	scan->check_now = false;
	scan->shown = NULL;
	scan->target = 0;
	scan->target_count = 0;
	scan->from_xact = 0;
	scan->after_seq = PG_INT32_MIN;
	scan->started = false;
	scan->unreadable = InvalidOid;
}

/*
 * Aim a scan at what now shows and seen does not.  now must be of the active
 * snapshot, or shown must be, and now a part of it.
 */
void
stream_scan_aim_between(StreamScan *scan, const ExecutionKey *key, const XactSet *seen,
						const XactSet *now, const XactSet *shown)
{
	aim_at(scan, key);
	scan->now = *now;
	scan->shown = shown;
	scan->check_now = true;
	scan->targets = palloc(sizeof(uint64) * (seen->count + 1));
	for (int i = 0; i < seen->count; i++)
		if (xact_set_contains(now, seen->hidden[i]))
			scan->targets[scan->target_count++] = seen->hidden[i];
	scan->from_xact = Max(seen->xmax, 1);
	read_leaves(scan, scan->target_count > 0 ? scan->targets[0] : scan->from_xact);
}

/*
 * Aim a scan at all that the snapshot shows, our own transaction's logs
 * included, and that is not of a transaction in seen; in all leaves it has.
 */
void
stream_scan_aim_rest(StreamScan *scan, const ExecutionKey *key, const XactSet *seen)
{
	aim_at(scan, key);
	scan->own = 0;
	scan->targets = seen->hidden;
	scan->target_count = seen->count;
	scan->from_xact = Max(seen->xmax, 1);
	read_leaves(scan, 0);
}

/*
 * Aim a scan at single transactions, which rise and stay the caller's; in the
 * given leaves, or if leaves is NULL in all where they may have written.
 */
void
stream_scan_aim_targets(StreamScan *scan, const ExecutionKey *key, uint64 *targets, int count,
						const Oid *leaves, int leaf_count)
{
	aim_at(scan, key);
	scan->targets = targets;
	scan->target_count = count;
	if (leaves == NULL)
	{
		read_leaves(scan, targets[0]);
		return;
	}
	scan->leaf_count = 0;
	for (int i = 0; i < scan->set->count; i++)
		for (int j = 0; j < leaf_count; j++)
			if (scan->set->leaves[i].relid == leaves[j])
			{
				read_leaf(scan, i);
				break;
			}
}

/*
 * Leave out what comes before a place in the stream, or is at it: for a scan
 * that has been aimed anew to go on where another one stopped.
 */
void
stream_scan_skip_to(StreamScan *scan, uint64 xact, int32 after_seq)
{
	uint64	   *targets = palloc(sizeof(uint64) * (scan->target_count + 1));
	int			count = 0;

	targets[count++] = xact;
	for (int i = 0; i < scan->target_count; i++)
		if (scan->targets[i] > xact)
			targets[count++] = scan->targets[i];
	scan->targets = targets;
	scan->target_count = count;
	scan->after_seq = after_seq;
	if (scan->from_xact != 0)
		scan->from_xact = Max(scan->from_xact, xact + 1);
}

/* A scan under the active snapshot that is to be aimed at many executions. */
StreamScan *
stream_scan_open(void)
{
	return new_scan(leaf_set_get());
}

/*
 * The same for who has others to see to as well: leaves that lack the stream's
 * index are passed over.  stream_scan_unreadable() is to be asked after aiming.
 */
StreamScan *
stream_scan_open_readable(void)
{
	StreamScan *scan = stream_scan_open();

	scan->readable_only = true;
	return scan;
}

/* A leaf that the scan would have to read and cannot; InvalidOid if there is none. */
Oid
stream_scan_unreadable(const StreamScan *scan)
{
	return scan->unreadable;
}

/* The same in some leaves only; the set becomes the scan's. */
StreamScan *
stream_scan_open_in(LeafSet *set)
{
	return new_scan(set);
}

/* Begin reading what now, which is of the active snapshot, shows and seen does not. */
StreamScan *
stream_scan_begin(const ExecutionKey *key, const XactSet *seen, const XactSet *now)
{
	StreamScan *scan = stream_scan_open();

	stream_scan_aim_between(scan, key, seen, now, NULL);
	return scan;
}

/* Begin reading the rest of one transaction's logs. */
StreamScan *
stream_scan_begin_inside(const ExecutionKey *key, uint64 xact, int32 after_seq)
{
	StreamScan *scan = stream_scan_open();
	uint64	   *target = palloc(sizeof(uint64));

	*target = xact;
	stream_scan_aim_targets(scan, key, target, 1, NULL, 0);
	stream_scan_skip_to(scan, xact, after_seq);
	return scan;
}

/* The next log, valid until the next call, or NULL. */
TupleTableSlot *
stream_scan_next(StreamScan *scan)
{
	for (;;)
	{
		ScannedLeaf *first = NULL;
		TupleTableSlot *slot;

		if (!scan->started)
		{
			if (scan->target == scan->target_count && scan->from_xact == 0)
				return NULL;
			for (int i = 0; i < scan->leaf_count; i++)
				aim(scan, scan->leaves[i]);
			scan->started = true;
		}
		for (int i = 0; i < scan->leaf_count; i++)
		{
			ScannedLeaf *leaf = scan->leaves[i];

			load_row(scan, leaf);
			if (leaf->current && (!first || precedes(leaf->current, first->current)))
				first = leaf;
		}
		if (first)
		{
			slot = first->current;
			first->current = NULL;
			return slot;
		}

		if (scan->target == scan->target_count)
			return NULL;
		scan->target++;
		scan->started = false;
	}
}

/* End a scan. */
void
stream_scan_end(StreamScan *scan)
{
	for (int i = 0; i < scan->set->count; i++)
		if (scan->opened[i] && scan->opened[i]->stream)
			leaf_stream_close(scan->opened[i]->stream);
	pfree(scan->leaves);
	pfree(scan->opened);
	pfree(scan->set);
	pfree(scan);
}

/*
 * A log of the execution's last transaction among those now shows, in a slot to
 * drop, or NULL if there is none.  If unreadable is given, leaves without index
 * are passed over, and it tells one of them, or InvalidOid.
 */
TupleTableSlot *
stream_last_log(const ExecutionKey *key, const XactSet *now, Oid *unreadable)
{
	StreamScan *scan = new_scan(execution_leaves(key));
	TupleTableSlot *last = NULL;
	TupleTableSlot *result = NULL;

	aim_at(scan, key);
	scan->readable_only = unreadable != NULL;
	/* the newest leaf is the last but the default one: begin at the end */
	for (int i = scan->set->count - 1; i >= 0; i--)
	{
		TupleTableSlot *slot;

		if (last && activity_last_xact(scan->set->leaves[i].relid) < stream_xact(last))
			continue;
		scan->leaf_count = 0;
		read_leaf(scan, i);
		if (scan->leaf_count == 0)
			continue;
		slot = leaf_stream_last(scan->leaves[0]->stream, scan->id, now);
		if (slot && (!last || precedes(last, slot)))
			last = slot;
	}
	if (last)
	{
		result = log_slot_create(&TTSOpsVirtual);
		ExecCopySlot(result, last);
	}
	if (unreadable)
		*unreadable = scan->unreadable;
	stream_scan_end(scan);
	return result;
}
