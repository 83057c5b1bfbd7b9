/*-------------------------------------------------------------------------
 *
 * rollup_read.c
 *	  Reading by roll-up: what is rolled up, plus the rest.
 *
 * A head's set "seen" says whose logs are rolled up.  What a reader's snapshot
 * shows besides is found by transaction, in the index of the stream, and only
 * in leaves that a transaction outside of seen can have written to.  The sum is
 * what counting all would give, whatever the snapshot; see
 * docs/decisions/0011-rollups.md for why.
 *
 * A roll-up does not count for us if a mark is visible; and not for a leaf
 * that is not tracked, has been emptied or rewritten, or attached anew.  Under
 * SERIALIZABLE every leaf is looked into, so that what is not there is
 * remembered as read.
 *
 * Locks: rollup_heads first, so that nobody declares roll-ups void while we
 * rely on them; then the leaves' parent, then leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "rollup.h"
#include "shared.h"
#include "stream.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

/* Above these, the keeper is asked to fold. */
#define MANY_LEAVES 4
#define MANY_HIDDEN 16
#define MANY_ROWS 200

/* Above this, counting all by the index on execution_id is cheaper. */
#define TOO_MANY_ROWS 20000

/* Ask the keeper to fold an execution. */
static void
ask_keeper(int64 hash)
{
	DatabaseSlot *slot = my_slot();

	if (slot != NULL && !RecoveryInProgress())
		fold_hint(slot, hash, InvalidOid, 0);
}

/* Place of a leaf in the set, or -1. */
static int
find_leaf(const LeafSet *set, Oid relid)
{
	for (int i = 0; i < set->count; i++)
		if (set->leaves[i].relid == relid)
			return i;
	return -1;
}

/* Read what is rolled up by leaf.  Leaves of which that is void are to be read whole. */
static void
read_parts(Rollup *rollup, const ExecutionKey *key, bool *has_void)
{
	HashScan	scan;
	RollupRow	row;
	int			room = 0;

	hash_scan_begin(&scan, WFLOG_ROLLUPS, key->hash, InvalidOid, GetActiveSnapshot());
	while (rollup_next_row(&scan, key, &row))
	{
		int			leaf = find_leaf(rollup->leaves, row.leaf);
		RollupPart *part;

		if (leaf < 0)
			continue;			/* has been dropped */
		if (!rollup_row_is_valid(&rollup->leaves->leaves[leaf], &row))
		{
			rollup->shares[leaf] = SHARE_WHOLE;
			*has_void = true;
			continue;
		}
		if (rollup->part_count == room)
		{
			room = room ? room * 2 : 4;
			rollup->parts = rollup->parts ?
				repalloc(rollup->parts, sizeof(RollupPart) * room) :
				palloc(sizeof(RollupPart) * room);
		}
		part = &rollup->parts[rollup->part_count++];
		part->leaf = leaf;
		part->totals = palloc(row.totals_len);
		memcpy(part->totals, row.totals, row.totals_len);
		part->totals_len = row.totals_len;
	}
	hash_scan_end(&scan);
}

/* Decide how each leaf is to be read; returns how many have to be looked into. */
static int
share_leaves(Rollup *rollup)
{
	uint64		oldest = xact_set_least_absent(&rollup->seen);
	int			looked_into = 0;

	for (int i = 0; i < rollup->leaves->count; i++)
	{
		Leaf	   *leaf = &rollup->leaves->leaves[i];

		if (rollup->shares[i] == SHARE_WHOLE)
			;
		else if (!leaf_is_tracked(leaf))
			rollup->shares[i] = SHARE_WHOLE;
		else if (IsolationIsSerializable() || activity_last_xact(leaf->relid) >= oldest)
			rollup->shares[i] = SHARE_REST;
		if (rollup->shares[i] != SHARE_NOTHING)
			looked_into++;
	}
	return looked_into;
}

/*
 * Find out what is rolled up of an execution, for the active snapshot.  What
 * is read by it must be read before rollup_end().
 */
Rollup *
rollup_begin(const ExecutionKey *key)
{
	Rollup	   *rollup = palloc0(sizeof(Rollup));
	bool		has_void = false;
	Snapshot	snapshot = GetActiveSnapshot();

	rollup->heads = table_open(wflog_table_oid(WFLOG_ROLLUP_HEADS), AccessShareLock);
	/* the locks may be held from before; hear what has become of the leaves since */
	AcceptInvalidationMessages();
	rollup->leaves = leaf_set_get();
	rollup->shares = palloc0(sizeof(LeafShare) * (rollup->leaves->count + 1));
	rollup->usable = rollup_find_head(key, snapshot, &rollup->seen) &&
		!rollup_is_marked(key->hash, snapshot);
	if (!rollup->usable)
	{
		ask_keeper(key->hash);
		return rollup;
	}
	read_parts(rollup, key, &has_void);
	if (share_leaves(rollup) > MANY_LEAVES || has_void || rollup->seen.count > MANY_HIDDEN)
		ask_keeper(key->hash);
	return rollup;
}

