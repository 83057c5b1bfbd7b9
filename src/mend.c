/*-------------------------------------------------------------------------
 *
 * mend.c
 *	  Maintenance: what a restore with triggers disabled leaves behind.
 *
 * pg_restore --disable-triggers turns all triggers of a table off, loads it,
 * and turns them on again, but as ordinary ones: ours, which fire always,
 * come out of it changed, and that is how we know where to look.  The logs it
 * has loaded have the stamps of the cluster they come from.  Those that this
 * cluster has not reached yet are stamped anew, in the order they lie in;
 * tail() refuses an execution that has any.  Smaller ones are left alone:
 * they read as logs of long ago, which they are.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "maintain.h"
#include "rollup.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* List the tables whose row trigger does not fire always any more. */
static void
find_loaded(WflogRun *run, void *arg)
{
	List	  **tables = arg;
	uint64		rows;

	rows = wflog_query("SELECT DISTINCT t.tgrelid::regclass::text, t.tgrelid, c.relkind <> 'r' "
					   "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
					   "WHERE t.tgfoid IN ('wflog.log_row()'::regprocedure, 'wflog.mark_log()'::regprocedure)"
					   "  AND t.tgenabled = 'O' "
					   "ORDER BY 3, 2",
					   0, NULL, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext saved = MemoryContextSwitchTo(run->memory);

		*tables = lappend(*tables, TextDatumGetCString(wflog_result(i, 1, NULL)));
		MemoryContextSwitchTo(saved);
	}
}

/*
 * Stamp a table's logs anew where need be, and let its trigger fire always.
 * The lock that the latter takes lets readers pass.
 */
static void
mend_loaded(WflogRun *run, void *arg)
{
	const char *table = arg;

	/* the row trigger does it, as it does not keep an impossible stamp */
	wflog_command("UPDATE ONLY %s SET message = message "
				  "WHERE xact >= pg_snapshot_xmax(pg_current_snapshot()) OR xact = '0'", table);
	wflog_command("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER log_row", table);
	wflog_command("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER mark_log", table);
	/* it may have got logs that no roll-up knows, of any transaction, and lost some */
	activity_note_moved(DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(table))));
	rollup_void_all();
}

/* Let the guards of the audit trail fire always. */
static void
mend_guards(WflogRun *run, void *arg)
{
	wflog_restore_audit_guards();
}

/* Mend what was loaded with triggers disabled. */
void
wflog_mend_loaded(WflogRun *run)
{
	List	   *tables = NIL;
	ListCell   *cell;

	(void) wflog_attempt(run, mend_guards, NULL, "enable the guards of the audit trail");
	if (!wflog_attempt(run, find_loaded, &tables, "look for partitions loaded without triggers"))
		return;
	foreach(cell, tables)
		(void) wflog_attempt(run, mend_loaded, lfirst(cell),
							 psprintf("stamp the logs of %s anew", (char *) lfirst(cell)));
	(void) wflog_attempt(run, rollup_list_leaves, NULL, "list the partitions for roll-ups");
}
