/*-------------------------------------------------------------------------
 *
 * writers.c
 *	  Sessions that write logs at a given rate.
 *
 * When each log is due is settled beforehand, and whichever session is free
 * takes the next one: a commit that takes long delays no others, as long as a
 * session is left.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_START_US 500000	/* sessions connect before the first log is due */
#define WARM_UP_US 1000000

/* What the sessions share. */
typedef struct Writing
{
	const char *conninfo;
	const char *statement;
	const char *prefix;
	Logs	   *logs;
	int		   *bytes;			/* of each log's message */
	int64_t    *due;			/* since begun */
	_Atomic int next;
} Writing;

/* Read EXECUTIONS:STREAMS:RATE[:BYTES[:DEAF]]; *executions is how many there are in all. */
Group *
groups_parse(int count, char **texts, int *executions)
{
	Group	   *groups = allocate(count, sizeof(Group));

	*executions = 0;
	for (int i = 0; i < count; i++)
	{
		Group	   *group = &groups[i];

		if (sscanf(texts[i], "%d:%d:%lf:%d:%d", &group->executions, &group->streams, &group->rate,
				   &group->bytes, &group->deaf) < 3 || group->executions <= 0)
			fail("not a group: %s", texts[i]);
		group->first = *executions;
		*executions += group->executions;
	}
	return groups;
}

/* Settle when which log is due: those of a group evenly, its executions in turn. */
static void
make_schedule(Writing *writing, const Group *groups, int group_count, int seconds)
{
	Logs	   *logs = writing->logs;
	int		   *done = allocate(group_count, sizeof(int));

	for (int i = 0; i < group_count; i++)
		logs->count += groups[i].executions * groups[i].rate * seconds;
	logs->execution = allocate(logs->count, sizeof(int));
	logs->committed = allocate(logs->count, sizeof(int64_t));
	writing->bytes = allocate(logs->count, sizeof(int));
	writing->due = allocate(logs->count, sizeof(int64_t));
	for (int n = 0; n < logs->count; n++)
	{
		int			best = -1;
		double		best_due = 0;

		for (int i = 0; i < group_count; i++)
		{
			double		rate = groups[i].executions * groups[i].rate;
			double		due = rate > 0 ? (done[i] + 0.5) * 1e6 / rate : -1;

			if (due >= 0 && (best < 0 || due < best_due))
			{
				best = i;
				best_due = due;
			}
		}
		logs->execution[n] = groups[best].first + done[best]++ % groups[best].executions;
		writing->bytes[n] = groups[best].bytes;
		writing->due[n] = best_due;
		if (best_due < WARM_UP_US)
			logs->warm_up = n + 1;
	}
	free(done);
}

/* A session: connect, and write whatever is due next. */
static void *
write_logs(void *arg)
{
	Writing    *writing = arg;
	Logs	   *logs = writing->logs;
	PGconn	   *conn = PQconnectdb(writing->conninfo);
	PGresult   *result = PQprepare(conn, "log", writing->statement, 2, NULL);
	char	   *message = NULL;
	size_t		room = 0;
	int			n;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("cannot prepare: %s", PQerrorMessage(conn));
	PQclear(result);
	while ((n = atomic_fetch_add(&writing->next, 1)) < logs->count)
	{
		char		execution[300];
		const char *values[2] = {execution, NULL};
		size_t		len;
		int64_t		now;

		if (room < writing->bytes[n] + 64)
			message = realloc(message, room = writing->bytes[n] + 64);
		len = sprintf(message, "Fetched a page %c%d%c", MARK, n, MARK);
		if (len < writing->bytes[n])
		{
			memset(message + len, 'x', writing->bytes[n] - len);
			message[writing->bytes[n]] = '\0';
		}
		values[1] = message;
		snprintf(execution, sizeof(execution), "%s-%d", writing->prefix, logs->execution[n]);
		sleep_until(logs->begun + writing->due[n]);
		result = PQexecPrepared(conn, "log", 2, values, NULL, NULL, 0);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail("cannot write: %s", PQerrorMessage(conn));
		now = now_us();
		atomic_store(&logs->committed[n], now);
		if (now > atomic_load(&logs->ended))
			atomic_store(&logs->ended, now);
		atomic_fetch_add(&logs->written, 1);
		PQclear(result);
	}
	PQfinish(conn);
	free(message);
	return NULL;
}

/* Begin to write; it goes on by itself. */
Logs *
writers_start(const char *conninfo, const char *statement, const char *prefix,
			  const Group *groups, int group_count, int seconds, int writers)
{
	Writing    *writing = allocate(1, sizeof(Writing));

	writing->conninfo = conninfo;
	writing->statement = statement;
	writing->prefix = prefix;
	writing->logs = allocate(1, sizeof(Logs));
	make_schedule(writing, groups, group_count, seconds);
	writing->logs->begun = now_us() + HEAD_START_US;
	for (int i = 0; i < writers; i++)
	{
		pthread_t	thread;

		if (pthread_create(&thread, NULL, write_logs, writing) != 0)
			fail("cannot make a thread");
		pthread_detach(thread);
	}
	return writing->logs;
}

/* How many were written, and how many a second. */
void
logs_print(const Logs *logs)
{
	printf("written %d\n", atomic_load(&logs->written));
	printf("rate %.0f\n", logs->written * 1e6 / (atomic_load(&logs->ended) - logs->begun));
}
