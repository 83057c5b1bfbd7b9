/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Brings rows into workflow_execution_logs.
 *
 * Rows go in through the executor, by an INSERT ... SELECT from a function
 * that makes them, so that the caller's privileges, row level security, the
 * way to the right partition and every trigger apply as to any INSERT.  The
 * statement runs once per chunk: what is held in memory is one chunk, however
 * many rows there are, and the queue of AFTER triggers is worked off as often.
 *
 * The plan is made once per backend; the plan cache makes it anew when a
 * definition changes or another role runs it.
 *
 *-------------------------------------------------------------------------
 */
#include "writer.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(wflog_batch_rows);

#define CHUNK_ROWS 1000
#define CHUNK_BYTES (4 * 1024 * 1024)

#define USER_COLUMNS \
	"id, execution_id, log_category, event_type, level, message, data, node_id, node_name, " \
	"node_type, step_number, total_steps, progress_percentage, duration_seconds, " \
	"user_friendly_message, display_priority, is_milestone, technical_details, stack_trace, " \
	"performance_metrics, created_at, source, attempt, trace_id, span_id"

static const char insert_query[] =
"INSERT INTO wflog.workflow_execution_logs (" USER_COLUMNS ") "
"SELECT " USER_COLUMNS " FROM wflog.batch_rows()";

/* The batch whose next chunk insert_query is about to ask for. */
static WflogBatch *waiting_batch = NULL;

/* The first word of a message, if it is a field's name. */
static const WflogField *
field_in_message(const char *message)
{
	return wflog_find_field(message, strcspn(message, " "));
}

/*
 * Put the place of the row being made in front of the message of an error
 * that its content caused, and pass the error on; any other error (a cancelled
 * statement, for instance) goes on as it is.
 */
static void
rethrow_with_place(WflogBatch *batch, const WflogRow *row, ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
	const WflogField *field;
	StringInfoData message;

	if (category != ERRCODE_DATA_EXCEPTION &&
		category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		category != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		ReThrowError(error);

	/* What an input function finds wrong is a bad argument. */
	if (error->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION ||
		error->sqlerrcode == ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE)
		error->sqlerrcode = ERRCODE_INVALID_PARAMETER_VALUE;

	initStringInfo(&message);
	field = field_in_message(error->message);
	if (field == NULL && row->field != NULL)
	{
		batch->describe(batch, &message, true);
		appendStringInfo(&message, "%s: ", row->field->name);
	}
	else
		batch->describe(batch, &message, field != NULL);
	appendStringInfoString(&message, error->message);
	error->message = message.data;
	ReThrowError(error);
}

/* Make the next chunk's rows. */
static void
fill_chunk(WflogBatch *batch, Tuplestorestate *store, TupleDesc desc)
{
	Datum	   *values = palloc0(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	MemoryContext saved = CurrentMemoryContext;
	ErrorContextCallback *saved_stack = error_context_stack;
	WflogRow	row;

	/* columns that are not ours to set, or that somebody has added */
	memset(nulls, true, sizeof(bool) * desc->natts);
	row.field = NULL;
	batch->bytes = 0;
	batch->chunk_start = batch->position;

	PG_TRY();
	{
		/* a fault in what was handed in is no affair of the INSERT */
		error_context_stack = batch->caller;
		MemoryContextSwitchTo(batch->row_context);
		for (int i = 0; i < CHUNK_ROWS && batch->bytes < CHUNK_BYTES; i++)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(batch->row_context);
			wflog_row_begin(&row);
			if (!batch->next(batch, &row))
			{
				batch->done = true;
				break;
			}
			wflog_row_finish(&row);
			memcpy(values, row.values, sizeof(Datum) * WFLOG_LOG_USER_COLUMNS);
			memcpy(nulls, row.nulls, sizeof(bool) * WFLOG_LOG_USER_COLUMNS);
			tuplestore_putvalues(store, desc, values, nulls);
			batch->position++;
		}
		MemoryContextSwitchTo(saved);
		error_context_stack = saved_stack;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(saved);
		error = CopyErrorData();
		FlushErrorState();
		rethrow_with_place(batch, &row, error);
	}
	PG_END_TRY();
}

/*
 * SQL: wflog.batch_rows(), for insert_query alone, which takes the waiting
 * batch; 55000 when there is none.
 */
Datum
wflog_batch_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WflogBatch *batch = waiting_batch;
	MemoryContext saved;

	if (batch == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("wflog.batch_rows() is internal to wflog.log(), append() and append_lines()")));
	waiting_batch = NULL;
	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & SFRM_Materialize) || result->expectedDesc == NULL ||
		result->expectedDesc->natts < WFLOG_LOG_USER_COLUMNS)
		elog(ERROR, "wflog.batch_rows was called in a context that it does not know");

	saved = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	result->returnMode = SFRM_Materialize;
	result->setResult = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(saved);

	fill_chunk(batch, result->setResult, result->expectedDesc);
	PG_RETURN_NULL();
}

/* Say which rows an error of the INSERT itself concerns. */
static void
chunk_context(void *arg)
{
	WflogBatch *batch = arg;

	if (batch->position > batch->chunk_start + 1)
		errcontext("writing logs " INT64_FORMAT " to " INT64_FORMAT " of the batch",
				   batch->chunk_start + 1, batch->position);
}

/*
 * The plan of insert_query, made at the first use.  Not inline, or gcc fears
 * for its variables at the PG_TRY below.
 */
static pg_noinline SPIPlanPtr
insert_plan(void)
{
	static SPIPlanPtr plan = NULL;

	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(insert_query, 0, NULL);

		if (prepared == NULL)
			elog(ERROR, "could not prepare the insertion of logs: %s",
				 SPI_result_code_string(SPI_result));
		SPI_keepplan(prepared);
		plan = prepared;
	}
	return plan;
}

/*
 * Insert what the batch yields and return how many rows went in.  The caller
 * has connected to SPI.  Takes the locks that an INSERT takes.  A trigger of
 * the user's may write logs in turn, so this can be entered again.
 */
int64
wflog_insert_batch(WflogBatch *batch)
{
	SPIPlanPtr	plan = insert_plan();
	WflogBatch *outer = waiting_batch;
	volatile int64 inserted = 0;
	ErrorContextCallback context;

	batch->position = 0;
	batch->chunk_start = 0;
	batch->done = false;
	batch->caller = error_context_stack;
	batch->row_context = AllocSetContextCreate(CurrentMemoryContext, "wflog row",
											   ALLOCSET_DEFAULT_SIZES);
	context.callback = chunk_context;
	context.arg = batch;
	context.previous = error_context_stack;
	error_context_stack = &context;
	PG_TRY();
	{
		while (!batch->done)
		{
			int			result;

			waiting_batch = batch;
			result = SPI_execute_plan(plan, NULL, NULL, false, 0);
			if (result != SPI_OK_INSERT)
				elog(ERROR, "could not insert logs: %s", SPI_result_code_string(result));
			inserted += SPI_processed;
		}
	}
	PG_FINALLY();
	{
		waiting_batch = outer;
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	MemoryContextDelete(batch->row_context);
	return inserted;
}
