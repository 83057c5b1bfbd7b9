/*-------------------------------------------------------------------------
 *
 * leaf_scan.h
 *	  Reading a leaf's logs by one of its indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LEAF_SCAN_H
#define WFLOG_LEAF_SCAN_H

#include "access/relscan.h"
#include "access/sdir.h"
#include "access/skey.h"
#include "access/tupconvert.h"
#include "executor/tuptable.h"
#include "leaves.h"
#include "storage/buf.h"
#include "utils/snapshot.h"

typedef struct LeafScan
{
	bool		is_open;
	OpenLeaf	leaf;
	IndexScanDesc scan;
	TupleTableSlot *raw;		/* in the leaf's layout */
	TupleTableSlot *converted;	/* in ours, if that differs */
	Buffer		vm_buffer;
	BlockNumber vm_block;		/* of which vm_visible tells */
	bool		vm_visible;
} LeafScan;

extern TupleTableSlot *log_slot_create(const TupleTableSlotOps *ops);
extern TupleTableSlot *leaf_slot_create(const OpenLeaf *leaf);
extern void leaf_scan_open(LeafScan *scan, Leaf *leaf, LeafIndex which);
extern void leaf_scan_begin(LeafScan *scan, Snapshot snapshot, ScanKey keys, int nkeys,
							bool index_tuples);
extern int64 leaf_scan_pass(LeafScan *scan, ScanDirection direction, int64 limit);
extern void leaf_scan_close(LeafScan *scan);

/* The row in scan->raw, in our column order. */
static inline TupleTableSlot *
leaf_scan_row(LeafScan *scan)
{
	return scan->leaf.map ? execute_attr_map_slot(scan->leaf.map, scan->raw, scan->converted) :
		scan->raw;
}

#endif							/* WFLOG_LEAF_SCAN_H */
