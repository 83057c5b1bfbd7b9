/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Writers: sessions that run transactions of every kind, one after another.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define MAX_DEPTH 6

static atomic_bool quiet[MAX_WRITERS];

/* Is no writer doing anything that a barrier has to wait for? */
bool
writers_are_quiet(void)
{
	for (int i = 0; i < options.writers; i++)
		if (!quiet[i])
			return false;
	return true;
}

/* Wait while all are to pause. */
static void
wait_for_turn(Writer *w)
{
	while (phase == PHASE_PAUSE)
	{
		quiet[w->number] = true;
		sleep_ms(10);
	}
	quiet[w->number] = false;
}

/* ---- a transaction's logs ---- */

void
transaction_begin(Writer *w, int stream)
{
	Transaction *t = &w->transaction;

	t->writer = w->number;
	t->stream = stream;
	t->count = 0;
	count(T_TRANSACTIONS, 1);
}

/* The logs of a transaction, and the transaction, have come to this. */
void
transaction_end(Transaction *t, LogState state)
{
	log_set(t->writer, t->numbers, t->count, state);
	free(t->numbers);
	memset(t, 0, sizeof(*t));
}

/* All but the first logs have been rolled back. */
void
transaction_back_to(Transaction *t, int count_)
{
	log_set(t->writer, t->numbers + count_, t->count - count_, LOG_ABORTED);
	t->count = count_;
}

/* Is the error that a statement has met one that may be? */
bool
writer_expected(Writer *w)
{
	static const char *const expected[] = {"40P01", "40001", "55P03", "57P01", "57P02", "57P03", "57014"};

	if (w->conn.lost)
		return true;
	for (int i = 0; i < lengthof(expected); i++)
		if (strcmp(w->conn.sqlstate, expected[i]) == 0)
			return true;
	/* PostgreSQL's answer if a leaf is attached while a row goes to the default leaf */
	if (strcmp(w->conn.sqlstate, "23514") == 0 && strstr(w->conn.message, "violates partition constraint"))
		return true;
	violation("writer %d: %s: %s", w->number, w->conn.sqlstate, w->conn.message);
	return false;
}

/*
 * End the transaction: a block with COMMIT; a single statement has done so by
 * itself.  worked tells whether the statements were successful.  Returns
 * whether it is known to have committed, unless a crash undoes it.
 */
bool
transaction_commit(Writer *w, bool block, bool worked)
{
	Transaction *t = &w->transaction;
	LogState	state;

	if (!worked)
	{
		writer_expected(w);
		/* a block that never came to COMMIT has not committed */
		state = w->conn.lost && !block ? LOG_UNKNOWN : LOG_ABORTED;
		if (block && !w->conn.lost)
			command(&w->conn, "ROLLBACK", 0);
	}
	else if (!block)
		state = LOG_COMMITTED;
	else
	{
		PGresult   *result = query(&w->conn, "COMMIT", 0);

		if (result)
			state = strcmp(PQcmdStatus(result), "COMMIT") == 0 ? LOG_COMMITTED : LOG_ABORTED;
		else
		{
			state = w->conn.lost ? LOG_UNKNOWN : LOG_ABORTED;
			writer_expected(w);
		}
		PQclear(result);
	}
	worked = state == LOG_COMMITTED;
	if (worked && w->async)
	{
		count(T_ASYNC, t->count);
		state = LOG_UNKNOWN;
	}
	transaction_end(t, state);
	return worked;
}

/* An execution to write to: its own or a shared one. */
static int
pick_execution(Writer *w)
{
	return chance(&w->random, 30) ? options.executions + w->number :
		between(&w->random, 0, options.executions - 1);
}

/* ---- kinds of transactions ---- */

/* One statement. */
static void
single(Writer *w, int rows)
{
	int			execution = pick_execution(w);
	bool		worked;

	transaction_begin(w, 0);
	worked = insert_any(w, execution, execution_names[execution], rows);
	transaction_commit(w, false, worked);
}