/* Done with roll-ups; the leaves stay locked. */
void
rollup_end(Rollup *rollup)
{
	table_close(rollup->heads, AccessShareLock);
	rollup->heads = NULL;
}

/* The leaves to be read in a way; the place in the set of the only one, or -1 for all. */
static LeafSet *
leaves_of_share(const Rollup *rollup, LeafShare share, int only)
{
	LeafSet    *set = leaf_set_copy(rollup->leaves);

	set->count = 0;
	for (int i = 0; i < rollup->leaves->count; i++)
		if (rollup->shares[i] == share && (only < 0 || only == i))
			set->leaves[set->count++] = rollup->leaves->leaves[i];
	return set;
}

/*
 * Visit the logs that are not rolled up, up to a limit; beyond that, returns
 * false.
 */
bool
rollup_visit_rest(const Rollup *rollup, const ExecutionKey *key, LogVisitor visit, void *arg,
				  int64 limit)
{
	LeafSet    *set = leaves_of_share(rollup, SHARE_REST, -1);
	StreamScan *scan;
	TupleTableSlot *slot;
	int64		visited = 0;

	if (set->count > 0)
	{
		scan = stream_scan_open_in(set);
		stream_scan_aim_rest(scan, key, &rollup->seen);
		while (visited <= limit && (slot = stream_scan_next(scan)) != NULL)
		{
			visit(slot, arg);
			visited++;
		}
		stream_scan_end(scan);
		if (visited > MANY_ROWS)
			ask_keeper(key->hash);
		if (visited > limit)
			return false;
	}

	set = leaves_of_share(rollup, SHARE_WHOLE, -1);
	if (set->count > 0)
	{
		ExecutionKey whole = *key;

		whole.leaves = set;
		log_visit_all(&whole, log_filter_all(), visit, arg);
	}
	return true;
}

/* Add what is rolled up. */
static void
add_parts(const Rollup *rollup, LogTotals *totals)
{
	for (int i = 0; i < rollup->part_count; i++)
		totals_add_encoded(totals, rollup->parts[i].totals, rollup->parts[i].totals_len);
}

/* Add up all of an execution's logs; but of the milestones only those not rolled up are listed. */
void
rollup_totals(Rollup *rollup, const ExecutionKey *key, LogTotals *totals)
{
	if (!rollup->usable)
	{
		log_visit_all(key, log_filter_all(), totals_add_log, totals);
		return;
	}
	add_parts(rollup, totals);
	(void) rollup_visit_rest(rollup, key, totals_add_log, totals, PG_INT64_MAX);
}

/* How many of the logs counted pass a filter; -1 if the counts do not tell. */
static int64
count_of_filter(const LogCounts *counts, const LogFilter *filter)
{
	LogFilter	rest = *filter;
	bool		by_level = false;
	int64		count = 0;

	if (!TIMESTAMP_IS_NOBEGIN(filter->start_time) || !TIMESTAMP_IS_NOEND(filter->end_time))
		return -1;
	for (int i = 0; i < LEVEL_COUNT; i++)
	{
		if (filter->level_wanted[i])
			count += counts->levels[i];
		else
			by_level = true;
		rest.level_wanted[i] = true;
	}
	rest.event_type = -1;
	rest.milestones_only = false;
	if (log_filter_needs_row(&rest, false, false) ||
		by_level + (filter->event_type >= 0) + filter->milestones_only > 1)
		return -1;
	if (filter->event_type >= 0)
		return counts->event_types[filter->event_type];
	return filter->milestones_only ? counts->milestones : count;
}

/* How many of an execution's logs pass a filter. */
int64
rollup_count(Rollup *rollup, const ExecutionKey *key, const LogFilter *filter)
{
	LogTotals	totals;

	totals_init(&totals, false, false);
	if (!rollup->usable || count_of_filter(&totals.counts, filter) < 0)
		return log_count(key, filter);
	add_parts(rollup, &totals);
	if (!rollup_visit_rest(rollup, key, totals_add_log, &totals, TOO_MANY_ROWS))
		return log_count(key, filter);
	return count_of_filter(&totals.counts, filter);
}

