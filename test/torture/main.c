/*-------------------------------------------------------------------------
 *
 * main.c
 *	  Options, threads, and what the driver asks for on standard input:
 *
 *	  barrier	everybody pauses until every subscriber has everything
 *	  finish	the same for good; then everything is compared
 *
 * Each is answered on standard output by a line that begins with the same
 * word and goes on with "ok" or "failed".  What is wrong goes to standard
 * error, as lines that begin with "VIOLATION".
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

#define FOLLOWERS 2
#define MAX_SHOWN 60			/* violations */

Options		options = {.seed = 1,.writers = 8,.subscribers = 8,.executions = 4,.think_ms = 20,
	.patience_s = 20,.sabotage_kind = 'l'};
_Atomic Phase phase = PHASE_RUN;
_Atomic long totals[TOTALS];

const char *const total_names[TOTALS] = {
	"transactions", "logs committed", "logs rolled back", "logs of unknown outcome",
	"logs committed asynchronously", "prepared", "copies", "long", "with savepoints",
	"status changes", "short executions", "connections lost by writers", "deliveries",
	"by notification", "by tail", "references", "notifications dropped as covered",
	"unknown prev", "calls of tail", "connections lost by subscribers", "dropped by them",
	"begun anew", "ends followed", "of them found by asking", "status events", "moves of channels", "barriers", "violations"
};

static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;

void
count(Total what, long n)
{
	atomic_fetch_add(&totals[what], n);
}

/*
 * The clock: milliseconds since the start, without those in which the machine
 * had no time for us.  The server had none either then, and patience with it
 * must not run out.
 */
static _Atomic int64_t clock_ms;

#define TICK_MS 10
#define LONGEST_TICK_MS 50

int64_t
now_ms(void)
{
	return clock_ms;
}

