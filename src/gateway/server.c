/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The socket that clients connect to.
 *
 * When file descriptors have run out, accept() fails and the socket stays
 * readable: so it is left alone for a while, or the loop would do nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "server.h"

#include <event2/listener.h>
#include <netdb.h>

#include "connection.h"

#define PAUSE_MS 100
#define BACKLOG 1024

static struct evconnlistener *listener = NULL;
static struct event pause_timer;

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *peer, int len, void *arg)
{
	conn_begin(fd, peer);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	if (listener)
		evconnlistener_enable(listener);
}

static void
on_accept_error(struct evconnlistener *l, void *arg)
{
	int			error = errno;
	struct timeval pause = timeval_of(PAUSE_MS);

	if (gateway.counters.accept_pauses++ == 0)
		warn("could not accept a connection: %s", strerror(error));
	evconnlistener_disable(l);
	event_add(&pause_timer, &pause);
}

/* Take "address:port" apart, "[::1]:8000" too. */
static void
split_address(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t		len;

	if (colon == NULL || colon[1] == '\0')
		usage_error("--listen must be ADDRESS:PORT, not \"%s\"", text);
	len = colon - text;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
	{
		text++;
		len -= 2;
	}
	if (len >= size)
		usage_error("the address in --listen is too long");
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
}

/* Begin to listen, and say where: the port may have been 0. */
void
server_begin(void)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE,.ai_socktype = SOCK_STREAM};
	struct addrinfo *addresses;
	struct sockaddr_storage bound;
	socklen_t	bound_len = sizeof(bound);
	char		host[256];
	char		service[32];
	const char *port;
	int			error;

	split_address(gateway.options.listen, host, sizeof(host), &port);
	error = getaddrinfo(host[0] ? host : NULL, port, &hints, &addresses);
	if (error != 0)
		fail(EXIT_FAILED, NULL, "could not understand the address \"%s\": %s", gateway.options.listen, gai_strerror(error));
	evtimer_assign(&pause_timer, gateway.base, on_pause_over, NULL);
	for (struct addrinfo *at = addresses; at && listener == NULL; at = at->ai_next)
		listener = evconnlistener_new_bind(gateway.base, on_accept, NULL,
										   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
										   BACKLOG, at->ai_addr, at->ai_addrlen);
	error = errno;
	freeaddrinfo(addresses);
	if (listener == NULL)
		fail(EXIT_FAILED, error == EADDRINUSE ? "Does another wflog serve run? --listen takes another port." : NULL,
			 "could not listen on %s: %s", gateway.options.listen, strerror(error));
	evconnlistener_set_error_cb(listener, on_accept_error);
	if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *) &bound, &bound_len) == 0 &&
		getnameinfo((struct sockaddr *) &bound, bound_len, host, sizeof(host), service, sizeof(service),
					NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		say(strchr(host, ':') ? "listening on http://[%s]:%s" : "listening on http://%s:%s", host, service);
}

/* Take no more connections. */
void
server_end(void)
{
	if (listener)
		evconnlistener_free(listener);
	listener = NULL;
	event_del(&pause_timer);
}
