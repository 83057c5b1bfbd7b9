/*-------------------------------------------------------------------------
 *
 * maintain.h
 *	  Declarations shared by maintain.c, make_leaf.c, partitions.c,
 *	  preview.c and retention.c.
 *
 * The procedure maintain() and the background worker call wflog_maintain();
 * the steps it runs are declared here one by one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_MAINTAIN_H
#define WFLOG_MAINTAIN_H

#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "execution.h"

/* How many rows a statement deletes before the transaction ends. */
#define WFLOG_DELETE_BATCH 5000

/* One run of maintenance, or of the preview of one. */
typedef struct WflogRun
{
	bool		atomic;			/* in somebody's transaction: never commit */
	int			report_level;	/* for what is left for the next run */
	TimestampTz now;			/* when the run began */
	int			default_days;	/* kept where no policy of its own says */
	int			least_days;		/* the least any execution may be kept */
	int			most_days;
	bool		leaves_made;
	int			left;			/* steps left for the next run */
	MemoryContext memory;		/* lives as long as the run */
} WflogRun;

/* A partition of workflow_execution_logs_rows; the range is [from, to). */
typedef struct WflogLeaf
{
	Oid			relid;
	char	   *name;			/* quoted and qualified */
	bool		is_default;
	bool		is_table;		/* and not a foreign or partitioned table */
	TimestampTz from;			/* DT_NOBEGIN and DT_NOEND for the default leaf */
	TimestampTz to;
} WflogLeaf;

/* A leaf to be made. */
typedef struct WflogNewLeaf
{
	TimestampTz from;
	TimestampTz to;
	bool		hold_writers;	/* while it is attached: there may be some in its range */
	char		relname[NAMEDATALEN];
	char	   *name;			/* quoted and qualified */
} WflogNewLeaf;

typedef void (*WflogStep) (WflogRun *run, void *arg);

/* ---- maintain.c ---- */

extern int	wflog_maintain(int retention_days, bool atomic, int report_level);
extern void wflog_begin_run(WflogRun *run, int retention_days, bool atomic, int report_level);
extern int	wflog_maintenance_argument(FunctionCallInfo fcinfo);
extern void wflog_enter_owner(WflogCaller *caller);
extern void wflog_pin_setting(const char *name, const char *value);
extern ErrorData *wflog_retry(WflogRun *run, WflogStep step, void *arg);
extern bool wflog_attempt(WflogRun *run, WflogStep step, void *arg, const char *what);
extern void wflog_commit(WflogRun *run);
extern uint64 wflog_query(const char *sql, int nargs, Oid *types, Datum *values);
extern uint64 wflog_run_plan(SPIPlanPtr plan, Datum *values);
extern uint64 wflog_command(const char *format,...) pg_attribute_printf(1, 2);
extern Datum wflog_result(uint64 row, int column, bool *isnull);

/* ---- partitions.c ---- */

extern List *wflog_leaves(void);
extern char *wflog_bound(TimestampTz time);
extern bool wflog_create_leaves(WflogRun *run);

/* ---- make_leaf.c ---- */

extern void wflog_make_leaf(WflogRun *run, void *arg);
extern void wflog_complete_leaves(WflogRun *run);

/* ---- mend.c ---- */

extern void wflog_mend_loaded(WflogRun *run);

/* ---- rollup_leaves.c ---- */

extern void rollup_list_leaves(WflogRun *run, void *arg);
extern void rollup_sweep(WflogRun *run, void *arg);

/* ---- retention.c ---- */

/*
 * WITH clause: "kept" are the executions of a leaf after $1 with the time
 * before which their logs are due.  $2 is the time of the run, $3 the default
 * policy.  %1$s is the leaf.
 */
#define WFLOG_WITH_KEPT \
	"WITH RECURSIVE present AS (" \
	"  (SELECT l.execution_id, l.execution_hash FROM %1$s l" \
	"   WHERE l.execution_id ~>~ $1 ORDER BY l.execution_id USING ~<~ LIMIT 1) " \
	"  UNION ALL" \
	"  SELECT n.execution_id, n.execution_hash FROM present p, LATERAL (" \
	"    SELECT l.execution_id, l.execution_hash FROM %1$s l" \
	"    WHERE l.execution_id ~>~ p.execution_id ORDER BY l.execution_id USING ~<~ LIMIT 1) n), " \
	"kept AS (" \
	"  SELECT p.execution_id, p.execution_hash, coalesce(w.keep_days, t.keep_days, $3) AS days," \
	"    $2 - least(coalesce(w.keep_days, t.keep_days, $3), 365000) * interval '24 hours' AS cutoff" \
	"  FROM present p" \
	"  LEFT JOIN wflog.workflow_executions e ON e.execution_id = p.execution_id" \
	"  LEFT JOIN wflog.workflows f ON f.id = e.workflow_id" \
	"  LEFT JOIN wflog.retention_policies w ON w.scope = 'workflow' AND w.target = f.id" \
	"  LEFT JOIN wflog.retention_policies t ON t.scope = 'tier' AND t.target = f.tier) "

/*
 * Condition on "kept": rows are to be deleted.  $4 and $5 are the leaf's
 * range, infinite for the default leaf.
 */
#define WFLOG_ROWS_ARE_DUE \
	"(k.cutoff >= $5 OR ((k.days < $3 OR $5 = 'infinity') AND k.cutoff > $4)) "

/* Parameters of the queries above. */
#define WFLOG_DUE_PARAMETERS(after) \
	Oid types[] = {TEXTOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}; \
	Datum values[] = {CStringGetTextDatum(after), TimestampTzGetDatum(run->now), \
		Int32GetDatum(run->default_days), TimestampTzGetDatum(leaf->from), \
		TimestampTzGetDatum(leaf->to)}

extern void wflog_read_policies(WflogRun *run, int retention_days);
extern bool wflog_leaf_is_due(WflogRun *run, WflogLeaf *leaf);
extern bool wflog_leaf_may_have_due_rows(WflogRun *run, WflogLeaf *leaf);
extern void wflog_delete_due(WflogRun *run, bool from_default);
extern void wflog_expire_batches(WflogRun *run);
extern void wflog_drop_due(WflogRun *run);

#endif							/* WFLOG_MAINTAIN_H */
