/*-------------------------------------------------------------------------
 *
 * ndjson_string.c
 *	  Strings of newline-delimited JSON, from bytes nobody vouches for.
 *
 * A log must not be lost because a child process printed bytes that text
 * cannot hold.  Inside strings, and there only, these are escaped:
 *
 *	  a NUL byte, or a byte that is no valid UTF-8     \x00, \x80 ... \xff
 *	  the JSON escape \u0000                           \u0000
 *	  the JSON escape of a surrogate without partner   \ud800 ... \udfff
 *	  a backslash before what reads like one of these  \x5c
 *
 * each of them as plain characters of the text, in lower case.  Because of
 * the last line the escaping can be undone: wherever one of these sequences
 * stands in a text that was read, it was put there by the rule (the last
 * one's include \x5c itself), and ndjson_unescape() gives back the bytes.
 * Any other backslash stands for itself.  Raw control characters, which JSON
 * forbids, are taken for what they are.
 *
 *-------------------------------------------------------------------------
 */
#include "ndjson.h"

#include <stdint.h>
#include <string.h>

/*
 * While a string is put together, these bytes, which no UTF-8 has, stand for
 * the backslash of an escape and for a backslash that must be escaped.
 */
#define MARK_ESCAPE 0xFF
#define MARK_BACKSLASH 0xFE

static const char hex_digits[] = "0123456789abcdef";

/* ---- buffers ---- */

static inline void
make_room(NdjsonBuffer *buffer, size_t more)
{
	if (buffer->size - buffer->len < more)
		ndjson_enlarge(buffer, buffer->len + more);
}

/* Append bytes to a buffer. */
void
ndjson_append(NdjsonBuffer *buffer, const void *bytes, size_t len)
{
	make_room(buffer, len);
	if (len > 0)
		memcpy(buffer->data + buffer->len, bytes, len);
	buffer->len += len;
}

static inline void
append_byte(NdjsonBuffer *buffer, unsigned char byte)
{
	make_room(buffer, 1);
	buffer->data[buffer->len++] = (char) byte;
}

/* ---- characters ---- */

static inline bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* Value of a hexadecimal digit, or -1. */
static int
hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static inline bool
is_continuation(unsigned char c)
{
	return (c & 0xC0) == 0x80;
}

/*
 * Length of the valid UTF-8 sequence at s, whose first byte is not ASCII; 0
 * if there is none.  Overlong forms, surrogates and what is beyond U+10FFFF
 * are invalid, as for PostgreSQL.
 */
