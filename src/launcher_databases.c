/*-------------------------------------------------------------------------
 *
 * launcher_databases.c
 *	  Which databases there are, which of them have the extension, and which
 *	  have a slot.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "launcher_parts.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

HTAB	   *launcher_databases;
uint32		launcher_scans = 0;

/* Begin with none. */
void
launcher_databases_init(void)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(Database)};

	launcher_databases = hash_create("wflog databases", 32, &control, HASH_ELEM | HASH_BLOBS);
}

/* The database with that OID, entered unless it is known. */
Database *
know_database(Oid oid)
{
	bool		found;
	Database   *database = hash_search(launcher_databases, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(database, 0, sizeof(Database));
		database->oid = oid;
		database->scan = launcher_scans;
		snprintf(NameStr(database->name), NAMEDATALEN, "%u", oid);
	}
	return database;
}

/* Look at the list of databases.  Those that nobody may connect to are left out. */
void
scan_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS all;
	Database   *database;

	launcher_scans++;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		/* -2: a DROP DATABASE was interrupted */
		if (!form->datallowconn || form->datconnlimit == -2)
			continue;
		database = know_database(form->oid);
		database->scan = launcher_scans;
		database->name = form->datname;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();

	hash_seq_init(&all, launcher_databases);
	while ((database = hash_seq_search(&all)) != NULL)
		if (database->scan != launcher_scans && slot_of_database(database->oid) == NULL)
			(void) hash_search(launcher_databases, &database->oid, HASH_REMOVE, NULL);
}

/* Forget what is known of all databases, because something has been missed. */
static void
doubt_everything(void)
{
	HASH_SEQ_STATUS all;
	Database   *database;

	hash_seq_init(&all, launcher_databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		database->has = HAS_UNKNOWN;
		database->void_slot = slot_of_database(database->oid) != NULL;
		database->failures = 0;
		database->not_before = 0;
	}
}

/* Take in what has been committed since.  Returns whether databases have changed. */
bool
hear_notices(void)
{
	Notice		notices[MAX_NOTICES];
	int			count;
	uint64		sequence;
	bool		lost;
	bool		scan;

	LWLockAcquire(wflog_control->lock, LW_EXCLUSIVE);
	count = launcher_area->notice_count;
	memcpy(notices, launcher_area->pending, count * sizeof(Notice));
	sequence = launcher_area->notices;
	lost = launcher_area->notices_lost;
	scan = launcher_area->scan;
	launcher_area->notice_count = 0;
	launcher_area->notices_lost = launcher_area->scan = false;
	LWLockRelease(wflog_control->lock);

	if (lost)
		doubt_everything();
	for (int i = 0; i < count; i++)
	{
		Notice	   *notice = &notices[i];
		Database   *database = know_database(notice->database);
		DatabaseSlot *slot = slot_of_database(notice->database);

		if (notice->dropped)
		{
			database->has = HAS_UNKNOWN;
			database->void_slot = slot != NULL;
		}
		if (notice->created)
			database->has = HAS;
		if (notice->dropped || notice->created)
		{
			database->notices = sequence;
			database->failures = 0;
			database->not_before = 0;
			if (slot != NULL)
				forget_failures(slot);
		}
		if (notice->restart && slot != NULL)
			stop_processes(slot, true);
	}
	return lost || scan;
}

/* Give slots to the databases that should have one. */
void
give_slots(void)
{
	HASH_SEQ_STATUS all;
	Database   *database;

	hash_seq_init(&all, launcher_databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		if (database->has != HAS || database->void_slot || database->scan != launcher_scans)
			continue;
		if (slot_of_database(database->oid) != NULL)
			continue;
		if (slot_assign(database->oid) != NULL)
		{
			database->told_no_slot = false;
			launcher_wake_by(launcher_now);		/* to tend it */
		}
		else if (!database->told_no_slot)
		{
			database->told_no_slot = true;
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no slot left for wflog in database \"%s\"", NameStr(database->name)),
					 errdetail("Logs are not notified or rolled up there, and maintenance does not run by itself."),
					 errhint("Increase wflog.max_databases, which is %d.", wflog_control->slot_count)));
		}
	}
}