/* The clock's thread. */
static void *
tick(void *arg)
{
	int64_t		last = 0;

	for (;; usleep(TICK_MS * 1000))
	{
		struct timespec t;
		int64_t		now;

		clock_gettime(CLOCK_MONOTONIC, &t);
		now = (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
		if (last != 0)
			clock_ms += now - last < LONGEST_TICK_MS ? now - last : LONGEST_TICK_MS;
		last = now;
	}
	return arg;
}

void
sleep_ms(int ms)
{
	usleep(ms * 1000);
}

/* Make room for one more at the end of an array. */
void *
grow(void *array, int used, int *room, size_t size)
{
	if (used < *room)
		return array;
	*room = *room ? *room * 2 : 16;
	array = realloc(array, *room * size);
	if (!array)
	{
		perror("torture");
		abort();
	}
	return array;
}

static void
print(const char *what, const char *format, va_list args)
{
	static int	shown;

	pthread_mutex_lock(&print_lock);
	if (shown++ < MAX_SHOWN * 10)
	{
		fprintf(stderr, "%s ", what);
		vfprintf(stderr, format, args);
		fputc('\n', stderr);
	}
	pthread_mutex_unlock(&print_lock);
}

/* Something is not as promised. */
void
violation(const char *format, ...)
{
	va_list		args;

	count(T_VIOLATIONS, 1);
	va_start(args, format);
	if (totals[T_VIOLATIONS] <= MAX_SHOWN)
		print("VIOLATION", format, args);
	va_end(args);
}

void
note(const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	if (totals[T_VIOLATIONS] <= MAX_SHOWN)
		print("  ", format, args);
	va_end(args);
}

/* ---- random numbers: splitmix64 ---- */

static uint64_t
next(Random *r)
{
	uint64_t	z = (r->state += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

Random
random_for(const char *who, int number)
{
	Random		r = {options.seed};

	for (const char *p = who; *p; p++)
		r.state = next(&r) ^ (unsigned char) *p;
	r.state ^= (uint64_t) number << 32;
	next(&r);
	return r;
}

int
between(Random *r, int from, int to)
{
	return from + (int) (next(r) % (uint64_t) (to - from + 1));
}

bool
chance(Random *r, int percent)
{
	return between(r, 0, 99) < percent;
}

/* ---- barriers ---- */

/* Wait until something is so, at most for a time. */
static bool
wait_for(bool (*is_so) (void), int seconds)
{
	int64_t		deadline = now_ms() + seconds * 1000L;

	while (!is_so())
	{
		if (now_ms() > deadline)
			return false;
		sleep_ms(20);
	}
	return true;
}

/* Wait until all subscribers are connected, as long as they get on with it. */
static bool
wait_for_subscribers(void)
{
	long		progress;

	do
	{
		progress = subscribers_progress();
		if (wait_for(subscribers_are_connected, options.patience_s))
			return true;
	} while (subscribers_progress() != progress);
	return false;
}

static bool
all_is_delivered(void)
{
	return subscribers_are_complete(false);
}

/* Settle what is unknown, whatever becomes of the connection meanwhile. */
static bool
settle_now(Conn *conn, bool end_prepared)
{
	Random		r = random_for("settle", totals[T_BARRIERS]);
	int64_t		deadline = now_ms() + options.patience_s * 1000L;

	while (now_ms() < deadline)
	{
		if (!conn->pg && !conn_open_until(conn, deadline))
			break;
		if (end_prepared)
		{
			if (!prepared_settle(conn))
				continue;
			prepared_resolve(conn, &r, true);
			if (prepared_count() > 0)
				continue;
		}
		if (settle(conn))
			return true;
		if (!conn->lost)
		{
			violation("what became of logs cannot be found out: %s", conn->message);
			return false;
		}
	}
	violation("the server cannot be asked what became of logs");
	return false;
}

/* Show what sessions are doing, when they do not do what they should. */
static void
show_activity(Conn *conn)
{
	PGresult   *result;

	if (!conn->pg)
		conn_open_until(conn, now_ms() + 10000);
	result = query(conn,
				   "SELECT application_name, state, coalesce(wait_event, ''), "
				   "pg_catalog.date_trunc('ms', pg_catalog.clock_timestamp() - query_start), "
				   "pg_catalog.left(query, 60) FROM pg_catalog.pg_stat_activity "
				   "WHERE application_name ~ '^(torture|wflog) ' ORDER BY 1", 0);

	for (int i = 0; result && i < PQntuples(result); i++)
		note("%s: %s %s for %s: %s", PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
			 PQgetvalue(result, i, 2), PQgetvalue(result, i, 3), PQgetvalue(result, i, 4));
	PQclear(result);
}

/* Everybody who is listening has what is committed, without connecting again. */
static bool
complete(Conn *conn, const char *when)
{
	long		before = totals[T_VIOLATIONS];

	if (!wait_for(all_is_delivered, options.patience_s))
	{
		show_activity(conn);
		subscribers_are_complete(true);
		if (totals[T_VIOLATIONS] == before)
			violation("%s: subscribers were late", when);
	}
	return totals[T_VIOLATIONS] == 0;
}

static bool
barrier(Conn *conn)
{
	bool		good;

	count(T_BARRIERS, 1);
	phase = PHASE_CALM;
	if (!wait_for_subscribers())
	{
		violation("subscribers are not connected after %d s", options.patience_s);
		show_activity(conn);
	}
	sleep_ms(300);				/* of writing, so that the end is told by notifications */
	phase = PHASE_PAUSE;
	if (!wait_for(writers_are_quiet, options.patience_s))
	{
		violation("writers have not paused after %d s", options.patience_s);
		show_activity(conn);
	}
	good = settle_now(conn, false) && complete(conn, "barrier");
	phase = PHASE_RUN;
	return good;
}

/* ---- the program ---- */

static void
print_totals(void)
{
	for (int i = 0; i < TOTALS; i++)
		printf("total %s: %ld\n", total_names[i], totals[i]);
}

static void
parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{"conninfo", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},
		{"writers", required_argument, NULL, 'w'}, {"subscribers", required_argument, NULL, 'u'},
		{"executions", required_argument, NULL, 'e'}, {"think", required_argument, NULL, 't'},
		{"patience", required_argument, NULL, 'p'}, {"channels", no_argument, NULL, 'n'},
		{"gateway", required_argument, NULL, 'g'}, {"sabotage", required_argument, NULL, 'x'},
		{NULL, 0, NULL, 0}
	};
	int			option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (option)
		{
			case 'c': options.conninfo = optarg; break;
			case 's': options.seed = strtoull(optarg, NULL, 10); break;
			case 'w': options.writers = atoi(optarg); break;
			case 'u': options.subscribers = atoi(optarg); break;
			case 'e': options.executions = atoi(optarg); break;
			case 't': options.think_ms = atoi(optarg); break;
			case 'p': options.patience_s = atoi(optarg); break;
			case 'n': options.channels = true; break;
			case 'g': options.gateway_user = optarg; break;
			case 'x':	/* KIND:EVERY, with KIND one of l, t, s */
				options.sabotage_kind = optarg[0];
				options.sabotage = atoi(optarg + 2);
				break;
			default: exit(2);
		}
	if (!options.conninfo || options.writers < 1 || options.writers > MAX_WRITERS ||
		options.subscribers < 1 || options.subscribers > MAX_SUBSCRIBERS ||
		options.executions < 1 || options.executions + options.writers > MAX_EXECUTIONS)
	{
		fprintf(stderr, "torture: bad options\n");
		exit(2);
	}
}

static bool
prepare_database(Conn *conn)
{
	if (!conn_open_until(conn, now_ms() + options.patience_s * 1000L) ||
		!command(conn, "CREATE SCHEMA torture", 0) ||
		!command(conn, "CREATE TABLE torture.flush (n int)", 0))
		return false;
	for (int i = 0; i < execution_count; i++)
		if (!command(conn, "SELECT wflog.start_execution($1, 'torture-' || $2, user_id => 'somebody')", 2,
					 execution_names[i], i % 2 ? "a" : "b"))
			return false;
	return true;
}

static void
start(pthread_t *thread, void *(*routine) (void *), int number)
{
	if (pthread_create(thread, NULL, routine, (void *) (intptr_t) number) != 0)
	{
		perror("torture");
		exit(1);
	}
}

/* Writers leave, then all is delivered, then subscribers leave. */
static bool
finish(Conn *conn, pthread_t *writers, pthread_t *subscribers, pthread_t *followers)
{
	phase = PHASE_CALM;
	wait_for_subscribers();
	sleep_ms(300);
	phase = PHASE_DRAIN;
	for (int i = 0; i < options.writers; i++)
		pthread_join(writers[i], NULL);
	if (settle_now(conn, true))
		complete(conn, "the end");
	phase = PHASE_END;
	for (int i = 0; i < options.subscribers; i++)
		pthread_join(subscribers[i], NULL);
	for (int i = 0; i < FOLLOWERS && options.channels; i++)
		pthread_join(followers[i], NULL);
	compare_with_table(conn);
	subscribers_check();
	return totals[T_VIOLATIONS] == 0;
}

int
main(int argc, char **argv)
{
	pthread_t	writers[MAX_WRITERS];
	pthread_t	subscribers[MAX_SUBSCRIBERS];
	pthread_t	followers[FOLLOWERS];
	pthread_t	clock;
	Conn		conn = {.name = "torture"};
	char		line[64];

	parse_options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	start(&clock, tick, 0);
	model_init();
	if (!prepare_database(&conn))
	{
		fprintf(stderr, "torture: %s\n", conn.message);
		return 1;
	}
	for (int i = 0; i < options.subscribers; i++)
		start(&subscribers[i], subscriber_main, i);
	for (int i = 0; i < FOLLOWERS && options.channels; i++)
		start(&followers[i], follower_main, i);
	for (int i = 0; i < options.writers; i++)
		start(&writers[i], writer_main, i);

	while (fgets(line, sizeof(line), stdin))
	{
		if (strcmp(line, "barrier\n") == 0)
			printf("barrier %s\n", barrier(&conn) ? "ok" : "failed");
		else if (strcmp(line, "finish\n") == 0)
		{
			bool		good = finish(&conn, writers, subscribers, followers);

			print_totals();
			printf("finish %s\n", good ? "ok" : "failed");
			return good ? 0 : 1;
		}
	}
	return 1;					/* the driver has gone */
}
