/*-------------------------------------------------------------------------
 *
 * redact.h
 *	  Masks secrets in what a child process prints.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_REDACT_H
#define WFLOG_REDACT_H

#include "buffer.h"

#define REDACT_MASK "***"

/*
 * Of a line longer than this, parts are given on before its end is known.
 * Values are found across any border.  A pattern's match is masked to its
 * end however far that is, but that there is a match must show within
 * PATTERN_HORIZON bytes.
 */
#define REDACT_WINDOW 65536

typedef struct Redactor Redactor;

/* The line of one stream that is being read. */
typedef struct RedactLine
{
	Buffer		held;			/* not given on yet */
	size_t		context;		/* bytes of "held", from its front, that have been masked already */
	bool		started;		/* something of the line has been given on */
} RedactLine;

extern Redactor *redactor_create(void);
extern void redactor_free(Redactor *redactor);
extern bool redactor_add_pattern(Redactor *redactor, const char *pattern, char *problem, size_t size);
extern void redactor_add_value(Redactor *redactor, const char *value);
extern bool redactor_is_needed(const Redactor *redactor);
extern void redact_text(Redactor *redactor, const char *text, size_t len, Buffer *out);
extern void redact_feed(Redactor *redactor, RedactLine *line, const char *text, size_t len,
						bool end, Buffer *out);

#endif							/* WFLOG_REDACT_H */
