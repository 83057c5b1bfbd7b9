/*-------------------------------------------------------------------------
 *
 * execution.h
 *	  Executions and their audit trail: what execution.c, audit.c and
 *	  audit_verify.c share with each other and with maintenance.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_EXECUTION_H
#define WFLOG_EXECUTION_H

#include "wflog.h"

#include "common/sha2.h"
#include "executor/spi.h"

/* Columns of workflow_executions, in the order of sql/10_tables.sql. */
typedef enum WflogExecutionColumn
{
	Anum_execution_execution_id = 1,
	Anum_execution_workflow_id,
	Anum_execution_status,
	Anum_execution_start_time,
	Anum_execution_end_time,
	Anum_execution_error_message,
	Anum_execution_created_at,
	Anum_execution_audit_mark
} WflogExecutionColumn;

/* ---- execution.c ---- */

extern void wflog_check_transition(const char *execution_id, WflogStatus from, WflogStatus to);
extern SPIPlanPtr wflog_prepare(SPIPlanPtr *plan, const char *sql, int nargs, Oid *types);

/* ---- audit.c ---- */

#define WFLOG_SEAL_SIZE PG_SHA256_DIGEST_LENGTH

/* What a caller of wflog_become_owner() was. */
typedef struct WflogCaller
{
	Oid			user;
	int			security_context;
	int			guc_level;
} WflogCaller;

/* An event as it is sealed. */
typedef struct WflogAuditEvent
{
	const char *execution_id;
	int64		position;
	pg_uuid_t	id;
	const char *event_type;
	TimestampTz created_at;
	const char *actor;
	const char *metadata;		/* as jsonb prints it */
} WflogAuditEvent;

extern int64 wflog_audit_mark(void);
extern void wflog_become_owner(WflogCaller *caller);
extern void wflog_become_caller(const WflogCaller *caller);

/* ---- secret.c ---- */

extern bytea *wflog_secret(const char *name, bool create);

/* ---- audit_seal.c ---- */

extern bytea *wflog_audit_key(bool create);
extern void wflog_seal_event(const bytea *key, const uint8 *previous, int previous_size,
							 const WflogAuditEvent *event, uint8 *seal);
extern void wflog_seal_head(const bytea *key, const char *execution_id, int64 events,
							const char *status, const uint8 *event_seal, int event_seal_size,
							uint8 *seal);

/* ---- workflow.c ---- */

extern void wflog_check_workflow(const char *workflow_id);

/* ---- audit_retention.c ---- */

extern bool wflog_audit_unlocked(void);
extern int	wflog_execute_unlocked(SPIPlanPtr plan, Datum *values, const char *nulls);
extern int64 wflog_purge_audit(int days, int limit);
extern void wflog_restore_audit_guards(void);

#endif							/* WFLOG_EXECUTION_H */
