/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Text that nobody vouches for, made fit to be shown.
 *
 * Needs nothing but the C library, so that it can be tested and fuzzed by
 * itself (test/fuzz/).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_TEXT_H
#define WFLOG_TEXT_H

#include "buffer.h"

/* What becomes of line feeds: TEXT_KEEP_LINES keeps them, otherwise \n is shown. */
#define TEXT_KEEP_LINES 0x01
#define TEXT_ASCII 0x02			/* the terminal has no UTF-8: ? for all beyond ASCII */

#define TEXT_TAB 8				/* columns between tab stops */

extern void text_clean(Buffer *out, const char *text, size_t len, int flags);
extern int	text_char_width(uint32_t code);
extern size_t text_width(const char *text, size_t len);
extern size_t text_fit(const char *text, size_t len, size_t width);
extern size_t text_break(const char *text, size_t len, size_t width, size_t *skip);
extern int	text_decode(const char *text, size_t len, uint32_t *code);

#endif							/* WFLOG_TEXT_H */
