/*-------------------------------------------------------------------------
 *
 * execution_json.h
 *	  Executions: reading them as a list, and writing them as JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_EXECUTION_JSON_H
#define WFLOG_EXECUTION_JSON_H

#include "json.h"
#include "nodes/pg_list.h"

/* Called with an execution that lives until the call returns. */
typedef void (*ExecutionVisitor) (const WflogExecution *execution, void *arg);

extern void visit_executions(const char *workflow_id, ExecutionVisitor visit, void *arg);
extern List *latest_executions(const char *workflow_id, int limit);
extern int64 count_executions(const char *workflow_id);
extern void json_execution(StringInfo buf, const WflogExecution *execution);
extern void json_execution_fields(StringInfo buf, const WflogExecution *execution);

#endif							/* WFLOG_EXECUTION_JSON_H */
