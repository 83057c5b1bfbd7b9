/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Brings spools to the database, without ever waiting for it.
 *
 * The owner's event loop asks what to wait for (sender_poll, sender_due),
 * calls sender_advance() when it has come, and offers work whenever the
 * sender is idle.  One piece of work is under way at a time; it is done when
 * the server has answered, and sent again after a lost connection.
 *
 * What the server refuses for what it says would be refused for ever: such a
 * line is taken out of its batch and kept in a file beside the spool, and
 * the rest is sent again.
 *
 *-------------------------------------------------------------------------
 */
#include "sender.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BYTEA_OID 17
#define INT8_OID 20
#define TEXT_OID 25

#define FIRST_PAUSE INT64_C(100000) /* microseconds between tries to connect */
#define LONGEST_PAUSE INT64_C(5000000)
#define CONNECT_TIME INT64_C(15000000)

/* What a spool's calls may ask for, and their most arguments. */
static const struct
{
	const char *name;
	int			arguments;
	const char *sql;
}			calls[] = {
	{"start_execution", 3,
		"SELECT wflog.start_execution($1::pg_catalog.text, $2::pg_catalog.text,"
	" workflow_name => $3::pg_catalog.text)"},
	{"set_execution_status", 3,
		"SELECT wflog.set_execution_status($1::pg_catalog.text, $2::pg_catalog.text,"
	" $3::pg_catalog.text)"},
};

static const char look_sql[] =
	"SELECT e.extversion FROM pg_catalog.pg_extension AS e"
	" WHERE e.extname OPERATOR(pg_catalog.=) 'wflog'";
static const char append_sql[] = "SELECT wflog.append_lines($1, $2, $3)";

/* Microseconds of a clock that only goes forward. */
int64_t
monotonic_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* Put what is set in one list of options into another. */
static void
merge_options(PQconninfoOption *into, const PQconninfoOption *from)
{
	for (; into->keyword; into++)
		for (const PQconninfoOption *option = from; option->keyword; option++)
			if (option->val && strcmp(option->keyword, into->keyword) == 0)
			{
				PQfreemem(into->val);
				into->val = strdup(option->val);
			}
}

/*
 * The database that the options lead to, in words: what a spool is for.
 * Malformed options are a usage error.
 */
char *
sender_target(const ConnectOptions *options)
{
	const char *const keywords[] = {"host", "port", "dbname"};
	const char *given[] = {options->host, options->port, options->dbname};
	const char *const shown[] = {"service", "host", "hostaddr", "port", "dbname"};
	PQconninfoOption *all = PQconndefaults();
	Buffer		target = {0};

	if (all == NULL)
		usage_error("the settings of the connection cannot be read; see PGSERVICE and PGSERVICEFILE");
	if (options->dbname && (strchr(options->dbname, '=') || strstr(options->dbname, "://")))
	{
		char	   *problem = NULL;
		PQconninfoOption *parsed = PQconninfoParse(options->dbname, &problem);

		if (parsed == NULL)
			usage_error("%s", problem ? problem : "the connection string cannot be read");
		merge_options(all, parsed);
		PQconninfoFree(parsed);
		given[2] = NULL;
	}
	for (PQconninfoOption *option = all; option->keyword; option++)
	{
		const char *value = option->val;

		for (int i = 0; i < lengthof(keywords); i++)
			if (strcmp(option->keyword, keywords[i]) == 0 && given[i])
				value = given[i];
		for (int i = 0; i < lengthof(shown); i++)
			if (strcmp(option->keyword, shown[i]) == 0 && value && value[0])
				buffer_printf(&target, "%s%s=%s", target.len ? " " : "", option->keyword, value);
	}
	PQconninfoFree(all);
	return xstrdup(buffer_text(&target));
}

void
sender_begin(Sender *sender, const ConnectOptions *options, const char *password)
{
	memset(sender, 0, sizeof(Sender));
	sender->connection.options = *options;
	sender->connection.password = password ? xstrdup(password) : NULL;
	sender->state = SENDER_AWAY;
}

/* Close the connection; the work under way is to be sent again. */
static void
disconnect(Sender *sender, const char *problem)
{
	int64_t		pause = FIRST_PAUSE << Min(sender->failures, 6);

	free(sender->problem);
	sender->problem = xstrdup(problem);
	sender->problem[strcspn(sender->problem, "\n")] = '\0';
	connection_close(&sender->connection);
	PQclear(sender->answer);
	sender->answer = NULL;
	if (sender->state == SENDER_BUSY)
		sender->unanswered = true;
	sender->state = SENDER_AWAY;
	if (sender->failures++ == 0)
		sender->away_since = monotonic_time();
	pause = Min(pause, LONGEST_PAUSE);
	/* so that many wrappers do not come back at once */
	sender->retry_at = monotonic_time() + pause / 2 + (int64_t) (drand48() * pause / 2);
	if (!sender->told && !sender->quiet)
	{
		say("the database is away, logs wait in the spool: %s", sender->problem);
		sender->told = true;
	}
}

