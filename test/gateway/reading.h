/*
 * How the gateway reads a request whose bytes come in pieces, for the tests of
 * its reader (src/gateway/http_{parser,chunks}.c).  Each piece is a memory block
 * of its own, so that the address sanitizer sees a read beyond it.
 */
#ifndef WFLOG_TEST_READING_H
#define WFLOG_TEST_READING_H

#include <stdlib.h>
#include <string.h>

#include "http_parser.h"

/* What came of reading. */
typedef struct Outcome
{
	int			status;			/* done, more, or that of a refusal */
	size_t		used;
	char	   *head;			/* what the request points into; NULL: none was whole */
	HttpRequest request;
	char	   *body;
	size_t		body_len;
} Outcome;

static inline char *
reading_copy(const char *bytes, size_t len)
{
	char	   *copy = malloc(len ? len : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	return copy;
}

/* Read a chunked body, of which the pieces end where next_cut() says. */
static inline void
reading_chunks(Outcome *outcome, const char *bytes, size_t len, size_t (*next_cut) (size_t at))
{
	HttpChunks	chunks = {0};
	size_t		at = outcome->used;

	while (outcome->status == HTTP_PARSE_MORE && at < len)
	{
		size_t		cut = next_cut(at);
		size_t		piece = (cut < len ? cut : len) - at;
		size_t		done = 0;
		char	   *copy = reading_copy(bytes + at, piece);

		while (outcome->status == HTTP_PARSE_MORE && done < piece)
		{
			HttpText	data;
			size_t		used;

			outcome->status = http_read_chunks(&chunks, copy + done, piece - done, &used, &data);
			if (used == 0 || used > piece - done)
				abort();
			if (data.len > 0 && (data.at < copy + done || data.at + data.len > copy + done + used))
				abort();
			memcpy(outcome->body + outcome->body_len, data.at, data.len);
			outcome->body_len += data.len;
			done += used;
		}
		free(copy);
		at += done;
	}
	outcome->used = at;
}

/*
 * Read the request at the beginning of bytes, as if they came in pieces.
 * next_cut() says where the piece that begins at a place ends, which is
 * behind it.  To be freed by reading_free().
 */
static inline void
reading_of(Outcome *outcome, const char *bytes, size_t len, size_t (*next_cut) (size_t at))
{
	HttpScan	scan = {0};
	size_t		there = 0;
	size_t		head_len = 0;

	memset(outcome, 0, sizeof(Outcome));
	outcome->body = malloc(len + 1);
	do
	{
		size_t		cut = next_cut(there);

		there = cut < len ? cut : len;
		free(outcome->head);
		outcome->head = reading_copy(bytes, there);
		outcome->status = http_scan_head(&scan, outcome->head, there, &head_len);
	} while (outcome->status == HTTP_PARSE_MORE && there < len);
	free(outcome->head);
	outcome->head = NULL;
	if (outcome->status != HTTP_PARSE_DONE)
		return;
	if (head_len > there || head_len > HTTP_MAX_HEAD)
		abort();
	outcome->head = reading_copy(bytes, head_len);
	outcome->status = http_parse_head(&outcome->request, outcome->head, head_len);
	outcome->used = head_len;
	if (outcome->status == HTTP_PARSE_DONE && outcome->request.body == HTTP_BODY_LENGTH)
	{
		outcome->body_len = len - head_len;
		if (outcome->body_len < outcome->request.content_length)
			outcome->status = HTTP_PARSE_MORE;
		else
			outcome->body_len = outcome->request.content_length;
		memcpy(outcome->body, bytes + head_len, outcome->body_len);
		outcome->used += outcome->body_len;
	}
	else if (outcome->status == HTTP_PARSE_DONE && outcome->request.body == HTTP_BODY_CHUNKED)
	{
		outcome->status = HTTP_PARSE_MORE;
		reading_chunks(outcome, bytes, len, next_cut);
	}
}

static inline void
reading_free(Outcome *outcome)
{
	free(outcome->head);
	free(outcome->body);
}

#endif							/* WFLOG_TEST_READING_H */
