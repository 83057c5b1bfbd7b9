/*-------------------------------------------------------------------------
 *
 * stream_id.c
 *	  The ids of events of streams that follow several executions.
 *
 * An id is where the stream stands with each of its executions:
 *
 *	  m1~HASH STATE CURSOR~HASH STATE CURSOR…		of executions that were named
 *	  w1.FLOOR~HASH STATE CURSOR…					of a workflow
 *
 * without the blanks.  An execution is named by the beginning of the SHA-256 of
 * its id, so that its entry is short; its cursor is good for no other one, so
 * if two hashes ever were the same, the database would refuse it.  All of it
 * can be in an address as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <openssl/sha.h>

/* The hash of an execution's id, of STREAM_ID_HASH digits and a NUL. */
void
stream_id_hash(char *hash, const char *execution)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *) execution, strlen(execution), digest);
	for (int i = 0; i < STREAM_ID_HASH / 2; i++)
		sprintf(hash + 2 * i, "%02x", digest[i]);
}

/* Begin an id; the entries follow. */
void
stream_id_begin(Buffer *out, bool of_workflow, int64_t floor)
{
	if (of_workflow)
		buffer_printf(out, "w1.%lld", (long long) floor);
	else
		buffer_string(out, "m1");
}

/* Append an entry; the cursor may be NULL. */
void
stream_id_entry(Buffer *out, const char *hash, EntryState state, const char *cursor)
{
	buffer_char(out, '~');
	buffer_append(out, hash, STREAM_ID_HASH);
	buffer_char(out, state);
	if (cursor)
		buffer_string(out, cursor);
}

/* Take one entry, which goes up to end; false if it is none. */
static bool
parse_entry(StreamIdEntry *entry, const char *at, const char *end)
{
	Buffer		cursor = {0};

	if (end - at < STREAM_ID_HASH + 1)
		return false;
	for (int i = 0; i < STREAM_ID_HASH; i++)
		if (hex_value(at[i]) < 0)
			return false;
	memcpy(entry->hash, at, STREAM_ID_HASH);
	entry->hash[STREAM_ID_HASH] = '\0';
	at += STREAM_ID_HASH;
	if (*at == '\0' || strchr("oex", *at) == NULL)
		return false;
	entry->state = *at++;
	entry->cursor = NULL;
	for (const char *c = at; c < end; c++)
		if (*c <= ' ' || *c > '~')
			return false;
	if (at < end)
	{
		buffer_append(&cursor, at, end - at);
		entry->cursor = buffer_text(&cursor);
	}
	return true;
}

/* Read an id; false if it is none, and then there is nothing to be freed. */
bool
stream_id_parse(StreamId *id, const char *text, size_t len)
{
	const char *at = text;
	const char *end = text + len;

	memset(id, 0, sizeof(StreamId));
	if (len < 2 || at[1] != '1' || (at[0] != 'm' && at[0] != 'w'))
		return false;
	id->of_workflow = at[0] == 'w';
	at += 2;
	if (id->of_workflow)
	{
		int			digits = 0;

		if (at == end || *at++ != '.')
			return false;
		for (; at < end && *at >= '0' && *at <= '9'; at++, digits++)
		{
			if (digits == 17)
				return false;	/* no time is that late */
			id->floor = id->floor * 10 + (*at - '0');
		}
		if (digits == 0)
			return false;
	}
	while (at < end)
	{
		StreamIdEntry *entry = &id->entries[id->count];
		const char *next = memchr(at + 1, '~', end - at - 1);
		bool		good = *at == '~' && id->count < STREAM_ID_ENTRIES;

		if (next == NULL)
			next = end;
		if (good)
		{
			good = parse_entry(entry, at + 1, next) && stream_id_find(id, entry->hash) == NULL;
			id->count++;		/* to be freed, in any case */
		}
		if (!good)
		{
			stream_id_free(id);
			return false;
		}
		at = next;
	}
	return true;
}

/* The entry of an execution; NULL if there is none. */
StreamIdEntry *
stream_id_find(StreamId *id, const char *hash)
{
	for (int i = 0; i < id->count; i++)
		if (strcmp(id->entries[i].hash, hash) == 0)
			return &id->entries[i];
	return NULL;
}

/* Free what the entries have. */
void
stream_id_free(StreamId *id)
{
	for (int i = 0; i < id->count; i++)
		free(id->entries[i].cursor);
	id->count = 0;
}
