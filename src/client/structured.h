/*-------------------------------------------------------------------------
 *
 * structured.h
 *	  Lines that are JSON objects with a level and a message.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STRUCTURED_H
#define WFLOG_STRUCTURED_H

#include "../ndjson.h"
#include "buffer.h"

/* A member of an object, as it is written. */
typedef struct RawPair
{
	const char *key;			/* with its quotes */
	size_t		key_len;
	const char *value;
	size_t		value_len;
} RawPair;

extern bool structured_parse(const char *line, size_t len, const char *stream,
							 const char *default_level, Buffer *fields);
extern const char *level_of_word(const char *text, size_t len);
extern const char *structured_level(const NdjsonValue *value);
extern void raw_pair(const char *from, const char *end, RawPair *pair);

#endif							/* WFLOG_STRUCTURED_H */
