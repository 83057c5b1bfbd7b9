/*-------------------------------------------------------------------------
 *
 * ingest.c
 *	  POST …/logs: batches of logs, all or none of each.
 *
 * A batch with an Idempotency-Key can be sent again when its fate is not known.
 * Two rows of producer_batches stand for it, both under a digest of who asks
 * and his key: number 0 has the fingerprint of the content, so that the key is
 * not used for anything else, and the number that the fingerprint is has what
 * append_lines() has returned.  All of it is one transaction, in which a second
 * try waits at number 0 until the first one is over.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "columns.h"
#include "encode.h"
#include "ingest.h"
#include "jsonscan.h"
#include "pool.h"

#include <openssl/evp.h>

#define MAX_KEY 255				/* bytes of an Idempotency-Key */

static const char append_sql[] = "SELECT wflog.append_lines($1) WHERE wflog.can_write()";
static const char claim_sql[] =
"INSERT INTO wflog.producer_batches (producer_key, sequence, result) VALUES ($1, 0, $2)"
" ON CONFLICT DO NOTHING";
/* The second column: had it been written before?  Retention may remove one row before the other. */
static const char append_once_sql[] =
"SELECT CASE WHEN b.result OPERATOR(pg_catalog.=) $2 THEN wflog.append_lines($3, $1, $2) END,"
" EXISTS (SELECT FROM wflog.producer_batches w"
" WHERE w.producer_key OPERATOR(pg_catalog.=) $1 AND w.sequence OPERATOR(pg_catalog.=) $2)"
" FROM wflog.producer_batches b"
" WHERE b.producer_key OPERATOR(pg_catalog.=) $1 AND b.sequence OPERATOR(pg_catalog.=) 0";

/* ---- what is sent once ---- */

/* A digest of two texts, the first of which has no NUL. */
static void
digest_of(unsigned char *digest, const char *first, const char *second, size_t len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (context == NULL || !EVP_DigestInit_ex(context, EVP_sha256(), NULL) ||
		!EVP_DigestUpdate(context, first, strlen(first) + 1) ||
		!EVP_DigestUpdate(context, second, len) || !EVP_DigestFinal_ex(context, digest, NULL))
		fail(EXIT_FAILED, NULL, "could not make a digest");
	EVP_MD_CTX_free(context);
}

/*
 * The Idempotency-Key of a request, which may be in quotes; its length is 0 if
 * there is none.  False: it is not well-formed.
 */
static bool
read_key(const Request *request, HttpText *key)
{
	*key = http_header(&request->http, "Idempotency-Key");
	if (key->at == NULL)
		return true;
	if (key->len >= 2 && key->at[0] == '"' && key->at[key->len - 1] == '"')
	{
		key->at++;
		key->len -= 2;
	}
	for (size_t i = 0; i < key->len; i++)
		if (key->at[i] < ' ' || key->at[i] > '~')
			return false;
	return key->len > 0 && key->len <= MAX_KEY;
}

/* The key that is sure to be this caller's, as a producer's. */
static void
make_producer_key(Buffer *out, const Request *request, HttpText key)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	digest_of(digest, request->claims.subject ? request->claims.subject : "", key.at, key.len);
	buffer_string(out, "http:");
	for (int i = 0; i < 32; i++)
		buffer_printf(out, "%02x", digest[i]);
}

/* A number that tells one body from another: at least 1. */
static int64
fingerprint(const Request *request)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	uint64		number = 0;

	digest_of(digest, request->path.value ? request->path.value : "", request->body.data, request->body.len);
	for (int i = 0; i < 8; i++)
		number = number << 8 | digest[i];
	return Max((int64) (number >> 1), 1);
}

/* ---- the answer ---- */

/* Answer with the log that the database has refused.  False: it was not for a log. */
static bool
respond_refused(Request *request, const Job *job)
{
	const char *message = job_message(job);
	Buffer		field = {0};
	long long	line;
	int			at = 0;

	if (strcmp(job_sqlstate(job), "23505") == 0)
	{
		/* which one, the database does not tell under row level security */
		respond_problem(request, 409, NULL, "There is a log with the id and time of one of these already.");
		return true;
	}
	if (sscanf(message, "line %lld: %n", &line, &at) != 1 || at == 0)
		return false;
	message += at;
	/* it begins with the column, or with the name of one that does not exist */
	if (column_named(message, strcspn(message, " :")) >= 0)
		buffer_append(&field, message, strcspn(message, " :"));
	else if (message[0] == '"' && strstr(message, "\" is no field"))
		buffer_append(&field, message + 1, strstr(message, "\" is no field") - message - 1);
	respond_bad_log(request, 422, line - 1, field.len > 0 ? buffer_text(&field) : NULL, message);
	buffer_free(&field);
	return true;
}

/* Whether the logs are there is not known: say what can be done. */
static void
respond_unknown(Request *request)
{
	request_header(request, "Retry-After: 2");
	respond_problem(request, 503, NULL, http_header(&request->http, "Idempotency-Key").at ?
					"The database was lost before it answered: send the same again, with the same Idempotency-Key." :
					"The database was lost before it answered: the logs may have been written, or not.");
}