static int
utf8_length(const unsigned char *s, const unsigned char *end)
{
	size_t		room = end - s;

	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	if (room < 2 || !is_continuation(s[1]))
		return 0;
	if (s[0] < 0xE0)
		return 2;
	if (room < 3 || !is_continuation(s[2]))
		return 0;
	if (s[0] < 0xF0)
		return (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ? 0 : 3;
	if (room < 4 || !is_continuation(s[3]))
		return 0;
	return (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F) ? 0 : 4;
}

/* Write a code point as UTF-8 to at most four bytes; returns how many. */
static int
encode_utf8(uint32_t code, unsigned char *out)
{
	if (code < 0x80)
	{
		out[0] = code;
		return 1;
	}
	if (code < 0x800)
	{
		out[0] = 0xC0 | (code >> 6);
		out[1] = 0x80 | (code & 0x3F);
		return 2;
	}
	if (code < 0x10000)
	{
		out[0] = 0xE0 | (code >> 12);
		out[1] = 0x80 | ((code >> 6) & 0x3F);
		out[2] = 0x80 | (code & 0x3F);
		return 3;
	}
	out[0] = 0xF0 | (code >> 18);
	out[1] = 0x80 | ((code >> 12) & 0x3F);
	out[2] = 0x80 | ((code >> 6) & 0x3F);
	out[3] = 0x80 | (code & 0x3F);
	return 4;
}

/*
 * First byte at or after s that is not a plain character of a string: a
 * quote, a backslash, a control character or not ASCII.  Eight at a time.
 */
static const unsigned char *
skip_plain(const unsigned char *s, const unsigned char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);

	while (end - s >= 8)
	{
		uint64_t	word;
		uint64_t	quote;
		uint64_t	backslash;

		memcpy(&word, s, sizeof(word));
		quote = word ^ (ones * '"');
		backslash = word ^ (ones * '\\');
		/* a borrow can only report too much, which the loop below sorts out */
		if (((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops) != 0)
			break;
		s += 8;
	}
	while (s < end && *s >= 0x20 && *s < 0x80 && *s != '"' && *s != '\\')
		s++;
	return s;
}

/* ---- the escapes of our own ---- */

/*
 * Length of the escape whose backslash stands just before s, without that
 * backslash, or 0 if that is an ordinary backslash.  *code is the byte for
 * the forms with x, the code point for those with u.
 */
static int
match_escape(const unsigned char *s, const unsigned char *end, uint32_t *code)
{
	int			digits;
	uint32_t	value = 0;

	if (s == end || (*s != 'x' && *s != 'u'))
		return 0;
	digits = *s == 'x' ? 2 : 4;
	if (end - s <= digits)
		return 0;
	for (int i = 1; i <= digits; i++)
	{
		if (!is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return 0;
		value = value << 4 | hex_value(s[i]);
	}
	if (digits == 2 ? value != 0 && value != '\\' && value < 0x80
		: value != 0 && (value < 0xD800 || value > 0xDFFF))
		return 0;
	*code = value;
	return digits + 1;
}

/* Append the escape of a byte, marked. */
static void
append_byte_escape(NdjsonBuffer *buffer, unsigned char byte)
{
	unsigned char escape[4] = {MARK_ESCAPE, 'x', hex_digits[byte >> 4], hex_digits[byte & 15]};

	ndjson_append(buffer, escape, sizeof(escape));
}

/* Append the escape of a code point, marked. */
static void
append_code_escape(NdjsonBuffer *buffer, uint32_t code)
{
	unsigned char escape[6] = {MARK_ESCAPE, 'u', hex_digits[code >> 12], hex_digits[(code >> 8) & 15],
	hex_digits[(code >> 4) & 15], hex_digits[code & 15]};

	ndjson_append(buffer, escape, sizeof(escape));
}

/*
 * Turn the marks of a string into what they stand for, having found the
 * backslashes that would be taken for escapes.  Returns whether there is any
 * escape in it.
 */
static bool
settle_marks(NdjsonBuffer *buffer)
{
	unsigned char *data = (unsigned char *) buffer->data;
	unsigned char *end = data + buffer->len;
	size_t		ambiguous = 0;
	bool		escaped = false;
	uint32_t	code;

	for (unsigned char *s = data; s < end; s++)
	{
		if (*s == MARK_ESCAPE)
		{
			*s = '\\';
			escaped = true;
		}
		else if (*s == '\\' && match_escape(s + 1, end, &code) > 0)
		{
			*s = MARK_BACKSLASH;
			ambiguous++;
		}
	}
	if (ambiguous == 0)
		return escaped;

	/* Make room from the end: each one grows by three bytes. */
	make_room(buffer, ambiguous * 3);
	data = (unsigned char *) buffer->data;
	for (unsigned char *from = data + buffer->len, *to = from + ambiguous * 3; from < to;)
	{
		unsigned char c = *--from;

		if (c != MARK_BACKSLASH)
			*--to = c;
		else
		{
			to -= 4;
			memcpy(to, "\\x5c", 4);
		}
	}
	buffer->len += ambiguous * 3;
	return true;
}

/*
 * Undo the escaping: writes what the text stands for, a surrogate as three
 * bytes, and returns the length, which is never more than the text's.
 */
size_t
ndjson_unescape(const char *text, size_t len, unsigned char *bytes)
{
	const unsigned char *s = (const unsigned char *) text;
	const unsigned char *end = s + len;
	unsigned char *out = bytes;

	while (s < end)
	{
		uint32_t	code;
		int			matched;

		if (*s != '\\' || (matched = match_escape(s + 1, end, &code)) == 0)
		{
			*out++ = *s++;
			continue;
		}
		if (s[1] == 'x')
			*out++ = (unsigned char) code;
		else
			out += encode_utf8(code, out);
		s += 1 + matched;
	}
	return out - bytes;
}

/* ---- strings ---- */

/* Note what is wrong at the reader's place. */
bool
ndjson_fail(NdjsonReader *reader, const char *error)
{
	reader->error = error;
	return false;
}

/* Read the four digits of a \u escape. */
static bool
read_code_unit(NdjsonReader *reader, const unsigned char *s, uint32_t *unit)
{
	*unit = 0;
	if (reader->end - s < 4)
		return ndjson_fail(reader, "\\u needs four hexadecimal digits");
	for (int i = 0; i < 4; i++)
	{
		int			digit = hex_value(s[i]);

		if (digit < 0)
			return ndjson_fail(reader, "\\u needs four hexadecimal digits");
		*unit = *unit << 4 | digit;
	}
	return true;
}

/* Decode the \u escape whose digits stand at the reader's place. */
static bool
decode_unicode_escape(NdjsonReader *reader, NdjsonBuffer *buffer)
{
	uint32_t	code;
	uint32_t	low;
	unsigned char utf8[4];

	if (!read_code_unit(reader, reader->at, &code))
		return false;
	reader->at += 4;

	if (code >= 0xD800 && code <= 0xDBFF &&
		reader->end - reader->at >= 6 && reader->at[0] == '\\' && reader->at[1] == 'u')
	{
		if (!read_code_unit(reader, reader->at + 2, &low))
			return false;
		if (low >= 0xDC00 && low <= 0xDFFF)
		{
			code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
			reader->at += 6;
		}
	}

	if (code == 0 || (code >= 0xD800 && code <= 0xDFFF))
		append_code_escape(buffer, code);
	else
		ndjson_append(buffer, utf8, encode_utf8(code, utf8));
	return true;
}

/* Decode the escape whose backslash has just been passed. */
static bool
decode_escape(NdjsonReader *reader, NdjsonBuffer *buffer)
{
	unsigned char c;

	if (reader->at == reader->end)
		return ndjson_fail(reader, "the string has no end");
	c = *reader->at;
	switch (c)
	{
		case '"':
		case '\\':
		case '/':
			break;
		case 'b':
			c = '\b';
			break;
		case 'f':
			c = '\f';
			break;
		case 'n':
			c = '\n';
			break;
		case 'r':
			c = '\r';
			break;
		case 't':
			c = '\t';
			break;
		case 'u':
			reader->at++;
			return decode_unicode_escape(reader, buffer);
		default:
			return ndjson_fail(reader, "there is no such escape in JSON");
	}
	reader->at++;
	append_byte(buffer, c);
	return true;
}

/*
 * Read the string whose opening quote has just been passed.  The text is a
 * slice of the line if it can be, else it is in the buffer.  *verbatim tells
 * whether the line's own form of the string is good JSON of the same text.
 */
bool
ndjson_read_string(NdjsonReader *reader, NdjsonBuffer *buffer, NdjsonValue *value, bool *verbatim)
{
	const unsigned char *start = reader->at;	/* not yet in the buffer */
	bool		sliced = true;

	value->kind = NDJSON_STRING;
	*verbatim = true;
	buffer->len = 0;
	for (;;)
	{
		unsigned char c;
		int			len;

		reader->at = skip_plain(reader->at, reader->end);
		if (reader->at == reader->end)
			return ndjson_fail(reader, "the string has no end");
		c = *reader->at;
		if (c == '"')
			break;
		if (c >= 0x80 && (len = utf8_length(reader->at, reader->end)) > 0)
		{
			reader->at += len;
			continue;
		}
		if (c < 0x20 && c != 0)
		{
			*verbatim = false;
			reader->at++;
			continue;
		}

		ndjson_append(buffer, start, reader->at - start);
		sliced = false;
		reader->at++;
		if (c != '\\')
			append_byte_escape(buffer, c);
		else if (!decode_escape(reader, buffer))
			return false;
		start = reader->at;
	}

	if (sliced)
	{
		value->text = (const char *) start;
		value->len = reader->at - start;
	}
	else
	{
		ndjson_append(buffer, start, reader->at - start);
		if (settle_marks(buffer))
			*verbatim = false;
		value->text = buffer->data;
		value->len = buffer->len;
	}
	reader->at++;
	return true;
}

/* Append a text as a JSON string. */
void
ndjson_append_string(NdjsonBuffer *buffer, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *) text;
	const unsigned char *end = s + len;

	append_byte(buffer, '"');
	while (s < end)
	{
		const unsigned char *start = s;

		/* beyond ASCII it is valid already */
		while ((s = skip_plain(s, end)) < end && *s >= 0x80)
			s++;
		ndjson_append(buffer, start, s - start);
		if (s == end)
			break;
		if (*s >= 0x20)
		{
			append_byte(buffer, '\\');
			append_byte(buffer, *s);
		}
		else
		{
			unsigned char escape[6] = {'\\', 'u', '0', '0', hex_digits[*s >> 4], hex_digits[*s & 15]};

			ndjson_append(buffer, escape, sizeof(escape));
		}
		s++;
	}
	append_byte(buffer, '"');
}
