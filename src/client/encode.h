/*-------------------------------------------------------------------------
 *
 * encode.h
 *	  JSON, times and shell words, written from bytes nobody vouches for.
 *
 * Needs nothing but the C library, so that it can be tested and fuzzed by
 * itself (test/fuzz/).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_ENCODE_H
#define WFLOG_ENCODE_H

#include "buffer.h"

extern void encode_json(Buffer *out, const char *text, size_t len);
extern void encode_time(Buffer *out, int64_t microseconds);
extern void encode_shell_word(Buffer *out, const char *word);

extern int	utf8_sequence(const char *text, size_t len);
extern size_t stored_prefix(const char *text, size_t len, size_t limit);

/* Take bytes away from the front. */
static inline void
buffer_consume(Buffer *buffer, size_t len)
{
	buffer->len -= len;
	if (buffer->len > 0 && len > 0)
		memmove(buffer->data, buffer->data + len, buffer->len);
}

#endif							/* WFLOG_ENCODE_H */