/* Does a leaf have anything that is not rolled up? */
static bool
has_rest(const Rollup *rollup, const ExecutionKey *key, int leaf)
{
	LeafSet    *set = leaves_of_share(rollup, rollup->shares[leaf], leaf);
	StreamScan *scan;
	bool		found;

	if (rollup->shares[leaf] == SHARE_WHOLE)
	{
		ExecutionKey whole = *key;

		whole.leaves = set;
		log_find_leaves(&whole);
		return whole.leaves->count > 0;
	}
	scan = stream_scan_open_in(set);
	stream_scan_aim_rest(scan, key, &rollup->seen);
	found = stream_scan_next(scan) != NULL;
	stream_scan_end(scan);
	return found;
}

/*
 * Find out which leaves have anything of the execution, and keep to them from
 * now on.  What is committed later, the active snapshot does not show anyway.
 */
void
rollup_find_leaves(Rollup *rollup, ExecutionKey *key)
{
	LeafSet    *found = leaf_set_copy(rollup->leaves);

	if (!rollup->usable)
	{
		log_find_leaves(key);
		return;
	}
	found->count = 0;
	for (int i = 0; i < rollup->leaves->count; i++)
	{
		bool		present = false;

		for (int part = 0; part < rollup->part_count; part++)
			if (rollup->parts[part].leaf == i)
				present = true;
		if (!present && rollup->shares[i] != SHARE_NOTHING)
			present = has_rest(rollup, key, i);
		if (present)
			found->leaves[found->count++] = rollup->leaves->leaves[i];
	}
	key->leaves = found;
}

/* Write the rolled-up milestones; false if they do not come in order. */
static bool
write_chunks(const Rollup *rollup, const ExecutionKey *key, MilestoneWriter *writer,
			 MilestoneList *list)
{
	for (int i = 0; i < rollup->part_count; i++)
	{
		HashScan	scan;
		struct varlena *chunk;
		int32		number;
		bool		in_order = true;

		hash_scan_begin(&scan, WFLOG_ROLLUP_MILESTONES, key->hash,
						rollup->leaves->leaves[rollup->parts[i].leaf].relid, GetActiveSnapshot());
		while (in_order &&
			   (chunk = rollup_next_chunk(&scan, key, ForwardScanDirection, &number)) != NULL)
		{
			if (list)
			{
				chunk = PG_DETOAST_DATUM_COPY(PointerGetDatum(chunk));
				milestones_add_chunk(list, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
			}
			else
				in_order = milestones_write_chunk(writer, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
		}
		hash_scan_end(&scan);
		if (!in_order)
			return false;
	}
	return true;
}

/* Parts in the order of their leaves' ranges. */
static int
compare_parts(const void *a, const void *b)
{
	return ((const RollupPart *) a)->leaf - ((const RollupPart *) b)->leaf;
}

/*
 * Write all milestones in order of time: those rolled up, and those that
 * rollup_totals() has listed.
 */
void
json_milestones(StringInfo buf, Rollup *rollup, const ExecutionKey *key, LogTotals *totals)
{
	MilestoneList *rest = &totals->milestones;
	MilestoneWriter writer = {.buf = buf};
	int			begin;

	json_literal(buf, "[");
	begin = buf->len;
	milestones_sort(rest);
	if (rollup->part_count > 1)
		qsort(rollup->parts, rollup->part_count, sizeof(RollupPart), compare_parts);
	if (totals->counts.milestones > rest->count)
	{
		if (!write_chunks(rollup, key, &writer, NULL) || !milestones_write_list(&writer, rest))
		{
			MilestoneList all = {0};

			for (int64 i = 0; i < rest->count; i++)
				milestones_add(&all, &rest->items[i]);
			(void) write_chunks(rollup, key, &writer, &all);
			milestones_sort(&all);
			buf->len = begin;
			writer.any = false;
			(void) milestones_write_list(&writer, &all);
		}
	}
	else
		(void) milestones_write_list(&writer, rest);
	json_literal(buf, "]");
}

/* Find out which leaves have anything of the execution, and keep to them from now on. */
void
execution_find_leaves(ExecutionKey *key)
{
	Rollup	   *rollup = rollup_begin(key);

	rollup_find_leaves(rollup, key);
	rollup_end(rollup);
}

/* How many of an execution's logs pass a filter. */
int64
execution_count(const ExecutionKey *key, const LogFilter *filter)
{
	Rollup	   *rollup = rollup_begin(key);
	int64		count = rollup_count(rollup, key, filter);

	rollup_end(rollup);
	return count;
}
