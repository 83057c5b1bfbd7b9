/*-------------------------------------------------------------------------
 *
 * read_executions.c
 *	  executions_json(), and executions as JSON.
 *
 * The lists are read with SPI as the tables' owner, after the asker's rights
 * are known: who sees all gets all, others what they own.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_type.h"
#include "execution.h"
#include "execution_json.h"
#include "executor/spi.h"
#include "reader.h"
#include "rollup.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(wflog_executions_json);

#define MAX_EXECUTIONS 1000
#define DEFAULT_EXECUTIONS 100

#define EXECUTION_COLUMNS \
	"e.execution_id::pg_catalog.text, e.workflow_id, e.status, e.start_time, e.end_time, " \
	"e.created_at, e.error_message, w.name " \
	"FROM wflog.workflow_executions e " \
	"JOIN wflog.workflows w ON w.id OPERATOR(pg_catalog.=) e.workflow_id"
#define NEWEST_FIRST " ORDER BY e.created_at DESC, e.execution_id DESC"

/* A query of executions, and its parameters. */
typedef struct ListRequest
{
	StringInfoData sql;
	int			count;
	Oid			types[5];
	Datum		values[5];
} ListRequest;

/* Add a condition on a parameter; format has one %d for its number. */
static void
add_condition(ListRequest *request, const char *format, Oid type, Datum value)
{
	request->types[request->count] = type;
	request->values[request->count] = value;
	request->count++;
	appendStringInfoString(&request->sql, " AND ");
	appendStringInfo(&request->sql, format, request->count);
}

/* Ask for the executions that the asker may read; of one workflow, or of all if it is NULL. */
static void
list_request_init(ListRequest *request, const char *workflow_id)
{
	char	   *uid;

	memset(request, 0, sizeof(*request));
	initStringInfo(&request->sql);
	appendStringInfoString(&request->sql, "SELECT " EXECUTION_COLUMNS " WHERE true");
	if (workflow_id)
		add_condition(request, "e.workflow_id OPERATOR(pg_catalog.=) $%d", TEXTOID,
					  CStringGetTextDatum(workflow_id));
	if (wflog_sees_all())
		return;
	uid = wflog_current_uid();
	if (uid)
		add_condition(request, "w.user_id OPERATOR(pg_catalog.=) $%d", TEXTOID, CStringGetTextDatum(uid));
	else
		appendStringInfoString(&request->sql, " AND false");	/* nobody owns nothing */
}

/* A column of the current result as a string in the current context. */
static char *
result_text(HeapTuple tuple, int column)
{
	return SPI_getvalue(tuple, SPI_tuptable->tupdesc, column);
}

/* A time of the current result; false if it is null. */
static bool
result_time(HeapTuple tuple, int column, TimestampTz *time)
{
	bool		isnull;

	*time = DatumGetTimestampTz(SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull));
	return !isnull;
}

/* The rows of a result of EXECUTION_COLUMNS as a list in the given context. */
static List *
collect_executions(MemoryContext context)
{
	MemoryContext saved = MemoryContextSwitchTo(context);
	List	   *executions = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		WflogExecution *execution = palloc0(sizeof(WflogExecution));
		bool		isnull;

		execution->execution_id = result_text(tuple, 1);
		execution->workflow_id = result_text(tuple, 2);
		execution->status =
			wflog_enum_value(WFLOG_STATUS_ENUM,
							 DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &isnull)));
		execution->has_start_time = result_time(tuple, 4, &execution->start_time);
		execution->has_end_time = result_time(tuple, 5, &execution->end_time);
		result_time(tuple, 6, &execution->created_at);
		execution->error_message = result_text(tuple, 7);
		execution->workflow_name = result_text(tuple, 8);
		executions = lappend(executions, execution);
	}
	MemoryContextSwitchTo(saved);
	return executions;
}

/* Run a query of EXECUTION_COLUMNS as the owner. */
static List *
query_executions(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls, int limit)
{
	MemoryContext context = CurrentMemoryContext;
	WflogCaller caller;
	List	   *executions;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	wflog_become_owner(&caller);
	if (SPI_execute_with_args(sql, nargs, types, values, nulls, true, limit) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.workflow_executions");
	executions = collect_executions(context);
	wflog_become_caller(&caller);
	SPI_finish();
	return executions;
}

/* The executions of a workflow that were registered last, the newest first. */
List *
latest_executions(const char *workflow_id, int limit)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(workflow_id)};

	return query_executions("SELECT " EXECUTION_COLUMNS
							" WHERE e.workflow_id OPERATOR(pg_catalog.=) $1" NEWEST_FIRST,
							1, types, values, NULL, limit);
}

/* How many executions a workflow has. */
int64
count_executions(const char *workflow_id)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(workflow_id)};
	WflogCaller caller;
	bool		isnull;
	int64		count;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	wflog_become_owner(&caller);
	if (SPI_execute_with_args("SELECT pg_catalog.count(*) FROM wflog.workflow_executions e "
							  "WHERE e.workflow_id OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.workflow_executions");
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	wflog_become_caller(&caller);
	SPI_finish();
	return count;
}

/*
 * Call visit for each execution of a workflow, or of all that the asker may
 * read if it is NULL, in batches, so that memory is bounded.  Each is gone when
 * its batch is.
 */
