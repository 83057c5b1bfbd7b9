/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  The rows of an execution and of a workflow, by id.
 *
 * They are read without regard to privileges or policies: whoever looks up
 * has asked before, or returns no more than a yes or no.  The tables are
 * locked by AccessShareLock, and read by the active snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "execution.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of workflows, as in sql/10_tables.sql. */
enum
{
	Anum_workflow_id = 1,
	Anum_workflow_user_id
};

/*
 * Fetch the row of a table whose text primary key equals key, by the active
 * snapshot.  Returns a slot to drop, or NULL; the table is open either way.
 */
static TupleTableSlot *
fetch_by_key(Relation table, const char *key, int len)
{
	Relation	index;
	ScanKeyData scankey;
	IndexScanDesc scan;
	TupleTableSlot *slot = table_slot_create(table, NULL);
	bool		found;

	index = index_open(wflog_primary_key(table), AccessShareLock);
	ScanKeyEntryInitialize(&scankey, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[0], F_TEXTEQ,
						   PointerGetDatum(cstring_to_text_with_len(key, len)));
	scan = wflog_index_beginscan(table, index, GetActiveSnapshot(), 1);
	index_rescan(scan, &scankey, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
		ExecMaterializeSlot(slot);
	index_endscan(scan);
	index_close(index, AccessShareLock);
	if (found)
		return slot;
	ExecDropSingleTupleTableSlot(slot);
	return NULL;
}

/* A text column as a palloc'd string; NULL if null. */
static char *
slot_text(TupleTableSlot *slot, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* Find the owner of a workflow; false if there is no such workflow. */
bool
wflog_lookup_workflow_owner(const char *id, int len, char **user_id)
{
	Relation	table = table_open(wflog_table_oid(WFLOG_WORKFLOWS), AccessShareLock);
	TupleTableSlot *slot = fetch_by_key(table, id, len);

	if (slot)
	{
		*user_id = slot_text(slot, Anum_workflow_user_id);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(table, AccessShareLock);
	return slot != NULL;
}

/* Read an execution's row; false if there is none. */
bool
wflog_lookup_execution(const char *id, int len, WflogExecution *execution)
{
	Relation	table = table_open(wflog_table_oid(WFLOG_EXECUTIONS), AccessShareLock);
	TupleTableSlot *slot = fetch_by_key(table, id, len);

	if (slot)
	{
		bool		isnull;
		Datum		value;

		execution->execution_id = slot_text(slot, Anum_execution_execution_id);
		execution->workflow_name = NULL;
		execution->workflow_id = slot_text(slot, Anum_execution_workflow_id);
		execution->status = wflog_enum_value(WFLOG_STATUS_ENUM,
											 DatumGetObjectId(slot_getattr(slot, Anum_execution_status, &isnull)));
		value = slot_getattr(slot, Anum_execution_start_time, &isnull);
		execution->has_start_time = !isnull;
		execution->start_time = isnull ? 0 : DatumGetTimestampTz(value);
		value = slot_getattr(slot, Anum_execution_end_time, &isnull);
		execution->has_end_time = !isnull;
		execution->end_time = isnull ? 0 : DatumGetTimestampTz(value);
		execution->error_message = slot_text(slot, Anum_execution_error_message);
		value = slot_getattr(slot, Anum_execution_created_at, &isnull);
		execution->created_at = DatumGetTimestampTz(value);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(table, AccessShareLock);
	return slot != NULL;
}
