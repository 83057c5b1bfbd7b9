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
	{"GET", "/api/v1/app/executions/{id}/logs/stream", ACCESS_STREAM, handle_stream, "stream"},
	{"GET", "/api/v1/app/executions/{id}/logs/summary", ACCESS_TOKEN, handle_summary, "summary"},
	{"GET", "/api/v1/app/executions/{id}", ACCESS_TOKEN, handle_execution, "execution"},
	{"GET", "/api/v1/app/executions", ACCESS_TOKEN, handle_executions, "executions"},
	{"GET", "/api/v1/app/workflows/{id}/logs", ACCESS_TOKEN, handle_workflow_logs, "workflow_logs"},
	{"GET", "/api/v1/app/workflows/{id}/summary", ACCESS_TOKEN, handle_workflow_summary, "workflow_summary"},
	{"GET", "/v2/workflows/executions/{id}/logs", ACCESS_TOKEN, handle_logs, "logs"},
	{"GET", "/v2/executions/{id}/logs/stream", ACCESS_STREAM, handle_stream, "stream"},
	{"GET", "/v2/executions/{id}/logs/summary", ACCESS_TOKEN, handle_summary, "summary"},
	{"GET", "/v2/executions/recent_logs", ACCESS_TOKEN, handle_recent_logs, "recent_logs"},
	{"GET", "/health", ACCESS_OPEN, handle_health, "health"},
	{"GET", "/api/v1/public/health", ACCESS_OPEN, handle_health, "health"},
	{"GET", "/ready", ACCESS_OPEN, handle_ready, "ready"},
	{"GET", "/metrics", ACCESS_OPEN, handle_metrics, "metrics"},
};

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

/* The route of a request; NULL if there is none.  *other: one for another method, or NULL. */
static const Route *
find_route(const Request *request, HttpText *part, const Route **other)
{
	*other = NULL;
	for (int i = 0; i < lengthof(routes); i++)
		if (path_matches(routes[i].pattern, request->http.path, part))
		{
			if (method_is(&routes[i], request->http.method))
				return &routes[i];
			*other = &routes[i];
		}
	return NULL;
}

/* Is there somebody who wants this request's body? */
bool
route_takes_body(const Request *request)
{
	HttpText	part;
	const Route *other;
	const Route *route = find_route(request, &part, &other);

	return route && strcmp(route->method, "POST") == 0;
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

/* Handle a request that has been received in full. */
void
request_dispatch(Request *request)
{
	HttpText	part;
	HttpText	token;
	const Route *other;
	const char *why;

	request->route = find_route(request, &part, &other);
	if (cors_handle(request))
		return;
	if (request->route == NULL)
	{
		if (other)
		{
			request_header(request, other->access == ACCESS_STREAM ? "Allow: GET" : "Allow: GET, HEAD");
			respond_problem(request, 405, NULL, "This can only be read.");
		}
		else
			respond_problem(request, 404, NULL, "There is nothing at this address.");
		return;
	}
	if (part.len > 0)
	{
		Buffer		decoded = {0};

		if (!url_decode(&decoded, part, false))
		{
			buffer_free(&decoded);
			respond_problem(request, 400, NULL, "The path is not well-formed.");
			return;
		}
		request->path.value = buffer_text(&decoded);
	}
	if (!parameters_parse(request))
	{
		respond_problem(request, 400, NULL, "The query is not well-formed, or has more than %d parameters.",
						MAX_PARAMETERS);
		return;
	}
	if (request->route->access != ACCESS_OPEN)
	{
		token = token_of(request);
		if (token.len == 0)
		{
			respond_unauthorized(request, NULL);
			return;
		}
		why = jwt_verify(token.at, token.len, &request->claims);
		if (why)
		{
			respond_unauthorized(request, why);
			return;
		}
	}
	request->route->handle(request);
}
