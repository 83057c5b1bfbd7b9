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
 * A transaction may have written to any leaf, so all are open at once and
 * merged.  They are all locked at the beginning; check_gap() in stream.c
 * relies on that.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/relscan.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "stream.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define MAX_KEYS 3

typedef struct LeafStream
{
	OpenLeaf	leaf;
	IndexScanDesc scan;
	TupleTableSlot *raw;
	TupleTableSlot *converted;
	TupleTableSlot *current;	/* row not yet taken, or NULL */
	bool		ended;			/* for the present target */
} LeafStream;

struct StreamScan
{
	ExecutionKey key;
	XactSet		now;			/* transactions whose logs may be delivered */
	bool		check_now;
	uint64		own;			/* our own transaction, or 0 */
	int			target_count;	/* single transactions still to look up */
	int			target;
	uint64	   *targets;
	uint64		from_xact;		/* then all from here on, unless 0 */
	int32		after_seq;		/* of a single target */
	bool		started;
	int			leaf_count;
	LeafStream *leaves;
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

/* Open every leaf of a set that has anything in it. */
static void
open_leaves(StreamScan *scan, LeafSet *set)
{
	scan->leaves = palloc0(sizeof(LeafStream) * set->count);
	for (int i = 0; i < set->count; i++)
	{
		LeafStream *stream = &scan->leaves[scan->leaf_count];

		stream->leaf = leaf_open(&set->leaves[i], LEAF_STREAM_INDEX);
		if (RelationGetNumberOfBlocks(stream->leaf.table) == 0)
		{
			leaf_close(&stream->leaf);	/* stays locked */
			continue;
		}
		stream->scan = wflog_index_beginscan(stream->leaf.table, stream->leaf.index,
											 GetActiveSnapshot(), MAX_KEYS);
		stream->raw = table_slot_create(stream->leaf.table, NULL);
		stream->converted = stream->leaf.map ? log_slot_create() : NULL;
		scan->leaf_count++;
	}
	pfree(set);
}

/* Position a leaf on what is wanted now. */
static void
aim(StreamScan *scan, LeafStream *stream)
{
	ScanKeyData keys[MAX_KEYS];
	uint64		xact;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(scan->key.hash));
	if (scan->target < scan->target_count)
	{
		xact = scan->targets[scan->target];
		ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_XID8EQ,
					FullTransactionIdGetDatum(FullTransactionIdFromU64(xact)));
	}
	else
	{
		xact = scan->from_xact;
		ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_XID8GE,
					FullTransactionIdGetDatum(FullTransactionIdFromU64(xact)));
	}
	ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(scan->after_seq));
	index_rescan(stream->scan, keys, MAX_KEYS, NULL, 0);
	stream->ended = false;
}

/*
 * May a row be delivered?  Our own is not committed.  One that is visible
 * although the snapshot does not show its stamp has not got the stamp from
 * this cluster: it was restored with triggers disabled.
 */
static bool
is_deliverable(StreamScan *scan, TupleTableSlot *slot)
{
	uint64		xact;

	if (!slot_is_of_execution(slot, &scan->key))
		return false;
	xact = stream_xact(slot);
	if (xact == scan->own)
		return false;
	if (scan->check_now && !xact_set_contains(&scan->now, xact))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("execution \"%.*s\" has logs that are stamped by another cluster",
						scan->key.len, scan->key.id),
				 errdetail("They were restored with triggers disabled."),
				 errhint("CALL wflog.maintain() stamps them anew.")));
	return true;
}

