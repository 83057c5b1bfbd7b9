/*-------------------------------------------------------------------------
 *
 * audit_verify.c
 *	  wflog.verify_audit(): has the audit trail been altered?
 *
 * One statement reads events, heads and executions side by side, ordered by
 * execution and position, so that one snapshot covers all three and memory
 * stays bounded however long the trails are.  Each event is sealed again from
 * what it says and from the head before it (audit_seal.c has the formulas).
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(wflog_verify_audit);

/* Columns of the statement below. */
enum
{
	Col_execution_id = 1,
	Col_position, Col_id, Col_event_type, Col_created_at, Col_actor, Col_metadata, Col_seal,
	Col_from, Col_to,
	Col_head_events, Col_head_status, Col_head_seal,
	Col_has_execution, Col_status
};

/* The condition, if any, restricts each of the three tables. */
#define VERIFY_QUERY(condition) \
	"SELECT COALESCE(e.execution_id, h.execution_id, x.execution_id) " \
	"           COLLATE pg_catalog.\"C\" AS execution_id, " \
	"       e.position, e.id, e.event_type, e.created_at, e.actor, " \
	"       e.metadata::pg_catalog.text, e.seal, " \
	"       e.metadata OPERATOR(pg_catalog.->>) 'from', " \
	"       e.metadata OPERATOR(pg_catalog.->>) 'to', " \
	"       h.events, h.status::pg_catalog.text, h.seal, " \
	"       x.execution_id IS NOT NULL, x.status::pg_catalog.text " \
	"FROM (SELECT * FROM wflog.execution_audit_heads h" condition ") h " \
	"FULL JOIN (SELECT * FROM wflog.workflow_executions h" condition ") x " \
	"    ON h.execution_id OPERATOR(pg_catalog.=) x.execution_id " \
	"FULL JOIN (SELECT * FROM wflog.execution_audit_events h" condition ") e " \
	"    ON e.execution_id OPERATOR(pg_catalog.=) COALESCE(h.execution_id, x.execution_id) " \
	"ORDER BY 1, 2"

#define BATCH_SIZE 1000

/* Where the walk over the trails is. */
typedef struct Verification
{
	ReturnSetInfo *result;
	bytea	   *key;			/* NULL if it has been removed */
	bool		check_reader;	/* leave out what the caller may not read */

	/* the execution at hand */
	StringInfoData execution_id;
	bool		started;
	bool		skipped;
	int64		position;		/* of the event before, 0 if none */
	bool		link_known;		/* is head_seal the seal of the head before? */
	uint8		head_seal[WFLOG_SEAL_SIZE];
	int			head_seal_size; /* 0 before the first event */
	char		status[64];		/* after the event before, "" for none */
	bool		has_head;
	int64		head_events;
	char		head_status[64];
	StringInfoData stored_head_seal;
	bool		has_execution;
	char		execution_status[64];
} Verification;

/* Report a problem; event is NULL where it is not one event's. */
static void
report(Verification *v, const pg_uuid_t *event, const char *format,...) pg_attribute_printf(3, 4);

