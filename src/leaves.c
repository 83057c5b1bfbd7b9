/*-------------------------------------------------------------------------
 *
 * leaves.c
 *	  The partitions that hold logs as rows, and their indexes.
 *
 * Readers go to leaves and indexes directly: planning a statement over a
 * month of leaves costs more than answering it.  The list is cached per
 * backend and dropped by relcache invalidation of the parent or a leaf.
 *
 * Locks: leaf_set_get() takes AccessShareLock on the parent of the leaves and
 * keeps it to the end of the transaction, so no leaf of the list can go
 * before leaf_open() locks it; leaves stay locked likewise, as with any
 * SELECT.  Indexes are locked while they are open.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "leaves.h"
#include "nodes/primnodes.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static MemoryContext cache_context = NULL;
static LeafSet *cached_set = NULL;
static Oid	cached_parent = InvalidOid;
static bool callback_registered = false;
static uint64 invalidations = 0;

#define INDEX_COLUMNS 3

static const char *const index_columns[LEAF_INDEX_COUNT][INDEX_COLUMNS] = {
	[LEAF_PAGE_INDEX] = {"execution_hash", "created_at", "id"},
	[LEAF_STREAM_INDEX] = {"execution_id", "xact", "seq"},
	[LEAF_ERRORS_INDEX] = {"execution_hash", "created_at", "id"},
	[LEAF_MILESTONES_INDEX] = {"execution_hash", "created_at", "id"},
};

/* Forget the list when the parent or one of the leaves has changed. */
static void
invalidate_leaves(Datum arg, Oid relid)
{
	invalidations++;
	if (cached_set == NULL)
		return;
	if (relid == InvalidOid || relid == cached_parent)
		cached_set = NULL;
	else
		for (int i = 0; i < cached_set->count; i++)
			if (cached_set->leaves[i].relid == relid)
			{
				cached_set = NULL;
				break;
			}
}

/* One end of a range partition, from the bounds' arrays. */
static TimestampTz
bound_value(PartitionBoundInfo bounds, int i, bool is_upper)
{
	if (i < 0 || (i < bounds->ndatums && bounds->kind[i][0] == PARTITION_RANGE_DATUM_MINVALUE))
		return DT_NOBEGIN;
	if (i >= bounds->ndatums || bounds->kind[i][0] == PARTITION_RANGE_DATUM_MAXVALUE)
		return DT_NOEND;
	return DatumGetTimestampTz(bounds->datums[i][0]);
}

/*
 * Note which leaves wflog.rollup_leaves lists.  Whatever changes that table
 * invalidates the parent as well (rollup_leaves.c), and so this list.
 */
static void
note_listed(LeafSet *set)
{
	Oid			relid = wflog_table_oid(WFLOG_ROLLUP_LEAVES);
	Relation	table = table_open(relid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(relid));
	TableScanDesc scan = table_beginscan(table, snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < set->count; i++)
			if (set->leaves[i].relid == DatumGetObjectId(slot->tts_values[0]))
				set->leaves[i].listed_trigger = DatumGetObjectId(slot->tts_values[1]);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, AccessShareLock);
}

/* Read the list from the parent's partition descriptor into the cache. */
static void
load_set(Relation parent)
{
	PartitionDesc desc = RelationGetPartitionDesc(parent, true);
	PartitionBoundInfo bounds = desc->boundinfo;
	LeafSet    *set;
	uint64		before;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(invalidate_leaves, (Datum) 0);
		callback_registered = true;
	}
	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(CacheMemoryContext, "wflog leaves",
											  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(cache_context);
	set = MemoryContextAllocZero(cache_context,
								 offsetof(LeafSet, leaves) + sizeof(Leaf) * desc->nparts);
	for (int i = 0; bounds && i <= bounds->ndatums; i++)
	{
		int			part = bounds->indexes[i];
		Leaf	   *leaf;

		if (part < 0)
			continue;			/* a gap between leaves */
		leaf = &set->leaves[set->count++];
		leaf->relid = desc->oids[part];
		leaf->lower = bound_value(bounds, i - 1, false);
		leaf->upper = bound_value(bounds, i, true);
	}
	if (bounds && bounds->default_index >= 0)
	{
		Leaf	   *leaf = &set->leaves[set->count++];

		leaf->relid = desc->oids[bounds->default_index];
		leaf->is_default = true;
		leaf->lower = DT_NOBEGIN;
		leaf->upper = DT_NOEND;
	}
	before = invalidations;
	note_listed(set);
	cached_set = set;
	/* what has changed meanwhile, the next reader learns */
	cached_parent = invalidations == before ? RelationGetRelid(parent) : InvalidOid;
}

/* The leaves, as a copy in the current memory context. */
LeafSet *
leaf_set_get(void)
{
	Relation	parent = table_open(wflog_table_oid(WFLOG_LOG_ROWS), AccessShareLock);

	if (cached_set == NULL || cached_parent != RelationGetRelid(parent))
		load_set(parent);
	table_close(parent, NoLock);
	return leaf_set_copy(cached_set);
}

