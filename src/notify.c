/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  The worker's notifications.
 *
 * A round's notifications are sent in one or more transactions ("parts"),
 * each of which PostgreSQL keeps in memory until it commits.  Notifications of
 * a batch that is sent in several parts all have its number and the same prev.
 *
 * The queue of notifications is the cluster's, and one listener that sleeps in
 * a transaction can fill it.  A NOTIFY then fails; so when there is little room
 * left, nothing is sent.  Whoever has missed something by that is marked, is
 * told so as soon as there is room again, and reads the table.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xlog.h"
#include "commands/async.h"
#include "fault.h"
#include "json.h"
#include "utils/fmgrprotos.h"
#include "worker.h"

/* A part is committed when it has come to so much. */
#define PART_COUNT 16384
#define PART_BYTES (4 * 1024 * 1024)

/* Send nothing when the queue of notifications is fuller than this. */
#define MAX_QUEUE_USAGE 0.8

/* Look at its usage this often, or after a part's bytes. */
#define USAGE_INTERVAL_MS 10

/* What the queue takes for a notification beside its payload, at least. */
#define NOTIFICATION_OVERHEAD (CHANNEL_LEN + 20)

/* How much a part may come to: the queue must take it. */
static Size
part_bytes(void)
{
	static Size bytes = 0;

	if (bytes == 0)
		bytes = Min(PART_BYTES, Max(wflog_notify_queue_size() / 16, BLCKSZ));
	return bytes;
}

/* Has the queue of notifications room? */
static bool
queue_has_room(Worker *worker)
{
	LOCAL_FCINFO(fcinfo, 0);
	TimestampTz now = GetCurrentTimestamp();

	if (worker->sending && worker->usage_bytes < part_bytes() &&
		!TimestampDifferenceExceeds(worker->usage_at, now, USAGE_INTERVAL_MS))
		return true;
	worker->usage_at = now;
	worker->usage_bytes = 0;
	if (FAULT_TRUE("notify-full"))
		return false;
	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetFloat8(pg_notification_queue_usage(fcinfo)) <= MAX_QUEUE_USAGE;
}

/* At the beginning of a transaction. */
void
notify_begin_part(Worker *worker)
{
	worker->sending = queue_has_room(worker);
	worker->part_count = 0;
	worker->part_bytes = 0;
	worker->flush = InvalidXLogRecPtr;
}

/* Send what is in the buffer. */
static void
send(Worker *worker, const char *channel, StringInfo payload)
{
	Size		bytes = payload->len + NOTIFICATION_OVERHEAD;

	Async_Notify(channel, payload->data);
	worker->part_count++;
	worker->part_bytes += bytes;
	worker->usage_bytes += bytes;
	worker->round_count++;
	worker->events++;
}

/* Send the gateway's batch, if there is one. */
static void
flush_batch(Worker *worker)
{
	if (worker->batch.len == 0)
		return;
	payload_batch_end(&worker->batch);
	send(worker, worker->gateway->channel, &worker->batch);
	resetStringInfo(&worker->batch);
}

/*
 * Before the end of a transaction.  The commits of all logs told of become
 * durable: a cursor must not be given away for less.
 */
void
notify_end_part(Worker *worker)
{
	flush_batch(worker);
	if (worker->flush != InvalidXLogRecPtr)
		XLogFlush(worker->flush);
}

/* Has the transaction come to what it may? */
bool
notify_part_full(Worker *worker)
{
	return worker->part_count >= PART_COUNT ||
		worker->part_bytes + worker->batch.len >= part_bytes();
}

/* The label of the batch at hand for a subject. */
void
notify_label(Worker *worker, const Subject *subject, BatchLabel *label)
{
	put_batch_text(label->batch, worker->epoch, worker->number);
	if (subject->last == 0)
		label->prev[0] = '\0';
	else
		put_batch_text(label->prev, worker->epoch, subject->last);
}

/* Prepare what all logs of a subject have in common. */
void
notify_begin_batch(Worker *worker, Subject *subject)
{
	notify_label(worker, subject, &worker->label);
	resetStringInfo(&worker->head);
	payload_head(&worker->head, "log", subject->id, subject->len, &worker->label);
	resetStringInfo(&worker->event_head);
	payload_head(&worker->event_head, "log", subject->id, subject->len, NULL);
}

