/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  How far it is: a line on the terminal, and a sum at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_PROGRESS_H
#define WFLOG_PROGRESS_H

#include "buffer.h"

typedef struct Progress
{
	bool		shown;			/* stderr is a terminal, and it is wanted */
	const char *what;			/* "logs" */
	int64_t		total;			/* bytes; 0: not known */
	int64_t		bytes;
	int64_t		count;
	int64_t		began_at;
	int64_t		drawn_at;		/* 0: no line is on the terminal */
} Progress;

extern void progress_begin(Progress *progress, const char *what, bool wanted);
extern void progress_update(Progress *progress);
extern void progress_clear(Progress *progress);
extern void progress_sum(Progress *progress, Buffer *out);

#endif							/* WFLOG_PROGRESS_H */
