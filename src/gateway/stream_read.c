/*-------------------------------------------------------------------------
 *
 * stream_read.c
 *	  Reads for a stream what the table has behind its cursor.
 *
 * One read is one transaction: ask for the gateway's channel if that is due,
 * look at the execution, then tail().  Because the status is asked before the
 * logs, an execution that had ended by then and has no log left has been sent
 * in full; and because a read that finds nothing follows one whose logs have
 * all been sent, its total is exactly what a client that began at the start has
 * got.
 *
 *-------------------------------------------------------------------------
 */
#include "stream.h"

#include "metrics.h"

/* Logs of one read: the client's slowness keeps them in memory. */
#define MAX_ROWS 250

#define RETRY_READ_MS 1000

static const char channel_sql[] = "SELECT wflog.gateway_channel($1::pg_catalog.varchar)";
static const char execution_sql[] =
"SELECT e->>'status', e->>'is_terminal', e->>'total_logs'"
" FROM wflog.execution($1::pg_catalog.varchar) e";
static const char tail_sql[] =
"SELECT cursor, log, batch FROM wflog.tail($1::pg_catalog.varchar, $2, $3::pg_catalog.int4)";

static void read_done(Job *job);

/* Read from the cursor on. */
void
stream_catch_up(Stream *stream)
{
	const char *execution = stream->topic->execution;
	Job		   *job = job_make(JOB_STREAM, stream->claims.json, gateway.options.logs_timeout, read_done, stream);
	Statement  *statement;

	stream->subscribing = stream->subscribe && !listener_is_polling();
	if (stream->subscribing)
	{
		statement = job_statement(job, channel_sql);
		statement_text(statement, execution);
	}
	statement = job_statement(job, execution_sql);
	statement_text(statement, execution);
	statement = job_statement(job, tail_sql);
	statement_text(statement, execution);
	statement_text(statement, stream->cursor);
	statement_number(statement, MAX_ROWS);
	stream->state = STREAM_ASKING;
	/* what is notified from now on may be news; what was before, the read will show */
	stream->at = stream->topic->next_event;
	stream->chain_number = hub_chain_number();
	stream->is_fresh = false;
	stream->have[0] = '\0';
	stream->job = job;
	job_submit(job);
}

static void
wait_and_retry(Stream *stream)
{
	stream->state = STREAM_WAITING;
	stream->retry_at = clock_ms() + with_jitter(RETRY_READ_MS);
}

/* The database has refused. */
static void
read_failed(Stream *stream, const Job *job)
{
	const char *state = job_sqlstate(job);

	if (strcmp(state, "25006") == 0 && stream->subscribing)
	{
		listener_must_poll();	/* a standby */
		stream_catch_up(stream);
	}
	else if (strcmp(state, "P0002") == 0)
		stream_refuse(stream, 404, "not_found", "There is no such execution.");
	else if (strcmp(state, "WF001") == 0 || strcmp(state, "22023") == 0 || strcmp(state, "22021") == 0)
		stream_refuse(stream, 422, "bad_cursor", job_message(job));
	else if (strcmp(state, "WF002") == 0)
		stream_refuse(stream, 410, "gap", job_message(job));
	else if (strcmp(state, "42501") == 0)
		stream_refuse(stream, 403, "forbidden", "This is not allowed.");
	else if (strcmp(state, "40001") == 0 || strcmp(state, "57014") == 0 || strncmp(state, "53", 2) == 0 ||
			 strncmp(state, "57P", 3) == 0 || strcmp(state, "55P03") == 0)
		wait_and_retry(stream);
	else
	{
		complain("a stream of \"%s\" failed: %s: %s", stream->topic->execution, state, job_message(job));
		stream_refuse(stream, 500, "fatal_error", "The database reports an error.");
	}
}

/* What the table has, and how it is with the execution. */
static void
read_done(Job *job)
{
	Stream	   *stream = job->owner;
	Conn	   *conn = stream->conn;
	int			first = stream->subscribing ? 1 : 0;
	PGresult   *execution;
	PGresult   *rows;
	int			count;

	stream->job = NULL;
	if (stream->request)
		stream->request->database_us += job->took_us;
	if (job->outcome == JOB_FAILED)
	{
		read_failed(stream, job);
		return;
	}
	if (job->outcome != JOB_DONE)
	{
		wait_and_retry(stream);
		return;
	}
	execution = job->results[first];
	rows = job->results[first + 1];
	count = PQntuples(rows);
	stream->subscribe = stream->subscribe && !stream->subscribing;
	strlcpy(stream->status, PQgetvalue(execution, 0, 0), sizeof(stream->status));
	stream->is_terminal = PQgetvalue(execution, 0, 1)[0] == 't';
	stream->total = strtoll(PQgetvalue(execution, 0, 2), NULL, 10);

	if (stream->request && stream->was_at_end && count == 0 && (stream->is_terminal || !stream->follow))
	{
		/* it has been told the end, and there is nothing more: do not come back */
		stream_refuse(stream, 204, NULL, NULL);
		return;
	}
	if (stream->request)
		stream_begins_to_answer(stream);
	if (conn->closed)
		return;
	job->results[first + 1] = NULL;
	stream->rows = rows;
	stream->row = 0;
	stream->state = STREAM_ROWS;
	stream_send_rows(stream);
}

/* Send rows, as many as the client takes; then see what comes after them. */
void
stream_send_rows(Stream *stream)
{
	static Buffer out;
	PGresult   *rows = stream->rows;
	int			count = PQntuples(rows);
	int64		now = wall_us();

	while (stream->row < count)
	{
		buffer_clear(&out);
		while (stream->row < count && out.len < STREAM_HIGH_WATER)
		{
			const char *cursor = PQgetvalue(rows, stream->row, 0);
			const char *log = PQgetvalue(rows, stream->row, 1);
			size_t		len = PQgetlength(rows, stream->row, 1);

			buffer_printf(&out, "id: %s\n", cursor);
			sse_log(&out, stream->topic->quoted, log, len, stream->was_live);
			if (stream->was_live)
				count_delivery(log_written_at(log, len), now);
			stream_keep_cursor(stream, cursor);
			gateway.counters.events_sent++;
			stream->row++;
		}
		if (!stream_send(stream, &out))
			return;
		if (conn_pending(stream->conn) > 0)
			return;				/* stream_writable() goes on */
	}

	/* have: everything up to this batch; nothing, if we are not told or not at the end */
	stream->have[0] = '\0';
	if (count > 0 && !PQgetisnull(rows, count - 1, 2))
		strlcpy(stream->have, PQgetvalue(rows, count - 1, 2), BATCH_SIZE);
	stream->is_fresh = count == 0 && stream->cursor == NULL;
	PQclear(rows);
	stream->rows = NULL;
	if (count == 0 && (stream->is_terminal || !stream->follow))
		stream_complete(stream);
	else if (stream->is_terminal || !stream->follow || (count == MAX_ROWS && stream->have[0] == '\0'))
		stream_catch_up(stream);
	else
		stream_went_live(stream);
}
