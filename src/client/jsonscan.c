/*-------------------------------------------------------------------------
 *
 * jsonscan.c
 *	  Finds its way through JSON that a server has written.
 *
 * "wflog logs" reads a million of the server's objects and shows five fields
 * of each; building a tree of each object took most of its time.
 *
 *-------------------------------------------------------------------------
 */
#include "jsonscan.h"

#include <stdio.h>

/*
 * Pass over a string that begins behind the walk's place; the place is then
 * behind the closing quote.  False if there is none.
 */
static inline bool
skip_string(JsonWalk *walk)
{
	for (;;)
	{
		const char *quote = memchr(walk->at, '"', walk->end - walk->at);
		const char *slash;

		if (quote == NULL)
			return false;
		slash = memchr(walk->at, '\\', quote - walk->at);
		if (slash == NULL)
		{
			walk->at = quote + 1;
			return true;
		}
		if (walk->end - slash < 2)
			return false;
		walk->at = slash + 2;
	}
}

/* Pass over a container whose bracket has just been passed. */
static bool
skip_container(JsonWalk *walk)
{
	int			depth = 1;

	while (walk->at < walk->end)
	{
		switch (*walk->at++)
		{
			case '"':
				if (!skip_string(walk))
					return false;
				break;
			case '{':
			case '[':
				depth++;
				break;
			case '}':
			case ']':
				if (--depth == 0)
					return true;
				break;
			default:
				break;
		}
	}
	return false;
}

/* Read the value at the walk's place and pass over it. */
bool
json_read(JsonWalk *walk, JsonValue *value)
{
	json_skip_blanks(walk);
	if (walk->at >= walk->end)
		return false;
	value->text = walk->at;
	switch (*walk->at)
	{
		case '"':
			value->kind = JSON_STRING;
			value->text = ++walk->at;
			if (!skip_string(walk))
				return false;
			value->len = walk->at - 1 - value->text;
			return true;
		case '{':
		case '[':
			value->kind = *walk->at == '{' ? JSON_OBJECT : JSON_ARRAY;
			walk->at++;
			if (!skip_container(walk))
				return false;
			value->len = walk->at - value->text;
			return true;
		case 't':
			value->kind = JSON_TRUE;
			break;
		case 'f':
			value->kind = JSON_FALSE;
			break;
		case 'n':
			value->kind = JSON_NULL;
			break;
		default:
			value->kind = JSON_NUMBER;
	}
	while (walk->at < walk->end && *walk->at != ',' && *walk->at != '}' && *walk->at != ']' &&
		   *walk->at != ' ' && *walk->at != '\n' && *walk->at != '\t' && *walk->at != '\r')
		walk->at++;
	value->len = walk->at - value->text;
	return value->len > 0;
}

/* A walk through an object or array; through nothing if it is neither. */
JsonWalk
json_walk(const JsonValue *container)
{
	JsonWalk	walk = {NULL, NULL};

	if (container->kind == JSON_OBJECT || container->kind == JSON_ARRAY)
	{
		walk.at = container->text + 1;
		walk.end = container->text + container->len - 1;
	}
	return walk;
}

/* The next element of an array; false at its end. */
bool
json_next_element(JsonWalk *walk, JsonValue *value)
{
	json_skip_blanks(walk);
	if (walk->at < walk->end && *walk->at == ',')
		walk->at++;
	return json_read(walk, value);
}

/* The next pair of an object; false at its end. */
bool
json_next_pair(JsonWalk *walk, JsonValue *key, JsonValue *value)
{
	if (!json_next_element(walk, key) || key->kind != JSON_STRING)
		return false;
	json_skip_blanks(walk);
	if (walk->at >= walk->end || *walk->at != ':')
		return false;
	walk->at++;
	return json_read(walk, value);
}

/* The value of an object's key, which must need no escape. */
JsonValue
json_find(const JsonValue *object, const char *key)
{
	JsonValue	none = {JSON_MISSING, "", 0};
	JsonValue	name;
	JsonValue	value;
	JsonWalk	walk;

	if (object->kind != JSON_OBJECT)
		return none;
	walk = json_walk(object);
	while (json_next_pair(&walk, &name, &value))
		if (json_is(&name, key))
			return value;
	return none;
}

/* ---- strings ---- */

/* The code of \uXXXX at a place; -1 if it is not that. */
static long
read_unicode(const char *at, const char *end)
{
	long		code = 0;

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
	{
		int			digit = hex_value(at[i]);

		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

/* Append a code point as UTF-8; one that has no UTF-8 as U+FFFD. */
static void
append_code(Buffer *out, uint32_t code)
{
	if (code == 0 || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF)
		code = 0xFFFD;
	buffer_code_point(out, code);
}

/* Append what a string stands for; any other value as it is written. */
void
json_decode(Buffer *out, const JsonValue *string)
{
	const char *at = string->text;
	const char *end = at + string->len;

	if (string->kind != JSON_STRING)
	{
		buffer_append(out, at, string->len);
		return;
	}
	while (at < end)
	{
		const char *slash = memchr(at, '\\', end - at);
		long		code;

		if (slash == NULL || end - slash < 2)
		{
			buffer_append(out, at, end - at);
			return;
		}
		buffer_append(out, at, slash - at);
		at = slash + 2;
		switch (slash[1])
		{
			case 'n':
				buffer_char(out, '\n');
				break;
			case 't':
				buffer_char(out, '\t');
				break;
			case 'r':
				buffer_char(out, '\r');
				break;
			case 'b':
				buffer_char(out, '\b');
				break;
			case 'f':
				buffer_char(out, '\f');
				break;
			case 'u':
				code = read_unicode(slash, end);
				if (code < 0)
				{
					buffer_append(out, slash, 2);
					break;
				}
				at = slash + 6;
				if (code >= 0xD800 && code <= 0xDBFF)
				{
					long		low = read_unicode(at, end);

					if (low >= 0xDC00 && low <= 0xDFFF)
					{
						code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
						at += 6;
					}
				}
				append_code(out, code);
				break;
			default:
				buffer_char(out, slash[1]);
		}
	}
}

/* What a value stands for, as a C string of its own; NULL if it is null or missing. */
char *
json_text(const JsonValue *value)
{
	Buffer		text = {0};

	if (value->kind == JSON_MISSING || value->kind == JSON_NULL)
		return NULL;
	json_decode(&text, value);
	return buffer_text(&text);
}

/* Append text as a JSON string. */
void
json_quote(Buffer *out, const char *text, size_t len)
{
	buffer_char(out, '"');
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		if (c == '"' || c == '\\')
			buffer_char(out, '\\');
		if (c < 0x20)
			buffer_printf(out, "\\u%04x", c);
		else
			buffer_char(out, c);
	}
	buffer_char(out, '"');
}
