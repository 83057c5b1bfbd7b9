/*-------------------------------------------------------------------------
 *
 * tee.c
 *	  Passes on what the child prints to where it would have gone.
 *
 * The descriptor is shared with others, so it is not made non-blocking.
 * Instead each write waits for POLLOUT and is small enough then not to block.
 *
 *-------------------------------------------------------------------------
 */
#include "tee.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_PIECE 4096			/* POLLOUT promises room for PIPE_BUF bytes */
#define TERMINAL_PIECE 256

/* How much can be written without blocking once poll() says so? */
static size_t
piece_for(int fd)
{
	struct stat status;

	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return SIZE_MAX;
	return isatty(fd) ? TERMINAL_PIECE : PIPE_PIECE;
}

/* Take what is to be passed on. */
void
tee_add(Tee *tee, const char *bytes, size_t len)
{
	if (tee->fd >= 0 && !tee->broken)
		buffer_append(&tee->pending, bytes, len);
}

/* Write what can be written.  False if nobody will ever read it. */
bool
tee_write(Tee *tee)
{
	if (tee->piece == 0)
		tee->piece = piece_for(tee->fd);
	while (tee->written < tee->pending.len)
	{
		struct pollfd polled = {.fd = tee->fd,.events = POLLOUT};
		size_t		len = tee->pending.len - tee->written;
		ssize_t		written;

		if (poll(&polled, 1, 0) <= 0)
			return true;
		written = write(tee->fd, tee->pending.data + tee->written,
						len < tee->piece ? len : tee->piece);
		if (written < 0 && (errno == EINTR || errno == EAGAIN))
			return true;
		if (written < 0)
		{
			tee->broken = true;
			break;
		}
		tee->written += written;
	}
	tee->pending.len = tee->written = 0;
	return !tee->broken;
}
