/*-------------------------------------------------------------------------
 *
 * grants.c
 *	  Random texts that stand for somebody's claims for a while: tickets of
 *	  streams, tickets of links to the page, sessions of the page.
 *
 * They are kept in this process's memory and are good nowhere else.  What is
 * kept is the SHA-256 of each and not the text: whoever reads the memory cannot
 * use it, and how long a comparison takes says nothing about the text.
 *
 * How many there can be is bounded, in all and for each subject.
 *
 *-------------------------------------------------------------------------
 */
#include "grants.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <time.h>

#define BUCKETS 1024			/* a power of two */

typedef struct Grant
{
	struct Grant *next;			/* of the bucket */
	GrantKind	kind;
	unsigned char digest[SHA256_DIGEST_LENGTH];
	Claims		claims;
	Scope	   *scope;			/* NULL: no bounds */
	int64		until;			/* clock_ms() */
} Grant;

static const struct
{
	int			all;
	int			of_subject;
}			limits[GRANT_KINDS] = {
	[GRANT_STREAM] = {10000, 100},
	[GRANT_LINK] = {100, 100},
	[GRANT_SESSION] = {1000, 100},
};

static Grant *buckets[BUCKETS];
static int	outstanding[GRANT_KINDS];
static struct event sweeper;
static bool sweeper_is_there = false;

int
grants_outstanding(GrantKind kind)
{
	return outstanding[kind];
}

/* ---- scopes ---- */

void
scope_free(Scope *scope)
{
	if (scope == NULL)
		return;
	for (int i = 0; i < scope->count; i++)
		free(scope->executions[i]);
	free(scope->executions);
	free(scope->workflow);
	free(scope);
}

/* Is a stream of this execution, or if that is NULL of this workflow, what it is for? */
bool
scope_allows(const Scope *scope, const char *execution, const char *workflow)
{
	if (scope == NULL)
		return true;
	if (execution == NULL)
		return scope->workflow && strcmp(scope->workflow, workflow) == 0;
	for (int i = 0; i < scope->count; i++)
		if (strcmp(scope->executions[i], execution) == 0)
			return true;
	return false;
}

/* ---- the store ---- */

static Grant **
bucket_of(const unsigned char *digest)
{
	return &buckets[(digest[0] | digest[1] << 8) & (BUCKETS - 1)];
}

static void
remove_grant(Grant **at)
{
	Grant	   *grant = *at;

	*at = grant->next;
	outstanding[grant->kind]--;
	claims_free(&grant->claims);
	scope_free(grant->scope);
	free(grant);
}

/* Has it, or the token behind it, expired? */
static bool
has_expired(const Grant *grant)
{
	return grant->until <= clock_ms() || grant->claims.expires <= time(NULL);
}

static bool
has_subject(const Grant *grant, const char *subject)
{
	if (grant->claims.subject == NULL || subject == NULL)
		return grant->claims.subject == subject;
	return strcmp(grant->claims.subject, subject) == 0;
}

/* Free what has expired.  How many are left of a kind for a subject. */
static int
sweep(GrantKind kind, const char *subject)
{
	int			count = 0;

	for (int i = 0; i < BUCKETS; i++)
		for (Grant **at = &buckets[i]; *at;)
		{
			if (has_expired(*at))
			{
				remove_grant(at);
				continue;
			}
			count += (*at)->kind == kind && has_subject(*at, subject);
			at = &(*at)->next;
		}
	return count;
}

static void
on_sweeper(evutil_socket_t fd, short what, void *arg)
{
	struct timeval later = {10, 0};

	(void) sweep(GRANT_STREAM, NULL);
	for (int kind = 0; kind < GRANT_KINDS; kind++)
		if (outstanding[kind] > 0)
		{
			event_add(&sweeper, &later);
			return;
		}
}

/*
 * Make a grant of the claims for so long; its text goes into text, of
 * GRANT_SIZE bytes.  The scope is taken over if it is made.
 */
GrantRefusal
grant_make(GrantKind kind, const Claims *claims, Scope *scope, int64 lifetime_ms, char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char bytes[33] = {0};
	struct timeval later = {10, 0};
	Grant	   *grant;
	Grant	  **bucket;

	if (sweep(kind, claims->subject) >= limits[kind].of_subject)
		return GRANT_TOO_MANY_OF_SUBJECT;
	if (outstanding[kind] >= limits[kind].all)
		return GRANT_TOO_MANY;
	if (RAND_bytes(bytes, 32) != 1)
		fail(EXIT_FAILED, NULL, "there are no random numbers to be had");
	for (int i = 0; i < 43; i++)
	{
		int			bit = i * 6;
		int			pair = bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

		text[i] = digits[pair >> (10 - bit % 8) & 63];
	}
	text[43] = '\0';
	OPENSSL_cleanse(bytes, sizeof(bytes));

	grant = xmalloc(sizeof(Grant));
	memset(grant, 0, sizeof(Grant));
	grant->kind = kind;
	SHA256((unsigned char *) text, GRANT_SIZE - 1, grant->digest);
	claims_copy(&grant->claims, claims);
	grant->scope = scope;
	grant->until = clock_ms() + lifetime_ms;
	bucket = bucket_of(grant->digest);
	grant->next = *bucket;
	*bucket = grant;
	outstanding[kind]++;
	if (!sweeper_is_there)
	{
		evtimer_assign(&sweeper, gateway.base, on_sweeper, NULL);
		sweeper_is_there = true;
	}
	if (!evtimer_pending(&sweeper, NULL))
		event_add(&sweeper, &later);
	return GRANT_MADE;
}

/* Where the grant of a text is; NULL if there is none, or none any more. */
static Grant **
find_grant(GrantKind kind, const char *text, size_t len)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	if (len != GRANT_SIZE - 1)
		return NULL;
	SHA256((const unsigned char *) text, len, digest);
	for (Grant **at = bucket_of(digest); *at; at = &(*at)->next)
		if (CRYPTO_memcmp((*at)->digest, digest, sizeof(digest)) == 0)
			return (*at)->kind == kind && !has_expired(*at) ? at : NULL;
	return NULL;
}

/* Take a grant, which is thereby used up.  False: there is no such one. */
bool
grant_take(GrantKind kind, const char *text, size_t len, Claims *claims, Scope **scope)
{
	Grant	  **at = find_grant(kind, text, len);

	if (at == NULL)
		return false;
	*claims = (*at)->claims;
	memset(&(*at)->claims, 0, sizeof(Claims));
	if (scope)
	{
		*scope = (*at)->scope;
		(*at)->scope = NULL;
	}
	remove_grant(at);
	return true;
}

/* Whose grant it is, which stays.  False: there is no such one. */
bool
grant_read(GrantKind kind, const char *text, size_t len, Claims *claims)
{
	Grant	  **at = find_grant(kind, text, len);

	if (at)
		claims_copy(claims, &(*at)->claims);
	return at != NULL;
}