/* Some statements in the transaction, with savepoints nested in each other. */
static bool
statements_with_savepoints(Writer *w, int steps)
{
	Transaction *t = &w->transaction;
	int			marks[MAX_DEPTH];
	int			depth = 0;
	bool		worked = true;
	char		sql[32];

	for (int i = 0; i < steps && worked; i++)
	{
		int			what = between(&w->random, 0, 99);

		if (what < 30 && depth < MAX_DEPTH)
		{
			marks[depth++] = t->count;
			snprintf(sql, sizeof(sql), "SAVEPOINT p%d", depth);
			worked = command(&w->conn, sql, 0);
		}
		else if (what < 45 && depth > 0)
		{
			int			to = between(&w->random, 1, depth);

			snprintf(sql, sizeof(sql), "ROLLBACK TO p%d", to);
			worked = command(&w->conn, sql, 0);
			if (worked)
				transaction_back_to(t, marks[to - 1]);
			depth = to;
		}
		else if (what < 55 && depth > 0)
		{
			int			to = between(&w->random, 1, depth);

			snprintf(sql, sizeof(sql), "RELEASE p%d", to);
			worked = command(&w->conn, sql, 0);
			depth = to - 1;
		}
		else
		{
			int			execution = pick_execution(w);

			worked = insert_any(w, execution, execution_names[execution], between(&w->random, 1, 4));
		}
	}
	return worked;
}

static void
with_savepoints(Writer *w)
{
	bool		worked;

	count(T_SAVEPOINTS, 1);
	transaction_begin(w, 0);
	worked = command(&w->conn, "BEGIN", 0) && statements_with_savepoints(w, between(&w->random, 3, 20));
	transaction_commit(w, true, worked);
}

/* Writes, and comes to nothing: by ROLLBACK or by an error. */
static void
comes_to_nothing(Writer *w)
{
	bool		worked;

	transaction_begin(w, 0);
	worked = command(&w->conn, "BEGIN", 0) && statements_with_savepoints(w, between(&w->random, 1, 6));
	if (worked && chance(&w->random, 50))
		command(&w->conn, "SELECT 1 / 0", 0);
	else if (!worked)
		writer_expected(w);
	if (!w->conn.lost)
		command(&w->conn, "ROLLBACK", 0);
	transaction_end(&w->transaction, LOG_ABORTED);
}

