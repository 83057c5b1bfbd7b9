/*-------------------------------------------------------------------------
 *
 * audit_seal.c
 *	  The seals of the audit trail and their key.
 *
 * The chain of an execution: with E(n) its events and HMAC-SHA256 under the
 * database's key,
 *
 *		seal of E(n) = HMAC("event", head seal n-1, E(n)'s fields)
 *		head seal n  = HMAC("head", execution, n, status after E(n), seal of E(n))
 *
 * Head seal 0 is empty.  execution_audit_heads keeps n, the status and head
 * seal n: who removes the newest events cannot make the head that belongs to
 * what is left, unless he can read the key or has kept that old head.
 *
 * What is sealed is in UTF-8 and network byte order, each field with its
 * length, so that a trail verifies wherever it is restored.
 *
 * The key is made by the first event in a database (secret.c).
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "common/hmac.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"

/*
 * The key of this database's chains; NULL if there is none and it is not to
 * be made.  To be called as owner, within SPI.
 */
bytea *
wflog_audit_key(bool create)
{
	return wflog_secret("audit", create);
}

/* Append an integer to what is sealed, in network byte order. */
static void
put_int64(StringInfo buffer, int64 value)
{
	uint64		ordered = pg_hton64((uint64) value);

	appendBinaryStringInfo(buffer, (const char *) &ordered, sizeof(ordered));
}

/* Append bytes to what is sealed, with their length, so that no two field lists look alike. */
static void
put_bytes(StringInfo buffer, const void *bytes, int length)
{
	put_int64(buffer, length);
	appendBinaryStringInfo(buffer, (const char *) bytes, length);
}

/* Append text in UTF-8: a dump may be restored into another encoding. */
static void
put_text(StringInfo buffer, const char *text)
{
	const char *utf8 = text;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	put_bytes(buffer, utf8, strlen(utf8));
}

/* HMAC-SHA256 of what has been gathered. */
static void
seal_buffer(const bytea *key, StringInfo buffer, uint8 *seal)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

	if (hmac == NULL ||
		pg_hmac_init(hmac, (const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) buffer->data, buffer->len) < 0 ||
		pg_hmac_final(hmac, seal, WFLOG_SEAL_SIZE) < 0)
		elog(ERROR, "could not compute the seal of an audit event");
	pg_hmac_free(hmac);
}

/* Seal an event, given the seal of the head before it. */
void
wflog_seal_event(const bytea *key, const uint8 *previous, int previous_size,
				 const WflogAuditEvent *event, uint8 *seal)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	put_text(&buffer, "event");
	put_bytes(&buffer, previous, previous_size);
	put_text(&buffer, event->execution_id);
	put_int64(&buffer, event->position);
	put_bytes(&buffer, event->id.data, UUID_LEN);
	put_text(&buffer, event->event_type);
	put_int64(&buffer, event->created_at);
	put_text(&buffer, event->actor);
	put_text(&buffer, event->metadata);
	seal_buffer(key, &buffer, seal);
	pfree(buffer.data);
}

/* Seal a head, given its newest event's seal; status is "" for a deleted execution. */
void
wflog_seal_head(const bytea *key, const char *execution_id, int64 events, const char *status,
				const uint8 *event_seal, int event_seal_size, uint8 *seal)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	put_text(&buffer, "head");
	put_text(&buffer, execution_id);
	put_int64(&buffer, events);
	put_text(&buffer, status);
	put_bytes(&buffer, event_seal, event_seal_size);
	seal_buffer(key, &buffer, seal);
	pfree(buffer.data);
}
