/*-------------------------------------------------------------------------
 *
 * forwarded.c
 *	  Where requests come from, behind proxies.
 *
 * Each proxy adds to a header whom it has the request from.  Anybody can send
 * such a header, so it is read from its right end, where the proxy that is
 * connected to us has written, and only as long as it is the word of a proxy
 * that is trusted: the client is the first address from the right that is none.
 * An entry that is no address ends that, too, and the client then is the proxy
 * that passed it on.
 *
 * Only one header is read, X-Forwarded-For unless the other is asked for:
 * a proxy that writes one of the two passes the other on as the client sent it.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#define MAX_TRUSTED 64

/* Addresses that have the first bits in common. */
typedef struct Network
{
	Address		address;
	int			bits;
} Network;

static Network trusted[MAX_TRUSTED];
static int	trusted_count = 0;

/* Trust a proxy, or all of a network: ADDRESS, ADDRESS/BITS, or unix. */
void
trusted_proxy_add(const char *text)
{
	Network    *network = &trusted[trusted_count];
	const char *slash = strchr(text, '/');
	HttpText	address = {text, slash ? slash - text : strlen(text)};
	int			max;

	if (trusted_count == MAX_TRUSTED)
		usage_error("--trusted-proxy can be given %d times", MAX_TRUSTED);
	if (strcmp(text, "unix") != 0 && !address_parse(address, &network->address))
		usage_error("--trusted-proxy must be an address, ADDRESS/BITS or \"unix\", not \"%s\"", text);
	max = network->address.family == 6 ? 128 : network->address.family == 4 ? 32 : 0;
	network->bits = slash ? number_option("--trusted-proxy, behind the /,", slash + 1, 0, max) : max;
	trusted_count++;
}

/* Is what comes from there the word of a proxy of ours? */
bool
proxy_is_trusted(const Address *address)
{
	for (int i = 0; i < trusted_count; i++)
	{
		const Network *network = &trusted[i];
		int			whole = network->bits / 8;
		int			mask = 0xff00 >> network->bits % 8 & 0xff;

		if (network->address.family == address->family &&
			memcmp(network->address.bytes, address->bytes, whole) == 0 &&
			(mask == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0))
			return true;
	}
	return false;
}

/* The entries of a header that may be there several times, from the last one on. */
typedef struct Entries
{
	const HttpRequest *http;
	const char *name;
	int			header;			/* the lines from here on have been dealt with */
	HttpText	rest;			/* of the line at hand */
} Entries;

static HttpText
without_blanks(HttpText text)
{
	while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
	{
		text.at++;
		text.len--;
	}
	while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/*
 * The entry before.  False: there is none.  A comma in quotes is not told from
 * others, as no address has one: what is left of its entry is none, and ends
 * the search.
 */
static bool
previous_entry(Entries *entries, HttpText *entry)
{
	for (;;)
	{
		size_t		begin = entries->rest.len;

		if (begin == 0)
		{
			do
			{
				if (entries->header == 0)
					return false;
				entries->header--;
			} while (!http_text_is_ignoring_case(entries->http->headers[entries->header].name, entries->name));
			entries->rest = entries->http->headers[entries->header].value;
			continue;
		}
		while (begin > 0 && entries->rest.at[begin - 1] != ',')
			begin--;
		*entry = without_blanks((HttpText) {entries->rest.at + begin, entries->rest.len - begin});
		entries->rest.len = begin > 0 ? begin - 1 : 0;
		if (entry->len > 0)
			return true;
	}
}

/*
 * A parameter of an entry of Forwarded (RFC 7239), without its quotes.  False:
 * it is not there, or more than once, or the entry is malformed.
 */
static bool
entry_parameter(HttpText entry, const char *name, HttpText *value)
{
	bool		found = false;

	while (entry.len > 0)
	{
		const char *semicolon = memchr(entry.at, ';', entry.len);
		size_t		len = semicolon ? semicolon - entry.at : entry.len;
		const char *equals = memchr(entry.at, '=', len);

		if (equals == NULL)
			return false;
		if (http_text_is_ignoring_case(without_blanks((HttpText) {entry.at, equals - entry.at}), name))
		{
			if (found)
				return false;
			found = true;
			*value = without_blanks((HttpText) {equals + 1, entry.at + len - equals - 1});
			if (value->len >= 2 && value->at[0] == '"' && value->at[value->len - 1] == '"')
				*value = (HttpText) {value->at + 1, value->len - 2};
		}
		entry.at += len + (semicolon != NULL);
		entry.len -= len + (semicolon != NULL);
	}
	return found;
}

static bool
is_port(HttpText text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
	return text.len > 0 && text.len <= 5;
}

/* An address as proxies write it: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. */
static bool
parse_node(HttpText text, Address *address)
{
	const char *end = text.at + text.len;
	const char *colon = memchr(text.at, ':', text.len);
	HttpText	host = text;
	HttpText	port = {NULL, 0};

	if (text.len > 0 && text.at[0] == '[')
	{
		const char *bracket = memchr(text.at, ']', text.len);

		if (bracket == NULL || (bracket + 1 < end && bracket[1] != ':'))
			return false;
		host = (HttpText) {text.at + 1, bracket - text.at - 1};
		if (memchr(host.at, ':', host.len) == NULL)
			return false;
		if (bracket + 1 < end)
			port = (HttpText) {bracket + 2, end - bracket - 2};
	}
	else if (colon && memchr(colon + 1, ':', end - colon - 1) == NULL)
	{
		host.len = colon - text.at;
		port = (HttpText) {colon + 1, end - colon - 1};
	}
	if (port.at && !is_port(port))
		return false;
	return address_parse(host, address);
}

/*
 * Find out who asks, and whether by HTTPS: that of the connection, or what
 * trusted proxies say.
 */
void
forwarded_take(Request *request)
{
	bool		by_rfc = gateway.options.forwarded_by_rfc;
	Entries		entries = {&request->http, by_rfc ? "Forwarded" : "X-Forwarded-For", request->http.header_count, {NULL, 0}};
	HttpText	entry;
	HttpText	value;

	if (!by_rfc && request->conn->from_proxy)
	{
		Entries		protocols = {&request->http, "X-Forwarded-Proto", request->http.header_count, {NULL, 0}};

		if (previous_entry(&protocols, &value))
			request->is_https = http_text_is_ignoring_case(value, "https");
	}
	while (proxy_is_trusted(&request->client) && previous_entry(&entries, &entry))
	{
		value = entry;
		if (by_rfc && !entry_parameter(entry, "for", &value))
			break;
		if (!parse_node(value, &request->client))
			break;
		if (by_rfc && entry_parameter(entry, "proto", &value))
			request->is_https = http_text_is_ignoring_case(value, "https");
	}
}
