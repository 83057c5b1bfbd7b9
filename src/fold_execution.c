/*-------------------------------------------------------------------------
 *
 * fold_execution.c
 *	  Folding an execution's logs into its roll-up.
 *
 * What a snapshot S shows and the head's set "seen" does not is read in the
 * order of the stream, added to what is rolled up, and seen becomes S.  What
 * makes that right (docs/decisions/0011-rollups.md has the reasons):
 *
 * - Two never fold at the same time: the fold lock, until the commit.  S is
 *   taken after it, so it shows what the last one has written.
 * - Our own transaction id is drawn after S, so no id in S is greater.  If the
 *   head survives a crash, that id does, and none below is given out again.
 * - A mark that S shows means that logs have been changed which are rolled up.
 *   All is counted anew under S then, and the marks go that S shows; those
 *   that it does not are left for next time.
 * - Leaves that are not tracked are not rolled up at all.
 *
 * A large execution is folded in slices: up to some transaction, and seen
 * becomes what S shows of those up to there.
 *
 * No lock is taken that a writer could wait for: AccessShareLock on leaves as
 * any reader, row locks on tables which nobody else writes to but by
 * inserting.  We wait for locks no longer than maintenance does.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "execution.h"
#include "fold.h"
#include "maintain.h"
#include "rollup.h"
#include "stream.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Logs of a slice, if a transaction ends there. */
#define SLICE 50000

struct Fold
{
	MemoryContext memory;		/* of the transaction */
	MemoryContext scratch;		/* of the execution at hand */
	WflogCaller caller;
	Snapshot	snapshot;
	XactSet		shown;			/* by it */
	LeafSet    *leaves;			/* all */
	StreamScan *scan;			/* of those that are tracked */
	int64		rows;
};

/* What is rolled up in a leaf. */
typedef struct FoldPart
{
	Oid			leaf;
	LogTotals	totals;			/* its milestones are only the new ones */
	bool		changed;
} FoldPart;

/* The execution at hand. */
typedef struct Folding
{
	ExecutionKey key;
	bool		has_head;
	bool		recount;
	XactSet		seen;
	List	   *parts;			/* of FoldPart */
	List	   *gone;			/* leaves, of Oid */
	uint64		last_xact;		/* of the logs added; 0: none */
} Folding;

/* Begin a transaction for folding. */
Fold *
fold_begin(void)
{
	Fold	   *fold;
	LeafSet    *tracked;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	fold = palloc0(sizeof(Fold));
	fold->memory = CurrentMemoryContext;
	fold->scratch = AllocSetContextCreate(CurrentMemoryContext, "wflog fold", ALLOCSET_DEFAULT_SIZES);
	wflog_enter_owner(&fold->caller);
	(void) rollup_lock(true);

	fold->snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(fold->snapshot);
	fold->shown = xact_set_from_snapshot(fold->snapshot);
	if (U64FromFullTransactionId(GetTopFullTransactionId()) < fold->shown.xmax)
		elog(ERROR, "the transaction has an older id than its snapshot shows");

	fold->leaves = leaf_set_get();
	tracked = leaf_set_copy(fold->leaves);
	tracked->count = 0;
	for (int i = 0; i < fold->leaves->count; i++)
		if (leaf_is_tracked(&fold->leaves->leaves[i]))
			tracked->leaves[tracked->count++] = fold->leaves->leaves[i];
	fold->scan = stream_scan_open_in(tracked);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(fold->memory);
	return fold;
}

/* Commit it.  Returns how many logs have been folded. */
int64
fold_end(Fold *fold, bool *leaf_missing)
{
	int64		rows = fold->rows;

	stream_scan_end(fold->scan);
	*leaf_missing = rollup_leaf_is_missing(fold->leaves);
	SPI_finish();
	PopActiveSnapshot();
	UnregisterSnapshot(fold->snapshot);
	wflog_become_caller(&fold->caller);
	CommitTransactionCommand();
	return rows;
}

