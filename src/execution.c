/*-------------------------------------------------------------------------
 *
 * execution.c
 *	  Starting executions and changing their status.
 *
 * The functions run as their caller, so the privileges and policies of
 * workflows and workflow_executions decide.  What must hold however a row is
 * written (legal transitions, start and end times) is done by the BEFORE
 * trigger; the audit trail is written by the AFTER trigger in audit.c.
 *
 * Locks: set_execution_status() locks the execution's row FOR NO KEY UPDATE
 * until the end of the transaction, as any UPDATE of it does.  That lock is
 * what puts concurrent changes of one execution, and their audit events, in
 * an order; the row in execution_audit_heads is always locked after it.
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* How often an execution that keeps being deleted is inserted again. */
#define MAX_ATTEMPTS 100

PG_FUNCTION_INFO_V1(wflog_start_execution);
PG_FUNCTION_INFO_V1(wflog_set_execution_status);
PG_FUNCTION_INFO_V1(wflog_check_execution);

/*
 * Prepare a statement once per backend.  Statements name types by text casts
 * and not by OID, so a kept plan survives DROP and CREATE EXTENSION: it is
 * then parsed again.
 */
SPIPlanPtr
wflog_prepare(SPIPlanPtr *plan, const char *sql, int nargs, Oid *types)
{
	if (*plan == NULL)
	{
		SPIPlanPtr	fresh = SPI_prepare(sql, nargs, types);

		if (fresh == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(fresh);
		*plan = fresh;
	}
	return *plan;
}

/* A text argument, 22023 if it is NULL. */
static text *
required_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be null", name)));
	return PG_GETARG_TEXT_PP(arg);
}

/* The execution_id argument, checked. */
static text *
execution_id_argument(FunctionCallInfo fcinfo, int arg)
{
	text	   *id = required_text(fcinfo, arg, "execution_id");

	wflog_check_execution_id(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	return id;
}

/* The status argument, checked, as SQL writes it. */
static text *
status_argument(FunctionCallInfo fcinfo, int arg, WflogStatus *status)
{
	text	   *given = required_text(fcinfo, arg, "status");

	*status = wflog_parse_status(text_to_cstring(given));
	return cstring_to_text(wflog_enum_label(WFLOG_STATUS_ENUM, *status));
}

/* Make the workflow unless there is one; an existing one stays as it is. */
static void
ensure_workflow(FunctionCallInfo fcinfo, text *workflow_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[4] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4] = {PointerGetDatum(workflow_id)};
	char		nulls[4] = {' ', 'n', 'n', 'n'};

	/* user_id, workflow_name and tier are the function's last arguments */
	for (int i = 1; i < 4; i++)
		if (!PG_ARGISNULL(i + 2))
		{
			values[i] = PG_GETARG_DATUM(i + 2);
			nulls[i] = ' ';
		}
	wflog_prepare(&plan,
				  "INSERT INTO wflog.workflows (id, user_id, name, tier) VALUES ($1, $2, $3, $4) "
				  "ON CONFLICT DO NOTHING",
				  4, types);
	if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into wflog.workflows");
}

/* Insert the execution; false if there is one already. */
static bool
insert_execution(text *execution_id, text *workflow_id, text *status)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3] = {PointerGetDatum(execution_id), PointerGetDatum(workflow_id),
	PointerGetDatum(status)};

	wflog_prepare(&plan,
				  "INSERT INTO wflog.workflow_executions (execution_id, workflow_id, status) "
				  "VALUES ($1, $2, $3::wflog.execution_status_enum) ON CONFLICT DO NOTHING",
				  3, types);
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into wflog.workflow_executions");
	return SPI_processed == 1;
}

