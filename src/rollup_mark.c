/*-------------------------------------------------------------------------
 *
 * rollup_mark.c
 *	  The trigger that marks executions whose logs are changed or deleted.
 *
 * A mark is visible to whoever sees the change, since the same transaction
 * makes both, and tells him that what was rolled up before is not what he
 * sees.  Marks are only inserted, so nobody waits; a statement makes one for
 * each execution.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "execution.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(wflog_mark_log);

/* Executions that a statement remembers to have marked. */
#define MAX_REMEMBERED 10000

/* What the trigger keeps for a statement on a leaf. */
typedef struct MarkState
{
	AttrNumber	attnum;			/* of execution_hash */
	bool		any;
	int64		last;			/* marked last */
	HTAB	   *marked;			/* all of them, if there is more than one */
} MarkState;

/* Make the statement's state. */
static MarkState *
make_state(FunctionCallInfo fcinfo, Relation leaf)
{
	MarkState  *state = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(MarkState));

	state->attnum = SPI_fnumber(RelationGetDescr(leaf), "execution_hash");
	if (state->attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"execution_hash\" does not exist"),
				 errhint("Only partitions of wflog.workflow_execution_logs can have this trigger.")));
	fcinfo->flinfo->fn_extra = state;
	return state;
}

/* Has the statement marked it before?  Remembers it. */
static bool
is_marked(FunctionCallInfo fcinfo, MarkState *state, int64 hash)
{
	bool		found;

	if (state->any && state->last == hash)
		return true;
	if (state->any && state->marked == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(int64),
		.hcxt = fcinfo->flinfo->fn_mcxt};

		state->marked = hash_create("wflog marks", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		(void) hash_search(state->marked, &state->last, HASH_ENTER, &found);
	}
	state->any = true;
	state->last = hash;
	if (state->marked == NULL)
		return false;
	(void) hash_search(state->marked, &hash,
					   hash_get_num_entries(state->marked) < MAX_REMEMBERED ? HASH_ENTER : HASH_FIND,
					   &found);
	return found;
}

/* Mark an execution. */
static void
mark(int64 hash)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID};
	Datum		value = Int64GetDatum(hash);
	WflogCaller caller;

	SPI_connect();
	wflog_become_owner(&caller);
	wflog_prepare(&plan, "INSERT INTO wflog.rollup_marks VALUES ($1)", 1, types);
	if (SPI_execute_plan(plan, &value, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into wflog.rollup_marks");
	wflog_become_caller(&caller);
	SPI_finish();
}

/*
 * SQL: trigger function wflog.mark_log().  A log that an UPDATE gives to
 * another execution has a new stamp, so it is new to that one; but if only its
 * hash was wrong, it has not.
 */
Datum
wflog_mark_log(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	MarkState  *state;
	bool		isnull;
	HeapTuple	rows[2];
	int			count = 0;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("wflog.mark_log() must be called as a BEFORE ROW trigger of UPDATE and DELETE")));

	desc = RelationGetDescr(trigger->tg_relation);
	state = fcinfo->flinfo->fn_extra ? fcinfo->flinfo->fn_extra :
		make_state(fcinfo, trigger->tg_relation);
	rows[count++] = trigger->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		rows[count++] = trigger->tg_newtuple;
	for (int i = 0; i < count; i++)
	{
		int64		hash = DatumGetInt64(heap_getattr(rows[i], state->attnum, desc, &isnull));

		if (!isnull && !is_marked(fcinfo, state, hash))
			mark(hash);
	}
	return PointerGetDatum(rows[count - 1]);
}
