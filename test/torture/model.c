/*-------------------------------------------------------------------------
 *
 * model.c
 *	  What has been written and what became of it.
 *
 * The outcome of a transaction is what COMMIT said.  Where it said nothing,
 * because the connection died, or where a crash may undo what it said, because
 * synchronous_commit was off, the logs are unknown until settle() has looked
 * for them in the table.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

/* What one writer has written. */
typedef struct Written
{
	pthread_mutex_t lock;
	LogRecord  *logs;
	int			count;
	int			room;
	int			streams;
} Written;

static Written written[MAX_WRITERS];
static _Atomic long committed[MAX_EXECUTIONS];

static pthread_mutex_t short_lock = PTHREAD_MUTEX_INITIALIZER;
static ShortExecution *shorts;
static int	short_count;
static int	short_room;

char		execution_names[MAX_EXECUTIONS][32];
int			execution_count;

/* Shared executions come first, then one for each writer. */
void
model_init(void)
{
	for (int i = 0; i < MAX_WRITERS; i++)
		pthread_mutex_init(&written[i].lock, NULL);
	for (int i = 0; i < options.executions; i++)
		snprintf(execution_names[execution_count++], sizeof(execution_names[0]), "t-shared-%d", i);
	for (int i = 0; i < options.writers; i++)
		snprintf(execution_names[execution_count++], sizeof(execution_names[0]), "t-own-%d", i);
}

/* The next log of a writer. */
int
log_new(int writer, int execution, int stream)
{
	Written    *w = &written[writer];
	int			number;

	pthread_mutex_lock(&w->lock);
	w->logs = grow(w->logs, w->count, &w->room, sizeof(LogRecord));
	number = w->count++;
	w->logs[number] = (LogRecord) {.execution = execution, .stream = stream};
	pthread_mutex_unlock(&w->lock);
	return number;
}

/* Set what became of logs. */
void
log_set(int writer, const int *numbers, int count_, LogState state)
{
	Written    *w = &written[writer];

	pthread_mutex_lock(&w->lock);
	for (int i = 0; i < count_; i++)
	{
		LogRecord  *log = &w->logs[numbers[i]];

		log->state = state;
		if (state == LOG_COMMITTED && log->execution != NO_EXECUTION)
			atomic_fetch_add(&committed[log->execution], 1);
	}
	pthread_mutex_unlock(&w->lock);
	if (state != LOG_OPEN)
		count(state == LOG_COMMITTED ? T_COMMITTED : state == LOG_ABORTED ? T_ABORTED : T_UNKNOWN, count_);
}

/* What is known of a log; of one that has never been, it is aborted. */
LogRecord
log_get(int writer, int number)
{
	Written    *w = &written[writer];
	LogRecord	log = {.execution = NO_EXECUTION, .state = LOG_ABORTED};

	pthread_mutex_lock(&w->lock);
	if (number < w->count)
		log = w->logs[number];
	pthread_mutex_unlock(&w->lock);
	return log;
}

int
log_count(int writer)
{
	int			n;

	pthread_mutex_lock(&written[writer].lock);
	n = written[writer].count;
	pthread_mutex_unlock(&written[writer].lock);
	return n;
}

/* Whoever is given a log is given the same JSON. */
bool
log_digest(int writer, int number, uint32_t digest)
{
	Written    *w = &written[writer];
	bool		same = true;

	if (digest == 0)
		return true;
	pthread_mutex_lock(&w->lock);
	if (number < w->count)
	{
		same = w->logs[number].digest == 0 || w->logs[number].digest == digest;
		w->logs[number].digest = digest;
	}
	pthread_mutex_unlock(&w->lock);
	return same;
}

long
committed_logs(int execution)
{
	return committed[execution];
}

/* Transactions that somebody else commits are not in order with the others. */
int
new_stream(int writer)
{
	int			stream;

	pthread_mutex_lock(&written[writer].lock);
	stream = ++written[writer].streams & 0xFFFF;
	pthread_mutex_unlock(&written[writer].lock);
	return stream;
}

/* The unknown logs of a writer; the array is to be freed. */
static int
unknown_logs(int writer, int **numbers)
{
	Written    *w = &written[writer];
	int			n = 0;
	int			room = 0;

	*numbers = NULL;
	pthread_mutex_lock(&w->lock);
	for (int i = 0; i < w->count; i++)
		if (w->logs[i].state == LOG_UNKNOWN)
		{
			*numbers = grow(*numbers, n, &room, sizeof(int));
			(*numbers)[n++] = i;
		}
	pthread_mutex_unlock(&w->lock);
	return n;
}

