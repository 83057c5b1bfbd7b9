/*-------------------------------------------------------------------------
 *
 * read_summary.c
 *	  summary(), recent_logs() and execution(): an execution at a glance.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "execution_json.h"
#include "json.h"
#include "reader.h"
#include "rollup.h"
#include "totals.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(wflog_summary);
PG_FUNCTION_INFO_V1(wflog_recent_logs);
PG_FUNCTION_INFO_V1(wflog_execution);

#define MAX_RECENT 1000
#define DEFAULT_RECENT 100
#define MAX_OTHER_EXECUTIONS 10

/* Bytes of JSON, roughly. */
#define TYPICAL_MILESTONE 150
#define TYPICAL_NODE 150

/* SQL: wflog.summary(): S1's LogsSummaryResponse. */
Datum
wflog_summary(PG_FUNCTION_ARGS)
{
	ReadableExecution execution;
	Rollup	   *rollup;
	LogTotals	totals;
	LogCounts  *counts = &totals.counts;
	StringInfoData buf;

	require_execution(fcinfo, 0, &execution);
	totals_init(&totals, false, true);
	rollup = rollup_begin(&execution.key);
	rollup_totals(rollup, &execution.key, &totals);

	json_begin_sized(&buf, counts->milestones * TYPICAL_MILESTONE +
					 nodes_count(totals.nodes) * TYPICAL_NODE);
	json_literal(&buf, "{\"execution_id\":");
	json_string(&buf, execution.key.id, execution.key.len);
	json_literal(&buf, ",\"total_logs\":");
	json_int(&buf, counts->total);
	json_literal(&buf, ",\"log_levels\":");
	json_levels(&buf, counts->levels);
	json_literal(&buf, ",\"event_types\":");
	json_event_types(&buf, counts->event_types);
	json_literal(&buf, ",\"milestones\":");
	json_milestones(&buf, rollup, &execution.key, &totals);
	rollup_end(rollup);
	json_literal(&buf, ",\"nodes\":");
	json_nodes(&buf, totals.nodes);
	json_literal(&buf, ",\"timeline\":{\"first_log\":");
	if (counts->total > 0)
	{
		json_time(&buf, counts->first);
		json_literal(&buf, ",\"last_log\":");
		json_time(&buf, counts->last);
		json_literal(&buf, ",\"duration_estimate\":");
		json_double(&buf, (counts->last - counts->first) / (double) USECS_PER_SEC);
		json_literal(&buf, "}}");
	}
	else
		json_literal(&buf, "null,\"last_log\":null,\"duration_estimate\":null}}");
	return json_result(&buf);
}

/* Write an execution's last logs in rising order. */
static void
write_last_logs(StringInfo buf, const ExecutionKey *key, int limit)
{
	LogScan    *scan = log_scan_begin(key, log_filter_all(), BackwardScanDirection, NULL, NULL);
	MinimalTuple *tuples = palloc(sizeof(MinimalTuple) * limit);
	TupleTableSlot *slot;
	int			count = 0;

	while (count < limit && (slot = log_scan_next(scan)) != NULL)
		tuples[count++] = ExecCopySlotMinimalTuple(slot);
	log_scan_end(scan);
	json_log_tuples(buf, tuples, count, false);
}

/*
 * SQL: wflog.recent_logs(): S1's RecentLogsResponse, for the execution of the
 * workflow that was registered last.
 */