/* Takes its time, also while others pause. */
static void
takes_long(Writer *w)
{
	bool		worked;

	count(T_LONG, 1);
	transaction_begin(w, 0);
	worked = command(&w->conn, chance(&w->random, 80) ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ", 0);
	for (int i = between(&w->random, 2, 10); i > 0 && worked; i--)
	{
		int			execution = pick_execution(w);

		worked = insert_any(w, execution, execution_names[execution], between(&w->random, 1, 10));
		sleep_ms(between(&w->random, 0, chance(&w->random, 20) ? 3000 : 300));
		wait_for_turn(w);
	}
	if (worked && chance(&w->random, 25))
	{
		command(&w->conn, "ROLLBACK", 0);
		transaction_end(&w->transaction, LOG_ABORTED);
	}
	else
		transaction_commit(w, true, worked);
}

/* Is prepared, for somebody else to end. */
static void
is_prepared(Writer *w)
{
	Transaction *t = &w->transaction;
	int			stream;
	char		gid[48];
	char		sql[96];
	bool		worked;

	if (prepared_full())
		return;
	stream = new_stream(w->number);
	snprintf(gid, sizeof(gid), "torture-%d-%d", w->number, stream);
	snprintf(sql, sizeof(sql), "PREPARE TRANSACTION '%s'", gid);
	transaction_begin(w, stream);
	worked = command(&w->conn, "BEGIN", 0) && statements_with_savepoints(w, between(&w->random, 1, 8));
	if (!worked)
	{
		transaction_commit(w, true, false);
		return;
	}
	worked = command(&w->conn, sql, 0);
	if (worked || w->conn.lost)
	{
		count(T_PREPARED, 1);
		prepared_add(t, gid, !worked,
					 now_ms() + between(&w->random, 0, chance(&w->random, 20) ? 30000 : 1000));
	}
	else
	{
		writer_expected(w);
		transaction_end(t, LOG_ABORTED);
	}
}

/* Changes an execution's status, and tells so. */
static void
changes_status(Writer *w)
{
	static const char *const states[] = {"RUNNING", "PAUSED", "WAITING_FOR_HUMAN"};
	int			execution = pick_execution(w);
	bool		worked;

	count(T_STATUS, 1);
	transaction_begin(w, 0);
	worked = command(&w->conn, "BEGIN", 0) &&
		insert_any(w, execution, execution_names[execution], 1) &&
		command(&w->conn, "SELECT wflog.set_execution_status($1, $2)", 2,
				execution_names[execution], states[between(&w->random, 0, 2)]);
	transaction_commit(w, true, worked);
}

/* An execution from its start to its end. */
static void
short_execution(Writer *w)
{
	static int	counts[MAX_WRITERS];
	char		id[48];
	int			number;
	bool		alive;

	snprintf(id, sizeof(id), "s-%d-%d-%d", w->number, counts[w->number]++, (int) (now_ms() & 0xFFFFFFF));
	if (!command(&w->conn, "SELECT wflog.start_execution($1, 'torture-short')", 1, id))
	{
		writer_expected(w);
		return;
	}
	count(T_SHORT, 1);
	number = short_new(w->number, id);
	/* a crash may take back that it exists */
	if (w->async)
		short_state(number, SHORT_UNKNOWN);
	alive = true;
	for (int i = between(&w->random, 1, 12); i > 0 && alive; i--)
	{
		int			logs;
		bool		worked;
		bool		last = i == 1;

		transaction_begin(w, 0);
		worked = command(&w->conn, "BEGIN", 0) &&
			insert_any(w, NO_EXECUTION, id, between(&w->random, 1, 5));
		if (last && worked)
			worked = command(&w->conn, "SELECT wflog.set_execution_status($1, $2)", 2, id,
							 chance(&w->random, 80) ? "SUCCESS" : "FAILED");
		logs = w->transaction.count;
		alive = transaction_commit(w, true, worked);
		if (alive)
			short_logs(number, logs);
		short_state(number, alive && !w->async ? (last ? SHORT_ENDED : SHORT_OPEN) : SHORT_UNKNOWN);
		sleep_ms(between(&w->random, 0, 60));
	}
}

/* ---- the thread ---- */

static void
next_transaction(Writer *w)
{
	int			what = between(&w->random, 0, 99);

	if (what < 45)
		single(w, 1);
	else if (what < 55)
		single(w, 100);
	else if (what < 57)
		single(w, between(&w->random, 200, chance(&w->random, 20) ? 3000 : 400));
	else if (what < 70)
		with_savepoints(w);
	else if (what < 76)
		comes_to_nothing(w);
	else if (what < 79)
		takes_long(w);
	else if (what < 85)
		is_prepared(w);
	else if (what < 90)
		changes_status(w);
	else if (what < 93)
		short_execution(w);
	else
		prepared_resolve(&w->conn, &w->random, false);
}

void *
writer_main(void *arg)
{
	int			number = (int) (intptr_t) arg;
	Writer		w = {.number = number, .random = random_for("writer", number)};

	w.conn.until = PHASE_DRAIN;
	snprintf(w.conn.name, sizeof(w.conn.name), "torture writer %d", number);
	while (phase < PHASE_DRAIN)
	{
		wait_for_turn(&w);
		if (!w.conn.pg)
		{
			quiet[number] = true;	/* it has nothing under way */
			if (!conn_open(&w.conn))
				break;
			continue;
		}
		w.async = chance(&w.random, 15);
		if (command(&w.conn, w.async ? "SET synchronous_commit = off" : "SET synchronous_commit = on", 0))
			next_transaction(&w);
		if (w.conn.lost)
		{
			count(T_WRITER_LOST, 1);
			w.conn.lost = false;
		}
		sleep_ms(between(&w.random, 0, options.think_ms));
	}
	conn_close(&w.conn);
	quiet[number] = true;
	return NULL;
}
