/*-------------------------------------------------------------------------
 *
 * wflog.h
 *	  Declarations shared by the modules of wflog.
 *
 * Each module's own header section is marked with its file name.  Nothing in
 * here needs the library to be preloaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_H
#define WFLOG_H

#include "postgres.h"

#include "access/htup.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"

/* SQLSTATEs of our own; docs/reference.md lists all that callers can meet. */
#define ERRCODE_WFLOG_BAD_CURSOR MAKE_SQLSTATE('W', 'F', '0', '0', '1')
#define ERRCODE_WFLOG_GAP MAKE_SQLSTATE('W', 'F', '0', '0', '2')
#define ERRCODE_WFLOG_TRANSITION MAKE_SQLSTATE('W', 'F', '0', '0', '3')

#define WFLOG_MAX_EXECUTION_ID 255 /* characters */

/*
 * Columns of workflow_execution_logs, in the order of sql/10_tables.sql.
 */
typedef enum WflogLogColumn
{
	Anum_log_id = 1,
	Anum_log_execution_id,
	Anum_log_log_category,
	Anum_log_event_type,
	Anum_log_level,
	Anum_log_message,
	Anum_log_data,
	Anum_log_node_id,
	Anum_log_node_name,
	Anum_log_node_type,
	Anum_log_step_number,
	Anum_log_total_steps,
	Anum_log_progress_percentage,
	Anum_log_duration_seconds,
	Anum_log_user_friendly_message,
	Anum_log_display_priority,
	Anum_log_is_milestone,
	Anum_log_technical_details,
	Anum_log_stack_trace,
	Anum_log_performance_metrics,
	Anum_log_created_at,
	Anum_log_source,
	Anum_log_attempt,
	Anum_log_trace_id,
	Anum_log_span_id,
	Anum_log_original_size,
	Anum_log_execution_hash,
	Anum_log_xact,
	Anum_log_seq,
	Anum_log_storage
} WflogLogColumn;

#define WFLOG_LOG_USER_COLUMNS Anum_log_span_id /* those a writer may name */
#define WFLOG_LOG_COLUMNS Anum_log_storage

/* ---- guc.c: settings ---- */

extern int	wflog_max_entry_size;	/* bytes */
extern int	wflog_retention_days;	/* days */
extern int	wflog_audit_retention_days; /* days, 0 keeps for ever */
extern char *wflog_partition_interval;	/* hour, day, week or month */
extern int	wflog_partitions_ahead; /* leaves */
extern int	wflog_maintenance_interval; /* seconds, 0: not in the background */
extern int	wflog_maintenance_lock_timeout; /* milliseconds */
extern int	wflog_queue_size;	/* kilobytes */
extern int	wflog_max_databases;	/* slots */
extern int	wflog_notify;		/* WflogNotify */
extern int	wflog_notify_payload;	/* WflogNotifyPayload */
extern int	wflog_notify_scope; /* WflogNotifyScope */

typedef enum WflogNotify
{
	WFLOG_NOTIFY_OFF,
	WFLOG_NOTIFY_ON,			/* the worker does */
	WFLOG_NOTIFY_TRANSACTION	/* the writing transaction does */
} WflogNotify;

typedef enum WflogNotifyPayload
{
	WFLOG_PAYLOAD_FULL,			/* the log, if it fits */
	WFLOG_PAYLOAD_REFERENCE
} WflogNotifyPayload;

typedef enum WflogNotifyScope
{
	WFLOG_SCOPE_ASKED,			/* executions whose channel has been asked for */
	WFLOG_SCOPE_ALL
} WflogNotifyScope;

extern void wflog_define_settings(void);

/* ---- catalog.c: what the extension's objects are called inside ---- */

typedef enum WflogTable
{
	WFLOG_LOGS,
	WFLOG_LOG_ROWS,
	WFLOG_LOG_DEFAULT,
	WFLOG_WORKFLOWS,
	WFLOG_EXECUTIONS,
	WFLOG_AUDIT_EVENTS,
	WFLOG_AUDIT_HEADS,
	WFLOG_REMOVED_LOGS,
	WFLOG_ROLLUP_HEADS,
	WFLOG_ROLLUPS,
	WFLOG_ROLLUP_MILESTONES,
	WFLOG_ROLLUP_MARKS,
	WFLOG_ROLLUP_LEAVES,
	WFLOG_DATABASE_IDENTITY,
	WFLOG_SECRETS,
	WFLOG_TABLE_COUNT
} WflogTable;

