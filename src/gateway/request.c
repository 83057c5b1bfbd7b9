/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Makes requests of what a connection has received.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "pool.h"

#include <openssl/rand.h>

/* So many times --max-body is kept of all bodies together. */
#define MAX_BODIES 64

static size_t body_bytes = 0;	/* of those that are kept */

/* An id that a client or proxy gave, if it is harmless. */
static bool
take_id(char *out, HttpText text, size_t max)
{
	if (text.len == 0 || text.len > max)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum((unsigned char) text.at[i]) && strchr("-_.:", text.at[i]) == NULL)
			return false;
	memcpy(out, text.at, text.len);
	out[text.len] = '\0';
	return true;
}

/*
 * Which request this is, for the access log and for whoever looks for it there:
 * the ids that came with it, or one of our own.
 */
static void
take_ids(Request *request)
{
	HttpText	parent = http_header(&request->http, "traceparent");

	request->has_given_id = take_id(request->id, http_header(&request->http, "X-Request-ID"), REQUEST_ID_MAX);
	if (!request->has_given_id)
	{
		unsigned char bytes[12];

		if (RAND_bytes(bytes, sizeof(bytes)) != 1)
			memset(bytes, 0, sizeof(bytes));
		for (int i = 0; i < sizeof(bytes); i++)
			sprintf(request->id + 2 * i, "%02x", bytes[i]);
	}
	/* 00-TRACE-PARENT-FLAGS, as of W3C; the header's own name goes before */
	if (!take_id(request->trace_id, http_header(&request->http, "X-Trace-ID"), TRACE_ID_MAX) &&
		parent.len == 55 && parent.at[2] == '-' && parent.at[35] == '-')
	{
		(void) take_id(request->trace_id, (HttpText) {parent.at + 3, 32}, TRACE_ID_MAX);
		(void) take_id(request->span_id, (HttpText) {parent.at + 36, 16}, 16);
	}
}

static Request *
make_request(Conn *conn)
{
	Request    *request = xmalloc(sizeof(Request));

	/* not the headers, which are counted */
	memset(request, 0, sizeof(Request));
	request->conn = conn;
	request->client = conn->peer;
	request->is_https = conn->tls != NULL;
	request->begun = clock_us();
	conn->request = request;
	return request;
}

/*
 * Answer a request that cannot be read, and close: where the next one would
 * begin is not known.
 */
void
request_refuse(Conn *conn, int status, const char *detail)
{
	Request    *request = conn->request ? conn->request : make_request(conn);

	gateway.counters.requests_refused++;
	if (request->id[0] == '\0')
		take_ids(request);
	conn->close_after = true;
	conn->state = CONN_HANDLING;
	respond_problem(request, status, NULL, "%s", detail);
}

/* What is wrong with a head that is refused with a status. */
static const char *
refusal_of(int status)
{
	switch (status)
	{
		case 413:
			return "The body is too large.";
		case 414:
			return "The request line is too long.";
		case 417:
			return "Only 100-continue can be expected.";
		case 431:
			return "The headers are too long, or too many.";
		case 501:
			return "Of transfer codings only chunked is known.";
		case 505:
			return "Only HTTP/1.0 and HTTP/1.1 are spoken here.";
		default:
			return "The request is malformed.";
	}
}

/* The request is there, with its body. */
static void
request_complete(Request *request)
{
	Conn	   *conn = request->conn;

	conn->state = CONN_HANDLING;
	conn_set_deadline(conn, 0);
	if (request->is_admitted || request_admit(request))
		request->route->handle(request);
}

/*
 * Look at a request before its body is there: who may not send it is told so
 * now, and what he sends is not kept.  False: it has been answered.
 */
static bool
admit_body(Request *request)
{
	Conn	   *conn = request->conn;

	conn->state = CONN_HANDLING;
	conn->close_after = true;	/* the answer comes in the middle of the request */
	conn_set_deadline(conn, 0);
	if (!request_admit(request))
		return false;
	conn->close_after = !request->http.keep_alive;
	return true;
}

