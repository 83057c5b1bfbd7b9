/*-------------------------------------------------------------------------
 *
 * make_leaf.c
 *	  Making leaves, with what the default leaf holds of their range, and
 *	  completing leaves that lack something.
 *
 * A leaf is made like the default leaf, filled, and then attached: CREATE TABLE
 * ... PARTITION OF would take AccessExclusiveLock on the parent and wait
 * behind every open writer and reader, ATTACH takes ShareUpdateExclusiveLock
 * there, which passes them.  It does take AccessExclusiveLock on the default
 * leaf, to check that nothing in there belongs to the new one; that is why the
 * default leaf is kept empty.
 *
 * A writer chooses its leaf before it locks it.  One that has chosen the
 * default leaf, and finds when it gets the lock that the log belongs to a leaf
 * just attached, is refused by PostgreSQL with 23514.  Nobody writes to days
 * to come; but where there may be such writers, we lock the parent against
 * them first, so that they choose when the leaf is there.  That waits for
 * writers of any leaf to end their transactions.  When they do not in time,
 * the leaf is attached without, for otherwise a single writer that goes on and
 * on would have all logs pile up in the default leaf.
 *
 * Rows move in two goes.  The first, which may be long, lets writers work on.
 * Then the default leaf is locked, what has come since moves too, and the leaf
 * is attached.  Who reads the table or writes to the default leaf waits for as
 * long as that takes: two scans of the default leaf, some 0.4 seconds per
 * million logs in it.  A table that is not attached has no row trigger, so the
 * stamps are kept, and a moved log keeps its place in the stream.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"

#include "maintain.h"
#include "rollup.h"
#include "shared.h"

/* How many names to try for a leaf before giving up. */
#define MAX_NAME_TRIES 100

/* ---- completing leaves ---- */

/* Something a leaf lacks. */
typedef struct Missing
{
	char	   *leaf;			/* quoted and qualified */
	char	   *command;		/* what mends it */
	char	   *tablespace;		/* where, "" for the database's */
} Missing;

/*
 * Find what tables lack that are, or are to be, leaves: the indexes of the
 * default leaf, and row level security.  The result is in the run's memory.
 *
 * An index is the same when its definition is, from USING on; only its own
 * name and its table's stand before that.  It is called like the one it
 * follows, unless that name is taken.
 */
static List *
find_missing(WflogRun *run, Datum *relids, int count)
{
	Oid			types[] = {OIDARRAYOID};
	Datum		values[] = {PointerGetDatum(construct_array(relids, count, OIDOID, sizeof(Oid), true,
														  TYPALIGN_INT))};
	List	   *missing = NIL;
	MemoryContext old;
	uint64		rows = wflog_query(
		"WITH leaves AS ("
		"  SELECT t.oid, t.relname, n.oid AS schema, format('%I.%I', n.nspname, t.relname) AS name,"
		"    t.relrowsecurity"
		"  FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
		"  WHERE t.oid = ANY ($1) AND t.relkind = 'r'),"
		"indexes AS ("
		"  SELECT i.indrelid, x.relname, i.indisunique, i.indisprimary,"
		"    pg_get_constraintdef(c.oid) AS constraint_definition,"
		"    coalesce(s.spcname::text, '') AS tablespace,"
		"    substr(pg_get_indexdef(i.indexrelid), 1 + length(format('CREATE %sINDEX %I ON %I.%I ',"
		"      CASE WHEN i.indisunique THEN 'UNIQUE ' END, x.relname, n.nspname, t.relname))) AS definition"
		"  FROM pg_index i"
		"  JOIN pg_class x ON x.oid = i.indexrelid"
		"  JOIN pg_class t ON t.oid = i.indrelid"
		"  JOIN pg_namespace n ON n.oid = t.relnamespace"
		"  LEFT JOIN pg_tablespace s ON s.oid = x.reltablespace"
		"  LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid"
		"    AND c.contype IN ('p', 'u', 'x')"
		"  WHERE i.indisvalid"
		"    AND i.indrelid = ANY ($1 || 'wflog.workflow_execution_logs_default'::regclass::oid)) "
		"SELECT l.name, CASE WHEN p.constraint_definition IS NOT NULL"
		"    THEN format('ALTER TABLE %s ADD %s', l.name, p.constraint_definition)"
		"    ELSE format('CREATE %sINDEX %s ON %s %s', CASE WHEN p.indisunique THEN 'UNIQUE ' END,"
		"      n.name, l.name, p.definition) END, p.tablespace "
		"FROM leaves l"
		"  JOIN indexes p ON p.indrelid = 'wflog.workflow_execution_logs_default'::regclass"
		"  LEFT JOIN LATERAL (SELECT quote_ident(w.wanted) AS name"
		"    FROM (SELECT replace(p.relname, 'workflow_execution_logs_default', l.relname)::name AS wanted) w"
		"    WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relname = w.wanted"
		"      AND c.relnamespace = l.schema)) n ON true "
		"WHERE NOT EXISTS ("
		"  SELECT FROM indexes o WHERE o.indrelid = l.oid AND o.indisunique = p.indisunique"
		"    AND o.indisprimary = p.indisprimary AND o.definition = p.definition) "
		"UNION ALL "
		"SELECT l.name, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', l.name), '' "
		"FROM leaves l WHERE NOT l.relrowsecurity "
		"ORDER BY 1, 2", 1, types, values);

	old = MemoryContextSwitchTo(run->memory);
	for (uint64 i = 0; i < rows; i++)
	{
		Missing    *one = palloc(sizeof(Missing));

		one->leaf = TextDatumGetCString(wflog_result(i, 1, NULL));
		one->command = TextDatumGetCString(wflog_result(i, 2, NULL));
		one->tablespace = TextDatumGetCString(wflog_result(i, 3, NULL));
		missing = lappend(missing, one);
	}
	MemoryContextSwitchTo(old);
	return missing;
}

