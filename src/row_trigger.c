/*-------------------------------------------------------------------------
 *
 * row_trigger.c
 *	  BEFORE ROW trigger of workflow_execution_logs: size limit and stamp.
 *
 * Every row is stamped with its top-level transaction id and a number that
 * rises among the logs of one execution in that transaction; (xact, seq) is
 * the order of the stream (docs/decisions/0003-stream-order.md).  The stamp is
 * always our own: a row that is restored or replicated gets this cluster's.
 * An UPDATE keeps the stamp, because the log has been delivered under it,
 * unless it moves the log to another execution or the stamp cannot be this
 * cluster's.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(wflog_log_row);

/*
 * Where our columns are in the relation at hand.  A leaf attached by hand may
 * have them elsewhere.  canonical means: just ours, in our order.
 */
typedef struct RowLayout
{
	bool		canonical;
	AttrNumber	attnums[WFLOG_LOG_COLUMNS];
} RowLayout;

static const char *const column_names[WFLOG_LOG_COLUMNS] = {
	"id", "execution_id", "log_category", "event_type", "level", "message", "data", "node_id",
	"node_name", "node_type", "step_number", "total_steps", "progress_percentage",
	"duration_seconds", "user_friendly_message", "display_priority", "is_milestone",
	"technical_details", "stack_trace", "performance_metrics", "created_at", "source", "attempt",
	"trace_id", "span_id", "original_size", "execution_hash", "xact", "seq", "storage"
};

/*
 * Executions that the transaction has written to lately, by a part of the
 * hash.  It need not remember all: see next_seq().
 */
#define RECENT_EXECUTIONS 1024

typedef struct RecentExecution
{
	uint64		xact;
	int64		hash;
	Oid			leaf;			/* which the commit queue has been told of */
	int32		seq;			/* of the last log */
} RecentExecution;

static RecentExecution recent_executions[RECENT_EXECUTIONS];

/*
 * Number of a log among its execution's in the transaction.  The numbers of an
 * execution follow each other as long as it is remembered, so that the stream's
 * index, which holds number / 64, has few different entries.  One that is not
 * goes on with the number of logs that the transaction has written to any,
 * which its own cannot have passed.
 */
static int32
next_seq(RecentExecution *recent, bool remembered, uint64 xact)
{
	static uint64 last_xact = 0;
	static int32 logs = 0;

	if (xact != last_xact)
	{
		last_xact = xact;
		logs = 0;
	}
	else if (logs == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a transaction cannot write more than %d logs", PG_INT32_MAX)));
	logs++;
	return remembered ? recent->seq + 1 : logs;
}

/* Give a log its place in the stream, and note it for the commit queue. */
static void
set_stamp(Datum *values, Oid leaf, const struct varlena *id)
{
	FullTransactionId xact = GetTopFullTransactionId();
	int64		hash = DatumGetInt64(values[Anum_log_execution_hash - 1]);
	RecentExecution *recent = &recent_executions[(uint64) hash % RECENT_EXECUTIONS];
	bool		remembered = recent->xact == U64FromFullTransactionId(xact) && recent->hash == hash;
	int32		seq = next_seq(recent, remembered, U64FromFullTransactionId(xact));

	/* this may fail, so the leaf is remembered after it */
	if (!remembered || recent->leaf != leaf)
		queue_note_logs(leaf, hash, xact, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));

	recent->xact = U64FromFullTransactionId(xact);
	recent->hash = hash;
	recent->leaf = leaf;
	recent->seq = seq;
	values[Anum_log_xact - 1] = FullTransactionIdGetDatum(xact);
	values[Anum_log_seq - 1] = Int32GetDatum(seq);
}

/* Find our columns in the relation; kept for the statement. */
static RowLayout *
row_layout(FunctionCallInfo fcinfo, TupleDesc desc)
{
	RowLayout  *layout = fcinfo->flinfo->fn_extra;

	if (layout)
		return layout;

	layout = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(RowLayout));
	layout->canonical = desc->natts == WFLOG_LOG_COLUMNS;
	for (int column = 0; column < WFLOG_LOG_COLUMNS; column++)
	{
		for (int i = 0; i < desc->natts && layout->attnums[column] == 0; i++)
		{
			int			attno = (column + i) % desc->natts; /* most likely here */
			Form_pg_attribute attr = TupleDescAttr(desc, attno);

			if (!attr->attisdropped && strcmp(NameStr(attr->attname), column_names[column]) == 0)
				layout->attnums[column] = attno + 1;
		}
		if (layout->attnums[column] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" does not exist", column_names[column]),
					 errhint("Only partitions of wflog.workflow_execution_logs can have this trigger.")));
		if (layout->attnums[column] != column + 1)
			layout->canonical = false;
	}
	fcinfo->flinfo->fn_extra = layout;
	return layout;
}

/*
 * Whether an updated row keeps the old one's stamp.  If so it is written into
 * values.
 */
static bool
keep_stamp(HeapTuple old, TupleDesc desc, const RowLayout *layout, Datum *values)
{
	bool		isnull;
	Datum		old_id = heap_getattr(old, layout->attnums[Anum_log_execution_id - 1], desc, &isnull);
	Datum		old_xact = heap_getattr(old, layout->attnums[Anum_log_xact - 1], desc, &isnull);
	FullTransactionId xact = DatumGetFullTransactionId(old_xact);

	if (!DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, old_id,
											  values[Anum_log_execution_id - 1])))
		return false;
	if (!FullTransactionIdIsNormal(xact) ||
		FullTransactionIdFollowsOrEquals(xact, ReadNextFullTransactionId()))
		return false;
	values[Anum_log_xact - 1] = old_xact;
	values[Anum_log_seq - 1] = heap_getattr(old, layout->attnums[Anum_log_seq - 1], desc, &isnull);
	return true;
}

