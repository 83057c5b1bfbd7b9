/*-------------------------------------------------------------------------
 *
 * lines.h
 *	  Cuts what a child process prints into lines, and long lines into parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LINES_H
#define WFLOG_LINES_H

#include "redact.h"

/* What of a line a part is. */
typedef enum LinePart
{
	LINE_WHOLE,
	LINE_BEGIN,					/* goes on in the next part */
	LINE_MIDDLE,				/* goes on, and is not the first */
	LINE_END,					/* the last of several */
	LINE_UNTERMINATED			/* the last or only one, and there was no line feed */
} LinePart;

typedef void (*LineSink) (void *arg, const char *text, size_t len, LinePart part);

/* One stream. */
typedef struct LineSplitter
{
	Redactor   *redactor;		/* NULL: nothing is masked */
	size_t		limit;			/* most bytes of a part, as the server stores them */
	LineSink	sink;
	void	   *arg;

	RedactLine	unmasked;		/* of a line without its end yet, if there is a redactor */
	Buffer		ready;			/* of that line: masked, not given to the sink yet */
	bool		begun;			/* parts of that line have been given to the sink */
	bool		open;			/* something of that line has been read */
} LineSplitter;

extern void lines_feed(LineSplitter *lines, const char *bytes, size_t len);
extern void lines_finish(LineSplitter *lines);
extern void lines_free(LineSplitter *lines);

#endif							/* WFLOG_LINES_H */
