/*-------------------------------------------------------------------------
 *
 * log_scan.c
 *	  Reading an execution's logs in page order, which is (created_at, id).
 *
 * The daily leaves follow each other in time, so they are read one after the
 * other; the default leaf may hold any time, so it is read beside them and
 * merged.  Each is read by the index that has the fewest entries for the
 * filter.  Their keys hold a hash of the execution's id; the id itself is
 * compared on every row that is fetched.  What needs no order goes by the
 * index of the stream, which begins with the id.
 *
 * All reads use the snapshot that is active at the beginning.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "access/visibilitymap.h"
#include "catalog/pg_type.h"
#include "log_scan.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define MAX_KEYS 5

/* From how many logs on it pays to count leaves before they are walked through. */
#define COUNTED_FROM 10000

/* One of the two sequences of leaves that are merged. */
typedef struct LeafRun
{
	Leaf	   *leaves;
	int			count;
	int			opened;			/* how many have been opened, in reading order */
	bool		is_open;
	OpenLeaf	leaf;
	IndexScanDesc scan;
	TupleTableSlot *raw;		/* in the leaf's layout */
	TupleTableSlot *converted;	/* in ours, if that differs */
	TupleTableSlot *current;	/* the row not yet taken, or NULL */
	Buffer		vm_buffer;
	BlockNumber vm_block;		/* of which vm_visible tells */
	bool		vm_visible;
} LeafRun;

struct LogScan
{
	ExecutionKey key;
	const LogFilter *filter;
	ScanDirection direction;
	Snapshot	snapshot;
	LeafIndex	index;
	bool		needs_row;		/* the index alone does not decide */
	bool		index_tuples;	/* keep index pages pinned, for the visibility map */
	TimestampTz low;			/* bounds of created_at, inclusive */
	TimestampTz high;
	const PagePosition *after;
	const PagePosition *before;
	LeafSet    *leaves;
	LeafRun		daily;
	LeafRun		stray;			/* the default leaf */
};

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

/* Does the row belong to the execution, or only share its hash? */
bool
slot_is_of_execution(TupleTableSlot *slot, const ExecutionKey *key)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, Anum_log_execution_id, &isnull);
	struct varlena *id = PG_DETOAST_DATUM_PACKED(value);

	return VARSIZE_ANY_EXHDR(id) == key->len && memcmp(VARDATA_ANY(id), key->id, key->len) == 0;
}

/* A log's place in page order. */
PagePosition
log_position(TupleTableSlot *slot)
{
	PagePosition position;
	bool		isnull;

	position.created_at = DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull));
	position.id = *DatumGetUUIDP(slot_getattr(slot, Anum_log_id, &isnull));
	return position;
}

/* The order of pages: below, at or above zero as a is before, at or after b. */
int
compare_positions(const PagePosition *a, const PagePosition *b)
{
	if (a->created_at != b->created_at)
		return a->created_at < b->created_at ? -1 : 1;
	return memcmp(a->id.data, b->id.data, UUID_LEN);
}

/* The index that has the fewest entries for what the filter lets pass. */
static LeafIndex
page_index_for(const LogFilter *filter)
{
	if (filter->milestones_only)
		return LEAF_MILESTONES_INDEX;
	if (log_filter_only_errors(filter))
		return LEAF_ERRORS_INDEX;
	return LEAF_PAGE_INDEX;
}

/* Make "(created_at, id) < or > position" a key that nbtree starts from. */
static void
set_row_key(ScanKey key, ScanKey members, StrategyNumber strategy, const PagePosition *position)
{
	memset(key, 0, sizeof(*key));
	key->sk_flags = SK_ROW_HEADER;
	key->sk_attno = 2;
	key->sk_strategy = strategy;
	key->sk_argument = PointerGetDatum(members);
	ScanKeyEntryInitialize(&members[0], SK_ROW_MEMBER, 2, strategy, TIMESTAMPTZOID, InvalidOid,
						   F_TIMESTAMPTZ_CMP, TimestampTzGetDatum(position->created_at));
	ScanKeyEntryInitialize(&members[1], SK_ROW_MEMBER | SK_ROW_END, 3, strategy, UUIDOID, InvalidOid,
						   F_UUID_CMP, UUIDPGetDatum(&position->id));
}

