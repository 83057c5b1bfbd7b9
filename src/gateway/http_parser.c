/*-------------------------------------------------------------------------
 *
 * http_parser.c
 *	  Reads the heads of HTTP/1.1 requests, and refuses what could be read in
 *	  two ways.
 *
 * A gateway stands behind proxies.  Where the two disagree about the end of a
 * request, somebody gets somebody else's answer, so nothing is mended or
 * guessed here: lines end in CR LF, there is one Content-Length of digits or
 * one Transfer-Encoding "chunked" and never both, and everything else is an
 * error after which the connection is closed (RFC 9112).
 *
 *-------------------------------------------------------------------------
 */
#include "http_chars.h"
#include "http_parser.h"

/* Are all bytes of the class, and is there one? */
static bool
is_all(HttpText text, int class)
{
	for (size_t i = 0; i < text.len; i++)
		if (!(class_of(text.at[i]) & class))
			return false;
	return text.len > 0;
}

bool
http_text_is(HttpText text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

bool
http_text_is_ignoring_case(HttpText text, const char *word)
{
	if (text.len != strlen(word))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (lower(text.at[i]) != lower(word[i]))
			return false;
	return true;
}

/* The first header of that name; of length 0, with a NULL, if there is none. */
HttpText
http_header(const HttpRequest *request, const char *name)
{
	for (int i = 0; i < request->header_count; i++)
		if (http_text_is_ignoring_case(request->headers[i].name, name))
			return request->headers[i].value;
	return (HttpText) {NULL, 0};
}

/* ---- the head ---- */

/*
 * Look for the end of a head in what has been received so far.  Done: its
 * length, with the empty line, is in *head_len.  A line that does not end in
 * CR LF, or a limit, is noticed as soon as it is there, not when a head that
 * never ends is given up.
 */
int
http_scan_head(HttpScan *scan, const char *bytes, size_t len, size_t *head_len)
{
	while (scan->scanned < len)
	{
		const char *from = bytes + scan->scanned;
		const char *newline = memchr(from, '\n', len - scan->scanned);
		size_t		upto = newline ? (size_t) (newline - bytes) : len;

		if (memchr(from, '\0', upto - scan->scanned))
			return 400;
		if (scan->lines == 0 && upto - scan->line_start > HTTP_MAX_LINE)
			return 414;
		if (upto + 1 > HTTP_MAX_HEAD)
			return 431;
		if (newline == NULL)
		{
			scan->scanned = len;
			return HTTP_PARSE_MORE;
		}
		if (upto == scan->line_start || bytes[upto - 1] != '\r')
			return 400;
		if (upto - 1 == scan->line_start)
		{
			if (scan->lines == 0)
				return 400;
			*head_len = upto + 1;
			return HTTP_PARSE_DONE;
		}
		if (++scan->lines > HTTP_MAX_HEADERS + 1)
			return 431;
		scan->scanned = scan->line_start = upto + 1;
	}
	return HTTP_PARSE_MORE;
}

/* Take a line, without its end; there is one, since the head has been scanned. */
static HttpText
take_line(const char **at, const char *end)
{
	const char *newline = memchr(*at, '\n', end - *at);
	HttpText	line = {*at, newline - 1 - *at};

	*at = newline + 1;
	return line;
}

/* Take apart http://host/path?query, or /path?query, or *. */
static int
parse_target(HttpRequest *request)
{
	HttpText	rest = request->target;
	const char *mark;

	if (!is_all(rest, TARGET))
		return 400;
	if (rest.len > 7 && http_text_is_ignoring_case((HttpText) {rest.at, 7}, "http://"))
	{
		const char *slash = memchr(rest.at + 7, '/', rest.len - 7);

		/* for others the host ends before a ? */
		if (slash == NULL || !is_all((HttpText) {rest.at + 7, slash - rest.at - 7}, HOST))
			return 400;
		rest.len -= slash - rest.at;
		rest.at = slash;
	}
	if (rest.at[0] != '/' && !(rest.len == 1 && rest.at[0] == '*' &&
							   http_text_is(request->method, "OPTIONS")))
		return 400;
	mark = memchr(rest.at, '?', rest.len);
	request->path = rest;
	request->query = (HttpText) {rest.at + rest.len, 0};
	if (mark)
	{
		request->path.len = mark - rest.at;
		request->query.at = mark + 1;
		request->query.len = rest.at + rest.len - mark - 1;
	}
	return HTTP_PARSE_DONE;
}

static int
parse_first_line(HttpRequest *request, HttpText line)
{
	const char *first = memchr(line.at, ' ', line.len);
	const char *second;
	HttpText	version;

	if (first == NULL)
		return 400;
	request->method = (HttpText) {line.at, first - line.at};
	second = memchr(first + 1, ' ', line.at + line.len - first - 1);
	if (second == NULL)
		return 400;
	request->target = (HttpText) {first + 1, second - first - 1};
	version = (HttpText) {second + 1, line.at + line.len - second - 1};
	if (!is_all(request->method, TOKEN))
		return 400;
	if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || version.at[6] != '.' ||
		version.at[5] < '0' || version.at[5] > '9' || version.at[7] < '0' || version.at[7] > '9')
		return 400;
	if (version.at[5] != '1' || version.at[7] > '1')
		return 505;
	request->minor_version = version.at[7] - '0';
	return parse_target(request);
}

