/*-------------------------------------------------------------------------
 *
 * router.c
 *	  Who handles a request, and who is asking.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

static const Route routes[] = {
	{"GET", "/", ACCESS_OPEN, handle_page, "page"},
	{"GET", "/page/{file}", ACCESS_OPEN, handle_page_file, "page"},
	{"GET", "/api/v1/app/executions/recent_logs", ACCESS_TOKEN, handle_recent_logs, "recent_logs"},
	{"GET", "/api/v1/app/executions/{id}/logs", ACCESS_TOKEN, handle_logs, "logs"},
	{"POST", "/api/v1/app/executions/{id}/logs", ACCESS_TOKEN, handle_ingest, "ingest"},
	{"POST", "/api/v1/app/logs", ACCESS_TOKEN, handle_ingest, "ingest"},
	{"GET", "/api/v1/app/executions/{id}/logs/export", ACCESS_TOKEN, handle_export, "export"},
	{"GET", "/api/v1/app/executions/{id}/logs/stream", ACCESS_STREAM, handle_stream, "stream"},
	{"GET", "/api/v1/app/executions/{id}/logs/summary", ACCESS_TOKEN, handle_summary, "summary"},
	{"GET", "/api/v1/app/executions/{id}", ACCESS_TOKEN, handle_execution, "execution"},
	{"PATCH", "/api/v1/app/executions/{id}", ACCESS_TOKEN, handle_change_execution, "change_execution"},
	{"GET", "/api/v1/app/executions", ACCESS_TOKEN, handle_executions, "executions"},
	{"POST", "/api/v1/app/executions", ACCESS_TOKEN, handle_start_execution, "start_execution"},
	{"GET", "/api/v1/app/logs/stream", ACCESS_STREAM, handle_stream_of_many, "stream_of_many"},
	{"POST", "/api/v1/app/stream-tickets", ACCESS_TOKEN, handle_stream_tickets, "stream_tickets"},
	{"POST", "/api/v1/app/sessions", ACCESS_OPEN, handle_sessions, "sessions"},
	{"GET", "/api/v1/app/workflows/{id}/logs", ACCESS_TOKEN, handle_workflow_logs, "workflow_logs"},
	{"GET", "/api/v1/app/workflows/{id}/summary", ACCESS_TOKEN, handle_workflow_summary, "workflow_summary"},
	{"GET", "/api/v1/app/statistics", ACCESS_TOKEN, handle_statistics, "statistics"},
	{"GET", "/v2/workflows/executions/{id}/logs", ACCESS_TOKEN, handle_logs, "logs"},
	{"GET", "/v2/executions/{id}/logs/stream", ACCESS_STREAM, handle_stream, "stream"},
	{"GET", "/v2/logs/stream", ACCESS_STREAM, handle_stream_of_many, "stream_of_many"},
	{"GET", "/v2/executions/{id}/logs/summary", ACCESS_TOKEN, handle_summary, "summary"},
	{"GET", "/v2/executions/recent_logs", ACCESS_TOKEN, handle_recent_logs, "recent_logs"},
	{"GET", "/health", ACCESS_OPEN, handle_health, "health"},
	{"GET", "/api/v1/public/health", ACCESS_OPEN, handle_health, "health"},
	{"GET", "/ready", ACCESS_OPEN, handle_ready, "ready"},
	{"GET", "/metrics", ACCESS_OPEN, handle_metrics, "metrics"},
	{"GET", "/openapi.json", ACCESS_OPEN, handle_openapi, "openapi"},
};

int
route_count(void)
{
	return lengthof(routes);
}

const Route *
route_number(int number)
{
	return &routes[number];
}

/* Does a path match a pattern?  The variable part, if there is one, into *part. */
static bool
path_matches(const char *pattern, HttpText path, HttpText *part)
{
	const char *at = path.at;
	const char *end = path.at + path.len;

	*part = (HttpText) {NULL, 0};
	while (*pattern)
	{
		if (*pattern == '{')
		{
			const char *slash = memchr(at, '/', end - at);

			*part = (HttpText) {at, (slash ? slash : end) - at};
			if (part->len == 0)
				return false;
			at += part->len;
			pattern = strchr(pattern, '}') + 1;
		}
		else if (at < end && *at == *pattern)
		{
			at++;
			pattern++;
		}
		else
			return false;
	}
	return at == end;
}

