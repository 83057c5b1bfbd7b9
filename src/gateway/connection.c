/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A client's connection: bytes in, bytes out, deadlines.
 *
 * Everything a client can make us keep is bounded: of what it sends, a head or
 * a piece of a body is kept, and reading pauses while a request is answered
 * and the next ones are waiting; what we send it is one answer, or of a stream
 * what the socket did not take at once.  A client that takes nothing for the
 * write timeout is disconnected.
 *
 * A connection without anything to send or to be read has no buffers, so an
 * idle stream takes little memory.
 *
 * How bytes get over the socket, as they are or by TLS, is in transport.c.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request.h"
#include "stream_set.h"
#include "tls.h"

/* As much as a record of TLS may have, so that none is left in part. */
#define READ_SIZE 16384

/* Received and not dealt with; as many bytes as a head may have, and the next read. */
#define MAX_AHEAD (HTTP_MAX_HEAD + READ_SIZE)

/* In the kernel, for each connection: a client that never reads costs no more than that. */
#define SEND_BUFFER 65536

#define LINGER_MS 2000

int			conn_count = 0;
static Conn *all_conns = NULL;

/* Closed, and freed when nobody further up on the stack can be using them. */
static Conn *closed_conns = NULL;
static struct event reaper;
static bool reaper_is_there = false;

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);
static void conn_progress(Conn *conn);
static void receive(Conn *conn);

static void
reap(evutil_socket_t fd, short what, void *arg)
{
	while (closed_conns)
	{
		Conn	   *conn = closed_conns;

		closed_conns = conn->next;
		free(conn);
	}
}

/* Take over a socket that has been accepted. */
void
conn_begin(int fd, const struct sockaddr *peer)
{
	struct AddressCount *counted = NULL;
	Address		address = address_of(peer);
	bool		from_proxy = proxy_is_trusted(&address);
	Conn	   *conn;
	int			on = 1;
	int			size = SEND_BUFFER;

	if (conn_count >= gateway.options.max_connections ||
		(!from_proxy && (counted = address_enter(&address, gateway.options.max_per_address)) == NULL))
	{
		static const char refusal[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
			"Content-Length: 0\r\nConnection: close\r\n\r\n";

		gateway.counters.connections_refused++;
		if (!tls_is_on())
			(void) send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		return;
	}
	gateway.counters.connections_accepted++;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));

	conn = xmalloc(sizeof(Conn));
	memset(conn, 0, sizeof(Conn));
	conn->fd = fd;
	conn->peer = address;
	conn->counted = counted;
	conn->from_proxy = from_proxy;
	conn->next = all_conns;
	if (all_conns)
		all_conns->prev = conn;
	all_conns = conn;
	conn_count++;
	event_assign(&conn->read_event, gateway.base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->write_event, gateway.base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	evtimer_assign(&conn->timer, gateway.base, on_timer, conn);
	event_add(&conn->read_event, NULL);
	conn->state = tls_is_on() ? CONN_HANDSHAKE : CONN_IDLE;
	/* who connects and says nothing has no longer than who is slow to say it */
	conn_set_deadline(conn, gateway.options.head_timeout);
	if (conn->state == CONN_HANDSHAKE && !transport_begin_tls(conn))
		conn_close(conn);
}

/*
 * End a connection at once, with what hangs on it.  Its memory stays until the
 * loop calls the next function, so callers may still look at it.
 */
void
conn_close(Conn *conn)
{
	if (conn->closed)
		return;
	conn->closed = true;
	event_del(&conn->read_event);
	event_del(&conn->write_event);
	event_del(&conn->timer);
	if (conn->stream)
		stream_abandoned(conn->stream);
	conn->stream = NULL;
	if (conn->set)
		set_free(conn->set);
	conn->set = NULL;
	if (conn->request)
		request_abandoned(conn->request);
	conn->request = NULL;
	transport_end(conn);
	close(conn->fd);
	address_leave(&conn->counted);
	if (conn->next)
		conn->next->prev = conn->prev;
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		all_conns = conn->next;
	conn_count--;
	buffer_free(&conn->in);
	buffer_free(&conn->out);
	conn->in_at = conn->out_at = 0;
	conn->next = closed_conns;
	closed_conns = conn;
	if (!reaper_is_there)
	{
		event_assign(&reaper, gateway.base, -1, 0, reap, NULL);
		reaper_is_there = true;
	}
	event_active(&reaper, 0, 0);
}

/* What has a deadline changes; 0: nothing has. */
void
conn_set_deadline(Conn *conn, int64 milliseconds)
{
	struct timeval timeout = timeval_of(milliseconds);

	if (milliseconds > 0)
		event_add(&conn->timer, &timeout);
	else
		event_del(&conn->timer);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	Conn	   *conn = arg;

	if (conn_pending(conn) > 0)
	{
		/* the client takes nothing */
		if (conn->state == CONN_STREAMING)
			gateway.counters.stream_stalls++;
		conn_close(conn);
		return;
	}
	switch (conn->state)
	{
		case CONN_HEAD:
		case CONN_BODY:
			request_refuse(conn, 408, "The request did not come in time.");
			break;
		default:
			conn_close(conn);
	}
}

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

static void
on_writable(evutil_socket_t fd, short what, void *arg)
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

static void
on_readable(evutil_socket_t fd, short what, void *arg)
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

/* The gateway ends: streams are told to come back, idle connections are closed. */
void
conn_drain_all(void)
{
	Conn	   *next;

	for (Conn *conn = all_conns; conn; conn = next)
	{
		next = conn->next;
		if (conn->stream)
			stream_drain(conn->stream);
		else if (conn->set)
			set_drain(conn->set);
		else if (conn->state <= CONN_IDLE && conn_pending(conn) == 0)
			conn_close(conn);
	}
}
