/*-------------------------------------------------------------------------
 *
 * tee.h
 *	  Passes on what the child prints to where it would have gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_TEE_H
#define WFLOG_TEE_H

#include "buffer.h"

typedef struct Tee
{
	int			fd;				/* -1: nothing is passed on */
	size_t		piece;			/* most bytes of a write that must not block; 0: not known yet */
	Buffer		pending;
	size_t		written;		/* of "pending" */
	bool		broken;			/* whoever read it has gone */
} Tee;

extern void tee_add(Tee *tee, const char *bytes, size_t len);
extern bool tee_write(Tee *tee);

/* Is there more to be written? */
static inline bool
tee_is_pending(const Tee *tee)
{
	return tee->pending.len > 0;
}

#endif							/* WFLOG_TEE_H */
