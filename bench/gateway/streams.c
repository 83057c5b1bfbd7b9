/*-------------------------------------------------------------------------
 *
 * streams.c
 *	  Many streams of the gateway, and how soon they get what is written.
 *
 * Each stream must get each log of its execution once: it counts them and adds
 * up their numbers (scrambled, so that no two errors make up for each other).
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_OPENING 64			/* connections under way */
#define MAX_READY 512
#define SILENCE_US 5000000		/* nothing has come for so long: nothing will */

typedef enum StreamState
{
	STREAM_NONE,
	STREAM_CONNECTING,
	STREAM_HEAD,				/* the request has been sent */
	STREAM_EVENTS,
	STREAM_ENDED
} StreamState;

typedef struct Stream
{
	StreamState state;
	int			fd;
	int			execution;
	bool		deaf;
	int64_t		begun;
	char		head[16];		/* the beginning of the answer */
	int			head_len;
	/* in an event: has its number been read, is it being read, was the last byte a line feed? */
	bool		has_number;
	bool		in_number;
	bool		after_newline;
	int			number;
	int			received;
	uint64_t	sum;
} Stream;

static const Gateway *gateway;
static const char *prefix;
static Stream *streams;
static int	stream_count;
static int	opened = 0;
static int	answered = 0;
static int	ended = 0;
static int	poller;
static Samples connects;
static Samples latencies;
static Logs *logs;
static long received = 0;
static int64_t last_received;

static uint64_t
scrambled(int number)
{
	uint64_t	x = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);

	return (x ^ (x >> 29)) * UINT64_C(0xBF58476D1CE4E5B9);
}

static void
watch(Stream *stream, uint32_t events)
{
	struct epoll_event event = {.events = events,.data.ptr = stream};

	if (epoll_ctl(poller, EPOLL_CTL_MOD, stream->fd, &event) != 0)
		fail("epoll: %s", strerror(errno));
}

/* Begin to open as many as may be under way. */
static void
open_more(void)
{
	while (opened < stream_count && opened - answered < MAX_OPENING)
	{
		Stream	   *stream = &streams[opened];
		struct epoll_event event = {.events = EPOLLOUT,.data.ptr = stream};

		stream->begun = now_us();
		stream->fd = http_connect(gateway, opened);
		stream->state = STREAM_CONNECTING;
		if (epoll_ctl(poller, EPOLL_CTL_ADD, stream->fd, &event) != 0)
			fail("epoll: %s", strerror(errno));
		opened++;
	}
}

static void
send_request(Stream *stream)
{
	char		path[400];
	char	   *request;
	size_t		len;

	snprintf(path, sizeof(path), "/api/v1/app/executions/%s-%d/logs/stream", prefix, stream->execution);
	len = http_request(gateway, path, &request);
	if (send(stream->fd, request, len, MSG_NOSIGNAL) != (ssize_t) len)
		fail("could not ask for a stream: %s", strerror(errno));
	free(request);
	stream->state = STREAM_HEAD;
	watch(stream, EPOLLIN);
}

/* A log has come. */
static void
note(Stream *stream, int number, int64_t now)
{
	int64_t		committed;

	if (logs == NULL || number < 0 || number >= logs->count)
		fail("a log has come that was not written: %d", number);
	stream->received++;
	stream->sum += scrambled(number);
	received++;
	last_received = now;
	if (number < logs->warm_up)
		return;
	/* it may come before the writer has heard of his commit */
	committed = atomic_load(&logs->committed[number]);
	samples_add(&latencies, committed != 0 && now > committed ? now - committed : 0);
}

/* Find the logs' numbers in what has come; an event ends in an empty line. */
static void
scan(Stream *stream, const char *bytes, size_t len, int64_t now)
{
	for (const char *at = bytes; at < bytes + len; at++)
	{
		if (*at == '\n')
		{
			if (stream->after_newline)
				stream->has_number = false;
			stream->after_newline = true;
			continue;
		}
		stream->after_newline = false;
		if (stream->in_number && *at >= '0' && *at <= '9')
			stream->number = stream->number * 10 + (*at - '0');
		else if (stream->in_number)
		{
			stream->in_number = false;
			stream->has_number = true;
			note(stream, *at == MARK ? stream->number : -1, now);
		}
		else if (*at == MARK && !stream->has_number)
		{
			stream->in_number = true;
			stream->number = 0;
		}
	}
}

