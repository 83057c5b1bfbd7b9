/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  The keys of keyed hashes, in wflog.secrets.
 *
 * Locks: the first use of a key in a database makes it under a
 * ShareRowExclusiveLock on wflog.secrets, held to the end of that
 * transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "execution.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#define KEY_SIZE 32

/* Read a key as of now, whatever the transaction's snapshot shows. */
static bytea *
read_key(const char *name)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(name)};
	Snapshot	snapshot = IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot();
	Datum		value;
	bool		isnull;

	wflog_prepare(&plan,
				  "SELECT value FROM wflog.secrets WHERE name OPERATOR(pg_catalog.=) $1", 1, types);
	if (SPI_execute_snapshot(plan, values, NULL, snapshot, InvalidSnapshot, true, false, 1) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read wflog.secrets");
	if (SPI_processed == 0)
		return NULL;
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return DatumGetByteaPCopy(value);
}

/*
 * The key of that name; NULL if there is none and it is not to be made.  To be
 * called as owner, within SPI, whose memory it is in.
 *
 * The lock lets concurrent first users wait for the one that makes the key,
 * at any isolation level.  No cache: the key may have been made by a
 * transaction, or subtransaction, that rolls back.
 */
bytea *
wflog_secret(const char *name, bool create)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, BYTEAOID};
	Datum		values[2];
	bytea	   *key = read_key(name);

	if (key != NULL || !create)
		return key;

	LockRelationOid(wflog_table_oid(WFLOG_SECRETS), ShareRowExclusiveLock);
	key = read_key(name);
	if (key != NULL)
		return key;

	key = palloc(VARHDRSZ + KEY_SIZE);
	SET_VARSIZE(key, VARHDRSZ + KEY_SIZE);
	if (!pg_strong_random(VARDATA(key), KEY_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	values[0] = CStringGetTextDatum(name);
	values[1] = PointerGetDatum(key);
	wflog_prepare(&plan, "INSERT INTO wflog.secrets (name, value) VALUES ($1, $2)", 2, types);
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into wflog.secrets");
	return key;
}