/* Find or make the part of a leaf. */
static FoldPart *
find_part(Folding *folding, Oid leaf)
{
	FoldPart   *part;
	ListCell   *cell;

	foreach(cell, folding->parts)
	{
		part = lfirst(cell);
		if (part->leaf == leaf)
			return part;
	}
	part = palloc0(sizeof(FoldPart));
	part->leaf = leaf;
	totals_init(&part->totals, true, true);
	folding->parts = lappend(folding->parts, part);
	return part;
}

/* The leaf of that OID, or NULL. */
static Leaf *
find_leaf(LeafSet *set, Oid relid)
{
	for (int i = 0; i < set->count; i++)
		if (set->leaves[i].relid == relid)
			return &set->leaves[i];
	return NULL;
}

/* Read what is rolled up.  If some of it is void, all is to be counted anew. */
static void
load_parts(Fold *fold, Folding *folding)
{
	HashScan	scan;
	RollupRow	row;

	hash_scan_begin(&scan, WFLOG_ROLLUPS, folding->key.hash, InvalidOid, fold->snapshot);
	while (!folding->recount && rollup_next_row(&scan, &folding->key, &row))
	{
		Leaf	   *leaf = find_leaf(fold->leaves, row.leaf);

		if (leaf == NULL)
			folding->gone = list_append_unique_oid(folding->gone, row.leaf);
		else if (!rollup_row_is_valid(leaf, &row))
			folding->recount = true;
		else
			totals_add_encoded(&find_part(folding, row.leaf)->totals, row.totals, row.totals_len);
	}
	hash_scan_end(&scan);
}

/* Add what the snapshot shows and has not been seen; false if that was but a slice. */
static bool
add_logs(Fold *fold, Folding *folding)
{
	static const XactSet any = {PG_UINT64_MAX, 0, NULL};
	int64		rows = 0;

	/* logs with stamps that are still to come are not ours to count yet */
	MemoryContextSwitchTo(fold->memory);
	stream_scan_aim_between(fold->scan, &folding->key, &folding->seen, &fold->shown, &any);
	for (;;)
	{
		TupleTableSlot *slot = stream_scan_next(fold->scan);
		uint64		xact = slot ? stream_xact(slot) : 0;
		FoldPart   *part;

		if (slot == NULL || (rows >= SLICE && xact != folding->last_xact))
		{
			MemoryContextSwitchTo(fold->scratch);
			return slot == NULL;
		}
		MemoryContextSwitchTo(fold->scratch);
		part = find_part(folding, slot->tts_tableOid);
		totals_add_log(slot, &part->totals);
		part->changed = true;
		folding->last_xact = xact;
		rows++;
		fold->rows++;
		MemoryContextSwitchTo(fold->memory);
	}
}

/*
 * Whose logs are rolled up now.  Ids that cannot matter are left out: it is
 * enough to go up to the last log added, if that takes in none that is hidden,
 * or up to the first hidden one.
 */
static XactSet
new_seen(const Fold *fold, const Folding *folding, bool complete)
{
	uint64		end = folding->last_xact + 1;
	XactSet		shown;

	if (complete)
		end = Max(Max(end, folding->seen.xmax), xact_set_least_absent(&fold->shown));
	shown = xact_set_clip(&fold->shown, end);
	return xact_set_union(&folding->seen, &shown);
}

/*
 * Write the new milestones of a leaf.  The last chunk there is is filled up
 * first.
 */
