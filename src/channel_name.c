/*-------------------------------------------------------------------------
 *
 * channel_name.c
 *	  What channels are called.
 *
 * Anybody who can connect may LISTEN to any name, and payloads know no row
 * level security.  So the name is the key: a keyed hash of what the channel is
 * of and who owns that, told only to who may read it.  When the owner changes,
 * so does the name.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "execution.h"
#include "notify.h"
#include "port/pg_bswap.h"

#define HASH_BYTES 18			/* 144 bits, 24 characters without padding */

/* The key of the channels' names; NULL if there is none and it is not to be made. */
bytea *
channel_key(bool create)
{
	MemoryContext context = CurrentMemoryContext;
	WflogCaller caller;
	bytea	   *key;

	SPI_connect();
	wflog_become_owner(&caller);
	key = wflog_secret("channel", create);
	if (key != NULL)
	{
		MemoryContext saved = MemoryContextSwitchTo(context);

		key = DatumGetByteaPCopy(PointerGetDatum(key));
		MemoryContextSwitchTo(saved);
	}
	wflog_become_caller(&caller);
	SPI_finish();
	return key;
}

/*
 * Write the name of a channel, CHANNEL_LEN characters and a NUL.  owner is
 * NULL if nobody owns it.
 */
void
channel_name(const bytea *key, ChannelKind kind, const char *id, int len, const char *owner,
			 char *name)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	uint8		head[2] = {(uint8) kind, owner != NULL};
	uint64		length = pg_hton64((uint64) len);
	int			written;

	if (hmac == NULL ||
		pg_hmac_init(hmac, (const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) < 0 ||
		pg_hmac_update(hmac, head, sizeof(head)) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) &length, sizeof(length)) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) id, len) < 0 ||
		(owner != NULL && pg_hmac_update(hmac, (const uint8 *) owner, strlen(owner)) < 0) ||
		pg_hmac_final(hmac, hash, sizeof(hash)) < 0)
		elog(ERROR, "could not compute the name of a channel");
	pg_hmac_free(hmac);

	strcpy(name, CHANNEL_PREFIX);
	written = pg_b64_encode((const void *) hash, HASH_BYTES, name + strlen(CHANNEL_PREFIX),
							CHANNEL_LEN + 1 - strlen(CHANNEL_PREFIX));
	Assert(written == CHANNEL_LEN - strlen(CHANNEL_PREFIX));
	(void) written;
	name[CHANNEL_LEN] = '\0';
	for (char *p = name; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
}

/* The channel of a workflow, by the active snapshot; false if there is none such. */
bool
workflow_channel_name(const bytea *key, const char *id, int len, char *name)
{
	char	   *owner = NULL;
	bool		exists = wflog_lookup_workflow_owner(id, len, &owner);

	channel_name(key, CHANNEL_WORKFLOW, id, len, owner, name);
	if (owner)
		pfree(owner);
	return exists;
}

/* The channel of an execution, by the active snapshot; also of one that is not registered. */
void
execution_channel_name(const bytea *key, const char *id, int len, char *name)
{
	WflogExecution execution;
	char	   *owner = NULL;

	if (wflog_lookup_execution(id, len, &execution))
		(void) wflog_lookup_workflow_owner(execution.workflow_id, strlen(execution.workflow_id),
										   &owner);
	channel_name(key, CHANNEL_EXECUTION, id, len, owner, name);
}
