/*
 * Fuzzer of what the gateway believes of proxies, src/gateway/forwarded.c.
 * How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/forwarded.c src/gateway/addresses.c src/gateway/http_parser.c src/client/buffer.c
 *
 * An input is the values of a header's lines; an F before them says that it is
 * Forwarded, not X-Forwarded-For.  What must hold for any bytes:
 *   - who is no proxy is the client himself;
 *   - nothing that stands left of the client changes who that is;
 *   - what our proxy adds on the right counts: an address is the client, whatever
 *     is left of it, and that of another proxy changes nothing;
 *   - an address comes back from its text.
 */
#include "model.h"

#include <arpa/inet.h>

#include "request.h"

#include "target.h"

long		fuzz_accepted = 0;
const char *const fuzz_likely = "0123456789abcdef.:[]\",;=for F\n/_%";

Gateway		gateway;

#define MAX_LINES 40

void
usage_error(const char *fmt,...)
{
	MUST(false);
	abort();
}

long long
number_option(const char *name, const char *text, long long min, long long max)
{
	return atoll(text);
}

static Address
address(const char *text)
{
	Address		read;

	MUST(address_parse((HttpText) {text, strlen(text)}, &read));
	return read;
}

static bool
same(Address a, Address b)
{
	return memcmp(&a, &b, sizeof(Address)) == 0;
}

/* Whom these lines name, if they come from there. */
static Address
client_of(const HttpHeader *lines, int count, const char *peer)
{
	static Request request;
	static Conn conn;

	memset(&request, 0, sizeof(request));
	request.conn = &conn;
	conn.from_proxy = true;
	request.client = conn.peer = address(peer);
	memcpy(request.http.headers, lines, count * sizeof(HttpHeader));
	request.http.header_count = count;
	forwarded_take(&request);
	return request.client;
}

/* Append a line to others, or put it before them; who is the client then? */
static Address
client_with(const HttpHeader *lines, int count, const char *more, bool before, const char *peer)
{
	HttpHeader	all[MAX_LINES + 1];

	memcpy(all + before, lines, count * sizeof(HttpHeader));
	all[before ? 0 : count] = (HttpHeader) {{gateway.options.forwarded_by_rfc ? "Forwarded" : "x-forwarded-for",
	gateway.options.forwarded_by_rfc ? 9 : 15}, {more, strlen(more)}};
	return client_of(all, count + 1, peer);
}

static void
check(const HttpHeader *lines, int count)
{
	bool		rfc = gateway.options.forwarded_by_rfc;
	Address		client = client_of(lines, count, "127.0.0.1");
	Address		again;
	char		text[ADDRESS_TEXT_SIZE];

	MUST(same(client_of(lines, count, "198.51.100.7"), address("198.51.100.7")));
	MUST(address_text(&client, text) == text);
	MUST(address_parse((HttpText) {text, strlen(text)}, &again) && same(again, client));
	if (!proxy_is_trusted(&client))
	{
		fuzz_accepted++;
		MUST(same(client_with(lines, count, rfc ? "for=6.6.6.6, for=\"" : "6.6.6.6, x", true, "127.0.0.1"), client));
	}
	MUST(same(client_with(lines, count, rfc ? "proto=https;for=203.0.113.9" : "203.0.113.9:1", false, "127.0.0.1"),
			  address("203.0.113.9")));
	again = client_with(lines, count, rfc ? "for=\"[2001:db8:1::9]\"" : "2001:db8:1::9", false, "127.0.0.1");
	MUST(same(again, client) || (same(again, address("2001:db8:1::9")) && same(client, address("127.0.0.1"))));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *) data;
	const char *end = at + size;
	HttpHeader	lines[MAX_LINES];
	int			count = 0;
	static bool begun = false;

	if (!begun)
	{
		trusted_proxy_add("127.0.0.1");
		trusted_proxy_add("10.1.0.0/16");
		trusted_proxy_add("2001:db8:1::/48");
		begun = true;
	}
	gateway.options.forwarded_by_rfc = size > 0 && *at == 'F';
	at += gateway.options.forwarded_by_rfc;
	while (at < end && count < MAX_LINES)
	{
		const char *line_end = memchr(at, '\n', end - at);
		size_t		len = (line_end ? line_end : end) - at;

		/* a block of its own, so that a read beyond it is seen */
		lines[count].name = gateway.options.forwarded_by_rfc ? (HttpText) {"forwarded", 9} : (HttpText) {"X-Forwarded-For", 15};
		lines[count++].value = (HttpText) {own_block(at, len), len};
		at += len + 1;
	}
	check(lines, count);
	for (int i = 0; i < count; i++)
		free((char *) lines[i].value.at);
	return 0;
}
