/*-------------------------------------------------------------------------
 *
 * channel.c
 *	  wflog.channel(), workflow_channel(), gateway_channel(): where to LISTEN.
 *
 * To tell a channel is to note that somebody is going to listen there: the
 * worker notifies of nothing else, because before PostgreSQL 19 every
 * notification wakes every listener of the database.  The note is in shared
 * memory and does not follow the transaction; it may be there for nothing, but
 * is never missing.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "notify.h"
#include "pgstat.h"
#include "reader.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/* How long to wait for our database to get a slot, and how often to look. */
#define SLOT_TIMEOUT_MS 5000
#define SLOT_CHECK_MS 10

PG_FUNCTION_INFO_V1(wflog_channel);
PG_FUNCTION_INFO_V1(wflog_workflow_channel);
PG_FUNCTION_INFO_V1(wflog_gateway_channel);

/*
 * The slot of our database, in which we ask.  Just after the server has begun
 * to let clients in, the launcher may not have given it one yet; who asks then
 * must not be forgotten, so wait for it, unless all are taken.  NULL: none.
 */
static DatabaseSlot *
slot_to_ask_in(void)
{
	DatabaseSlot *slot = my_slot();

	for (int waited = 0; slot == NULL && wflog_control != NULL && waited < SLOT_TIMEOUT_MS;
		 waited += SLOT_CHECK_MS)
	{
		bool		is_free = false;

		for (int i = 0; i < wflog_control->slot_count && !is_free; i++)
			is_free = !OidIsValid(pg_atomic_read_u32(&slot_number(i)->database));
		if (!is_free)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SLOT_CHECK_MS,
						 WFLOG_WAIT_EVENT("WflogChannel"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		slot = my_slot();
	}
	return slot;
}

/* Warn whoever is going to wait in vain. */
static void
check_notifications(void)
{
	DatabaseSlot *slot;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("a standby cannot notify"),
				 errhint("Listen on the primary, or poll wflog.tail().")));
	if (wflog_notify == WFLOG_NOTIFY_TRANSACTION)
		return;
	slot = slot_to_ask_in();
	if (wflog_control == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing will be notified, because wflog is not preloaded"),
				 errhint("Add wflog to shared_preload_libraries, or set wflog.notify to transaction, or poll wflog.tail().")));
	else if (wflog_notify == WFLOG_NOTIFY_OFF)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing will be notified, because wflog.notify is off"),
				 errhint("Poll wflog.tail().")));
	else if (slot == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database has no worker yet that could notify"),
				 errhint("It gets one within a minute, if wflog.max_databases and max_worker_processes allow it.")));
}

/* Note that a channel is asked for; its name, which a gateway is not told. */
static void
note_asked(AskedKind kind, const char *id, int len, uint8 flags, const char *channel)
{
	DatabaseSlot *slot = my_slot();

	if (slot)
		asked_enter(slot, kind, id, len, wflog_execution_hash(id, len), flags, channel);
}

/*
 * How a caller is notified: on the channel he gets; and where a gateway
 * listens on the gateway's, what its sessions ask for is notified there too.
 */
static uint8
asked_by(void)
{
	DatabaseSlot *slot = my_slot();

	if (slot && slot->gateway_asked && wflog_is_gateway_session())
		return ASKED_BY_CHANNEL | ASKED_BY_GATEWAY;
	return ASKED_BY_CHANNEL;
}

/* SQL: wflog.channel(execution_id) */
Datum
wflog_channel(PG_FUNCTION_ARGS)
{
	ReadableExecution execution;
	char		name[CHANNEL_LEN + 1];

	require_execution(fcinfo, 0, &execution);
	check_notifications();
	execution_channel_name(channel_key(true), execution.key.id, execution.key.len, name);
	note_asked(ASKED_EXECUTION, execution.key.id, execution.key.len, asked_by(), name);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* SQL: wflog.workflow_channel(workflow_id) */
Datum
wflog_workflow_channel(PG_FUNCTION_ARGS)
{
	char	   *id = require_workflow(fcinfo, 0);
	char		name[CHANNEL_LEN + 1];

	check_notifications();
	(void) workflow_channel_name(channel_key(true), id, strlen(id), name);
	note_asked(ASKED_WORKFLOW, id, strlen(id), asked_by(), name);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * SQL: wflog.gateway_channel(execution_id, workflow_id)
 *
 * One channel for all that gateways ask for: here, by naming an execution or
 * workflow that the asker may read, or by channel() in a gateway's session.
 * The name of its own channel is noted, though nobody is told it: by that the
 * worker knows if the owner has changed before it has heard of the asker.
 */
Datum
wflog_gateway_channel(PG_FUNCTION_ARGS)
{
	DatabaseSlot *slot;
	char		name[CHANNEL_LEN + 1];

	if (!wflog_is_gateway_session())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the gateway's channel"),
				 errdetail("Only members of role wflog_gateway may know it.")));
	check_notifications();
	slot = my_slot();
	if (!PG_ARGISNULL(0))
	{
		ReadableExecution execution;

		require_execution(fcinfo, 0, &execution);
		execution_channel_name(channel_key(true), execution.key.id, execution.key.len, name);
		note_asked(ASKED_EXECUTION, execution.key.id, execution.key.len, ASKED_BY_GATEWAY, name);
	}
	if (!PG_ARGISNULL(1))
	{
		char	   *id = require_workflow(fcinfo, 1);

		(void) workflow_channel_name(channel_key(true), id, strlen(id), name);
		note_asked(ASKED_WORKFLOW, id, strlen(id), ASKED_BY_GATEWAY, name);
	}
	if (slot)
		asked_gateway(slot);
	channel_name(channel_key(true), CHANNEL_GATEWAY, "", 0, NULL, name);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
