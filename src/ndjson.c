/*-------------------------------------------------------------------------
 *
 * ndjson.c
 *	  Reads one line of newline-delimited JSON from bytes nobody vouches for.
 *
 * The grammar is RFC 8259's to the letter, except for what strings may hold
 * (ndjson_string.c), and is read without recursion.
 *
 *-------------------------------------------------------------------------
 */
#include "ndjson.h"

#include <string.h>

static inline bool
is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static void
skip_space(NdjsonReader *reader)
{
	while (reader->at < reader->end && is_space(*reader->at))
		reader->at++;
}

/* Pass a number, of which the first character is a digit or a sign. */
static bool
skip_number(NdjsonReader *reader)
{
	const unsigned char *s = reader->at;
	const unsigned char *end = reader->end;

	if (s < end && *s == '-')
		s++;
	reader->at = s;
	if (s == end || !is_digit(*s))
		return ndjson_fail(reader, "a digit is needed here");
	if (*s == '0')
		s++;
	else
		while (s < end && is_digit(*s))
			s++;
	if (s < end && *s == '.')
	{
		reader->at = ++s;
		if (s == end || !is_digit(*s))
			return ndjson_fail(reader, "a digit is needed here");
		while (s < end && is_digit(*s))
			s++;
	}
	if (s < end && (*s == 'e' || *s == 'E'))
	{
		s++;
		if (s < end && (*s == '+' || *s == '-'))
			s++;
		reader->at = s;
		if (s == end || !is_digit(*s))
			return ndjson_fail(reader, "a digit is needed here");
		while (s < end && is_digit(*s))
			s++;
	}
	reader->at = s;
	return true;
}

static bool
skip_word(NdjsonReader *reader, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
		return ndjson_fail(reader, "this is no JSON value");
	reader->at += len;
	return true;
}

/* Pass a number or a word and tell what it is. */
static bool
read_scalar(NdjsonReader *reader, NdjsonKind *kind)
{
	switch (reader->at == reader->end ? 0 : *reader->at)
	{
		case 'n':
			*kind = NDJSON_NULL;
			return skip_word(reader, "null");
		case 't':
			*kind = NDJSON_TRUE;
			return skip_word(reader, "true");
		case 'f':
			*kind = NDJSON_FALSE;
			return skip_word(reader, "false");
		case '-':
		case '0':
		case '1':
		case '2':
		case '3':
		case '4':
		case '5':
		case '6':
		case '7':
		case '8':
		case '9':
			*kind = NDJSON_NUMBER;
			return skip_number(reader);
		default:
			return ndjson_fail(reader, reader->at == reader->end ? "a value is missing" :
						"this is no JSON value");
	}
}

/*
 * A string within a container: if it cannot stand as it is, what precedes it
 * and its escaped form go to the buffer.
 */
static bool
read_inner_string(NdjsonReader *reader, const unsigned char **start)
{
	const unsigned char *quote = reader->at++;
	NdjsonValue string;
	bool		verbatim;

	if (!ndjson_read_string(reader, &reader->string, &string, &verbatim))
		return false;
	if (!verbatim)
	{
		ndjson_append(&reader->value, *start, quote - *start);
		ndjson_append_string(&reader->value, string.text, string.len);
		*start = reader->at;
	}
	return true;
}

/*
 * Read an object or array that begins at the reader's place.  The text is a
 * slice of the line if all its strings can stand as they are.
 */
