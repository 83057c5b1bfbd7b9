/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  Removing what is past its time.
 *
 * How long an execution's logs are kept: by the policy of its workflow, else
 * of its workflow's tier, else the default policy, else
 * wflog.retention_days.  An execution that is not registered has the default.
 * Age is counted from created_at.
 *
 * A leaf goes as a whole as soon as its range is past the time of every
 * execution in it.  Until then rows are deleted in it only where a policy is
 * shorter than the default, or where others in the leaf are kept longer and
 * the whole range is past the execution's own time.  So without policies no
 * row is ever deleted, leaves are dropped.  In the default leaf, which cannot
 * be dropped, rows are deleted.
 *
 * What is removed leaves a trace in removed_logs: the largest xact of each
 * execution, by which tail() tells a cursor that has missed something.  For
 * deleted rows it comes from RETURNING; a leaf is locked against its writers
 * before the extents are read, and emptied under that lock, so that it cannot
 * miss a row.
 *
 * Which executions a leaf holds is read by skipping along the index that
 * begins with execution_id (in the order of bytes, as it has it), one probe an
 * execution; their extents by one more probe each in the same, of which xact is
 * the next column.  Neither depends on how many logs there are.  A scan of the
 * leaf would.
 *
 * Emptying is TRUNCATE, which conflicts with readers and writers of that leaf
 * alone; dropping conflicts with everybody who uses the table, and so comes
 * last, on leaves that are empty, under lock_timeout.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "maintain.h"

/* Keep times beyond this would leave the range of timestamps. */
#define MAX_KEEP_DAYS 365000

/* How many executions of a leaf are dealt with at a time. */
#define EXECUTION_BATCH 10000

/* ---- what is kept for how long ---- */

/* Read the policies into the run. */
static void
read_policies(WflogRun *run, void *arg)
{
	Oid			types[] = {INT4OID, INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(*(int *) arg), Int32GetDatum(wflog_retention_days),
	Int32GetDatum(MAX_KEEP_DAYS)};

	wflog_query("SELECT least(d.keep, $3), least(d.keep, min(p.keep_days), $3),"
				"  least(greatest(d.keep, max(p.keep_days)), $3) "
				"FROM (SELECT coalesce(nullif($1, 0), (SELECT keep_days FROM wflog.retention_policies"
				"    WHERE scope = 'default'), $2) AS keep) d"
				"  LEFT JOIN wflog.retention_policies p ON p.scope <> 'default' "
				"GROUP BY d.keep", 3, types, values);
	run->default_days = DatumGetInt32(wflog_result(0, 1, NULL));
	run->least_days = DatumGetInt32(wflog_result(0, 2, NULL));
	run->most_days = DatumGetInt32(wflog_result(0, 3, NULL));
}

/* Find out what is kept for how long; retention_days as in wflog_begin_run(). */
void
wflog_read_policies(WflogRun *run, int retention_days)
{
	if (!wflog_attempt(run, read_policies, &retention_days, "read the retention policies"))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not read the retention policies")));
}

/* The time before which what is kept for that many days is due. */
static TimestampTz
cutoff(WflogRun *run, int days)
{
	return run->now - days * USECS_PER_DAY;
}

/*
 * Whether everything in a leaf is due: its range is past the time of every
 * execution in it.
 */
bool
wflog_leaf_is_due(WflogRun *run, WflogLeaf *leaf)
{
	WFLOG_DUE_PARAMETERS("");

	if (leaf->is_default || !leaf->is_table || leaf->to > cutoff(run, run->least_days))
		return false;
	if (leaf->to <= cutoff(run, run->most_days))
		return true;
	return wflog_query(psprintf(WFLOG_WITH_KEPT "SELECT FROM kept k WHERE k.cutoff < $5 AND $4 IS NOT NULL LIMIT 1",
								leaf->name), 5, types, values) == 0;
}

/* Whether a leaf may hold rows that are due although the leaf is not. */
bool
wflog_leaf_may_have_due_rows(WflogRun *run, WflogLeaf *leaf)
{
	if (!leaf->is_table)
		return false;
	if (leaf->is_default)
		return true;
	return run->least_days < run->most_days && leaf->from < cutoff(run, run->least_days);
}

/* ---- deleting rows ---- */

/* An execution with rows to delete. */
typedef struct Due
{
	char	   *execution_id;
	int64		execution_hash;
	TimestampTz cutoff;
} Due;

/* How far the deletion in a leaf has come. */
typedef struct Deletion
{
	WflogLeaf  *leaf;
	bool		gone;			/* the leaf as a whole is due */
	char	   *after;			/* executions up to here are listed */
	Due		   *due;
	uint64		count;
	uint64		next;			/* in due */
	TimestampTz from;			/* rows of it before this are deleted */
} Deletion;

