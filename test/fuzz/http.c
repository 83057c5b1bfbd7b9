/*
 * Fuzzer of the gateway's reader of requests, src/gateway/http_{parser,chunks}.c:
 * heads, bodies with a length and in chunks.  How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/http_parser.c src/gateway/http_chunks.c
 *
 * What must hold for any bytes:
 *   - wherever they are cut into pieces, the same is read;
 *   - a request that is accepted is also accepted by a second reading, by regular
 *     expressions and on the whole, and is the same there: method, target,
 *     headers, body and where it ends; and what that one accepts, within the
 *     limits, is accepted;
 *   - written again from its parts it is read as the same.
 */
#include "model.h"

#include <regex.h>
#include <strings.h>

#include "../gateway/reading.h"
#include "target.h"

#define TOKEN_CHARS "[-!#$%&'*+.^_`|~0-9A-Za-z]"
#define HOST_CHARS "[][0-9A-Za-z._~:%-]"
#define VALUE_CHARS "[\t -~\x80-\xff]"

long		fuzz_accepted = 0;
const char *const fuzz_likely = "\r\n \t:;,0159afF/?*%#";

/* ---- cutting ---- */

static size_t cut_at;			/* one cut, there; 0: at random, of at most "most" bytes */
static size_t most;

static size_t
next_cut(size_t at)
{
	if (cut_at == 0)
		return at + 1 + draw(most);
	return at < cut_at ? cut_at : SIZE_MAX;
}

static bool
same_text(HttpText left, HttpText right)
{
	return left.len == right.len && (left.len == 0 || memcmp(left.at, right.at, left.len) == 0);
}

/* Are two requests the same?  The target's own spelling counts. */
static bool
same_request(const HttpRequest *left, const HttpRequest *right)
{
	bool		same = same_text(left->method, right->method) && same_text(left->target, right->target) &&
		same_text(left->path, right->path) && same_text(left->query, right->query) &&
		left->minor_version == right->minor_version && left->header_count == right->header_count &&
		left->body == right->body && left->keep_alive == right->keep_alive &&
		left->expect_continue == right->expect_continue;

	for (int i = 0; same && i < left->header_count; i++)
		same = same_text(left->headers[i].name, right->headers[i].name) &&
			same_text(left->headers[i].value, right->headers[i].value);
	return same;
}

static void
must_be_same(const Outcome *whole, const char *bytes, size_t len)
{
	Outcome		other;

	reading_of(&other, bytes, len, next_cut);
	MUST(other.status == whole->status);
	if (whole->status == HTTP_PARSE_DONE)
	{
		MUST(other.used == whole->used && other.body_len == whole->body_len);
		MUST(memcmp(other.body, whole->body, whole->body_len) == 0);
		MUST(same_request(&other.request, &whole->request));
	}
	reading_free(&other);
}

/* ---- the second reading ---- */

static regex_t first_line;
static regex_t header_line;
static regex_t host_value;
static regex_t chunk_line;

static void
compile(regex_t *regex, const char *pattern)
{
	MUST(regcomp(regex, pattern, REG_EXTENDED) == 0);
}

/* What the second reading makes of a request. */
typedef struct Second
{
	regmatch_t	first[5];		/* of the first line: method, target, its host, minor version */
	int			headers;
	size_t		used;
	char	   *body;
	size_t		body_len;
} Second;

/* Take a line off bytes, NUL-terminated; NULL if none ends, in CR LF and nothing else. */
static char *
take_line(const char *bytes, size_t len, size_t *at)
{
	const char *newline = memchr(bytes + *at, '\n', len - *at);
	size_t		end = newline ? newline - bytes : 0;
	char	   *line;

	if (newline == NULL || end == *at || bytes[end - 1] != '\r')
		return NULL;
	line = own_block(bytes + *at, end - *at);
	line[end - 1 - *at] = '\0';
	if (strlen(line) != end - 1 - *at || strchr(line, '\r'))
	{
		free(line);
		return NULL;
	}
	*at = end + 1;
	return line;
}

