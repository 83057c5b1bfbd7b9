/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  JSON, times and shell words, written from bytes nobody vouches for.
 *
 *-------------------------------------------------------------------------
 */
#include "encode.h"

#include <time.h>

#define ESCAPED_BYTE 4			/* stored bytes of one that text cannot hold: \x00 */

/*
 * Append a JSON string, with its quotes.  Bytes that are no UTF-8, and NUL,
 * go as they are: append_lines() on the server keeps them as escapes.
 */
void
encode_json(Buffer *out, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *) text;
	const unsigned char *end = s + len;
	char	   *to;

	buffer_reserve(out, len * 6 + 2);
	to = out->data + out->len;
	*to++ = '"';
	while (s < end)
	{
		const unsigned char *plain = s;

		while (s < end && (*s >= 0x20 || *s == 0) && *s != '"' && *s != '\\')
			s++;
		memcpy(to, plain, s - plain);
		to += s - plain;
		if (s == end)
			break;
		*to++ = '\\';
		switch (*s)
		{
			case '"':
			case '\\':
				*to++ = (char) *s;
				break;
			case '\n':
				*to++ = 'n';
				break;
			case '\r':
				*to++ = 'r';
				break;
			case '\t':
				*to++ = 't';
				break;
			default:
				memcpy(to, "u00", 3);
				to[3] = hex[*s >> 4];
				to[4] = hex[*s & 15];
				to += 5;
		}
		s++;
	}
	*to++ = '"';
	out->len = to - out->data;
}

/* Append a time, microseconds since 1970, as 2026-01-31T12:00:00.000000Z. */
void
encode_time(Buffer *out, int64_t microseconds)
{
	static int64_t known = INT64_MIN;	/* the second that "day" is about */
	static char day[64];
	int64_t		second = microseconds / 1000000;
	int64_t		rest = microseconds % 1000000;
	char	   *to;

	if (rest < 0)
	{
		rest += 1000000;
		second--;
	}
	if (second != known)
	{
		time_t		when = (time_t) second;
		struct tm	broken;

		gmtime_r(&when, &broken);
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S.", &broken);
		known = second;
	}
	buffer_string(out, day);
	buffer_reserve(out, 7);
	to = out->data + out->len;
	for (int i = 5; i >= 0; i--)
	{
		to[i] = (char) ('0' + rest % 10);
		rest /= 10;
	}
	to[6] = 'Z';
	out->len += 7;
}

/* Append a word as a shell would read it back. */
void
encode_shell_word(Buffer *out, const char *word)
{
	static const char safe[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";

	if (*word != '\0' && word[strspn(word, safe)] == '\0')
	{
		buffer_string(out, word);
		return;
	}
	buffer_char(out, '\'');
	for (; *word; word++)
	{
		if (*word == '\'')
			buffer_string(out, "'\\''");
		else
			buffer_char(out, *word);
	}
	buffer_char(out, '\'');
}

/*
 * Length of the valid UTF-8 sequence that text begins with; 0 if there is
 * none.  NUL is none either, as PostgreSQL's text cannot hold it.
 */
int
utf8_sequence(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *) text;
	int			need;

	if (len == 0 || s[0] == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	need = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (len < (size_t) need)
		return 0;
	for (int i = 1; i < need; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
		(s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
		return 0;
	return need;
}

/*
 * How many bytes of the text the server stores in at most so many: those
 * that text cannot hold take four there.  Ends between characters, and takes
 * at least one of them.
 */
size_t
stored_prefix(const char *text, size_t len, size_t limit)
{
	size_t		at = 0;
	size_t		stored = 0;

	if (len <= limit / ESCAPED_BYTE)
		return len;
	while (at < len)
	{
		unsigned char c = (unsigned char) text[at];
		int			raw = 1;
		int			cost = 1;

		if (c == '\\')
		{
			/* stored as \x5c where it would read like an escape */
			if (at + 1 < len && (text[at + 1] == 'x' || text[at + 1] == 'u'))
				cost = ESCAPED_BYTE;
		}
		else if (c == 0 || c >= 0x80)
		{
			raw = utf8_sequence(text + at, len - at);
			cost = raw;
			if (raw == 0)
			{
				raw = 1;
				cost = ESCAPED_BYTE;
			}
		}
		if (stored + cost > limit && at > 0)
			break;
		stored += cost;
		at += raw;
	}
	return at;
}
