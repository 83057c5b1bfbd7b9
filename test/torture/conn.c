/*-------------------------------------------------------------------------
 *
 * conn.c
 *	  Connections that get lost and are opened again.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define MAX_PARAMS 8
#define RETRY_MS 50

/* The server's last words to a connection that it ends are no news. */
static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

/* Open a connection, once.  Returns false if the server does not let us in. */
static bool
try_open(Conn *conn)
{
	const char *keys[] = {"dbname", "application_name", "user", NULL};
	const char *values[] = {options.conninfo, conn->name, conn->user, NULL};

	if (!conn->user)
		keys[2] = NULL;
	conn->pg = PQconnectdbParams(keys, values, 1);
	if (PQstatus(conn->pg) != CONNECTION_OK)
	{
		PQfinish(conn->pg);
		conn->pg = NULL;
		return false;
	}
	conn->lost = false;
	PQsetNoticeProcessor(conn->pg, ignore_notice, NULL);
	PQclear(PQexec(conn->pg, "SET client_min_messages = error"));
	if (PQstatus(conn->pg) != CONNECTION_OK)
	{
		conn_close(conn);
		return false;
	}
	return true;
}

/* Try until the time comes; false if it did not work. */
bool
conn_open_until(Conn *conn, int64_t deadline_ms)
{
	conn_close(conn);
	while (!try_open(conn))
	{
		if (now_ms() >= deadline_ms)
			return false;
		sleep_ms(RETRY_MS);
	}
	return true;
}

/* Try until it works or the end comes. */
bool
conn_open(Conn *conn)
{
	conn_close(conn);
	while (!try_open(conn))
	{
		if (phase >= (conn->until ? conn->until : PHASE_END))
			return false;
		sleep_ms(RETRY_MS);
	}
	return true;
}

/* Close it, and with it forget notifications that have not been taken. */
void
conn_close(Conn *conn)
{
	if (conn->pg)
		PQfinish(conn->pg);
	conn->pg = NULL;
}

/* Is the result the end of the session, though libpq may not have noticed yet? */
static bool
ended_session(const PGresult *result, ExecStatusType status)
{
	const char *severity;

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN ||
		status == PGRES_COPY_OUT)
		return false;
	severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	return !PQresultErrorField(result, PG_DIAG_SQLSTATE) || !severity || strcmp(severity, "ERROR") != 0;
}

/* Run a query whose parameters are strings; see query(). */
static PGresult *
run(Conn *conn, const char *sql, int count, va_list args)
{
	const char *params[MAX_PARAMS];
	PGresult   *result;
	ExecStatusType status;

	conn->sqlstate[0] = conn->message[0] = '\0';
	if (!conn->pg)
	{
		conn->lost = true;
		return NULL;
	}
	for (int i = 0; i < count; i++)
		params[i] = va_arg(args, const char *);
	result = PQexecParams(conn->pg, sql, count, NULL, params, NULL, NULL, 0);
	status = PQresultStatus(result);
	/* an error of libpq's own has no code, and one that ends the session is FATAL */
	if (PQstatus(conn->pg) != CONNECTION_OK || ended_session(result, status))
	{
		conn->lost = true;
		snprintf(conn->message, sizeof(conn->message), "%s", PQerrorMessage(conn->pg));
		PQclear(result);
		conn_close(conn);
		return NULL;
	}
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN ||
		status == PGRES_COPY_OUT)
		return result;
	snprintf(conn->sqlstate, sizeof(conn->sqlstate), "%s",
			 PQresultErrorField(result, PG_DIAG_SQLSTATE));
	snprintf(conn->message, sizeof(conn->message), "%s", PQresultErrorMessage(result));
	PQclear(result);
	return NULL;
}

/*
 * Run a query with string parameters (NULL is null).  Returns NULL after an
 * error; then conn->lost tells whether the connection is gone, and sqlstate
 * the error otherwise.
 */
PGresult *
query(Conn *conn, const char *sql, int count, ...)
{
	va_list		args;
	PGresult   *result;

	va_start(args, count);
	result = run(conn, sql, count, args);
	va_end(args);
	return result;
}

/* Run a query for its effect.  Did it work? */
bool
command(Conn *conn, const char *sql, int count, ...)
{
	va_list		args;
	PGresult   *result;

	va_start(args, count);
	result = run(conn, sql, count, args);
	va_end(args);
	PQclear(result);
	return result != NULL;
}

/* The first value of a query's result, to be freed; NULL if there is none. */
char *
value(Conn *conn, const char *sql, int count, ...)
{
	va_list		args;
	PGresult   *result;
	char	   *text = NULL;

	va_start(args, count);
	result = run(conn, sql, count, args);
	va_end(args);
	if (result && PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
		text = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}