static bool
second_chunks(Second *second, const char *bytes, size_t len)
{
	for (;;)
	{
		char	   *line = take_line(bytes, len, &second->used);
		bool		good = line && regexec(&chunk_line, line, 0, NULL, 0) == 0;
		unsigned long long size = good ? strtoull(line, NULL, 16) : 0;

		free(line);
		if (!good)
			return false;
		if (size == 0)
			break;
		if (len - second->used < 2 || size > len - second->used - 2)
			return false;
		memcpy(second->body + second->body_len, bytes + second->used, size);
		second->body_len += size;
		second->used += size + 2;
		if (memcmp(bytes + second->used - 2, "\r\n", 2) != 0)
			return false;
	}
	for (;;)
	{
		char	   *line = take_line(bytes, len, &second->used);
		bool		is_end = line && line[0] == '\0';
		bool		good = is_end || (line && regexec(&header_line, line, 0, NULL, 0) == 0);

		free(line);
		if (!good || is_end)
			return good;
	}
}

/* Headers that say how the request is to be read, and what they say. */
typedef struct Framing
{
	int			hosts;
	int			lengths;
	int			codings;
	bool		good;
	unsigned long long length;
} Framing;

static void
second_header(Framing *framing, const char *line)
{
	size_t		name_len = strcspn(line, ":");
	char	   *value = own_block(line + name_len + 1, strlen(line + name_len + 1) + 1);
	char	   *start = value + strspn(value, " \t");
	size_t		len = strlen(start);

	while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
		start[--len] = '\0';
	if (name_len == 4 && strncasecmp(line, "host", 4) == 0)
	{
		framing->hosts++;
		framing->good &= regexec(&host_value, start, 0, NULL, 0) == 0;
	}
	else if (name_len == 14 && strncasecmp(line, "content-length", 14) == 0)
	{
		framing->lengths++;
		framing->good &= len > 0 && len <= 18 && strspn(start, "0123456789") == len;
		framing->length = strtoull(start, NULL, 10);
	}
	else if (name_len == 17 && strncasecmp(line, "transfer-encoding", 17) == 0)
	{
		framing->codings++;
		framing->good &= strcasecmp(start, "chunked") == 0;
	}
	else if (name_len == 6 && strncasecmp(line, "expect", 6) == 0)
		framing->good &= strcasecmp(start, "100-continue") == 0;
	free(value);
}

/* Read the request at the beginning of bytes; false: it is none, or not whole. */
static bool
second_reading(Second *second, const char *bytes, size_t len)
{
	Framing		framing = {.good = true};
	char	   *line = take_line(bytes, len, &second->used);
	bool		good = line && regexec(&first_line, line, 5, second->first, 0) == 0;
	int			minor = good ? line[second->first[4].rm_so] - '0' : 0;
	const char *target = good ? line + second->first[2].rm_so : NULL;

	if (good && target[0] == '*')
		good = target[1] == ' ' && strncmp(line, "OPTIONS ", 8) == 0;
	free(line);
	while (good)
	{
		line = take_line(bytes, len, &second->used);
		if (line && line[0] == '\0')
			break;
		good = line && regexec(&header_line, line, 0, NULL, 0) == 0;
		if (good)
			second_header(&framing, line);
		second->headers += good;
		free(line);
	}
	if (!good)
		return false;
	free(line);
	if (!framing.good || framing.hosts > 1 || framing.lengths > 1 || framing.codings > 1 ||
		(framing.lengths && framing.codings) || (minor == 1 && framing.hosts == 0) ||
		(minor == 0 && framing.codings))
		return false;
	if (framing.codings)
		return second_chunks(second, bytes, len);
	if (framing.length > len - second->used)
		return false;
	memcpy(second->body, bytes + second->used, framing.length);
	second->body_len = framing.length;
	second->used += framing.length;
	return true;
}

