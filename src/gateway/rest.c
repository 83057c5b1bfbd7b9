/*-------------------------------------------------------------------------
 *
 * rest.c
 *	  Answers made by one function of the database, which writes their JSON.
 *
 * The gateway checks parameters as far as the log API says how (limit, offset,
 * true and false), and hands the others on: the database knows its levels and
 * times, and its refusals become problem documents that name no internals.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "jsonscan.h"
#include "pool.h"

#include <openssl/evp.h>

#define MAX_LIMIT 1000

/* The longest that clients may keep the logs of a finished execution without asking, in seconds. */
#define FINISHED_MAX_AGE (24 * 60 * 60)

/* How long ago the execution $1 has ended, in seconds; NULL if it has not. */
#define SECONDS_ENDED \
" (SELECT pg_catalog.date_part('epoch', pg_catalog.now() OPERATOR(pg_catalog.-) e.end_time)::pg_catalog.int8" \
" FROM wflog.workflow_executions e" \
" WHERE e.execution_id OPERATOR(pg_catalog.=) $1::pg_catalog.varchar)"

/* Filters, and what else goes on to the functions as text; in the order of the SQL below. */
static const char *const filters[] = {"level", "min_level", "start_time", "end_time", "category",
"event_type", "node_id", "source", "attempt", "milestones_only", "min_priority", "search",
"after", "before"};

static const char logs_sql[] =
"SELECT wflog.logs_json($1::pg_catalog.varchar, max_rows => $2, skip => $3::pg_catalog.int8,"
" from_end => $4, detail => $5, with_total => $6,"
" level => $7, min_level => $8, start_time => $9, end_time => $10, category => $11,"
" event_type => $12, node_id => $13, source => $14, attempt => $15,"
" milestones_only => COALESCE($16::pg_catalog.bool, false), min_priority => $17, search => $18,"
" after => $19, before => $20),"
SECONDS_ENDED;

static const char workflow_logs_sql[] =
"SELECT wflog.workflow_logs_json($1, max_rows => $2, from_end => $3, detail => $4,"
" level => $5, min_level => $6, start_time => $7, end_time => $8, category => $9,"
" event_type => $10, node_id => $11, source => $12, attempt => $13,"
" milestones_only => COALESCE($14::pg_catalog.bool, false), min_priority => $15, search => $16,"
" after => $17, before => $18), NULL";

static const char summary_sql[] =
"SELECT wflog.summary($1::pg_catalog.varchar),"
SECONDS_ENDED;

static const char recent_sql[] = "SELECT wflog.recent_logs($1, max_rows => $2, include_all_executions => $3), NULL";
static const char execution_sql[] = "SELECT wflog.execution($1::pg_catalog.varchar), NULL";
static const char executions_sql[] =
"SELECT wflog.executions_json($1, status => $2, max_rows => $3, after => $4), NULL";
static const char workflow_summary_sql[] =
"SELECT wflog.workflow_summary($1, since => $2, until => $3, bucket => $4), NULL";

static const char statistics_sql[] =
"SELECT wflog.statistics($1, since => $2, until => $3, bucket => $4), NULL";

/*
 * The pagination of an answer.  It is the last member, and looked for from the
 * end, because there are logs before it; nothing that a log says can stand there.
 */
static JsonValue
find_pagination(const char *body, size_t len)
{
	static const char name[] = "\"pagination\":";
	JsonValue	value = {JSON_MISSING, body, 0};

	for (size_t at = len; at > 0 && value.kind == JSON_MISSING; at--)
	{
		JsonWalk	walk = {body + at - 1, body + len};

		if (*walk.at != '"' || len - at + 1 < sizeof(name) || memcmp(walk.at, name, sizeof(name) - 1) != 0)
			continue;
		walk.at += sizeof(name) - 1;
		if (!json_read(&walk, &value) || walk.end - walk.at != 1)
			return (JsonValue) {JSON_MISSING, body, 0};
	}
	return value;
}

/*
 * A validator, strong: of the bytes of the answer, and so of everything that
 * retention or redaction changes.
 */
static void
make_etag(char *etag, const char *body, size_t len)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(body, len, digest, NULL, EVP_sha256(), NULL))
		fail(EXIT_FAILED, NULL, "could not make a digest");
	*etag++ = '"';
	for (int i = 0; i < 16; i++, etag += 2)
		sprintf(etag, "%02x", digest[i]);
	strcpy(etag, "\"");
}

/*
 * How long a client may keep the logs of an execution without asking, in
 * seconds: a tenth of the time since its end, as caches do it on their own
 * (RFC 9111, 4.2.2).  What is likely to change, by a transaction that was still
 * open at the end, changes soon.
 */
static int
max_age(const char *seconds_ended)
{
	long long	age = strtoll(seconds_ended, NULL, 10) / 10;

	return age < 0 ? 0 : age > FINISHED_MAX_AGE ? FINISHED_MAX_AGE : (int) age;
}

