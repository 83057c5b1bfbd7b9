/*-------------------------------------------------------------------------
 *
 * connection_io.c
 *	  A client's connection: bytes in, bytes out, and what comes next.
 *
 * Everything a client can make us keep is bounded: of what it sends, a head or
 * a piece of a body is kept, and reading pauses while a request is answered
 * and the next ones are waiting; what we send it is one answer, or of a stream
 * what the socket did not take at once.
 *
 * A connection without anything to send or to be read has no buffers, so an
 * idle stream takes little memory.
 *
 * How bytes get over the socket, as they are or by TLS, is in transport.c.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include "request.h"
#include "stream_set.h"

/* As much as a record of TLS may have, so that none is left in part. */
#define READ_SIZE 16384

/* Received and not dealt with; as many bytes as a head may have, and the next read. */
#define MAX_AHEAD (HTTP_MAX_HEAD + READ_SIZE)

#define LINGER_MS 2000

static void conn_progress(Conn *conn);
static void receive(Conn *conn);

/* ---- output ---- */

/* Have the loop tell when more can be sent. */
static void
await_output(Conn *conn)
{
	if (!conn->send_waits)
		event_add(&conn->write_event, NULL);
	else
	{
		conn->read_paused = false;
		event_add(&conn->read_event, NULL);
	}
}

/* Send what is waiting.  False if the connection is over; it is then closed. */
static bool
flush(Conn *conn)
{
	while (conn_pending(conn) > 0)
	{
		ssize_t		sent = transport_send(conn, conn->out.data + conn->out_at, conn_pending(conn));

		if (sent == TRANSPORT_LATER)
		{
			await_output(conn);
			/* what a client does not take, though we have just sent some, it has until then to take */
			if (!evtimer_pending(&conn->timer, NULL) || conn->state >= CONN_HANDLING)
				conn_set_deadline(conn, gateway.options.write_timeout);
			return true;
		}
		if (sent == TRANSPORT_OVER)
		{
			conn_close(conn);
			return false;
		}
		conn->out_at += sent;
	}
	conn->out_at = 0;
	buffer_free(&conn->out);
	if (!conn->receive_waits)
		event_del(&conn->write_event);
	return true;
}

/* Send bytes, or keep them until the client takes them.  False if the connection is over. */
bool
conn_send(Conn *conn, const char *bytes, size_t len)
{
	ssize_t		sent;

	if (conn->closed)
		return false;
	if (conn_pending(conn) > 0)
	{
		buffer_append(&conn->out, bytes, len);
		return true;
	}
	/* most often the socket takes it all, and nothing need be copied */
	sent = transport_send(conn, bytes, len);
	if (sent == TRANSPORT_OVER)
	{
		conn_close(conn);
		return false;
	}
	if (sent == len)
		return true;
	if (sent == TRANSPORT_LATER)
		sent = 0;
	buffer_append(&conn->out, bytes + sent, len - sent);
	await_output(conn);
	conn_set_deadline(conn, gateway.options.write_timeout);
	return true;
}

/* All has been sent: what comes after it? */
static void
output_sent(Conn *conn)
{
	switch (conn->state)
	{
		case CONN_STREAMING:
			conn_set_deadline(conn, 0);
			if (conn->set)
				set_writable(conn->set);
			else
				stream_writable(conn->stream);
			break;
		case CONN_HANDLING:
			conn_set_deadline(conn, 0);
			request_writable(conn->request);
			break;
		case CONN_LINGERING:
			/*
			 * Closing while something unread is in the socket would reset the
			 * connection, and the client might lose the answer.
			 */
			if (transport_finish(conn))
				conn_set_deadline(conn, LINGER_MS);
			else
			{
				event_add(&conn->write_event, NULL);
				conn_set_deadline(conn, gateway.options.write_timeout);
			}
			break;
		default:
			if (conn->state == CONN_IDLE)
				conn_set_deadline(conn, gateway.options.idle_timeout);
			conn_progress(conn);
	}
}

/* The socket can be written to. */
void
conn_writable(evutil_socket_t fd, short what, void *arg)
{
	Conn	   *conn = arg;

	if (conn->state == CONN_HANDSHAKE)
	{
		transport_handshake(conn);
		return;
	}
	if (conn->receive_waits)
	{
		receive(conn);
		if (conn->closed)
			return;
		if (conn_pending(conn) == 0 && conn->state != CONN_LINGERING)
		{
			/* it was for that alone */
			if (!conn->receive_waits)
				event_del(&conn->write_event);
			return;
		}
	}
	if (!flush(conn))
		return;
	if (conn_pending(conn) > 0)
		conn_set_deadline(conn, gateway.options.write_timeout);
	else
		output_sent(conn);
}

