/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  A client that follows an execution, as server-sent events.
 *
 * Each stream is a follower as docs/streaming.md describes it, with a cursor
 * and `have`; the events it takes from the ring of its topic, which it shares
 * with the other streams of the execution.  When it cannot know that it has got
 * everything, when an event says that there is something to read, and when the
 * ring has gone on without it, it reads the table from its own cursor
 * (stream_read.c) with the claims of its own client.  So whatever happens to
 * notifications, or to the database, nothing is lost, nothing comes twice, and
 * no stream can fail another.
 *
 * A client is given as much as it takes: beyond STREAM_HIGH_WATER nothing is
 * taken from ring or rows until it has.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_set.h"

#include <time.h>

#include "metrics.h"

int			stream_count = 0;
static Stream *all_streams = NULL;
static struct event tick_event;

/* ---- begin and end ---- */

/* Begin to follow an execution, alone or as one of a set; nothing is read yet. */
Stream *
stream_make(Conn *conn, StreamSet *set, const char *execution, bool follow)
{
	Stream	   *stream = xmalloc(sizeof(Stream));

	memset(stream, 0, sizeof(Stream));
	stream->conn = conn;
	stream->set = set;
	stream->follow = follow;
	stream->subscribe = follow;
	stream->topic = hub_join(execution, stream);
	stream->at = stream->topic->next_event;
	return stream;
}

/* Follow no longer. */
void
stream_free(Stream *stream)
{
	if (stream->job)
		job_abandon(stream->job);
	PQclear(stream->rows);
	hub_leave(stream->topic, stream);
	free(stream->cursor);
	free(stream);
}

/* The end of a stream that is alone. */
static void
stream_remove(Stream *stream)
{
	if (stream->next_all)
		stream->next_all->prev_all = stream->prev_all;
	if (stream->prev_all)
		stream->prev_all->next_all = stream->next_all;
	else
		all_streams = stream->next_all;
	stream_count--;
	claims_free(&stream->claims);
	stream_free(stream);
}

/* The client has left; called when the connection ends. */
void
stream_abandoned(Stream *stream)
{
	stream_remove(stream);
}

/* The id of the event up to which a client says it has got everything; its length is 0 if there is none. */
HttpText
stream_resume_id(const Request *request)
{
	HttpText	header = http_header(&request->http, "Last-Event-ID");
	const char *after = parameter(request, "after");

	/* EventSource comes back with the header, and with the address it began with */
	if (header.len == 0 && after)
		return (HttpText) {after, strlen(after)};
	return header;
}

/* The cursor that a client says it has come to; "e." goes before that of COMPLETE. */
static void
take_cursor(Stream *stream, const Request *request)
{
	HttpText	text = stream_resume_id(request);
	Buffer		cursor = {0};

	if (text.len >= 2 && memcmp(text.at, "e.", 2) == 0)
	{
		stream->was_at_end = true;
		text.at += 2;
		text.len -= 2;
	}
	if (text.len == 0)
		return;
	buffer_append(&cursor, text.at, text.len);
	stream->cursor = buffer_text(&cursor);
}

/* GET …/logs/stream */
void
handle_stream(Request *request)
{
	Stream	   *stream;
	bool		follow;

	if (!parameter_bool(request, "follow", true, &follow))
		return;
	if (!scope_allows(request->scope, request->path.value, NULL))
	{
		respond_problem(request, 403, NULL, "The ticket is for something else.");
		return;
	}
	stream = stream_make(request->conn, NULL, request->path.value, follow);
	stream->request = request;
	claims_copy(&stream->claims, &request->claims);
	stream->patience = clock_ms() + STREAM_PATIENCE_MS;
	take_cursor(stream, request);
	stream->next_all = all_streams;
	if (all_streams)
		all_streams->prev_all = stream;
	all_streams = stream;
	stream_count++;
	request->conn->stream = stream;
	stream_catch_up(stream);
}

/* Send bytes; false if that was the end of the stream. */
bool
stream_send(Stream *stream, const Buffer *bytes)
{
	Conn	   *conn = stream->conn;

	return bytes->len == 0 || conn_send(conn, bytes->data, bytes->len);
}

/*
 * Answer a request with the head of a stream, and append what goes first on
 * it.  False if that was the end of the connection, with all that hangs on it.
 */
bool
stream_open_answer(Conn *conn, Request *request, Buffer *out)
{
	respond_stream_head(request);
	if (conn->closed)
		return false;
	conn_stream_begins(conn);
	request_free(request);
	buffer_printf(out, "retry: %d\n\n", STREAM_RETRY_MS);
	return true;
}

