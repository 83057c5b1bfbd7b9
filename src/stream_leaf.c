/*-------------------------------------------------------------------------
 *
 * stream_leaf.c
 *	  Reading one leaf's logs of an execution in stream order, which is
 *	  (xact, seq).
 *
 * The index is on (execution_id, xact, seq >> 6) and not on seq itself, so
 * that the logs of one transaction have equal keys, up to 64 of them, which
 * nbtree stores as one (docs/decisions/0008-writing.md).  Those that share a
 * key, a group, are fetched together and sorted here; mostly they lie in their
 * order.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/relscan.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "leaf_scan.h"
#include "storage/bufmgr.h"
#include "stream.h"
#include "stream_leaf.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define MAX_KEYS 3

typedef struct GroupMember
{
	int32		seq;
	HeapTuple	tuple;
} GroupMember;

struct LeafStream
{
	OpenLeaf	leaf;
	IndexScanDesc scan;
	TupleTableSlot *raw;		/* in the leaf's layout */
	TupleTableSlot *converted;	/* in ours, if that differs */
	TupleTableSlot *ahead;		/* fetched, of the group to come; or NULL */
	bool		at_end;			/* asked again, the index would begin anew */
	int32		after_seq;		/* of transaction after_xact, what is passed over */
	uint64		after_xact;
	MemoryContext group_context;
	GroupMember *group;
	int			group_size;		/* how many there is room for */
	int			group_count;
	int			group_next;		/* to be taken */
	TupleTableSlot *row;		/* the one taken last */
};

static int32
slot_seq(TupleTableSlot *slot)
{
	return DatumGetInt32(stream_attribute(slot, Anum_log_seq));
}

/* Open a leaf for reading; NULL if there is nothing in it.  It stays locked. */
LeafStream *
leaf_stream_open(Leaf *leaf)
{
	LeafStream *stream;
	OpenLeaf	open = leaf_open(leaf, LEAF_STREAM_INDEX);

	if (RelationGetNumberOfBlocks(open.table) == 0)
	{
		leaf_close(&open);
		return NULL;
	}
	stream = palloc0(sizeof(LeafStream));
	stream->leaf = open;
	stream->scan = wflog_index_beginscan(open.table, open.index, GetActiveSnapshot(), MAX_KEYS);
	stream->raw = leaf_slot_create(&stream->leaf);
	stream->converted = open.map ? log_slot_create(&TTSOpsVirtual) : NULL;
	stream->row = log_slot_create(&TTSOpsHeapTuple);
	stream->group_context = AllocSetContextCreate(CurrentMemoryContext, "wflog stream",
												  ALLOCSET_DEFAULT_SIZES);
	return stream;
}

/* Forget what has been fetched. */
static void
forget_rows(LeafStream *stream)
{
	ExecClearTuple(stream->row);
	MemoryContextReset(stream->group_context);
	stream->group = NULL;
	stream->group_size = 0;
	stream->group_count = 0;
	stream->group_next = 0;
	stream->ahead = NULL;
}

/*
 * Position a leaf on an execution's logs of one transaction, or, by another
 * strategy than equality, of those that compare to it that way.  What
 * after_seq excludes are logs of that transaction itself.  id is kept.
 */
void
leaf_stream_aim(LeafStream *stream, text *id, StrategyNumber strategy, uint64 xact, int32 after_seq)
{
	ScanKeyData keys[MAX_KEYS];
	bool		inside = strategy == BTEqualStrategyNumber && after_seq != PG_INT32_MIN;
	RegProcedure compare = strategy == BTEqualStrategyNumber ? F_XID8EQ :
		strategy == BTLessStrategyNumber ? F_XID8LT : F_XID8GE;

	execution_scan_key(&keys[0], stream->leaf.index, id);
	ScanKeyInit(&keys[1], 2, strategy, compare,
				FullTransactionIdGetDatum(FullTransactionIdFromU64(xact)));
	ScanKeyInit(&keys[2], 3, BTGreaterEqualStrategyNumber, F_INT4GE,
				Int32GetDatum(inside ? after_seq >> STREAM_GROUP_SHIFT : PG_INT32_MIN));
	index_rescan(stream->scan, keys, MAX_KEYS, NULL, 0);
	forget_rows(stream);
	stream->at_end = false;
	stream->after_xact = inside ? xact : 0;
	stream->after_seq = after_seq;
}

