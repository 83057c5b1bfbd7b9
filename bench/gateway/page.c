/*-------------------------------------------------------------------------
 *
 * page.c
 *	  What a page costs by HTTP, and what the bare function does.
 *
 * One connection each, prepared and kept; sides take turns, so that whatever
 * else goes on in the machine meets all of them.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum Side
{
	SIDE_SQL,
	SIDE_SETTINGS,				/* the same behind the settings, as the gateway does it */
	SIDE_HTTP,
	SIDE_HEALTH,				/* a request without database */
	SIDES
};

static const char *const names[SIDES] = {"sql", "settings", "http", "health"};

static PGconn *conn;
static int	fd;
static char **requests;
static char *health;

static void
expect(PGresult *result, ExecStatusType status)
{
	if (PQresultStatus(result) != status)
		fail("a statement failed: %s", PQerrorMessage(conn));
	PQclear(result);
}

static void
call_sql(const char *execution)
{
	PGresult   *result = PQexecPrepared(conn, "page", 1, &execution, NULL, NULL, 0);

	if (PQntuples(result) != 1 || PQgetlength(result, 0, 0) < 100)
		fail("no page: %s", PQerrorMessage(conn));
	PQclear(result);
}

static void
call_with_settings(const char *execution)
{
	if (!PQenterPipelineMode(conn) || !PQsendQueryPrepared(conn, "settings", 0, NULL, NULL, NULL, 0) ||
		!PQsendQueryPrepared(conn, "page", 1, &execution, NULL, NULL, 0) || !PQpipelineSync(conn))
		fail("cannot send: %s", PQerrorMessage(conn));
	for (int i = 0; i < 2; i++)
	{
		expect(PQgetResult(conn), PGRES_TUPLES_OK);
		PQclear(PQgetResult(conn));
	}
	expect(PQgetResult(conn), PGRES_PIPELINE_SYNC);
	(void) PQexitPipelineMode(conn);
}

static void
call_http(const char *request)
{
	static char bytes[262144];
	static Response response;

	response_begin(&response);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t) strlen(request))
		fail("could not send a request: %s", strerror(errno));
	while (!response_is_whole(&response))
	{
		ssize_t		got = recv(fd, bytes, sizeof(bytes), 0);

		if (got <= 0 || response_take(&response, bytes, got) != (size_t) got)
			fail("the answer cannot be read");
	}
	if (response.status != 200)
		fail("the answer is %d", response.status);
}

static void
call(enum Side side, int number, char **executions)
{
	switch (side)
	{
		case SIDE_SQL:
			call_sql(executions[number]);
			break;
		case SIDE_SETTINGS:
			call_with_settings(executions[number]);
			break;
		case SIDE_HTTP:
			call_http(requests[number]);
			break;
		default:
			call_http(health);
	}
}

/* CONNINFO REPETITIONS CALLS SQL SETTINGS PATH ID... */
int
run_page(const Gateway *gateway, int argc, char **argv)
{
	int			repetitions = atoi(argv[1]);
	int			calls = atoi(argv[2]);
	int			count = argc - 6;
	char	  **executions = argv + 6;
	struct pollfd connecting;

	conn = PQconnectdb(argv[0]);
	expect(PQprepare(conn, "page", argv[3], 1, NULL), PGRES_COMMAND_OK);
	expect(PQprepare(conn, "settings", argv[4], 0, NULL), PGRES_COMMAND_OK);
	fd = http_connect(gateway, 0);
	connecting = (struct pollfd) {fd, POLLOUT, 0};
	(void) poll(&connecting, 1, 10000);
	(void) fcntl(fd, F_SETFL, 0);
	requests = allocate(count, sizeof(char *));
	for (int i = 0; i < count; i++)
	{
		char		path[600];

		snprintf(path, sizeof(path), argv[5], executions[i]);
		http_request(gateway, path, &requests[i]);
	}
	http_request(gateway, "/health", &health);

	/* a round that does not count: what is prepared and cached at first use */
	for (int repetition = -1; repetition < repetitions; repetition++)
		for (int i = 0; i < SIDES; i++)
		{
			enum Side	side = (repetition + 1 + i) % SIDES;
			Samples		took = {0};

			for (int n = 0; n < calls; n++)
			{
				int64_t		begun = now_us();

				call(side, n % count, executions);
				samples_add(&took, now_us() - begun);
			}
			if (repetition >= 0)
				printf("%s %lld\n", names[side], (long long) samples_median(&took));
			free(took.values);
		}
	PQfinish(conn);
	return 0;
}
