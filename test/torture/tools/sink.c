/*-------------------------------------------------------------------------
 *
 * sink.c
 *	  Listens to executions and counts what it is notified of.
 *
 * sink CONNINFO EXECUTION... says "listening", and answers each line on
 * standard input with the number of notifications so far.  It ends with its
 * input.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libpq-fe.h>

static void
fail(PGconn *conn)
{
	fprintf(stderr, "sink: %s", PQerrorMessage(conn));
	exit(1);
}

/* Ask for an execution's channel and listen there. */
static void
listen_to(PGconn *conn, const char *execution)
{
	PGresult   *result = PQexecParams(conn, "SELECT pg_catalog.format('LISTEN %I', wflog.channel($1))", 1, NULL,
									  &execution, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK ||
		PQresultStatus(PQexec(conn, PQgetvalue(result, 0, 0))) != PGRES_COMMAND_OK)
		fail(conn);
	PQclear(result);
}

int
main(int argc, char **argv)
{
	PGconn	   *conn = PQconnectdb(argv[1]);
	long		count = 0;

	if (argc < 3 || PQstatus(conn) != CONNECTION_OK)
		fail(conn);
	for (int i = 2; i < argc; i++)
		listen_to(conn, argv[i]);
	printf("listening\n");
	fflush(stdout);

	for (;;)
	{
		struct pollfd fds[] = {{.fd = PQsocket(conn),.events = POLLIN}, {.fd = 0,.events = POLLIN}};
		PGnotify   *notification;
		char		line[64];

		poll(fds, 2, -1);
		if (!PQconsumeInput(conn))
			fail(conn);
		while ((notification = PQnotifies(conn)) != NULL)
		{
			count++;
			PQfreemem(notification);
		}
		if (fds[1].revents)
		{
			if (read(0, line, sizeof(line)) <= 0)
				return 0;
			printf("%ld\n", count);
			fflush(stdout);
		}
	}
}
