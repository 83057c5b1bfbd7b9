/*-------------------------------------------------------------------------
 *
 * ndjson_room.c
 *	  What the reader of JSON lines (../ndjson.c) needs from who links it.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "ndjson.h"

/* Make room for so many bytes in all. */
void
ndjson_enlarge(NdjsonBuffer *buffer, size_t size)
{
	if (size < buffer->size * 2)
		size = buffer->size * 2;
	buffer->data = xrealloc(buffer->data, size);
	buffer->size = size;
}
