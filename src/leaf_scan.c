/*-------------------------------------------------------------------------
 *
 * leaf_scan.c
 *	  Reading a leaf's logs by one of its indexes.
 *
 * A leaf is opened, so that keys can be made for its index, and then read:
 * rows by index_getnext_slot() into scan->raw, which leaf_scan_row() brings
 * into our column order; or, where only their number counts, entries that are
 * passed over as index-only scans do.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "leaf_scan.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/rel.h"

/* A slot for rows in our column order. */
TupleTableSlot *
log_slot_create(const TupleTableSlotOps *ops)
{
	Relation	parent = table_open(wflog_table_oid(WFLOG_LOGS), AccessShareLock);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(parent), ops);

	table_close(parent, NoLock);
	return slot;
}

/*
 * A slot for the rows of a leaf as they are stored; of the parent's row type,
 * if that makes no difference.
 */
TupleTableSlot *
leaf_slot_create(const OpenLeaf *leaf)
{
	return leaf->map ? table_slot_create(leaf->table, NULL) :
		log_slot_create(table_slot_callbacks(leaf->table));
}

/* Open a leaf for leaf_scan_begin().  It stays locked. */
void
leaf_scan_open(LeafScan *scan, Leaf *leaf, LeafIndex which)
{
	scan->leaf = leaf_open(leaf, which);
	scan->is_open = true;
	scan->raw = leaf_slot_create(&scan->leaf);
	scan->converted = scan->leaf.map ? log_slot_create(&TTSOpsVirtual) : NULL;
	scan->vm_buffer = InvalidBuffer;
	scan->vm_block = InvalidBlockNumber;
}

/*
 * Begin to read what the keys say.  index_tuples: keep index pages pinned, so
 * that the visibility map may be believed for what leaf_scan_pass() passes.
 */
void
leaf_scan_begin(LeafScan *scan, Snapshot snapshot, ScanKey keys, int nkeys, bool index_tuples)
{
	scan->scan = wflog_index_beginscan(scan->leaf.table, scan->leaf.index, snapshot, nkeys);
	scan->scan->xs_want_itup = index_tuples;
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

/* End reading a leaf, if it is open. */
void
leaf_scan_close(LeafScan *scan)
{
	if (!scan->is_open)
		return;
	if (BufferIsValid(scan->vm_buffer))
		ReleaseBuffer(scan->vm_buffer);
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->raw);
	if (scan->converted)
		ExecDropSingleTupleTableSlot(scan->converted);
	leaf_close(&scan->leaf);
	scan->is_open = false;
}

/* Is the heap page of the entry the scan stands on visible to everybody? */
static bool
heap_page_is_visible(LeafScan *scan, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);

	if (block != scan->vm_block)
	{
		scan->vm_visible = VM_ALL_VISIBLE(scan->leaf.table, block, &scan->vm_buffer);
		scan->vm_block = block;
		/* as index-only scans do: the page is not visited, so lock it here */
		if (scan->vm_visible)
			PredicateLockPage(scan->leaf.table, block, scan->scan->xs_snapshot);
	}
	return scan->vm_visible;
}

/* Pass over up to limit visible entries; how many there were. */
int64
leaf_scan_pass(LeafScan *scan, ScanDirection direction, int64 limit)
{
	int64		passed = 0;
	ItemPointer tid;

	while (passed < limit && (tid = index_getnext_tid(scan->scan, direction)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (heap_page_is_visible(scan, tid) || index_fetch_heap(scan->scan, scan->raw))
			passed++;
	}
	return passed;
}