static int
parse_header(HttpHeader *header, HttpText line)
{
	const char *colon = memchr(line.at, ':', line.len);
	HttpText	value;

	if (colon == NULL)
		return 400;
	header->name = (HttpText) {line.at, colon - line.at};
	/* also refuses a folded line, which begins with a blank */
	if (!is_all(header->name, TOKEN))
		return 400;
	value = (HttpText) {colon + 1, line.at + line.len - colon - 1};
	while (value.len > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
	{
		value.at++;
		value.len--;
	}
	while (value.len > 0 && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
		value.len--;
	if (value.len > 0 && !is_all(value, VALUE))
		return 400;
	header->value = value;
	return HTTP_PARSE_DONE;
}

/* Is a word one of a list with commas, whatever its case? */
static bool
list_has(HttpText list, const char *word)
{
	const char *end = list.at + list.len;

	while (list.at < end)
	{
		const char *comma = memchr(list.at, ',', end - list.at);
		HttpText	item = {list.at, (comma ? comma : end) - list.at};

		while (item.len > 0 && (item.at[0] == ' ' || item.at[0] == '\t'))
		{
			item.at++;
			item.len--;
		}
		while (item.len > 0 && (item.at[item.len - 1] == ' ' || item.at[item.len - 1] == '\t'))
			item.len--;
		if (http_text_is_ignoring_case(item, word))
			return true;
		list.at = comma ? comma + 1 : end;
	}
	return false;
}

/* Content-Length: digits and nothing else. */
static int
parse_length(HttpRequest *request, HttpText value)
{
	uint64_t	length = 0;

	if (value.len == 0)
		return 400;
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] < '0' || value.at[i] > '9')
			return 400;
	if (value.len > 18)
		return 413;
	for (size_t i = 0; i < value.len; i++)
		length = length * 10 + (value.at[i] - '0');
	request->content_length = length;
	request->body = HTTP_BODY_LENGTH;
	return HTTP_PARSE_DONE;
}

/* What the headers say about the message itself. */
static int
parse_framing(HttpRequest *request)
{
	int			hosts = 0;
	int			lengths = 0;
	int			codings = 0;
	int			status;

	request->keep_alive = request->minor_version >= 1;
	for (int i = 0; i < request->header_count; i++)
	{
		HttpHeader *header = &request->headers[i];

		if (http_text_is_ignoring_case(header->name, "Host"))
		{
			if (++hosts > 1 || (header->value.len > 0 && !is_all(header->value, HOST)))
				return 400;
		}
		else if (http_text_is_ignoring_case(header->name, "Content-Length"))
		{
			if (++lengths > 1)
				return 400;
			status = parse_length(request, header->value);
			if (status != HTTP_PARSE_DONE)
				return status;
		}
		else if (http_text_is_ignoring_case(header->name, "Transfer-Encoding"))
		{
			if (++codings > 1 || request->minor_version == 0)
				return 400;
			if (!http_text_is_ignoring_case(header->value, "chunked"))
				return 501;
		}
		else if (http_text_is_ignoring_case(header->name, "Connection"))
		{
			if (list_has(header->value, "close"))
				request->keep_alive = false;
			else if (request->minor_version == 0 && list_has(header->value, "keep-alive"))
				request->keep_alive = true;
		}
		else if (http_text_is_ignoring_case(header->name, "Expect"))
		{
			if (!http_text_is_ignoring_case(header->value, "100-continue"))
				return 417;
			request->expect_continue = request->minor_version >= 1;
		}
	}
	if (lengths > 0 && codings > 0)
		return 400;
	if (codings > 0)
		request->body = HTTP_BODY_CHUNKED;
	if (hosts == 0 && request->minor_version >= 1)
		return 400;
	return HTTP_PARSE_DONE;
}

/*
 * Parse a head that http_scan_head() has found whole.  The request points into
 * it.  Done, or the status to refuse it with.
 */
int
http_parse_head(HttpRequest *request, const char *head, size_t head_len)
{
	const char *at = head;
	const char *end = head + head_len - 2;	/* the empty line */
	int			status;

	request->header_count = 0;
	request->body = HTTP_BODY_NONE;
	request->content_length = 0;
	request->expect_continue = false;
	request->keep_alive = false;
	request->minor_version = 1;
	status = parse_first_line(request, take_line(&at, end));
	if (status != HTTP_PARSE_DONE)
		return status;
	while (at < end)
	{
		if (request->header_count == HTTP_MAX_HEADERS)
			return 431;
		status = parse_header(&request->headers[request->header_count++], take_line(&at, end));
		if (status != HTTP_PARSE_DONE)
			return status;
	}
	return parse_framing(request);
}
