/*-------------------------------------------------------------------------
 *
 * accept.c
 *	  Which form of an answer the client wants, and which form a body has.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static HttpText
trimmed(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	while (at < end && is_blank(end[-1]))
		end--;
	return (HttpText) {at, end - at};
}

/*
 * Take the next piece of a list, up to a separator that is not within quotes.
 * False at its end.
 */
static bool
next_piece(HttpText *list, char separator, HttpText *piece)
{
	const char *at = list->at;
	const char *end = list->at + list->len;
	bool		quoted = false;

	if (at == NULL || at >= end)
		return false;
	for (; at < end && (quoted || *at != separator); at++)
	{
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '\\' && quoted && at + 1 < end)
			at++;
	}
	*piece = trimmed(list->at, at);
	list->at = Min(at + 1, end);
	list->len = end - list->at;
	return true;
}

/* A weight, in thousandths; what is none is 1. */
static int
read_weight(HttpText text)
{
	int			weight = 0;
	int			worth = 100;

	if (text.len == 0 || text.at[0] != '0')
		return 1000;
	for (size_t i = 2; i < text.len && worth > 0; i++, worth /= 10)
		if (isdigit((unsigned char) text.at[i]))
			weight += (text.at[i] - '0') * worth;
	return weight;
}

/* How exactly a range names a type: 0 not at all, 1 by a star, 2 by its first half, 3 in full. */
static int
range_fits(HttpText range, const char *type)
{
	size_t		half = strchr(type, '/') + 1 - type;

	if (http_text_is(range, "*/*"))
		return 1;
	if (range.len == half + 1 && range.at[half] == '*' && pg_strncasecmp(range.at, type, half) == 0)
		return 2;
	return http_text_is_ignoring_case(range, type) ? 3 : 0;
}

/*
 * Which of the types a client likes most, by its header Accept; of several the
 * first.  -1: it takes none of them.  Without the header it takes any.
 */
int
accept_choose(HttpText accept, const char *const *types, int count)
{
	int			best = -1;
	int			best_weight = 0;

	if (accept.len == 0)
		return 0;
	for (int i = 0; i < count; i++)
	{
		HttpText	list = accept;
		HttpText	range;
		int			weight = 0;
		int			fit = 0;

		while (next_piece(&list, ',', &range))
		{
			HttpText	rest = range;
			HttpText	name;
			HttpText	piece;
			int			its_fit;
			int			its_weight = 1000;

			if (!next_piece(&rest, ';', &name))
				continue;
			while (next_piece(&rest, ';', &piece))
				if (piece.len > 2 && (piece.at[0] == 'q' || piece.at[0] == 'Q') && piece.at[1] == '=')
					its_weight = read_weight((HttpText) {piece.at + 2, piece.len - 2});
			its_fit = range_fits(name, types[i]);
			/* what is named more exactly is what counts */
			if (its_fit > fit)
			{
				fit = its_fit;
				weight = its_weight;
			}
		}
		if (weight > best_weight)
		{
			best = i;
			best_weight = weight;
		}
	}
	return best;
}

/* Is the body of that type?  In UTF-8, if its charset is said. */
bool
content_type_is(const Request *request, const char *type)
{
	HttpText	list = http_header(&request->http, "Content-Type");
	HttpText	piece;

	if (!next_piece(&list, ';', &piece) || !http_text_is_ignoring_case(piece, type))
		return false;
	while (next_piece(&list, ';', &piece))
		if (piece.len > 8 && pg_strncasecmp(piece.at, "charset=", 8) == 0)
		{
			HttpText	charset = {piece.at + 8, piece.len - 8};

			if (!http_text_is_ignoring_case(charset, "utf-8") && !http_text_is_ignoring_case(charset, "\"utf-8\""))
				return false;
		}
	return true;
}
