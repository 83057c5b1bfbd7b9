/*-------------------------------------------------------------------------
 *
 * response.c
 *	  Answers.
 *
 * Errors are problem documents (RFC 9457): status, title and detail, the id of
 * the request, and of a bad parameter its name.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "jsonscan.h"

#include <stdarg.h>

#define MAX_DETAIL 1000			/* bytes of a text in a problem document */

/* The words that go with a status. */
static const char *
http_reason(int status)
{
	static const struct
	{
		int			status;
		const char *reason;
	}			reasons[] = {
		{200, "OK"}, {201, "Created"}, {204, "No Content"}, {304, "Not Modified"},
		{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
		{409, "Conflict"}, {410, "Gone"}, {413, "Content Too Large"}, {414, "URI Too Long"},
		{415, "Unsupported Media Type"}, {417, "Expectation Failed"},
		{422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
		{501, "Not Implemented"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (int i = 0; i < lengthof(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* Add a line to the headers of the answer. */
void
request_header(Request *request, const char *fmt,...)
{
	char		line[2048];
	va_list		args;
	int			len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (len < 0 || len >= sizeof(line))
		return;					/* none of ours is that long; a half one would be worse than none */
	buffer_append(&request->headers, line, len);
	buffer_string(&request->headers, "\r\n");
}

/* The head of an answer, but for the empty line. */
static void
append_head(Buffer *out, Request *request, int status, const char *content_type)
{
	time_t		now = time(NULL);
	struct tm	parts;
	char		date[40];

	gmtime_r(&now, &parts);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	buffer_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http_reason(status), date);
	if (content_type)
		buffer_printf(out, "Content-Type: %s\r\n", content_type);
	if (request->id[0])
		buffer_printf(out, "X-Request-ID: %s\r\n", request->id);
	if (request->trace_id[0])
		buffer_printf(out, "X-Trace-ID: %s\r\n", request->trace_id);
	buffer_string(out, "X-Content-Type-Options: nosniff\r\n");
	if (gateway.options.hsts_max_age >= 0 && request->is_https)
		buffer_printf(out, "Strict-Transport-Security: max-age=%d\r\n", gateway.options.hsts_max_age);
	buffer_append(out, request->headers.data, request->headers.len);
}

/* Answer the request and be done with it. */
void
respond(Request *request, int status, const char *content_type, const char *body, size_t len)
{
	Conn	   *conn = request->conn;
	Buffer		out = {0};
	bool		head_only = http_text_is(request->http.method, "HEAD");
	bool		has_body = status != 204 && status != 304;

	append_head(&out, request, status, has_body ? content_type : NULL);
	if (has_body)
		buffer_printf(&out, "Content-Length: %zu\r\n", len);
	if (conn->close_after || gateway.draining)
		buffer_string(&out, "Connection: close\r\n");
	else if (request->http.minor_version == 0)
		buffer_string(&out, "Connection: keep-alive\r\n");
	buffer_string(&out, "\r\n");
	if (has_body && !head_only)
		buffer_append(&out, body, len);
	metrics_request(request->route, status, clock_us() - request->begun);
	access_log(request, status, out.len);
	conn->request = NULL;
	request_free(request);
	conn_send(conn, out.data, out.len);
	buffer_free(&out);
	conn_answered(conn);
}

/* Append a text as JSON; a long one, which an error may quote, is cut between characters. */
static void
append_text(Buffer *body, const char *text)
{
	size_t		len = strlen(text);

	if (len > MAX_DETAIL)
		for (len = MAX_DETAIL; len > 0 && (text[len] & 0xC0) == 0x80;)
			len--;
	json_quote(body, text, len);
}

/* Answer with a problem document; more is what else is in it, or "". */
static void
respond_problem_document(Request *request, int status, const char *detail, const char *more)
{
	Buffer		body = {0};

	buffer_printf(&body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
				  http_reason(status), status);
	append_text(&body, detail);
	buffer_string(&body, more);
	if (request->id[0])
		buffer_printf(&body, ",\"request_id\":\"%s\"", request->id);
	buffer_string(&body, "}\n");
	if (status >= 400)
		request_header(request, "Cache-Control: no-store");
	respond(request, status, "application/problem+json", body.data, body.len);
	buffer_free(&body);
}

/* Answer with what is wrong; parameter is the name of a bad one, or NULL. */
void
respond_problem(Request *request, int status, const char *parameter, const char *fmt,...)
{
	Buffer		more = {0};
	char		detail[MAX_DETAIL + 8];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	if (parameter)
	{
		buffer_string(&more, ",\"parameter\":");
		json_quote(&more, parameter, strlen(parameter));
	}
	respond_problem_document(request, status, detail, buffer_text(&more));
	buffer_free(&more);
}

/* Answer with what is wrong with a log of a batch; field is NULL if it is the whole of it. */
void
respond_bad_log(Request *request, int status, int64 index, const char *field, const char *problem)
{
	Buffer		more = {0};

	buffer_printf(&more, ",\"errors\":[{\"index\":%lld,", (long long) index);
	if (field)
	{
		buffer_string(&more, "\"field\":");
		append_text(&more, field);
		buffer_char(&more, ',');
	}
	buffer_string(&more, "\"detail\":");
	append_text(&more, problem);
	buffer_string(&more, "}]");
	respond_problem_document(request, status, "A log has been refused, and so nothing has been written.",
							 buffer_text(&more));
	buffer_free(&more);
}

/* 401, with what the client can do about it (RFC 6750); why is NULL if there was no token. */
void
respond_unauthorized(Request *request, const char *why)
{
	gateway.counters.unauthorized++;
	if (why)
		request_header(request, "WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"%s\"", why);
	else
		request_header(request, "WWW-Authenticate: Bearer");
	respond_problem(request, 401, NULL, "%s", why ? why :
					"A token is needed: Authorization: Bearer TOKEN.");
}

/*
 * Send the head of an answer whose length is not known, and whose body the
 * caller sends.  It ends with the connection, or if is_chunked with its last
 * chunk.  The request goes on to be there.  False if the connection is over.
 */
static bool
respond_head(Request *request, const char *content_type, bool is_chunked)
{
	Conn	   *conn = request->conn;
	Buffer		out = {0};

	append_head(&out, request, 200, content_type);
	if (is_chunked)
		buffer_string(&out, "Transfer-Encoding: chunked\r\n");
	if (!is_chunked || conn->close_after || gateway.draining)
		buffer_string(&out, "Connection: close\r\n");
	buffer_string(&out, "\r\n");
	metrics_request(request->route, 200, clock_us() - request->begun);
	request->sent += out.len;
	conn_send(conn, out.data, out.len);
	buffer_free(&out);
	return !conn->closed;
}

/*
 * Begin a stream of events.  The answer ends with the connection, which every
 * proxy passes on as it comes; the headers ask those that buffer or compress
 * not to.
 */
void
respond_stream_head(Request *request)
{
	request_header(request, "Cache-Control: no-cache, no-transform");
	request_header(request, "X-Accel-Buffering: no");
	access_log(request, 200, 0);
	respond_head(request, "text/event-stream; charset=utf-8", false);
}

/*
 * Begin a document that is sent piece by piece, in chunks, so that one that is
 * cut off is known by its missing end.  HTTP/1.0 has none.  The caller says in
 * the access log how it ended.  False if the connection is over.
 */
bool
respond_document_head(Request *request, const char *content_type)
{
	bool		is_chunked = request->http.minor_version > 0;

	if (!is_chunked)
		request->conn->close_after = true;
	return respond_head(request, content_type, is_chunked);
}