/* The database has the logs, or has refused them. */
static void
ingest_done(Job *job)
{
	Request    *request = job->owner;
	bool		has_key = job->count == 2;
	PGresult   *result = job->results[job->count - 1];
	Buffer		body = {0};
	const char *count;

	request->job = NULL;
	request->database_us += job->took_us;
	if (job->outcome == JOB_AWAY && job->running)
		respond_unknown(request);
	else if (job->outcome == JOB_FAILED && respond_refused(request, job))
		return;
	else if (job->outcome != JOB_DONE)
		respond_job_problem(request, job);
	else if (PQntuples(result) == 0 && has_key)
	{
		/* retention has just removed the first of the two rows */
		request_header(request, "Retry-After: 1");
		respond_problem(request, 503, NULL, "This Idempotency-Key has just been forgotten.");
	}
	else if (PQntuples(result) == 0)
		respond_problem(request, 403, NULL, "This is not allowed.");
	else if (PQgetisnull(result, 0, 0))
		respond_problem(request, 422, NULL, "This Idempotency-Key has been used for something else.");
	else
	{
		count = PQgetvalue(result, 0, 0);
		buffer_char(&body, '{');
		if (request->path.value)
		{
			buffer_string(&body, "\"execution_id\":");
			json_quote(&body, request->path.value, strlen(request->path.value));
			buffer_char(&body, ',');
		}
		buffer_printf(&body, "\"count\":%s}\n", count);
		if (has_key && PQgetvalue(result, 0, 1)[0] == 't')
			request_header(request, "Idempotent-Replayed: true");
		request_header(request, "Cache-Control: no-store");
		respond(request, strcmp(count, "0") == 0 ? 200 : 201, "application/json", body.data, body.len);
		buffer_free(&body);
	}
}

/* ---- the request ---- */

/* Can a text be written as it is?  append_lines() escapes some, and an id must not become another. */
static bool
is_plain(const char *text)
{
	size_t		len = strlen(text);
	int			bytes;

	for (size_t i = 0; i < len; i += bytes)
	{
		bytes = utf8_sequence(text + i, len - i);
		if (bytes == 0 || (text[i] == '\\' && (text[i + 1] == 'x' || text[i + 1] == 'u')))
			return false;
	}
	return true;
}

/* Where the request comes from, for logs that do not say so themselves. */
static void
take_trace(LogBatch *batch, const Request *request)
{
	if (request->trace_id[0])
	{
		batch->trace_id = request->trace_id;
		batch->span_id = request->span_id[0] ? request->span_id : NULL;
	}
	else if (request->has_given_id)
		batch->trace_id = request->id;
}

/* Make lines of the body.  False: it cannot be, and the request has been answered. */
static bool
read_batch(Request *request, LogBatch *batch)
{
	HttpText	coding = http_header(&request->http, "Content-Encoding");
	bool		is_lines = content_type_is(request, "application/x-ndjson");
	bool		is_known = is_lines || content_type_is(request, "application/json");

	if (!is_known || (coding.len > 0 && !http_text_is_ignoring_case(coding, "identity")))
	{
		if (is_known)
			request_header(request, "Accept-Encoding: identity");
		else
			request_header(request, "Accept-Post: application/json, application/x-ndjson");
		respond_problem(request, 415, NULL, "A body must be application/json or application/x-ndjson, in UTF-8 and not compressed.");
		return false;
	}
	batch->execution = request->path.value;
	if (batch->execution && !is_plain(batch->execution))
	{
		respond_problem(request, 422, NULL, "The id of the execution is not UTF-8, or has \\x or \\u in it.");
		return false;
	}
	take_trace(batch, request);
	if (is_lines ? batch_read_lines(batch, request->body.data, request->body.len) :
		batch_read_json(batch, request->body.data, request->body.len))
		return true;
	if (batch->index < 0)
		respond_problem(request, 400, NULL, "%s", batch->problem);
	else
		respond_bad_log(request, 422, batch->index, batch->field, batch->problem);
	return false;
}

/* Hand the lines to the database. */
static void
submit_batch(Request *request, LogBatch *batch, HttpText key)
{
	Job		   *job = job_make(JOB_REQUEST, request->claims.json, gateway.options.query_timeout, ingest_done, request);
	Statement  *statement;

	if (key.len > 0)
	{
		Buffer		producer_key = {0};
		int64		content = fingerprint(request);

		make_producer_key(&producer_key, request, key);
		statement = job_statement(job, claim_sql);
		statement_text(statement, buffer_text(&producer_key));
		statement_number(statement, content);
		statement = job_statement(job, append_once_sql);
		statement_text(statement, buffer_text(&producer_key));
		statement_number(statement, content);
		buffer_free(&producer_key);
	}
	else
		statement = job_statement(job, append_sql);
	statement_bytes(statement, &batch->lines);
	buffer_free(&request->body);
	request->job = job;
	job_submit(job);
}

/* POST …/executions/{id}/logs, and POST …/logs for logs of several executions */
void
handle_ingest(Request *request)
{
	LogBatch	batch = {0};
	HttpText	key;

	if (!read_key(request, &key))
		respond_problem(request, 400, NULL, "Idempotency-Key must be 1 to %d characters of ASCII.", MAX_KEY);
	else if (read_batch(request, &batch))
		submit_batch(request, &batch, key);
	batch_free(&batch);
}
