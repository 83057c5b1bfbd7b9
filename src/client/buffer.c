/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  Bytes that grow, and memory that is there or the program ends.
 *
 *-------------------------------------------------------------------------
 */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void
out_of_memory(void)
{
	fputs("wflog: error: out of memory\n", stderr);
	exit(1);
}

/* malloc() that does not return without memory. */
void *
xmalloc(size_t size)
{
	void	   *block = malloc(size ? size : 1);

	if (block == NULL)
		out_of_memory();
	return block;
}

/* realloc() that does not return without memory. */
void *
xrealloc(void *block, size_t size)
{
	block = realloc(block, size ? size : 1);
	if (block == NULL)
		out_of_memory();
	return block;
}

/* strdup() that does not return without memory. */
char *
xstrdup(const char *text)
{
	size_t		size = strlen(text) + 1;

	return memcpy(xmalloc(size), text, size);
}

/* Make room for so many bytes more, and a NUL. */
void
buffer_enlarge(Buffer *buffer, size_t more)
{
	size_t		wanted = buffer->len + more + 1;

	if (wanted <= more)
		out_of_memory();		/* beyond what can be counted */
	if (wanted <= buffer->size)
		return;
	if (wanted < buffer->size + buffer->size / 2)
		wanted = buffer->size + buffer->size / 2;
	if (wanted < 64)
		wanted = 64;
	buffer->data = xrealloc(buffer->data, wanted);
	buffer->size = wanted;
}

/* Append as printf would write it. */
void
buffer_printf(Buffer *buffer, const char *fmt,...)
{
	va_list		args;
	int			len;

	buffer_reserve(buffer, 64);
	va_start(args, fmt);
	len = vsnprintf(buffer->data + buffer->len, buffer->size - buffer->len, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	if ((size_t) len >= buffer->size - buffer->len)
	{
		buffer_reserve(buffer, len);
		va_start(args, fmt);
		vsnprintf(buffer->data + buffer->len, buffer->size - buffer->len, fmt, args);
		va_end(args);
	}
	buffer->len += len;
}

/* The value of a hexadecimal digit; -1 if it is none. */
int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Append a code point, which must be one, as UTF-8. */
void
buffer_code_point(Buffer *out, uint32_t code)
{
	buffer_reserve(out, 4);
	if (code < 0x80)
		out->data[out->len++] = code;
	else if (code < 0x800)
	{
		out->data[out->len++] = 0xC0 | code >> 6;
		out->data[out->len++] = 0x80 | (code & 0x3F);
	}
	else if (code < 0x10000)
	{
		out->data[out->len++] = 0xE0 | code >> 12;
		out->data[out->len++] = 0x80 | (code >> 6 & 0x3F);
		out->data[out->len++] = 0x80 | (code & 0x3F);
	}
	else
	{
		out->data[out->len++] = 0xF0 | code >> 18;
		out->data[out->len++] = 0x80 | (code >> 12 & 0x3F);
		out->data[out->len++] = 0x80 | (code >> 6 & 0x3F);
		out->data[out->len++] = 0x80 | (code & 0x3F);
	}
}

/* Give the memory back. */
void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->len = buffer->size = 0;
}
