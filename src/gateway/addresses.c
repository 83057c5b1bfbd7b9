/*-------------------------------------------------------------------------
 *
 * addresses.c
 *	  How many connections each address has.
 *
 * Of an IPv6 address the first 64 bits count, which is what one customer gets.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#define BUCKETS 1024

typedef struct AddressCount
{
	struct AddressCount *next;
	unsigned char key[8];
	bool		is_v6;
	int			count;
} AddressCount;

static AddressCount *buckets[BUCKETS];

static AddressCount **
bucket_of(const unsigned char *key)
{
	uint64		hash = 14695981039346656037ULL;

	for (int i = 0; i < 8; i++)
		hash = (hash ^ key[i]) * 1099511628211ULL;
	return &buckets[(hash >> 32) % BUCKETS];
}

/* Count a connection of an address; NULL if it has so many already. */
AddressCount *
address_enter(const struct sockaddr *peer, int max)
{
	unsigned char key[8] = {0};
	bool		is_v6 = peer->sa_family == AF_INET6;
	AddressCount **bucket;
	AddressCount *address;

	if (is_v6)
		memcpy(key, &((const struct sockaddr_in6 *) peer)->sin6_addr, 8);
	else if (peer->sa_family == AF_INET)
		memcpy(key, &((const struct sockaddr_in *) peer)->sin_addr, 4);
	bucket = bucket_of(key);
	for (address = *bucket; address; address = address->next)
		if (address->is_v6 == is_v6 && memcmp(address->key, key, 8) == 0)
			break;
	if (address == NULL)
	{
		address = xmalloc(sizeof(AddressCount));
		memset(address, 0, sizeof(AddressCount));
		memcpy(address->key, key, 8);
		address->is_v6 = is_v6;
		address->next = *bucket;
		*bucket = address;
	}
	if (address->count >= max)
		return NULL;
	address->count++;
	return address;
}

/* A connection is over; addresses without one are forgotten. */
void
address_leave(AddressCount *address)
{
	if (--address->count > 0)
		return;
	for (AddressCount **at = bucket_of(address->key); *at; at = &(*at)->next)
		if (*at == address)
		{
			*at = address->next;
			free(address);
			return;
		}
}