/* The first read was allowed: from now on the answer is a stream. */
void
stream_begins_to_answer(Stream *stream)
{
	Request    *request = stream->request;
	Buffer		out = {0};

	if (stream->set)
	{
		set_begins_to_answer(stream->set);
		return;
	}
	if (request == NULL)
		return;
	stream->request = NULL;
	stream->next_beat = clock_ms() + gateway.options.heartbeat;
	if (stream_open_answer(stream->conn, request, &out))
		stream_send(stream, &out);
	buffer_free(&out);
}

/* End it when what has been sent is out. */
static void
stream_end(Stream *stream)
{
	Conn	   *conn = stream->conn;

	conn->stream = NULL;
	stream_remove(stream);
	conn_end_after_output(conn);
}

/*
 * The stream cannot go on.  If it has not begun that is an answer like any
 * other, else it is an event, after which the client need not come back.
 */
void
stream_refuse(Stream *stream, int status, const char *type, const char *message)
{
	Buffer		out = {0};

	if (stream->set)
	{
		set_refused(stream, status, type, message);
		return;
	}
	if (stream->request)
	{
		Request    *request = stream->request;

		stream->conn->stream = NULL;
		stream_remove(stream);
		stream_respond_refusal(request, status, message);
		return;
	}
	sse_error(&out, stream->topic->quoted, "execution_id", message, type, true);
	if (stream_send(stream, &out))
		stream_end(stream);
	buffer_free(&out);
}

/* Answer a request for a stream that does not come about. */
void
stream_respond_refusal(Request *request, int status, const char *message)
{
	if (status == 503)
		request_header(request, "Retry-After: 2");
	if (status == 204)
		respond(request, status, NULL, NULL, 0);
	else
		respond_problem(request, status, NULL, "%s", message);
}

/* It has been told the end, and there is nothing more. */
void
stream_nothing_new(Stream *stream)
{
	if (stream->set)
		set_nothing_new(stream);
	else
		stream_refuse(stream, 204, NULL, NULL); /* do not come back */
}

/* Everything has been sent, and there is the end. */
void
stream_complete(Stream *stream)
{
	Buffer		out = {0};

	if (stream->set)
	{
		set_complete(stream);
		return;
	}
	buffer_printf(&out, "id: e.%s\n", stream->cursor ? stream->cursor : "");
	sse_complete(&out, stream->topic->quoted, stream->status, stream->was_live, stream->total, true);
	if (stream_send(stream, &out))
		stream_end(stream);
	buffer_free(&out);
}

/* When the gateway ends, clients are asked to come back, not all in the same moment. */
void
stream_append_farewell(Buffer *out)
{
	buffer_printf(out, "retry: %lld\n\n", (long long) with_jitter(STREAM_RETRY_MS));
}

/* The gateway ends. */
void
stream_drain(Stream *stream)
{
	Buffer		out = {0};

	if (stream->request)
	{
		stream_refuse(stream, 503, "", "The gateway is being stopped.");
		return;
	}
	stream_append_farewell(&out);
	if (stream_send(stream, &out))
		stream_end(stream);
	buffer_free(&out);
}

/* Keep the cursor behind the event that is about to be appended, and append the line of its id. */
void
stream_append_id(Stream *stream, Buffer *out, const char *cursor)
{
	size_t		len = strlen(cursor) + 1;

	/* most often they are of the same length */
	if (stream->cursor == NULL || strlen(stream->cursor) + 1 != len)
		stream->cursor = xrealloc(stream->cursor, len);
	memcpy(stream->cursor, cursor, len);
	if (stream->set)
	{
		set_append_id(stream->set, out);
		return;
	}
	buffer_string(out, "id: ");
	buffer_append(out, cursor, len - 1);
	buffer_char(out, '\n');
}

/* ---- live ---- */

/* All that was in the table has been sent. */
void
stream_went_live(Stream *stream)
{
	stream->state = STREAM_LIVE;
	stream->was_live = true;
	stream->receiving[0] = '\0';
	if (stream->set)
		set_turn_over(stream);
	stream_pump(stream);
}

/*
 * Has the stream everything up to where the event's chain begins, so that it
 * misses nothing?
 *
 * tail() names no batch where it finds no log.  But if there was none at all,
 * those of every batch that had been published by then, then all events since
 * are news, as long as the chain is the same.  (Not so for a stream with a
 * cursor: an event may be of the log that it stands behind.)
 */