/* Find what the leaves lack. */
static void
find_missing_of_leaves(WflogRun *run, void *arg)
{
	List	   *leaves = wflog_leaves();
	Datum	   *relids = palloc(sizeof(Datum) * list_length(leaves));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, leaves)
		relids[count++] = ObjectIdGetDatum(((WflogLeaf *) lfirst(cell))->relid);
	*(List **) arg = find_missing(run, relids, count);
}

/* Mend one. */
static void
mend(WflogRun *run, void *arg)
{
	Missing    *one = arg;

	wflog_pin_setting("default_tablespace", one->tablespace);
	wflog_command("%s", one->command);
	wflog_pin_setting("default_tablespace", "");
}

/*
 * Give leaves that were made by hand, or restored without some index, what
 * the default leaf has: its indexes, and row level security.
 *
 * Building an index keeps the writers of that leaf waiting while it lasts;
 * leaves that we make are complete, so this is for the exception.
 */
void
wflog_complete_leaves(WflogRun *run)
{
	List	   *missing = NIL;
	ListCell   *cell;

	if (!wflog_attempt(run, find_missing_of_leaves, &missing, "look for incomplete partitions"))
		return;
	foreach(cell, missing)
		(void) wflog_attempt(run, mend, lfirst(cell),
							 psprintf("complete partition %s", ((Missing *) lfirst(cell))->leaf));
}

/* ---- making leaves ---- */

/* Choose a free name: by the range's start, with a suffix if that is taken. */
static void
choose_name(WflogNewLeaf *leaf)
{
	Oid			schema = get_rel_namespace(wflog_table_oid(WFLOG_LOG_ROWS));
	char		base[NAMEDATALEN];
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(leaf->from, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	if (leaf->from % USECS_PER_DAY != 0 || leaf->to - leaf->from < USECS_PER_DAY)
		pg_snprintf(base, sizeof(base), "workflow_execution_logs_%04d%02d%02d%02d",
					tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour);
	else
		pg_snprintf(base, sizeof(base), "workflow_execution_logs_%04d%02d%02d",
					tm.tm_year, tm.tm_mon, tm.tm_mday);

	strlcpy(leaf->relname, base, NAMEDATALEN);
	for (int i = 2; OidIsValid(get_relname_relid(leaf->relname, schema)); i++)
	{
		if (i > MAX_NAME_TRIES)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("there is no free name for a partition like \"%s\"", base)));
		pg_snprintf(leaf->relname, NAMEDATALEN, "%s_%d", base, i);
	}
	leaf->name = quote_qualified_identifier(get_namespace_name(schema), leaf->relname);
}

/*
 * CREATE TABLE for a leaf, like the default leaf in all that LIKE copies and
 * in storage parameters, access method and tablespace, which it does not.
 *
 * The check constraint spares ATTACH the scan of the leaf while the default
 * leaf is locked; it goes afterwards.
 */
