/*-------------------------------------------------------------------------
 *
 * input.c
 *	  The files that "ingest" reads, one after the other or as they grow.
 *
 * A file that is followed is rotated away by renaming it and making another
 * one, or by cutting it to nothing.  What was written to the old one until
 * the new one was seen is read first.
 *
 *-------------------------------------------------------------------------
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "encode.h"

#define READ_BYTES (256 * 1024)

/* Open a file, or stdin if path is NULL; false with errno. */
bool
input_open(Input *input, const char *path, bool follow)
{
	struct stat status;

	memset(input, 0, sizeof(Input));
	input->path = path;
	input->follow = follow;
	input->fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (input->fd < 0 || fstat(input->fd, &status) < 0)
		return false;
	if (S_ISDIR(status.st_mode))
	{
		errno = EISDIR;
		return false;
	}
	input->regular = S_ISREG(status.st_mode);
	input->device = status.st_dev;
	input->inode = status.st_ino;
	input->size = input->regular ? status.st_size : 0;
	return true;
}

void
input_close(Input *input)
{
	if (input->fd > STDIN_FILENO)
		close(input->fd);
	input->fd = -1;
	buffer_free(&input->bytes);
	input->taken = 0;
}

/* Has the file that is followed been rotated away, or cut? */
static bool
was_rotated(Input *input)
{
	struct stat here;
	struct stat there;

	if (fstat(input->fd, &here) == 0 && input->regular && here.st_size < input->offset)
		return true;
	return stat(input->path, &there) == 0 &&
		(there.st_dev != input->device || there.st_ino != input->inode);
}

/*
 * Read more, without waiting.  After INPUT_ROTATED what is left of the old
 * file can be taken, before input_open() is called anew.
 */
InputResult
input_fill(Input *input)
{
	struct pollfd polled = {.fd = input->fd,.events = POLLIN};
	bool		rotated = false;
	ssize_t		len;

	if (input->taken > 0)
	{
		buffer_consume(&input->bytes, input->taken);
		input->taken = 0;
	}
	if (!input->regular && poll(&polled, 1, 0) <= 0)
		return INPUT_NOTHING;
	for (;;)
	{
		buffer_reserve(&input->bytes, READ_BYTES);
		len = read(input->fd, input->bytes.data + input->bytes.len, READ_BYTES);
		if (len < 0 && (errno == EINTR || errno == EAGAIN))
			return INPUT_NOTHING;
		if (len > 0)
		{
			input->bytes.len += len;
			input->offset += len;
			return INPUT_READ;
		}
		if (len == 0 && input->follow && input->path)
		{
			if (rotated)
				return INPUT_ROTATED;
			if (!was_rotated(input))
				return INPUT_NOTHING;
			rotated = true;		/* once more: it may have been written to meanwhile */
			continue;
		}
		input->at_end = true;
		return INPUT_END;
	}
}