static void
write_milestones(Fold *fold, Folding *folding, FoldPart *part)
{
	MilestoneList *list = &part->totals.milestones;
	HashScan	scan;
	int32		number = 1;
	struct varlena *last;

	/* after a recount the old ones have been deleted, though the snapshot shows them */
	if (!folding->recount)
	{
		hash_scan_begin(&scan, WFLOG_ROLLUP_MILESTONES, folding->key.hash, part->leaf, fold->snapshot);
		last = rollup_next_chunk(&scan, &folding->key, BackwardScanDirection, &number);
		if (last != NULL)
		{
			last = PG_DETOAST_DATUM_COPY(PointerGetDatum(last));
			milestones_add_chunk(list, VARDATA_ANY(last), VARSIZE_ANY_EXHDR(last));
		}
		hash_scan_end(&scan);
	}
	milestones_sort(list);
	for (int64 next = 0; next < list->count; number++)
	{
		bytea	   *chunk = milestones_to_chunk(list, &next);

		rollup_write_chunk(&folding->key, part->leaf, number, chunk, fold->snapshot);
	}
}

/* Write what has changed. */
static void
write_parts(Fold *fold, Folding *folding)
{
	ListCell   *cell;

	foreach(cell, folding->parts)
	{
		FoldPart   *part = lfirst(cell);
		bytea	   *totals;
		Relation	table;
		RollupRow	row;

		if (!part->changed)
			continue;
		totals = totals_encode(&part->totals);
		table = table_open(part->leaf, AccessShareLock);
		row.leaf = part->leaf;
		row.filenode = table->rd_rel->relfilenode;
		row.trigger = leaf_trigger(table);
		row.totals = VARDATA(totals);
		row.totals_len = VARSIZE(totals) - VARHDRSZ;
		table_close(table, NoLock);
		rollup_write_row(&folding->key, &row, fold->snapshot);
		if (part->totals.milestones.count > 0)
			write_milestones(fold, folding, part);
	}
}

/* Read, add and write; true if it is complete. */
static bool
fold_key(Fold *fold, const ExecutionKey *key)
{
	Folding		folding = {.key = *key};
	bool		marked = rollup_is_marked(key->hash, fold->snapshot);
	bool		complete;
	XactSet		seen;
	ListCell   *cell;

	folding.has_head = rollup_find_head(key, fold->snapshot, &folding.seen);
	folding.recount = marked || !folding.has_head;
	load_parts(fold, &folding);
	if (folding.recount)
	{
		folding.seen = xact_set_empty();
		folding.parts = NIL;
		folding.gone = NIL;
		/* rows without a head are left over from when all was declared void */
		if (folding.has_head || rollup_has_rows(key->hash, fold->snapshot))
			rollup_delete_all(key->hash, fold->snapshot);
	}
	complete = add_logs(fold, &folding);

	foreach(cell, folding.gone)
		rollup_delete_leaf(key->hash, lfirst_oid(cell), fold->snapshot);
	if (folding.parts != NIL)
	{
		write_parts(fold, &folding);
		seen = new_seen(fold, &folding, complete);
		rollup_write_head(key, &seen, fold->snapshot);
	}
	else if (folding.has_head && !folding.recount)
		rollup_delete_all(key->hash, fold->snapshot);
	if (marked)
		rollup_delete_marks(key->hash, fold->snapshot);
	return complete;
}

/*
 * Fold the logs of the execution with a hash; leaf is where it has some, if
 * that is known.  If several share the hash, one of them is as good as any:
 * the others are counted by whoever reads them.  Returns whether it is
 * complete; if not, it is to be called again in another transaction.
 */
bool
fold_execution(Fold *fold, int64 hash, Oid leaf)
{
	MemoryContext saved = MemoryContextSwitchTo(fold->scratch);
	text	   *id = rollup_id_of_hash(hash, fold->snapshot);
	bool		complete = true;

	if (id == NULL && OidIsValid(leaf))
		id = execution_of_hash(hash, &leaf, 1);
	if (id == NULL)
		id = execution_of_hash(hash, NULL, 0);
	if (id != NULL)
	{
		ExecutionKey key = execution_key(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));

		/* a log without our hash has not come by our trigger */
		if (key.hash == hash)
			complete = fold_key(fold, &key);
	}
	MemoryContextSwitchTo(saved);
	MemoryContextReset(fold->scratch);
	return complete;
}
