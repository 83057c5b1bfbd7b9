/*-------------------------------------------------------------------------
 *
 * ddl_hooks.c
 *	  Hooks on the statements that our processes must make way for, or that
 *	  the launcher and the worker should hear of.
 *
 *	DROP DATABASE, ALTER DATABASE ... RENAME and SET TABLESPACE, and CREATE
 *	DATABASE for its template: the database is parked, see park.c.
 *
 *	DROP EXTENSION wflog, by whatever way: the database is parked.  Where the
 *	statement names it, that is done before it takes any lock, so that it never
 *	meets our processes in a deadlock.
 *
 *	CREATE EXTENSION wflog, by whatever way, CREATE, DROP and ALTER DATABASE:
 *	the launcher is told after the commit.  If a dump is being restored, that
 *	is noted, as maintenance must not make partitions that are yet to come.
 *
 *	COMMIT PREPARED, ROLLBACK PREPARED: the worker is woken.
 *
 * A database is parked only for who may run the statement: for others it is
 * going to fail, and nobody else can send our processes away.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "launcher.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/syscache.h"

static ProcessUtility_hook_type previous_utility_hook = NULL;
static object_access_hook_type previous_access_hook = NULL;

/* What the transaction at hand has done, for after its commit. */
static bool some_extension_created = false;
static Oid	our_extension_dropped = InvalidOid;
static bool our_extension_created = false;
static bool databases_changed = false;
static Oid	database_altered = InvalidOid;

/* Is there anybody to make way, or to be told? */
static bool
is_active(void)
{
	return launcher_area != NULL && IsUnderPostmaster && !IsBinaryUpgrade;
}

/* May the user make a copy of the database, as CREATE DATABASE asks it? */
static bool
may_copy(Oid database)
{
	HeapTuple	tuple;
	bool		result = false;

	if (superuser() || wflog_owns_database(database, GetUserId()))
		return true;
	if (!have_createdb_privilege())
		return false;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* Park a database by name, if it exists and the user may do that to it. */
static void
park_by_name(const char *name, bool (*may) (Oid database))
{
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;

	if (OidIsValid(database) && may(database))
		park_database(database);
}

/* May the user rename, move or drop the database? */
static bool
may_change(Oid database)
{
	return wflog_owns_database(database, GetUserId());
}

/* Park our own database before DROP EXTENSION wflog. */
static void
park_for_drop_extension(DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		Oid			extension;

		if (strcmp(strVal(lfirst(cell)), "wflog") != 0)
			continue;
		extension = get_extension_oid("wflog", true);
		if (OidIsValid(extension) && wflog_owns_extension(extension, GetUserId()))
			park_database(MyDatabaseId);
	}
}

