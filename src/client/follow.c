/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  wflog logs --follow: logs as they are committed.
 *
 * The server's worker sends each log as a notification, which carries the log
 * and the stream's cursor behind it.  Notifications come in batches, whose
 * names sort in their order; each says which batch was before it on this
 * channel.  So:
 *
 *	  LISTEN first, then read the stream to its end; the last row says up to
 *	  which batch that was, and notifications up to there are dropped;
 *	  a notification whose predecessor has been shown is shown;
 *	  any other means that something is missing: read the stream.
 *
 * The stream is the truth and notifications only tell it sooner: whenever they
 * do not suffice (none came for a while, a reference came in place of a log,
 * the connection was lost) the stream is read from the cursor of the last log
 * that was shown.  What is listened to, and how a lost connection is made
 * again, is in subscribe.c.
 *
 * Where LISTEN does not work, or nobody sends notifications, the stream is
 * read every 100 ms.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include "output.h"

#define CHECK_FIRST 500			/* how long no news are believed to be good news, at first */
#define CHECK_MOST 5000			/* and at last */
#define DOUBT_MILLISECONDS 2000 /* logs, and no notification of them for so long */

static long long next_check = 0;
static int	check_interval = CHECK_FIRST;
static bool look_for_executions = false;

/* ---- the executions of a workflow ---- */

/* Follow the executions that have been registered since the newest known one. */
static void
find_executions(LogsJob *job)
{
	static const char sql[] =
		"SELECT e.execution_id FROM pg_catalog.json_to_recordset(pg_catalog.json_extract_path("
		"wflog.executions_json($1, max_rows => 100), 'executions')) AS e (execution_id pg_catalog.text)";
	PGresult   *result = query(job->connection, sql, 1, &job->workflow);
	int			count;

	look_for_executions = false;
	if (!query_succeeded(result))
	{
		if (connection_is_lost(job->connection))
			reconnect(job);
		else if (!job->wait || !result_has_state(result, "P0002"))
			fail_with_result(job->connection, result);
		PQclear(result);
		return;
	}
	/* the latest first */
	for (count = 0; count < PQntuples(result); count++)
		if (job->newest && strcmp(PQgetvalue(result, count, 0), job->newest) == 0)
			break;
	if (job->newest == NULL)
		count = Min(count, 1);
	for (int i = count - 1; i >= 0; i--)
	{
		Subject    *subject = subject_add(job, PQgetvalue(result, i, 0));

		/* from its beginning, which the stream gives as well as pages do */
		subject->history_done = job->newest != NULL;
		set_text(&job->newest, subject->id);
		say("following %s", subject->id);
	}
	PQclear(result);
	if (job->count > 0)
		show_history(job);
}

/* ---- notifications ---- */

/* A log that came with a notification. */
static void
take_log(LogsJob *job, Subject *subject, const JsonValue *payload)
{
	JsonValue	value = json_find(payload, "batch");
	char	   *batch = json_text(&value);
	char	   *before;
	char	   *cursor;
	LogEntry	log;

	value = json_find(payload, "prev");
	before = json_text(&value);
	value = json_find(payload, "cursor");
	cursor = json_text(&value);
	value = json_find(payload, "log");

	if (batch == NULL || subject->must_read)
		subject->must_read = true;
	else if (subject->covered[0] && strcmp(batch, subject->covered) <= 0)
		;						/* the stream has brought it */
	else if (cursor == NULL || value.kind != JSON_OBJECT || !log_parse(&log, &value))
		subject->must_read = true;	/* a reference, or nothing we know */
	else
	{
		const char *known = subject->current[0] ? subject->current : subject->covered;

		if (strcmp(batch, subject->current) == 0 ||
			(known[0] && before && strcmp(before, known) <= 0))
		{
			snprintf(subject->current, sizeof(subject->current), "%s", batch);
			show_if_wanted(job, subject, &log);
			free(subject->stream_cursor);
			subject->stream_cursor = cursor;
			cursor = NULL;
		}
		else
			subject->must_read = true;
	}
	free(batch);
	free(before);
	free(cursor);
}

/* A notification of the server's worker. */
static void
take_notification(LogsJob *job, const PGnotify *notification)
{
	JsonValue	payload = json_document(notification->extra, strlen(notification->extra));
	JsonValue	kind = json_find(&payload, "kind");
	JsonValue	batch;
	Notifications *news = &job->notifications;

	if (news->workflow_channel && strcmp(notification->relname, news->workflow_channel) == 0)
	{
		look_for_executions = true;
		if (json_is(&kind, "moved"))
		{
			free(news->workflow_channel);
			news->workflow_channel = NULL;
		}
		return;
	}
	for (int i = 0; i < job->count; i++)
	{
		Subject    *subject = job->subjects[i];

		if (subject->channel == NULL || strcmp(notification->relname, subject->channel) != 0)
			continue;
		news->doubt_since = 0;
		news->trusted = true;
		batch = json_find(&payload, "batch");
		if (batch.kind == JSON_STRING)
			snprintf(subject->told, sizeof(subject->told), "%.*s", (int) batch.len, batch.text);
		if (json_is(&kind, "log"))
			take_log(job, subject, &payload);
		else
			subject->must_read = true;	/* a reference, a status or the end */
		if (json_is(&kind, "moved"))
			subject->must_subscribe = true; /* to another owner, and another channel */
		return;
	}
}

