/*-------------------------------------------------------------------------
 *
 * parser.c
 *	  Model test of the reader of HTTP requests (src/gateway/http_{parser,chunks}.c).
 *
 * parser ROUNDS [SEED]: requests made at random from good and bad parts.  What
 * a request is made of says whether it is good, and what its body is; the
 * parser must say the same however the bytes are cut into pieces.  Then bytes
 * at random, of which only must hold that nothing outside is read (each piece
 * is a block of its own, so the address sanitizer would tell) and that cutting
 * changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reading.h"

#define MAX_BYTES 40000

static char request[MAX_BYTES];
static size_t request_len;
static char body[MAX_BYTES];
static size_t body_len;
static unsigned long long random_state;

static unsigned
draw(unsigned below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned) (random_state >> 33) % below;
}

static void
add(const char *text, size_t len)
{
	if (request_len + len > MAX_BYTES)
		abort();
	memcpy(request + request_len, text, len);
	request_len += len;
}

static void
add_text(const char *text)
{
	add(text, strlen(text));
}

static void
add_body(const char *bytes, size_t len)
{
	memcpy(body + body_len, bytes, len);
	body_len += len;
}

/* The pieces' ends: at random, of at most so many bytes; 0: there is one piece. */
static unsigned most;

static size_t
next_cut(size_t at)
{
	return most ? at + 1 + draw(most) : request_len;
}

