/*-------------------------------------------------------------------------
 *
 * ndjson.h
 *	  Reads one line of newline-delimited JSON from bytes nobody vouches for.
 *
 * Nothing in here or in ndjson*.c depends on the backend, so that the reader
 * can be tested and fuzzed by itself (test/fuzz/).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_NDJSON_H
#define WFLOG_NDJSON_H

#include <stdbool.h>
#include <stddef.h>

#define NDJSON_MAX_DEPTH 512	/* levels of nesting in a value */

typedef enum NdjsonKind
{
	NDJSON_NULL,
	NDJSON_FALSE,
	NDJSON_TRUE,
	NDJSON_NUMBER,
	NDJSON_STRING,
	NDJSON_OBJECT,
	NDJSON_ARRAY
} NdjsonKind;

/*
 * A value of the line's object.  The text of a string is decoded and escaped
 * as ndjson_string.c describes, that of a container is JSON whose strings are; that
 * of any other kind is as in the line.  It is valid UTF-8, holds no NUL and
 * has no terminator.
 */
typedef struct NdjsonValue
{
	NdjsonKind	kind;
	const char *text;
	size_t		len;
} NdjsonValue;

typedef struct NdjsonBuffer
{
	char	   *data;
	size_t		len;
	size_t		size;
} NdjsonBuffer;

typedef struct NdjsonReader
{
	const unsigned char *line;
	const unsigned char *at;
	const unsigned char *end;
	bool		started;		/* a pair has been read */
	const char *error;			/* what is wrong at "at", after a failure */
	NdjsonBuffer key;
	NdjsonBuffer value;
	NdjsonBuffer string;		/* a string within a container */
} NdjsonReader;

typedef enum NdjsonResult
{
	NDJSON_PAIR,
	NDJSON_END,
	NDJSON_ERROR
} NdjsonResult;

extern bool ndjson_is_blank(const char *line, size_t len);
extern bool ndjson_open(NdjsonReader *reader, const char *line, size_t len);
extern NdjsonResult ndjson_next(NdjsonReader *reader, NdjsonValue *key, NdjsonValue *value);
extern size_t ndjson_unescape(const char *text, size_t len, unsigned char *bytes);

/* ---- ndjson_string.c, for ndjson.c ---- */

extern bool ndjson_fail(NdjsonReader *reader, const char *error);
extern bool ndjson_read_string(NdjsonReader *reader, NdjsonBuffer *buffer, NdjsonValue *value,
							   bool *verbatim);
extern void ndjson_append(NdjsonBuffer *buffer, const void *bytes, size_t len);
extern void ndjson_append_string(NdjsonBuffer *buffer, const char *text, size_t len);

/*
 * Whoever links them supplies this: make room for at least size bytes in
 * all, keeping the first buffer->len, or do not return.
 */
extern void ndjson_enlarge(NdjsonBuffer *buffer, size_t size);

#endif							/* WFLOG_NDJSON_H */
