/*-------------------------------------------------------------------------
 *
 * rollup_store.c
 *	  The tables of roll-ups: looking things up in them, and writing.
 *
 * They are read by index directly, under the snapshot of whoever asks, and
 * written with SPI as their owner.
 *
 * Who writes holds the fold lock to the end of his transaction: a lock on a
 * sub-object of the extension, which no user can take.  So nobody waits for a
 * row, and what one writer has written the next one's snapshot shows, if it is
 * taken after the lock.  Marks need no lock, they are only inserted.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "execution.h"
#include "rollup.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/* Sub-object of the extension that stands for writing roll-ups; 1 is maintenance. */
#define LOCK_FOLD 2

/* ---- reading ---- */

/* The index that begins with the hash: the primary key, or the only one. */
static Oid
hash_index(Relation table)
{
	List	   *indexes;
	Oid			index = wflog_primary_key(table);

	if (OidIsValid(index))
		return index;
	indexes = RelationGetIndexList(table);
	index = indexes == NIL ? InvalidOid : linitial_oid(indexes);
	if (!OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has lost its index", RelationGetRelationName(table))));
	list_free(indexes);
	return index;
}

/* Begin looking up rows; in one leaf only, unless that is InvalidOid. */
void
hash_scan_begin(HashScan *scan, WflogTable table, int64 hash, Oid leaf, Snapshot snapshot)
{
	ScanKeyData keys[2];
	int			nkeys = OidIsValid(leaf) ? 2 : 1;

	scan->table = table_open(wflog_table_oid(table), AccessShareLock);
	scan->index = index_open(hash_index(scan->table), AccessShareLock);
	scan->slot = table_slot_create(scan->table, NULL);
	scan->scan = wflog_index_beginscan(scan->table, scan->index, snapshot, nkeys);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash));
	if (nkeys > 1)
		ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(leaf));
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

/* Is there another row?  Then it is in the slot until the next call. */
bool
hash_scan_next(HashScan *scan, ScanDirection direction)
{
	CHECK_FOR_INTERRUPTS();
	if (!index_getnext_slot(scan->scan, direction, scan->slot))
		return false;
	slot_getallattrs(scan->slot);
	return true;
}

/* End it. */
void
hash_scan_end(HashScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->table, AccessShareLock);
}

/* The ids in an array of xid8, palloc'd. */
static uint64 *
hidden_ids(Datum array, int *count)
{
	ArrayType  *ids = DatumGetArrayTypeP(array);
	uint64	   *hidden;

	*count = ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids));
	if (ARR_ELEMTYPE(ids) != XID8OID || ARR_HASNULL(ids))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a roll-up is damaged")));
	hidden = palloc(sizeof(uint64) * (*count + 1));
	memcpy(hidden, ARR_DATA_PTR(ids), sizeof(uint64) * *count);
	return hidden;
}

/* Is it the id of the execution? */
static bool
is_id_of(Datum value, const ExecutionKey *key)
{
	struct varlena *id = PG_DETOAST_DATUM_PACKED(value);

	return VARSIZE_ANY_EXHDR(id) == key->len && memcmp(VARDATA_ANY(id), key->id, key->len) == 0;
}

/* Which transactions' logs are rolled up?  False if nothing is. */
bool
rollup_find_head(const ExecutionKey *key, Snapshot snapshot, XactSet *seen)
{
	HashScan	scan;
	bool		found = false;

	hash_scan_begin(&scan, WFLOG_ROLLUP_HEADS, key->hash, InvalidOid, snapshot);
	while (!found && hash_scan_next(&scan, ForwardScanDirection))
	{
		if (!is_id_of(scan.slot->tts_values[1], key))
			continue;			/* shares the hash */
		found = true;
		seen->xmax = U64FromFullTransactionId(DatumGetFullTransactionId(scan.slot->tts_values[2]));
		seen->count = 0;
		seen->hidden = NULL;
		if (!scan.slot->tts_isnull[3])
			seen->hidden = hidden_ids(scan.slot->tts_values[3], &seen->count);
	}
	hash_scan_end(&scan);
	return found;
}

/* The id of an execution with that hash that has a head; NULL if there is none. */
text *
rollup_id_of_hash(int64 hash, Snapshot snapshot)
{
	HashScan	scan;
	text	   *id = NULL;

	hash_scan_begin(&scan, WFLOG_ROLLUP_HEADS, hash, InvalidOid, snapshot);
	if (hash_scan_next(&scan, ForwardScanDirection))
		id = DatumGetTextPCopy(scan.slot->tts_values[1]);
	hash_scan_end(&scan);
	return id;
}