/* Keep the connection, but wait before the work is sent again. */
static void
pause_work(Sender *sender, const char *problem)
{
	/* the simplest way, and a pooler may lead to a better server */
	disconnect(sender, problem);
	sender->retry_at = Max(sender->retry_at, monotonic_time() + 1000000);
}

/* Begin to connect. */
static void
connect_now(Sender *sender)
{
	sender->connection.pg = connect_begin(&sender->connection, "wflog run");
	sender->state = SENDER_CONNECTING;
	sender->polling = PGRES_POLLING_WRITING;
	sender->give_up_at = monotonic_time() + CONNECT_TIME;
	if (PQstatus(sender->connection.pg) == CONNECTION_BAD)
		disconnect(sender, PQerrorMessage(sender->connection.pg));
}

/* Send the work. */
static void
send_work(Sender *sender)
{
	PGconn	   *pg = sender->connection.pg;
	SpoolWork  *work = &sender->work;
	int			sent;

	if (work->is_call)
	{
		const char *arguments[3] = {NULL, NULL, NULL};
		const char *at = work->bytes.data;
		const char *end = at + work->bytes.len;
		const char *sql = NULL;

		for (int i = 0; i < lengthof(calls); i++)
			if (strcmp(at, calls[i].name) == 0)
				sql = calls[i].sql;
		at += strlen(at) + 1;
		for (int i = 0; i < 3 && at < end; i++)
		{
			if (*at != '\0')
				arguments[i] = at;
			at += strlen(at) + 1;
		}
		if (sql == NULL)
			sql = "SELECT 1";	/* of a newer version; nothing we could do */
		sent = PQsendQueryParams(pg, sql, 3, NULL, arguments, NULL, NULL, 0);
	}
	else
	{
		char		number[32];
		const Oid	types[3] = {BYTEA_OID, TEXT_OID, INT8_OID};
		const char *values[3] = {work->bytes.data, sender->spool->producer_key, number};
		const int	lengths[3] = {(int) work->bytes.len, 0, 0};
		const int	formats[3] = {1, 0, 0};

		snprintf(number, sizeof(number), INT64_FORMAT, work->number);
		sent = PQsendQueryParams(pg, append_sql, 3, types, values, lengths, formats, 0);
	}
	sender->state = SENDER_BUSY;
	sender->unanswered = false;
	if (!sent)
		disconnect(sender, PQerrorMessage(pg));
}

/*
 * Offer a spool's work to an idle sender; at most so many lines, but for the
 * last record.  False if there is none.
 */
bool
sender_offer(Sender *sender, Spool *spool, uint32_t most_lines)
{
	if (sender->state != SENDER_IDLE || sender->unanswered ||
		!spool_take(spool, &sender->work, most_lines))
		return false;
	sender->spool = spool;
	send_work(sender);
	return true;
}

/* ---- answers ---- */

/* Where what the server refuses is kept. */
static void
keep_refused(Sender *sender, const char *line, size_t len, const char *reason)
{
	Buffer		path = {0};
	int			fd;

	sender->lines_refused++;
	sender->lines_sent--;
	if (sender->spool->path)
	{
		buffer_printf(&path, "%s.refused", sender->spool->path);
		fd = open(path.data, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (fd >= 0)
		{
			if (write(fd, line, len) == (ssize_t) len)
				warn("the server refused a log, which is kept in %s: %s", path.data, reason);
			close(fd);
		}
	}
	else
		warn("the server refused a log: %s", reason);
	buffer_free(&path);
}

/* Take the line of that number, from 1, out of the batch; false if there is none. */
static bool
take_out_line(Sender *sender, long number, const char *reason)
{
	Buffer	   *bytes = &sender->work.bytes;
	char	   *line = bytes->data;
	char	   *end = bytes->data + bytes->len;
	char	   *next;

	while (--number > 0 && line < end)
		line = (char *) memchr(line, '\n', end - line) + 1;
	if (line >= end || number < 0)
		return false;
	next = (char *) memchr(line, '\n', end - line) + 1;
	keep_refused(sender, line, next - line, reason);
	memmove(line, next, end - next);
	bytes->len -= next - line;
	return true;
}

/* The database has answered that it has done it. */
static void
work_is_done(Sender *sender)
{
	Spool	   *spool = sender->spool;

	if (!sender->work.is_call)
		sender->lines_sent += sender->work.lines;
	sender->spool = NULL;
	sender->state = SENDER_IDLE;
	sender->failures = 0;
	if (sender->told && !sender->quiet)
		say("the database is back");
	sender->told = false;
	free(sender->problem);
	sender->problem = NULL;
	spool_done(spool, &sender->work);
}

/* The work has failed: what now? */
static void
work_has_failed(Sender *sender, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	long		line = 0;

	if (PQstatus(sender->connection.pg) != CONNECTION_OK || state == NULL || message == NULL)
	{
		disconnect(sender, PQerrorMessage(sender->connection.pg));
		return;
	}
	if (sender->work.is_call)
	{
		/* a status that cannot be, an execution of another workflow: for ever so */
		if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 ||
			strcmp(state, "WF003") == 0 || strcmp(state, "P0002") == 0)
		{
			warn("%s", message);
			sender->calls_failed++;
			work_is_done(sender);
			return;
		}
	}
	else if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 ||
			 strncmp(state, "54", 2) == 0)
	{
		if (sscanf(message, "line %ld:", &line) != 1 || !take_out_line(sender, line, message))
		{
			/* not for one line: none of them can be kept */
			while (sender->work.bytes.len > 0 && take_out_line(sender, 1, message))
				continue;
		}
		if (sender->work.bytes.len == 0)
			work_is_done(sender);
		else
			send_work(sender);
		return;
	}
	pause_work(sender, message);
}