/* Begin reading a leaf. */
static void
open_leaf(LogScan *scan, LeafRun *run, Leaf *leaf)
{
	ScanKeyData keys[MAX_KEYS];
	ScanKeyData *members = palloc(sizeof(ScanKeyData) * 4);
	int			nkeys = 0;

	run->leaf = leaf_open(leaf, scan->index);
	run->is_open = true;
	ScanKeyInit(&keys[nkeys++], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(scan->key.hash));
	if (scan->after)
		set_row_key(&keys[nkeys++], members, BTGreaterStrategyNumber, scan->after);
	if (scan->before)
		set_row_key(&keys[nkeys++], members + 2, BTLessStrategyNumber, scan->before);
	if (!TIMESTAMP_IS_NOBEGIN(scan->low))
		ScanKeyInit(&keys[nkeys++], 2, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
					TimestampTzGetDatum(scan->low));
	if (!TIMESTAMP_IS_NOEND(scan->high))
		ScanKeyInit(&keys[nkeys++], 2, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
					TimestampTzGetDatum(scan->high));

	run->raw = leaf_slot_create(&run->leaf);
	run->converted = run->leaf.map ? log_slot_create(&TTSOpsVirtual) : NULL;
	run->scan = wflog_index_beginscan(run->leaf.table, run->leaf.index, scan->snapshot, nkeys);
	run->scan->xs_want_itup = scan->index_tuples;
	index_rescan(run->scan, keys, nkeys, NULL, 0);
	run->vm_block = InvalidBlockNumber;
}

/* End reading a leaf. */
static void
close_leaf(LeafRun *run)
{
	if (!run->is_open)
		return;
	if (BufferIsValid(run->vm_buffer))
		ReleaseBuffer(run->vm_buffer);
	run->vm_buffer = InvalidBuffer;
	index_endscan(run->scan);
	ExecDropSingleTupleTableSlot(run->raw);
	if (run->converted)
		ExecDropSingleTupleTableSlot(run->converted);
	leaf_close(&run->leaf);
	run->is_open = false;
}

/* The leaf whose turn is next. */
static Leaf *
leaf_to_open(LogScan *scan, LeafRun *run)
{
	return &run->leaves[ScanDirectionIsForward(scan->direction) ?
						run->opened : run->count - 1 - run->opened];
}

/* Make sure a leaf is open; false if there is none left that can matter. */
static bool
next_leaf(LogScan *scan, LeafRun *run)
{
	while (!run->is_open)
	{
		Leaf	   *leaf;

		if (run->opened == run->count)
			return false;
		leaf = leaf_to_open(scan, run);
		run->opened++;
		if (leaf->lower <= scan->high && (leaf->upper > scan->low || leaf->is_default))
			open_leaf(scan, run, leaf);
	}
	return true;
}

/* A fetched row in our column order. */
static TupleTableSlot *
in_our_order(LeafRun *run)
{
	return run->leaf.map ? execute_attr_map_slot(run->leaf.map, run->raw, run->converted) : run->raw;
}

/* Make the run's next row that passes current; false if there is none. */
static bool
load_row(LogScan *scan, LeafRun *run)
{
	if (run->current)
		return true;
	while (next_leaf(scan, run))
	{
		while (index_getnext_slot(run->scan, scan->direction, run->raw))
		{
			TupleTableSlot *slot = in_our_order(run);

			CHECK_FOR_INTERRUPTS();
			if (slot_is_of_execution(slot, &scan->key) &&
				(!scan->needs_row || log_filter_matches(scan->filter, slot)))
			{
				run->current = slot;
				return true;
			}
		}
		close_leaf(run);
	}
	return false;
}

/*
 * Begin reading an execution's logs that pass the filter, after and before
 * the positions given, both excluded.  What is passed in must outlive the
 * scan.
 */
