/*-------------------------------------------------------------------------
 *
 * workflow.c
 *	  Executions belong to a workflow: what a foreign key from
 *	  workflow_executions to workflows would see to.
 *
 * It cannot be a foreign key.  A restored extension has its constraints
 * before it has its rows, and pg_restore --jobs loads tables in any order, so
 * restoring executions would fail whenever they come first.  These triggers
 * leave restored rows alone (audit.c tells how they are known).
 *
 * Locks, as a foreign key takes them: the workflow's row FOR KEY SHARE while
 * an execution is inserted, which a deletion of the workflow waits for.
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(wflog_keep_workflow);

#define Anum_workflow_id 1
#define Anum_workflow_user_id 2

/*
 * Raise 23503 unless the workflow of a new execution exists, and keep it from
 * being deleted until the transaction ends.  To be called as owner, within SPI.
 */
void
wflog_check_workflow(const char *workflow_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(workflow_id)};

	wflog_prepare(&plan,
				  "SELECT 1 FROM wflog.workflows WHERE id OPERATOR(pg_catalog.=) $1 FOR KEY SHARE",
				  1, types);
	if (SPI_execute_plan(plan, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.workflows");
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("workflow \"%s\" does not exist", workflow_id),
				 errhint("wflog.start_execution() makes the workflow as well.")));
}

/*
 * Has the workflow, or for NULL any, executions as of now?  A snapshot of the
 * transaction could be older than the lock on the workflow.
 */
static bool
has_executions(const char *workflow_id)
{
	static SPIPlanPtr any_plan = NULL;
	static SPIPlanPtr workflow_plan = NULL;
	SPIPlanPtr	plan;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {(Datum) 0};
	WflogCaller caller;
	bool		found;

	SPI_connect();
	wflog_become_owner(&caller);
	if (workflow_id == NULL)
		plan = wflog_prepare(&any_plan, "SELECT 1 FROM wflog.workflow_executions", 0, NULL);
	else
	{
		values[0] = CStringGetTextDatum(workflow_id);
		plan = wflog_prepare(&workflow_plan,
							 "SELECT 1 FROM wflog.workflow_executions "
							 "WHERE workflow_id OPERATOR(pg_catalog.=) $1",
							 1, types);
	}
	CommandCounterIncrement();
	if (SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(), InvalidSnapshot, true, false,
							 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.workflow_executions");
	found = SPI_processed > 0;
	wflog_become_caller(&caller);
	SPI_finish();
	return found;
}

/* Do two versions of a workflow have the same owner, or none? */
static bool
same_owner(HeapTuple old, HeapTuple new, TupleDesc desc)
{
	char	   *from = SPI_getvalue(old, desc, Anum_workflow_user_id);
	char	   *to = SPI_getvalue(new, desc, Anum_workflow_user_id);

	return from == NULL || to == NULL ? from == to : strcmp(from, to) == 0;
}

/*
 * AFTER UPDATE OR DELETE FOR EACH ROW, and BEFORE TRUNCATE, ON wflog.workflows
 *
 * 23503 when executions would be left without their workflow.
 */
Datum
wflog_keep_workflow(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	char	   *id;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		RelationGetRelid(trigger->tg_relation) != wflog_table_oid(WFLOG_WORKFLOWS))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("keep_workflow() is the trigger of wflog.workflows only")));

	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		if (has_executions(NULL))
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("cannot truncate table \"workflows\": there are executions"),
					 errhint("Delete the executions first.")));
		return PointerGetDatum(NULL);
	}

	desc = RelationGetDescr(trigger->tg_relation);
	id = SPI_getvalue(trigger->tg_trigtuple, desc, Anum_workflow_id);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		!same_owner(trigger->tg_trigtuple, trigger->tg_newtuple, desc))
		queue_note_owner(id, strlen(id));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		strcmp(id, SPI_getvalue(trigger->tg_newtuple, desc, Anum_workflow_id)) == 0)
		return PointerGetDatum(NULL);
	if (has_executions(id))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("workflow \"%s\" has executions", id),
				 errhint("Delete them first.")));
	return PointerGetDatum(NULL);
}
