/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  Reading the stream: what has been committed since a cursor.
 *
 * The status is read in the same statement, so that the logs are at least as
 * new: an execution that was terminal there, and of which the stream gave less
 * than was asked for, has no further logs.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include "output.h"

#define RETRY_MILLISECONDS 100

static const char stream_sql[] =
	"SELECT (SELECT x.status FROM wflog.workflow_executions AS x"
	" WHERE x.execution_id OPERATOR(pg_catalog.=) $1), t.cursor, t.log, t.batch"
	" FROM (VALUES (1)) AS one LEFT JOIN LATERAL wflog.tail($1, $2, " CppAsString2(STREAM_ROWS) ") AS t ON true";

/* Has a page shown this log? */
static bool
was_seen(const Subject *subject, const LogEntry *log)
{
	const JsonValue *id = &log->field[LOG_ID];

	for (int i = 0; i < subject->seen_count; i++)
		if (strlen(subject->seen[i]) == id->len && memcmp(subject->seen[i], id->text, id->len) == 0)
			return true;
	return false;
}

/* Show a log of the stream if the filters let it pass. */
bool
show_if_wanted(LogsJob *job, Subject *subject, const LogEntry *log)
{
	if (!log_filter_matches(&job->filter, log))
		return false;
	show_log(&job->style, subject->id, log);
	subject->shown++;
	return true;
}

/* Show a row of tail(), and move the cursor. */
static void
take_row(LogsJob *job, Subject *subject, const PGresult *result, int row, bool stragglers_only)
{
	JsonValue	object = json_document(PQgetvalue(result, row, 2), PQgetlength(result, row, 2));
	LogEntry	log;
	Position	position;
	bool		wanted = true;

	if (!log_parse(&log, &object))
		fail(EXIT_FAILED, NULL, "the server's answer has something that is no log");
	if (stragglers_only)
	{
		log_position(&position, &log);
		wanted = subject->edge.valid && position_compare(&position, &subject->edge) <= 0;
	}
	if (wanted && !was_seen(subject, &log))
		show_if_wanted(job, subject, &log);
}

/*
 * Read what the stream has, up to a page of it, and the status.  Returns how
 * many logs it gave, wanted or not; STREAM_ROWS of them means that there may
 * be more.  Stragglers are what history.c says.
 */
int
stream_read(LogsJob *job, Subject *subject, bool stragglers_only)
{
	for (;;)
	{
		const char *values[2] = {subject->id, subject->stream_cursor};
		PGresult   *result = query(job->connection, stream_sql, 2, values);
		int			rows;
		const char *batch;

		if (query_succeeded(result))
		{
			rows = PQgetisnull(result, 0, 1) ? 0 : PQntuples(result);
			for (int i = 0; i < rows; i++)
				take_row(job, subject, result, i, stragglers_only);
			set_text(&subject->status, PQgetisnull(result, 0, 0) ? NULL : PQgetvalue(result, 0, 0));
			subject->terminal = status_is_terminal(subject->status);
			if (rows > 0)
			{
				set_text(&subject->stream_cursor, PQgetvalue(result, rows - 1, 1));
				batch = PQgetisnull(result, rows - 1, 3) ? "" : PQgetvalue(result, rows - 1, 3);
				snprintf(subject->covered, sizeof(subject->covered), "%s", batch);
				subject->current[0] = '\0';
			}
			/* notifications that came before we asked were of batches that we have got now */
			if (rows < STREAM_ROWS && strcmp(subject->told, subject->covered) > 0)
			{
				snprintf(subject->covered, sizeof(subject->covered), "%s", subject->told);
				subject->current[0] = '\0';
			}
			PQclear(result);
			return rows;
		}
		if (result_has_state(result, "40001"))
		{
			/* a standby that has not replayed as far as the cursor stands */
			if (wait_for(-1, false, RETRY_MILLISECONDS) < 0)
				check_interrupt();
		}
		else if (job->follow && connection_is_lost(job->connection))
			reconnect(job);
		else
			fail_with_result(job->connection, result);
		PQclear(result);
	}
}

/* Read the stream up to its end. */
void
stream_read_to_end(LogsJob *job, Subject *subject, bool stragglers_only)
{
	while (stream_read(job, subject, stragglers_only) == STREAM_ROWS)
	{
		if (!stragglers_only)
			flush_logs(job);
		check_interrupt();
	}
}
