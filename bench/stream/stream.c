/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  The listening and pacing half of the bench of streams.
 *
 * usage: stream idle CONNINFO COUNT
 *			COUNT sessions that LISTEN on channels nobody writes to
 *		  stream listen CONNINFO CHANNEL...
 *			one session; prints how many notifications and logs came
 *		  stream latency CONNINFO RATE SECONDS WRITERS STATEMENT ID... -- CHANNEL...
 *			WRITERS sessions commit RATE logs a second together by STATEMENT
 *			($1 an ID in turn, $2 the message); prints how long after the
 *			commit's reply the notification came, in microseconds
 *
 *		  stream poll CONNINFO RATE SECONDS WRITERS STATEMENT QUERY ID...
 *			the same, but what comes is looked up once a second for each ID, by
 *			QUERY: message and a position of what is behind position $2 of ID $1
 *
 * The first two run until SIGTERM and print "ready" when they listen.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

/* What a message looks like, so that its notification can be told: @writer:number@ */
#define MARK "@%d:%d@"

static volatile sig_atomic_t stopped = 0;

static void
stop(int signal)
{
	(void) signal;
	stopped = 1;
}

static void
fail(const char *what, PGconn *conn)
{
	fprintf(stderr, "stream: %s: %s", what, conn ? PQerrorMessage(conn) : "\n");
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect", conn);
	return conn;
}

static void
listen_on(PGconn *conn, const char *channel)
{
	char	   *name = PQescapeIdentifier(conn, channel, strlen(channel));
	char	   *command = malloc(strlen(name) + 16);
	PGresult   *result;

	sprintf(command, "LISTEN %s", name);
	result = PQexec(conn, command);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("cannot listen", conn);
	PQclear(result);
	PQfreemem(name);
	free(command);
}

/* Sessions that are woken by every notification and get none. */
static int
idle(const char *conninfo, int count)
{
	PGconn	  **conns = calloc(count, sizeof(PGconn *));
	struct pollfd *polls = calloc(count, sizeof(struct pollfd));

	for (int i = 0; i < count; i++)
	{
		char		channel[32];

		conns[i] = connect_to(conninfo);
		snprintf(channel, sizeof(channel), "idle_%d", i);
		listen_on(conns[i], channel);
		polls[i].fd = PQsocket(conns[i]);
		polls[i].events = POLLIN;
	}
	puts("ready");
	fflush(stdout);
	while (!stopped)
	{
		if (poll(polls, count, 200) <= 0)
			continue;
		for (int i = 0; i < count; i++)
			if (polls[i].revents && !PQconsumeInput(conns[i]))
				fail("lost a session", conns[i]);
	}
	return 0;
}

/* How many logs a notification carries: one, or those of a gateway's batch. */
static int
logs_in(const char *payload)
{
	int			logs = 0;

	if (!strstr(payload, "\"kind\":\"batch\""))
		return 1;
	for (const char *at = payload; (at = strstr(at, "\"kind\":\"log\"")) != NULL; at++)
		logs++;
	return logs;
}

static int
listen_only(const char *conninfo, int count, char **channels)
{
	PGconn	   *conn = connect_to(conninfo);
	struct pollfd ready = {PQsocket(conn), POLLIN, 0};
	long		notifications = 0;
	long		logs = 0;

	for (int i = 0; i < count; i++)
		listen_on(conn, channels[i]);
	puts("ready");
	fflush(stdout);
	while (!stopped)
	{
		PGnotify   *notify;

		if (poll(&ready, 1, 200) > 0 && !PQconsumeInput(conn))
			fail("lost the session", conn);
		while ((notify = PQnotifies(conn)) != NULL)
		{
			notifications++;
			logs += logs_in(notify->extra);
			PQfreemem(notify);
		}
	}
	printf("%ld %ld\n", notifications, logs);
	return 0;
}