/*
 * Write the stamp into a tuple that has our columns in our order.  It stands
 * at the tuple's end, in fixed places: hash, xact and seq, which need no
 * padding between them, and a byte of storage.
 */
static void
write_stamp(HeapTuple tuple, const Datum *values)
{
	char	   *end = (char *) tuple->t_data + tuple->t_len - sizeof(char);
	int64		hash = DatumGetInt64(values[Anum_log_execution_hash - 1]);
	uint64		xact = U64FromFullTransactionId(DatumGetFullTransactionId(values[Anum_log_xact - 1]));
	int32		seq = DatumGetInt32(values[Anum_log_seq - 1]);

	memcpy(end - sizeof(int32), &seq, sizeof(seq));
	memcpy(end - sizeof(int32) - sizeof(int64), &xact, sizeof(xact));
	memcpy(end - sizeof(int32) - 2 * sizeof(int64), &hash, sizeof(hash));
}

/*
 * Does the slot hold this very tuple, in memory of its own?  Then nobody else
 * has it, and the row may be changed in place.
 */
static bool
is_own_tuple(TupleTableSlot *slot, HeapTuple tuple)
{
	return (TTS_IS_BUFFERTUPLE(slot) || TTS_IS_HEAPTUPLE(slot)) && TTS_SHOULDFREE(slot) &&
		((HeapTupleTableSlot *) slot)->tuple == tuple;
}

/*
 * The tuple with the stamp: itself, if it is the slot's own, which spares the
 * executor storing a new one and checking the partition's bounds again; else
 * a copy.
 */
static HeapTuple
stamped_tuple(TupleTableSlot *slot, HeapTuple tuple, const Datum *values)
{
	if (!is_own_tuple(slot, tuple))
		tuple = heap_copytuple(tuple);
	else
		for (int column = Anum_log_execution_hash; column <= Anum_log_seq; column++)
			slot->tts_values[column - 1] = values[column - 1];
	write_stamp(tuple, values);
	return tuple;
}

/* Form the tuple anew from values in our column order. */
static HeapTuple
formed_tuple(HeapTuple tuple, TupleDesc desc, const RowLayout *layout,
			 const Datum *values, const bool *nulls)
{
	Datum	   *rel_values = palloc(sizeof(Datum) * desc->natts);
	bool	   *rel_nulls = palloc(sizeof(bool) * desc->natts);
	HeapTuple	result;

	heap_deform_tuple(tuple, desc, rel_values, rel_nulls);
	for (int column = 0; column < WFLOG_LOG_COLUMNS; column++)
	{
		rel_values[layout->attnums[column] - 1] = values[column];
		rel_nulls[layout->attnums[column] - 1] = nulls[column];
	}
	result = heap_form_tuple(desc, rel_values, rel_nulls);
	result->t_data->t_ctid = tuple->t_data->t_ctid;
	result->t_self = tuple->t_self;
	result->t_tableOid = tuple->t_tableOid;
	return result;
}

/*
 * SQL: trigger function wflog.log_row().
 */
Datum
wflog_log_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	bool		is_update;
	TupleDesc	desc;
	HeapTuple	tuple;
	TupleTableSlot *slot;
	RowLayout  *layout;
	Datum		values[WFLOG_LOG_COLUMNS];
	bool		nulls[WFLOG_LOG_COLUMNS];
	bool		cut;
	struct varlena *id;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("wflog.log_row() must be called as a BEFORE ROW trigger")));

	is_update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	tuple = is_update ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	layout = row_layout(fcinfo, desc);

	/* The slot holds the same row, and mostly its values need not be looked for. */
	slot = is_update ? trigdata->tg_newslot : trigdata->tg_trigslot;
	slot_getallattrs(slot);
	if (layout->canonical)
	{
		memcpy(values, slot->tts_values, sizeof(values));
		memcpy(nulls, slot->tts_isnull, sizeof(nulls));
	}
	else
		for (int column = 0; column < WFLOG_LOG_COLUMNS; column++)
		{
			values[column] = slot->tts_values[layout->attnums[column] - 1];
			nulls[column] = slot->tts_isnull[layout->attnums[column] - 1];
		}

	/* NOT NULL is checked after us; leave that error to the executor. */
	if (nulls[Anum_log_execution_id - 1])
		return PointerGetDatum(tuple);

	cut = wflog_limit_entry(values, nulls);

	/* it may come from another table, and be compressed or out of line there */
	id = PG_DETOAST_DATUM_PACKED(values[Anum_log_execution_id - 1]);
	values[Anum_log_execution_hash - 1] =
		Int64GetDatum(wflog_execution_hash(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)));

	if (!is_update || !keep_stamp(trigdata->tg_trigtuple, desc, layout, values))
		set_stamp(values, RelationGetRelid(trigdata->tg_relation), id);

	if (!layout->canonical || cut || nulls[Anum_log_storage - 1] ||
		nulls[Anum_log_execution_hash - 1] || nulls[Anum_log_xact - 1] || nulls[Anum_log_seq - 1])
	{
		nulls[Anum_log_execution_hash - 1] = false;
		nulls[Anum_log_xact - 1] = false;
		nulls[Anum_log_seq - 1] = false;
		return PointerGetDatum(formed_tuple(tuple, desc, layout, values, nulls));
	}
	return PointerGetDatum(stamped_tuple(slot, tuple, values));
}