/* Workflow of an execution as the caller sees it, NULL if he does not. */
static char *
workflow_of_execution(text *execution_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PointerGetDatum(execution_id)};

	wflog_prepare(&plan,
				  "SELECT workflow_id FROM wflog.workflow_executions "
				  "WHERE execution_id OPERATOR(pg_catalog.=) $1",
				  1, types);
	if (SPI_execute_plan(plan, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.workflow_executions");
	return SPI_processed == 0 ? NULL :
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * SQL: wflog.start_execution(execution_id, workflow_id, status, user_id,
 * workflow_name, tier)
 *
 * Idempotent, so that a producer may call it before each attempt: the same
 * execution of the same workflow again is a no-op whatever its status is by
 * now.  22023 for a bad argument and for an execution of another workflow.
 */
Datum
wflog_start_execution(PG_FUNCTION_ARGS)
{
	text	   *execution_id = execution_id_argument(fcinfo, 0);
	text	   *workflow_id = required_text(fcinfo, 1, "workflow_id");
	WflogStatus status;
	text	   *status_text = status_argument(fcinfo, 2, &status);

	if (VARSIZE_ANY_EXHDR(workflow_id) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow_id must not be empty")));

	SPI_connect();
	ensure_workflow(fcinfo, workflow_id);
	for (int attempt = 1; !insert_execution(execution_id, workflow_id, status_text); attempt++)
	{
		char	   *existing = workflow_of_execution(execution_id);
		WflogExecution row;

		if (existing != NULL)
		{
			if (strcmp(existing, text_to_cstring(workflow_id)) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("execution \"%s\" belongs to workflow \"%s\", not to \"%s\"",
								text_to_cstring(execution_id), existing,
								text_to_cstring(workflow_id)),
						 errhint("Execution ids are unique across all workflows.")));
			break;
		}

		/*
		 * In the way, but not to be seen: a policy hides it, or it has just
		 * been deleted and the next attempt succeeds.
		 */
		if (wflog_lookup_execution(VARDATA_ANY(execution_id), VARSIZE_ANY_EXHDR(execution_id),
								   &row))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for execution \"%s\"",
							text_to_cstring(execution_id))));
		if (attempt == MAX_ATTEMPTS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("execution \"%s\" could not be inserted", text_to_cstring(execution_id)),
					 errhint("A trigger on wflog.workflow_executions may suppress the row.")));
		CHECK_FOR_INTERRUPTS();
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Lock the execution's row and return its status; P0002 alike if there is
 * none and if the caller does not see it.
 */
static WflogStatus
lock_execution(text *execution_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PointerGetDatum(execution_id)};
	char	   *status;

	wflog_prepare(&plan,
				  "SELECT status FROM wflog.workflow_executions "
				  "WHERE execution_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
				  1, types);
	if (SPI_execute_plan(plan, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.workflow_executions");
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("execution \"%s\" does not exist", text_to_cstring(execution_id))));
	status = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return wflog_parse_status(status);
}

/* Write the new status; an error message is kept unless there is a new one. */
static void
update_status(text *execution_id, text *status, Datum error_message, bool no_error_message)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3] = {PointerGetDatum(execution_id), PointerGetDatum(status), error_message};
	char		nulls[3] = {' ', ' ', no_error_message ? 'n' : ' '};

	wflog_prepare(&plan,
				  "UPDATE wflog.workflow_executions "
				  "SET status = $2::wflog.execution_status_enum, "
				  "error_message = COALESCE($3, error_message) "
				  "WHERE execution_id OPERATOR(pg_catalog.=) $1",
				  3, types);
	if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not update wflog.workflow_executions");

	/* A policy may allow to lock the row and forbid to change it. */
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("execution \"%s\" does not exist", text_to_cstring(execution_id))));
}

/*
 * SQL: wflog.set_execution_status(execution_id, status, error_message)
 *
 * Returns the previous status.  When that is the new one already, nothing is
 * written, not even the error message.  WF003 for an illegal transition.
 */
Datum
wflog_set_execution_status(PG_FUNCTION_ARGS)
{
	text	   *execution_id = execution_id_argument(fcinfo, 0);
	WflogStatus status;
	text	   *status_text = status_argument(fcinfo, 1, &status);
	WflogStatus previous;

	SPI_connect();
	previous = lock_execution(execution_id);
	if (previous != status)
		update_status(execution_id, status_text, PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2),
					  PG_ARGISNULL(2));
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(wflog_enum_label(WFLOG_STATUS_ENUM, previous)));
}

/* Raise WF003 unless an execution may go from one status to the other. */
void
wflog_check_transition(const char *execution_id, WflogStatus from, WflogStatus to)
{
	const char *hint;

	if (from == to)
		return;
	if (STATUS_IS_TERMINAL(from))
		hint = "SUCCESS, FAILED and CANCELLED are final; start another execution.";
	else if (to == STATUS_NEW)
		hint = "An execution is NEW only when it is created.";
	else if (to == STATUS_PENDING && from != STATUS_NEW)
		hint = "An execution becomes PENDING only from NEW.";
	else
		return;

	ereport(ERROR,
			(errcode(ERRCODE_WFLOG_TRANSITION),
			 errmsg("execution \"%s\" cannot go from %s to %s", execution_id,
					wflog_enum_label(WFLOG_STATUS_ENUM, from),
					wflog_enum_label(WFLOG_STATUS_ENUM, to)),
			 errhint("%s", hint)));
}