static void
create_table(WflogNewLeaf *leaf)
{
	char	   *options;

	wflog_query(
		"SELECT format(' USING %I', m.amname)"
		"  || coalesce((SELECT ' WITH (' || string_agg(format('%s%I = %L', o.prefix, o.option_name,"
		"       o.option_value), ', ') || ')'"
		"     FROM (SELECT '' AS prefix, * FROM pg_options_to_table(t.reloptions)"
		"       UNION ALL SELECT 'toast.', * FROM pg_options_to_table(s.reloptions)) o), '')"
		"  || coalesce(' TABLESPACE ' || quote_ident(p.spcname), '') "
		"FROM pg_class t JOIN pg_am m ON m.oid = t.relam"
		"  LEFT JOIN pg_class s ON s.oid = t.reltoastrelid"
		"  LEFT JOIN pg_tablespace p ON p.oid = t.reltablespace "
		"WHERE t.oid = 'wflog.workflow_execution_logs_default'::regclass", 0, NULL, NULL);
	options = TextDatumGetCString(wflog_result(0, 1, NULL));

	wflog_command("CREATE TABLE %s (LIKE wflog.workflow_execution_logs_default"
				  " INCLUDING ALL EXCLUDING INDEXES,"
				  " CONSTRAINT wflog_range CHECK (storage = 'r' AND created_at >= %s AND created_at < %s))"
				  "%s", leaf->name, wflog_bound(leaf->from), wflog_bound(leaf->to), options);
}

/* Give the new leaf its indexes, which are built faster when it has its rows. */
static void
create_indexes(WflogRun *run, WflogNewLeaf *leaf)
{
	Datum		relid = ObjectIdGetDatum(get_relname_relid(leaf->relname,
														   get_rel_namespace(wflog_table_oid(WFLOG_LOG_ROWS))));
	ListCell   *cell;

	foreach(cell, find_missing(run, &relid, 1))
		mend(run, lfirst(cell));
}

/* Take away what ALTER DEFAULT PRIVILEGES has granted. */
static void
revoke_grants(WflogNewLeaf *leaf)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(leaf->name)};
	uint64		count = wflog_query(
		"SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END "
		"FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::regclass AND a.grantee <> c.relowner",
		1, types, values);
	List	   *roles = NIL;
	ListCell   *cell;

	for (uint64 i = 0; i < count; i++)
		roles = lappend(roles, TextDatumGetCString(wflog_result(i, 1, NULL)));
	foreach(cell, roles)
		wflog_command("REVOKE ALL ON %s FROM %s CASCADE", leaf->name, (char *) lfirst(cell));
}

/* Move the rows of the range that the default leaf has now.  Returns how many. */
static uint64
move_rows(WflogNewLeaf *leaf)
{
	return wflog_command("WITH moved AS ("
						 "  DELETE FROM wflog.workflow_execution_logs_default"
						 "  WHERE created_at >= %s AND created_at < %s RETURNING *) "
						 "INSERT INTO %s SELECT * FROM moved",
						 wflog_bound(leaf->from), wflog_bound(leaf->to), leaf->name);
}

/*
 * Lock the default leaf, and the parent as strongly as told, move the last
 * rows, attach.
 */
static void
attach(WflogRun *run, void *arg)
{
	WflogNewLeaf    *leaf = arg;

	/* In this order, as everybody who reads or writes by the parent does. */
	LockRelationOid(wflog_table_oid(WFLOG_LOG_ROWS),
					leaf->hold_writers ? ShareRowExclusiveLock : ShareUpdateExclusiveLock);
	LockRelationOid(wflog_table_oid(WFLOG_LOG_DEFAULT), AccessExclusiveLock);
	move_rows(leaf);
	activity_note_moved(get_relname_relid(leaf->relname,
										  get_rel_namespace(wflog_table_oid(WFLOG_LOG_ROWS))));
	wflog_command("ALTER TABLE wflog.workflow_execution_logs_rows ATTACH PARTITION %s"
				  " FOR VALUES FROM (%s) TO (%s)", leaf->name, wflog_bound(leaf->from), wflog_bound(leaf->to));
	wflog_command("ALTER TABLE %s DROP CONSTRAINT wflog_range", leaf->name);
	/* roll-ups know what has moved: it was deleted from the default leaf */
	rollup_list_leaf(get_relname_relid(leaf->relname,
									   get_rel_namespace(wflog_table_oid(WFLOG_LOG_ROWS))));
}

/*
 * Make one leaf.  If the default leaf is not to be had, the whole step fails,
 * and the rows stay where they were.
 */
void
wflog_make_leaf(WflogRun *run, void *arg)
{
	WflogNewLeaf    *leaf = arg;
	ErrorData  *error;

	choose_name(leaf);
	create_table(leaf);
	revoke_grants(leaf);
	leaf->hold_writers = move_rows(leaf) > 0 || leaf->from <= GetCurrentTimestamp();
	create_indexes(run, leaf);
	error = wflog_retry(run, attach, leaf);
	if (error != NULL && leaf->hold_writers)
	{
		leaf->hold_writers = false;
		error = wflog_retry(run, attach, leaf);
	}
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg_internal("%s", error->message)));
}