/* Handle the notifications that have arrived; true if there were any. */
static bool
take_notifications(LogsJob *job)
{
	PGnotify   *notification;
	bool		any = false;

	while (!connection_is_lost(job->connection) &&
		   (notification = PQnotifies(job->connection->pg)) != NULL)
	{
		take_notification(job, notification);
		PQfreemem(notification);
		any = true;
	}
	return any;
}

/* ---- the loop ---- */

/* Read the streams that must be; returns whether one had something. */
static bool
read_streams(LogsJob *job, bool all)
{
	bool		any = false;

	for (int i = 0; i < job->count; i++)
	{
		Subject    *subject = job->subjects[i];
		int			rows;

		if (!all && !subject->must_read)
			continue;
		do
		{
			subject->must_read = false;
			rows = stream_read(job, subject, false);
			any = any || rows > 0;
			flush_logs(job);
			check_interrupt();
			/* nothing that is still to come has been seen in a page */
			if (rows < STREAM_ROWS)
				subject->seen_count = 0;
		} while (rows == STREAM_ROWS);
		subject->ended = subject->terminal;
	}
	return any;
}

/* Say how an execution has ended. */
static void
say_end(LogsJob *job, Subject *subject)
{
	PGresult   *result = query(job->connection,
							   "SELECT e.total_logs, e.error_message FROM pg_catalog.json_to_record("
							   "wflog.execution($1)) AS e (total_logs pg_catalog.int8,"
							   " error_message pg_catalog.text)", 1, (const char *const *) &subject->id);
	const char *total = query_succeeded(result) && PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "?";

	if (query_succeeded(result) && PQntuples(result) == 1 && !PQgetisnull(result, 0, 1))
		say("%s ended: %s, %s logs; %s", subject->id, subject->status, total, PQgetvalue(result, 0, 1));
	else
		say("%s ended: %s, %s logs", subject->id, subject->status, total);
	PQclear(result);
}

/* Take note of what has ended; true if nothing is left to be followed. */
static bool
all_ended(LogsJob *job)
{
	bool		all = true;

	for (int i = 0; i < job->count; i++)
	{
		Subject    *subject = job->subjects[i];

		if (!subject->ended)
		{
			all = false;
			continue;
		}
		if (!subject->end_said)
		{
			subject->end_said = true;
			say_end(job, subject);
		}
		if (job->workflow)
		{
			unsubscribe(job, subject);
			subject_remove(job, subject);
			i--;
		}
	}
	return all && !job->workflow;
}

/* Is it time to look whether notifications have kept something from us? */
static void
check_streams(LogsJob *job)
{
	Notifications *news = &job->notifications;
	long long	now = milliseconds_now();

	if (now < next_check)
		return;
	if (read_streams(job, true) && news->listening && news->trusted)
	{
		/* it may be about to be notified; but not for ever */
		if (news->doubt_since == 0)
			news->doubt_since = now;
		else if (now - news->doubt_since >= DOUBT_MILLISECONDS)
		{
			news->trusted = false;
			say_polling("the server sends no notifications (is the library preloaded, and wflog.notify on?)");
		}
	}
	if (job->workflow)
		look_for_executions = true;
	if (news->listening && !news->trusted && now >= news->ask_again)
		for (int i = 0; i < job->count; i++)
			job->subjects[i]->must_subscribe = true;
	if (!news->listening || !news->trusted || news->doubt_since != 0)
		check_interval = POLL_MILLISECONDS;
	else
		check_interval = Min(Max(check_interval * 2, CHECK_FIRST), CHECK_MOST);
	next_check = milliseconds_now() + check_interval;
}

/* Follow until all executions have ended; those of a workflow, for ever. */
void
follow(LogsJob *job)
{
	Notifications *news = &job->notifications;

	if (job->workflow)
		find_executions(job);
	for (;;)
	{
		subscribe(job);
		if (take_notifications(job))
		{
			/* what was told need not be looked for */
			check_interval = news->listening && news->trusted ? CHECK_FIRST : POLL_MILLISECONDS;
			next_check = milliseconds_now() + check_interval;
		}
		read_streams(job, false);
		check_streams(job);
		if (look_for_executions)
			find_executions(job);
		if (all_ended(job))
			return;
		flush_logs(job);
		if (connection_is_lost(job->connection))
		{
			reconnect(job);
			continue;
		}
		if (wait_for(PQsocket(job->connection->pg), false,
					 Max(next_check - milliseconds_now(), 0)) < 0)
			check_interrupt();
		if (!take_input(job->connection->pg))
			reconnect(job);
	}
}
