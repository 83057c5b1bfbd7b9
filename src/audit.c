/*-------------------------------------------------------------------------
 *
 * audit.c
 *	  The audit trail: one event for each change of an execution's status,
 *	  written by trigger in the transaction that makes the change, and sealed
 *	  in a chain.
 *
 * audit_seal.c has the formulas of the chain.  A head's status is NULL when
 * the execution has been deleted.
 *
 * An execution that comes out of a dump makes no event, for its trail comes
 * out of the dump as well, before it or after (pg_restore --jobs loads tables
 * in any order).  It is known by its audit_mark: the BEFORE trigger gives
 * every new row this process's number, drawn at random, and leaves alone a
 * number that the row brings along.
 *
 * The caller has no privilege on the audit tables, so everything here runs as
 * their owner, with qualified names and a search_path of pg_catalog only.
 *
 * Locks: the row lock of the execution puts the events of an execution in an
 * order; then the head is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "notify.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(wflog_audit_execution);

#define NO_STATUS (-1)			/* before an execution's creation and after its deletion */

/* What execution_audit_heads knows of an execution. */
typedef struct Head
{
	bool		exists;
	int64		events;
	bytea	   *seal;
} Head;

/* A change of status that the trigger has seen. */
typedef struct Change
{
	char	   *execution_id;
	char	   *workflow_id;
	char	   *error_message;	/* or NULL */
	int			from;			/* WflogStatus, or NO_STATUS */
	int			to;
} Change;