static int
by_number(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* Look for a writer's unknown logs in the table. */
static bool
settle_writer(Conn *conn, int writer)
{
	int		   *numbers;
	int			unknown = unknown_logs(writer, &numbers);
	char	   *array = malloc((size_t) unknown * 24 + 3);
	char	   *end = array;
	PGresult   *result;
	int			there = 0;

	if (unknown == 0)
	{
		free(array);
		return true;
	}
	end += sprintf(end, "{");
	for (int i = 0; i < unknown; i++)
		end += sprintf(end, "%s%d:%d", i ? "," : "", writer, numbers[i]);
	sprintf(end, "}");
	result = query(conn,
				   "SELECT pg_catalog.split_part(pg_catalog.split_part(message, ' ', 1), ':', 2) "
				   "FROM wflog.workflow_execution_logs "
				   "WHERE pg_catalog.split_part(message, ' ', 1) = ANY ($1::text[])", 1, array);
	free(array);
	if (result)
	{
		for (int i = 0; i < PQntuples(result); i++)
		{
			int			number = atoi(PQgetvalue(result, i, 0));

			if (bsearch(&number, numbers, unknown, sizeof(int), by_number))
				log_set(writer, &number, 1, LOG_COMMITTED);
			there++;
		}
		for (int i = 0; i < unknown; i++)
			if (log_get(writer, numbers[i]).state == LOG_UNKNOWN)
				log_set(writer, &numbers[i], 1, LOG_ABORTED);
		if (there > unknown)
			violation("writer %d: the table has %d logs of %d", writer, there, unknown);
	}
	PQclear(result);
	free(numbers);
	return result != NULL;
}

/*
 * Settle what is unknown.  A synchronous commit first makes everything durable
 * that can be seen.  Nobody may be writing what is unknown.  Returns false if
 * the connection was lost.
 */
bool
settle(Conn *conn)
{
	if (!prepared_settle(conn) ||
		!command(conn, "INSERT INTO torture.flush VALUES (1)", 0))
		return false;
	for (int i = 0; i < options.writers; i++)
		if (!settle_writer(conn, i))
			return false;
	return true;
}

/* The table must hold what is committed, once, and nothing else. */
void
compare_with_table(Conn *conn)
{
	PGresult   *result = query(conn,
							   "COPY (SELECT pg_catalog.split_part(message, ' ', 1), execution_id "
							   "FROM wflog.workflow_execution_logs WHERE message ~ '^[0-9]+:[0-9]+') TO STDOUT", 0);
	char	   *line;
	long		rows = 0;
	long		wanted = 0;
	int			len;

	if (!result)
	{
		violation("the table cannot be read: %s", conn->message);
		return;
	}
	PQclear(result);
	while ((len = PQgetCopyData(conn->pg, &line, 0)) > 0)
	{
		int			writer,
					number;
		char		id[64];
		LogRecord	log;

		if (sscanf(line, "%d:%d\t%63s", &writer, &number, id) != 3)
			violation("the table has \"%s\"", line);
		else
		{
			log = log_get(writer, number);
			if (log.state != LOG_COMMITTED)
				violation("the table has log %d:%d of %s, which was not committed (%d)",
						  writer, number, id, log.state);
			else if (log.execution != NO_EXECUTION && strcmp(id, execution_names[log.execution]) != 0)
				violation("log %d:%d is in %s", writer, number, id);
		}
		rows++;
		PQfreemem(line);
	}
	PQclear(PQgetResult(conn->pg));
	for (int i = 0; i < options.writers; i++)
		for (int n = 0; n < written[i].count; n++)
		{
			wanted += written[i].logs[n].state == LOG_COMMITTED;
			if (written[i].logs[n].state == LOG_OPEN)
				violation("log %d:%d is still open", i, n);
		}
	if (rows != wanted)
		violation("the table has %ld logs, and %ld have been committed", rows, wanted);
}

/* ---- executions that begin and end meanwhile ---- */

int
short_new(int writer, const char *id)
{
	int			number;

	pthread_mutex_lock(&short_lock);
	shorts = grow(shorts, short_count, &short_room, sizeof(ShortExecution));
	number = short_count++;
	memset(&shorts[number], 0, sizeof(ShortExecution));
	snprintf(shorts[number].id, sizeof(shorts[number].id), "%s", id);
	shorts[number].writer = writer;
	pthread_mutex_unlock(&short_lock);
	return number;
}

/* More of its logs have been committed. */
void
short_logs(int number, int logs)
{
	pthread_mutex_lock(&short_lock);
	shorts[number].logs += logs;
	pthread_mutex_unlock(&short_lock);
}

void
short_state(int number, int state)
{
	pthread_mutex_lock(&short_lock);
	shorts[number].state = state;
	pthread_mutex_unlock(&short_lock);
}

ShortExecution
short_get(int number)
{
	ShortExecution copy;

	pthread_mutex_lock(&short_lock);
	copy = shorts[number];
	pthread_mutex_unlock(&short_lock);
	return copy;
}

/* The one begun last, if it is still open. */
int
short_latest(void)
{
	int			number;

	pthread_mutex_lock(&short_lock);
	number = short_count - 1;
	if (number >= 0 && shorts[number].state != SHORT_OPEN)
		number = -1;
	pthread_mutex_unlock(&short_lock);
	return number;
}
