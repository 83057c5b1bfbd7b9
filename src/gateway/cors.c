/*-------------------------------------------------------------------------
 *
 * cors.c
 *	  Pages of other origins: which may read our answers in a browser.
 *
 * Only those that --cors-origin names.  Credentials of the browser are not
 * allowed, nor needed: a token is sent by the page itself.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

/* Is the origin on the list, or is every one? */
static bool
is_allowed(HttpText origin)
{
	for (int i = 0; i < gateway.options.cors_origin_count; i++)
		if (strcmp(gateway.options.cors_origins[i], "*") == 0 ||
			http_text_is(origin, gateway.options.cors_origins[i]))
			return true;
	return false;
}

/*
 * Add to the answer what a browser wants to hear.  True: the browser only asks
 * whether it may, and has been answered.
 */
bool
cors_handle(Request *request)
{
	HttpText	origin = http_header(&request->http, "Origin");
	bool		preflight = http_text_is(request->http.method, "OPTIONS") &&
		http_header(&request->http, "Access-Control-Request-Method").len > 0;

	if (gateway.options.cors_origin_count == 0 || origin.len == 0)
		return false;
	request_header(request, "Vary: Origin");
	if (!is_allowed(origin))
		return false;
	request_header(request, "Access-Control-Allow-Origin: %.*s", (int) origin.len, origin.at);
	if (!preflight)
	{
		request_header(request, "Access-Control-Expose-Headers: Content-Disposition, ETag, Idempotent-Replayed, Link, "
					   "Retry-After, X-Request-ID, X-Trace-ID");
		return false;
	}
	request_header(request, "Access-Control-Allow-Methods: GET, HEAD, POST, PATCH");
	request_header(request, "Access-Control-Allow-Headers: Authorization, Cache-Control, Content-Type, Idempotency-Key, "
				   "If-None-Match, Last-Event-ID, traceparent, X-Request-ID, X-Trace-ID");
	request_header(request, "Access-Control-Max-Age: 600");
	respond(request, 204, NULL, NULL, 0);
	return true;
}
