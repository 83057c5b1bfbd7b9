/*-------------------------------------------------------------------------
 *
 * subscribe.c
 *	  The channels that wflog logs --follow listens to, and the connection.
 *
 * Whether LISTEN works is tried when there is something to listen to
 * (listen.c); whether anybody sends notifications, wflog.channel() says by a
 * warning.  After the connection was lost everything is subscribed anew.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include "output.h"

#define BACKOFF_FIRST 100
#define BACKOFF_MOST 5000
#define REMIND_MILLISECONDS 30000
#define ASK_AGAIN_MILLISECONDS 60000	/* for notifications, where there are none */

static char *no_notifications = NULL;	/* why there will be none, as channel() says */
static bool polling_said = false;

/* Is it no use to try again? */
static bool
problem_is_lasting(const char *problem)
{
	return strstr(problem, "authentication failed") || strstr(problem, "no password supplied") ||
		strstr(problem, "no pg_hba.conf entry") ||
		(strstr(problem, "FATAL") && strstr(problem, "does not exist"));
}

/* Make the connection again, however long it takes, and say so. */
void
reconnect(LogsJob *job)
{
	int			backoff = BACKOFF_FIRST;
	long long	begun = milliseconds_now();
	long long	said = begun;
	char	   *problem;

	flush_logs(job);
	say("the connection was lost; trying to connect again");
	srandom(begun ^ (long long) job);
	while (!connect_again(job->connection, &problem))
	{
		if (problem_is_lasting(problem))
			fail(EXIT_CONNECTION, NULL, "could not connect again: %s", problem);
		if (milliseconds_now() - said >= REMIND_MILLISECONDS)
		{
			said = milliseconds_now();
			say("still no connection after %lld s: %s", (said - begun) / 1000, problem);
		}
		free(problem);
		/* by half more or less, so that many followers do not come at once */
		if (wait_for(-1, false, backoff / 2 + random() % backoff) < 0)
			check_interrupt();
		backoff = Min(backoff * 2, BACKOFF_MOST);
	}
	say("connected again after %.1f s, going on where it stopped", (milliseconds_now() - begun) / 1000.0);
	job->notifications.listening = false;
	for (int i = 0; i < job->count; i++)
	{
		job->subjects[i]->must_subscribe = job->subjects[i]->must_read = true;
		job->subjects[i]->covered[0] = job->subjects[i]->current[0] = '\0';
		job->subjects[i]->told[0] = '\0';
	}
	free(job->notifications.workflow_channel);
	job->notifications.workflow_channel = NULL;
}

/* Say, once, that logs come later than they might. */
void
say_polling(const char *why)
{
	if (!polling_said)
		say("%s; asking for new logs every %d ms", why, POLL_MILLISECONDS);
	polling_said = true;
}

/*
 * The text that a statement with one argument gives; NULL with the result if
 * it fails.
 */
static char *
ask_text(LogsJob *job, const char *sql, const char *argument, PGresult **failed)
{
	PGresult   *result = query(job->connection, sql, 1, &argument);
	char	   *text;

	*failed = NULL;
	if (!query_succeeded(result))
	{
		*failed = result;
		return NULL;
	}
	text = xstrdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}

/* channel() warns if nobody is going to notify. */
static void
note_warning(void *arg, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (text && no_notifications == NULL)
		no_notifications = xstrdup(text);
}

/* LISTEN to a channel, or UNLISTEN; false if that cannot be done. */
static bool
channel_command(LogsJob *job, const char *command, const char *channel)
{
	char	   *name = PQescapeIdentifier(job->connection->pg, channel, strlen(channel));
	Buffer		statement = {0};
	PGresult   *result;
	bool		done;

	buffer_printf(&statement, "%s %s", command, name ? name : "");
	result = query(job->connection, buffer_text(&statement), 0, NULL);
	done = query_succeeded(result);
	PQclear(result);
	PQfreemem(name);
	buffer_free(&statement);
	return done;
}

/* LISTEN to the channel that a statement names; NULL if that cannot be done. */
static char *
listen_to(LogsJob *job, const char *sql, const char *argument)
{
	PQnoticeReceiver before = PQsetNoticeReceiver(job->connection->pg, note_warning, NULL);
	PGresult   *failed;
	char	   *channel = ask_text(job, sql, argument, &failed);

	if (job->connection->pg)
		PQsetNoticeReceiver(job->connection->pg, before, NULL);
	if (channel == NULL)
	{
		/* 42883: an extension without notifications; 55000: a server without */
		if (!connection_is_lost(job->connection) && !result_has_state(failed, "42883") &&
			!result_has_state(failed, "55000") && !result_has_state(failed, "25006"))
			fail_with_result(job->connection, failed);
		PQclear(failed);
		return NULL;
	}
	if (channel_command(job, "LISTEN", channel))
		return channel;
	free(channel);
	return NULL;
}

/* Listen to whatever is not listened to yet. */
void
subscribe(LogsJob *job)
{
	Notifications *news = &job->notifications;
	bool		needed = job->workflow && news->workflow_channel == NULL;
	char	   *problem;

	for (int i = 0; i < job->count; i++)
		needed = needed || job->subjects[i]->must_subscribe;
	if (!needed)
		return;
	if (!news->listening)
	{
		problem = listen_problem(job->connection);
		if (connection_is_lost(job->connection))
		{
			free(problem);
			reconnect(job);
			return;
		}
		if (problem)
			say_polling(problem);
		news->listening = problem == NULL;
		free(problem);
	}
	free(no_notifications);
	no_notifications = NULL;
	for (int i = 0; i < job->count; i++)
	{
		Subject    *subject = job->subjects[i];

		if (!subject->must_subscribe)
			continue;
		subject->must_subscribe = false;
		subject->must_read = true;
		if (!news->listening)
			continue;
		free(subject->channel);
		subject->channel = listen_to(job, "SELECT wflog.channel($1)", subject->id);
		if (subject->channel == NULL && !connection_is_lost(job->connection))
		{
			news->listening = false;
			say_polling("this server does not send notifications");
		}
	}
	if (news->listening && job->workflow && news->workflow_channel == NULL)
		news->workflow_channel = listen_to(job, "SELECT wflog.workflow_channel($1)", job->workflow);
	if (no_notifications)
		say_polling(no_notifications);
	news->trusted = no_notifications == NULL;
	news->doubt_since = 0;
	news->ask_again = milliseconds_now() + ASK_AGAIN_MILLISECONDS;
}

/* Nothing more will come on its channel. */
void
unsubscribe(LogsJob *job, Subject *subject)
{
	if (job->notifications.listening && subject->channel && !connection_is_lost(job->connection))
		(void) channel_command(job, "UNLISTEN", subject->channel);
}