/* Make a leaf's next row current, if it has one. */
static void
load_row(StreamScan *scan, LeafStream *stream)
{
	while (!stream->current && !stream->ended)
	{
		TupleTableSlot *slot = stream->raw;

		CHECK_FOR_INTERRUPTS();
		if (!index_getnext_slot(stream->scan, ForwardScanDirection, stream->raw))
		{
			stream->ended = true;
			break;
		}
		if (stream->leaf.map)
			slot = execute_attr_map_slot(stream->leaf.map, stream->raw, stream->converted);
		if (is_deliverable(scan, slot))
			stream->current = slot;
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

static StreamScan *
new_scan(const ExecutionKey *key, LeafSet *leaves)
{
	StreamScan *scan = palloc0(sizeof(StreamScan));

	scan->key = *key;
	scan->own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	scan->after_seq = PG_INT32_MIN;
	open_leaves(scan, leaves);
	return scan;
}

/*
 * Begin reading what now shows, which must be of the active snapshot, and
 * seen does not.
 */
StreamScan *
stream_scan_begin(const ExecutionKey *key, const XactSet *seen, const XactSet *now)
{
	StreamScan *scan = new_scan(key, leaf_set_get());

	scan->now = *now;
	scan->check_now = true;
	scan->targets = palloc(sizeof(uint64) * (seen->count + 1));
	for (int i = 0; i < seen->count; i++)
		if (xact_set_contains(now, seen->hidden[i]))
			scan->targets[scan->target_count++] = seen->hidden[i];
	scan->from_xact = Max(seen->xmax, 1);
	return scan;
}

/* Begin reading the rest of one transaction's logs. */
StreamScan *
stream_scan_begin_inside(const ExecutionKey *key, uint64 xact, int32 after_seq)
{
	StreamScan *scan = new_scan(key, leaf_set_get());

	scan->targets = palloc(sizeof(uint64));
	scan->targets[0] = xact;
	scan->target_count = 1;
	scan->after_seq = after_seq;
	return scan;
}

/* The next log, valid until the next call, or NULL. */
TupleTableSlot *
stream_scan_next(StreamScan *scan)
{
	for (;;)
	{
		LeafStream *first = NULL;
		TupleTableSlot *slot;

		if (!scan->started)
		{
			if (scan->target == scan->target_count && scan->from_xact == 0)
				return NULL;
			for (int i = 0; i < scan->leaf_count; i++)
				aim(scan, &scan->leaves[i]);
			scan->started = true;
		}
		for (int i = 0; i < scan->leaf_count; i++)
		{
			LeafStream *stream = &scan->leaves[i];

			load_row(scan, stream);
			if (stream->current && (!first || precedes(stream->current, first->current)))
				first = stream;
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
	for (int i = 0; i < scan->leaf_count; i++)
	{
		LeafStream *stream = &scan->leaves[i];

		index_endscan(stream->scan);
		ExecDropSingleTupleTableSlot(stream->raw);
		if (stream->converted)
			ExecDropSingleTupleTableSlot(stream->converted);
		leaf_close(&stream->leaf);
	}
	pfree(scan->leaves);
	pfree(scan);
}

/*
 * The log with the greatest stamp among those now shows, in a slot to drop,
 * or NULL if there is none.
 */
TupleTableSlot *
stream_last_log(const ExecutionKey *key, const XactSet *now)
{
	StreamScan *scan = new_scan(key, execution_leaves(key));
	LeafStream *last = NULL;
	TupleTableSlot *result = NULL;
	ScanKeyData keys[MAX_KEYS];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key->hash));
	ScanKeyInit(&keys[1], 2, BTLessStrategyNumber, F_XID8LT,
				FullTransactionIdGetDatum(FullTransactionIdFromU64(now->xmax)));
	ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(scan->after_seq));
	for (int i = 0; i < scan->leaf_count; i++)
	{
		LeafStream *stream = &scan->leaves[i];

		index_rescan(stream->scan, keys, MAX_KEYS, NULL, 0);
		while (!stream->current && index_getnext_slot(stream->scan, BackwardScanDirection, stream->raw))
		{
			TupleTableSlot *slot = stream->leaf.map ?
				execute_attr_map_slot(stream->leaf.map, stream->raw, stream->converted) : stream->raw;

			CHECK_FOR_INTERRUPTS();
			if (slot_is_of_execution(slot, key) && xact_set_contains(now, stream_xact(slot)))
				stream->current = slot;
		}
		if (stream->current && (!last || precedes(last->current, stream->current)))
			last = stream;
	}
	if (last)
	{
		result = log_slot_create();
		ExecCopySlot(result, last->current);
	}
	stream_scan_end(scan);
	return result;
}