static void
on_readable(Stream *stream)
{
	static char bytes[262144];
	ssize_t		got = recv(stream->fd, bytes, sizeof(bytes), 0);
	int64_t		now = now_us();
	ssize_t		at = 0;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
	{
		if (stream->state != STREAM_EVENTS)
			fail("a stream was closed before it began");
		close(stream->fd);
		stream->state = STREAM_ENDED;
		ended++;
		return;
	}
	while (stream->state == STREAM_HEAD && at < got)
	{
		stream->head[stream->head_len++] = bytes[at++];
		if (stream->head_len < 12)
			continue;
		if (memcmp(stream->head, "HTTP/1.1 200", 12) != 0)
			fail("a stream was refused: %.12s", stream->head);
		samples_add(&connects, now - stream->begun);
		answered++;
		stream->state = STREAM_EVENTS;
		if (stream->deaf)
		{
			(void) epoll_ctl(poller, EPOLL_CTL_DEL, stream->fd, NULL);
			return;
		}
	}
	scan(stream, bytes + at, got - at, now);
}

/* Serve what is ready; waits for at most so long. */
static void
serve(int milliseconds)
{
	struct epoll_event ready[MAX_READY];
	int			count = epoll_wait(poller, ready, MAX_READY, milliseconds);

	for (int i = 0; i < count; i++)
	{
		Stream	   *stream = ready[i].data.ptr;

		if (stream && stream->state == STREAM_CONNECTING)
			send_request(stream);
		else if (stream)
			on_readable(stream);
	}
}

/* Wait for a line; false: there will be none. */
static bool
wait_for_go(void)
{
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = NULL};
	char		line[16];

	if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
		fail("epoll: %s", strerror(errno));
	for (;;)
	{
		struct epoll_event ready[MAX_READY];
		int			count = epoll_wait(poller, ready, MAX_READY, -1);

		for (int i = 0; i < count; i++)
			if (ready[i].data.ptr)
				on_readable(ready[i].data.ptr);
			else
			{
				(void) epoll_ctl(poller, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
				return read(STDIN_FILENO, line, sizeof(line)) > 0;
			}
	}
}

static Stream *
add_stream(Stream *next, int execution, bool deaf)
{
	next->execution = execution;
	next->deaf = deaf;
	return next + 1;
}

/* Has each stream got what it should?  Prints how many were to come, and have not. */
static void
check_streams(int executions)
{
	int		   *wanted = allocate(executions, sizeof(int));
	uint64_t   *sums = allocate(executions, sizeof(uint64_t));
	long		expected = 0;
	int			wrong = 0;

	for (int n = 0; n < logs->count; n++)
	{
		wanted[logs->execution[n]]++;
		sums[logs->execution[n]] += scrambled(n);
	}
	for (int i = 0; i < stream_count; i++)
	{
		Stream	   *stream = &streams[i];

		if (stream->deaf)
			continue;
		expected += wanted[stream->execution];
		if (stream->received != wanted[stream->execution] || stream->sum != sums[stream->execution])
			wrong++;
	}
	printf("expected %ld\nreceived %ld\nwrong %d\nended %d\n", expected, received, wrong, ended);
	free(wanted);
	free(sums);
}

int
run_streams(const Gateway *of, int argc, char **argv)
{
	int			seconds = atoi(argv[3]);
	int			writers = atoi(argv[4]);
	int			group_count = argc - 5;
	int			executions;
	Group	   *groups = groups_parse(group_count, argv + 5, &executions);
	Stream	   *next;
	int64_t		begun = now_us();
	long		deliveries = 0;

	gateway = of;
	prefix = argv[2];
	for (int i = 0; i < group_count; i++)
		stream_count += groups[i].executions * (groups[i].streams + groups[i].deaf);
	next = streams = allocate(stream_count, sizeof(Stream));
	for (int i = 0; i < group_count; i++)
		for (int j = 0; j < groups[i].streams + groups[i].deaf; j++)
			for (int e = 0; e < groups[i].executions; e++)
				next = add_stream(next, groups[i].first + e, j >= groups[i].streams);
	poller = epoll_create1(EPOLL_CLOEXEC);
	while (answered < stream_count)
	{
		open_more();
		serve(1000);
	}
	printf("streams %d\nopened %.3f\n", stream_count, (now_us() - begun) / 1e6);
	samples_print("connect", &connects);
	puts("ready");
	if (!wait_for_go())
		return 0;

	logs = writers_start(argv[0], argv[1], prefix, groups, group_count, seconds, writers);
	for (int n = 0; n < logs->count; n++)
		for (int i = 0; i < group_count; i++)
			if (logs->execution[n] >= groups[i].first && logs->execution[n] < groups[i].first + groups[i].executions)
				deliveries += groups[i].streams;
	last_received = logs->begun;
	while (received < deliveries || atomic_load(&logs->written) < logs->count)
	{
		serve(100);
		if (atomic_load(&logs->written) == logs->count && now_us() - last_received > SILENCE_US)
			break;
	}
	/* what comes twice comes now */
	for (int i = 0; i < 5; i++)
		serve(100);
	logs_print(logs);
	check_streams(executions);
	printf("deliveries %.0f\n", received * 1e6 / (last_received - logs->begun));
	samples_print("latency", &latencies);
	puts("done");
	(void) wait_for_go();
	return 0;
}
