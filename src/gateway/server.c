/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The socket that clients connect to: of an address, or a Unix-domain socket.
 *
 * When file descriptors have run out, accept() fails and the socket stays
 * readable: so it is left alone for a while, or the loop would do nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "server.h"

#include <event2/listener.h>
#include <netdb.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "connection.h"
#include "tls.h"

#define PAUSE_MS 100
#define BACKLOG 1024

#define LISTEN_FLAGS (LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE)

/* The socket of "unix:PATH" may be used by who owns it and by its group. */
#define UNIX_UMASK 0117

static struct evconnlistener *listener = NULL;
static struct event pause_timer;
static const char *socket_path = NULL;	/* to be removed at the end */
static struct sockaddr_storage bound;	/* where it listens */
static char url[300];

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

static void
could_not_listen(int error)
{
	fail(EXIT_FAILED, error == EADDRINUSE ? "Does another wflog serve run? --listen takes another port." : NULL,
		 "could not listen on %s: %s", gateway.options.listen, strerror(error));
}

/* Take "address:port" apart, "[::1]:8000" too. */
static void
split_address(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t		len = colon ? colon - text : 0;
	bool		bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (colon == NULL || colon[1] == '\0' || (!bracketed && memchr(text, ':', len)))
		usage_error("--listen must be ADDRESS:PORT, of IPv6 [ADDRESS]:PORT, or unix:PATH, not \"%s\"", text);
	if (bracketed)
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

/* Listen on an address, and say where: the port may have been 0. */
static void
listen_to_address(void)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE,.ai_socktype = SOCK_STREAM};
	struct addrinfo *addresses;
	socklen_t	bound_len = sizeof(bound);
	char		host[256];
	char		service[32];
	const char *port;
	int			error;

	split_address(gateway.options.listen, host, sizeof(host), &port);
	error = getaddrinfo(host[0] ? host : NULL, port, &hints, &addresses);
	if (error != 0)
		fail(EXIT_FAILED, NULL, "could not understand the address \"%s\": %s", gateway.options.listen, gai_strerror(error));
	for (struct addrinfo *at = addresses; at && listener == NULL; at = at->ai_next)
		listener = evconnlistener_new_bind(gateway.base, on_accept, NULL, LISTEN_FLAGS, BACKLOG, at->ai_addr, at->ai_addrlen);
	error = errno;
	freeaddrinfo(addresses);
	if (listener == NULL)
		could_not_listen(error);
	if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *) &bound, &bound_len) == 0 &&
		getnameinfo((struct sockaddr *) &bound, bound_len, host, sizeof(host), service, sizeof(service),
					NI_NUMERICHOST | NI_NUMERICSERV) == 0)
	{
		snprintf(url, sizeof(url), strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s",
				 tls_is_on() ? "https" : "http", host, service);
		say("listening on %s", url);
	}
}

/*
 * Listen on a Unix-domain socket.  One that nobody listens on any more, because
 * whoever did was killed, is in the way and removed.
 */
static void
listen_to_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	mode_t		previous;
	int			error;

	if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path))
		usage_error("the path in --listen must have 1 to %zu bytes", sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
	{
		int			fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0 && errno == ECONNREFUSED)
			(void) unlink(path);
		if (fd >= 0)
			close(fd);
	}
	previous = umask(UNIX_UMASK);
	listener = evconnlistener_new_bind(gateway.base, on_accept, NULL, LISTEN_FLAGS, BACKLOG,
									   (struct sockaddr *) &address, sizeof(address));
	error = errno;
	umask(previous);
	if (listener == NULL)
		could_not_listen(error);
	socket_path = path;
	say("listening on %s", gateway.options.listen);
}

/* Begin to listen. */
void
server_begin(void)
{
	evtimer_assign(&pause_timer, gateway.base, on_pause_over, NULL);
	if (strncmp(gateway.options.listen, "unix:", 5) == 0)
		listen_to_path(gateway.options.listen + 5);
	else
		listen_to_address();
	evconnlistener_set_error_cb(listener, on_accept_error);
}

/* Its address; not to be used by others if it is 0.0.0.0. */
const char *
server_url(void)
{
	return url;
}

/* Can nobody but programs of this machine connect? */
bool
server_is_loopback(void)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *) &bound;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) &bound;

	if (bound.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return bound.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Take no more connections. */
void
server_end(void)
{
	if (listener)
		evconnlistener_free(listener);
	listener = NULL;
	if (socket_path)
		(void) unlink(socket_path);
	socket_path = NULL;
	event_del(&pause_timer);
}