/* Does If-None-Match name it?  Weak ones compare as strong ones do. */
static bool
is_matched(HttpText header, const char *etag)
{
	size_t		len = strlen(etag);

	if (header.len == 1 && header.at[0] == '*')
		return true;
	for (size_t i = 0; i + len <= header.len; i++)
		if (memcmp(header.at + i, etag, len) == 0)
			return true;
	return false;
}

/* Append a parameter to a query, encoded. */
static void
append_parameter(Buffer *out, const char *name, const char *value)
{
	buffer_printf(out, "%c%s=", out->len > 0 && memchr(out->data, '?', out->len) ? '&' : '?', name);
	for (; *value; value++)
		if (isalnum((unsigned char) *value) || strchr("-._~", *value))
			buffer_char(out, *value);
		else
			buffer_printf(out, "%%%02X", (unsigned char) *value);
}

/* A link to a neighbouring page: this request's address with another cursor. */
static void
link_page(Request *request, Buffer *links, const JsonValue *cursor, const char *parameter_name, const char *rel)
{
	Buffer		target = {0};
	char	   *text = json_text(cursor);

	if (text == NULL)
		return;
	buffer_append(&target, request->http.path.at, request->http.path.len);
	for (int i = 0; i < request->parameter_count; i++)
	{
		const char *name = request->parameters[i].name;

		if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name) && strcmp(name, "after") != 0 &&
			strcmp(name, "before") != 0 && strcmp(name, "offset") != 0 && strcmp(name, "from_end") != 0)
			append_parameter(&target, name, request->parameters[i].value);
	}
	append_parameter(&target, parameter_name, text);
	if (target.len < 900)
		buffer_printf(links, "%s<%s>; rel=\"%s\"", links->len > 0 ? ", " : "", buffer_text(&target), rel);
	buffer_free(&target);
	free(text);
}

static void
add_links(Request *request, const char *body, size_t len)
{
	JsonValue	pagination = find_pagination(body, len);
	JsonValue	next = json_find(&pagination, "next_cursor");
	JsonValue	prev = json_find(&pagination, "prev_cursor");
	Buffer		links = {0};

	link_page(request, &links, &next, "after", "next");
	link_page(request, &links, &prev, "before", "prev");
	if (links.len > 0)
		request_header(request, "Link: %s", buffer_text(&links));
	buffer_free(&links);
}

/* The logs of a page, each a line. */
static void
append_lines(Buffer *out, const char *body, size_t len)
{
	JsonValue	document = json_document(body, len);
	JsonValue	logs = json_find(&document, "logs");
	JsonWalk	walk = json_walk(&logs);
	JsonValue	log;

	buffer_reserve(out, logs.len);
	while (json_next_element(&walk, &log))
	{
		buffer_append(out, log.text, log.len);
		buffer_char(out, '\n');
	}
}

/* The database has answered: one row, the JSON and how long ago its execution has ended. */
static void
rest_done(Job *job)
{
	Request    *request = job->owner;
	PGresult   *result = job->results[0];
	Buffer		lines = {0};
	const char *body;
	size_t		len;
	char		etag[40];

	request->job = NULL;
	request->database_us += job->took_us;
	if (job->outcome != JOB_DONE || PQntuples(result) != 1)
	{
		respond_job_problem(request, job);
		return;
	}
	body = PQgetvalue(result, 0, 0);
	len = PQgetlength(result, 0, 0);
	add_links(request, body, len);
	if (request->as_lines)
	{
		append_lines(&lines, body, len);
		body = buffer_text(&lines);
		len = lines.len;
	}
	if (!PQgetisnull(result, 0, 1))
	{
		make_etag(etag, body, len);
		request_header(request, "ETag: %s", etag);
		request_header(request, "Cache-Control: private, max-age=%d, must-revalidate",
					   max_age(PQgetvalue(result, 0, 1)));
		if (is_matched(http_header(&request->http, "If-None-Match"), etag))
		{
			respond(request, 304, NULL, NULL, 0);
			buffer_free(&lines);
			return;
		}
	}
	else
		request_header(request, "Cache-Control: private, no-cache");
	respond(request, 200, lines.data ? "application/x-ndjson" : "application/json", body, len);
	buffer_free(&lines);
}

static Job *
rest_job(Request *request, int timeout, const char *sql, Statement **statement)
{
	Job		   *job = job_make(JOB_REQUEST, request->claims.json, timeout, rest_done, request);

	request_header(request, "Vary: Authorization");
	request->job = job;
	*statement = job_statement(job, sql);
	return job;
}

static void
add_filters(Request *request, Statement *statement)
{
	for (int i = 0; i < lengthof(filters); i++)
	{
		const char *value = parameter(request, filters[i]);

		/* an empty one is none, as forms send it */
		statement_text(statement, value && value[0] ? value : NULL);
	}
}

