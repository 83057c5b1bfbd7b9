/*-------------------------------------------------------------------------
 *
 * preview.c
 *	  retention_preview(): what maintain() would remove.
 *
 * It asks the same questions as retention.c and counts instead of removing.
 * Only reads; takes AccessShareLock on the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "execution.h"
#include "maintain.h"

PG_FUNCTION_INFO_V1(wflog_retention_preview);

/* Columns of the result. */
enum
{
	PREVIEW_ACTION,
	PREVIEW_TARGET,
	PREVIEW_DAY,
	PREVIEW_LOGS,
	PREVIEW_BYTES,
	PREVIEW_COLUMNS
};

/*
 * Add one row per row of the last query: its columns are day, logs and bytes.
 */
static void
put_rows(ReturnSetInfo *result, const char *action, Oid target)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		values[PREVIEW_COLUMNS];
		bool		nulls[PREVIEW_COLUMNS] = {false};

		values[PREVIEW_ACTION] = CStringGetTextDatum(action);
		values[PREVIEW_TARGET] = CStringGetTextDatum(get_rel_name(target));
		values[PREVIEW_DAY] = wflog_result(i, 1, &nulls[PREVIEW_DAY]);
		values[PREVIEW_LOGS] = wflog_result(i, 2, &nulls[PREVIEW_LOGS]);
		values[PREVIEW_BYTES] = wflog_result(i, 3, &nulls[PREVIEW_BYTES]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* Say what would go of one leaf. */
static void
preview_leaf(WflogRun *run, ReturnSetInfo *result, WflogLeaf *leaf)
{
	WFLOG_DUE_PARAMETERS("");

	if (wflog_leaf_is_due(run, leaf))
	{
		wflog_query(psprintf("SELECT CASE WHEN isfinite($4) THEN ($4 AT TIME ZONE 'UTC')::date END,"
							 "  count(*), pg_total_relation_size('%1$s'::regclass) "
							 "FROM %1$s WHERE $1 IS NOT NULL AND $2 IS NOT NULL AND $3 IS NOT NULL AND $5 IS NOT NULL",
							 leaf->name),
					5, types, values);
		put_rows(result, "drop leaf", leaf->relid);
	}
	else if (wflog_leaf_may_have_due_rows(run, leaf))
	{
		wflog_query(psprintf(WFLOG_WITH_KEPT
							 "SELECT CASE WHEN isfinite(l.created_at) THEN (l.created_at AT TIME ZONE 'UTC')::date END,"
							 "  count(*), sum(pg_column_size(l.*))::int8 "
							 "FROM kept k JOIN %1$s l ON l.execution_hash = k.execution_hash"
							 "  AND l.execution_id = k.execution_id AND l.created_at < k.cutoff "
							 "WHERE " WFLOG_ROWS_ARE_DUE "GROUP BY 1 ORDER BY 1", leaf->name),
					5, types, values);
		put_rows(result, leaf->is_default ? "delete from default leaf" : "delete rows", leaf->relid);
	}
}

/* Say which producer batches would go. */
static void
preview_batches(WflogRun *run, ReturnSetInfo *result)
{
	Oid			types[] = {TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(run->now - run->default_days * USECS_PER_DAY)};

	wflog_query("SELECT (b.created_at AT TIME ZONE 'UTC')::date, count(*), sum(pg_column_size(b.*))::int8 "
				"FROM wflog.producer_batches b WHERE b.created_at < $1 GROUP BY 1 ORDER BY 1",
				1, types, values);
	put_rows(result, "delete producer batches",
			 get_relname_relid("producer_batches", get_rel_namespace(wflog_table_oid(WFLOG_LOGS))));
}

/*
 * retention_preview(retention_days): a row for each leaf that maintain() with
 * the same argument would drop, and for each day of which it would delete
 * rows in others.
 *
 * The bytes of a leaf are what it takes on disk with its indexes, those of
 * rows what the rows alone take.
 *
 * Errors: 42501 without wflog_admin, 22023 for a retention_days below 1.
 */
Datum
wflog_retention_preview(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WflogRun	run;
	WflogCaller caller;
	int			retention_days = wflog_maintenance_argument(fcinfo);
	ListCell   *cell;
	List	   *leaves;

	InitMaterializedSRF(fcinfo, 0);

	wflog_begin_run(&run, retention_days, true, NOTICE);
	leaves = wflog_leaves();
	wflog_enter_owner(&caller);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	foreach(cell, leaves)
		preview_leaf(&run, result, lfirst(cell));
	preview_batches(&run, result);
	SPI_finish();
	wflog_become_caller(&caller);
	MemoryContextDelete(run.memory);
	return (Datum) 0;
}
