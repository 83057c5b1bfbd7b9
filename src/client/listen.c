/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  Does LISTEN work here?
 *
 * A transaction pooler takes LISTEN and then forgets it: the next statement
 * may go to another server process, and a notification that arrives between
 * two statements is thrown away.  A standby refuses it.  Only trying it tells:
 * a second connection notifies a channel of ours while this one does nothing,
 * as it will be when logs arrive.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include <time.h>
#include <unistd.h>

#define ROUND_TRIP_MILLISECONDS 2000

/* Milliseconds of a clock that is never set. */
long long
milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Wait for a notification on a channel; others that come are dropped. */
static bool
notification_arrives(Connection *connection, const char *channel)
{
	long long	until = milliseconds_now() + ROUND_TRIP_MILLISECONDS;
	bool		found = false;

	while (!found)
	{
		PGnotify   *notification;
		long long	left = until - milliseconds_now();

		while ((notification = PQnotifies(connection->pg)) != NULL)
		{
			if (strcmp(notification->relname, channel) == 0)
				found = true;
			PQfreemem(notification);
		}
		if (found || left <= 0)
			break;
		if (wait_for(PQsocket(connection->pg), false, left) < 0)
			check_interrupt();
		if (!take_input(connection->pg))
			break;				/* lost, which the next statement will say */
	}
	return found;
}

/*
 * Why LISTEN cannot be relied on over this connection, as a text of the
 * caller's; NULL if it can.  Nothing must be listened to yet.
 */
char *
listen_problem(Connection *connection)
{
	Connection	second = {.options = connection->options,.password = connection->password};
	char		channel[64];
	char		sql[128];
	const char *arguments[1] = {channel};
	PGresult   *result;
	char	   *problem = NULL;

	if (connection->in_recovery)
		return xstrdup("this is a standby, which has no LISTEN");
	snprintf(channel, sizeof(channel), "wflog_test_%ld_%lld", (long) getpid(), milliseconds_now());
	snprintf(sql, sizeof(sql), "LISTEN %s", channel);
	result = query(connection, sql, 0, NULL);
	if (!query_succeeded(result))
	{
		const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

		problem = xstrdup(text ? text : "LISTEN fails");
		PQclear(result);
		return problem;
	}
	PQclear(result);

	if (connect_again(&second, &problem))
	{
		PQclear(query(&second, "SELECT pg_catalog.pg_notify($1, '')", 1, arguments));
		if (!notification_arrives(connection, channel))
			problem = xstrdup("a notification did not arrive; is there a transaction pooler?");
	}
	else
	{
		/* no second connection to be had: judge by whether somebody stands in between */
		free(problem);
		problem = PQbackendPID(connection->pg) == connection->backend_pid ? NULL :
			xstrdup("there is a pooler, and no second connection to test it with");
	}
	connection_close(&second);
	free(second.extension_version);

	snprintf(sql, sizeof(sql), "UNLISTEN %s", channel);
	PQclear(query(connection, sql, 0, NULL));
	return problem;
}
