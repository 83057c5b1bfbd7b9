/*-------------------------------------------------------------------------
 *
 * log_scan.c
 *	  Reading an execution's logs in page order, which is (created_at, id).
 *
 * The daily leaves follow each other in time, so they are read one after the
 * other; the default leaf may hold any time, so it is read beside them and
 * merged.  Each is read by the index that has the fewest entries for the
 * filter.  Their keys hold a hash of the execution's id; the id itself is
 * compared on every row that is fetched.
 *
 * All reads use the snapshot that is active at the beginning.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_type.h"
#include "leaf_scan.h"
#include "log_scan.h"
#include "utils/fmgroids.h"
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
	LeafScan	scan;			/* of the one whose turn it is */
	TupleTableSlot *current;	/* the row not yet taken, or NULL */
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

/* Does the row belong to the execution, or only share its hash? */
static inline bool
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

	leaf_scan_open(&run->scan, leaf, scan->index);
	leaf_scan_begin(&run->scan, scan->snapshot, keys, nkeys, scan->index_tuples);
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
	while (!run->scan.is_open)
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

/* Make the run's next row that passes current; false if there is none. */
static bool
load_row(LogScan *scan, LeafRun *run)
{
	if (run->current)
		return true;
	while (next_leaf(scan, run))
	{
		while (index_getnext_slot(run->scan.scan, scan->direction, run->scan.raw))
		{
			TupleTableSlot *slot = leaf_scan_row(&run->scan);

			CHECK_FOR_INTERRUPTS();
			if (slot_is_of_execution(slot, &scan->key) &&
				(!scan->needs_row || log_filter_matches(scan->filter, slot)))
			{
				run->current = slot;
				return true;
			}
		}
		leaf_scan_close(&run->scan);
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

	while (!run->scan.is_open && run->opened < run->count && limit - passed >= COUNTED_FROM)
	{
		Leaf	   *leaf = leaf_to_open(scan, run);
		int64		count;

		if (!is_wanted_whole(scan, leaf))
			break;
		count = log_count_leaf(leaf, &scan->key, scan->snapshot, limit - passed);
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
	leaf_scan_close(&run->scan);
	run->current = NULL;
	run->opened--;
	for (;;)
	{
		skipped += pass_leaves(scan, run, count - skipped);
		if (skipped == count || !next_leaf(scan, run))
			return skipped;
		skipped += leaf_scan_pass(&run->scan, scan->direction, count - skipped);
		if (skipped == count)
			return skipped;
		leaf_scan_close(&run->scan);
	}
}

/* End a scan. */
void
log_scan_end(LogScan *scan)
{
	leaf_scan_close(&scan->daily.scan);
	leaf_scan_close(&scan->stray.scan);
	pfree(scan->leaves);
	pfree(scan);
}