static bool
is_linked(const Stream *stream, const Event *event)
{
	if (stream->have[0] == '\0')
		return stream->is_fresh && event->chain_number == stream->chain_number;
	return strcmp(event->chain, stream->have) <= 0;
}

/* Take what is new from the ring, up to what the client takes. */
void
stream_pump(Stream *stream)
{
	static Buffer out;
	Topic	   *topic = stream->topic;
	int64		now = 0;

	if (stream->state != STREAM_LIVE || conn_pending(stream->conn) >= STREAM_HIGH_WATER)
		return;
	buffer_clear(&out);
	while (stream->at < topic->next_event && out.len < STREAM_HIGH_WATER)
	{
		const Event *event;
		bool		must_read = false;

		if (stream->at < topic->first)
		{
			/* something may have been among them that must not be missed */
			gateway.counters.stream_laps++;
			stream->subscribe = true;
			must_read = true;
		}
		else
		{
			event = topic_event(topic, stream->at);
			if (event->kind == EVENT_MOVED)
			{
				stream->subscribe = true;
				must_read = true;
			}
			else if (event->kind == EVENT_END)
				must_read = true;
			else if (event->batch[0] != '\0' && strcmp(event->batch, stream->receiving) == 0)
				must_read = event->kind == EVENT_REFERENCE;
			else if (event->batch[0] != '\0' && stream->have[0] != '\0' &&
					 strcmp(event->batch, stream->have) <= 0)
			{
				stream->at++;	/* we have got it */
				continue;
			}
			else if (!is_linked(stream, event) || event->batch[0] == '\0')
				must_read = true;
			else if (event->kind == EVENT_GAP)
			{
				stream->at++;	/* what was missed is not after what we have */
				continue;
			}
			else
			{
				memcpy(stream->have, event->batch, BATCH_SIZE);
				memcpy(stream->receiving, event->batch, BATCH_SIZE);
				must_read = event->kind == EVENT_REFERENCE;
			}
		}
		if (must_read)
		{
			/* what goes out now was before it */
			if (stream_send(stream, &out))
				stream_catch_up(stream);
			return;
		}
		if (event->kind == EVENT_LOG)
		{
			stream_append_id(stream, &out, event->cursor);
			buffer_append(&out, event->body, event->body_len);
			gateway.counters.events_sent++;
			if (now == 0)
				now = wall_us();
			count_delivery(event->written, now);
		}
		stream->at++;
	}
	stream_send(stream, &out);
}

/* The client has taken everything. */
void
stream_writable(Stream *stream)
{
	if (stream->state == STREAM_ROWS)
		stream_send_rows(stream);
	else
		stream_pump(stream);
}

/* ---- time ---- */

/* Read the table, if it is time for that. */
void
stream_tick_read(Stream *stream, int64 now)
{
	if (stream->state == STREAM_WAITING && now >= stream->retry_at && pool_is_up())
		stream_catch_up(stream);
	else if (stream->state == STREAM_LIVE && listener_is_polling() && now >= stream->retry_at)
	{
		stream->retry_at = now + STREAM_POLL_MS;
		stream_catch_up(stream);
	}
}

/* What is due for a stream, which may be its end. */
static void
stream_tick(Stream *stream, int64 now)
{
	if (stream->request)
	{
		if (stream->state == STREAM_WAITING && now >= stream->patience)
			stream_refuse(stream, 503, "unavailable", "The database cannot be reached.");
		else
			stream_tick_read(stream, now);
		return;
	}
	if (stream->claims.expires <= time(NULL))
	{
		stream_refuse(stream, 401, "token_expired", "The token has expired.");
		return;
	}
	if (now >= stream->next_beat)
	{
		stream->next_beat = now + gateway.options.heartbeat;
		if (conn_pending(stream->conn) == 0 && !conn_send(stream->conn, ":\n\n", 3))
			return;
	}
	stream_tick_read(stream, now);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	int64		now = clock_ms();
	Stream	   *next;

	for (Stream *stream = all_streams; stream; stream = next)
	{
		next = stream->next_all;
		stream_tick(stream, now);
	}
	sets_tick(now);
}

void
streams_begin(void)
{
	struct timeval often = {0, 500000};

	event_assign(&tick_event, gateway.base, -1, EV_PERSIST, on_tick, NULL);
	event_add(&tick_event, &often);
}