/* List the next executions that have rows to delete. */
static void
list_due(WflogRun *run, void *arg)
{
	Deletion   *deletion = arg;
	WflogLeaf  *leaf = deletion->leaf;
	WFLOG_DUE_PARAMETERS(deletion->after);
	MemoryContext old;

	deletion->count = deletion->next = 0;
	deletion->from = DT_NOBEGIN;
	deletion->gone = wflog_leaf_is_due(run, leaf);
	if (deletion->gone)
		return;

	deletion->count = wflog_query(psprintf(WFLOG_WITH_KEPT
										   "SELECT k.execution_id::text, k.execution_hash, k.cutoff FROM kept k WHERE "
										   WFLOG_ROWS_ARE_DUE "LIMIT %2$d", leaf->name, EXECUTION_BATCH),
								  5, types, values);
	old = MemoryContextSwitchTo(run->memory);
	if (deletion->due == NULL)
		deletion->due = palloc(sizeof(Due) * EXECUTION_BATCH);
	for (uint64 i = 0; i < deletion->count; i++)
	{
		Due		   *due = &deletion->due[i];

		due->execution_id = TextDatumGetCString(wflog_result(i, 1, NULL));
		due->execution_hash = DatumGetInt64(wflog_result(i, 2, NULL));
		due->cutoff = DatumGetTimestampTz(wflog_result(i, 3, NULL));
		deletion->after = due->execution_id;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Delete one batch, over as many executions as it takes.  Each goes in order
 * of time and from where the last batch ended, as the dead entries before
 * that would have to be passed again.
 */
static void
delete_batch(WflogRun *run, void *arg)
{
	Deletion   *deletion = arg;
	uint64		next = deletion->next;
	TimestampTz from = deletion->from;
	int64		left = WFLOG_DELETE_BATCH;
	Oid			types[] = {TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID};
	SPIPlanPtr	plan = SPI_prepare(psprintf(
		"WITH gone AS ("
		"  DELETE FROM %1$s WHERE ctid = ANY (ARRAY("
		"    SELECT l.ctid FROM %1$s l"
		"    WHERE l.execution_hash = $2 AND l.execution_id = $1"
		"      AND l.created_at < $3 AND l.created_at >= $4"
		"    ORDER BY l.created_at LIMIT $5))"
		"  RETURNING execution_id, xact, created_at), "
		"noted AS ("
		"  INSERT INTO wflog.removed_logs AS r (execution_id, last_xact)"
		"  SELECT execution_id, max(xact) FROM gone GROUP BY execution_id"
		"  ON CONFLICT (execution_id) DO UPDATE"
		"  SET last_xact = greatest(r.last_xact, excluded.last_xact), removed_at = excluded.removed_at) "
		"SELECT count(*), max(created_at) FROM gone", deletion->leaf->name), 5, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	while (next < deletion->count && left > 0)
	{
		Due		   *due = &deletion->due[next];
		Datum		values[] = {CStringGetTextDatum(due->execution_id), Int64GetDatum(due->execution_hash),
			TimestampTzGetDatum(due->cutoff), TimestampTzGetDatum(from), Int64GetDatum(left)};
		int64		deleted = wflog_run_plan(plan, values) > 0 ?
			DatumGetInt64(wflog_result(0, 1, NULL)) : 0;

		if (deleted < left)
		{
			next++;
			from = DT_NOBEGIN;
		}
		else
			from = DatumGetTimestampTz(wflog_result(0, 2, NULL));
		left -= deleted;
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	deletion->next = next;
	deletion->from = from;
}

/* Delete what is due in one leaf.  False if it had to be left. */
static bool
delete_from_leaf(WflogRun *run, WflogLeaf *leaf)
{
	Deletion	deletion = {.leaf = leaf,.after = ""};
	char	   *what = psprintf("delete old logs from partition %s", leaf->name);

	do
	{
		if (!wflog_attempt(run, list_due, &deletion, what))
			return false;
		while (deletion.next < deletion.count)
			if (!wflog_attempt(run, delete_batch, &deletion, what))
				return false;
	} while (deletion.count == EXECUTION_BATCH);
	return true;
}

/*
 * Delete rows that are due in leaves that are not: either in the default leaf
 * or in all others.
 *
 * Each batch is a transaction.  Readers and writers are not disturbed.
 */
void
wflog_delete_due(WflogRun *run, bool from_default)
{
	List	   *leaves = wflog_leaves();
	ListCell   *cell;

	foreach(cell, leaves)
	{
		WflogLeaf  *leaf = lfirst(cell);

		if (leaf->is_default == from_default && wflog_leaf_may_have_due_rows(run, leaf))
			(void) delete_from_leaf(run, leaf);
	}
}

/* Delete one batch of producer batches. */
static void
expire_batch(WflogRun *run, void *arg)
{
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		values[] = {TimestampTzGetDatum(cutoff(run, run->default_days)),
	Int32GetDatum(WFLOG_DELETE_BATCH)};

	*(uint64 *) arg = wflog_query(
		"DELETE FROM wflog.producer_batches WHERE ctid = ANY (ARRAY("
		"  SELECT ctid FROM wflog.producer_batches WHERE created_at < $1 LIMIT $2)) RETURNING 1",
		2, types, values);
}

/* Forget producers' batches that are older than logs are kept by default. */
void
wflog_expire_batches(WflogRun *run)
{
	uint64		deleted;

	do
	{
		if (!wflog_attempt(run, expire_batch, &deleted, "delete old producer batches"))
			return;
	} while (deleted == WFLOG_DELETE_BATCH);
}

/* ---- dropping leaves ---- */

/* Whether a leaf has no rows. */
static bool
leaf_is_empty(WflogLeaf *leaf)
{
	return wflog_query(psprintf("SELECT FROM %s LIMIT 1", leaf->name), 0, NULL, NULL) == 0;
}

/* A leaf that may go, and how far that has come. */
typedef struct DueLeaf
{
	WflogLeaf  *leaf;
	bool		empty;
} DueLeaf;

/*
 * Empty a leaf if it is due.
 *
 * ShareRowExclusiveLock keeps writers out while the extents are read, and
 * lets readers in; TRUNCATE waits for the readers, or times out.
 */
static void
empty_leaf(WflogRun *run, void *arg)
{
	DueLeaf    *due = arg;
	WflogLeaf  *leaf = due->leaf;

	due->empty = false;
	if (!wflog_leaf_is_due(run, leaf))
		return;
	due->empty = leaf_is_empty(leaf);
	if (due->empty)
		return;

	LockRelationOid(leaf->relid, ShareRowExclusiveLock);
	if (!wflog_leaf_is_due(run, leaf))
		return;
	wflog_command("INSERT INTO wflog.removed_logs AS r (execution_id, last_xact) "
				  "WITH RECURSIVE present AS ("
				  "  (SELECT l.execution_id FROM %1$s l ORDER BY l.execution_id USING ~<~ LIMIT 1)"
				  "  UNION ALL"
				  "  SELECT n.execution_id FROM present p, LATERAL ("
				  "    SELECT l.execution_id FROM %1$s l"
				  "    WHERE l.execution_id ~>~ p.execution_id ORDER BY l.execution_id USING ~<~ LIMIT 1) n) "
				  "SELECT p.execution_id, (SELECT l.xact FROM %1$s l"
				  "  WHERE l.execution_id = p.execution_id"
				  "  ORDER BY l.xact DESC LIMIT 1) FROM present p "
				  "ON CONFLICT (execution_id) DO UPDATE"
				  "  SET last_xact = greatest(r.last_xact, excluded.last_xact), removed_at = excluded.removed_at",
				  leaf->name);
	wflog_command("TRUNCATE %s", leaf->name);
	due->empty = true;
}

/*
 * Drop an empty leaf.  Once the parent is ours nobody can hold a leaf by way
 * of it, so the others are taken without waiting, and the whole makes nobody
 * wait longer than one lock_timeout.
 */
static void
drop_leaf(WflogRun *run, void *arg)
{
	DueLeaf    *due = arg;
	Oid			others[] = {wflog_table_oid(WFLOG_LOG_DEFAULT), due->leaf->relid};

	LockRelationOid(wflog_table_oid(WFLOG_LOG_ROWS), AccessExclusiveLock);
	for (int i = 0; i < lengthof(others); i++)
		if (!ConditionalLockRelationOid(others[i], AccessExclusiveLock))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not obtain lock on relation \"%s\"", get_rel_name(others[i]))));
	if (leaf_is_empty(due->leaf))
		wflog_command("DROP TABLE %s", due->leaf->name);
}

/*
 * Empty and drop the leaves in which everything is due.  The drop that cannot
 * have the parent stands for the others: these leaves stay, empty, and the
 * next run drops them.
 */
void
wflog_drop_due(WflogRun *run)
{
	List	   *leaves = wflog_leaves();
	List	   *empty = NIL;
	ListCell   *cell;

	foreach(cell, leaves)
	{
		WflogLeaf  *leaf = lfirst(cell);
		DueLeaf    *due = palloc0(sizeof(DueLeaf));

		due->leaf = leaf;
		if (leaf->is_default || !leaf->is_table || leaf->to > cutoff(run, run->least_days))
			continue;
		if (wflog_attempt(run, empty_leaf, due, psprintf("empty partition %s", leaf->name)) && due->empty)
			empty = lappend(empty, due);
	}
	foreach(cell, empty)
	{
		DueLeaf    *due = lfirst(cell);

		if (!wflog_attempt(run, drop_leaf, due, psprintf("drop partition %s", due->leaf->name)))
			break;
	}
}