/* The number that marks the executions inserted by this process; never 0. */
int64
wflog_audit_mark(void)
{
	static int64 mark = 0;

	while (mark == 0)
		if (!pg_strong_random(&mark, sizeof(mark)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
	return mark;
}

/*
 * Go on as the owner of the audit tables, until wflog_become_caller().  An
 * error in between needs no clean-up: aborting a (sub)transaction puts back
 * the user and the settings.
 */
void
wflog_become_owner(WflogCaller *caller)
{
	HeapTuple	tuple;
	Oid			owner;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(wflog_table_oid(WFLOG_AUDIT_EVENTS)));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", wflog_table_oid(WFLOG_AUDIT_EVENTS));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	GetUserIdAndSecContext(&caller->user, &caller->security_context);
	caller->guc_level = NewGUCNestLevel();
	SetUserIdAndSecContext(owner, caller->security_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Be the caller of wflog_become_owner() again. */
void
wflog_become_caller(const WflogCaller *caller)
{
	AtEOXact_GUC(true, caller->guc_level);
	SetUserIdAndSecContext(caller->user, caller->security_context);
}

/* A bytea of a seal. */
static bytea *
seal_to_bytea(const uint8 *seal)
{
	bytea	   *result = palloc(VARHDRSZ + WFLOG_SEAL_SIZE);

	SET_VARSIZE(result, VARHDRSZ + WFLOG_SEAL_SIZE);
	memcpy(VARDATA(result), seal, WFLOG_SEAL_SIZE);
	return result;
}

/* Lock and read the execution's head. */
static Head
lock_head(Datum execution_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Head		head = {false, 0, NULL};
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;

	wflog_prepare(&plan,
				  "SELECT events, seal FROM wflog.execution_audit_heads "
				  "WHERE execution_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
				  1, types);
	if (SPI_execute_plan(plan, &execution_id, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.execution_audit_heads");
	if (SPI_processed == 0)
		return head;

	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	head.exists = true;
	head.events = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	head.seal = DatumGetByteaPCopy(SPI_getbinval(tuple, desc, 2, &isnull));
	return head;
}

/*
 * Position of the execution's last event, 0 if there is none.  The head tells
 * it too, but a trail that somebody has tampered with must not make the next
 * change of status fail.
 */
static int64
last_position(Datum execution_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	bool		isnull;

	wflog_prepare(&plan,
				  "SELECT COALESCE(pg_catalog.max(e.position), 0) "
				  "FROM wflog.execution_audit_events e "
				  "WHERE e.execution_id OPERATOR(pg_catalog.=) $1",
				  1, types);
	if (SPI_execute_plan(plan, &execution_id, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.execution_audit_events");
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* What kind of event a change is. */
static const char *
event_type(const Change *change)
{
	if (change->from == NO_STATUS)
		return "CREATED";
	switch (change->to)
	{
		case STATUS_RUNNING:
			if (change->from == STATUS_NEW || change->from == STATUS_PENDING)
				return "STARTED";
			break;
		case STATUS_SUCCESS:
			return "COMPLETED";
		case STATUS_FAILED:
			return "FAILED";
		case STATUS_CANCELLED:
			return "CANCELLED";
	}
	return "STATE_CHANGE";
}

/* Append a pair to a JSON object, null where there is no value. */
static void
put_pair(StringInfo json, const char *key, const char *value)
{
	appendStringInfo(json, "%s\"%s\": ", json->len == 1 ? "" : ", ", key);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

/* An event's metadata: from, to, and what helps to read the trail by itself. */
static Datum
event_metadata(const Change *change)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	put_pair(&json, "from",
			 change->from == NO_STATUS ? NULL : wflog_enum_label(WFLOG_STATUS_ENUM, change->from));
	put_pair(&json, "to",
			 change->to == NO_STATUS ? NULL : wflog_enum_label(WFLOG_STATUS_ENUM, change->to));
	if (change->from == NO_STATUS || change->to == NO_STATUS)
		put_pair(&json, "workflow_id", change->workflow_id);
	if (change->error_message != NULL && change->to != NO_STATUS &&
		STATUS_IS_TERMINAL(change->to))
		put_pair(&json, "error_message", change->error_message);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* Insert a sealed event. */
static void
insert_event(const WflogAuditEvent *event, Datum metadata, const uint8 *seal)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[8] = {UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID, TEXTOID, INT8OID,
	BYTEAOID};
	Datum		values[8] = {
		UUIDPGetDatum(&event->id),
		CStringGetTextDatum(event->execution_id),
		CStringGetTextDatum(event->event_type),
		TimestampTzGetDatum(event->created_at),
		metadata,
		CStringGetTextDatum(event->actor),
		Int64GetDatum(event->position),
		PointerGetDatum(seal_to_bytea(seal))
	};

	wflog_prepare(&plan,
				  "INSERT INTO wflog.execution_audit_events "
				  "(id, execution_id, event_type, created_at, metadata, actor, position, seal) "
				  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
				  8, types);
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into wflog.execution_audit_events");
}

/* Write the head that goes with the newest event. */
static void
write_head(bool exists, const WflogAuditEvent *event, int status, const uint8 *seal)
{
	static SPIPlanPtr insert_plan = NULL;
	static SPIPlanPtr update_plan = NULL;
	Oid			types[4] = {TEXTOID, INT8OID, TEXTOID, BYTEAOID};
	char		nulls[4] = {' ', ' ', status == NO_STATUS ? 'n' : ' ', ' '};
	Datum		values[4] = {
		CStringGetTextDatum(event->execution_id),
		Int64GetDatum(event->position),
		(Datum) 0,
		PointerGetDatum(seal_to_bytea(seal))
	};

	if (status != NO_STATUS)
		values[2] = CStringGetTextDatum(wflog_enum_label(WFLOG_STATUS_ENUM, status));

	if (!exists)
	{
		wflog_prepare(&insert_plan,
					  "INSERT INTO wflog.execution_audit_heads (execution_id, events, status, seal) "
					  "VALUES ($1, $2, $3::wflog.execution_status_enum, $4)",
					  4, types);
		if (SPI_execute_plan(insert_plan, values, nulls, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into wflog.execution_audit_heads");
		return;
	}

	wflog_prepare(&update_plan,
				  "UPDATE wflog.execution_audit_heads "
				  "SET events = $2, status = $3::wflog.execution_status_enum, seal = $4 "
				  "WHERE execution_id OPERATOR(pg_catalog.=) $1",
				  4, types);
	if (wflog_execute_unlocked(update_plan, values, nulls) != SPI_OK_UPDATE)
		elog(ERROR, "could not update wflog.execution_audit_heads");
}

/* Who makes the change: the claims' user in a gateway session, else the session's. */
static char *
current_actor(void)
{
	char	   *uid = wflog_current_uid();
	char	   *name;

	if (uid != NULL)
		return uid;
	name = GetUserNameFromId(GetSessionUserId(), true);
	return name != NULL ? name : psprintf("%u", GetSessionUserId());
}

/* Append the event of a change to the execution's chain.  To be called within SPI. */
static void
record_change(const Change *change)
{
	Datum		execution_id = CStringGetTextDatum(change->execution_id);
	Datum		metadata = event_metadata(change);
	Jsonb	   *jsonb = DatumGetJsonbP(metadata);
	WflogAuditEvent event;
	WflogCaller caller;
	Head		head;
	bytea	   *key;
	uint8		event_seal[WFLOG_SEAL_SIZE];
	uint8		head_seal[WFLOG_SEAL_SIZE];

	event.execution_id = change->execution_id;
	event.event_type = event_type(change);
	event.actor = current_actor();	/* while we are still the caller */
	event.metadata = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));

	wflog_become_owner(&caller);
	if (change->from == NO_STATUS)
		wflog_check_workflow(change->workflow_id);
	head = lock_head(execution_id);
	key = wflog_audit_key(true);

	event.position = Max(head.events, last_position(execution_id)) + 1;
	wflog_make_uuid_v7(&event.id);
	event.created_at = GetCurrentTimestamp();
	wflog_seal_event(key, head.exists ? (uint8 *) VARDATA_ANY(head.seal) : NULL,
					 head.exists ? VARSIZE_ANY_EXHDR(head.seal) : 0, &event, event_seal);
	insert_event(&event, metadata, event_seal);

	wflog_seal_head(key, change->execution_id, event.position,
					change->to == NO_STATUS ? "" : wflog_enum_label(WFLOG_STATUS_ENUM, change->to),
					event_seal, WFLOG_SEAL_SIZE, head_seal);
	write_head(head.exists, &event, change->to, head_seal);
	queue_note_status(change->execution_id, strlen(change->execution_id), event.position);
	if (wflog_notify == WFLOG_NOTIFY_TRANSACTION)
		notify_note_change(change->execution_id, event.position);
	wflog_become_caller(&caller);
}

/* The status in a row of workflow_executions. */
static int
row_status(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, Anum_execution_status, &isnull);

	return wflog_enum_value(WFLOG_STATUS_ENUM, DatumGetObjectId(value));
}

/* Record the change from one version of a row to the other; NULL is none. */
static void
record_row(HeapTuple old, HeapTuple new, TupleDesc desc)
{
	HeapTuple	row = new != NULL ? new : old;
	Change		change;

	change.from = old != NULL ? row_status(old, desc) : NO_STATUS;
	change.to = new != NULL ? row_status(new, desc) : NO_STATUS;
	if (change.from == change.to)
		return;

	SPI_connect();
	change.execution_id = SPI_getvalue(row, desc, Anum_execution_execution_id);
	change.workflow_id = SPI_getvalue(row, desc, Anum_execution_workflow_id);
	change.error_message = SPI_getvalue(row, desc, Anum_execution_error_message);

	/* again, for a later BEFORE trigger may have changed the row */
	if (old != NULL && new != NULL)
		wflog_check_transition(change.execution_id, change.from, change.to);

	record_change(&change);
	SPI_finish();
}

/*
 * Record the deletion of every execution, before TRUNCATE.  The statement's
 * own snapshot is older than its lock and may miss some, so take a new one.
 */
static void
record_truncation(void)
{
	WflogCaller caller;
	Portal		portal;

	SPI_connect();
	wflog_become_owner(&caller);
	PushActiveSnapshot(GetLatestSnapshot());
	portal = SPI_cursor_open_with_args(NULL, "SELECT * FROM ONLY wflog.workflow_executions",
									   0, NULL, NULL, NULL, true, 0);
	PopActiveSnapshot();
	wflog_become_caller(&caller);
	for (;;)
	{
		SPITupleTable *rows;
		uint64		count;

		SPI_cursor_fetch(portal, true, 100);
		rows = SPI_tuptable;
		count = SPI_processed;
		if (count == 0)
			break;
		for (uint64 i = 0; i < count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			record_row(rows->vals[i], NULL, rows->tupdesc);
		}
		SPI_freetuptable(rows);
	}
	SPI_cursor_close(portal);
	SPI_finish();
}

/*
 * AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW, and BEFORE TRUNCATE, ON
 * wflog.workflow_executions
 */
Datum
wflog_audit_execution(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		RelationGetRelid(trigger->tg_relation) != wflog_table_oid(WFLOG_EXECUTIONS) ||
		(TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) ? !TRIGGER_FIRED_BEFORE(trigger->tg_event) :
		 !(TRIGGER_FIRED_AFTER(trigger->tg_event) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event))))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("audit_execution() is the trigger of wflog.workflow_executions only")));

	/* Retention removes executions together with their trails. */
	if (wflog_audit_unlocked())
		return PointerGetDatum(NULL);

	desc = RelationGetDescr(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		record_truncation();
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		bool		isnull;
		Datum		mark = SPI_getbinval(trigger->tg_trigtuple, desc, Anum_execution_audit_mark,
										 &isnull);

		if (isnull || DatumGetInt64(mark) == wflog_audit_mark())
			record_row(NULL, trigger->tg_trigtuple, desc);
	}
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		record_row(trigger->tg_trigtuple, NULL, desc);
	else
		record_row(trigger->tg_trigtuple, trigger->tg_newtuple, desc);
	return PointerGetDatum(NULL);
}
