/*-------------------------------------------------------------------------
 *
 * service.c
 *	  Tells systemd how it is (sd_notify(3), Type=notify).
 *
 * That is a datagram to the socket that NOTIFY_SOCKET names, for which no
 * library is needed.  Where there is no such socket nothing is done.
 *
 *-------------------------------------------------------------------------
 */
#include "gateway.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Tell it: "READY=1", "STOPPING=1" or the like.  Nobody need be listening. */
void
service_notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t		len = name ? strlen(name) : 0;
	int			fd;

	if (len < 2 || len >= sizeof(address.sun_path) || (name[0] != '/' && name[0] != '@'))
		return;
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0'; /* of Linux's abstract names */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void) sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &address,
				  offsetof(struct sockaddr_un, sun_path) + len);
	close(fd);
}
