/*-------------------------------------------------------------------------
 *
 * unescape.c
 *	  Undoes the escapes in which the server keeps what its texts cannot hold.
 *
 *-------------------------------------------------------------------------
 */
#include "unescape.h"

/* Is this, behind a backslash of a text, one of the server's escapes?  Its length, or 0. */
static size_t
escape_length(const char *at, size_t room)
{
	static const char hex[] = "0123456789abcdef";

	if (room >= 3 && at[0] == 'x' && memchr(hex, at[1], 16) && memchr(hex, at[2], 16) &&
		(strncmp(at, "x00", 3) == 0 || strncmp(at, "x5c", 3) == 0 || at[1] >= '8'))
		return 3;
	if (room >= 5 && at[0] == 'u' &&
		(strncmp(at, "u0000", 5) == 0 ||
		 (at[1] == 'd' && at[2] >= '8' && memchr(hex, at[2], 16) && memchr(hex, at[3], 16) &&
		  memchr(hex, at[4], 16))))
		return 5;
	return 0;
}

static int
hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/*
 * Undo the escapes of the server in the strings of a line, which it will make
 * again: there \\x00 is a backslash and three characters, here the byte.
 */
void
undo_escapes(const char *line, size_t len, Buffer *out)
{
	const char *end = line + len;

	buffer_clear(out);
	while (line < end)
	{
		size_t		escape;

		if (*line != '\\' || end - line < 2)
		{
			buffer_char(out, *line++);
			continue;
		}
		escape = line[1] == '\\' ? escape_length(line + 2, end - line - 2) : 0;
		if (escape == 5)
		{
			/* JSON has the same escape */
			buffer_char(out, '\\');
			buffer_append(out, line + 2, 5);
		}
		else if (escape == 3 && memcmp(line + 2, "x5c", 3) != 0)
			buffer_char(out, (char) (hex_digit(line[3]) << 4 | hex_digit(line[4])));
		else
			buffer_append(out, line, 2);
		line += 2 + escape;
	}
}
