/*-------------------------------------------------------------------------
 *
 * tickets.c
 *	  Tickets for streams, and links to the page.
 *
 * A stream's ticket stands in its address in place of a token, which would be
 * good for everything and for long in whatever keeps addresses: it opens one
 * stream, within seconds.
 *
 * A link to the page is printed by the gateway for whoever started it on this
 * very machine.  The ticket in it opens one session, whose bearer the page
 * keeps in place of a token.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "server.h"
#include "stream_set.h"

#include <jansson.h>
#include <time.h>

#define LINK_LIFETIME_MS (15 * 60 * 1000)
#define SESSION_SECONDS (60 * 60)

/* ---- bodies ---- */

/* Is every key of an object one of these? */
static bool
has_only(json_t *object, const char *first, const char *second)
{
	const char *key;
	json_t	   *value;

	json_object_foreach(object, key, value)
		if (strcmp(key, first) != 0 && (second == NULL || strcmp(key, second) != 0))
			return false;
	return true;
}

static bool
is_name(json_t *value)
{
	return json_is_string(value) && json_string_length(value) > 0;
}

/* The request's body, an object; NULL if it is none, and then it has been answered. */
static json_t *
read_object(Request *request)
{
	json_t	   *body = json_loadb(request->body.data, request->body.len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(body))
		return body;
	json_decref(body);
	respond_problem(request, 400, NULL, "The body is not a JSON object.");
	return NULL;
}

/*
 * What a ticket is asked for: everything, without a body, or what its body
 * names.  False: something is wrong with it, and it has been answered.
 */
static bool
read_scope(Request *request, Scope **scope)
{
	json_t	   *body;
	json_t	   *executions;
	json_t	   *workflow;
	json_t	   *element;
	size_t		index;
	bool		good;

	*scope = NULL;
	if (request->body.len == 0)
		return true;
	body = read_object(request);
	if (body == NULL)
		return false;
	executions = json_object_get(body, "execution_ids");
	workflow = json_object_get(body, "workflow_id");
	good = has_only(body, "execution_ids", "workflow_id") && !(executions && workflow) &&
		(workflow == NULL || is_name(workflow)) &&
		(executions == NULL || (json_array_size(executions) > 0 && json_array_size(executions) <= SET_MEMBERS));
	json_array_foreach(executions, index, element)
		good = good && is_name(element);
	if (!good)
		respond_problem(request, 422, NULL, "The body can have execution_ids, an array of 1 to %d ids, or workflow_id.",
						SET_MEMBERS);
	else if (executions || workflow)
	{
		*scope = xmalloc(sizeof(Scope));
		memset(*scope, 0, sizeof(Scope));
		if (workflow)
			(*scope)->workflow = xstrdup(json_string_value(workflow));
		if (executions)
			(*scope)->executions = xmalloc(sizeof(char *) * json_array_size(executions));
		json_array_foreach(executions, index, element)
			(*scope)->executions[(*scope)->count++] = xstrdup(json_string_value(element));
	}
	json_decref(body);
	return good;
}

/* Answer 201 with an object, which is released. */
static void
respond_created(Request *request, json_t *object)
{
	char	   *body = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	if (body == NULL)
		fail(EXIT_FAILED, NULL, "out of memory");
	request_header(request, "Cache-Control: no-store");
	respond(request, 201, "application/json", body, strlen(body));
	free(body);
}

/* Answer that there are too many of a kind. */
static void
respond_too_many(Request *request, GrantRefusal refusal, const char *what)
{
	request_header(request, "Retry-After: %d", Max(gateway.options.ticket_lifetime / 1000, 1));
	respond_problem(request, refusal == GRANT_TOO_MANY ? 503 : 429, NULL, "There are too many %s that have not been used.",
					what);
}

/* ---- handlers ---- */

/* POST /api/v1/app/stream-tickets */
void
handle_stream_tickets(Request *request)
{
	Scope	   *scope;
	char		ticket[GRANT_SIZE];
	int64		seconds = Min(gateway.options.ticket_lifetime / 1000, Max(request->claims.expires - time(NULL), 1));
	GrantRefusal refusal;

	if (!read_scope(request, &scope))
		return;
	refusal = grant_make(GRANT_STREAM, &request->claims, scope, seconds * 1000, ticket);
	if (refusal != GRANT_MADE)
	{
		scope_free(scope);
		respond_too_many(request, refusal, "tickets");
		return;
	}
	respond_created(request, json_pack("{s:s, s:I}", "ticket", ticket, "expires_in", (json_int_t) seconds));
}

/* The claims of an ordinary user, for so long. */
static void
make_claims(Claims *claims, const char *user, int64 seconds)
{
	json_t	   *json;

	claims->expires = time(NULL) + seconds;
	claims->subject = xstrdup(user);
	json = json_pack("{s:s, s:s, s:I}", "sub", user, "role", "authenticated", "exp", (json_int_t) claims->expires);
	claims->json = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (claims->json == NULL)
		fail(EXIT_USAGE, NULL, "the user of --print-link is not valid UTF-8");
}

/* POST /api/v1/app/sessions: the ticket of a link, for a session */
void
handle_sessions(Request *request)
{
	json_t	   *body = read_object(request);
	json_t	   *ticket;
	Claims		link = {0};
	Claims		claims = {0};
	char		token[GRANT_SIZE];
	GrantRefusal refusal;
	bool		good;

	if (body == NULL)
		return;
	ticket = json_object_get(body, "ticket");
	good = has_only(body, "ticket", NULL) && is_name(ticket);
	if (!good)
		respond_problem(request, 422, NULL, "The body must have the ticket of a link.");
	else if (!grant_take(GRANT_LINK, json_string_value(ticket), json_string_length(ticket), &link, NULL))
	{
		good = false;
		respond_unauthorized(request, "the link has been used, is too old, or is of another gateway");
	}
	json_decref(body);
	if (!good)
		return;

	make_claims(&claims, link.subject, SESSION_SECONDS);
	claims_free(&link);
	refusal = grant_make(GRANT_SESSION, &claims, NULL, SESSION_SECONDS * 1000LL, token);
	if (refusal != GRANT_MADE)
		respond_too_many(request, refusal, "sessions");
	else
		respond_created(request, json_pack("{s:s, s:i, s:s}", "token", token, "expires_in", SESSION_SECONDS,
										   "sub", claims.subject));
	claims_free(&claims);
}

/* ---- links ---- */

/*
 * Print a link to the page on stdout.  Only where nobody but this machine can
 * connect: the link makes a user of whoever has it.
 */
void
link_print(const char *user)
{
	Claims		claims = {0};
	char		ticket[GRANT_SIZE];

	make_claims(&claims, user, LINK_LIFETIME_MS / 1000);
	if (grant_make(GRANT_LINK, &claims, NULL, LINK_LIFETIME_MS, ticket) == GRANT_MADE)
	{
		printf("%s/#ticket=%s\n", server_url(), ticket);
		fflush(stdout);
	}
	else
		warn("no link: there are too many that have not been used");
	claims_free(&claims);
}