static bool
read_container(NdjsonReader *reader, NdjsonValue *value)
{
	const unsigned char *start = reader->at;
	bool		in_object[NDJSON_MAX_DEPTH];
	int			depth = 0;
	bool		need_value = true;	/* else a comma or the end */
	NdjsonKind	kind;

	value->kind = *start == '{' ? NDJSON_OBJECT : NDJSON_ARRAY;
	reader->value.len = 0;
	do
	{
		unsigned char c;

		skip_space(reader);
		if (reader->at == reader->end)
			return ndjson_fail(reader, "the line ends within a value");
		c = *reader->at;

		if (!need_value && c == (in_object[depth - 1] ? '}' : ']'))
		{
			reader->at++;
			depth--;
			continue;
		}
		if (!need_value)
		{
			if (c != ',')
				return ndjson_fail(reader, "a comma or the closing bracket is needed here");
			reader->at++;
			skip_space(reader);
			c = reader->at == reader->end ? 0 : *reader->at;
		}
		else if (c == '{' || c == '[')
		{
			/* open it, and close it at once if it is empty */
			if (depth == NDJSON_MAX_DEPTH)
				return ndjson_fail(reader, "the value is nested too deeply");
			in_object[depth++] = c == '{';
			reader->at++;
			skip_space(reader);
			c = reader->at == reader->end ? 0 : *reader->at;
			if (c == (in_object[depth - 1] ? '}' : ']'))
			{
				need_value = false;
				continue;
			}
		}
		else
		{
			if (c == '"' ? !read_inner_string(reader, &start) : !read_scalar(reader, &kind))
				return false;
			need_value = false;
			continue;
		}

		/* at the beginning of a member */
		if (in_object[depth - 1])
		{
			if (c != '"')
				return ndjson_fail(reader, "a key in quotes is needed here");
			if (!read_inner_string(reader, &start))
				return false;
			skip_space(reader);
			if (reader->at == reader->end || *reader->at != ':')
				return ndjson_fail(reader, "a colon is needed here");
			reader->at++;
		}
		need_value = true;
	} while (depth > 0);

	if (reader->value.len == 0)
	{
		value->text = (const char *) start;
		value->len = reader->at - start;
	}
	else
	{
		ndjson_append(&reader->value, start, reader->at - start);
		value->text = reader->value.data;
		value->len = reader->value.len;
	}
	return true;
}

/* Does a line have nothing but white space? */
bool
ndjson_is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_space((unsigned char) line[i]))
			return false;
	return true;
}

/*
 * Begin a line, which must stay where it is until it has been read.  The
 * reader's buffers are kept from line to line; before the first they must be
 * zero.  False if the line is no object.
 */
bool
ndjson_open(NdjsonReader *reader, const char *line, size_t len)
{
	reader->line = (const unsigned char *) line;
	reader->at = reader->line;
	reader->end = reader->line + len;
	reader->started = false;
	reader->error = NULL;

	skip_space(reader);
	if (reader->at == reader->end || *reader->at != '{')
		return ndjson_fail(reader, "a JSON object is needed");
	reader->at++;
	return true;
}

/*
 * Read the next key and value of the line's object.  Both are valid until the
 * next call.  After NDJSON_ERROR the reader says what is wrong, and where.
 */
NdjsonResult
ndjson_next(NdjsonReader *reader, NdjsonValue *key, NdjsonValue *value)
{
	const unsigned char *start;
	bool		verbatim;

	skip_space(reader);
	if (reader->at < reader->end && *reader->at == '}')
	{
		reader->at++;
		skip_space(reader);
		if (reader->at == reader->end)
			return NDJSON_END;
		ndjson_fail(reader, "the line goes on after its object");
		return NDJSON_ERROR;
	}
	if (reader->started)
	{
		if (reader->at == reader->end || *reader->at != ',')
		{
			ndjson_fail(reader, reader->at == reader->end ? "the object has no end" :
				 "a comma or the closing bracket is needed here");
			return NDJSON_ERROR;
		}
		reader->at++;
		skip_space(reader);
	}
	reader->started = true;

	if (reader->at == reader->end || *reader->at != '"')
	{
		ndjson_fail(reader, reader->at == reader->end ? "the object has no end" :
			 "a key in quotes is needed here");
		return NDJSON_ERROR;
	}
	reader->at++;
	if (!ndjson_read_string(reader, &reader->key, key, &verbatim))
		return NDJSON_ERROR;

	skip_space(reader);
	if (reader->at == reader->end || *reader->at != ':')
	{
		ndjson_fail(reader, "a colon is needed here");
		return NDJSON_ERROR;
	}
	reader->at++;
	skip_space(reader);

	start = reader->at;
	if (start < reader->end && *start == '"')
	{
		reader->at++;
		return ndjson_read_string(reader, &reader->value, value, &verbatim) ? NDJSON_PAIR : NDJSON_ERROR;
	}
	if (start < reader->end && (*start == '{' || *start == '['))
		return read_container(reader, value) ? NDJSON_PAIR : NDJSON_ERROR;
	if (!read_scalar(reader, &value->kind))
		return NDJSON_ERROR;
	value->text = (const char *) start;
	value->len = reader->at - start;
	return NDJSON_PAIR;
}
