/*-------------------------------------------------------------------------
 *
 * notify_transaction.c
 *	  wflog.notify = transaction: the writing transaction notifies itself.
 *
 * It needs no worker, and so no preloading, but every commit then takes the
 * lock that PostgreSQL's NOTIFY takes for the whole cluster.  A transaction
 * cannot know what a cursor needs, the snapshot in which it will be visible;
 * so it sends a reference for each execution, without batch, and the listener
 * reads tail().
 *
 * Prepared transactions do not notify: PostgreSQL refuses to prepare one that
 * has.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "commands/async.h"
#include "json.h"
#include "log_scan.h"
#include "nodes/pg_list.h"
#include "notify.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A change of status that the transaction makes. */
typedef struct Change
{
	char	   *id;				/* the execution's */
	int64		position;		/* of the event in its trail */
} Change;

static const BatchLabel no_label = {"", ""};
static List *changes = NIL;

/* Notify of the executions that the transaction has logged to, before it commits. */
static void
notify_touched_executions(const TouchedExecution *executions, int count)
{
	StringInfoData payload;
	char		name[CHANNEL_LEN + 1];
	bytea	   *key;

	PushActiveSnapshot(GetTransactionSnapshot());
	key = channel_key(true);
	initStringInfo(&payload);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		execution_channel_name(key, executions[i].id, executions[i].len, name);
		resetStringInfo(&payload);
		payload_head(&payload, "reference", executions[i].id, executions[i].len, &no_label);
		payload_reference(&payload, NULL, NULL);
		Async_Notify(name, payload.data);
	}
	pfree(payload.data);
	PopActiveSnapshot();
}

/* Send an event of an execution's trail. */
static void
send_event(const char *channel, const char *kind, const StatusEvent *event)
{
	StringInfoData payload;

	initStringInfo(&payload);
	payload_status(&payload, kind, event, &no_label);
	Async_Notify(channel, payload.data);
	pfree(payload.data);
}

/* Notify of a change of status.  The total at an end is that of the logs that we see. */
static void
notify_change(const bytea *key, const Change *change)
{
	StatusEvent event;
	char		execution[CHANNEL_LEN + 1];
	char		workflow[CHANNEL_LEN + 1];
	ExecutionKey logs;

	/* not there if a savepoint has been rolled back */
	if (!status_read(change->id, strlen(change->id), change->position, &event))
		return;
	execution_channel_name(key, event.id, event.len, execution);
	send_event(execution, "status", &event);
	if (event.workflow_id)
	{
		(void) workflow_channel_name(key, event.workflow_id, strlen(event.workflow_id), workflow);
		send_event(workflow, event.from ? "status" : "start", &event);
	}
	if (event.to == NULL || !STATUS_IS_TERMINAL(wflog_parse_status(event.to)))
		return;
	logs = execution_key(event.id, event.len);
	event.total_logs = log_count(&logs, log_filter_all());
	send_event(execution, "end", &event);
	if (event.workflow_id)
		send_event(workflow, "end", &event);
}

/* Note a change of status, for the end of the transaction; may fail. */
void
notify_note_change(const char *execution_id, int64 position)
{
	MemoryContext saved = MemoryContextSwitchTo(TopTransactionContext);
	Change	   *change = palloc(sizeof(Change));

	change->id = pstrdup(execution_id);
	change->position = position;
	changes = lappend(changes, change);
	MemoryContextSwitchTo(saved);
}

/* Transaction callback. */
static void
transaction_event(XactEvent event, void *arg)
{
	ListCell   *cell;
	bytea	   *key;

	if (event == XACT_EVENT_PRE_COMMIT && changes != NIL)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		key = channel_key(true);
		foreach(cell, changes)
			notify_change(key, lfirst(cell));
		PopActiveSnapshot();
	}
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		changes = NIL;			/* gone with its context */
}

/* From _PG_init, before wflog_queue_init(): callbacks are called in reverse order. */
void
wflog_notify_init(void)
{
	notify_from_transaction = notify_touched_executions;
	RegisterXactCallback(transaction_event, NULL);
}