/* Read a head, if it is whole.  True: there may be more to do. */
bool
request_read_head(Conn *conn)
{
	HttpRequest http;
	Request    *request;
	char	   *bytes = conn->in.data + conn->in_at;
	size_t		head_len = 0;
	int			status = http_scan_head(&conn->scan, bytes, conn->in.len - conn->in_at, &head_len);

	if (status == HTTP_PARSE_MORE)
		return false;
	if (status == HTTP_PARSE_DONE)
	{
		/* looked at first where it is, so that a bad one costs nothing */
		status = http_parse_head(&http, bytes, head_len);
		if (status == HTTP_PARSE_DONE && http.body == HTTP_BODY_LENGTH &&
			http.content_length > gateway.options.max_body)
			status = 413;
	}
	if (status != HTTP_PARSE_DONE)
	{
		request_refuse(conn, status, refusal_of(status));
		return false;
	}
	request = make_request(conn);
	request->head = xmalloc(head_len);
	memcpy(request->head, bytes, head_len);
	(void) http_parse_head(&request->http, request->head, head_len);
	conn->in_at += head_len;
	conn->close_after = !request->http.keep_alive;
	take_ids(request);
	if (conn->from_proxy)
	{
		forwarded_take(request);
		conn->counted = address_enter(&request->client, gateway.options.max_per_address);
		if (conn->counted == NULL)
		{
			gateway.counters.connections_refused++;
			request_header(request, "Retry-After: 5");
			request_refuse(conn, 503, "There are too many connections from this address.");
			return false;
		}
	}

	if (request->http.body == HTTP_BODY_NONE ||
		(request->http.body == HTTP_BODY_LENGTH && request->http.content_length == 0))
	{
		request_complete(request);
		return true;
	}
	if (request_wants_body(request) && !admit_body(request))
		return true;
	conn->state = CONN_BODY;
	conn_set_deadline(conn, gateway.options.body_timeout);
	if (request->http.expect_continue)
	{
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		if (!request->is_admitted)
		{
			/* the body has not been sent yet, and now need not be */
			conn->close_after = true;
			request_complete(request);
			return true;
		}
		conn_send(conn, go_on, sizeof(go_on) - 1);
	}
	return true;
}

/*
 * Take a piece of a body, and keep it if somebody wants it.  False: that is too
 * much, and the request has been refused.
 */
static bool
take_body(Request *request, const char *bytes, size_t len)
{
	if (request->body_len + len > gateway.options.max_body)
	{
		request_refuse(request->conn, 413, refusal_of(413));
		return false;
	}
	if (request->is_admitted)
	{
		if (body_bytes + len > (size_t) gateway.options.max_body * MAX_BODIES)
		{
			request_header(request, "Retry-After: 1");
			request_refuse(request->conn, 503, "Too much is being received at this time.");
			return false;
		}
		buffer_append(&request->body, bytes, len);
		body_bytes += len;
		request->body_kept += len;
	}
	request->body_len += len;
	return true;
}

/* Read of a body what is there.  True: there may be more to do. */
bool
request_read_body(Conn *conn)
{
	Request    *request = conn->request;
	size_t		there = conn->in.len - conn->in_at;

	if (request->http.body == HTTP_BODY_LENGTH)
	{
		size_t		piece = Min(there, request->http.content_length - request->body_len);

		if (!take_body(request, conn->in.data + conn->in_at, piece))
			return false;
		conn->in_at += piece;
		if (request->body_len < request->http.content_length)
			return false;
		request_complete(request);
		return true;
	}
	while (there > 0)
	{
		HttpText	data;
		size_t		used;
		int			status = http_read_chunks(&request->chunks, conn->in.data + conn->in_at, there, &used, &data);

		conn->in_at += used;
		there -= used;
		if (status == HTTP_PARSE_DONE)
		{
			request_complete(request);
			return true;
		}
		if (status != HTTP_PARSE_MORE)
		{
			request_refuse(conn, status, refusal_of(status));
			return false;
		}
		if (!take_body(request, data.at, data.len))
			return false;
	}
	return false;
}

/* The client has left. */
void
request_abandoned(Request *request)
{
	gateway.counters.requests_abandoned++;
	/* 499 is nginx's word for it */
	if (request->id[0] != '\0')
		access_log(request, 499, request->sent);
	request_free(request);
}

/* The client has taken all that was sent: more may follow. */
void
request_writable(Request *request)
{
	if (request->download)
		download_writable(request->download);
}

void
request_free(Request *request)
{
	if (request->job)
		job_abandon(request->job);
	if (request->download)
		download_free(request->download);
	body_bytes -= request->body_kept;
	for (int i = 0; i < request->parameter_count; i++)
	{
		free(request->parameters[i].name);
		free(request->parameters[i].value);
	}
	free(request->path.value);
	free(request->head);
	buffer_free(&request->body);
	buffer_free(&request->headers);
	claims_free(&request->claims);
	scope_free(request->scope);
	free(request);
}