/* Does a table have a row with that hash? */
static bool
has_hash(WflogTable table, int64 hash, Snapshot snapshot)
{
	HashScan	scan;
	bool		found;

	hash_scan_begin(&scan, table, hash, InvalidOid, snapshot);
	found = hash_scan_next(&scan, ForwardScanDirection);
	hash_scan_end(&scan);
	return found;
}

/* Has somebody changed or deleted logs since they were rolled up? */
bool
rollup_is_marked(int64 hash, Snapshot snapshot)
{
	return has_hash(WFLOG_ROLLUP_MARKS, hash, snapshot);
}

/*
 * Is anything rolled up of an execution with that hash, whether it has a head
 * or not?  Its milestones are never without such a row.
 */
bool
rollup_has_rows(int64 hash, Snapshot snapshot)
{
	return has_hash(WFLOG_ROLLUPS, hash, snapshot);
}

/* Read the next row of rollups that is the execution's; false if there is none. */
bool
rollup_next_row(HashScan *scan, const ExecutionKey *key, RollupRow *row)
{
	while (hash_scan_next(scan, ForwardScanDirection))
	{
		Datum	   *values = scan->slot->tts_values;
		struct varlena *totals;

		if (!is_id_of(values[2], key))
			continue;
		totals = PG_DETOAST_DATUM_PACKED(values[5]);
		row->leaf = DatumGetObjectId(values[1]);
		row->filenode = DatumGetObjectId(values[3]);
		row->trigger = DatumGetObjectId(values[4]);
		row->totals = VARDATA_ANY(totals);
		row->totals_len = VARSIZE_ANY_EXHDR(totals);
		return true;
	}
	return false;
}

/* Read the next chunk of milestones that is the execution's; NULL if there is none. */
struct varlena *
rollup_next_chunk(HashScan *scan, const ExecutionKey *key, ScanDirection direction, int32 *number)
{
	while (hash_scan_next(scan, direction))
	{
		Datum	   *values = scan->slot->tts_values;

		if (!is_id_of(values[3], key))
			continue;
		*number = DatumGetInt32(values[2]);
		return PG_DETOAST_DATUM_PACKED(values[4]);
	}
	return NULL;
}

/* The least id that is not a member. */
uint64
xact_set_least_absent(const XactSet *set)
{
	return set->count > 0 ? set->hidden[0] : set->xmax;
}

/* ---- writing ---- */

/* Take the fold lock until the end of the transaction; false if it was not to be had. */
bool
rollup_lock(bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, get_extension_oid("wflog", false),
					   LOCK_FOLD);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/* Run a saved statement under the snapshot. */
static void
run(SPIPlanPtr plan, Datum *values, const char *nulls, Snapshot snapshot)
{
	int			result = SPI_execute_snapshot(plan, values, nulls, snapshot, InvalidSnapshot,
											  false, true, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(result));
}

static Datum
text_of(const char *data, int len)
{
	return PointerGetDatum(cstring_to_text_with_len(data, len));
}

