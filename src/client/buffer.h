/*-------------------------------------------------------------------------
 *
 * buffer.h
 *	  Bytes that grow, and memory that is there or the program ends.
 *
 * Needs nothing but the C library, so that what is built on it can be tested
 * and fuzzed by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_BUFFER_H
#define WFLOG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* {0} is an empty one.  data has room for a NUL at len once anything was put in. */
typedef struct Buffer
{
	char	   *data;
	size_t		len;
	size_t		size;
} Buffer;

extern void buffer_enlarge(Buffer *buffer, size_t more);
extern void buffer_printf(Buffer *buffer, const char *fmt,...) __attribute__((format(printf, 2, 3)));
extern void buffer_code_point(Buffer *buffer, uint32_t code);
extern int	hex_value(char c);
extern void buffer_free(Buffer *buffer);

extern void *xmalloc(size_t size);
extern void *xrealloc(void *block, size_t size);
extern char *xstrdup(const char *text);

/* Make room for so many bytes and a NUL. */
static inline void
buffer_reserve(Buffer *buffer, size_t more)
{
	if (buffer->size - buffer->len <= more)
		buffer_enlarge(buffer, more);
}

static inline void
buffer_clear(Buffer *buffer)
{
	buffer->len = 0;
}

static inline void
buffer_append(Buffer *buffer, const void *bytes, size_t len)
{
	buffer_reserve(buffer, len);
	if (len > 0)
		memcpy(buffer->data + buffer->len, bytes, len);
	buffer->len += len;
}

static inline void
buffer_char(Buffer *buffer, char c)
{
	buffer_reserve(buffer, 1);
	buffer->data[buffer->len++] = c;
}

static inline void
buffer_string(Buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

/* As a C string, which the next change of the buffer invalidates. */
static inline char *
buffer_text(Buffer *buffer)
{
	buffer_reserve(buffer, 0);
	buffer->data[buffer->len] = '\0';
	return buffer->data;
}

#endif							/* WFLOG_BUFFER_H */