LogScan *
log_scan_begin(const ExecutionKey *key, const LogFilter *filter, ScanDirection direction,
			   const PagePosition *after, const PagePosition *before)
{
	LogScan    *scan = palloc0(sizeof(LogScan));

	scan->key = *key;
	scan->filter = filter;
	scan->direction = direction;
	scan->snapshot = GetActiveSnapshot();
	scan->index = page_index_for(filter);
	scan->needs_row = log_filter_needs_row(filter, scan->index == LEAF_ERRORS_INDEX,
										   scan->index == LEAF_MILESTONES_INDEX);
	scan->low = after ? Max(filter->start_time, after->created_at) : filter->start_time;
	scan->high = before ? Min(filter->end_time, before->created_at) : filter->end_time;
	scan->after = after;
	scan->before = before;
	scan->leaves = execution_leaves(key);
	scan->daily.leaves = scan->leaves->leaves;
	scan->daily.count = scan->leaves->count;
	if (scan->leaves->count > 0 && scan->leaves->leaves[scan->leaves->count - 1].is_default)
	{
		scan->daily.count--;
		scan->stray.leaves = &scan->leaves->leaves[scan->daily.count];
		scan->stray.count = 1;
	}
	return scan;
}

/* The next log, valid until the next call, or NULL. */
TupleTableSlot *
log_scan_next(LogScan *scan)
{
	LeafRun    *run;
	TupleTableSlot *slot;

	if (!load_row(scan, &scan->daily))
		run = load_row(scan, &scan->stray) ? &scan->stray : NULL;
	else if (!load_row(scan, &scan->stray))
		run = &scan->daily;
	else
	{
		PagePosition daily = log_position(scan->daily.current);
		PagePosition stray = log_position(scan->stray.current);
		int			order = compare_positions(&daily, &stray);

		run = (ScanDirectionIsForward(scan->direction) ? order <= 0 : order >= 0) ?
			&scan->daily : &scan->stray;
	}
	if (run == NULL)
		return NULL;
	slot = run->current;
	run->current = NULL;
	return slot;
}

/* Is the heap page of the entry the scan stands on visible to everybody? */
static bool
heap_page_is_visible(LeafRun *run, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);

	if (block != run->vm_block)
	{
		run->vm_visible = VM_ALL_VISIBLE(run->leaf.table, block, &run->vm_buffer);
		run->vm_block = block;
		/* as index-only scans do: the page is not visited, so lock it here */
		if (run->vm_visible)
			PredicateLockPage(run->leaf.table, block, run->scan->xs_snapshot);
	}
	return run->vm_visible;
}