/* GET …/executions/{id}/logs: S1's LogsResponse, or its logs as lines of JSON */
void
handle_logs(Request *request)
{
	static const char *const types[] = {"application/json", "application/x-ndjson"};
	int			type = accept_choose(http_header(&request->http, "Accept"), types, lengthof(types));
	int64		limit;
	int64		offset;
	bool		from_end;
	bool		detail;
	bool		with_total;
	bool		milestones;
	Statement  *statement;
	Job		   *job;

	if (!parameter_number(request, "limit", 100, 1, MAX_LIMIT, &limit) ||
		!parameter_number(request, "offset", 0, 0, PG_INT64_MAX, &offset) ||
		!parameter_bool(request, "from_end", false, &from_end) ||
		!parameter_bool(request, "detail", false, &detail) ||
		!parameter_bool(request, "with_total", true, &with_total) ||
		!parameter_bool(request, "milestones_only", false, &milestones))
		return;
	request_header(request, "Vary: Accept");
	if (type < 0)
	{
		respond_problem(request, 406, NULL, "There are application/json and application/x-ndjson.");
		return;
	}
	request->as_lines = type == 1;
	job = rest_job(request, gateway.options.logs_timeout, logs_sql, &statement);
	statement_text(statement, request->path.value);
	statement_number(statement, limit);
	statement_number(statement, offset);
	statement_bool(statement, from_end);
	statement_bool(statement, detail);
	statement_bool(statement, with_total);
	add_filters(request, statement);
	job_submit(job);
}

/* GET …/executions/{id}/logs/summary: S1's LogsSummaryResponse */
void
handle_summary(Request *request)
{
	Statement  *statement;
	Job		   *job = rest_job(request, gateway.options.query_timeout, summary_sql, &statement);

	statement_text(statement, request->path.value);
	job_submit(job);
}

/* GET …/executions/recent_logs?workflow_id=: S1's RecentLogsResponse */
void
handle_recent_logs(Request *request)
{
	const char *workflow = parameter(request, "workflow_id");
	int64		limit;
	bool		all;
	Statement  *statement;
	Job		   *job;

	if (workflow == NULL || workflow[0] == '\0')
	{
		respond_problem(request, 422, "workflow_id", "workflow_id is missing");
		return;
	}
	if (!parameter_number(request, "limit", 100, 1, MAX_LIMIT, &limit) ||
		!parameter_bool(request, "include_all_executions", false, &all))
		return;
	job = rest_job(request, gateway.options.logs_timeout, recent_sql, &statement);
	statement_text(statement, workflow);
	statement_number(statement, limit);
	statement_bool(statement, all);
	job_submit(job);
}

/* GET …/executions/{id} */
void
handle_execution(Request *request)
{
	Statement  *statement;
	Job		   *job = rest_job(request, gateway.options.query_timeout, execution_sql, &statement);

	statement_text(statement, request->path.value);
	job_submit(job);
}

/* GET …/executions */
void
handle_executions(Request *request)
{
	int64		limit;
	Statement  *statement;
	Job		   *job;

	if (!parameter_number(request, "limit", 100, 1, MAX_LIMIT, &limit))
		return;
	job = rest_job(request, gateway.options.query_timeout, executions_sql, &statement);
	statement_text(statement, parameter(request, "workflow_id"));
	statement_text(statement, parameter(request, "status"));
	statement_number(statement, limit);
	statement_text(statement, parameter(request, "after"));
	job_submit(job);
}

/* GET …/workflows/{id}/logs */
void
handle_workflow_logs(Request *request)
{
	int64		limit;
	bool		from_end;
	bool		detail;
	bool		milestones;
	Statement  *statement;
	Job		   *job;

	if (!parameter_number(request, "limit", 100, 1, MAX_LIMIT, &limit) ||
		!parameter_bool(request, "from_end", false, &from_end) ||
		!parameter_bool(request, "detail", false, &detail) ||
		!parameter_bool(request, "milestones_only", false, &milestones))
		return;
	job = rest_job(request, gateway.options.logs_timeout, workflow_logs_sql, &statement);
	statement_text(statement, request->path.value);
	statement_number(statement, limit);
	statement_bool(statement, from_end);
	statement_bool(statement, detail);
	add_filters(request, statement);
	job_submit(job);
}

/* Figures of a workflow, or of all if it is NULL; with bucket= a series. */
static void
ask_figures(Request *request, const char *sql, const char *workflow)
{
	Statement  *statement;
	Job		   *job = rest_job(request, gateway.options.query_timeout, sql, &statement);

	statement_text(statement, workflow);
	statement_text(statement, parameter(request, "since"));
	statement_text(statement, parameter(request, "until"));
	statement_text(statement, parameter(request, "bucket"));
	job_submit(job);
}

/* GET …/workflows/{id}/summary */
void
handle_workflow_summary(Request *request)
{
	ask_figures(request, workflow_summary_sql, request->path.value);
}

/* GET …/statistics: of one workflow, or of all that one may read */
void
handle_statistics(Request *request)
{
	ask_figures(request, statistics_sql, parameter(request, "workflow_id"));
}
