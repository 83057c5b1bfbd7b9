/*-------------------------------------------------------------------------
 *
 * output.h
 *	  What was asked for, on stdout; and what kind of thing stdout is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_OUTPUT_H
#define WFLOG_OUTPUT_H

#include "buffer.h"

typedef enum ColorMode
{
	COLOR_AUTO,					/* on a terminal, unless NO_COLOR or TERM=dumb says no */
	COLOR_ALWAYS,
	COLOR_NEVER
} ColorMode;

typedef struct Output
{
	Buffer		pending;		/* not written yet; append to it freely */
	bool		is_terminal;
	bool		color;
	bool		utf8;			/* beyond ASCII may be shown */
	int			width;			/* columns of the terminal; 0: no limit */
} Output;

extern Output output;

extern void output_begin(ColorMode color);
extern void output_flush(void);
extern void output_end(void);
extern void output_before_message(void);
extern void output_measure(void);
extern bool parse_color_mode(const char *text, ColorMode *mode);

/* Write what has gathered, if it is much. */
#define OUTPUT_BLOCK 65536
static inline void
output_advance(void)
{
	if (output.pending.len >= OUTPUT_BLOCK)
		output_flush();
}

#endif							/* WFLOG_OUTPUT_H */
