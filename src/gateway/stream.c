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
#include "stream.h"

#include <time.h>

#include "metrics.h"

/* Where LISTEN is of no use, streams look so often. */
#define POLL_MS 1000

#define RETRY_MS 2000			/* clients come back after so long */

int			stream_count = 0;
static Stream *all_streams = NULL;
static struct event tick_event;

/* ---- begin and end ---- */

static void
stream_free(Stream *stream)
{
	if (stream->job)
		job_abandon(stream->job);
	PQclear(stream->rows);
	hub_leave(stream->topic, stream);
	if (stream->next_all)
		stream->next_all->prev_all = stream->prev_all;
	if (stream->prev_all)
		stream->prev_all->next_all = stream->next_all;
	else
		all_streams = stream->next_all;
	stream_count--;
	claims_free(&stream->claims);
	free(stream->cursor);
	free(stream);
}

/* The client has left; called when the connection ends. */
void
stream_abandoned(Stream *stream)
{
	stream_free(stream);
}

/* The cursor that a client says it has come to; "e." goes before that of COMPLETE. */
static void
take_cursor(Stream *stream, const Request *request)
{
	HttpText	header = http_header(&request->http, "Last-Event-ID");
	const char *after = parameter(request, "after");
	Buffer		text = {0};

	/* EventSource comes back with the header, and with the address it began with */
	if (header.len > 0)
		buffer_append(&text, header.at, header.len);
	else if (after && after[0])
		buffer_string(&text, after);
	else
		return;
	if (strncmp(buffer_text(&text), "e.", 2) == 0)
	{
		stream->was_at_end = true;
		memmove(text.data, text.data + 2, text.len - 1);
		text.len -= 2;
	}
	if (text.len > 0)
		stream->cursor = buffer_text(&text);
	else
		buffer_free(&text);
}

/* GET …/logs/stream */
void
handle_stream(Request *request)
{
	Stream	   *stream;
	bool		follow;

	if (!parameter_bool(request, "follow", true, &follow))
		return;
	stream = xmalloc(sizeof(Stream));
	memset(stream, 0, sizeof(Stream));
	stream->conn = request->conn;
	stream->request = request;
	stream->follow = follow;
	stream->subscribe = follow;
	claims_copy(&stream->claims, &request->claims);
	stream->patience = clock_ms() + STREAM_PATIENCE_MS;
	take_cursor(stream, request);
	stream->topic = hub_join(request->path.value, stream);
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

/* The first read was allowed: from now on the answer is a stream. */
void
stream_begins_to_answer(Stream *stream)
{
	Request    *request = stream->request;
	Conn	   *conn = stream->conn;
	Buffer		out = {0};

	stream->request = NULL;
	stream->next_beat = clock_ms() + gateway.options.heartbeat;
	respond_stream_head(request);
	if (conn->closed)
		return;					/* with the request, and with us */
	conn_stream_begins(conn, stream);
	request_free(request);
	buffer_printf(&out, "retry: %d\n\n", RETRY_MS);
	stream_send(stream, &out);
	buffer_free(&out);
}

/* End it when what has been sent is out. */
void
stream_end(Stream *stream)
{
	Conn	   *conn = stream->conn;

	conn->stream = NULL;
	stream_free(stream);
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

	if (stream->request)
	{
		Request    *request = stream->request;

		stream->conn->stream = NULL;
		stream_free(stream);
		if (status == 503)
			request_header(request, "Retry-After: 2");
		if (status == 204)
			respond(request, status, NULL, NULL, 0);
		else
			respond_problem(request, status, NULL, "%s", message);
		return;
	}
	sse_error(&out, stream->topic->quoted, message, type);
	if (stream_send(stream, &out))
		stream_end(stream);
	buffer_free(&out);
}

/* Everything has been sent, and there is the end. */
void
stream_complete(Stream *stream)
{
	Buffer		out = {0};

	sse_complete(&out, stream->cursor, stream->topic->quoted, stream->status[0] ? stream->status : "UNKNOWN",
				 stream->was_live, stream->total);
	if (stream_send(stream, &out))
		stream_end(stream);
	buffer_free(&out);
}

/* The gateway ends: the client is asked to come back, not all in the same moment. */
void
stream_drain(Stream *stream)
{
	Buffer		out = {0};

	if (stream->request)
	{
		stream_refuse(stream, 503, "", "The gateway is being stopped.");
		return;
	}
	buffer_printf(&out, "retry: %lld\n\n", (long long) with_jitter(RETRY_MS));
	if (stream_send(stream, &out))
		stream_end(stream);
	buffer_free(&out);
}

void
stream_keep_cursor(Stream *stream, const char *cursor)
{
	size_t		len = strlen(cursor) + 1;

	/* most often they are of the same length */
	if (stream->cursor == NULL || strlen(stream->cursor) + 1 != len)
		stream->cursor = xrealloc(stream->cursor, len);
	memcpy(stream->cursor, cursor, len);
}

/* ---- live ---- */

/* All that was in the table has been sent. */
void
stream_went_live(Stream *stream)
{
	stream->state = STREAM_LIVE;
	stream->was_live = true;
	stream->receiving[0] = '\0';
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
			buffer_string(&out, "id: ");
			buffer_string(&out, event->cursor);
			buffer_char(&out, '\n');
			buffer_append(&out, event->body, event->body_len);
			stream_keep_cursor(stream, event->cursor);
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

/* What is due for a stream, which may be its end. */
static void
stream_tick(Stream *stream, int64 now)
{
	if (stream->request)
	{
		if (stream->state == STREAM_WAITING && now >= stream->patience)
			stream_refuse(stream, 503, "unavailable", "The database cannot be reached.");
		else if (stream->state == STREAM_WAITING && now >= stream->retry_at && pool_is_up())
			stream_catch_up(stream);
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
	if (stream->state == STREAM_WAITING && now >= stream->retry_at && pool_is_up())
		stream_catch_up(stream);
	else if (stream->state == STREAM_LIVE && listener_is_polling() && now >= stream->retry_at)
	{
		stream->retry_at = now + POLL_MS;
		stream_catch_up(stream);
	}
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
}

void
streams_begin(void)
{
	struct timeval often = {0, 500000};

	event_assign(&tick_event, gateway.base, -1, EV_PERSIST, on_tick, NULL);
	event_add(&tick_event, &often);
}