/* Refuse to change a column that identifies the execution. */
static void
check_unchanged(HeapTuple old, HeapTuple new, TupleDesc desc, int column)
{
	char	   *before = SPI_getvalue(old, desc, column);
	char	   *after = SPI_getvalue(new, desc, column);

	/* NULL is left to the column's constraint */
	if (after != NULL && strcmp(before, after) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of execution \"%s\" cannot be changed", SPI_fname(desc, column),
						SPI_getvalue(old, desc, Anum_execution_execution_id))));
}

/*
 * See that a time that must be there is: as given, else as it was, else now.
 * A started execution thus always has a start, an ended one an end.
 */
static HeapTuple
fill_time(HeapTuple new, HeapTuple old, TupleDesc desc, int column, TimestampTz now)
{
	bool		isnull;
	Datum		value;

	heap_getattr(new, column, desc, &isnull);
	if (!isnull)
		return new;

	value = TimestampTzGetDatum(now);
	if (old != NULL)
	{
		Datum		before = heap_getattr(old, column, desc, &isnull);

		if (!isnull)
			value = before;
	}
	isnull = false;
	return heap_modify_tuple_by_cols(new, desc, 1, &column, &value, &isnull);
}

/*
 * Set the mark that tells audit.c whether the row is new here.  One that
 * comes with the row counts only from the table's owner, who restores dumps:
 * nobody else gets an execution without an event.
 */
static HeapTuple
set_mark(HeapTuple new, HeapTuple old, Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	int			column = Anum_execution_audit_mark;
	bool		isnull;
	Datum		value;

	if (old != NULL)
		value = heap_getattr(old, column, desc, &isnull);
	else
	{
		heap_getattr(new, column, desc, &isnull);
		if (!isnull && wflog_owns_table(RelationGetRelid(relation), GetUserId()))
			return new;
		value = Int64GetDatum(wflog_audit_mark());
		isnull = false;
	}
	return heap_modify_tuple_by_cols(new, desc, 1, &column, &value, &isnull);
}

/*
 * BEFORE INSERT OR UPDATE FOR EACH ROW ON wflog.workflow_executions
 *
 * INSERT takes any status, for a restored execution has ended already.  Not
 * fired where session_replication_role is replica: the rows come from where
 * it has been checked.
 */
Datum
wflog_check_execution(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	old = NULL;
	HeapTuple	new;
	Datum		value;
	bool		isnull;
	WflogStatus status;
	TimestampTz now = GetCurrentTimestamp();

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		RelationGetRelid(trigger->tg_relation) != wflog_table_oid(WFLOG_EXECUTIONS))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("check_execution() is the trigger of wflog.workflow_executions only")));

	desc = RelationGetDescr(trigger->tg_relation);
	new = trigger->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		old = trigger->tg_trigtuple;
		new = trigger->tg_newtuple;
		check_unchanged(old, new, desc, Anum_execution_execution_id);
		check_unchanged(old, new, desc, Anum_execution_workflow_id);
	}

	value = heap_getattr(new, Anum_execution_status, desc, &isnull);
	if (isnull)
		return PointerGetDatum(new);	/* the column's NOT NULL reports it */
	status = wflog_enum_value(WFLOG_STATUS_ENUM, DatumGetObjectId(value));

	if (old != NULL)
	{
		value = heap_getattr(old, Anum_execution_status, desc, &isnull);
		wflog_check_transition(SPI_getvalue(old, desc, Anum_execution_execution_id),
							   wflog_enum_value(WFLOG_STATUS_ENUM, DatumGetObjectId(value)),
							   status);
	}

	if (status != STATUS_NEW && status != STATUS_PENDING)
		new = fill_time(new, old, desc, Anum_execution_start_time, now);
	if (STATUS_IS_TERMINAL(status))
		new = fill_time(new, old, desc, Anum_execution_end_time, now);
	return PointerGetDatum(set_mark(new, old, trigger->tg_relation));
}
