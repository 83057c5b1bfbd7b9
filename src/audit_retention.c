/*-------------------------------------------------------------------------
 *
 * audit_retention.c
 *	  The guard that refuses changes of the audit trail, and the maintenance
 *	  that may pass it.
 *
 * The guard is a set of triggers, enabled ALWAYS, so that neither a superuser
 * nor session_replication_role passes it.  A flag in this process opens it,
 * which only C code sets, and only while one statement of its own runs.  Who
 * disables the triggers can change the tables; wflog.verify_audit() tells.
 *
 * Locks: purging locks the execution's row, then its head, as a change of
 * status does.  Rows that somebody else has locked are left for next time.
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(wflog_guard_audit);

static bool unlocked = false;

/* May this process change the audit trail right now? */
bool
wflog_audit_unlocked(void)
{
	return unlocked;
}

/* Run a statement with the guard open; it is closed again whatever happens. */
int
wflog_execute_unlocked(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	volatile int result = 0;

	unlocked = true;
	PG_TRY();
	{
		result = SPI_execute_plan(plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		unlocked = false;
	}
	PG_END_TRY();
	return result;
}

/*
 * BEFORE UPDATE OR DELETE FOR EACH ROW, and BEFORE UPDATE OR DELETE OR
 * TRUNCATE FOR EACH STATEMENT, on both audit tables
 *
 * By statement, so that an attempt fails even if it would change nothing; by
 * row, because a table that inherits gives its children no statement
 * triggers.  A subscription's worker passes: it brings what has passed on the
 * publisher.
 */
Datum
wflog_guard_audit(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const char *operation;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("guard_audit() must be called as a BEFORE trigger")));

	if (unlocked || IsLogicalWorker())
	{
		if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
			return PointerGetDatum(NULL);
		return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
							   trigger->tg_newtuple : trigger->tg_trigtuple);
	}

	operation = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "update" :
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "delete from" : "truncate";
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot %s table \"%s\"", operation,
					RelationGetRelationName(trigger->tg_relation)),
			 errdetail("The audit trail only grows."),
			 errhint("Set wflog.audit_retention_days to let wflog.maintain() remove old trails.")));
	return (Datum) 0;			/* keep the compiler quiet */
}

/* Run a statement of purging; returns the count it selects. */
static int64
purge(SPIPlanPtr plan, TimestampTz before, int64 limit)
{
	Datum		values[2] = {TimestampTzGetDatum(before), Int64GetDatum(limit)};
	bool		isnull;

	if (wflog_execute_unlocked(plan, values, NULL) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not purge the audit trail");
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Remove at most limit executions that ended more than the given number of
 * days ago, with their trails, and the trails of executions that were deleted
 * as long ago.  Returns how many; less than limit means that no more are due.
 *
 * An execution that still has logs stays: without its row nobody but writers
 * could read them.  The caller checks who may do this.
 */
int64
wflog_purge_audit(int days, int limit)
{
	static SPIPlanPtr ended_plan = NULL;
	static SPIPlanPtr deleted_plan = NULL;
	Oid			types[2] = {TIMESTAMPTZOID, INT8OID};
	TimestampTz before = GetCurrentTimestamp() - (int64) days * USECS_PER_DAY;
	WflogCaller caller;
	int64		removed;

	SPI_connect();
	wflog_become_owner(&caller);
	wflog_prepare(&ended_plan,
				  "WITH due AS MATERIALIZED ("
				  "    SELECT x.execution_id FROM wflog.workflow_executions x"
				  "    WHERE x.status OPERATOR(pg_catalog.>=) 'SUCCESS'"
				  "    AND x.end_time OPERATOR(pg_catalog.<) $1"
				  "    AND (SELECT 1 FROM wflog.workflow_execution_logs l"
				  "         WHERE l.execution_id OPERATOR(pg_catalog.=) x.execution_id LIMIT 1) IS NULL"
				  "    LIMIT $2 FOR UPDATE OF x SKIP LOCKED),"
				  "executions AS ("
				  "    DELETE FROM wflog.workflow_executions x USING due"
				  "    WHERE x.execution_id OPERATOR(pg_catalog.=) due.execution_id"
				  "    RETURNING x.execution_id),"
				  "events AS ("
				  "    DELETE FROM wflog.execution_audit_events e USING due"
				  "    WHERE e.execution_id OPERATOR(pg_catalog.=) due.execution_id),"
				  "heads AS ("
				  "    DELETE FROM wflog.execution_audit_heads h USING due"
				  "    WHERE h.execution_id OPERATOR(pg_catalog.=) due.execution_id)"
				  "SELECT pg_catalog.count(*) FROM executions",
				  2, types);
	removed = purge(ended_plan, before, limit);
	if (removed < limit)
	{
		wflog_prepare(&deleted_plan,
					  "WITH due AS MATERIALIZED ("
					  "    SELECT h.execution_id FROM wflog.execution_audit_heads h"
					  "    JOIN wflog.execution_audit_events e"
					  "        ON e.execution_id OPERATOR(pg_catalog.=) h.execution_id"
					  "        AND e.position OPERATOR(pg_catalog.=) h.events"
					  "    WHERE h.status IS NULL AND e.created_at OPERATOR(pg_catalog.<) $1"
					  "    LIMIT $2 FOR UPDATE OF h SKIP LOCKED),"
					  "events AS ("
					  "    DELETE FROM wflog.execution_audit_events e USING due"
					  "    WHERE e.execution_id OPERATOR(pg_catalog.=) due.execution_id),"
					  "heads AS ("
					  "    DELETE FROM wflog.execution_audit_heads h USING due"
					  "    WHERE h.execution_id OPERATOR(pg_catalog.=) due.execution_id"
					  "    RETURNING h.execution_id)"
					  "SELECT pg_catalog.count(*) FROM heads",
					  2, types);
		removed += purge(deleted_plan, before, limit - removed);
	}
	wflog_become_caller(&caller);
	SPI_finish();
	return removed;
}

/*
 * Enable the guard ALWAYS again where it has become an ordinary trigger, as
 * ENABLE TRIGGER ALL does at the end of a data-only restore.  A guard that is
 * disabled stays so, for somebody may be repairing the tables.
 */
void
wflog_restore_audit_guards(void)
{
	WflogCaller caller;
	SPITupleTable *commands;
	uint64		count;

	SPI_connect();
	wflog_become_owner(&caller);
	if (SPI_execute("SELECT pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', "
					"t.tgrelid::pg_catalog.regclass, t.tgname) "
					"FROM pg_catalog.pg_trigger t "
					"WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (ARRAY["
					"'wflog.execution_audit_events', 'wflog.execution_audit_heads']::pg_catalog.regclass[]) "
					"AND t.tgfoid OPERATOR(pg_catalog.=) 'wflog.guard_audit()'::pg_catalog.regprocedure "
					"AND t.tgenabled OPERATOR(pg_catalog.=) 'O'",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_trigger");
	commands = SPI_tuptable;
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
		if (SPI_execute(SPI_getvalue(commands->vals[i], commands->tupdesc, 1), false, 0) !=
			SPI_OK_UTILITY)
			elog(ERROR, "could not enable a trigger of the audit trail");
	wflog_become_caller(&caller);
	SPI_finish();
}
