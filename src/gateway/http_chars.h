/*-------------------------------------------------------------------------
 *
 * http_chars.h
 *	  What a byte may be part of, in HTTP (RFC 9110, 9112).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_HTTP_CHARS_H
#define WFLOG_HTTP_CHARS_H

#include <string.h>

enum CharClass
{
	TOKEN = 1,					/* of methods and names of headers */
	TARGET = 2,					/* of a request's target */
	VALUE = 4,					/* of a header's value */
	HOST = 8,
	HEX = 16
};

/* What a byte may be part of. */
static inline int
class_of(unsigned char c)
{
	int			class = 0;

	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		class = TOKEN | TARGET | VALUE | HOST;
	else if (c > 0x20 && c < 0x7f)
		class = TARGET | VALUE;
	else if (c == ' ' || c == '\t' || c >= 0x80)
		class = VALUE;
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
		class |= HEX;
	if (c > 0x20 && c < 0x7f && strchr("!#$%&'*+-.^_`|~", c))
		class |= TOKEN;
	if (c != '\0' && strchr("-._~:[]%", c))
		class |= HOST;
	if (c == '#')
		class &= ~TARGET;
	return class;
}

static inline char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

#endif							/* WFLOG_HTTP_CHARS_H */
