/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  OIDs of the extension's tables, enum values and roles, cached per
 *	  backend.
 *
 * The caches are dropped by syscache invalidation, so DROP and CREATE
 * EXTENSION in another session are noticed at the next lookup.  No locks are
 * taken here.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/namespace.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define SCHEMA_NAME "wflog"
#define MAX_LABELS EVENT_TYPE_COUNT

static const char *const table_names[WFLOG_TABLE_COUNT] = {
	[WFLOG_LOGS] = "workflow_execution_logs",
	[WFLOG_LOG_ROWS] = "workflow_execution_logs_rows",
	[WFLOG_LOG_DEFAULT] = "workflow_execution_logs_default",
	[WFLOG_WORKFLOWS] = "workflows",
	[WFLOG_EXECUTIONS] = "workflow_executions",
	[WFLOG_AUDIT_EVENTS] = "execution_audit_events",
	[WFLOG_AUDIT_HEADS] = "execution_audit_heads",
	[WFLOG_REMOVED_LOGS] = "removed_logs",
	[WFLOG_ROLLUP_HEADS] = "rollup_heads",
	[WFLOG_ROLLUPS] = "rollups",
	[WFLOG_ROLLUP_MILESTONES] = "rollup_milestones",
	[WFLOG_ROLLUP_MARKS] = "rollup_marks",
	[WFLOG_ROLLUP_LEAVES] = "rollup_leaves",
	[WFLOG_DATABASE_IDENTITY] = "database_identity",
	[WFLOG_SECRETS] = "secrets",
};

static const char *const role_names[WFLOG_ROLE_COUNT] = {
	[WFLOG_READER] = "wflog_reader",
	[WFLOG_WRITER] = "wflog_writer",
	[WFLOG_ADMIN] = "wflog_admin",
	[WFLOG_GATEWAY] = "wflog_gateway",
};

/* An enum of ours: labels in declared order, and what a cache knows of it. */
typedef struct EnumInfo
{
	const char *type_name;
	int			count;
	const char *labels[MAX_LABELS];
	const char *lower[MAX_LABELS];
	bool		valid;
	Oid			type;
	Oid			oids[MAX_LABELS];
} EnumInfo;

static EnumInfo enums[WFLOG_ENUM_COUNT] = {
	[WFLOG_LEVEL_ENUM] = {
		.type_name = "log_level_enum",
		.count = LEVEL_COUNT,
		.labels = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"},
		.lower = {"debug", "info", "warning", "error", "critical"},
	},
	[WFLOG_EVENT_TYPE_ENUM] = {
		.type_name = "log_event_type_enum",
		.count = EVENT_TYPE_COUNT,
		.labels = {"workflow_started", "workflow_completed", "workflow_progress", "step_started", "step_input",
		"step_output", "step_completed", "step_error", "separator", "log"},
		.lower = {"workflow_started", "workflow_completed", "workflow_progress", "step_started", "step_input",
		"step_output", "step_completed", "step_error", "separator", "log"},
	},
	[WFLOG_STATUS_ENUM] = {
		.type_name = "execution_status_enum",
		.count = STATUS_COUNT,
		.labels = {"NEW", "PENDING", "RUNNING", "PAUSED", "WAITING_FOR_HUMAN", "SUCCESS", "FAILED", "CANCELLED"},
		.lower = {"new", "pending", "running", "paused", "waiting_for_human", "success", "failed", "cancelled"},
	},
};

static Oid	table_oids[WFLOG_TABLE_COUNT];
static Oid	role_oids[WFLOG_ROLE_COUNT];
static bool callbacks_registered = false;

/* Forget what a changed catalog may have made wrong. */
static void
invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	if (cacheid == AUTHNAME)
		memset(role_oids, 0, sizeof(role_oids));
	else
	{
		memset(table_oids, 0, sizeof(table_oids));
		for (int i = 0; i < WFLOG_ENUM_COUNT; i++)
			enums[i].valid = false;
	}
}

/* Relations come and go by relcache messages. */
static void
invalidate_relation(Datum arg, Oid relid)
{
	for (int i = 0; i < WFLOG_TABLE_COUNT; i++)
		if (relid == InvalidOid || table_oids[i] == relid)
			table_oids[i] = InvalidOid;
}

/* Register the callbacks once per backend. */
static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	CacheRegisterSyscacheCallback(NAMESPACEOID, invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHNAME, invalidate, (Datum) 0);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	callbacks_registered = true;
}

/* Report that the extension, or a part of it, is not in this database. */
static void
missing(const char *kind, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s.%s\" does not exist", kind, SCHEMA_NAME, name),
			 errhint("Run CREATE EXTENSION wflog in this database.")));
}

/* OID of one of our tables; 42704 if the extension is not there. */
Oid
wflog_table_oid(WflogTable table)
{
	if (!OidIsValid(table_oids[table]))
	{
		Oid			schema = get_namespace_oid(SCHEMA_NAME, true);
		Oid			oid = InvalidOid;

		register_callbacks();
		if (OidIsValid(schema))
			oid = get_relname_relid(table_names[table], schema);
		if (!OidIsValid(oid))
			missing("table", table_names[table]);
		table_oids[table] = oid;
	}
	return table_oids[table];
}

/* OID of one of our roles, InvalidOid if somebody has dropped it. */
Oid
wflog_role_oid(WflogRole role)
{
	if (!OidIsValid(role_oids[role]))
	{
		register_callbacks();
		role_oids[role] = get_role_oid(role_names[role], true);
	}
	return role_oids[role];
}

/* Look the enum's values up if need be. */
static EnumInfo *
load_enum(WflogEnum which)
{
	EnumInfo   *info = &enums[which];
	Oid			schema;

	if (info->valid)
		return info;

	register_callbacks();
	schema = get_namespace_oid(SCHEMA_NAME, true);
	info->type = OidIsValid(schema) ?
		GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(info->type_name),
						ObjectIdGetDatum(schema)) : InvalidOid;
	if (!OidIsValid(info->type))
		missing("type", info->type_name);

	for (int i = 0; i < info->count; i++)
	{
		info->oids[i] = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid,
										ObjectIdGetDatum(info->type),
										CStringGetDatum(info->labels[i]));
		if (!OidIsValid(info->oids[i]))
			missing("enum value", info->labels[i]);
	}
	info->valid = true;
	return info;
}

/* OID of the enum type. */
Oid
wflog_enum_type(WflogEnum which)
{
	return load_enum(which)->type;
}

/* OID of the enum's value with that number. */
Oid
wflog_enum_oid(WflogEnum which, int value)
{
	Assert(value >= 0 && value < enums[which].count);
	return load_enum(which)->oids[value];
}

/* Number of the enum's value with that OID. */
int
wflog_enum_value(WflogEnum which, Oid oid)
{
	EnumInfo   *info = load_enum(which);

	for (int i = 0; i < info->count; i++)
		if (info->oids[i] == oid)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("type \"%s.%s\" has a value that wflog does not know", SCHEMA_NAME, info->type_name),
			 errhint("Values must not be added to the types of wflog.")));
	return -1;					/* keep the compiler quiet */
}

/* The value's name as SQL shows it. */
const char *
wflog_enum_label(WflogEnum which, int value)
{
	return enums[which].labels[value];
}

/* The value's name in lower case, as JSON shows levels. */
const char *
wflog_enum_lower(WflogEnum which, int value)
{
	return enums[which].lower[value];
}
