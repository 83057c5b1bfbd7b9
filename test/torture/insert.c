/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  The ways to write logs.
 *
 * Each takes new numbers for its rows and tells whether the server took them;
 * their fate is that of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define LONG_ROW 8500			/* characters; too many for a notification */

/* What follows the key in a message: little, sometimes a lot. */
static const char *
filler(Random *r)
{
	static char longest[LONG_ROW + 1];

	if (longest[0] == '\0')
		memset(longest, 'x', LONG_ROW);
	if (chance(r, 2))
		return longest;
	return chance(r, 50) ? "" : "über \"Ärger\" \\ \t 日本語 \xF0\x9F\x98\x80";
}

/* How many days ago: now, days that have a leaf, days that have none yet. */
static int
days_ago(Random *r)
{
	if (chance(r, 95))
		return 0;
	return chance(r, 50) ? between(r, 1, 3) : between(r, 4, 25);
}

/* Take numbers, which follow each other. */
static int
take(Writer *w, int execution, int rows)
{
	Transaction *t = &w->transaction;
	int			first = -1;

	for (int i = 0; i < rows; i++)
	{
		int			number = log_new(w->number, execution, t->stream);

		if (i == 0)
			first = number;
		t->numbers = grow(t->numbers, t->count, &t->room, sizeof(int));
		t->numbers[t->count++] = number;
	}
	return first;
}

/* One INSERT. */
bool
insert_rows(Writer *w, int execution, const char *id, int rows)
{
	int			first = take(w, execution, rows);
	char		writer[16],
				from[16],
				to[16],
				days[16];

	snprintf(writer, sizeof(writer), "%d", w->number);
	snprintf(from, sizeof(from), "%d", first);
	snprintf(to, sizeof(to), "%d", first + rows - 1);
	snprintf(days, sizeof(days), "%d", days_ago(&w->random));
	if (rows == 1)
		return command(&w->conn,
					   "INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) "
					   "VALUES ($1, $2 || ':' || $3 || ' ' || $4, "
					   "pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => $5::int))",
					   5, id, writer, from, filler(&w->random), days);
	return command(&w->conn,
				   "INSERT INTO wflog.workflow_execution_logs (execution_id, message, created_at) "
				   "SELECT $1, $2 || ':' || i || ' ' || $5, "
				   "pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => $6::int * (i % 2)) "
				   "FROM pg_catalog.generate_series($3::int, $4::int) i",
				   6, id, writer, from, to, filler(&w->random), days);
}

/* log() for one, append() for more. */
bool
insert_function(Writer *w, int execution, const char *id, int rows)
{
	int			first = take(w, execution, rows);
	size_t		size = (size_t) rows * 128 + 8;
	char	   *batch;
	char	   *end;
	bool		worked;

	if (rows == 1)
	{
		char		message[32];

		snprintf(message, sizeof(message), "%d:%d", w->number, first);
		return command(&w->conn, "SELECT wflog.log($1, $2, level => 'warn')", 2, id, message);
	}
	batch = end = malloc(size);
	end += sprintf(end, "[");
	for (int i = 0; i < rows; i++)
		end += sprintf(end, "%s{\"execution_id\": \"%s\", \"message\": \"%d:%d\"}",
					   i ? "," : "", id, w->number, first + i);
	sprintf(end, "]");
	worked = command(&w->conn, "SELECT wflog.append($1::jsonb)", 1, batch);
	free(batch);
	return worked;
}

/* COPY. */
bool
insert_copy(Writer *w, int execution, const char *id, int rows)
{
	int			first = take(w, execution, rows);
	PGconn	   *pg = w->conn.pg;
	bool		worked = true;
	PGresult   *result;

	count(T_COPIES, 1);
	if (!command(&w->conn, "COPY wflog.workflow_execution_logs (execution_id, message) FROM STDIN", 0))
		return false;
	for (int i = 0; i < rows && worked; i++)
	{
		char		line[128];
		int			len = snprintf(line, sizeof(line), "%s\t%d:%d copied\n", id, w->number, first + i);

		worked = PQputCopyData(pg, line, len) == 1;
	}
	worked = worked && PQputCopyEnd(pg, NULL) == 1;
	while ((result = PQgetResult(pg)) != NULL)
	{
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

			worked = false;
			snprintf(w->conn.sqlstate, sizeof(w->conn.sqlstate), "%s", state ? state : "");
			snprintf(w->conn.message, sizeof(w->conn.message), "%s", PQresultErrorMessage(result));
			if (PQresultStatus(result) == PGRES_COPY_IN)
				PQputCopyEnd(pg, "gave up");
		}
		PQclear(result);
		if (PQstatus(pg) != CONNECTION_OK)
			break;
	}
	if (PQstatus(pg) != CONNECTION_OK)
	{
		w->conn.lost = true;
		conn_close(&w->conn);
		return false;
	}
	return worked;
}

/*
 * A row, and in the same statement a second one that cannot be inserted: the
 * row trigger has seen it nevertheless.
 */
bool
insert_conflict(Writer *w, int execution, const char *id)
{
	int			first = take(w, execution, 1);
	char		message[32];

	snprintf(message, sizeof(message), "%d:%d", w->number, first);
	return command(&w->conn,
				   "INSERT INTO wflog.workflow_execution_logs (id, execution_id, message, created_at) "
				   "SELECT u, $1, $2, t FROM (SELECT pg_catalog.gen_random_uuid() AS u, "
				   "pg_catalog.clock_timestamp() AS t OFFSET 0) AS one, pg_catalog.generate_series(1, 2) "
				   "ON CONFLICT DO NOTHING", 2, id, message);
}

/* Each row in a subtransaction, of which every third rolls back: too many for a snapshot to list. */
bool
insert_subtransactions(Writer *w, int execution, const char *id, int rows)
{
	Transaction *t = &w->transaction;
	int			first = take(w, execution, rows);
	int			kept = t->count - rows;
	char		sql[1024];

	snprintf(sql, sizeof(sql),
			 "DO $$ BEGIN FOR i IN %d .. %d LOOP BEGIN "
			 "INSERT INTO wflog.workflow_execution_logs (execution_id, message) VALUES ('%s', '%d:' || i); "
			 "IF (i - %d) %% 3 = 2 THEN RAISE division_by_zero; END IF; "
			 "EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$",
			 first, first + rows - 1, id, w->number, first);
	for (int i = 0; i < rows; i++)
	{
		int			number = first + i;

		if (i % 3 == 2)
			log_set(w->number, &number, 1, LOG_ABORTED);
		else
			t->numbers[kept++] = number;
	}
	t->count = kept;
	return command(&w->conn, sql, 0);
}

/* One of these. */
bool
insert_any(Writer *w, int execution, const char *id, int rows)
{
	int			way = between(&w->random, 0, 99);

	if (way < 60)
		return insert_rows(w, execution, id, rows);
	if (way < 80)
		return insert_function(w, execution, id, rows);
	if (way < 90)
		return insert_copy(w, execution, id, rows);
	if (way < 95)
		return insert_conflict(w, execution, id);
	return insert_subtransactions(w, execution, id, rows);
}
