/*-------------------------------------------------------------------------
 *
 * status.c
 *	  Reading an execution's audit trail for notifications.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker.h"

/* Columns of execution_audit_events, as in sql/10_tables.sql. */
enum
{
	Anum_event_created_at = 4,
	Anum_event_metadata = 5,
	Anum_event_position = 7
};

/* A scan of a trail. */
typedef struct TrailScan
{
	Relation	table;
	Relation	index;
	TupleTableSlot *slot;
	IndexScanDesc scan;
} TrailScan;

/* Begin to read an execution's trail, at one position or, for 0, all of it. */
static void
trail_begin(TrailScan *trail, const char *id, int len, int64 position)
{
	ScanKeyData keys[2];
	int			count = position == 0 ? 1 : 2;

	trail->table = table_open(wflog_table_oid(WFLOG_AUDIT_EVENTS), AccessShareLock);
	trail->index = index_open(wflog_primary_key(trail->table), AccessShareLock);
	trail->slot = table_slot_create(trail->table, NULL);
	ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid,
						   trail->index->rd_indcollation[0], F_TEXTEQ,
						   PointerGetDatum(cstring_to_text_with_len(id, len)));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(position));
	trail->scan = wflog_index_beginscan(trail->table, trail->index, GetActiveSnapshot(), count);
	index_rescan(trail->scan, keys, count, NULL, 0);
}

static void
trail_end(TrailScan *trail)
{
	index_endscan(trail->scan);
	ExecDropSingleTupleTableSlot(trail->slot);
	index_close(trail->index, AccessShareLock);
	table_close(trail->table, AccessShareLock);
}

/* A string in an event's metadata; NULL if it is null there. */
static char *
metadata_string(Jsonb *metadata, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value = JB_ROOT_IS_OBJECT(metadata) ?
		getKeyJsonValueFromContainer(&metadata->root, name, strlen(name), &buffer) : NULL;

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* The event in a row. */
static void
read_event(TupleTableSlot *slot, const char *id, int len, StatusEvent *event)
{
	bool		isnull;
	Jsonb	   *metadata = DatumGetJsonbP(slot_getattr(slot, Anum_event_metadata, &isnull));

	memset(event, 0, sizeof(*event));
	event->id = id;
	event->len = len;
	event->from = metadata_string(metadata, "from");
	event->to = metadata_string(metadata, "to");
	event->workflow_id = metadata_string(metadata, "workflow_id");
	event->created_at = DatumGetTimestampTz(slot_getattr(slot, Anum_event_created_at, &isnull));
}

/* Where the event does not name the workflow, its execution does. */
static void
find_workflow(StatusEvent *event)
{
	WflogExecution execution;

	if (event->workflow_id == NULL && wflog_lookup_execution(event->id, event->len, &execution))
		event->workflow_id = execution.workflow_id;
}

/* Read the event at a position, by the active snapshot; false if there is none. */
bool
status_read(const char *id, int len, int64 position, StatusEvent *event)
{
	TrailScan	trail;
	bool		found;

	trail_begin(&trail, id, len, position);
	found = index_getnext_slot(trail.scan, ForwardScanDirection, trail.slot);
	if (found)
		read_event(trail.slot, id, len, event);
	trail_end(&trail);
	if (found)
		find_workflow(event);
	return found;
}

/*
 * May the row have been written by a transaction that has not been told of?
 * Rows bear the id of their subtransaction, of which the set of what has been
 * told says nothing; but one that is older than all that was open is old.
 */
static bool
maybe_new(Worker *worker, TupleTableSlot *slot)
{
	const XactSet *told = &worker->told;
	bool		should_free;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	uint64		oldest_open = told->count > 0 ? told->hidden[0] : told->xmax;

	if (HeapTupleHeaderXminFrozen(tuple->t_data))
		return false;
	return xact_widen(HeapTupleHeaderGetRawXmin(tuple->t_data)) >= oldest_open;
}

/*
 * The events of an execution that may not have been told of, oldest first, as
 * a list of StatusEvent.
 */
List *
status_read_new(Worker *worker, const char *id, int len)
{
	TrailScan	trail;
	List	   *events = NIL;
	ListCell   *cell;

	trail_begin(&trail, id, len, 0);
	while (index_getnext_slot(trail.scan, BackwardScanDirection, trail.slot) &&
		   maybe_new(worker, trail.slot))
	{
		StatusEvent *event = palloc(sizeof(StatusEvent));

		CHECK_FOR_INTERRUPTS();
		read_event(trail.slot, id, len, event);
		events = lcons(event, events);
	}
	trail_end(&trail);
	foreach(cell, events)
		find_workflow(lfirst(cell));
	return events;
}