typedef enum WflogRole
{
	WFLOG_READER,
	WFLOG_WRITER,
	WFLOG_ADMIN,
	WFLOG_GATEWAY,
	WFLOG_ROLE_COUNT
} WflogRole;

typedef enum WflogLevel
{
	LEVEL_DEBUG,
	LEVEL_INFO,
	LEVEL_WARNING,
	LEVEL_ERROR,
	LEVEL_CRITICAL,
	LEVEL_COUNT
} WflogLevel;

typedef enum WflogEventType
{
	EVENT_WORKFLOW_STARTED,
	EVENT_WORKFLOW_COMPLETED,
	EVENT_WORKFLOW_PROGRESS,
	EVENT_STEP_STARTED,
	EVENT_STEP_INPUT,
	EVENT_STEP_OUTPUT,
	EVENT_STEP_COMPLETED,
	EVENT_STEP_ERROR,
	EVENT_SEPARATOR,
	EVENT_LOG,
	EVENT_TYPE_COUNT
} WflogEventType;

typedef enum WflogStatus
{
	STATUS_NEW,
	STATUS_PENDING,
	STATUS_RUNNING,
	STATUS_PAUSED,
	STATUS_WAITING_FOR_HUMAN,
	STATUS_SUCCESS,				/* from here on terminal */
	STATUS_FAILED,
	STATUS_CANCELLED,
	STATUS_COUNT
} WflogStatus;

#define STATUS_IS_TERMINAL(status) ((status) >= STATUS_SUCCESS)

typedef enum WflogEnum
{
	WFLOG_LEVEL_ENUM,
	WFLOG_EVENT_TYPE_ENUM,
	WFLOG_STATUS_ENUM,
	WFLOG_ENUM_COUNT
} WflogEnum;

extern Oid	wflog_table_oid(WflogTable table);
extern Oid	wflog_role_oid(WflogRole role); /* InvalidOid if dropped */
extern Oid	wflog_enum_type(WflogEnum which);
extern Oid	wflog_enum_oid(WflogEnum which, int value);
extern int	wflog_enum_value(WflogEnum which, Oid oid);
extern const char *wflog_enum_label(WflogEnum which, int value);	/* as in SQL */
extern const char *wflog_enum_lower(WflogEnum which, int value);	/* in lower case */

/* ---- parse.c: what users write as text ---- */

extern WflogLevel wflog_parse_level(const char *text);
extern WflogEventType wflog_parse_event_type(const char *text);
extern WflogStatus wflog_parse_status(const char *text);
extern TimestampTz wflog_parse_time(const char *text);	/* no zone means UTC */
extern void wflog_check_execution_id(const char *id, int len);	/* 22023 if empty or too long */

/* ---- entry.c: one log's rules ---- */

/* Both take a row's values by column number - 1. */
extern void wflog_check_entry(const Datum *values, const bool *nulls);
extern bool wflog_limit_entry(Datum *values, bool *nulls);
extern int64 wflog_execution_hash(const char *id, int len);

/* ---- uuid.c ---- */

extern void wflog_make_uuid_v7(pg_uuid_t *uuid);

/* ---- identity.c: who is asking ---- */

extern bool wflog_sees_all(void);	/* reads every execution */
extern bool wflog_may_write(void);	/* inserts and updates */
extern bool wflog_may_administer(void); /* deletes, maintains */
extern bool wflog_is_gateway_session(void);	/* claims are believed */
extern char *wflog_current_uid(void);	/* palloc'd, or NULL */

/* ---- policy.c: what they may read ---- */

extern bool wflog_may_read_execution(const char *id, int len);
extern bool wflog_may_read_workflow(const char *id, int len);

/* ---- lookup.c: rows by id ---- */

/* What an execution's row says. */
typedef struct WflogExecution
{
	char	   *execution_id;
	char	   *workflow_id;
	WflogStatus status;
	bool		has_start_time;
	bool		has_end_time;
	TimestampTz start_time;
	TimestampTz end_time;
	TimestampTz created_at;
	char	   *error_message;	/* or NULL */
	char	   *workflow_name;	/* only in lists; or NULL */
} WflogExecution;

/* Reads without regard to privileges; false if there is no such row. */
extern bool wflog_lookup_execution(const char *id, int len, WflogExecution *execution);
extern bool wflog_lookup_workflow_owner(const char *id, int len, char **user_id);

#endif							/* WFLOG_H */
