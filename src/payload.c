/*-------------------------------------------------------------------------
 *
 * payload.c
 *	  The JSON of notifications.
 *
 * Payloads are what clients get as they are, so their fields and order are
 * part of the contract (docs/streaming.md).  An event stands alone as a
 * payload, and then begins with the version and tells its batch, or in the
 * events of a gateway's batch, which tells it for all.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "json.h"
#include "notify.h"

/* Write a number as hexadecimal digits. */
static void
put_hex(char *at, uint64 value, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
	{
		at[i] = "0123456789abcdef"[value & 0x0F];
		value >>= 4;
	}
}

/* A batch as text: of fixed width, so that later ones are greater as text too. */
void
put_batch_text(char *out, uint64 epoch, uint64 number)
{
	put_hex(out, epoch, 12);
	out[12] = '-';
	put_hex(out + 13, number, 12);
	out[BATCH_LEN] = '\0';
}

/* The same, palloc'd. */
char *
batch_text(uint64 epoch, uint64 number)
{
	char	   *text = palloc(BATCH_LEN + 1);

	put_batch_text(text, epoch, number);
	return text;
}

/* A string that needs no escapes, or null if it is empty. */
static void
plain_string(StringInfo buf, const char *text)
{
	if (text[0] == '\0')
	{
		json_literal(buf, "null");
		return;
	}
	json_literal(buf, "\"");
	json_bytes(buf, text, strlen(text));
	json_literal(buf, "\"");
}

/*
 * Begin an event, up to and with prev if label is given; else an event that
 * is one of a batch's, up to and with the execution.  The object stays open.
 * id is NULL for what is not about an execution.
 */
void
payload_head(StringInfo buf, const char *kind, const char *id, int len, const BatchLabel *label)
{
	if (label)
		json_literal(buf, "{\"v\":1,\"kind\":");
	else
		json_literal(buf, "{\"kind\":");
	plain_string(buf, kind);
	json_literal(buf, ",\"execution_id\":");
	if (id)
		json_string(buf, id, len);
	else
		json_literal(buf, "null");
	if (!label)
		return;
	json_literal(buf, ",\"batch\":");
	plain_string(buf, label->batch);
	json_literal(buf, ",\"prev\":");
	plain_string(buf, label->prev);
}

/* End an event with a cursor and the log before it. */
void
payload_log(StringInfo buf, StringInfo cursor, StringInfo log)
{
	json_literal(buf, ",\"cursor\":\"");
	json_bytes(buf, cursor->data, cursor->len);
	json_literal(buf, "\",\"log\":{");
	json_bytes(buf, log->data, log->len);
	json_literal(buf, "}}");
}

/*
 * End an event with a cursor, if there is one and it is not too long itself,
 * and the id of the log before it, if it is about a log.
 */
void
payload_reference(StringInfo buf, StringInfo cursor, const pg_uuid_t *id)
{
	json_literal(buf, ",\"cursor\":");
	if (cursor && buf->len + cursor->len < MAX_PAYLOAD / 2)
	{
		json_literal(buf, "\"");
		json_bytes(buf, cursor->data, cursor->len);
		json_literal(buf, "\"");
	}
	else
		json_literal(buf, "null");
	json_literal(buf, ",\"id\":");
	if (id)
		json_uuid(buf, id);
	else
		json_literal(buf, "null");
	json_literal(buf, "}");
}

/* A whole event of kind start, status or end. */
void
payload_status(StringInfo buf, const char *kind, const StatusEvent *event, const BatchLabel *label)
{
	payload_head(buf, kind, event->id, event->len, label);
	json_literal(buf, ",\"status\":");
	json_cstring(buf, event->to);
	if (strcmp(kind, "status") == 0)
	{
		json_literal(buf, ",\"previous\":");
		json_cstring(buf, event->from);
	}
	if (strcmp(kind, "end") == 0)
	{
		json_literal(buf, ",\"total_logs\":");
		json_int(buf, event->total_logs);
	}
	json_literal(buf, ",\"timestamp\":");
	json_time(buf, event->created_at);
	json_literal(buf, ",\"workflow_id\":");
	/* it may be of any length, and has no business to make the payload too long */
	if (event->workflow_id && strlen(event->workflow_id) <= 512)
		json_cstring(buf, event->workflow_id);
	else
		json_literal(buf, "null");
	json_literal(buf, "}");
}

/* Begin a gateway's batch; its events follow, with commas between them. */
void
payload_batch_begin(StringInfo buf, const BatchLabel *label)
{
	json_literal(buf, "{\"v\":1,\"kind\":\"batch\",\"batch\":");
	plain_string(buf, label->batch);
	json_literal(buf, ",\"prev\":");
	plain_string(buf, label->prev);
	json_literal(buf, ",\"events\":[");
}

/* End it. */
void
payload_batch_end(StringInfo buf)
{
	json_literal(buf, "]}");
}