/* A copy in the current memory context. */
LeafSet *
leaf_set_copy(const LeafSet *set)
{
	Size		size = offsetof(LeafSet, leaves) + sizeof(Leaf) * set->count;
	LeafSet    *copy = palloc(size);

	memcpy(copy, set, size);
	return copy;
}

/* Is the predicate "level >= 'ERROR'", as on the default leaf? */
static bool
is_errors_predicate(List *predicate)
{
	OpExpr	   *op;
	Const	   *level;

	if (list_length(predicate) != 1 || !IsA(linitial(predicate), OpExpr))
		return false;
	op = linitial_node(OpExpr, predicate);
	if (op->opfuncid != F_ENUM_GE && get_opcode(op->opno) != F_ENUM_GE)
		return false;
	if (!IsA(lsecond(op->args), Const))
		return false;
	level = lsecond_node(Const, op->args);
	return !level->constisnull &&
		DatumGetObjectId(level->constvalue) == wflog_enum_oid(WFLOG_LEVEL_ENUM, LEVEL_ERROR);
}

/* Is the predicate the column is_milestone? */
static bool
is_milestones_predicate(List *predicate, TupleDesc desc)
{
	Var		   *var;

	if (list_length(predicate) != 1 || !IsA(linitial(predicate), Var))
		return false;
	var = linitial_node(Var, predicate);
	return strcmp(NameStr(TupleDescAttr(desc, var->varattno - 1)->attname), "is_milestone") == 0;
}

/* The column of "seq >> STREAM_GROUP_SHIFT", the one expression of an index; 0 if it is not. */
static AttrNumber
grouped_column(Relation index)
{
	List	   *expressions = RelationGetIndexExpressions(index);
	OpExpr	   *op;
	Const	   *shift;

	if (list_length(expressions) != 1 || !IsA(linitial(expressions), OpExpr))
		return 0;
	op = linitial_node(OpExpr, expressions);
	if (get_opcode(op->opno) != F_INT4SHR || !IsA(linitial(op->args), Var) ||
		!IsA(lsecond(op->args), Const))
		return 0;
	shift = lsecond_node(Const, op->args);
	if (shift->constisnull || DatumGetInt32(shift->constvalue) != STREAM_GROUP_SHIFT)
		return 0;
	return linitial_node(Var, op->args)->varattno;
}

/* Does an index serve as the given one? */
static bool
index_serves(Relation table, Relation index, LeafIndex which)
{
	Form_pg_index form = index->rd_index;
	TupleDesc	desc = RelationGetDescr(table);
	List	   *predicate;

	if (!form->indisvalid || form->indnkeyatts != INDEX_COLUMNS ||
		index->rd_rel->relam != BTREE_AM_OID)
		return false;
	for (int i = 0; i < INDEX_COLUMNS; i++)
	{
		AttrNumber	attno = form->indkey.values[i];

		if (attno == 0 && which == LEAF_STREAM_INDEX && i == INDEX_COLUMNS - 1)
			attno = grouped_column(index);
		else if (which == LEAF_STREAM_INDEX && i == INDEX_COLUMNS - 1)
			return false;
		if (attno <= 0 || index->rd_indoption[i] != 0 ||
			strcmp(NameStr(TupleDescAttr(desc, attno - 1)->attname), index_columns[which][i]) != 0)
			return false;
	}
	/* as for the planner: rows updated before it was built may be missing to old snapshots */
	if (form->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin))
		return false;
	predicate = RelationGetIndexPredicate(index);
	switch (which)
	{
		case LEAF_ERRORS_INDEX:
			return is_errors_predicate(predicate);
		case LEAF_MILESTONES_INDEX:
			return is_milestones_predicate(predicate, desc);
		default:
			return predicate == NIL;
	}
}

/*
 * Does a map from a leaf to the parent leave every column where it is, with the
 * value that is stored there?  The parent has a dropped column besides.
 */
static bool
is_identity(const AttrMap *map, TupleDesc leaf)
{
	for (int i = 0; i < map->maplen; i++)
	{
		if (i >= leaf->natts ? map->attnums[i] != 0 : map->attnums[i] != i + 1)
			return false;
		if (i < leaf->natts && TupleDescAttr(leaf, i)->atthasmissing)
			return false;
	}
	return leaf->natts <= map->maplen;
}

/* The attribute map from a leaf to our column order; NULL if it is the same. */
static AttrMap *
layout_map(Relation table)
{
	Relation	parent = table_open(wflog_table_oid(WFLOG_LOGS), AccessShareLock);
	AttrMap    *map = wflog_attrmap_if_req(RelationGetDescr(table), RelationGetDescr(parent));

	table_close(parent, NoLock);
	if (map && is_identity(map, RelationGetDescr(table)))
	{
		free_attrmap(map);
		map = NULL;
	}
	return map;
}

