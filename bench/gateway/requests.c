/*-------------------------------------------------------------------------
 *
 * requests.c
 *	  Requests to the gateway: how many a second, and how long they take.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

typedef struct Requester
{
	int			fd;
	int			next;			/* which path comes next */
	int64_t		begun;
	Response	response;
} Requester;

typedef struct Text
{
	char	   *bytes;
	size_t		len;
} Text;

static Text *texts;
static int	text_count;

static void
send_next(Requester *requester)
{
	Text	   *text = &texts[requester->next++ % text_count];

	response_begin(&requester->response);
	requester->begun = now_us();
	if (send(requester->fd, text->bytes, text->len, MSG_NOSIGNAL) != (ssize_t) text->len)
		fail("could not send a request: %s", strerror(errno));
}

/* CONNECTIONS SECONDS PATH... */
int
run_requests(const Gateway *gateway, int argc, char **argv)
{
	int			connections = atoi(argv[0]);
	int64_t		begun = now_us();
	int64_t		until = begun + atoi(argv[1]) * INT64_C(1000000);
	Requester  *requesters = allocate(connections, sizeof(Requester));
	int			poller = epoll_create1(EPOLL_CLOEXEC);
	static char bytes[262144];
	Samples		took = {0};
	long		bad = 0;
	size_t		size = 0;

	text_count = argc - 2;
	texts = allocate(text_count, sizeof(Text));
	for (int i = 0; i < text_count; i++)
		texts[i].len = http_request(gateway, argv[i + 2], &texts[i].bytes);
	for (int i = 0; i < connections; i++)
	{
		struct epoll_event event = {.events = EPOLLOUT,.data.ptr = &requesters[i]};

		requesters[i].fd = http_connect(gateway, i);
		requesters[i].next = i;
		(void) epoll_ctl(poller, EPOLL_CTL_ADD, requesters[i].fd, &event);
	}
	while (now_us() < until)
	{
		struct epoll_event ready[256];
		int			count = epoll_wait(poller, ready, 256, 1000);

		for (int i = 0; i < count; i++)
		{
			Requester  *requester = ready[i].data.ptr;
			struct epoll_event event = {.events = EPOLLIN,.data.ptr = requester};
			ssize_t		got;

			if (requester->begun == 0)
			{
				(void) epoll_ctl(poller, EPOLL_CTL_MOD, requester->fd, &event);
				send_next(requester);
				continue;
			}
			got = recv(requester->fd, bytes, sizeof(bytes), 0);
			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0)
				fail("a connection was closed");
			if (response_take(&requester->response, bytes, got) != (size_t) got)
				fail("more has come than was asked for");
			if (response_is_whole(&requester->response))
			{
				samples_add(&took, now_us() - requester->begun);
				bad += requester->response.status != 200;
				size += requester->response.body_len;
				send_next(requester);
			}
		}
	}
	printf("requests %.0f\nbad %ld\nbytes %.0f\n", took.count * 1e6 / (now_us() - begun), bad,
		   took.count ? (double) size / took.count : 0);
	samples_print("took", &took);
	return 0;
}
