/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  Connections to the database, as psql makes them.
 *
 * libpq itself reads the PG* variables, service files and password files; a
 * password is asked for where the server wants one that none of them has.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <time.h>

#include "common/string.h"

/* The oldest extension this program can work with. */
#define OLDEST_EXTENSION "0.1.0"

static const char extension_sql[] =
	"SELECT (SELECT e.extversion FROM pg_catalog.pg_extension e"
	" WHERE e.extname OPERATOR(pg_catalog.=) 'wflog'),"
	" pg_catalog.pg_is_in_recovery(), pg_catalog.pg_backend_pid(),"
	" (SELECT a.default_version FROM pg_catalog.pg_available_extensions a"
	" WHERE a.name OPERATOR(pg_catalog.=) 'wflog')";

/* A NOTICE or WARNING of the server. */
static void
show_notice(void *arg, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *advice = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	if (text == NULL)
		return;
	say("%s", text);
	if (advice)
		hint("%s", advice);
}

/* Begin to connect, or connect and wait for it. */
static PGconn *
connect_params(const Connection *connection, const char *application_name, bool wait)
{
	const ConnectOptions *options = &connection->options;
	const char *keywords[] = {"host", "port", "user", "password", "dbname",
	"fallback_application_name", "client_encoding", NULL};
	const char *values[] = {options->host, options->port, options->user, connection->password,
	options->dbname, application_name, "UTF8", NULL};
	PGconn	   *pg = wait ? PQconnectdbParams(keywords, values, 1) :
		PQconnectStartParams(keywords, values, 1);

	if (pg == NULL)
		fail(EXIT_FAILED, NULL, "out of memory");
	PQsetNoticeReceiver(pg, show_notice, NULL);
	return pg;
}

/* Begin to connect without waiting, for who has other things to do meanwhile. */
PGconn *
connect_begin(const Connection *connection, const char *application_name)
{
	return connect_params(connection, application_name, false);
}

/* Are there several hosts to be tried? */
static bool
has_several_hosts(PGconn *pg)
{
	PQconninfoOption *all = PQconninfo(pg);
	bool		several = false;

	for (PQconninfoOption *option = all; option && option->keyword; option++)
		if ((strcmp(option->keyword, "host") == 0 || strcmp(option->keyword, "hostaddr") == 0) &&
			option->val && strchr(option->val, ','))
			several = true;
	PQconninfoFree(all);
	return several;
}

/*
 * Make a connection, or fail to; PQstatus() tells.  The signals that
 * wait_for() knows of end the program.
 *
 * Only libpq itself can give up one of several hosts and go on with the next
 * when connect_timeout is over, and it does so only where it waits itself;
 * Ctrl-C then has to be pressed twice.
 */
static void
connect_and_wait(Connection *connection)
{
	PGconn	   *pg = connect_begin(connection, "wflog");
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	char	   *timeout_text = NULL;
	long		timeout = 0;
	time_t		begun = time(NULL);

	connection->pg = pg;
	if (PQstatus(pg) != CONNECTION_BAD && has_several_hosts(pg))
	{
		PQfinish(pg);
		connection->pg = connect_params(connection, "wflog", true);
		check_interrupt();
		return;
	}

	/* libpq leaves connect_timeout to who connects in this way */
	if (PQstatus(pg) != CONNECTION_BAD)
	{
		PQconninfoOption *all = PQconninfo(pg);

		for (PQconninfoOption *option = all; option && option->keyword; option++)
			if (strcmp(option->keyword, "connect_timeout") == 0 && option->val)
				timeout_text = option->val;
		if (timeout_text)
			timeout = Max(atol(timeout_text), 0);
		PQconninfoFree(all);
	}
	while (PQstatus(pg) != CONNECTION_BAD && state != PGRES_POLLING_OK &&
		   state != PGRES_POLLING_FAILED)
	{
		if (wait_for(PQsocket(pg), state == PGRES_POLLING_WRITING, 1000) < 0)
			check_interrupt();
		if (timeout > 0 && time(NULL) - begun > timeout)
			break;				/* PQstatus() is not CONNECTION_OK */
		state = PQconnectPoll(pg);
	}
}

/* Why there is no connection, in one line. */
static char *
connection_problem(PGconn *pg)
{
	const char *text = PQerrorMessage(pg);
	Buffer		line = {0};

	/* a line for each host that was tried; those with a tab are libpq's advice */
	while (*text)
	{
		size_t		len = strcspn(text, "\n");

		if (len > 0 && text[0] != '\t')
		{
			if (line.len > 0)
				buffer_string(&line, "; ");
			buffer_append(&line, text, len);
		}
		text += len + (text[len] == '\n');
	}
	if (line.len == 0)
		buffer_string(&line, "the server did not answer in time");
	return buffer_text(&line);
}

/* Ask the person for the password.  Leaves if there is nobody to ask. */
static void
ask_password(Connection *connection, PGconn *pg)
{
	const char *user = pg ? PQuser(pg) : connection->options.user;
	char		prompt[256];

	if (user)
		snprintf(prompt, sizeof(prompt), "Password for user %s: ", user);
	else
		snprintf(prompt, sizeof(prompt), "Password: ");
	free(connection->password);
	connection->password = simple_prompt(prompt, false);
}