/* The next row by the index, in our column order; NULL at the end. */
static TupleTableSlot *
fetch(LeafStream *stream, ScanDirection direction)
{
	CHECK_FOR_INTERRUPTS();
	if (stream->at_end || !index_getnext_slot(stream->scan, direction, stream->raw))
	{
		stream->at_end = true;
		return NULL;
	}
	return stream->leaf.map ?
		execute_attr_map_slot(stream->leaf.map, stream->raw, stream->converted) : stream->raw;
}

/* Add a row to the group. */
static void
add_to_group(LeafStream *stream, TupleTableSlot *slot, int32 seq)
{
	MemoryContext saved = MemoryContextSwitchTo(stream->group_context);

	if (stream->group == NULL)
	{
		stream->group_size = 1 << STREAM_GROUP_SHIFT;
		stream->group = palloc(sizeof(GroupMember) * stream->group_size);
	}
	else if (stream->group_count == stream->group_size)
	{
		/* several rows of one number: stamped elsewhere, or restored twice */
		stream->group_size *= 2;
		stream->group = repalloc_huge(stream->group, sizeof(GroupMember) * stream->group_size);
	}
	stream->group[stream->group_count].seq = seq;
	stream->group[stream->group_count++].tuple = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(saved);
}

static int
compare_members(const void *a, const void *b)
{
	int32		left = ((const GroupMember *) a)->seq;
	int32		right = ((const GroupMember *) b)->seq;

	return left < right ? -1 : left > right;
}

/* Fetch the next group and put it in order; false if there is none. */
static bool
load_group(LeafStream *stream)
{
	TupleTableSlot *slot = stream->ahead ? stream->ahead : fetch(stream, ForwardScanDirection);
	uint64		group_xact = 0;
	int32		group_number = 0;
	bool		sorted = true;

	forget_rows(stream);
	for (; slot; slot = fetch(stream, ForwardScanDirection))
	{
		uint64		xact = stream_xact(slot);
		int32		seq = slot_seq(slot);

		if (xact == stream->after_xact && seq <= stream->after_seq)
			continue;
		if (stream->group_count > 0 &&
			(xact != group_xact || seq >> STREAM_GROUP_SHIFT != group_number))
		{
			stream->ahead = slot;
			break;
		}
		if (stream->group_count > 0 && seq < stream->group[stream->group_count - 1].seq)
			sorted = false;
		group_xact = xact;
		group_number = seq >> STREAM_GROUP_SHIFT;
		add_to_group(stream, slot, seq);
	}
	if (!sorted)
		qsort(stream->group, stream->group_count, sizeof(GroupMember), compare_members);
	return stream->group_count > 0;
}

/* The next row that the snapshot shows, valid until the next call; NULL at the end. */
TupleTableSlot *
leaf_stream_next(LeafStream *stream)
{
	if (stream->group_next == stream->group_count && !load_group(stream))
		return NULL;
	(void) ExecStoreHeapTuple(stream->group[stream->group_next++].tuple, stream->row, false);
	stream->row->tts_tableOid = RelationGetRelid(stream->leaf.table);
	return stream->row;
}

/*
 * A log of the execution's last transaction among those now shows, or NULL.
 * Which one is left open: telling the last of them would mean to fetch all that
 * share its key.
 */
TupleTableSlot *
leaf_stream_last(LeafStream *stream, text *id, const XactSet *now)
{
	TupleTableSlot *slot;

	leaf_stream_aim(stream, id, BTLessStrategyNumber, now->xmax, PG_INT32_MIN);
	do
	{
		slot = fetch(stream, BackwardScanDirection);
	} while (slot && !xact_set_contains(now, stream_xact(slot)));
	return slot;
}

/* End reading a leaf. */
void
leaf_stream_close(LeafStream *stream)
{
	index_endscan(stream->scan);
	ExecDropSingleTupleTableSlot(stream->raw);
	if (stream->converted)
		ExecDropSingleTupleTableSlot(stream->converted);
	ExecDropSingleTupleTableSlot(stream->row);
	MemoryContextDelete(stream->group_context);
	leaf_close(&stream->leaf);
	pfree(stream);
}
