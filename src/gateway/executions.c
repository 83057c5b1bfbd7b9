/*-------------------------------------------------------------------------
 *
 * executions.c
 *	  Starting executions, and changing their status.
 *
 * The database reads the body; here only its fields' names and kinds are looked
 * at, so that a misspelt one is told.  Both requests may be sent again: what has
 * been done is then not done twice.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "jsonscan.h"
#include "pool.h"

#define FIELD(name) "b OPERATOR(pg_catalog.->>) '" name "'"
#define FROM_BODY " FROM (SELECT $1::pg_catalog.json AS b) AS body"

static const char known_sql[] =
"SELECT EXISTS (SELECT FROM wflog.workflow_executions e"
" WHERE e.execution_id OPERATOR(pg_catalog.=) (" FIELD("execution_id") ")::pg_catalog.varchar)" FROM_BODY;
static const char start_sql[] =
"SELECT wflog.start_execution(" FIELD("execution_id") ", " FIELD("workflow_id") ","
" COALESCE(" FIELD("status") ", 'RUNNING'), " FIELD("user_id") ", " FIELD("workflow_name") ","
" " FIELD("tier") ")" FROM_BODY " WHERE wflog.can_write()";
static const char started_sql[] =
"SELECT wflog.execution(" FIELD("execution_id") ")" FROM_BODY " WHERE wflog.can_write()";
static const char change_sql[] =
"SELECT wflog.set_execution_status($2, " FIELD("status") ", " FIELD("error_message") ")" FROM_BODY
" WHERE wflog.can_write()";
static const char changed_sql[] = "SELECT wflog.execution($1) WHERE wflog.can_write()";

static const char *const start_fields[] = {"execution_id", "workflow_id", "status", "user_id",
"workflow_name", "tier", NULL};
static const char *const change_fields[] = {"status", "error_message", NULL};

/* Is the body an object of texts with these names?  False: it is not, and the request has been answered. */
static bool
check_body(Request *request, const char *const *fields)
{
	JsonValue	document = json_document(request->body.data, request->body.len);
	JsonWalk	walk = json_walk(&document);
	JsonValue	key;
	JsonValue	value;

	if (!content_type_is(request, "application/json") && !content_type_is(request, "application/merge-patch+json"))
	{
		respond_problem(request, 415, NULL, "A body must be application/json, in UTF-8.");
		return false;
	}
	if (document.kind != JSON_OBJECT || memchr(request->body.data, '\0', request->body.len) != NULL)
	{
		respond_problem(request, 400, NULL, "The body must be a JSON object.");
		return false;
	}
	while (json_next_pair(&walk, &key, &value))
	{
		char	   *name = json_text(&key);
		int			i = 0;

		while (fields[i] && strcmp(fields[i], name) != 0)
			i++;
		if (fields[i] && (value.kind == JSON_STRING || value.kind == JSON_NULL))
		{
			free(name);
			continue;
		}
		respond_problem(request, 422, name, fields[i] ? "%s must be a text" : "there is no \"%s\" here", name);
		free(name);
		return false;
	}
	return true;
}

/* The database has done it, or not: the last result has the execution, the first whether it was there. */
static void
execution_done(Job *job)
{
	Request    *request = job->owner;
	PGresult   *result = job->results[job->count - 1];
	bool		is_new = request->path.value == NULL && job->outcome == JOB_DONE &&
		PQgetvalue(job->results[0], 0, 0)[0] == 'f';

	request->job = NULL;
	request->database_us += job->took_us;
	if (job->outcome != JOB_DONE)
		respond_job_problem(request, job);
	else if (PQntuples(result) == 0)
		respond_problem(request, 403, NULL, "This is not allowed.");
	else
	{
		request_header(request, "Cache-Control: no-store");
		respond(request, is_new ? 201 : 200, "application/json", PQgetvalue(result, 0, 0), PQgetlength(result, 0, 0));
	}
}

/* POST …/executions: start one */
void
handle_start_execution(Request *request)
{
	static const char *const steps[] = {known_sql, start_sql, started_sql};
	Job		   *job;

	if (!check_body(request, start_fields))
		return;
	job = job_make(JOB_REQUEST, request->claims.json, gateway.options.query_timeout, execution_done, request);
	for (int i = 0; i < lengthof(steps); i++)
		statement_text(job_statement(job, steps[i]), buffer_text(&request->body));
	request->job = job;
	job_submit(job);
}

/* PATCH …/executions/{id}: change its status */
void
handle_change_execution(Request *request)
{
	Statement  *statement;
	Job		   *job;

	if (!check_body(request, change_fields))
		return;
	job = job_make(JOB_REQUEST, request->claims.json, gateway.options.query_timeout, execution_done, request);
	statement = job_statement(job, change_sql);
	statement_text(statement, buffer_text(&request->body));
	statement_text(statement, request->path.value);
	statement_text(job_statement(job, changed_sql), request->path.value);
	request->job = job;
	job_submit(job);
}