/* Say which transactions' logs are rolled up now. */
void
rollup_write_head(const ExecutionKey *key, const XactSet *seen, Snapshot snapshot)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID, TEXTOID, XID8OID, XID8ARRAYOID};
	Datum		values[] = {Int64GetDatum(key->hash), text_of(key->id, key->len),
	FullTransactionIdGetDatum(FullTransactionIdFromU64(seen->xmax)), (Datum) 0};
	char		nulls[] = {' ', ' ', ' ', seen->count > 0 ? ' ' : 'n'};
	Datum	   *ids = palloc(sizeof(Datum) * (seen->count + 1));

	for (int i = 0; i < seen->count; i++)
		ids[i] = FullTransactionIdGetDatum(FullTransactionIdFromU64(seen->hidden[i]));
	if (seen->count > 0)
		values[3] = PointerGetDatum(construct_array(ids, seen->count, XID8OID, sizeof(uint64),
													FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	wflog_prepare(&plan,
				  "INSERT INTO wflog.rollup_heads AS h VALUES ($1, $2, $3, $4, pg_catalog.now()) "
				  "ON CONFLICT (execution_hash, execution_id) DO UPDATE SET seen_xmax = excluded.seen_xmax,"
				  "  seen_hidden = excluded.seen_hidden, folded_at = excluded.folded_at",
				  4, types);
	run(plan, values, nulls, snapshot);
}

/* Write what is rolled up of an execution in a leaf. */
void
rollup_write_row(const ExecutionKey *key, const RollupRow *row, Snapshot snapshot)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID, OIDOID, TEXTOID, OIDOID, OIDOID, BYTEAOID};
	Datum		values[] = {Int64GetDatum(key->hash), ObjectIdGetDatum(row->leaf),
		text_of(key->id, key->len), ObjectIdGetDatum(row->filenode), ObjectIdGetDatum(row->trigger),
	text_of(row->totals, row->totals_len)};

	wflog_prepare(&plan,
				  "INSERT INTO wflog.rollups AS r VALUES ($1, $2, $3, $4, $5, $6) "
				  "ON CONFLICT (execution_hash, leaf, execution_id) DO UPDATE"
				  "  SET filenode = excluded.filenode, trigger = excluded.trigger, totals = excluded.totals",
				  6, types);
	run(plan, values, NULL, snapshot);
}

/* Write a chunk of milestones. */
void
rollup_write_chunk(const ExecutionKey *key, Oid leaf, int32 number, bytea *entries,
				   Snapshot snapshot)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID, OIDOID, TEXTOID, INT4OID, BYTEAOID};
	Datum		values[] = {Int64GetDatum(key->hash), ObjectIdGetDatum(leaf),
	text_of(key->id, key->len), Int32GetDatum(number), PointerGetDatum(entries)};

	wflog_prepare(&plan,
				  "INSERT INTO wflog.rollup_milestones (execution_hash, leaf, execution_id, number, entries)"
				  " VALUES ($1, $2, $3, $4, $5) "
				  "ON CONFLICT (execution_hash, leaf, number, execution_id) DO UPDATE"
				  "  SET entries = excluded.entries",
				  5, types);
	run(plan, values, NULL, snapshot);
}

/* Delete from a table what it has of a hash. */
static void
delete_hash(SPIPlanPtr *plan, const char *table, int64 hash, Snapshot snapshot)
{
	Oid			types[] = {INT8OID};
	Datum		value = Int64GetDatum(hash);

	wflog_prepare(plan, psprintf("DELETE FROM wflog.%s WHERE execution_hash OPERATOR(pg_catalog.=) $1",
								 table), 1, types);
	run(*plan, &value, NULL, snapshot);
}

/*
 * Forget what is rolled up, and that anything ever was; of all executions with
 * the hash, which marks do not tell apart.
 */
void
rollup_delete_all(int64 hash, Snapshot snapshot)
{
	static SPIPlanPtr rows = NULL;
	static SPIPlanPtr milestones = NULL;
	static SPIPlanPtr heads = NULL;

	delete_hash(&rows, "rollups", hash, snapshot);
	delete_hash(&milestones, "rollup_milestones", hash, snapshot);
	delete_hash(&heads, "rollup_heads", hash, snapshot);
}

/* Forget what is rolled up in a leaf, which is gone. */
void
rollup_delete_leaf(int64 hash, Oid leaf, Snapshot snapshot)
{
	static SPIPlanPtr rows = NULL;
	static SPIPlanPtr milestones = NULL;
	Oid			types[] = {INT8OID, OIDOID};
	Datum		values[] = {Int64GetDatum(hash), ObjectIdGetDatum(leaf)};

	wflog_prepare(&rows,
				  "DELETE FROM wflog.rollups WHERE execution_hash OPERATOR(pg_catalog.=) $1"
				  " AND leaf OPERATOR(pg_catalog.=) $2", 2, types);
	run(rows, values, NULL, snapshot);
	wflog_prepare(&milestones,
				  "DELETE FROM wflog.rollup_milestones WHERE execution_hash OPERATOR(pg_catalog.=) $1"
				  " AND leaf OPERATOR(pg_catalog.=) $2", 2, types);
	run(milestones, values, NULL, snapshot);
}

/* Delete the marks that the snapshot shows, and no other: those have been dealt with. */
void
rollup_delete_marks(int64 hash, Snapshot snapshot)
{
	static SPIPlanPtr plan = NULL;

	delete_hash(&plan, "rollup_marks", hash, snapshot);
}