/* The server has answered. */
static void
settle(Sender *sender, const PGresult *result)
{
	if (sender->state == SENDER_BUSY)
	{
		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			work_is_done(sender);
		else
			work_has_failed(sender, result);
	}
	else if (PQresultStatus(result) != PGRES_TUPLES_OK)
		disconnect(sender, PQerrorMessage(sender->connection.pg));
	else if (PQntuples(result) == 0)
		pause_work(sender, "the extension wflog is not in that database; there, as a superuser: "
				   "CREATE EXTENSION wflog;");
	else
	{
		sender->state = SENDER_IDLE;
		sender->connected_once = true;
		if (sender->unanswered)
			send_work(sender);
	}
}

/* Take what the server has to say about what was sent last. */
static void
take_answer(Sender *sender)
{
	PGconn	   *pg = sender->connection.pg;
	PGresult   *result;

	if (!take_input(pg) || PQflush(pg) < 0)
	{
		disconnect(sender, PQerrorMessage(pg));
		return;
	}
	while (!PQisBusy(pg))
	{
		result = PQgetResult(pg);
		if (result != NULL)
		{
			PQclear(sender->answer);
			sender->answer = result;
			continue;
		}
		result = sender->answer;
		sender->answer = NULL;
		if (result != NULL)
			settle(sender, result);
		else
			disconnect(sender, "the server did not answer");
		PQclear(result);
		return;
	}
}

/* ---- the event loop's side ---- */

/* What to wait for. */
void
sender_poll(const Sender *sender, struct pollfd *polled)
{
	polled->fd = sender->connection.pg ? PQsocket(sender->connection.pg) : -1;
	polled->events = POLLIN;
	polled->revents = 0;
	if (sender->state == SENDER_CONNECTING)
		polled->events = sender->polling == PGRES_POLLING_WRITING ? POLLOUT : POLLIN;
	else if (sender->connection.pg && PQflush(sender->connection.pg) == 1)
		polled->events = POLLIN | POLLOUT;
}

/* When to call sender_advance() at the latest; INT64_MAX: not before an event. */
int64_t
sender_due(const Sender *sender)
{
	switch (sender->state)
	{
		case SENDER_AWAY:
			return sender->retry_at;
		case SENDER_CONNECTING:
			return sender->give_up_at;
		default:
			return INT64_MAX;
	}
}

/* Do what can be done without waiting.  True if the sender can take work. */
bool
sender_advance(Sender *sender)
{
	if (sender->state == SENDER_AWAY && monotonic_time() >= sender->retry_at)
		connect_now(sender);
	if (sender->state == SENDER_CONNECTING)
	{
		PGconn	   *pg = sender->connection.pg;
		struct pollfd polled;

		sender_poll(sender, &polled);
		if (poll(&polled, 1, 0) > 0)
			sender->polling = PQconnectPoll(pg);
		if (sender->polling == PGRES_POLLING_FAILED)
			disconnect(sender, PQerrorMessage(pg));
		else if (sender->polling == PGRES_POLLING_OK)
		{
			PQsetnonblocking(pg, 1);
			sender->state = SENDER_LOOKING;
			if (!PQsendQuery(pg, look_sql))
				disconnect(sender, PQerrorMessage(pg));
		}
		else if (monotonic_time() >= sender->give_up_at)
			disconnect(sender, "the server did not answer in time");
	}
	if (sender->state == SENDER_LOOKING || sender->state == SENDER_BUSY)
		take_answer(sender);
	else if (sender->state == SENDER_IDLE)
	{
		/* notices, or the end of the connection */
		if (!take_input(sender->connection.pg))
			disconnect(sender, PQerrorMessage(sender->connection.pg));
	}
	return sender->state == SENDER_IDLE && !sender->unanswered;
}

void
sender_end(Sender *sender)
{
	connection_close(&sender->connection);
	PQclear(sender->answer);
	free(sender->problem);
	buffer_free(&sender->work.bytes);
}