static bool
method_is(const Route *route, HttpText method)
{
	return http_text_is(method, route->method) ||
		(http_text_is(method, "HEAD") && strcmp(route->method, "GET") == 0 && route->access != ACCESS_STREAM);
}

/*
 * The next route behind one, or the first behind NULL, that is at the address;
 * NULL if there is none.  An address is of the first pattern that it matches.
 */
static const Route *
next_route(const Route *last, HttpText path, HttpText *part)
{
	for (int i = last ? last - routes + 1 : 0; i < lengthof(routes); i++)
		if (last ? strcmp(routes[i].pattern, last->pattern) == 0 : path_matches(routes[i].pattern, path, part))
			return &routes[i];
	return NULL;
}

/* The route of a request, and the variable part of its path; NULL if there is none. */
static const Route *
find_route(const Request *request, HttpText *part)
{
	const Route *route = NULL;

	while ((route = next_route(route, request->http.path, part)) != NULL)
		if (method_is(route, request->http.method))
			return route;
	return NULL;
}

/* Is there somebody who wants this request's body? */
bool
request_wants_body(const Request *request)
{
	HttpText	part;
	const Route *route = find_route(request, &part);

	return route && strcmp(route->method, "GET") != 0;
}

/* Answer a request that has no route: 404, or where other methods have one, 405. */
static void
respond_no_route(Request *request)
{
	Buffer		allowed = {0};
	const Route *route = NULL;
	HttpText	part;

	while ((route = next_route(route, request->http.path, &part)) != NULL)
	{
		buffer_printf(&allowed, "%s%s", allowed.len > 0 ? ", " : "", route->method);
		if (strcmp(route->method, "GET") == 0 && route->access != ACCESS_STREAM)
			buffer_string(&allowed, ", HEAD");
	}
	if (allowed.len > 0)
	{
		request_header(request, "Allow: %s", buffer_text(&allowed));
		respond_problem(request, 405, NULL, "What there is at this address takes other methods: %s.",
						buffer_text(&allowed));
	}
	else
		respond_problem(request, 404, NULL, "There is nothing at this address.");
	buffer_free(&allowed);
}

/* The token that came with a request; its length is 0 if there is none. */
static HttpText
token_of(const Request *request)
{
	HttpText	header = http_header(&request->http, "Authorization");
	const char *value;

	if (header.len > 7 && http_text_is_ignoring_case((HttpText) {header.at, 7}, "Bearer "))
	{
		header.at += 7;
		header.len -= 7;
		while (header.len > 0 && header.at[0] == ' ')
		{
			header.at++;
			header.len--;
		}
		return header;
	}
	if (request->route->access == ACCESS_STREAM && (value = parameter(request, "access_token")) != NULL)
		return (HttpText) {value, strlen(value)};
	return (HttpText) {NULL, 0};
}

/* Find out who asks.  False: that is not known, and the request has been answered. */
static bool
identify(Request *request)
{
	HttpText	token = token_of(request);
	const char *ticket = request->route->access == ACCESS_STREAM ? parameter(request, "ticket") : NULL;
	const char *why = NULL;

	if (token.len > 0)
	{
		if (grant_read(GRANT_SESSION, token.at, token.len, &request->claims))
			return true;
		why = jwt_verify(token.at, token.len, &request->claims);
		if (why == NULL)
			return true;
	}
	else if (ticket)
	{
		if (grant_take(GRANT_STREAM, ticket, strlen(ticket), &request->claims, &request->scope))
			return true;
		why = "the ticket has been used, has expired, or is of another gateway";
	}
	respond_unauthorized(request, why);
	return false;
}

/*
 * Find out who handles a request whose head is there, and who asks.  False: it
 * cannot be, and has been answered.
 */
bool
request_admit(Request *request)
{
	HttpText	part;

	request->route = find_route(request, &part);
	if (cors_handle(request))
		return false;
	if (request->route == NULL)
	{
		respond_no_route(request);
		return false;
	}
	if (part.len > 0)
	{
		Buffer		decoded = {0};

		if (!url_decode(&decoded, part, false))
		{
			buffer_free(&decoded);
			respond_problem(request, 400, NULL, "The path is not well-formed.");
			return false;
		}
		request->path.value = buffer_text(&decoded);
	}
	if (!parameters_parse(request))
	{
		respond_problem(request, 400, NULL, "The query is not well-formed, or has more than %d parameters.",
						MAX_PARAMETERS);
		return false;
	}
	if (request->route->access != ACCESS_OPEN && !identify(request))
		return false;
	request->is_admitted = true;
	return true;
}
