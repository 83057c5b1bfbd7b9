/*-------------------------------------------------------------------------
 *
 * reject.h
 *	  Lines that cannot become logs: told, counted, and kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_REJECT_H
#define WFLOG_REJECT_H

#include "client.h"

typedef struct Rejects
{
	const char *path;			/* of the file; NULL: they are not kept */
	int			fd;				/* -1: not opened yet */
	Buffer		header;			/* first line of a CSV file */
	int64_t		count;
	int64_t		told;
	int64_t		most;			/* so many are tolerated; -1: any */
} Rejects;

extern void reject(Rejects *rejects, const char *input, int64_t line, const char *problem,
				   const char *raw, size_t len);
extern void rejects_end(Rejects *rejects);

#endif							/* WFLOG_REJECT_H */
