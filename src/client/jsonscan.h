/*-------------------------------------------------------------------------
 *
 * jsonscan.h
 *	  Finds its way through JSON that a server has written.
 *
 * Nothing is copied or decoded before it is asked for: a value is the text it
 * has in the document.  Whatever the bytes are, nothing outside of them is
 * read; but what is not JSON need not be noticed, only what keeps a value from
 * having an end.
 *
 * Needs nothing but the C library, so that it can be tested and fuzzed by
 * itself (test/fuzz/).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_JSONSCAN_H
#define WFLOG_JSONSCAN_H

#include "buffer.h"

typedef enum JsonKind
{
	JSON_MISSING = 0,			/* there is no such value */
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_OBJECT,
	JSON_ARRAY
} JsonKind;

/* A value; of a string the text between the quotes, not decoded. */
typedef struct JsonValue
{
	JsonKind	kind;
	const char *text;
	size_t		len;
} JsonValue;

/* A walk through a container, or through a document. */
typedef struct JsonWalk
{
	const char *at;
	const char *end;
} JsonWalk;

extern bool json_read(JsonWalk *walk, JsonValue *value);
extern JsonWalk json_walk(const JsonValue *container);
extern bool json_next_pair(JsonWalk *walk, JsonValue *key, JsonValue *value);
extern bool json_next_element(JsonWalk *walk, JsonValue *value);
extern JsonValue json_find(const JsonValue *object, const char *key);
extern void json_decode(Buffer *out, const JsonValue *string);
extern char *json_text(const JsonValue *value);
extern void json_quote(Buffer *out, const char *text, size_t len);

static inline void
json_skip_blanks(JsonWalk *walk)
{
	while (walk->at < walk->end &&
		   (*walk->at == ' ' || *walk->at == '\n' || *walk->at == '\t' || *walk->at == '\r'))
		walk->at++;
}

/* The document as a value. */
static inline JsonValue
json_document(const char *text, size_t len)
{
	JsonWalk	walk = {text, text + len};
	JsonValue	value;

	if (!json_read(&walk, &value))
		value = (JsonValue) {JSON_MISSING, text, 0};
	return value;
}

/* Is it a string with these very characters, none of which needs an escape? */
static inline bool
json_is(const JsonValue *value, const char *text)
{
	return value->kind == JSON_STRING && value->len == strlen(text) &&
		memcmp(value->text, text, value->len) == 0;
}

#endif							/* WFLOG_JSONSCAN_H */
