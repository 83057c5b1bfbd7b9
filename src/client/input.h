/*-------------------------------------------------------------------------
 *
 * input.h
 *	  The files that "ingest" reads, one after the other or as they grow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_INPUT_H
#define WFLOG_INPUT_H

#include "buffer.h"

#include <sys/types.h>

typedef struct Input
{
	const char *path;			/* NULL: stdin */
	int			fd;				/* -1: closed */
	bool		follow;			/* wait for more at the end, and for a new file of that name */
	bool		regular;		/* never makes us wait */
	bool		at_end;			/* nothing more will come */
	dev_t		device;
	ino_t		inode;
	int64_t		size;			/* of a regular file when it was opened, else 0 */
	int64_t		offset;			/* of what has been read */
	Buffer		bytes;			/* read, and not taken yet */
	size_t		taken;			/* of them */
} Input;

typedef enum InputResult
{
	INPUT_READ,					/* there is something new */
	INPUT_NOTHING,				/* not now */
	INPUT_ROTATED,				/* the file has ended; a new one, or the same cut to nothing, is next */
	INPUT_END
} InputResult;

extern bool input_open(Input *input, const char *path, bool follow);
extern InputResult input_fill(Input *input);
extern void input_close(Input *input);

/* Where in the file that is which has not been taken yet. */
static inline int64_t
input_position(const Input *input)
{
	return input->offset - (int64_t) (input->bytes.len - input->taken);
}

#endif							/* WFLOG_INPUT_H */
