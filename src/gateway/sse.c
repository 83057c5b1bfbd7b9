/*-------------------------------------------------------------------------
 *
 * sse.c
 *	  Events as the log API has them: "event: message", and in its data what
 *	  kind it is.
 *
 * The id of an event is the cursor behind it.  That of the last one, COMPLETE,
 * is marked with "e.": who comes back with it has read everything.  Streams of
 * several executions have ids of their own (stream_id.c).  So the line of the
 * id is never written here.
 *
 *-------------------------------------------------------------------------
 */
#include "hub.h"

#include "jsonscan.h"

static void
begin(Buffer *out, const char *kind, const char *quoted_session, bool is_final)
{
	buffer_string(out, "event: message\ndata: {\"event_type\":\"");
	buffer_string(out, kind);
	buffer_string(out, "\",\"session_id\":");
	buffer_string(out, quoted_session);
	buffer_string(out, is_final ? ",\"is_final\":true,\"data\":" : ",\"is_final\":false,\"data\":");
}

static void
end(Buffer *out)
{
	buffer_string(out, ",\"timestamp\":\"");
	append_timestamp(out, wall_us());
	buffer_string(out, "\"}\n\n");
}

/* A log, as the server wrote it. */
void
sse_log(Buffer *out, const char *quoted_execution, const char *log, size_t len, bool live)
{
	size_t		at;

	begin(out, "LOG", quoted_execution, false);
	at = out->len;
	buffer_append(out, log, len);
	/* a line feed outside of strings would end the line; the server writes none */
	for (char *c = out->data + at; (c = memchr(c, '\n', out->data + out->len - c)) != NULL;)
		*c = ' ';
	if (len > 0 && out->data[out->len - 1] == '}')
	{
		out->len--;
		buffer_string(out, live ? ",\"is_realtime\":true}" : ",\"is_realtime\":false}");
	}
	end(out);
}

/* The end of an execution's logs, or of what there is; is_final: and that of the stream. */
void
sse_complete(Buffer *out, const char *quoted_execution, const char *status, bool live, int64 total,
			 bool is_final)
{
	gateway.counters.completions++;
	begin(out, "COMPLETE", quoted_execution, is_final);
	buffer_printf(out, "{\"execution_id\":%s,\"status\":\"%s\",\"message\":\"%s\",\"total_logs\":%lld}",
				  quoted_execution, status[0] ? status : "UNKNOWN", live ? "Execution completed" : "Historical logs retrieved",
				  (long long) total);
	end(out);
}

/*
 * An execution, or the whole stream, cannot go on.  kind is what is quoted:
 * "execution_id" or "workflow_id".
 */
void
sse_error(Buffer *out, const char *quoted, const char *kind, const char *error, const char *type,
		  bool is_final)
{
	gateway.counters.stream_errors++;
	begin(out, "ERROR", quoted, is_final);
	buffer_printf(out, "{\"%s\":%s,\"error\":", kind, quoted);
	json_quote(out, error, strlen(error));
	buffer_printf(out, ",\"error_type\":\"%s\"}", type);
	end(out);
}

/*
 * When a log, as the server writes them, was written: its id says so, in
 * milliseconds, if it is of the kind that the server makes (version 7).  Its
 * timestamp may be any that the writer gave it.  In microseconds since 1970;
 * 0: it cannot be known.
 */
int64
log_written_at(const char *log, size_t len)
{
	JsonValue	document = json_document(log, len);
	JsonValue	id = json_find(&document, "id");
	int64		milliseconds = 0;

	if (id.kind != JSON_STRING || id.len != 36 || id.text[14] != '7')
		return 0;
	for (int i = 0; i < 13; i++)
		if (i != 8)
			milliseconds = milliseconds * 16 + Max(hex_value(id.text[i]), 0);
	return milliseconds * 1000;
}
