/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Statements, and what their failure means for the exit status.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <dlfcn.h>
#include <unistd.h>

/* Cancel what the server is doing for us, and leave. */
static void
cancel_and_leave(Connection *connection)
{
	PGcancel   *cancel = PQgetCancel(connection->pg);
	char		problem[256];

	if (cancel)
	{
		PQcancel(cancel, problem, sizeof(problem));
		PQfreeCancel(cancel);
	}
	check_interrupt();
}

/*
 * Bytes that TLS has decrypted, or could, and libpq has not taken: no poll()
 * tells of them.  libpq is linked with the TLS library, so it is there; we
 * need not be.
 */
static bool
tls_holds_input(PGconn *pg)
{
	static int	(*pending) (const void *ssl) = NULL;
	void	   *ssl = PQsslStruct(pg, "OpenSSL");

	if (ssl == NULL)
		return false;
	if (pending == NULL)
		*(void **) &pending = dlsym(RTLD_DEFAULT, "SSL_pending");
	return pending != NULL && pending(ssl) > 0;
}

/*
 * PQconsumeInput() until poll() can be relied on to tell of more.  It takes
 * as much as its buffer has room for, which can be half a TLS record: servers
 * from 17 on, and proxies, send records of 16 kB.  False if the connection is
 * lost.
 */
bool
take_input(PGconn *pg)
{
	do
	{
		if (!PQconsumeInput(pg))
			return false;
	} while (tls_holds_input(pg));
	return true;
}

/* Hand a statement to the server; false if the connection is lost. */
bool
query_send(Connection *connection, const char *sql, int count, const char *const *values)
{
	return connection->pg != NULL &&
		PQsendQueryParams(connection->pg, sql, count, NULL, values, NULL, NULL, 0) == 1;
}

/*
 * The result of the statement that was sent; the last one if there are
 * several.  NULL, or a result that has failed, if the connection is lost.
 */
PGresult *
query_receive(Connection *connection)
{
	PGconn	   *pg = connection->pg;
	PGresult   *last = NULL;
	PGresult   *result;

	if (pg == NULL)
		return NULL;
	for (;;)
	{
		while (PQisBusy(pg))
		{
			int			unsent = PQflush(pg);

			if (wait_for(PQsocket(pg), unsent == 1, -1) < 0)
				cancel_and_leave(connection);
			if (!take_input(pg))
				break;			/* PQgetResult() gives the error */
		}
		result = PQgetResult(pg);
		if (result == NULL)
			return last;
		PQclear(last);
		last = result;
		if (PQresultStatus(result) == PGRES_COPY_IN || PQresultStatus(result) == PGRES_COPY_OUT)
			return last;
	}
}

/* Run a statement; the result is the caller's, and may be a failure. */
PGresult *
query(Connection *connection, const char *sql, int count, const char *const *values)
{
	if (!query_send(connection, sql, count, values))
		return NULL;
	return query_receive(connection);
}

/* Has it given what it was to give? */
bool
query_succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result); /* of NULL: PGRES_FATAL_ERROR */

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* Has it failed with this SQLSTATE? */
bool
result_has_state(const PGresult *result, const char *sqlstate)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

	return state && strcmp(state, sqlstate) == 0;
}

/* What can be done about an error of the server that brings no hint. */
static const char *
hint_for(const char *state)
{
	if (strcmp(state, "42501") == 0)
		return "You need wflog_reader to read, wflog_writer to write, wflog_admin to maintain: "
			"GRANT wflog_reader TO …;";
	if (strcmp(state, "WF002") == 0)
		return "What is missing has been removed; begin again without the cursor.";
	if (strcmp(state, "WF001") == 0)
		return "Begin again without the cursor.";
	return NULL;
}

/* Say why a statement has failed, and leave. */
void
fail_with_result(Connection *connection, const PGresult *result)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *detail = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
	const char *advice = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;
	ExitCode	code = EXIT_FAILED;

	if (connection_is_lost(connection))
		fail(EXIT_CONNECTION, NULL, "the connection was lost: %s",
			 text ? text : connection->pg ? PQerrorMessage(connection->pg) : "");
	if (state == NULL || text == NULL)
		fail(EXIT_FAILED, NULL, "%s", result ? PQresultErrorMessage(result) :
			 PQerrorMessage(connection->pg));

	if (strcmp(state, "P0002") == 0)
		code = EXIT_NOT_FOUND;
	else if (strcmp(state, "22023") == 0 || strcmp(state, "22007") == 0 ||
			 strcmp(state, "WF001") == 0)
		code = EXIT_USAGE;
	else if (strcmp(state, "3F000") == 0 || strcmp(state, "42883") == 0)
	{
		/* no such schema or function: the extension has gone, or is older than it says */
		code = EXIT_EXTENSION;
		advice = "Run there: CREATE EXTENSION wflog; or ALTER EXTENSION wflog UPDATE;";
	}
	else if (strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0)
		code = EXIT_CONNECTION;

	complain("%s", text);
	if (detail)
		say("detail: %s", detail);
	if (advice == NULL)
		advice = hint_for(state);
	if (advice)
		hint("%s", advice);
	leave(code);
}

/* Run a statement that must succeed. */
PGresult *
query_or_fail(Connection *connection, const char *sql, int count, const char *const *values)
{
	PGresult   *result = query(connection, sql, count, values);

	if (!query_succeeded(result))
		fail_with_result(connection, result);
	return result;
}
