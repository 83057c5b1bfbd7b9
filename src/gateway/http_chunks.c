/*-------------------------------------------------------------------------
 *
 * http_chunks.c
 *	  Reads the bodies of HTTP/1.1 requests that come in chunks, as strictly as
 *	  http_parser.c reads heads.
 *
 *-------------------------------------------------------------------------
 */
#include "http_chars.h"
#include "http_parser.h"

enum ChunkState
{
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF
};

static inline int
hex_value(char c)
{
	return c <= '9' ? c - '0' : lower(c) - 'a' + 10;
}

/* One byte of a chunked body that is not data.  More, done, or 400. */
static int
chunk_byte(HttpChunks *chunks, unsigned char c)
{
	switch (chunks->state)
	{
		case CHUNK_SIZE:
			if (class_of(c) & HEX)
			{
				if (++chunks->digits > 15)
					return 413;
				chunks->left = chunks->left * 16 + hex_value(c);
			}
			else if (chunks->digits == 0)
				return 400;
			else if (c == ';')
			{
				chunks->line_bytes = 0;
				chunks->state = CHUNK_EXTENSION;
			}
			else if (c == '\r')
				chunks->state = CHUNK_SIZE_LF;
			else
				return 400;
			break;
		case CHUNK_EXTENSION:
			if (c == '\r')
				chunks->state = CHUNK_SIZE_LF;
			else if (!(class_of(c) & VALUE) || ++chunks->line_bytes > HTTP_MAX_EXTENSIONS)
				return 400;
			break;
		case CHUNK_SIZE_LF:
			if (c != '\n')
				return 400;
			chunks->line_bytes = 0;
			chunks->state = chunks->left > 0 ? CHUNK_DATA : TRAILER_START;
			break;
		case CHUNK_DATA_CR:
			if (c != '\r')
				return 400;
			chunks->state = CHUNK_DATA_LF;
			break;
		case CHUNK_DATA_LF:
			if (c != '\n')
				return 400;
			chunks->digits = 0;
			chunks->state = CHUNK_SIZE;
			break;
		case TRAILER_START:
			if (c == '\r')
			{
				chunks->state = LAST_LF;
				break;
			}
			chunks->state = TRAILER_NAME;
			chunks->name_bytes = 0;
			/* FALLTHROUGH */
		case TRAILER_NAME:
			if (++chunks->line_bytes > HTTP_MAX_TRAILERS)
				return 431;
			if (c == ':' && chunks->name_bytes > 0)
				chunks->state = TRAILER_VALUE;
			else if (class_of(c) & TOKEN)
				chunks->name_bytes++;
			else
				return 400;
			break;
		case TRAILER_VALUE:
			if (++chunks->line_bytes > HTTP_MAX_TRAILERS)
				return 431;
			if (c == '\r')
				chunks->state = TRAILER_LF;
			else if (!(class_of(c) & VALUE))
				return 400;
			break;
		case TRAILER_LF:
			if (c != '\n')
				return 400;
			chunks->state = TRAILER_START;
			break;
		case LAST_LF:
			return c == '\n' ? HTTP_PARSE_DONE : 400;
	}
	return HTTP_PARSE_MORE;
}

/*
 * Read on in a chunked body.  *used is how many bytes were; *data is the piece
 * of content among them, often empty.  Call it again with the rest while it
 * says more and has used something.  Trailers are checked and dropped.
 */
int
http_read_chunks(HttpChunks *chunks, const char *bytes, size_t len, size_t *used, HttpText *data)
{
	*data = (HttpText) {bytes, 0};
	*used = 0;
	while (*used < len)
	{
		int			status;

		if (chunks->state == CHUNK_DATA)
		{
			size_t		piece = len - *used;

			if (piece > chunks->left)
				piece = chunks->left;
			*data = (HttpText) {bytes + *used, piece};
			*used += piece;
			chunks->left -= piece;
			if (chunks->left == 0)
				chunks->state = CHUNK_DATA_CR;
			return HTTP_PARSE_MORE;
		}
		status = chunk_byte(chunks, bytes[(*used)++]);
		if (status != HTTP_PARSE_MORE)
			return status;
	}
	return HTTP_PARSE_MORE;
}
