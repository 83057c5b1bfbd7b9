/*-------------------------------------------------------------------------
 *
 * main.c
 *	  Clients of wflog serve for its bench: many streams, requests, and the log
 *	  API design's poll loop to compare with.
 *
 * usage: gateway streams PORT TOKEN CONNINFO STATEMENT PREFIX SECONDS WRITERS GROUP...
 *			opens streams of the executions PREFIX-0, PREFIX-1, ..., prints how
 *			long that took, then "ready", and waits: "go" on stdin has WRITERS
 *			sessions write by STATEMENT ($1 the execution, $2 the message) for so
 *			long, and prints what came when; the end of stdin is the end.
 *			GROUP: EXECUTIONS:STREAMS:RATE[:BYTES[:DEAF]], of each execution
 *			streams, logs a second, bytes of a message, streams that never read
 *		  gateway requests PORT TOKEN CONNECTIONS SECONDS PATH...
 *			asks for the paths in turn, on each connection as fast as it is answered
 *		  gateway page PORT TOKEN CONNINFO REPETITIONS CALLS SQL SETTINGS PATH ID...
 *			what a page costs: by the statement SQL ($1 the execution), by it
 *			behind the statement SETTINGS in one pipeline, by HTTP (PATH has %s
 *			for the execution), and /health; in turn, on one connection each
 *		  gateway poll READER WRITER STATEMENT PREFIX SECONDS WRITERS INTERVAL_MS CONNECTIONS
 *				STREAMS RATE PAGE COUNT STATUS
 *			the design's stream: PAGE, COUNT and STATUS ($1 the execution) for
 *			each stream, again after INTERVAL_MS, by CONNECTIONS sessions
 *
 * What is measured is printed as lines "NAME VALUE..."; of times, in
 * microseconds, the values are number, p50, p95, p99, greatest.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void
fail(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	fputs("gateway: ", stderr);
	vfprintf(stderr, fmt, args);
	fputs("\n", stderr);
	va_end(args);
	exit(1);
}

int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
sleep_until(int64_t when)
{
	int64_t		left = when - now_us();

	if (left > 0)
		usleep(left);
}

/* Zeroed memory, or the end. */
void *
allocate(size_t count, size_t size)
{
	void	   *block = calloc(count ? count : 1, size);

	if (block == NULL)
		fail("out of memory");
	return block;
}

void
samples_add(Samples *samples, int64_t value)
{
	if (samples->count == samples->room)
	{
		samples->room = samples->room ? samples->room * 2 : 1024;
		samples->values = realloc(samples->values, samples->room * sizeof(int64_t));
		if (samples->values == NULL)
			fail("out of memory");
	}
	samples->values[samples->count++] = value;
}

static int
compare(const void *a, const void *b)
{
	int64_t		left = *(const int64_t *) a;
	int64_t		right = *(const int64_t *) b;

	return left < right ? -1 : left > right;
}

/* The value that so many hundredths are not greater than; -1 if there is none. */
static int64_t
percentile(const Samples *sorted, int hundredths)
{
	size_t		at = sorted->count * hundredths / 100;

	if (sorted->count == 0)
		return -1;
	return sorted->values[at < sorted->count ? at : sorted->count - 1];
}

int64_t
samples_median(Samples *samples)
{
	qsort(samples->values, samples->count, sizeof(int64_t), compare);
	return percentile(samples, 50);
}

void
samples_print(const char *name, Samples *samples)
{
	qsort(samples->values, samples->count, sizeof(int64_t), compare);
	printf("%s %zu %lld %lld %lld %lld\n", name, samples->count,
		   (long long) percentile(samples, 50), (long long) percentile(samples, 95),
		   (long long) percentile(samples, 99), (long long) percentile(samples, 100));
}

int
main(int argc, char **argv)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &files);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 15 && strcmp(argv[1], "poll") == 0)
		return run_poll(argc - 2, argv + 2);
	if (argc > 4)
	{
		Gateway		gateway = {atoi(argv[2]), argv[3]};

		if (strcmp(argv[1], "streams") == 0 && argc >= 10)
			return run_streams(&gateway, argc - 4, argv + 4);
		if (strcmp(argv[1], "requests") == 0 && argc >= 7)
			return run_requests(&gateway, argc - 4, argv + 4);
		if (strcmp(argv[1], "page") == 0 && argc >= 11)
			return run_page(&gateway, argc - 4, argv + 4);
	}
	fail("the head of main.c says how to use this");
}
