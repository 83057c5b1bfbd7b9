/*-------------------------------------------------------------------------
 *
 * http.c
 *	  As much of HTTP as a client of the gateway needs.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* The gateway takes a thousand connections of an address, as it is set. */
#define CONNECTIONS_OF_ADDRESS 500

/*
 * Begin to connect.  The client is 127.0.0.2 and so on, according to the
 * connection's number, so that it is neither too many of one address for the
 * gateway nor too many for the ports there are.
 */
int
http_connect(const Gateway *gateway, int number)
{
	struct sockaddr_in server = {.sin_family = AF_INET,.sin_port = htons(gateway->port)};
	struct sockaddr_in client = {.sin_family = AF_INET};
	int			on = 1;
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number / CONNECTIONS_OF_ADDRESS);
	(void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *) &client, sizeof(client)) != 0)
		fail("bind: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *) &server, sizeof(server)) != 0 && errno != EINPROGRESS)
		fail("connect: %s", strerror(errno));
	return fd;
}

/* A GET of a path; its length. */
size_t
http_request(const Gateway *gateway, const char *path, char **request)
{
	int			len = asprintf(request, "GET %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n",
							   path, gateway->token);

	if (len < 0)
		fail("out of memory");
	return len;
}

/* Before the first byte. */
void
response_begin(Response *response)
{
	response->head_len = response->body_left = response->body_len = 0;
	response->head_is_whole = false;
}

/* The head is there: what it says. */
static void
read_head(Response *response)
{
	const char *length;

	response->head[response->head_len] = '\0';
	if (sscanf(response->head, "HTTP/1.1 %d ", &response->status) != 1)
		fail("not an answer: %s", response->head);
	length = strcasestr(response->head, "\r\nContent-Length:");
	response->body_len = response->body_left = length ? strtoull(length + 17, NULL, 10) : 0;
}

/* Take bytes of a response; how many of them belong to it. */
size_t
response_take(Response *response, const char *bytes, size_t len)
{
	size_t		used = 0;
	size_t		body;

	while (!response->head_is_whole && used < len)
	{
		if (response->head_len + 1 == sizeof(response->head))
			fail("the head of an answer is too long");
		response->head[response->head_len++] = bytes[used++];
		if (response->head_len >= 4 && memcmp(response->head + response->head_len - 4, "\r\n\r\n", 4) == 0)
		{
			response->head_is_whole = true;
			read_head(response);
		}
	}
	body = len - used < response->body_left ? len - used : response->body_left;
	response->body_left -= body;
	return used + body;
}

bool
response_is_whole(const Response *response)
{
	return response->head_is_whole && response->body_left == 0;
}
