/*-------------------------------------------------------------------------
 *
 * parameters.c
 *	  Parameters of a request's query.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

/*
 * Decode %XX, and + where it means a blank.  False if it is not well-formed,
 * or has a NUL, which no text of the database can have.
 */
bool
url_decode(Buffer *out, HttpText text, bool is_query)
{
	for (size_t i = 0; i < text.len; i++)
	{
		char		c = text.at[i];

		if (c == '+' && is_query)
			c = ' ';
		else if (c == '%')
		{
			int			high = text.len - i > 2 ? hex_value(text.at[i + 1]) : -1;
			int			low = text.len - i > 2 ? hex_value(text.at[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char) (high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return false;
		buffer_char(out, c);
	}
	return true;
}

static char *
decoded(HttpText text)
{
	Buffer		out = {0};

	if (!url_decode(&out, text, true))
	{
		buffer_free(&out);
		return NULL;
	}
	return buffer_text(&out);
}

/* Take the query apart.  False if it is not well-formed, or has too many. */
bool
parameters_parse(Request *request)
{
	const char *at = request->http.query.at;
	const char *end = at + request->http.query.len;

	while (at < end)
	{
		const char *amp = memchr(at, '&', end - at);
		const char *stop = amp ? amp : end;
		const char *equals = memchr(at, '=', stop - at);
		Parameter  *next = &request->parameters[request->parameter_count];

		if (stop > at)
		{
			if (request->parameter_count == MAX_PARAMETERS)
				return false;
			next->name = decoded((HttpText) {at, (equals ? equals : stop) - at});
			next->value = decoded((HttpText) {equals ? equals + 1 : stop, equals ? stop - equals - 1 : 0});
			if (next->name == NULL || next->value == NULL)
			{
				free(next->name);
				free(next->value);
				return false;
			}
			request->parameter_count++;
		}
		at = stop + 1;
	}
	return true;
}

/* A parameter's value: the last, where there are several, as in S1's; NULL if there is none. */
const char *
parameter(const Request *request, const char *name)
{
	for (int i = request->parameter_count - 1; i >= 0; i--)
		if (strcmp(request->parameters[i].name, name) == 0)
			return request->parameters[i].value;
	return NULL;
}

/* A whole number within bounds.  False: it is not, and the request has been answered. */
bool
parameter_number(Request *request, const char *name, int64 fallback, int64 min, int64 max, int64 *value)
{
	const char *text = parameter(request, name);
	char	   *end;

	*value = fallback;
	if (text == NULL)
		return true;
	errno = 0;
	*value = strtoll(text, &end, 10);
	if (!(isdigit((unsigned char) text[0]) || text[0] == '-') || *end != '\0' || errno != 0 ||
		*value < min || *value > max)
	{
		if (max == PG_INT64_MAX)
			respond_problem(request, 422, name, "%s must be a whole number of at least %lld", name, (long long) min);
		else
			respond_problem(request, 422, name, "%s must be a whole number between %lld and %lld", name,
							(long long) min, (long long) max);
		return false;
	}
	return true;
}

/* True or false, as S1's framework takes them.  As above. */
bool
parameter_bool(Request *request, const char *name, bool fallback, bool *value)
{
	static const char *const words[] = {"false", "0", "no", "off", "f", "n", "true", "1", "yes", "on", "t", "y"};
	const char *text = parameter(request, name);

	*value = fallback;
	if (text == NULL)
		return true;
	for (int i = 0; i < lengthof(words); i++)
		if (pg_strcasecmp(text, words[i]) == 0)
		{
			*value = i >= lengthof(words) / 2;
			return true;
		}
	respond_problem(request, 422, name, "%s must be true or false", name);
	return false;
}