/* Remember for the next reader what has been learnt of a leaf. */
static void
remember_leaf(const Leaf *leaf)
{
	for (int i = 0; cached_set && i < cached_set->count; i++)
		if (cached_set->leaves[i].relid == leaf->relid)
			cached_set->leaves[i] = *leaf;
}

/*
 * The trigger by which roll-ups learn of what is changed in a leaf; InvalidOid
 * if it does not always fire, or if a crash may change the leaf besides.  It
 * is another one each time the leaf is attached.
 */
Oid
leaf_trigger(Relation table)
{
	TriggerDesc *triggers = table->trigdesc;
	Oid			mark = InvalidOid;
	bool		stamped = false;

	if (triggers == NULL || table->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		return InvalidOid;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgenabled != TRIGGER_FIRES_ALWAYS || !trigger->tgisclone)
			continue;
		if (strcmp(trigger->tgname, "mark_log") == 0)
			mark = trigger->tgoid;
		if (strcmp(trigger->tgname, "log_row") == 0)
			stamped = true;
	}
	return stamped ? mark : InvalidOid;
}

/* Learn whether roll-ups know whatever is written to a leaf, which is locked. */
static void
learn_tracked(Leaf *leaf, Relation table)
{
	Oid			trigger = leaf_trigger(table);

	leaf->tracked = OidIsValid(trigger) && trigger == leaf->listed_trigger;
	leaf->tracked_known = true;
	remember_leaf(leaf);
}

/*
 * Whether roll-ups know whatever is written to a leaf.  If not, they must not
 * be relied on for it, neither for what they say nor for what they do not.
 */
bool
leaf_is_tracked(Leaf *leaf)
{
	if (!leaf->tracked_known)
	{
		Relation	table = table_open(leaf->relid, AccessShareLock);

		learn_tracked(leaf, table);
		table_close(table, NoLock);
	}
	return leaf->tracked;
}

/* Learn a leaf's layout and indexes, and remember them for the next reader. */
static void
learn_leaf(Leaf *leaf, Relation table)
{
	List	   *oids = RelationGetIndexList(table);
	ListCell   *cell;

	memset(leaf->indexes, 0, sizeof(leaf->indexes));
	foreach(cell, oids)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		for (int which = 0; which < LEAF_INDEX_COUNT; which++)
			if (!OidIsValid(leaf->indexes[which]) && index_serves(table, index, which))
				leaf->indexes[which] = RelationGetRelid(index);
		index_close(index, AccessShareLock);
	}
	list_free(oids);
	leaf->same_layout = layout_map(table) == NULL;
	for (int which = 0; which < LEAF_INDEX_COUNT; which++)
		if (!OidIsValid(leaf->indexes[which]))
			return;				/* ask again next time */
	leaf->known = true;
	remember_leaf(leaf);
}

/*
 * Can leaf_open() open a leaf by an index?  For whom its error would keep from
 * everything else.  Locks the leaf, unless it is known.
 */
bool
leaf_has_index(Leaf *leaf, LeafIndex which)
{
	if (!leaf->known)
	{
		Relation	table = table_open(leaf->relid, AccessShareLock);
		bool		ordinary = table->rd_rel->relkind == RELKIND_RELATION;

		if (ordinary)
			learn_leaf(leaf, table);
		table_close(table, NoLock);
		if (!ordinary)
			return false;
	}
	return OidIsValid(leaf->indexes[which]);
}

/*
 * Open a leaf and one of its indexes.  55000 if it lacks the index, which can
 * be so while a dump is being restored.
 */
OpenLeaf
leaf_open(Leaf *leaf, LeafIndex which)
{
	OpenLeaf	open;

	open.table = table_open(leaf->relid, AccessShareLock);
	if (open.table->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition \"%s\" is not an ordinary table",
						RelationGetRelationName(open.table)),
				 errhint("Detach it; wflog reads tables only.")));
	if (!leaf->known)
		learn_leaf(leaf, open.table);
	if (!OidIsValid(leaf->indexes[which]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 which == LEAF_STREAM_INDEX ?
				 errmsg("partition \"%s\" has no index on (%s, %s, %s >> %d)",
						RelationGetRelationName(open.table), index_columns[which][0],
						index_columns[which][1], index_columns[which][2], STREAM_GROUP_SHIFT) :
				 errmsg("partition \"%s\" has no index on (%s, %s, %s)",
						RelationGetRelationName(open.table), index_columns[which][0],
						index_columns[which][1], index_columns[which][2]),
				 errhint("CALL wflog.maintain() makes the indexes that are missing.")));
	open.index = index_open(leaf->indexes[which], AccessShareLock);
	open.map = leaf->same_layout ? NULL : layout_map(open.table);
	return open;
}

/* Close a leaf; its lock is kept to the end of the transaction. */
void
leaf_close(OpenLeaf *open)
{
	index_close(open->index, AccessShareLock);
	table_close(open->table, NoLock);
	if (open->map)
		free_attrmap(open->map);
	memset(open, 0, sizeof(*open));
}
