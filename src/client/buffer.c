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

/* Give the memory back. */
void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->len = buffer->size = 0;
}