static void
compare_readings(const Outcome *whole, const char *bytes, size_t len)
{
	Second		second = {0};
	bool		accepted;

	second.body = malloc(len + 1);
	accepted = second_reading(&second, bytes, len);
	if (whole->status == HTTP_PARSE_DONE)
	{
		HttpText	method = {bytes + second.first[1].rm_so, second.first[1].rm_eo - second.first[1].rm_so};
		HttpText	target = {bytes + second.first[2].rm_so, second.first[2].rm_eo - second.first[2].rm_so};

		MUST(accepted);
		MUST(second.used == whole->used && second.headers == whole->request.header_count);
		MUST(second.body_len == whole->body_len && memcmp(second.body, whole->body, whole->body_len) == 0);
		MUST(same_text(method, whole->request.method) && same_text(target, whole->request.target));
	}
	else if (accepted)
	{
		/* one of the limits, which the second reading does not know */
		MUST(whole->status == 413 || whole->status == 414 || whole->status == 431 ||
			 (whole->status == 400 && memchr(bytes, ';', len)));
	}
	free(second.body);
}

/* ---- writing it again ---- */

static void
put(char *out, size_t *len, HttpText text)
{
	memcpy(out + *len, text.at, text.len);
	*len += text.len;
}

static void
put_string(char *out, size_t *len, const char *text)
{
	put(out, len, (HttpText) {text, strlen(text)});
}

static void
write_again(const Outcome *whole)
{
	const HttpRequest *request = &whole->request;
	char	   *out = malloc(2 * whole->used + 100);
	Outcome		again;
	size_t		len = 0;

	put(out, &len, request->method);
	put_string(out, &len, " ");
	put(out, &len, request->target);
	put_string(out, &len, request->minor_version ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	for (int i = 0; i < request->header_count; i++)
	{
		put(out, &len, request->headers[i].name);
		put_string(out, &len, ":");
		put(out, &len, request->headers[i].value);
		put_string(out, &len, "\r\n");
	}
	put_string(out, &len, "\r\n");
	if (request->body == HTTP_BODY_CHUNKED)
	{
		if (whole->body_len > 0)
			len += sprintf(out + len, "%zx\r\n", whole->body_len);
		put(out, &len, (HttpText) {whole->body, whole->body_len});
		put_string(out, &len, whole->body_len > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
	}
	else
		put(out, &len, (HttpText) {whole->body, whole->body_len});
	reading_of(&again, out, len, next_cut);
	MUST(again.status == HTTP_PARSE_DONE && again.used == len);
	MUST(same_request(&again.request, request));
	MUST(again.body_len == whole->body_len && memcmp(again.body, whole->body, whole->body_len) == 0);
	reading_free(&again);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *) data;
	Outcome		whole;

	if (size > 20000)
		return 0;
	if (first_line.re_nsub == 0)
	{
		compile(&first_line, "^(" TOKEN_CHARS "+) (([Hh][Tt][Tt][Pp]://" HOST_CHARS "+)?/[!\"$-~]*|\\*) HTTP/1[.]([01])$");
		compile(&header_line, "^" TOKEN_CHARS "+:" VALUE_CHARS "*$");
		compile(&host_value, "^" HOST_CHARS "*$");
		compile(&chunk_line, "^[0-9A-Fa-f]{1,15}(;" VALUE_CHARS "*)?$");
	}
	model_state = MODEL_STATE + size;
	cut_at = SIZE_MAX;
	reading_of(&whole, bytes, size, next_cut);
	compare_readings(&whole, bytes, size);
	if (whole.status == HTTP_PARSE_DONE)
	{
		write_again(&whole);
		fuzz_accepted++;
	}
	/* at every place if there are few, else at a few */
	for (size_t i = 1; i < size; i += size < 300 ? 1 : 1 + draw(size / 4))
	{
		cut_at = i;
		must_be_same(&whole, bytes, size);
	}
	cut_at = 0;
	most = 1 + draw(20);
	must_be_same(&whole, bytes, size);
	reading_free(&whole);
	return 0;
}
