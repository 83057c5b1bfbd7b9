/*-------------------------------------------------------------------------
 *
 * log_count.c
 *	  An execution's logs in no order: in which leaves, how many, each of them.
 *
 * What needs no order goes by the index of the stream, which begins with the
 * execution's id, and whose equal keys are stored once; only finding the id
 * that belongs to a hash goes by that of the pages.
 *
 * All reads use the snapshot that is active at the beginning.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "leaf_scan.h"
#include "log_scan.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* An execution by id. */
ExecutionKey
execution_key(const char *id, int len)
{
	ExecutionKey key;

	key.id = id;
	key.len = len;
	key.hash = wflog_execution_hash(id, len);
	key.leaves = NULL;
	return key;
}

/* The leaves to look into. */
LeafSet *
execution_leaves(const ExecutionKey *key)
{
	return key->leaves ? leaf_set_copy(key->leaves) : leaf_set_get();
}

/* The id as a text to compare with. */
text *
execution_id_text(const ExecutionKey *key)
{
	text	   *id = palloc(VARHDRSZ + key->len);

	SET_VARSIZE(id, VARHDRSZ + key->len);
	memcpy(VARDATA(id), key->id, key->len);
	return id;
}

/* The key of an execution's entries in the index of the stream, which begins with the id. */
void
execution_scan_key(ScanKey scankey, Relation index, text *id)
{
	ScanKeyEntryInitialize(scankey, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[0], F_TEXTEQ, PointerGetDatum(id));
}

/*
 * Find out which leaves have anything of the execution, and keep to them from
 * now on.  What is committed later, the active snapshot does not show anyway.
 */
void
log_find_leaves(ExecutionKey *key)
{
	LeafSet    *all = execution_leaves(key);
	LeafSet    *found = leaf_set_copy(all);
	text	   *id = execution_id_text(key);

	found->count = 0;
	for (int i = 0; i < all->count; i++)
	{
		OpenLeaf	leaf = leaf_open(&all->leaves[i], LEAF_STREAM_INDEX);

		/* a leaf made ahead of its time is empty, and that is quickly seen */
		if (RelationGetNumberOfBlocks(leaf.table) > 0)
		{
			ScanKeyData scankey;
			IndexScanDesc scan = wflog_index_beginscan(leaf.table, leaf.index, GetActiveSnapshot(), 1);

			execution_scan_key(&scankey, leaf.index, id);
			index_rescan(scan, &scankey, 1, NULL, 0);
			if (index_getnext_tid(scan, ForwardScanDirection) != NULL)
				found->leaves[found->count++] = all->leaves[i];
			index_endscan(scan);
		}
		leaf_close(&leaf);
	}
	pfree(id);
	pfree(all);
	key->leaves = found;
}

/* Begin reading an execution's logs in a leaf, in no order. */
static void
open_by_execution(LeafScan *scan, Leaf *leaf, const ExecutionKey *key, Snapshot snapshot,
				  bool index_tuples)
{
	ScanKeyData scankey;

	leaf_scan_open(scan, leaf, LEAF_STREAM_INDEX);
	execution_scan_key(&scankey, scan->leaf.index, execution_id_text(key));
	leaf_scan_begin(scan, snapshot, &scankey, 1, index_tuples);
}

/* How many logs of an execution a leaf has, if that is at most limit; else more than limit. */
int64
log_count_leaf(Leaf *leaf, const ExecutionKey *key, Snapshot snapshot, int64 limit)
{
	LeafScan	scan = {0};
	int64		count;

	open_by_execution(&scan, leaf, key, snapshot, true);
	count = leaf_scan_pass(&scan, ForwardScanDirection,
						   limit == PG_INT64_MAX ? limit : limit + 1);
	leaf_scan_close(&scan);
	return count;
}

/* Count all of an execution's logs, by the index that knows the id itself. */
static int64
count_all(const ExecutionKey *key)
{
	LeafSet    *leaves = execution_leaves(key);
	int64		count = 0;

	for (int i = 0; i < leaves->count; i++)
		count += log_count_leaf(&leaves->leaves[i], key, GetActiveSnapshot(), PG_INT64_MAX);
	return count;
}

/* How many of an execution's logs pass the filter. */
int64
log_count(const ExecutionKey *key, const LogFilter *filter)
{
	LogScan    *scan;
	int64		count;

	if (!log_filter_needs_row(filter, false, false) &&
		TIMESTAMP_IS_NOBEGIN(filter->start_time) && TIMESTAMP_IS_NOEND(filter->end_time))
		return count_all(key);
	scan = log_scan_begin(key, filter, ForwardScanDirection, NULL, NULL);
	count = log_scan_skip(scan, PG_INT64_MAX);
	log_scan_end(scan);
	return count;
}

/* Is a log within the filter's times? */
static inline bool
is_in_time(const LogFilter *filter, TupleTableSlot *slot)
{
	bool		isnull;
	TimestampTz created_at;

	if (TIMESTAMP_IS_NOBEGIN(filter->start_time) && TIMESTAMP_IS_NOEND(filter->end_time))
		return true;
	created_at = DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull));
	return created_at >= filter->start_time && created_at <= filter->end_time;
}

/*
 * Visit all of an execution's logs that pass the filter, in the order they
 * lie in, which is the cheapest.
 */
void
log_visit_all(const ExecutionKey *key, const LogFilter *filter, LogVisitor visit, void *arg)
{
	LeafSet    *leaves = execution_leaves(key);
	bool		needs_row = log_filter_needs_row(filter, false, false);

	for (int i = 0; i < leaves->count; i++)
	{
		Leaf	   *leaf = &leaves->leaves[i];
		LeafScan	scan = {0};

		if (leaf->lower > filter->end_time || leaf->upper <= filter->start_time)
			continue;
		open_by_execution(&scan, leaf, key, GetActiveSnapshot(), false);
		while (index_getnext_slot(scan.scan, ForwardScanDirection, scan.raw))
		{
			TupleTableSlot *slot = leaf_scan_row(&scan);

			CHECK_FOR_INTERRUPTS();
			if (is_in_time(filter, slot) &&
				(!needs_row || log_filter_matches(filter, slot)))
				visit(slot, arg);
		}
		leaf_scan_close(&scan);
	}
	pfree(leaves);
}

static bool
is_one_of(Oid oid, const Oid *oids, int count)
{
	for (int i = 0; i < count; i++)
		if (oids[i] == oid)
			return true;
	return false;
}

/*
 * The id of an execution with that hash that has logs in the given leaves, or
 * if leaves is NULL in any, as far as the active snapshot shows; NULL if there
 * is none.
 */
text *
execution_of_hash(int64 hash, const Oid *leaves, int count)
{
	LeafSet    *set = leaf_set_get();
	text	   *id = NULL;

	for (int i = set->count - 1; i >= 0 && id == NULL; i--)
	{
		LeafScan	scan = {0};
		ScanKeyData scankey;

		if (leaves != NULL && !is_one_of(set->leaves[i].relid, leaves, count))
			continue;
		leaf_scan_open(&scan, &set->leaves[i], LEAF_PAGE_INDEX);
		ScanKeyInit(&scankey, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash));
		leaf_scan_begin(&scan, GetActiveSnapshot(), &scankey, 1, false);
		if (index_getnext_slot(scan.scan, ForwardScanDirection, scan.raw))
		{
			bool		isnull;

			id = DatumGetTextPCopy(slot_getattr(leaf_scan_row(&scan), Anum_log_execution_id, &isnull));
		}
		leaf_scan_close(&scan);
	}
	pfree(set);
	return id;
}
