/*
 * What the command costs those who read with it.
 *
 *	command read COMMAND [ARGUMENT...]
 *
 * runs a command and reads what it writes to a pipe.  Prints one line: seconds,
 * lines, peak memory in kB, seconds of CPU.
 *
 *	command follow CONNINFO EXECUTION RATE SECONDS COMMAND [ARGUMENT...]
 *
 * tells how long it takes from a commit until the log stands on the terminal of
 * somebody who runs "wflog logs --follow".  The command runs in a pseudo-terminal.  Logs are written at a steady rate, a
 * transaction each, round-robin over a few connections; the clock of each log
 * starts when its commit has returned and stops when its line has been read from the
 * terminal.  Prints one line: logs written, logs that came, p50, p99, greatest latency in
 * milliseconds, and how many a second were really written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define WRITERS 4
#define MARK "log-"				/* in front of a log's number */
#define SETTLE_SECONDS 2		/* before the first log, and after the last */

typedef struct Writer
{
	PGconn	   *pg;
	int			log;			/* being written; -1: none */
} Writer;

static double *committed;		/* seconds; 0: not yet */
static double *arrived;
static int	total;

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void __attribute__((noreturn))
die(const char *what, const char *why)
{
	fprintf(stderr, "command: %s: %s\n", what, why);
	exit(1);
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Note the logs in what the terminal shows; a number may come in two pieces. */
static void
take_output(int terminal)
{
	static char text[1 << 16];
	static size_t len = 0;
	ssize_t		got = read(terminal, text + len, sizeof(text) - len - 1);
	double		time = now();
	char	   *at = text;
	char	   *feed;

	if (got <= 0)
		return;
	len += got;
	text[len] = '\0';
	while ((feed = strchr(at, '\n')) != NULL)
	{
		char	   *mark;

		*feed = '\0';
		mark = strstr(at, MARK);
		if (mark)
		{
			int			log = atoi(mark + strlen(MARK));

			if (log >= 0 && log < total && arrived[log] == 0)
				arrived[log] = time;
		}
		at = feed + 1;
	}
	len -= at - text;
	memmove(text, at, len);
}

/* Take the result of a commit. */
static void
take_commit(Writer *writer)
{
	PGresult   *result;

	if (!PQconsumeInput(writer->pg))
		die("write", PQerrorMessage(writer->pg));
	if (PQisBusy(writer->pg))
		return;
	while ((result = PQgetResult(writer->pg)) != NULL)
	{
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			die("write", PQresultErrorMessage(result));
		PQclear(result);
	}
	committed[writer->log] = now();
	writer->log = -1;
}

/* Run a command and read what it writes. */
static int
measure_read(char **command)
{
	static char block[1 << 18];
	struct rusage used;
	double		begin = now();
	double		took;
	long		lines = 0;
	int			ends[2];
	int			status;
	ssize_t		got;
	pid_t		child;

	if (pipe(ends) != 0)
		die("pipe", strerror(errno));
	child = fork();
	if (child < 0)
		die("fork", strerror(errno));
	if (child == 0)
	{
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(command[0], command);
		_exit(127);
	}
	close(ends[1]);
	while ((got = read(ends[0], block, sizeof(block))) > 0)
		for (char *at = block; (at = memchr(at, '\n', block + got - at)) != NULL; at++)
			lines++;
	if (wait4(child, &status, 0, &used) != child || status != 0)
		die(command[0], "failed");
	took = now() - begin;
	printf("%.3f %ld %ld %.3f\n", took, lines, used.ru_maxrss,
		   used.ru_utime.tv_sec + used.ru_stime.tv_sec +
		   (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	return 0;
}

/* Write logs at a rate and see when they come; argv is as above from "follow" on. */
static int
measure_follow(int argc, char **argv)
{
	struct winsize size = {.ws_row = 24,.ws_col = 120};
	Writer		writers[WRITERS];
	double		rate;
	double		begin;
	double		end = 0;
	double		last = 0;
	int			written = 0;
	int			came = 0;
	int			terminal;
	pid_t		child;
	double	   *latency;

	if (argc < 6)
		die("usage", "command follow CONNINFO EXECUTION RATE SECONDS COMMAND [ARGUMENT...]");
	rate = atof(argv[3]);
	total = rate * atof(argv[4]);
	committed = calloc(total, sizeof(double));
	arrived = calloc(total, sizeof(double));
	latency = calloc(total, sizeof(double));

	child = forkpty(&terminal, NULL, NULL, &size);
	if (child < 0)
		die("forkpty", strerror(errno));
	if (child == 0)
	{
		execvp(argv[5], argv + 5);
		_exit(127);
	}
	for (int i = 0; i < WRITERS; i++)
	{
		writers[i].pg = PQconnectdb(argv[1]);
		writers[i].log = -1;
		if (PQstatus(writers[i].pg) != CONNECTION_OK)
			die("connect", PQerrorMessage(writers[i].pg));
		PQclear(PQprepare(writers[i].pg, "log",
						  "INSERT INTO wflog.workflow_execution_logs (execution_id, message, node_id)"
						  " VALUES ($1, $2, 'bench')", 2, NULL));
	}

	begin = now() + SETTLE_SECONDS;
	while (end == 0 || now() < end)
	{
		struct pollfd polled[WRITERS + 1];
		double		due = begin + written / rate;

		if (written < total && now() >= due)
			for (int i = 0; i < WRITERS; i++)
				if (writers[i].log < 0)
				{
					char		message[32];
					const char *values[2] = {argv[2], message};

					snprintf(message, sizeof(message), MARK "%d", written);
					if (!PQsendQueryPrepared(writers[i].pg, "log", 2, values, NULL, NULL, 0))
						die("write", PQerrorMessage(writers[i].pg));
					writers[i].log = written++;
					break;
				}
		if (written == total && end == 0)
		{
			last = now();
			end = last + SETTLE_SECONDS;
		}

		for (int i = 0; i < WRITERS; i++)
			polled[i] = (struct pollfd) {.fd = PQsocket(writers[i].pg),.events = POLLIN};
		polled[WRITERS] = (struct pollfd) {.fd = terminal,.events = POLLIN};
		{
			double		left = (written < total ? begin + written / rate : end) - now();
			struct timespec wait = {.tv_nsec = left <= 0 ? 0 : left > 0.01 ? 10000000 : (long) (left * 1e9)};

			/* all writers at work: only their answers can change anything */
			if (left <= 0 && written < total)
				wait.tv_nsec = 200000;
			ppoll(polled, WRITERS + 1, &wait, NULL);
		}
		if (polled[WRITERS].revents)
			take_output(terminal);
		for (int i = 0; i < WRITERS; i++)
			if (writers[i].log >= 0 && polled[i].revents)
				take_commit(&writers[i]);
	}
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);

	for (int i = 0; i < total; i++)
		if (arrived[i] > 0 && committed[i] > 0)
		{
			/* what is visible before the commit has returned has waited for nothing */
			double		took = arrived[i] - committed[i];

			latency[came++] = took > 0 ? took : 0;
		}
	qsort(latency, came, sizeof(double), compare);
	printf("%d %d %.3f %.3f %.3f %.0f\n", total, came, came ? latency[came / 2] * 1e3 : 0,
		   came ? latency[(int) (came * 0.99)] * 1e3 : 0, came ? latency[came - 1] * 1e3 : 0,
		   total / (last - begin));
	return came == total ? 0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "read") == 0)
		return measure_read(argv + 2);
	if (argc > 1 && strcmp(argv[1], "follow") == 0)
		return measure_follow(argc - 1, argv + 1);
	die("usage", "command read COMMAND..., or command follow CONNINFO EXECUTION RATE SECONDS COMMAND...");
}
