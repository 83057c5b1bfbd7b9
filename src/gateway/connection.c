/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  A client's connection: its begin, its end, its deadlines.
 *
 * A client has so long to send a request and to take an answer; one that takes
 * nothing for the write timeout is disconnected.  What is sent and received is
 * dealt with in connection_io.c.
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

/* In the kernel, for each connection: a client that never reads costs no more than that. */
#define SEND_BUFFER 65536

int			conn_count = 0;
static Conn *all_conns = NULL;

/* Closed, and freed when nobody further up on the stack can be using them. */
static Conn *closed_conns = NULL;
static struct event reaper;
static bool reaper_is_there = false;

static void on_timer(evutil_socket_t fd, short what, void *arg);

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
	event_assign(&conn->read_event, gateway.base, fd, EV_READ | EV_PERSIST, conn_readable, conn);
	event_assign(&conn->write_event, gateway.base, fd, EV_WRITE | EV_PERSIST, conn_writable, conn);
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
