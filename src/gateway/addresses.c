/*-------------------------------------------------------------------------
 *
 * addresses.c
 *	  Addresses of clients, and how many connections each has.
 *
 * Of an IPv6 address the first 64 bits count, which is what one customer gets.
 * An IPv4 address that is written as one of IPv6, as it is on a socket that
 * takes both, is an IPv4 address.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include <arpa/inet.h>

#define BUCKETS 1024

typedef struct AddressCount
{
	struct AddressCount *next;
	unsigned char key[8];
	unsigned char family;
	int			count;
} AddressCount;

static AddressCount *buckets[BUCKETS];

static void
set_ipv6(Address *address, const struct in6_addr *in6)
{
	memset(address, 0, sizeof(Address));
	if (IN6_IS_ADDR_V4MAPPED(in6))
	{
		address->family = 4;
		memcpy(address->bytes, in6->s6_addr + 12, 4);
	}
	else
	{
		address->family = 6;
		memcpy(address->bytes, in6->s6_addr, 16);
	}
}

/* The address of a socket's other side. */
Address
address_of(const struct sockaddr *peer)
{
	Address		address = {0};

	if (peer->sa_family == AF_INET6)
		set_ipv6(&address, &((const struct sockaddr_in6 *) peer)->sin6_addr);
	else if (peer->sa_family == AF_INET)
	{
		address.family = 4;
		memcpy(address.bytes, &((const struct sockaddr_in *) peer)->sin_addr, 4);
	}
	return address;
}

/* Read one, without port or brackets.  False: it is none; *address is as it was. */
bool
address_parse(HttpText text, Address *address)
{
	char		copy[INET6_ADDRSTRLEN];
	struct in6_addr in6;
	struct in_addr in4;

	if (text.len >= sizeof(copy) || memchr(text.at, '\0', text.len))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, &in4) == 1)
	{
		memset(address, 0, sizeof(Address));
		address->family = 4;
		memcpy(address->bytes, &in4, 4);
		return true;
	}
	if (inet_pton(AF_INET6, copy, &in6) != 1)
		return false;
	set_ipv6(address, &in6);
	return true;
}

/* As text, which is written to out, of ADDRESS_TEXT_SIZE bytes. */
const char *
address_text(const Address *address, char *out)
{
	if (address->family == 0)
		return "unix";
	return inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->bytes, out, ADDRESS_TEXT_SIZE);
}

static AddressCount **
bucket_of(const unsigned char *key)
{
	uint64		hash = 14695981039346656037ULL;

	for (int i = 0; i < 8; i++)
		hash = (hash ^ key[i]) * 1099511628211ULL;
	return &buckets[(hash >> 32) % BUCKETS];
}

/* Count a connection of a client; NULL if its address has so many already. */
AddressCount *
address_enter(const Address *client, int max)
{
	AddressCount **bucket = bucket_of(client->bytes);
	AddressCount *address;

	for (address = *bucket; address; address = address->next)
		if (address->family == client->family && memcmp(address->key, client->bytes, sizeof(address->key)) == 0)
			break;
	if (address == NULL)
	{
		address = xmalloc(sizeof(AddressCount));
		memset(address, 0, sizeof(AddressCount));
		memcpy(address->key, client->bytes, sizeof(address->key));
		address->family = client->family;
		address->next = *bucket;
		*bucket = address;
	}
	if (address->count >= max)
		return NULL;
	address->count++;
	return address;
}

/* A connection is over, if it was counted; addresses without one are forgotten. */
void
address_leave(AddressCount **counted)
{
	AddressCount *address = *counted;

	*counted = NULL;
	if (address == NULL || --address->count > 0)
		return;
	for (AddressCount **at = bucket_of(address->key); *at; at = &(*at)->next)
		if (*at == address)
		{
			*at = address->next;
			free(address);
			return;
		}
}
