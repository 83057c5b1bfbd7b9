/*-------------------------------------------------------------------------
 *
 * gateway.h
 *	  wflog serve: what all its parts share.
 *
 * One process, one thread, one event loop (libevent's core).  Nothing here may
 * block but the start.  The way of a request:
 *
 *	  server.c      accepts connections
 *	  connection.c  keeps deadlines; reads bytes and writes them (connection_io.c)
 *	  request.c     makes requests of them (http_parser.c), and answers
 *	  router.c      finds who handles a request; asks jwt.c who is asking
 *	  rest.c        asks the database (pool.c), answers with what it says
 *	  stream.c      follows an execution (hub.c, listener.c), as events (sse.c)
 *	  stream_set.c  follows several of them on one connection
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_GATEWAY_H
#define WFLOG_GATEWAY_H

#include "client.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#define MAX_CORS_ORIGINS 64

/* How the gateway was started.  Times are in milliseconds. */
typedef struct GatewayOptions
{
	const char *listen;			/* address:port, or unix:path */
	const char *tls_cert_file;	/* NULL: no TLS */
	const char *tls_key_file;
	int			tls_min_version;	/* of OpenSSL */
	int			hsts_max_age;	/* seconds; -1: browsers are not told */
	bool		forwarded_by_rfc;	/* proxies write Forwarded, not X-Forwarded-For */
	const char *jwt_secret_file;
	const char *jwks_file;
	const char *audience;		/* NULL: any */
	const char *issuer;			/* NULL: any */
	const char *link_user;		/* whom to print links to the page for; NULL: nobody */
	const char *access_log;		/* a file; "-": stdout; NULL: none */
	int			cors_origin_count;
	const char *cors_origins[MAX_CORS_ORIGINS];
	int			pool_size;
	int			connect_timeout;
	int			query_timeout;	/* statement_timeout of all but pages and streams */
	int			logs_timeout;	/* of pages and streams */
	int			head_timeout;	/* for the head of a request */
	int			body_timeout;
	int			idle_timeout;	/* between requests */
	int			write_timeout;	/* without a byte taken by the client */
	int			drain_timeout;	/* at the end, for what is under way */
	int			heartbeat;
	int			ticket_lifetime;
	int			max_connections;
	int			max_per_address;
	int			max_body;		/* bytes */
	int			stream_buffer;	/* bytes of events kept per execution */
} GatewayOptions;

/* Counters for /metrics that more than one file adds to. */
typedef struct GatewayCounters
{
	uint64		connections_accepted;
	uint64		connections_refused;
	uint64		accept_pauses;
	uint64		tls_failures;	/* handshakes */
	uint64		requests_refused;	/* by the parser or a limit */
	uint64		requests_abandoned; /* the client left first */
	uint64		unauthorized;
	uint64		events_sent;
	uint64		completions;	/* events that tell an end, or an error */
	uint64		stream_errors;
	uint64		stream_laps;	/* streams that had to go back to the table */
	uint64		stream_stalls;	/* clients that stopped reading */
	uint64		notifications;
	uint64		chain_breaks;	/* notifications that were missed */
} GatewayCounters;

typedef struct Gateway
{
	struct event_base *base;
	GatewayOptions options;
	Connection *database;		/* how to connect; not connected */
	GatewayCounters counters;
	bool		draining;		/* takes no new work, and ends */
	int64		started_ms;
} Gateway;

extern Gateway gateway;

/* ---- clock.c ---- */

extern int64 clock_ms(void);	/* of a clock that is never set */
extern int64 clock_us(void);
extern int64 wall_us(void);		/* microseconds since 1970 */
extern void append_timestamp(Buffer *out, int64 wall);
extern struct timeval timeval_of(int64 milliseconds);
extern int64 with_jitter(int64 milliseconds);

/* ---- service.c ---- */

extern void service_notify(const char *state);

/* ---- cmd_serve.c ---- */

extern void gateway_drain(void);

/* ---- tickets.c ---- */

extern void link_print(const char *user);

#endif							/* WFLOG_GATEWAY_H */