/* The string value of an option, or NULL. */
static char *
option_string(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/* What is to be done before the statement, and what is to be remembered. */
static void
before_statement(Node *node)
{
	switch (nodeTag(node))
	{
		case T_DropdbStmt:
			databases_changed = true;
			park_by_name(((DropdbStmt *) node)->dbname, may_change);
			break;

		case T_CreatedbStmt:
			{
				char	   *template = option_string(((CreatedbStmt *) node)->options, "template");

				databases_changed = true;
				park_by_name(template != NULL ? template : "template1", may_copy);
				break;
			}

		case T_RenameStmt:
			if (((RenameStmt *) node)->renameType == OBJECT_DATABASE)
			{
				databases_changed = true;
				park_by_name(((RenameStmt *) node)->subname, may_change);
			}
			break;

		case T_AlterDatabaseStmt:
			/* ALLOW_CONNECTIONS is for the launcher to know */
			databases_changed = true;
			if (option_string(((AlterDatabaseStmt *) node)->options, "tablespace") != NULL)
				park_by_name(((AlterDatabaseStmt *) node)->dbname, may_change);
			break;

		case T_DropStmt:
			if (((DropStmt *) node)->removeType == OBJECT_EXTENSION)
				park_for_drop_extension((DropStmt *) node);
			break;

		default:
			break;
	}
}

/* Does the statement change settings of ours? */
static bool
sets_our_settings(VariableSetStmt *statement)
{
	return statement->kind == VAR_RESET_ALL ||
		(statement->name != NULL && pg_strncasecmp(statement->name, "wflog.", 6) == 0);
}

/*
 * After COMMIT PREPARED or ROLLBACK PREPARED, which concerns this database.
 * The transaction may have created or dropped the extension; whatever watched
 * it being prepared has forgotten by now.
 */
static void
after_prepared(void)
{
	DatabaseSlot *slot = my_slot();
	bool		there = OidIsValid(get_extension_oid("wflog", true));

	if (slot != NULL)
		queue_wake(slot, KIND_WORKER);
	if (there != (slot != NULL))
	{
		Notice		notice = {.database = MyDatabaseId,.dropped = !there,.created = there};

		notify_launcher(&notice, false);
	}
}

/* What is to be done after the statement, which has succeeded. */
static void
after_statement(Node *node)
{
	switch (nodeTag(node))
	{
		case T_TransactionStmt:
			{
				TransactionStmtKind kind = ((TransactionStmt *) node)->kind;

				if (kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED)
					after_prepared();
				break;
			}

		case T_AlterDatabaseSetStmt:
			{
				AlterDatabaseSetStmt *statement = (AlterDatabaseSetStmt *) node;

				if (sets_our_settings(statement->setstmt))
					database_altered = get_database_oid(statement->dbname, true);
				break;
			}

		default:
			break;
	}
}

/* ProcessUtility_hook */
static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	bool		active = is_active();

	if (active)
		before_statement(pstmt->utilityStmt);

	if (previous_utility_hook)
		previous_utility_hook(pstmt, query, read_only, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query, read_only, context, params, environment, dest, completion);

	if (active)
		after_statement(pstmt->utilityStmt);
}

/*
 * object_access_hook.  A new extension's name cannot be looked up yet; that is
 * done before the commit.
 */
static void
object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, class, object, sub, arg);

	if (class != ExtensionRelationId || !is_active())
		return;
	if (access == OAT_POST_CREATE)
		some_extension_created = true;
	else if (access == OAT_DROP && object == get_extension_oid("wflog", true))
	{
		our_extension_dropped = object;
		park_database(MyDatabaseId);
	}
}

/* Tell the launcher what has been committed.  Cannot fail. */
static void
tell(void)
{
	Notice		here = {.database = MyDatabaseId,.dropped = OidIsValid(our_extension_dropped),
	.created = our_extension_created};
	Notice		there = {.database = database_altered,.restart = true};

	if (here.dropped || here.created)
		notify_launcher(&here, databases_changed);
	else if (databases_changed)
		notify_launcher(NULL, true);
	if (OidIsValid(database_altered))
		notify_launcher(&there, false);
}

/*
 * Before the commit: has our extension really been created or dropped, or was
 * it another, or rolled back to a savepoint?
 */
static void
look_again(void)
{
	Oid			there;

	if (!some_extension_created && !OidIsValid(our_extension_dropped))
		return;
	there = get_extension_oid("wflog", true);
	if (there == our_extension_dropped)
		our_extension_dropped = InvalidOid;
	our_extension_created = some_extension_created && OidIsValid(there);

	/* as pg_dump has it in all that it writes, and pg_restore in its sessions */
	if (our_extension_created && !check_function_bodies)
		note_restore();
}

/* Transaction callback. */
static void
transaction_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			look_again();
			break;

		case XACT_EVENT_COMMIT:
			tell();
			/* FALLTHROUGH */
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* after the launcher has been told, lest it start what is in vain */
			if (holds_parks())
				release_parks();
			some_extension_created = our_extension_created = false;
			our_extension_dropped = InvalidOid;
			databases_changed = false;
			database_altered = InvalidOid;
			break;

		default:
			break;
	}
}

/* Install the hooks.  To be called from _PG_init() when preloading. */
void
wflog_ddl_hooks_init(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_access_hook = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(transaction_event, NULL);
}