/* What can be done about a connection that cannot be made. */
static const char *
connection_hint(const char *problem)
{
	if (strstr(problem, "database") && strstr(problem, "does not exist"))
		return "Name the database with -d or PGDATABASE.";
	if (strstr(problem, "role") && strstr(problem, "does not exist"))
		return "Name the user with -U or PGUSER.";
	if (strstr(problem, "no password supplied"))
		return "Use -W, PGPASSFILE or a password file (~/.pgpass).";
	if (strstr(problem, "password authentication failed"))
		return NULL;
	if (strstr(problem, "No such file or directory") || strstr(problem, "Connection refused"))
		return "Is the server running, and are -h and -p (PGHOST, PGPORT) right?";
	return NULL;
}

/* Compare versions such as 0.2.0 number by number. */
static int
compare_versions(const char *a, const char *b)
{
	while (*a || *b)
	{
		char	   *a_end;
		char	   *b_end;
		long		x = strtol(a, &a_end, 10);
		long		y = strtol(b, &b_end, 10);

		if (x != y)
			return x < y ? -1 : 1;
		if (a_end == a && b_end == b)
			return strcmp(a, b);
		a = *a_end == '.' ? a_end + 1 : a_end;
		b = *b_end == '.' ? b_end + 1 : b_end;
	}
	return 0;
}

/*
 * Look at the other side: the extension, and what kind of server it is.
 * Returns what is wrong, or NULL.  Only a lost connection is reported so; a
 * missing or old extension ends the program, since waiting will not mend it.
 */
static char *
look_at_server(Connection *connection)
{
	PGresult   *result = query(connection, extension_sql, 0, NULL);
	const char *version;
	const char *available;

	if (!query_succeeded(result))
	{
		char	   *problem = xstrdup(result && PQresultStatus(result) == PGRES_FATAL_ERROR ?
									  PQresultErrorMessage(result) : PQerrorMessage(connection->pg));

		if (!connection_is_lost(connection))
			fail_with_result(connection, result);
		PQclear(result);
		return problem;
	}
	version = PQgetisnull(result, 0, 0) ? NULL : PQgetvalue(result, 0, 0);
	available = PQgetisnull(result, 0, 3) ? NULL : PQgetvalue(result, 0, 3);
	if (version == NULL)
		fail(EXIT_EXTENSION, available ? "Run there, as a superuser: CREATE EXTENSION wflog;" :
			 "Install wflog on the server, then run there, as a superuser: CREATE EXTENSION wflog;",
			 "the database \"%s\" does not have the extension wflog", PQdb(connection->pg));
	if (compare_versions(version, OLDEST_EXTENSION) < 0)
		fail(EXIT_EXTENSION, available && compare_versions(available, OLDEST_EXTENSION) >= 0 ?
			 "Run there: ALTER EXTENSION wflog UPDATE;" :
			 "Install a newer wflog on the server, then run there: ALTER EXTENSION wflog UPDATE;",
			 "the extension wflog in the database \"%s\" is version %s; this program needs %s",
			 PQdb(connection->pg), version, OLDEST_EXTENSION);
	free(connection->extension_version);
	connection->extension_version = xstrdup(version);
	connection->in_recovery = PQgetvalue(result, 0, 1)[0] == 't';
	connection->backend_pid = atoi(PQgetvalue(result, 0, 2));
	PQclear(result);
	return NULL;
}

/*
 * Make the connection, anew if there was one.  On failure false, with what is
 * wrong, which the caller frees; there is then no connection.
 */
bool
connect_again(Connection *connection, char **problem)
{
	char	   *text = NULL;

	connection_close(connection);
	connect_and_wait(connection);
	if (PQstatus(connection->pg) != CONNECTION_OK)
		text = connection_problem(connection->pg);
	else
		text = look_at_server(connection);
	if (text == NULL)
		return true;
	connection_close(connection);
	if (problem)
		*problem = text;
	else
		free(text);
	return false;
}

/* Connect, or say why not and leave. */
Connection *
connect_to(const ConnectOptions *options)
{
	Connection *connection = xmalloc(sizeof(Connection));
	bool		asked = false;

	memset(connection, 0, sizeof(Connection));
	connection->options = *options;
	if (options->prompt > 0)
		ask_password(connection, NULL);
	for (;;)
	{
		char	   *problem;

		connect_and_wait(connection);
		if (PQstatus(connection->pg) == CONNECTION_OK)
		{
			problem = look_at_server(connection);
			if (problem == NULL)
				return connection;
		}
		else if (PQconnectionNeedsPassword(connection->pg) && connection->password == NULL &&
				 !asked && options->prompt >= 0)
		{
			asked = true;
			ask_password(connection, connection->pg);
			connection_close(connection);
			continue;
		}
		else
			problem = connection_problem(connection->pg);
		fail(EXIT_CONNECTION, connection_hint(problem), "could not connect: %s", problem);
	}
}

/* Has it been lost, so that nothing but another one will help? */
bool
connection_is_lost(Connection *connection)
{
	return connection->pg == NULL || PQstatus(connection->pg) != CONNECTION_OK;
}

/* Close it; it can be made again. */
void
connection_close(Connection *connection)
{
	if (connection->pg)
		PQfinish(connection->pg);
	connection->pg = NULL;
}