/* A line of the head.  Returns 0, or the status that it must be refused with. */
static int
add_bad_line(void)
{
	static const struct
	{
		const char *line;
		size_t		len;
		int			status;
	}			bad[] = {
#define LINE(text, status) {text, sizeof(text) - 1, status}
		LINE("Content-Length : 5\r\n", 400), LINE(": y\r\n", 400), LINE(" folded\r\n", 400),
		LINE("\tfolded\r\n", 400), LINE("X-A: a\0b\r\n", 400), LINE("X-A: a\rb\r\n", 400),
		LINE("X-A: b\n", 400), LINE("no colon\r\n", 400), LINE("Host: a\r\n", 400),
		LINE("Content-Length: +5\r\n", 400), LINE("Content-Length: 5 x\r\n", 400),
		LINE("Content-Length: 0x5\r\n", 400), LINE("Content-Length: 5, 5\r\n", 400),
		LINE("Content-Length: -0\r\n", 400), LINE("Content-Length:\r\n", 400),
		LINE("Content-Length: 9999999999999999999\r\n", 413),
		LINE("Content-Length: 3\r\nContent-Length: 3\r\n", 400),
		LINE("Transfer-Encoding: xchunked\r\n", 501), LINE("Transfer-Encoding: gzip, chunked\r\n", 501),
		LINE("Transfer-Encoding: chunked, identity\r\n", 501), LINE("Transfer-Encoding:\r\n", 501),
		LINE("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
		LINE("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400),
		LINE("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
		LINE("Transfer_Encoding\x7f: chunked\r\n", 400), LINE("X\x80: y\r\n", 400),
		LINE("X-A: \x7f\r\n", 400), LINE("Expect: something\r\n", 417),
	};
	unsigned	which = draw(sizeof(bad) / sizeof(bad[0]));

	add(bad[which].line, bad[which].len);
	return bad[which].status;
}

static void
add_good_line(void)
{
	static const char *const good[] = {
		"X-A: b\r\n", "Accept: */*\r\n", "X-Empty:\r\n", "X-Blank: \t \r\n", "x_y.z!: \"a, b\"\r\n",
		"X-High: \xc3\xa9\xff\r\n", "Connection: keep-alive\r\n", "Connection: foo, close\r\n",
		"Content-Type: a/b;c=d\r\n", "X-Colon: a:b\r\n",
	};

	add_text(good[draw(sizeof(good) / sizeof(good[0]))]);
}

/* Add a body in chunks.  Returns 0, or the status that it must be refused with. */
static int
add_chunks(int bad)
{
	static const char *const bad_chunks[] = {
		"-1\r\n\r\n", "0x5\r\nabcde\r\n", "5;a\nabcde\r\n", "\r\n", "g\r\n", " 5\r\nabcde\r\n",
		"5 \r\nabcde\r\n", "5\nabcde\r\n", "5\r\nabcdef\r\n", "5\r\nabcde\n", "3;\r\r\nabc\r\n",
		"0\r\nbad trailer\r\n\r\n", "0\r\n: x\r\n\r\n", "0\r\n x: y\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\n\n",
	};
	unsigned	count = draw(5);

	for (unsigned i = 0; i < count; i++)
	{
		char		bytes[300];
		char		line[64];
		unsigned	len = 1 + draw(300);

		for (unsigned j = 0; j < len; j++)
			bytes[j] = draw(256);
		snprintf(line, sizeof(line), draw(2) ? "%x%s\r\n" : "%04X%s\r\n", len, draw(3) ? "" : ";name=\"value\"");
		add_text(line);
		add(bytes, len);
		add_text("\r\n");
		add_body(bytes, len);
	}
	if (bad)
	{
		add_text(bad_chunks[draw(sizeof(bad_chunks) / sizeof(bad_chunks[0]))]);
		return 400;
	}
	add_text(draw(2) ? "0\r\n" : "000;x\r\n");
	while (draw(3) == 0)
		add_text("X-Trailer: some, value\r\n");
	add_text("\r\n");
	return 0;
}

/* Make a request; returns 0, or the status that it must be refused with. */
static int
make_request(void)
{
	static const struct
	{
		const char *line;
		int			status;
	}			first[] = {
		{"GET / HTTP/1.1\r\n", 0}, {"GET /a/b%20c?d=e&f HTTP/1.1\r\n", 0}, {"OPTIONS * HTTP/1.1\r\n", 0},
		{"M-SEARCH /x HTTP/1.1\r\n", 0}, {"GET http://a.b:80/c?d HTTP/1.1\r\n", 0},
		{"GET / HTTP/1.1\r\n", 0}, {"POST /x HTTP/1.1\r\n", 0},
		{"GET  / HTTP/1.1\r\n", 400}, {"GET / HTTP/1.1 \r\n", 400}, {" GET / HTTP/1.1\r\n", 400},
		{"GET /\r\n", 400}, {"GET / http/1.1\r\n", 400}, {"GET / HTTP/1.10\r\n", 400},
		{"GET / HTTP/2.0\r\n", 505}, {"GET / HTTP/9.9\r\n", 505}, {"GET / HTTP/1.2\r\n", 505},
		{"GET a HTTP/1.1\r\n", 400}, {"GET * HTTP/1.1\r\n", 400}, {"GET /\t HTTP/1.1\r\n", 400},
		{"GET /\x80 HTTP/1.1\r\n", 400}, {"GET /#a HTTP/1.1\r\n", 400}, {"G(T / HTTP/1.1\r\n", 400},
		{"GET http:/// HTTP/1.1\r\n", 400}, {"GET http://a?b/c HTTP/1.1\r\n", 400},
		{"GET / HTTP/1.1\n", 400}, {"\r\n", 400}, {"\n", 400},
	};
	unsigned	which = draw(4) ? draw(7) : draw(sizeof(first) / sizeof(first[0]));
	int			status = first[which].status;
	int			bad_line = draw(4) == 0;
	int			kind = draw(3);
	unsigned	before = draw(4);
	unsigned	after = draw(4);
	char		line[64];

	request_len = body_len = 0;
	add_text(first[which].line);
	if (!bad_line && draw(20) == 0)
	{
		if (status == 0)
			status = 400;		/* no Host */
	}
	else
		add_text("Host: example.org:80\r\n");
	if (bad_line)
	{
		/* alone, so that it is the reason; one that is about the body with no other such */
		int			line_status = add_bad_line();

		/* which of two faults is told is of no importance */
		status = status ? -1 : line_status;
		add_text("\r\n");
		return status;
	}
	for (unsigned i = 0; i < before; i++)
		add_good_line();
	if (kind == 1)
	{
		unsigned	len = draw(2000);

		snprintf(line, sizeof(line), draw(2) ? "Content-Length: %u\r\n" : "content-LENGTH:\t%05u \r\n", len);
		add_text(line);
		for (unsigned i = 0; i < after; i++)
			add_good_line();
		add_text("\r\n");
		for (unsigned i = 0; i < len; i++)
			body[i] = draw(256);
		body_len = len;
		add(body, len);
	}
	else if (kind == 2)
	{
		int			chunks_status;

		add_text(draw(2) ? "Transfer-Encoding: chunked\r\n" : "transfer-encoding:   Chunked \r\n");
		add_text("\r\n");
		chunks_status = add_chunks(draw(3) == 0);
		if (status == 0)
			status = chunks_status;
	}
	else
		add_text("\r\n");
	return status;
}

static void
show(const char *what, int expected, const Outcome *outcome)
{
	printf("%s: expected %d, got %d, used %zu of %zu\n", what, expected, outcome->status, outcome->used, request_len);
	for (size_t i = 0; i < request_len && i < 2000; i++)
		printf(request[i] >= ' ' && request[i] < 127 ? "%c" : "\\x%02x", (unsigned char) request[i]);
	printf("\n");
	exit(1);
}

static Outcome whole;
static Outcome pieces;

static void
compare(void)
{
	reading_free(&whole);
	reading_free(&pieces);
	most = 0;
	reading_of(&whole, request, request_len, next_cut);
	most = 1 + draw(40);
	reading_of(&pieces, request, request_len, next_cut);
	if (whole.status != pieces.status || (whole.status == HTTP_PARSE_DONE &&
										  (whole.used != pieces.used || whole.body_len != pieces.body_len ||
										   memcmp(whole.body, pieces.body, whole.body_len) != 0)))
		show("in pieces", whole.status, &pieces);
}

int
main(int argc, char **argv)
{
	long		rounds = argc > 1 ? atol(argv[1]) : 10000;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	for (long i = 0; i < rounds; i++)
	{
		int			expected = make_request();
		size_t		len = request_len;

		/* what follows belongs to the next request */
		if (draw(2))
			add_text("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		compare();
		if (expected == 0)
		{
			if (whole.status != HTTP_PARSE_DONE || whole.used != len || whole.body_len != body_len ||
				memcmp(whole.body, body, body_len) != 0)
				show("a good one", expected, &whole);
		}
		else if (expected > 0 ? whole.status != expected : whole.status < 400)
			show("a bad one", expected, &whole);

		/* and what is not made of parts */
		if (expected == 0)
			request_len = len;
		for (unsigned changes = 1 + draw(4); changes > 0 && request_len > 0; changes--)
			request[draw(request_len)] = draw(3) ? "\r\n:; 0,\t"[draw(8)] : (char) draw(256);
		compare();
	}
	/* limits, at which a byte more is refused */
	for (int over = 0; over < 2; over++)
	{
		Outcome    *outcome = &whole;

		request_len = 0;
		add_text("GET /");
		while (request_len < (size_t) (HTTP_MAX_LINE - 10 + over))
			add_text("a");
		add_text(" HTTP/1.1\r\nHost: x\r\n\r\n");
		compare();
		if (outcome->status != (over ? 414 : HTTP_PARSE_DONE))
			show("a long line", over ? 414 : HTTP_PARSE_DONE, outcome);
		request_len = 0;
		add_text("GET / HTTP/1.1\r\nHost: x\r\nX: ");
		while (request_len < (size_t) (HTTP_MAX_HEAD - 4 + over))
			add_text("a");
		add_text("\r\n\r\n");
		compare();
		if (outcome->status != (over ? 431 : HTTP_PARSE_DONE))
			show("a long head", over ? 431 : HTTP_PARSE_DONE, outcome);
		request_len = 0;
		add_text("GET / HTTP/1.1\r\nHost: x\r\n");
		for (int i = 1; i < HTTP_MAX_HEADERS + over; i++)
			add_text("X: y\r\n");
		add_text("\r\n");
		compare();
		if (outcome->status != (over ? 431 : HTTP_PARSE_DONE))
			show("many headers", over ? 431 : HTTP_PARSE_DONE, outcome);
	}
	printf("%ld rounds\n", rounds);
	return 0;
}
