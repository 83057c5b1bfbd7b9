/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  A client's connection: bytes in, bytes out, deadlines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CONNECTION_H
#define WFLOG_CONNECTION_H

#include <netinet/in.h>

#include "gateway.h"
#include "http_parser.h"

struct Request;
struct Stream;
struct AddressCount;

typedef enum ConnState
{
	CONN_IDLE,					/* between requests; nothing of the next one is there */
	CONN_HEAD,					/* in the head of a request */
	CONN_BODY,
	CONN_HANDLING,				/* a request is being answered */
	CONN_STREAMING,				/* the answer is a stream of events */
	CONN_LINGERING				/* answered, to be closed; what comes is dropped */
} ConnState;

typedef struct Conn
{
	struct Conn *next;			/* of all connections, or of all closed ones */
	struct Conn *prev;
	int			fd;
	ConnState	state;
	bool		close_after;	/* no other request on this connection */
	bool		in_progress;	/* in conn_progress(), further up on the stack */
	bool		closed;
	bool		read_paused;
	struct event read_event;
	struct event write_event;
	struct event timer;
	struct AddressCount *address;
	char		peer[INET6_ADDRSTRLEN];
	Buffer		in;
	size_t		in_at;			/* what is before has been dealt with */
	Buffer		out;
	size_t		out_at;			/* what is before has been sent */
	HttpScan	scan;
	struct Request *request;	/* being received or answered */
	struct Stream *stream;		/* if streaming */
} Conn;

extern int	conn_count;

extern void conn_begin(int fd, const struct sockaddr *peer);
extern void conn_close(Conn *conn);
extern bool conn_send(Conn *conn, const char *bytes, size_t len);
extern void conn_answered(Conn *conn);
extern void conn_stream_begins(Conn *conn, struct Stream *stream);
extern void conn_end_after_output(Conn *conn);
extern void conn_set_deadline(Conn *conn, int64 milliseconds);
extern void conn_drain_all(void);

/* How many bytes wait for the client to take them. */
static inline size_t
conn_pending(const Conn *conn)
{
	return conn->out.len - conn->out_at;
}

/* ---- addresses.c: how many connections each address has ---- */

extern struct AddressCount *address_enter(const struct sockaddr *peer, int max);
extern void address_leave(struct AddressCount *address);

#endif							/* WFLOG_CONNECTION_H */
