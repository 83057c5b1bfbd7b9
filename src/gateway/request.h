/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Requests, and what answers are made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_REQUEST_H
#define WFLOG_REQUEST_H

#include "connection.h"
#include "grants.h"

struct Download;
struct Job;
struct Route;

#define MAX_PARAMETERS 64
#define REQUEST_ID_MAX 64
#define TRACE_ID_MAX 64

/* A parameter of the query or of the path, decoded. */
typedef struct Parameter
{
	char	   *name;
	char	   *value;
} Parameter;

typedef struct Request
{
	Conn	   *conn;
	HttpRequest http;			/* points into head */
	char	   *head;
	Buffer		body;
	size_t		body_len;		/* of what has been received of it */
	size_t		body_kept;		/* of which counts as memory that bodies take */
	HttpChunks	chunks;
	const struct Route *route;	/* NULL: there is none, or it has not been looked for */
	bool		is_admitted;	/* may go to the route's handler */
	Parameter	path;			/* the one variable part of the path; or NULLs */
	int			parameter_count;
	Parameter	parameters[MAX_PARAMETERS];
	Claims		claims;			/* who asks; verified */
	Scope	   *scope;			/* what the ticket is for that it came with, if it is bound */
	bool		as_lines;		/* a page's logs as lines of JSON, not as a document */
	Address		client;			/* where it comes from, whoever has passed it on */
	bool		is_https;		/* so it has left the client */
	struct Job *job;			/* the database is being asked */
	struct Download *download;	/* the answer is sent piece by piece */
	size_t		sent;			/* of such an answer, bytes */
	int64		begun;			/* clock_us() */
	int64		database_us;
	char		id[REQUEST_ID_MAX + 1];
	bool		has_given_id;	/* id came with the request */
	char		trace_id[TRACE_ID_MAX + 1];
	char		span_id[17];	/* of who sent it, in that trace; or "" */
	Buffer		headers;		/* lines to go with the answer */
} Request;

/* ---- request.c: reading ---- */

extern bool request_read_head(Conn *conn);
extern bool request_read_body(Conn *conn);
extern void request_refuse(Conn *conn, int status, const char *detail);
extern void request_abandoned(Request *request);
extern void request_writable(Request *request);
extern void request_free(Request *request);

/* ---- response.c: answering; each ends the request ---- */

extern void respond(Request *request, int status, const char *content_type,
					const char *body, size_t len);
extern void respond_problem(Request *request, int status, const char *parameter,
							const char *fmt,...) pg_attribute_printf(4, 5);
extern void respond_bad_log(Request *request, int status, int64 index, const char *field,
							const char *problem);
extern void respond_unauthorized(Request *request, const char *why);
extern void respond_stream_head(Request *request);
extern bool respond_document_head(Request *request, const char *content_type);
extern void request_header(Request *request, const char *fmt,...) pg_attribute_printf(2, 3);

/* ---- job_problem.c ---- */

extern void respond_job_problem(Request *request, const struct Job *job);

/* ---- accept.c: which form an answer is to have, and which a body has ---- */

extern int	accept_choose(HttpText accept, const char *const *types, int count);
extern bool content_type_is(const Request *request, const char *type);

/* ---- parameters.c ---- */

extern bool url_decode(Buffer *out, HttpText text, bool is_query);
extern bool parameters_parse(Request *request);
extern const char *parameter(const Request *request, const char *name);
extern bool parameter_number(Request *request, const char *name, int64 fallback, int64 min,
							 int64 max, int64 *value);
extern bool parameter_bool(Request *request, const char *name, bool fallback, bool *value);

/* ---- router.c ---- */

typedef enum Access
{
	ACCESS_OPEN,				/* anybody */
	ACCESS_TOKEN,				/* a token in the Authorization header */
	ACCESS_STREAM				/* there, or it or a ticket as parameter: EventSource cannot set headers */
} Access;

typedef struct Route
{
	const char *method;			/* GET serves HEAD, too */
	const char *pattern;		/* {name} is one part of the path */
	Access		access;
	void		(*handle) (Request *request);
	const char *name;			/* in metrics */
} Route;

extern int	route_count(void);
extern const Route *route_number(int number);
extern bool request_admit(Request *request);
extern bool request_wants_body(const Request *request);

/* ---- forwarded.c ---- */

extern void forwarded_take(Request *request);

/* ---- cors.c ---- */

extern bool cors_handle(Request *request);

/* ---- access_log.c ---- */

extern void access_log_open(void);
extern void access_log(const Request *request, int status, size_t bytes);

/* ---- metrics.c ---- */

extern void metrics_request(const Route *route, int status, int64 microseconds);

/* ---- export.c: a document sent piece by piece ---- */

extern void download_writable(struct Download *download);
extern void download_free(struct Download *download);

/* ---- rest.c, ingest.c, export.c, executions.c, monitor.c, stream.c, stream_many.c, tickets.c, page.c: handlers ---- */

extern void handle_logs(Request *request);
extern void handle_summary(Request *request);
extern void handle_recent_logs(Request *request);
extern void handle_execution(Request *request);
extern void handle_executions(Request *request);
extern void handle_workflow_logs(Request *request);
extern void handle_workflow_summary(Request *request);
extern void handle_ingest(Request *request);
extern void handle_export(Request *request);
extern void handle_start_execution(Request *request);
extern void handle_change_execution(Request *request);
extern void handle_statistics(Request *request);
extern void handle_health(Request *request);
extern void handle_ready(Request *request);
extern void handle_metrics(Request *request);
extern void handle_stream(Request *request);
extern void handle_stream_of_many(Request *request);
extern void handle_stream_tickets(Request *request);
extern void handle_sessions(Request *request);
extern void handle_page(Request *request);
extern void handle_page_file(Request *request);
extern void handle_openapi(Request *request);

#endif							/* WFLOG_REQUEST_H */
