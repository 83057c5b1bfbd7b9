/*-------------------------------------------------------------------------
 *
 * transport.c
 *	  Bytes to a client and from it: over the socket as it is, or by TLS.
 *
 * Of a plain connection these are send() and recv() and nothing more.  With TLS
 * either way may have to wait for the other (a handshake, new keys); what waits
 * for what is noted here, and connection_io.c goes by it, so that nothing spins on
 * a socket that is ready for the wrong thing.
 *
 * SSL_read() is given room for a whole record and OpenSSL reads no more than
 * one from the socket, so nothing that has arrived stays hidden from the loop
 * in OpenSSL's own buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "tls.h"

/* The first byte of a TLS connection: a record of the handshake. */
#define TLS_HANDSHAKE_RECORD 0x16

/*
 * What has become of an operation of OpenSSL that has not succeeded.  On a
 * connection that is broken nothing more may be said, not even that it ends.
 */
static ssize_t
outcome_of(Conn *conn, int result)
{
	switch (SSL_get_error(conn->tls, result))
	{
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			return TRANSPORT_LATER;
		case SSL_ERROR_ZERO_RETURN:
			return TRANSPORT_OVER;
		default:
			conn->tls_broken = true;
			return TRANSPORT_OVER;
	}
}

/* Give the connection TLS.  False: there is no memory. */
bool
transport_begin_tls(Conn *conn)
{
	conn->tls = tls_new(conn->fd);
	return conn->tls != NULL;
}

/*
 * Is it something else than TLS that comes?  The first byte tells, and is left
 * where it is.
 */
static bool
is_not_tls(int fd)
{
	unsigned char first;

	return recv(fd, &first, 1, MSG_PEEK) == 1 && first != TLS_HANDSHAKE_RECORD;
}

/*
 * Go on with the handshake, as far as that can be done now.  It has the time of
 * a request's head, which begins anew when it is done.
 */
void
transport_handshake(Conn *conn)
{
	static const char not_tls[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
		"Content-Length: 45\r\nConnection: close\r\n\r\n"
		"HTTPS is spoken here, and this was not HTTPS\n";
	int			result;

	if (!conn->tls_begun && is_not_tls(conn->fd))
	{
		/* most likely a person, whom an answer that can be read helps more than an alert */
		gateway.counters.requests_refused++;
		SSL_free(conn->tls);
		conn->tls = NULL;
		conn_send(conn, not_tls, sizeof(not_tls) - 1);
		conn_end_after_output(conn);
		return;
	}
	conn->tls_begun = true;
	ERR_clear_error();
	result = SSL_accept(conn->tls);
	if (result != 1 && outcome_of(conn, result) == TRANSPORT_OVER)
	{
		gateway.counters.tls_failures++;
		conn_close(conn);
		return;
	}
	if (result != 1 && SSL_want_write(conn->tls))
		event_add(&conn->write_event, NULL);
	else
		event_del(&conn->write_event);
	if (result == 1)
	{
		conn->state = CONN_IDLE;
		conn_set_deadline(conn, gateway.options.head_timeout);
	}
}

/* Send; returns how many bytes were taken, or TRANSPORT_LATER or TRANSPORT_OVER. */
ssize_t
transport_send(Conn *conn, const char *bytes, size_t len)
{
	size_t		all = 0;
	size_t		sent;
	ssize_t		outcome;
	int			result = 0;

	if (conn->tls == NULL)
	{
		ssize_t		plain;

		do
			plain = send(conn->fd, bytes, len, MSG_NOSIGNAL);
		while (plain < 0 && errno == EINTR);
		if (plain > 0)
			return plain;
		return plain < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? TRANSPORT_LATER : TRANSPORT_OVER;
	}
	ERR_clear_error();
	conn->send_waits = false;
	/* one record at a time; one that is sent in part is gone on with by the next call, which begins with it */
	while (all < len && (result = SSL_write_ex(conn->tls, bytes + all, len - all, &sent)) == 1)
		all += sent;
	if (all == len)
		return all;
	conn->send_waits = SSL_want_read(conn->tls);
	outcome = outcome_of(conn, result);
	return outcome == TRANSPORT_LATER && all > 0 ? all : outcome;
}

/* Receive; returns how many bytes there were, or TRANSPORT_LATER or TRANSPORT_OVER. */
ssize_t
transport_receive(Conn *conn, char *bytes, size_t size)
{
	size_t		received;
	int			result;

	if (conn->tls == NULL)
	{
		ssize_t		plain = recv(conn->fd, bytes, size, 0);

		if (plain > 0)
			return plain;
		return plain < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) ? TRANSPORT_LATER : TRANSPORT_OVER;
	}
	ERR_clear_error();
	conn->receive_waits = false;
	result = SSL_read_ex(conn->tls, bytes, size, &received);
	if (result == 1)
		return received;
	if (SSL_want_write(conn->tls))
	{
		conn->receive_waits = true;
		event_add(&conn->write_event, NULL);
	}
	return outcome_of(conn, result);
}

/*
 * Tell the client that nothing more will come; what it sends can still be read.
 * With TLS that is said in it, so that an end by somebody in between is not
 * taken for ours.  False: the socket has no room for that yet.
 */
bool
transport_finish(Conn *conn)
{
	/* once it is out, SSL_shutdown() would wait for the client to say the same */
	if (conn->tls && !conn->tls_broken &&
		(conn->finish_waits || !(SSL_get_shutdown(conn->tls) & SSL_SENT_SHUTDOWN)))
	{
		int			result;

		ERR_clear_error();
		result = SSL_shutdown(conn->tls);
		conn->finish_waits = result < 0 && SSL_want_write(conn->tls) && outcome_of(conn, result) == TRANSPORT_LATER;
		if (conn->finish_waits)
			return false;
	}
	(void) shutdown(conn->fd, SHUT_WR);
	return true;
}

/*
 * The connection is over, and its socket is about to be closed.  If all that
 * there was to say has been said, a client by TLS is told that this is the end,
 * if that can be done at once.
 */
void
transport_end(Conn *conn)
{
	if (conn->tls == NULL)
		return;
	if (!conn->tls_broken && SSL_is_init_finished(conn->tls) && conn_pending(conn) == 0 &&
		!(SSL_get_shutdown(conn->tls) & SSL_SENT_SHUTDOWN))
	{
		ERR_clear_error();
		(void) SSL_shutdown(conn->tls);
	}
	SSL_free(conn->tls);
	conn->tls = NULL;
}
