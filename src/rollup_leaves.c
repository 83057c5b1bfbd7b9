/*-------------------------------------------------------------------------
 *
 * rollup_leaves.c
 *	  Which leaves roll-ups can rely on; and clearing up after those that go.
 *
 * A roll-up says of a leaf that it has nothing of an execution by saying
 * nothing.  That holds only if every log in the leaf came by way of the row
 * trigger, with a stamp of this cluster, while roll-ups were watching.  A leaf
 * that is attached with logs in it, or that has been loaded with triggers
 * disabled, is read whole until maintenance has listed it: it stamps anew
 * what has an impossible stamp, and declares all roll-ups void, so that
 * whatever is rolled up from then on was counted with the leaf there.
 *
 * Void by TRUNCATE, because that works on every snapshot at once: a snapshot
 * from before sees no roll-up either.  It waits for nobody but who is just
 * reading a roll-up, and for him no longer than lock_timeout.
 *
 * All of this runs as a step of maintenance does: within SPI, as the owner.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "maintain.h"
#include "rollup.h"
#include "shared.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Is a leaf, which is locked by this, what it was when the row was written? */
bool
rollup_row_is_valid(Leaf *leaf, const RollupRow *row)
{
	Relation	table = table_open(leaf->relid, AccessShareLock);
	bool		valid = table->rd_rel->relfilenode == row->filenode &&
		leaf_trigger(table) == row->trigger && leaf_is_tracked(leaf);

	table_close(table, NoLock);
	return valid;
}

/* List a leaf, with the trigger it has now. */
void
rollup_list_leaf(Oid leaf)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(leaf)};

	(void) wflog_query("INSERT INTO wflog.rollup_leaves AS l "
					   "SELECT t.tgrelid, t.oid FROM pg_trigger t "
					   "WHERE t.tgrelid = $1 AND t.tgname = 'mark_log' "
					   "ON CONFLICT (leaf) DO UPDATE SET trigger = excluded.trigger",
					   1, types, values);
	/* sessions keep the list with the parent's leaves */
	CacheInvalidateRelcacheByRelid(wflog_table_oid(WFLOG_LOG_ROWS));
}

/* Declare all roll-ups void, for everybody and every snapshot. */
void
rollup_void_all(void)
{
	(void) rollup_lock(true);
	wflog_command("TRUNCATE wflog.rollup_heads");
}

/* Could maintenance list a leaf that is not? */
static bool
can_be_listed(Leaf *leaf, bool *is_empty)
{
	Relation	table;
	bool		can;

	if (get_rel_relkind(leaf->relid) != RELKIND_RELATION || leaf_is_tracked(leaf))
		return false;
	table = table_open(leaf->relid, AccessShareLock);
	can = OidIsValid(leaf_trigger(table));
	*is_empty = RelationGetNumberOfBlocks(table) == 0;
	table_close(table, NoLock);
	return can;
}

/* Is there a leaf to be listed? */
bool
rollup_leaf_is_missing(LeafSet *set)
{
	bool		is_empty;

	for (int i = 0; i < set->count; i++)
		if (can_be_listed(&set->leaves[i], &is_empty))
			return true;
	return false;
}

/* List the leaves that are not, and can be. */
void
rollup_list_leaves(WflogRun *run, void *arg)
{
	LeafSet    *set;
	bool		void_all = false;

	(void) rollup_lock(true);
	set = leaf_set_get();
	for (int i = 0; i < set->count; i++)
	{
		Oid			leaf = set->leaves[i].relid;
		bool		is_empty;

		if (!can_be_listed(&set->leaves[i], &is_empty))
			continue;
		if (!is_empty)
		{
			/* the row trigger gives a stamp in place of one that cannot be */
			wflog_command("UPDATE ONLY %s SET message = message "
						  "WHERE xact >= pg_snapshot_xmax(pg_current_snapshot()) OR xact = '0'",
						  quote_qualified_identifier(get_namespace_name(get_rel_namespace(leaf)),
													 get_rel_name(leaf)));
			activity_note_moved(leaf);
			void_all = true;
		}
		rollup_list_leaf(leaf);
	}
	if (void_all)
		rollup_void_all();
}

/*
 * Delete what belongs to leaves that are gone, heads under which nothing is
 * left, and the marks of executions that have no head.  Such a mark has been
 * made, or its transaction ended, before any roll-up that will be begun.
 */
void
rollup_sweep(WflogRun *run, void *arg)
{
	static const char *const no_leaf =
		"NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = r.leaf"
		" AND i.inhparent = 'wflog.workflow_execution_logs_rows'::regclass)";
	static const char *const no_head =
		"NOT EXISTS (SELECT FROM wflog.rollup_heads h WHERE h.execution_hash = r.execution_hash)";

	(void) rollup_lock(true);
	wflog_command("DELETE FROM wflog.rollup_leaves r WHERE %s", no_leaf);
	wflog_command("DELETE FROM wflog.rollups r WHERE %s", no_leaf);
	wflog_command("DELETE FROM wflog.rollup_milestones r WHERE %s", no_leaf);
	wflog_command("DELETE FROM wflog.rollup_heads h WHERE NOT EXISTS ("
				  "SELECT FROM wflog.rollups r WHERE r.execution_hash = h.execution_hash)");
	wflog_command("DELETE FROM wflog.rollups r WHERE %s", no_head);
	wflog_command("DELETE FROM wflog.rollup_milestones r WHERE %s", no_head);
	wflog_command("DELETE FROM wflog.rollup_marks r WHERE %s", no_head);
}
