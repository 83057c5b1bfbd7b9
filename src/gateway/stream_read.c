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
#include "stream_set.h"

#include "metrics.h"

/* Logs of one read: the client's slowness keeps them in memory. */
#define MAX_ROWS 250

static const char channel_sql[] = "SELECT wflog.gateway_channel($1::pg_catalog.varchar)";
static const char execution_sql[] =
"SELECT e->>'status', e->>'is_terminal', e->>'total_logs'"
" FROM wflog.execution($1::pg_catalog.varchar) e";
static const char tail_sql[] =
"SELECT cursor, log, batch FROM wflog.tail($1::pg_catalog.varchar, $2, $3::pg_catalog.int4)";

static void read_done(Job *job);

/* Read from the cursor on; one of a set, when it is its turn. */
void
stream_catch_up(Stream *stream)
{
	const char *execution = stream->topic->execution;
	Job		   *job;
	Statement  *statement;

	if (stream->set && !set_takes_turn(stream))
	{
		stream->state = STREAM_QUEUED;
		return;
	}
	job = job_make(JOB_STREAM, stream->claims.json, gateway.options.logs_timeout, read_done, stream);
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
	stream->retry_at = clock_ms() + with_jitter(STREAM_RETRY_READ_MS);
	if (stream->set)
		set_turn_over(stream);
}

/*
 * What the failure of a stream's job means: the status, the type of error and
 * the message to refuse it with; 0 if it may go by itself.
 */
int
stream_failure(const Job *job, const char **type, const char **message)
{
	const char *state = job_sqlstate(job);

	*message = job_message(job);
	if (job->outcome != JOB_FAILED)
		return 0;
	if (strcmp(state, "P0002") == 0)
	{
		*type = "not_found";
		*message = "There is no such execution.";
		return 404;
	}
	if (strcmp(state, "WF001") == 0 || strcmp(state, "22023") == 0 || strcmp(state, "22021") == 0)
	{
		*type = "bad_cursor";
		return 422;
	}
	if (strcmp(state, "WF002") == 0)
	{
		*type = "gap";
		return 410;
	}
	if (strcmp(state, "42501") == 0)
	{
		*type = "forbidden";
		*message = "This is not allowed.";
		return 403;
	}
	/* 3F000: the extension is not there; it may be on its way */
	if (strcmp(state, "40001") == 0 || strcmp(state, "57014") == 0 || strncmp(state, "53", 2) == 0 ||
		strncmp(state, "57P", 3) == 0 || strcmp(state, "55P03") == 0 || strcmp(state, "3F000") == 0)
		return 0;
	*type = "fatal_error";
	*message = "The database reports an error.";
	return 500;
}

/* The table could not be read. */
static void
read_failed(Stream *stream, const Job *job)
{
	const char *type;
	const char *message;
	int			status;

	if (stream->subscribing && strcmp(job_sqlstate(job), "25006") == 0)
	{
		listener_must_poll();	/* a standby */
		stream_catch_up(stream);
		return;
	}
	status = stream_failure(job, &type, &message);
	if (status == 500)
		complain("a stream of \"%s\" failed: %s: %s", stream->topic->execution, job_sqlstate(job), job_message(job));
	if (status == 0)
		wait_and_retry(stream);
	else
		stream_refuse(stream, status, type, message);
}

/* What the table has, and how it is with the execution. */
static void
read_done(Job *job)
{
	Stream	   *stream = job->owner;
	Conn	   *conn = stream->conn;
	int			first = stream->subscribing ? 1 : 0;
	Request    *request = stream->set ? stream->set->request : stream->request;
	PGresult   *execution;
	PGresult   *rows;
	int			count;

	stream->job = NULL;
	if (request)
		request->database_us += job->took_us;
	if (job->outcome != JOB_DONE)
	{
		read_failed(stream, job);
		return;
	}
	execution = job->results[first];
	rows = job->results[first + 1];
	count = PQntuples(rows);
	stream->subscribe = stream->subscribe && !stream->subscribing;
	strlcpy(stream->status, PQgetvalue(execution, 0, 0), sizeof(stream->status));
	stream->is_terminal = PQgetvalue(execution, 0, 1)[0] == 't';
	stream->total = strtoll(PQgetvalue(execution, 0, 2), NULL, 10);

	if (stream->was_at_end && count == 0 && (stream->is_terminal || !stream->follow))
	{
		stream_nothing_new(stream);
		return;
	}
	stream->was_at_end = false;
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
			const char *log = PQgetvalue(rows, stream->row, 1);
			size_t		len = PQgetlength(rows, stream->row, 1);

			stream_append_id(stream, &out, PQgetvalue(rows, stream->row, 0));
			sse_log(&out, stream->topic->quoted, log, len, stream->was_live);
			if (stream->was_live)
				count_delivery(log_written_at(log, len), now);
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