/* Nothing more is taken from the client, but read, so that it is noticed when it leaves. */
static void
drop_input(Conn *conn)
{
	buffer_free(&conn->in);
	conn->in_at = 0;
	if (conn->read_paused)
	{
		conn->read_paused = false;
		event_add(&conn->read_event, NULL);
	}
}

/* Close when all has been sent. */
void
conn_end_after_output(Conn *conn)
{
	if (conn->closed)
		return;
	conn->state = CONN_LINGERING;
	drop_input(conn);
	if (conn_pending(conn) == 0)
		output_sent(conn);
}

/*
 * The request has been answered, and the answer handed to conn_send().  The
 * next one is taken from conn_progress(), at once or when the answer is out.
 */
void
conn_answered(Conn *conn)
{
	if (conn->closed)
		return;
	conn->request = NULL;
	if (conn->from_proxy)
		address_leave(&conn->counted);
	if (conn->close_after || gateway.draining)
	{
		conn_end_after_output(conn);
		return;
	}
	conn->state = CONN_IDLE;
	if (conn_pending(conn) == 0)
		conn_set_deadline(conn, gateway.options.idle_timeout);
	if (!conn->in_progress && conn_pending(conn) == 0)
		conn_progress(conn);
}

/* The answer is a stream from now on: the connection has no deadline but the client's reading. */
void
conn_stream_begins(Conn *conn)
{
	conn->state = CONN_STREAMING;
	conn->request = NULL;
	conn->close_after = true;
	drop_input(conn);
	if (conn_pending(conn) == 0)
		conn_set_deadline(conn, 0);
}

/* ---- input ---- */

/* Drop what has been dealt with; pause or go on reading. */
static void
tidy_input(Conn *conn)
{
	size_t		left = conn->in.len - conn->in_at;

	if (left == 0)
	{
		buffer_free(&conn->in);
		conn->in_at = 0;
	}
	else if (conn->in_at > 0)
	{
		memmove(conn->in.data, conn->in.data + conn->in_at, left);
		conn->in.len = left;
		conn->in_at = 0;
	}
	if (left >= MAX_AHEAD && !conn->read_paused)
	{
		conn->read_paused = true;
		event_del(&conn->read_event);
	}
	else if (left < MAX_AHEAD && conn->read_paused)
	{
		conn->read_paused = false;
		event_add(&conn->read_event, NULL);
	}
}

/*
 * Go on with what has been received, as long as there is something that can be
 * done with it.  Requests of a pipeline are answered one after the other.
 */
static void
conn_progress(Conn *conn)
{
	if (conn->in_progress)
		return;
	conn->in_progress = true;
	for (;;)
	{
		bool		more = false;

		if (conn->closed || conn_pending(conn) > 0)
			break;
		if (conn->state == CONN_IDLE && gateway.draining)
		{
			conn_close(conn);
			break;
		}
		if (conn->state == CONN_IDLE && conn->in.len > conn->in_at)
		{
			conn->state = CONN_HEAD;
			memset(&conn->scan, 0, sizeof(HttpScan));
			conn_set_deadline(conn, gateway.options.head_timeout);
		}
		if (conn->state == CONN_HEAD)
			more = request_read_head(conn);
		else if (conn->state == CONN_BODY)
			more = request_read_body(conn);
		if (!more)
			break;
	}
	if (!conn->closed)
		tidy_input(conn);
	conn->in_progress = false;
}

/* Take what the client has sent. */
static void
receive(Conn *conn)
{
	static char bytes[READ_SIZE];
	ssize_t		got = transport_receive(conn, bytes, sizeof(bytes));

	if (got == TRANSPORT_LATER)
		return;
	if (got == TRANSPORT_OVER)
	{
		/* Whoever closes its half and still wants an answer is not to be told from who has left. */
		conn_close(conn);
		return;
	}
	if (conn->state == CONN_LINGERING || conn->state == CONN_STREAMING)
		return;
	buffer_append(&conn->in, bytes, got);
	conn_progress(conn);
}

/* The socket can be read from. */
void
conn_readable(evutil_socket_t fd, short what, void *arg)
{
	Conn	   *conn = arg;

	if (conn->state == CONN_HANDSHAKE)
	{
		transport_handshake(conn);
		return;
	}
	if (conn->send_waits && !flush(conn))
		return;
	receive(conn);
}
