/*-------------------------------------------------------------------------
 *
 * poll.c
 *	  The stream of the log API design, as it is written there: for each client
 *	  the page, its total and the execution's status, again and again.
 *
 * Without the two services of the design and their HTTP, so all that is left
 * is what the database does.  As there, the page is always the first hundred
 * logs, and what is behind them never comes.
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

#define SILENCE_US 3000000

static const char *prefix;
static const char *conninfo;
static const char *statements[3];	/* page, total, status */
static int64_t interval;
static int	connections;
static int	stream_count;
static Logs *logs;
static _Atomic(bool) *delivered;
static int64_t *latency;
static _Atomic long queries = 0;
static _Atomic long received = 0;
static _Atomic int64_t last_received;
static _Atomic bool over = false;

/* A log of a page: has it been sent before? */
static void
note(const char *message)
{
	const char *mark = strchr(message, MARK);
	int64_t		now = now_us();
	int64_t		committed;
	int			n = mark ? atoi(mark + 1) : -1;

	if (n < 0 || n >= logs->count || atomic_exchange(&delivered[n], true))
		return;
	committed = atomic_load(&logs->committed[n]);
	latency[n] = committed != 0 && now > committed ? now - committed : 0;
	atomic_fetch_add(&received, 1);
	atomic_store(&last_received, now);
}

/* Look once for what is new of an execution. */
static void
look(PGconn *conn, int execution)
{
	char		id[300];
	const char *values[1] = {id};

	snprintf(id, sizeof(id), "%s-%d", prefix, execution);
	for (int i = 0; i < 3; i++)
	{
		char		name[8];
		PGresult   *result;

		snprintf(name, sizeof(name), "s%d", i);
		result = PQexecPrepared(conn, name, 1, values, NULL, NULL, 0);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fail("cannot look: %s", PQerrorMessage(conn));
		if (i == 0)
			for (int row = 0, column = PQfnumber(result, "message"); row < PQntuples(result); row++)
				note(PQgetvalue(result, row, column));
		PQclear(result);
		if (!atomic_load(&over))
			atomic_fetch_add(&queries, 1);
	}
}

/* A connection, which so many streams share. */
static void *
poll_streams(void *arg)
{
	int			first = (int) (intptr_t) arg;
	PGconn	   *conn = PQconnectdb(conninfo);
	int64_t    *due = allocate(stream_count, sizeof(int64_t));

	for (int i = 0; i < 3; i++)
	{
		char		name[8];
		PGresult   *result;

		snprintf(name, sizeof(name), "s%d", i);
		result = PQprepare(conn, name, statements[i], 1, NULL);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail("cannot prepare: %s", PQerrorMessage(conn));
		PQclear(result);
	}
	/* not all in the same moment */
	for (int i = first; i < stream_count; i += connections)
		due[i] = now_us() + interval * i / stream_count;
	for (;;)
	{
		int			next = first;

		for (int i = first; i < stream_count; i += connections)
			if (due[i] < due[next])
				next = i;
		sleep_until(due[next]);
		look(conn, next);
		due[next] = now_us() + interval;
	}
	return NULL;
}

/* READER WRITER STATEMENT PREFIX SECONDS WRITERS INTERVAL_MS CONNECTIONS STREAMS RATE PAGE COUNT STATUS */
int
run_poll(int argc, char **argv)
{
	int			seconds = atoi(argv[4]);
	Group		group = {.streams = 1};
	Samples		latencies = {0};

	(void) argc;
	conninfo = argv[0];
	prefix = argv[3];
	interval = atoi(argv[6]) * INT64_C(1000);
	connections = atoi(argv[7]);
	group.executions = stream_count = atoi(argv[8]);
	group.rate = atof(argv[9]);
	memcpy(statements, argv + 10, sizeof(statements));

	logs = writers_start(argv[1], argv[2], prefix, &group, 1, seconds, atoi(argv[5]));
	delivered = allocate(logs->count, sizeof(bool));
	latency = allocate(logs->count, sizeof(int64_t));
	atomic_store(&last_received, logs->begun);
	for (intptr_t i = 0; i < connections; i++)
	{
		pthread_t	thread;

		if (pthread_create(&thread, NULL, poll_streams, (void *) i) != 0)
			fail("cannot make a thread");
	}
	sleep_until(logs->begun);
	atomic_store(&queries, 0);
	sleep_until(logs->begun + seconds * INT64_C(1000000));
	atomic_store(&over, true);
	while (atomic_load(&received) < logs->count && now_us() - atomic_load(&last_received) < SILENCE_US)
		sleep_until(now_us() + 50000);
	for (int n = logs->warm_up; n < logs->count; n++)
		if (atomic_load(&delivered[n]))
			samples_add(&latencies, latency[n]);
	logs_print(logs);
	printf("received %ld\nqueries %.0f\n", atomic_load(&received), (double) atomic_load(&queries) / seconds);
	samples_print("latency", &latencies);
	return 0;
}