Datum
wflog_recent_logs(PG_FUNCTION_ARGS)
{
	char	   *workflow_id = require_workflow(fcinfo, 0);
	int			limit = row_limit_arg(fcinfo, 1, DEFAULT_RECENT, MAX_RECENT);
	bool		others = bool_arg(fcinfo, 2, false);
	List	   *executions = latest_executions(workflow_id, others ? 1 + MAX_OTHER_EXECUTIONS : 1);
	StringInfoData buf;
	LogTotals	totals;
	LogCounts  *counts = &totals.counts;

	totals_init(&totals, false, false);
	json_begin(&buf);
	json_literal(&buf, "{\"workflow_id\":");
	json_cstring(&buf, workflow_id);
	json_literal(&buf, ",\"latest_execution\":");
	if (executions == NIL)
		json_literal(&buf, "null,\"logs\":[]");
	else
	{
		WflogExecution *latest = linitial(executions);
		ExecutionKey key = execution_key(latest->execution_id, strlen(latest->execution_id));

		Rollup	   *rollup = rollup_begin(&key);

		rollup_find_leaves(rollup, &key);
		json_execution(&buf, latest);
		json_literal(&buf, ",\"logs\":");
		write_last_logs(&buf, &key, limit);
		rollup_totals(rollup, &key, &totals);
		rollup_end(rollup);
	}
	json_literal(&buf, ",\"summary\":{\"total_logs\":");
	json_int(&buf, counts->total);
	json_literal(&buf, ",\"error_count\":");
	json_int(&buf, counts_errors(counts));
	json_literal(&buf, ",\"warning_count\":");
	json_int(&buf, counts->levels[LEVEL_WARNING]);
	json_literal(&buf, ",\"milestone_count\":");
	json_int(&buf, counts->milestones);
	json_literal(&buf, "}");
	if (others)
	{
		json_literal(&buf, ",\"other_executions\":[");
		for (int i = 1; i < list_length(executions); i++)
		{
			if (i > 1)
				json_literal(&buf, ",");
			json_execution(&buf, list_nth(executions, i));
		}
		json_literal(&buf, "],\"total_executions\":");
		json_int(&buf, count_executions(workflow_id));
	}
	json_literal(&buf, "}");
	return json_result(&buf);
}

/*
 * Write how far an execution is, in percent: the latest log that says so; null
 * if none does.
 */
static void
write_progress(StringInfo buf, const ReadableExecution *execution, const LogTotals *totals)
{
	LogScan    *scan;
	TupleTableSlot *slot;
	bool		written = false;
	char	   *percent;

	if (execution->registered && execution->row.status == STATUS_SUCCESS)
	{
		json_int(buf, 100);
		return;
	}
	if (totals->details)
	{
		appendStringInfoString(buf, totals->progress.known ? totals->progress.percent : "null");
		return;
	}
	scan = log_scan_begin(&execution->key, log_filter_all(), BackwardScanDirection, NULL, NULL);
	while (!written && (slot = log_scan_next(scan)) != NULL)
		if (log_progress(slot, &percent))
		{
			appendStringInfoString(buf, percent);
			written = true;
		}
	log_scan_end(scan);
	if (!written)
		json_literal(buf, "null");
}

/* SQL: wflog.execution() */
Datum
wflog_execution(PG_FUNCTION_ARGS)
{
	ReadableExecution execution;
	Rollup	   *rollup;
	LogTotals	totals;
	StringInfoData buf;

	require_execution(fcinfo, 0, &execution);
	rollup = rollup_begin(&execution.key);
	totals_init(&totals, false, rollup->usable);
	if (rollup->usable)
		rollup_totals(rollup, &execution.key, &totals);
	else
	{
		rollup_find_leaves(rollup, &execution.key);
		totals.counts.total = rollup_count(rollup, &execution.key, log_filter_all());
	}
	rollup_end(rollup);

	json_begin(&buf);
	if (execution.registered)
	{
		json_execution_fields(&buf, &execution.row);
		json_literal(&buf, ",\"workflow_id\":");
		json_cstring(&buf, execution.row.workflow_id);
	}
	else
	{
		json_literal(&buf, "{\"execution_id\":");
		json_string(&buf, execution.key.id, execution.key.len);
		json_literal(&buf, ",\"status\":null,\"is_terminal\":false");
	}
	json_literal(&buf, ",\"total_logs\":");
	json_int(&buf, totals.counts.total);
	json_literal(&buf, ",\"progress\":");
	write_progress(&buf, &execution, &totals);
	json_literal(&buf, "}");
	return json_result(&buf);
}