void
visit_executions(const char *workflow_id, ExecutionVisitor visit, void *arg)
{
	ListRequest request;
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "wflog executions",
												ALLOCSET_DEFAULT_SIZES);
	WflogCaller caller;
	Portal		portal;
	List	   *executions;

	list_request_init(&request, workflow_id);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	wflog_become_owner(&caller);
	portal = SPI_cursor_open_with_args(NULL, request.sql.data, request.count, request.types,
									   request.values, NULL, true, 0);
	wflog_become_caller(&caller);
	do
	{
		ListCell   *cell;

		CHECK_FOR_INTERRUPTS();
		wflog_become_owner(&caller);
		SPI_cursor_fetch(portal, true, 1000);
		executions = collect_executions(batch);
		SPI_freetuptable(SPI_tuptable);
		wflog_become_caller(&caller);
		foreach(cell, executions)
		{
			MemoryContext saved = MemoryContextSwitchTo(batch);

			visit(lfirst(cell), arg);
			MemoryContextSwitchTo(saved);
		}
		MemoryContextReset(batch);
	} while (executions != NIL);
	SPI_cursor_close(portal);
	SPI_finish();
	MemoryContextDelete(batch);
}

/* Write an execution's own fields, with the brace that opens the object. */
void
json_execution_fields(StringInfo buf, const WflogExecution *execution)
{
	json_literal(buf, "{\"execution_id\":");
	json_cstring(buf, execution->execution_id);
	appendStringInfo(buf, ",\"status\":\"%s\",\"is_terminal\":%s,\"start_time\":",
					 wflog_enum_label(WFLOG_STATUS_ENUM, execution->status),
					 STATUS_IS_TERMINAL(execution->status) ? "true" : "false");
	json_time(buf, execution->has_start_time ? execution->start_time : execution->created_at);
	if (execution->has_end_time)
	{
		json_literal(buf, ",\"end_time\":");
		json_time(buf, execution->end_time);
	}
	if (execution->has_end_time && execution->has_start_time)
	{
		json_literal(buf, ",\"duration\":");
		json_iso_duration(buf, execution->end_time - execution->start_time);
	}
	if (execution->error_message)
	{
		json_literal(buf, ",\"error_message\":");
		json_cstring(buf, execution->error_message);
	}
}

/* Write an execution as S1's ExecutionSummary. */
void
json_execution(StringInfo buf, const WflogExecution *execution)
{
	json_execution_fields(buf, execution);
	json_literal(buf, "}");
}

/* SQL: wflog.executions_json(): executions as a list, the newest first. */
Datum
wflog_executions_json(PG_FUNCTION_ARGS)
{
	char	   *workflow_id = PG_ARGISNULL(0) ? NULL : require_workflow(fcinfo, 0);
	char	   *status = text_arg(fcinfo, 1);
	int			limit = row_limit_arg(fcinfo, 2, DEFAULT_EXECUTIONS, MAX_EXECUTIONS);
	char	   *after = text_arg(fcinfo, 3);
	int64		subject = wflog_execution_hash(workflow_id ? workflow_id : "",
											   workflow_id ? strlen(workflow_id) : 0);
	ListRequest request;
	List	   *executions = NIL;
	bool		more;
	StringInfoData buf;

	list_request_init(&request, workflow_id);
	if (status)
		add_condition(&request, "e.status OPERATOR(pg_catalog.=) $%d",
					  wflog_enum_type(WFLOG_STATUS_ENUM),
					  ObjectIdGetDatum(wflog_enum_oid(WFLOG_STATUS_ENUM, wflog_parse_status(status))));
	if (after)
	{
		TimestampTz created_at;
		char	   *id;

		list_cursor_decode(after, subject, &created_at, &id);
		add_condition(&request, "e.created_at OPERATOR(pg_catalog.<=) $%d", TIMESTAMPTZOID,
					  TimestampTzGetDatum(created_at));
		add_condition(&request,
					  psprintf("(e.created_at OPERATOR(pg_catalog.<) $%d "
							   "OR e.execution_id OPERATOR(pg_catalog.<) $%%d)", request.count),
					  TEXTOID, CStringGetTextDatum(id));
	}
	appendStringInfoString(&request.sql, NEWEST_FIRST);
	executions = query_executions(request.sql.data, request.count, request.types, request.values,
								  NULL, limit + 1);
	more = list_length(executions) > limit;
	if (more)
		executions = list_truncate(executions, limit);

	json_begin(&buf);
	json_literal(&buf, "{\"executions\":[");
	for (int i = 0; i < list_length(executions); i++)
	{
		WflogExecution *execution = list_nth(executions, i);
		ExecutionKey key = execution_key(execution->execution_id, strlen(execution->execution_id));

		if (i > 0)
			json_literal(&buf, ",");
		json_execution_fields(&buf, execution);
		json_literal(&buf, ",\"workflow_id\":");
		json_cstring(&buf, execution->workflow_id);
		if (execution->workflow_name)
		{
			json_literal(&buf, ",\"workflow_name\":");
			json_cstring(&buf, execution->workflow_name);
		}
		json_literal(&buf, ",\"total_logs\":");
		json_int(&buf, execution_count(&key, log_filter_all()));
		json_literal(&buf, "}");
	}
	json_literal(&buf, "],\"pagination\":{\"limit\":");
	json_int(&buf, limit);
	json_literal(&buf, ",\"has_more\":");
	appendStringInfoString(&buf, more ? "true" : "false");
	json_literal(&buf, ",\"next_cursor\":");
	if (more)
	{
		WflogExecution *last = llast(executions);

		json_cstring(&buf, list_cursor_encode(subject, last->created_at, last->execution_id));
	}
	else
		json_literal(&buf, "null");
	json_literal(&buf, "}}");
	return json_result(&buf);
}
