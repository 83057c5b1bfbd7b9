/*-------------------------------------------------------------------------
 *
 * log.c
 *	  wflog.log(): one log from named arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "writer.h"

#include "executor/spi.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(wflog_log);

/* The arguments' columns, in the order of sql/40_writing.sql. */
static const WflogLogColumn arguments[] = {
	Anum_log_execution_id,
	Anum_log_message,
	Anum_log_level,
	Anum_log_event_type,
	Anum_log_log_category,
	Anum_log_data,
	Anum_log_node_id,
	Anum_log_node_name,
	Anum_log_node_type,
	Anum_log_step_number,
	Anum_log_total_steps,
	Anum_log_progress_percentage,
	Anum_log_duration_seconds,
	Anum_log_user_friendly_message,
	Anum_log_display_priority,
	Anum_log_is_milestone,
	Anum_log_technical_details,
	Anum_log_stack_trace,
	Anum_log_performance_metrics,
	Anum_log_created_at,
	Anum_log_source,
	Anum_log_attempt,
	Anum_log_trace_id,
	Anum_log_span_id,
	Anum_log_id,
};

StaticAssertDecl(lengthof(arguments) == WFLOG_LOG_USER_COLUMNS,
				 "log() must take every user column");

/* A batch of one. */
typedef struct CallBatch
{
	WflogBatch	base;
	FunctionCallInfo fcinfo;
	pg_uuid_t	id;
} CallBatch;

/* There is only one log: its place need not be told. */
static void
describe_call(WflogBatch *batch, StringInfo where, bool with_field)
{
}

/* Make the row, once. */
static bool
next_call(WflogBatch *base, WflogRow *row)
{
	CallBatch  *batch = (CallBatch *) base;
	FunctionCallInfo fcinfo = batch->fcinfo;

	if (base->position > 0)
		return false;
	for (int i = 0; i < lengthof(arguments); i++)
	{
		const WflogField *field = wflog_field_of(arguments[i]);

		if (PG_ARGISNULL(i))
			wflog_row_set_null(row, field);
		else
			wflog_row_set_datum(row, field, PG_GETARG_DATUM(i));
	}
	if (row->nulls[Anum_log_id - 1])
	{
		wflog_make_uuid_v7(&batch->id);
		row->values[Anum_log_id - 1] = UUIDPGetDatum(&batch->id);
		row->nulls[Anum_log_id - 1] = false;
	}
	else
		batch->id = *DatumGetUUIDP(row->values[Anum_log_id - 1]);
	base->done = true;
	return true;
}

/*
 * SQL: wflog.log(execution_id, message, ...).  Returns the log's id, also
 * when a trigger of the user's has kept the row out.
 */
Datum
wflog_log(PG_FUNCTION_ARGS)
{
	CallBatch	batch = {0};
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	for (int i = 0; i < 2; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", wflog_field_of(arguments[i])->name)));

	batch.base.next = next_call;
	batch.base.describe = describe_call;
	batch.fcinfo = fcinfo;
	SPI_connect();
	(void) wflog_insert_batch(&batch.base);
	SPI_finish();
	*id = batch.id;
	PG_RETURN_UUID_P(id);
}
