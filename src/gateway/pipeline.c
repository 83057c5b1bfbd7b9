/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  A job as one pipeline of libpq, and so in one round trip.
 *
 * There is no BEGIN, because PostgreSQL runs what comes before a Sync as one
 * transaction, and set_config() with is_local holds as long.  A connection
 * that a job has used knows nothing of it afterwards.
 *
 * Statements are prepared the first time that a connection is given them, in the
 * same pipeline.
 *
 *-------------------------------------------------------------------------
 */
#include "pool_server.h"

static const char settings_sql[] =
"SELECT pg_catalog.set_config('request.jwt.claims', $1, true),"
" pg_catalog.set_config('statement_timeout', $2, true),"
" pg_catalog.set_config('timezone', 'UTC', true)";

/* The number of a statement, which is a static text; -1: there are too many. */
static int
statement_number_of(const char *sql)
{
	static const char *known[MAX_PREPARED];
	int			i;

	for (i = 0; i < MAX_PREPARED && known[i]; i++)
		if (known[i] == sql)
			return i;
	if (i == MAX_PREPARED)
		return -1;
	known[i] = sql;
	return i;
}

static void
add_step(Server *server, int kind, int index)
{
	server->steps[server->step_count].kind = kind;
	server->steps[server->step_count++].index = index;
}

/* Send a statement, and before it, if need be, that it be prepared. */
static bool
send_statement(Server *server, int kind, int index, const char *sql, int count, const char *const *values,
			   const int *lengths, const int *formats)
{
	int			number = statement_number_of(sql);
	char		name[16];

	if (number < 0)
	{
		add_step(server, kind, index);
		return PQsendQueryParams(server->pg, sql, count, NULL, values, lengths, formats, 0);
	}
	snprintf(name, sizeof(name), "wflog_%d", number);
	if (!server->prepared[number])
	{
		add_step(server, STEP_PREPARE, number);
		if (!PQsendPrepare(server->pg, name, sql, 0, NULL))
			return false;
	}
	add_step(server, kind, index);
	return PQsendQueryPrepared(server->pg, name, count, values, lengths, formats, 0);
}

/* Send the server's job: the settings, its statements, the end.  False: it could not be. */
bool
pipeline_send(Server *server)
{
	Job		   *job = server->job;
	char		timeout[16];
	const char *values[2] = {job->claims ? job->claims : "", timeout};
	bool		sent;

	server->step = server->step_count = 0;
	snprintf(timeout, sizeof(timeout), "%d", job->timeout);
	sent = send_statement(server, STEP_SETTINGS, 0, settings_sql, 2, values, NULL, NULL);
	for (int i = 0; sent && i < job->count; i++)
	{
		const Statement *statement = &job->statements[i];

		sent = send_statement(server, STEP_STATEMENT, i, statement->sql, statement->count,
							  (const char *const *) statement->parameters, statement->lengths, statement->formats);
	}
	return sent && PQpipelineSync(server->pg);
}

/* Keep the result of a step. */
static void
take_result(Server *server, PGresult *result)
{
	Job		   *job = server->job;
	const Step *step = &server->steps[server->step];
	ExecStatusType status = PQresultStatus(result);
	PGresult  **place = &job->results[step->kind == STEP_STATEMENT ? step->index : 0];

	if (step->kind == STEP_PREPARE && status == PGRES_COMMAND_OK)
		server->prepared[step->index] = true;
	/* an error of what goes before the statements is that of the job */
	if ((step->kind == STEP_STATEMENT || status == PGRES_FATAL_ERROR) && *place == NULL)
		*place = result;
	else
		PQclear(result);
}

/* Take what has come. */
PipelineState
pipeline_receive(Server *server)
{
	while (!PQisBusy(server->pg))
	{
		PGresult   *result = PQgetResult(server->pg);

		if (result == NULL)
		{
			if (PQstatus(server->pg) != CONNECTION_OK)
				return PIPELINE_LOST;
			server->step++;		/* the end of its results */
		}
		else if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
		{
			PQclear(result);
			return PIPELINE_OVER;
		}
		else if (server->step < server->step_count)
			take_result(server, result);
		else
			PQclear(result);
	}
	return PQstatus(server->pg) == CONNECTION_OK ? PIPELINE_GOES_ON : PIPELINE_LOST;
}