/* Pass over up to limit visible entries of the open leaf; how many there were. */
static int64
pass_entries(LeafRun *run, ScanDirection direction, int64 limit)
{
	int64		passed = 0;
	ItemPointer tid;

	while (passed < limit && (tid = index_getnext_tid(run->scan, direction)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (heap_page_is_visible(run, tid) || index_fetch_heap(run->scan, run->raw))
			passed++;
	}
	return passed;
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

/* Begin reading a leaf by the index of the stream, which holds the id itself. */
static IndexScanDesc
begin_by_execution(const OpenLeaf *leaf, text *id, Snapshot snapshot, bool index_tuples)
{
	ScanKeyData scankey;
	IndexScanDesc scan = wflog_index_beginscan(leaf->table, leaf->index, snapshot, 1);

	execution_scan_key(&scankey, leaf->index, id);
	scan->xs_want_itup = index_tuples;
	index_rescan(scan, &scankey, 1, NULL, 0);
	return scan;
}

/* The same, with what is needed to fetch rows. */
static void
open_by_execution(LeafRun *run, Leaf *leaf, const ExecutionKey *key, Snapshot snapshot,
				  bool index_tuples)
{
	run->leaf = leaf_open(leaf, LEAF_STREAM_INDEX);
	run->is_open = true;
	run->raw = leaf_slot_create(&run->leaf);
	run->converted = run->leaf.map ? log_slot_create(&TTSOpsVirtual) : NULL;
	run->vm_buffer = InvalidBuffer;
	run->vm_block = InvalidBlockNumber;
	run->scan = begin_by_execution(&run->leaf, execution_id_text(key), snapshot, index_tuples);
}

/* How many logs of an execution a leaf has, if that is at most limit; else more than limit. */
static int64
count_leaf(Leaf *leaf, const ExecutionKey *key, Snapshot snapshot, int64 limit)
{
	LeafRun		run = {0};
	int64		count;

	open_by_execution(&run, leaf, key, snapshot, true);
	count = pass_entries(&run, ForwardScanDirection, limit == PG_INT64_MAX ? limit : limit + 1);
	close_leaf(&run);
	return count;
}

/* Does every log of the leaf pass, for all that is known of it? */
static bool
is_wanted_whole(LogScan *scan, Leaf *leaf)
{
	return scan->index == LEAF_PAGE_INDEX && scan->after == NULL && scan->before == NULL &&
		leaf->lower >= scan->low &&
		(leaf->upper <= scan->high || TIMESTAMP_IS_NOEND(scan->high));
}

/*
 * Pass over whole leaves that have at most limit logs.  The stream's index
 * stores keys once that many logs share, so it is several times shorter than
 * that of the pages.  Returns how many logs there were.
 */
static int64
pass_leaves(LogScan *scan, LeafRun *run, int64 limit)
{
	int64		passed = 0;

	while (!run->is_open && run->opened < run->count && limit - passed >= COUNTED_FROM)
	{
		Leaf	   *leaf = leaf_to_open(scan, run);
		int64		count;

		if (!is_wanted_whole(scan, leaf))
			break;
		count = count_leaf(leaf, &scan->key, scan->snapshot, limit - passed);
		if (count > limit - passed)
			break;
		passed += count;
		run->opened++;
	}
	return passed;
}

/*
 * Pass over count logs, by index entries alone where they decide.  Returns
 * how many there were.  Must come before the first log_scan_next().
 */
int64
log_scan_skip(LogScan *scan, int64 count)
{
	int64		skipped = 0;
	LeafRun    *run;

	if (scan->needs_row || (load_row(scan, &scan->daily) && load_row(scan, &scan->stray)))
	{
		while (skipped < count && log_scan_next(scan) != NULL)
			skipped++;
		return skipped;
	}

	run = load_row(scan, &scan->daily) ? &scan->daily : &scan->stray;
	if (count == 0 || !load_row(scan, run))
		return 0;

	/* Read the leaf anew, with its index pages pinned, from its first entry. */
	scan->index_tuples = true;
	close_leaf(run);
	run->current = NULL;
	run->opened--;
	for (;;)
	{
		skipped += pass_leaves(scan, run, count - skipped);
		if (skipped == count || !next_leaf(scan, run))
			return skipped;
		skipped += pass_entries(run, scan->direction, count - skipped);
		if (skipped == count)
			return skipped;
		close_leaf(run);
	}
}

/* End a scan. */
void
log_scan_end(LogScan *scan)
{
	close_leaf(&scan->daily);
	close_leaf(&scan->stray);
	pfree(scan->leaves);
	pfree(scan);
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
			IndexScanDesc scan = begin_by_execution(&leaf, id, GetActiveSnapshot(), false);

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

/* Count all of an execution's logs, by the index that knows the id itself. */
static int64
count_all(const ExecutionKey *key)
{
	LeafSet    *leaves = execution_leaves(key);
	int64		count = 0;

	for (int i = 0; i < leaves->count; i++)
		count += count_leaf(&leaves->leaves[i], key, GetActiveSnapshot(), PG_INT64_MAX);
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
		LeafRun		run = {0};

		if (leaf->lower > filter->end_time || leaf->upper <= filter->start_time)
			continue;
		open_by_execution(&run, leaf, key, GetActiveSnapshot(), false);
		while (index_getnext_slot(run.scan, ForwardScanDirection, run.raw))
		{
			TupleTableSlot *slot = in_our_order(&run);

			CHECK_FOR_INTERRUPTS();
			if (is_in_time(filter, slot) &&
				(!needs_row || log_filter_matches(filter, slot)))
				visit(slot, arg);
		}
		close_leaf(&run);
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
		LeafRun		run = {0};
		ScanKeyData scankey;

		if (leaves != NULL && !is_one_of(set->leaves[i].relid, leaves, count))
			continue;
		run.leaf = leaf_open(&set->leaves[i], LEAF_PAGE_INDEX);
		run.raw = leaf_slot_create(&run.leaf);
		run.converted = run.leaf.map ? log_slot_create(&TTSOpsVirtual) : NULL;
		run.scan = wflog_index_beginscan(run.leaf.table, run.leaf.index, GetActiveSnapshot(), 1);
		run.is_open = true;
		ScanKeyInit(&scankey, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash));
		index_rescan(run.scan, &scankey, 1, NULL, 0);
		if (index_getnext_slot(run.scan, ForwardScanDirection, run.raw))
		{
			bool		isnull;

			id = DatumGetTextPCopy(slot_getattr(in_our_order(&run), Anum_log_execution_id, &isnull));
		}
		close_leaf(&run);
	}
	pfree(set);
	return id;
}