/* Add an event to the gateway's batch. */
static void
add_to_batch(Worker *worker, StringInfo event)
{
	StringInfo	batch = &worker->batch;

	if (batch->len > 0 && batch->len + event->len + 3 > MAX_PAYLOAD)
		flush_batch(worker);
	if (batch->len == 0)
	{
		BatchLabel	label;

		subject_name_channel(worker, worker->gateway, 0);
		notify_label(worker, worker->gateway, &label);
		payload_batch_begin(batch, &label);
	}
	else
		json_literal(batch, ",");
	json_bytes(batch, event->data, event->len);
	worker->gateway_told = true;
	worker->events++;
}

/* What a batch takes around its one event. */
#define BATCH_FRAME (2 * BATCH_LEN + 80)

/*
 * Tell of the log whose fields are in worker->log, with the cursor in
 * worker->cursor: by a reference if it is too long or by setting.
 */
void
notify_log(Worker *worker, Subject *subject, const pg_uuid_t *id)
{
	int			body = worker->cursor.len + worker->log.len + 32;
	bool		full = wflog_notify_payload == WFLOG_PAYLOAD_FULL;

	if (subject->flags & ASKED_BY_CHANNEL)
	{
		StringInfo	payload = &worker->payload;

		resetStringInfo(payload);
		if (full && worker->head.len + body <= MAX_PAYLOAD)
		{
			json_bytes(payload, worker->head.data, worker->head.len);
			payload_log(payload, &worker->cursor, &worker->log);
		}
		else
		{
			payload_head(payload, "reference", subject->id, subject->len, &worker->label);
			payload_reference(payload, &worker->cursor, id);
		}
		send(worker, subject->channel, payload);
	}
	if (subject->flags & ASKED_BY_GATEWAY)
	{
		StringInfo	event = &worker->event;

		resetStringInfo(event);
		if (full && worker->event_head.len + body <= MAX_PAYLOAD - BATCH_FRAME)
		{
			json_bytes(event, worker->event_head.data, worker->event_head.len);
			payload_log(event, &worker->cursor, &worker->log);
		}
		else
		{
			payload_head(event, "reference", subject->id, subject->len, NULL);
			payload_reference(event, &worker->cursor, id);
		}
		add_to_batch(worker, event);
	}
	worker->round_logs++;
}

/* Tell of an event of an execution's trail, on the channel of it or of its workflow. */
void
notify_status(Worker *worker, Subject *subject, const char *kind, const StatusEvent *event)
{
	if (subject->flags & ASKED_BY_CHANNEL)
	{
		BatchLabel	label;

		notify_label(worker, subject, &label);
		resetStringInfo(&worker->payload);
		payload_status(&worker->payload, kind, event, &label);
		send(worker, subject->channel, &worker->payload);
	}
	if (subject->flags & ASKED_BY_GATEWAY)
	{
		resetStringInfo(&worker->event);
		payload_status(&worker->event, kind, event, NULL);
		add_to_batch(worker, &worker->event);
	}
}

/*
 * Tell listeners of a subject's channel, by kind reference, that there is
 * something to be read, or those of an old one, by kind moved, that it is no
 * more.
 */
void
notify_simple(Worker *worker, Subject *subject, const char *channel, const char *kind)
{
	bool		reference = strcmp(kind, "reference") == 0;
	bool		execution = subject->kind == ASKED_EXECUTION;

	if (subject->flags & ASKED_BY_CHANNEL)
	{
		BatchLabel	label;

		notify_label(worker, subject, &label);
		resetStringInfo(&worker->payload);
		payload_head(&worker->payload, kind, execution ? subject->id : NULL, subject->len, &label);
		if (reference)
			payload_reference(&worker->payload, NULL, NULL);
		else
			json_literal(&worker->payload, "}");
		send(worker, channel, &worker->payload);
	}
	/* a gateway's channel stays, but who listens there may no longer be allowed to */
	if (!reference && execution && (subject->flags & ASKED_BY_GATEWAY))
	{
		StringInfoData event;

		initStringInfo(&event);
		payload_head(&event, kind, subject->id, subject->len, NULL);
		json_literal(&event, "}");
		add_to_batch(worker, &event);
		pfree(event.data);
	}
}

/* Tell gateways that they have missed something. */
void
notify_gateway_resync(Worker *worker)
{
	BatchLabel	label;

	flush_batch(worker);
	subject_name_channel(worker, worker->gateway, 0);
	notify_label(worker, worker->gateway, &label);
	/* it may have been told of this very batch: that is no reason to believe it has got all */
	label.prev[0] = '\0';
	payload_batch_begin(&worker->batch, &label);
	flush_batch(worker);
}