static void
report(Verification *v, const pg_uuid_t *event, const char *format,...)
{
	StringInfoData text;
	Datum		values[2];
	bool		nulls[2] = {event == NULL, false};
	va_list		args;
	int			needed;

	initStringInfo(&text);
	appendStringInfo(&text, "execution \"%s\": ", v->execution_id.data);
	for (;;)
	{
		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	values[0] = event != NULL ? UUIDPGetDatum(event) : (Datum) 0;
	values[1] = CStringGetTextDatum(text.data);
	tuplestore_putvalues(v->result->setResult, v->result->setDesc, values, nulls);
}

/* Copy a status, "" for NULL. */
static void
copy_status(char *to, const char *from)
{
	strlcpy(to, from != NULL ? from : "", 64);
}

/* A status to print. */
static const char *
shown(const char *status)
{
	return status[0] != '\0' ? status : "no status";
}

/* Check the head and the execution against the events, which have all been seen. */
static void
finish_execution(Verification *v)
{
	const char *recorded = v->status;

	if (!v->started || v->skipped)
		return;

	if (!v->has_head)
	{
		if (v->position > 0)
			report(v, NULL, "the head of the chain is missing");
	}
	else if (v->head_events > v->position)
	{
		if (v->head_events == v->position + 1)
			report(v, NULL, "the newest event, at position " INT64_FORMAT ", is missing",
				   v->head_events);
		else
			report(v, NULL, "the newest events, at positions " INT64_FORMAT " to " INT64_FORMAT
				   ", are missing", v->position + 1, v->head_events);
		recorded = v->head_status;
	}
	else if (strcmp(v->head_status, v->status) != 0 || v->head_events != v->position ||
			 (v->key != NULL &&
			  (v->stored_head_seal.len != WFLOG_SEAL_SIZE ||
			   memcmp(v->stored_head_seal.data, v->head_seal, WFLOG_SEAL_SIZE) != 0)))
		report(v, NULL, "the head of the chain does not match the newest event");

	if (v->has_execution && v->position == 0 && !v->has_head)
		report(v, NULL, "it has no audit trail");
	else if (v->has_execution && strcmp(v->execution_status, recorded) != 0)
		report(v, NULL, "its status is %s, but %s is on record", v->execution_status,
			   shown(recorded));
	else if (!v->has_execution && recorded[0] != '\0')
		report(v, NULL, "it was removed in status %s without an event", recorded);
	if (v->key == NULL && v->position > 0)
		report(v, NULL, "the seals cannot be checked: the key in wflog.secrets is missing");
}

/* Begin with another execution. */
static void
begin_execution(Verification *v, HeapTuple row, TupleDesc desc, const char *execution_id)
{
	bool		isnull;
	Datum		value;

	resetStringInfo(&v->execution_id);
	appendStringInfoString(&v->execution_id, execution_id);
	v->started = true;
	v->skipped = v->check_reader && !wflog_may_read_execution(execution_id, strlen(execution_id));
	v->position = 0;
	v->link_known = true;
	v->head_seal_size = 0;
	v->status[0] = '\0';

	value = SPI_getbinval(row, desc, Col_head_events, &isnull);
	v->has_head = !isnull;
	v->head_events = isnull ? 0 : DatumGetInt64(value);
	copy_status(v->head_status, SPI_getvalue(row, desc, Col_head_status));
	resetStringInfo(&v->stored_head_seal);
	value = SPI_getbinval(row, desc, Col_head_seal, &isnull);
	if (!isnull)
	{
		bytea	   *seal = DatumGetByteaPP(value);

		appendBinaryStringInfo(&v->stored_head_seal, VARDATA_ANY(seal), VARSIZE_ANY_EXHDR(seal));
	}
	v->has_execution = DatumGetBool(SPI_getbinval(row, desc, Col_has_execution, &isnull));
	copy_status(v->execution_status, SPI_getvalue(row, desc, Col_status));
}

/* Check that an event carries on where the one before ended. */
static void
check_sequence(Verification *v, const WflogAuditEvent *event, const char *from)
{
	bool		created = strcmp(event->event_type, "CREATED") == 0;

	if (created && v->status[0] != '\0')
		report(v, &event->id, "it was removed in status %s without an event before it was created again",
			   v->status);
	else if (!created && v->position == 0)
		report(v, &event->id, "the trail does not begin with its creation");
	else if (!created && strcmp(from, v->status) != 0)
		report(v, &event->id, "its status went from %s to %s without an event",
			   shown(v->status), shown(from));
}

/* Check one event against the chain so far. */
static void
check_event(Verification *v, HeapTuple row, TupleDesc desc)
{
	WflogAuditEvent event;
	bytea	   *seal;
	uint8		expected[WFLOG_SEAL_SIZE];
	char		from[64];
	char		to[64];
	bool		isnull;

	event.execution_id = v->execution_id.data;
	event.position = DatumGetInt64(SPI_getbinval(row, desc, Col_position, &isnull));
	event.id = *DatumGetUUIDP(SPI_getbinval(row, desc, Col_id, &isnull));
	event.event_type = SPI_getvalue(row, desc, Col_event_type);
	event.created_at = DatumGetTimestampTz(SPI_getbinval(row, desc, Col_created_at, &isnull));
	event.actor = SPI_getvalue(row, desc, Col_actor);
	event.metadata = SPI_getvalue(row, desc, Col_metadata);
	seal = DatumGetByteaPP(SPI_getbinval(row, desc, Col_seal, &isnull));
	copy_status(from, SPI_getvalue(row, desc, Col_from));
	copy_status(to, SPI_getvalue(row, desc, Col_to));

	if (event.position <= v->position)
	{
		report(v, &event.id, "there is an event at position " INT64_FORMAT ", out of order",
			   event.position);
		return;
	}
	if (event.position > v->position + 1)
	{
		if (event.position == v->position + 2)
			report(v, NULL, "the event at position " INT64_FORMAT " is missing",
				   event.position - 1);
		else
			report(v, NULL, "the events at positions " INT64_FORMAT " to " INT64_FORMAT
				   " are missing", v->position + 1, event.position - 1);
		v->link_known = false;
	}

	if (v->link_known)
	{
		if (v->key != NULL)
			wflog_seal_event(v->key, v->head_seal, v->head_seal_size, &event, expected);
		if (v->key != NULL && (VARSIZE_ANY_EXHDR(seal) != WFLOG_SEAL_SIZE ||
							   memcmp(VARDATA_ANY(seal), expected, WFLOG_SEAL_SIZE) != 0))
			report(v, &event.id, "the event at position " INT64_FORMAT
				   " was altered or forged: its seal does not match", event.position);
		else
			check_sequence(v, &event, from);
	}
	if (v->has_head && event.position > v->head_events)
		report(v, &event.id, "the event at position " INT64_FORMAT
			   " is beyond the head of the chain", event.position);

	/* Carry on from what is stored, so that one bad event is reported once. */
	v->position = event.position;
	v->link_known = true;
	memcpy(v->status, to, sizeof(to));
	if (v->key != NULL)
	{
		wflog_seal_head(v->key, event.execution_id, event.position, to,
						(uint8 *) VARDATA_ANY(seal), VARSIZE_ANY_EXHDR(seal), v->head_seal);
		v->head_seal_size = WFLOG_SEAL_SIZE;
	}
}

/* Take in one row of the statement. */
static void
verify_row(Verification *v, HeapTuple row, TupleDesc desc)
{
	char	   *execution_id = SPI_getvalue(row, desc, Col_execution_id);
	bool		isnull;

	if (!v->started || strcmp(execution_id, v->execution_id.data) != 0)
	{
		finish_execution(v);
		begin_execution(v, row, desc, execution_id);
	}
	if (v->skipped)
		return;
	(void) SPI_getbinval(row, desc, Col_position, &isnull);
	if (!isnull)
		check_event(v, row, desc);
}

/* Open the statement, for one execution or for all, as the tables' owner. */
static Portal
open_trails(Verification *v, text *execution_id)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PointerGetDatum(execution_id)};
	WflogCaller caller;
	Portal		portal;

	wflog_become_owner(&caller);
	v->key = wflog_audit_key(false);
	if (execution_id != NULL)
		portal = SPI_cursor_open_with_args(NULL,
										   VERIFY_QUERY(" WHERE h.execution_id "
														"OPERATOR(pg_catalog.=) $1"),
										   1, types, values, NULL, true, 0);
	else
		portal = SPI_cursor_open_with_args(NULL, VERIFY_QUERY(""), 0, NULL, NULL, NULL, true, 0);
	wflog_become_caller(&caller);
	return portal;
}

