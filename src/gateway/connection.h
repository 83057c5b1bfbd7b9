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
struct StreamSet;
struct AddressCount;
struct ssl_st;
struct sockaddr;

/* Where a client is. */
typedef struct Address
{
	unsigned char family;		/* 4 or 6; 0: this machine, by a Unix-domain socket */
	unsigned char bytes[16];	/* of IPv4 the first four; the rest is zero */
} Address;

#define ADDRESS_TEXT_SIZE INET6_ADDRSTRLEN

typedef enum ConnState
{
	CONN_HANDSHAKE,				/* of TLS; nothing else has begun */
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
	bool		from_proxy;		/* a trusted one, who says where requests are from */
	/* of TLS; see transport.c */
	bool		tls_begun;
	bool		tls_broken;		/* nothing more can be said */
	bool		send_waits;		/* for something to read */
	bool		receive_waits;	/* to write */
	bool		finish_waits;	/* to write */
	struct ssl_st *tls;			/* NULL: plain */
	struct event read_event;
	struct event write_event;
	struct event timer;
	Address		peer;
	struct AddressCount *counted;	/* for an address; NULL: a proxy's, while it asks for nobody */
	Buffer		in;
	size_t		in_at;			/* what is before has been dealt with */
	Buffer		out;
	size_t		out_at;			/* what is before has been sent */
	HttpScan	scan;
	struct Request *request;	/* being received or answered */
	struct Stream *stream;		/* if streaming, or about to */
	struct StreamSet *set;		/* or a stream of several executions */
} Conn;

extern int	conn_count;

extern void conn_begin(int fd, const struct sockaddr *peer);
extern void conn_close(Conn *conn);
extern void conn_set_deadline(Conn *conn, int64 milliseconds);
extern void conn_drain_all(void);

/* ---- connection_io.c: what is sent and received ---- */

extern bool conn_send(Conn *conn, const char *bytes, size_t len);
extern void conn_answered(Conn *conn);
extern void conn_stream_begins(Conn *conn);
extern void conn_end_after_output(Conn *conn);
extern void conn_readable(evutil_socket_t fd, short what, void *arg);
extern void conn_writable(evutil_socket_t fd, short what, void *arg);

/* How many bytes wait for the client to take them. */
static inline size_t
conn_pending(const Conn *conn)
{
	return conn->out.len - conn->out_at;
}

/* ---- transport.c: a socket, plain or with TLS ---- */

/* What these return instead of a number of bytes. */
#define TRANSPORT_LATER (-1)	/* not now; the loop will tell when */
#define TRANSPORT_OVER (-2)		/* closed, or broken */

extern bool transport_begin_tls(Conn *conn);
extern void transport_handshake(Conn *conn);
extern ssize_t transport_send(Conn *conn, const char *bytes, size_t len);
extern ssize_t transport_receive(Conn *conn, char *bytes, size_t size);
extern bool transport_finish(Conn *conn);
extern void transport_end(Conn *conn);

/* ---- addresses.c: addresses, and how many connections each has ---- */

extern Address address_of(const struct sockaddr *peer);
extern bool address_parse(HttpText text, Address *address);
extern const char *address_text(const Address *address, char *out);
extern struct AddressCount *address_enter(const Address *client, int max);
extern void address_leave(struct AddressCount **counted);

/* ---- forwarded.c: what proxies say ---- */

extern void trusted_proxy_add(const char *text);
extern bool proxy_is_trusted(const Address *address);

#endif							/* WFLOG_CONNECTION_H */