/* One writer: a log at each of its turns, and when its commit was answered. */
static void
write_logs(const char *conninfo, int writer, int count, int64_t start, double period,
		   const char *statement, int ids, char **id, int64_t *committed)
{
	PGconn	   *conn = connect_to(conninfo);
	PGresult   *result = PQprepare(conn, "log", statement, 2, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("cannot prepare", conn);
	PQclear(result);
	for (int i = 0; i < count; i++)
	{
		char		message[64];
		const char *values[2] = {id[(writer + i) % ids], message};
		int64_t		due = start + (int64_t) (i * period);
		int64_t		now = now_us();

		if (now < due)
			usleep(due - now);
		snprintf(message, sizeof(message), "Fetched a page " MARK, writer, i);
		result = PQexecPrepared(conn, "log", 2, values, NULL, NULL, 0);
		if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
			fail("cannot write", conn);
		committed[i] = now_us();
		PQclear(result);
	}
	PQfinish(conn);
	exit(0);
}

static int
compare(const void *a, const void *b)
{
	int64_t		left = *(const int64_t *) a;
	int64_t		right = *(const int64_t *) b;

	return left < right ? -1 : left > right;
}

/* What is written and what has come. */
static int	each;				/* logs of a writer */
static int64_t *came;			/* when, by writer and number */
static int	received = 0;
static int	repeated = 0;
static int64_t last;			/* when something came last */

/* A message has come, or a text that contains it. */
static void
note(const char *text)
{
	const char *mark = strchr(text, '@');
	int			writer;
	int			number;

	if (mark && sscanf(mark, MARK, &writer, &number) == 2)
	{
		int64_t    *slot = &came[(int64_t) writer * each + number];

		last = now_us();
		if (*slot != 0)
			repeated++;
		else
			received++;
		*slot = last;
	}
}

/* Look up what has come, once a second, until all has or nothing does any more. */
static void
look_up(PGconn *conn, const char *query, int total, int ids, char **id)
{
	char	  **position = calloc(ids, sizeof(char *));
	int64_t		due = now_us();

	while (received < total && now_us() - last < 5000000)
	{
		for (int i = 0; i < ids; i++)
		{
			const char *values[2] = {id[i], position[i]};
			PGresult   *result = PQexecParams(conn, query, 2, NULL, values, NULL, NULL, 0);
			int			rows = PQntuples(result);

			if (PQresultStatus(result) != PGRES_TUPLES_OK)
				fail("cannot look up", conn);
			for (int row = 0; row < rows; row++)
				note(PQgetvalue(result, row, 0));
			if (rows > 0)
			{
				free(position[i]);
				position[i] = strdup(PQgetvalue(result, rows - 1, 1));
			}
			PQclear(result);
		}
		due += 1000000;
		if (due > now_us())
			usleep(due - now_us());
	}
}

/* Measure; query is NULL to listen on channels. */
static int
latency(const char *conninfo, int rate, int seconds, int writers, const char *statement,
		const char *query, int ids, char **id, int channels, char **channel)
{
	int			total;
	int64_t    *committed;
	PGconn	   *conn = connect_to(conninfo);
	struct pollfd ready = {PQsocket(conn), POLLIN, 0};
	int64_t		start;

	each = rate * seconds / writers;
	total = each * writers;
	committed = mmap(NULL, sizeof(int64_t) * total, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	came = calloc(total, sizeof(int64_t));
	for (int i = 0; i < channels; i++)
		listen_on(conn, channel[i]);
	start = last = now_us() + 300000;	/* the writers connect meanwhile */
	for (int writer = 0; writer < writers; writer++)
		if (fork() == 0)
			write_logs(conninfo, writer, each, start + writer * 1000000LL / rate,
					   1e6 * writers / rate, statement, ids, id, committed + (int64_t) writer * each);

	if (query)
		look_up(conn, query, total, ids, id);
	while (!query && received < total && now_us() - last < 5000000)
	{
		PGnotify   *notify;

		if (poll(&ready, 1, 100) > 0 && !PQconsumeInput(conn))
			fail("lost the session", conn);
		while ((notify = PQnotifies(conn)) != NULL)
		{
			note(notify->extra);
			PQfreemem(notify);
		}
	}
	while (wait(NULL) > 0)
		;

	{
		int64_t    *took = malloc(sizeof(int64_t) * (received + 1));
		int64_t		end = start;
		int			count = 0;

		for (int i = 0; i < total; i++)
		{
			if (committed[i] > end)
				end = committed[i];
			if (came[i] != 0)
				took[count++] = came[i] > committed[i] ? came[i] - committed[i] : 0;
		}
		qsort(took, count, sizeof(int64_t), compare);
		/* written, received, repeated, logs a second, p50, p99, max */
		printf("%d %d %d %.0f %ld %ld %ld\n", total, received, repeated,
			   total * 1e6 / (end - start), count ? (long) took[count / 2] : -1,
			   count ? (long) took[(int64_t) count * 99 / 100] : -1, count ? (long) took[count - 1] : -1);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (argc == 4 && strcmp(argv[1], "idle") == 0)
		return idle(argv[2], atoi(argv[3]));
	if (argc >= 4 && strcmp(argv[1], "listen") == 0)
		return listen_only(argv[2], argc - 3, argv + 3);
	if (argc >= 10 && strcmp(argv[1], "latency") == 0)
	{
		int			ids = 0;

		while (7 + ids < argc && strcmp(argv[7 + ids], "--") != 0)
			ids++;
		if (ids > 0 && 8 + ids < argc && atoi(argv[3]) > 0 && atoi(argv[5]) > 0)
			return latency(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), argv[6], NULL,
						   ids, argv + 7, argc - 8 - ids, argv + 8 + ids);
	}
	if (argc >= 9 && strcmp(argv[1], "poll") == 0 && atoi(argv[3]) > 0 && atoi(argv[5]) > 0)
		return latency(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), argv[6], argv[7],
					   argc - 8, argv + 8, 0, NULL);
	fprintf(stderr, "usage: stream idle CONNINFO COUNT | listen CONNINFO CHANNEL... |\n"
			"       latency CONNINFO RATE SECONDS WRITERS STATEMENT ID... -- CHANNEL... |\n"
			"       poll CONNINFO RATE SECONDS WRITERS STATEMENT QUERY ID...\n");
	return 2;
}