/* Report that an execution does not exist, or that the caller may not see it. */
static void
no_such_execution(text *execution_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("execution \"%s\" does not exist", text_to_cstring(execution_id))));
}

/*
 * SQL: wflog.verify_audit(execution_id)
 *
 * A row for each problem, none if the trail is untouched.  Without an
 * execution_id, all that the caller may read are checked, deleted ones
 * included.  P0002 for an execution that is unknown or not for the caller.
 */
Datum
wflog_verify_audit(PG_FUNCTION_ARGS)
{
	text	   *execution_id = PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0);
	Verification v = {0};
	MemoryContext per_batch;
	MemoryContext old_context;
	Portal		portal;

	if (execution_id != NULL)
	{
		char	   *id = VARDATA_ANY(execution_id);
		int			length = VARSIZE_ANY_EXHDR(execution_id);

		wflog_check_execution_id(id, length);
		if (!wflog_may_read_execution(id, length))
			no_such_execution(execution_id);
	}

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	v.result = (ReturnSetInfo *) fcinfo->resultinfo;
	v.check_reader = execution_id == NULL && !wflog_sees_all();

	SPI_connect();
	initStringInfo(&v.execution_id);
	initStringInfo(&v.stored_head_seal);
	portal = open_trails(&v, execution_id);
	per_batch = AllocSetContextCreate(CurrentMemoryContext, "wflog verify_audit",
									  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		SPITupleTable *rows;
		uint64		count;

		SPI_cursor_fetch(portal, true, BATCH_SIZE);
		rows = SPI_tuptable;
		count = SPI_processed;
		if (count == 0)
			break;
		old_context = MemoryContextSwitchTo(per_batch);
		for (uint64 i = 0; i < count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			verify_row(&v, rows->vals[i], rows->tupdesc);
			MemoryContextReset(per_batch);
		}
		MemoryContextSwitchTo(old_context);
		SPI_freetuptable(rows);
	}
	finish_execution(&v);
	SPI_cursor_close(portal);
	SPI_finish();

	if (execution_id != NULL && !v.started)
		no_such_execution(execution_id);
	return (Datum) 0;
}
