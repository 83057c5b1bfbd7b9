/*-------------------------------------------------------------------------
 *
 * read_logs.c
 *	  logs() and logs_json(): an execution's logs, whole or by the page.
 *
 * A page is read forward from its start, or backward from its end when only
 * "before" is given or from_end is asked for; it is always shown in rising
 * order.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "funcapi.h"
#include "json.h"
#include "reader.h"
#include "rollup.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(wflog_logs);
PG_FUNCTION_INFO_V1(wflog_logs_json);

#define MAX_PAGE 1000
#define DEFAULT_PAGE 100
#define TYPICAL_LOG 2048		/* bytes of JSON, generously */

/* Arguments that both functions have, in order. */
enum
{
	ARG_EXECUTION_ID,
	ARG_MAX_ROWS,
	ARG_SKIP,
	ARG_FILTERS,
	ARG_AFTER = ARG_FILTERS + FILTER_ARGUMENTS,
	ARG_BEFORE,
	ARG_FROM_END,				/* from here on only logs_json */
	ARG_DETAIL,
	ARG_WITH_TOTAL
};

/* What to read of an execution. */
typedef struct PageRequest
{
	LogFilter  *filter;
	int64		skip;
	char	   *after_cursor;
	char	   *before_cursor;
	PagePosition after;
	PagePosition before;
	bool		backward;
} PageRequest;

/* Read the arguments that both functions have. */
static PageRequest
page_request(FunctionCallInfo fcinfo, int64 subject_hash)
{
	PageRequest request;

	request.filter = log_filter_from_args(fcinfo, ARG_FILTERS);
	request.skip = skip_arg(fcinfo, ARG_SKIP);
	request.after_cursor = text_arg(fcinfo, ARG_AFTER);
	request.before_cursor = text_arg(fcinfo, ARG_BEFORE);
	if (request.after_cursor)
		page_cursor_decode(request.after_cursor, subject_hash, &request.after);
	if (request.before_cursor)
		page_cursor_decode(request.before_cursor, subject_hash, &request.before);
	request.backward = request.before_cursor && !request.after_cursor;
	return request;
}

/* Begin reading what was asked for. */
static LogScan *
begin_request(const ExecutionKey *key, const PageRequest *request)
{
	LogScan    *scan = log_scan_begin(key, request->filter,
									  request->backward ? BackwardScanDirection : ForwardScanDirection,
									  request->after_cursor ? &request->after : NULL,
									  request->before_cursor ? &request->before : NULL);

	if (request->skip > 0)
		log_scan_skip(scan, request->skip);
	return scan;
}

/*
 * SQL: wflog.logs().  Without max_rows everything is returned.  No rows for
 * an execution that the asker may not read.
 */
Datum
wflog_logs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ReadableExecution execution;
	PageRequest request;
	int			limit = row_limit_arg(fcinfo, ARG_MAX_ROWS, 0, PG_INT32_MAX);
	LogScan    *scan;
	TupleTableSlot *slot;
	List	   *reversed = NIL;
	ListCell   *cell;
	bool		readable = find_readable_execution(fcinfo, ARG_EXECUTION_ID, &execution);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	request = page_request(fcinfo, execution.key.hash);
	if (!readable)
		return (Datum) 0;

	if (limit == 0 && request.skip == 0)
		request.backward = false;	/* all of them, so the direction is free */
	scan = begin_request(&execution.key, &request);
	for (int64 count = 0; (limit == 0 || count < limit) && (slot = log_scan_next(scan)) != NULL; count++)
	{
		if (request.backward)
			reversed = lcons(ExecCopySlotMinimalTuple(slot), reversed);
		else
			tuplestore_puttupleslot(rsinfo->setResult, slot);
	}
	log_scan_end(scan);

	if (reversed)
	{
		slot = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsMinimalTuple);
		foreach(cell, reversed)
		{
			ExecStoreMinimalTuple(lfirst(cell), slot, true);
			tuplestore_puttupleslot(rsinfo->setResult, slot);
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	return (Datum) 0;
}

/* A page being written. */
typedef struct LogPage
{
	int			rows;
	bool		more;			/* beyond the page in the direction it was read */
	PagePosition first;			/* valid if there are rows */
	PagePosition last;
} LogPage;

/* Write the page's logs as a JSON array. */
static LogPage
write_page(StringInfo buf, LogScan *scan, const PageRequest *request, int limit, bool detail)
{
	LogPage		page = {0};
	TupleTableSlot *slot;
	MinimalTuple *reversed = request->backward ? palloc(sizeof(MinimalTuple) * limit) : NULL;

	if (!request->backward)
		json_literal(buf, "[");
	while (page.rows < limit && (slot = log_scan_next(scan)) != NULL)
	{
		PagePosition position = log_position(slot);

		if (page.rows == 0)
			page.first = position;
		page.last = position;
		if (request->backward)
			reversed[page.rows] = ExecCopySlotMinimalTuple(slot);
		else
		{
			if (page.rows > 0)
				json_literal(buf, ",");
			json_log_entry(buf, slot, detail);
		}
		page.rows++;
	}
	page.more = page.rows == limit && log_scan_next(scan) != NULL;

	if (request->backward)
	{
		PagePosition newest = page.first;

		page.first = page.last;
		page.last = newest;
		json_log_tuples(buf, reversed, page.rows, detail);
	}
	else
		json_literal(buf, "]");
	return page;
}

/* Write a cursor, or null where there is nothing to go to. */
static void
write_cursor(StringInfo buf, bool present, int64 subject_hash, const PagePosition *position)
{
	json_cstring(buf, present ? page_cursor_encode(subject_hash, position) : NULL);
}

/*
 * SQL: wflog.logs_json(): a page as S1's LogsResponse.  has_more tells
 * whether there is more in the direction the page was read.
 */
Datum
wflog_logs_json(PG_FUNCTION_ARGS)
{
	int			limit = row_limit_arg(fcinfo, ARG_MAX_ROWS, DEFAULT_PAGE, MAX_PAGE);
	bool		with_total = bool_arg(fcinfo, ARG_WITH_TOTAL, true);
	ReadableExecution execution;
	PageRequest request;
	bool		whole;
	LogScan    *scan;
	LogPage		page;
	bool		older;
	bool		newer;
	Rollup	   *rollup;
	StringInfoData buf;

	require_execution(fcinfo, ARG_EXECUTION_ID, &execution);
	rollup = rollup_begin(&execution.key);
	rollup_find_leaves(rollup, &execution.key);
	request = page_request(fcinfo, execution.key.hash);
	whole = !request.after_cursor && !request.before_cursor;
	if (bool_arg(fcinfo, ARG_FROM_END, false))
		request.backward = true;

	json_begin_sized(&buf, limit * TYPICAL_LOG);
	json_literal(&buf, "{\"execution_id\":");
	json_string(&buf, execution.key.id, execution.key.len);
	json_literal(&buf, ",\"logs\":");
	scan = begin_request(&execution.key, &request);
	page = write_page(&buf, scan, &request, limit, bool_arg(fcinfo, ARG_DETAIL, false));
	log_scan_end(scan);

	json_literal(&buf, ",\"total_count\":");
	if (!with_total)
		json_literal(&buf, "null");
	else if (whole && !page.more && (page.rows > 0 || request.skip == 0))
		json_int(&buf, request.skip + page.rows);
	else
		json_int(&buf, rollup_count(rollup, &execution.key, request.filter));
	rollup_end(rollup);

	/* Where the page began there is more if it did not begin at the edge. */
	older = request.backward ? page.more : request.after_cursor || request.skip > 0;
	newer = request.backward ? request.before_cursor || request.skip > 0 : page.more;
	json_literal(&buf, ",\"pagination\":{\"limit\":");
	json_int(&buf, limit);
	json_literal(&buf, ",\"offset\":");
	json_int(&buf, request.skip);
	json_literal(&buf, ",\"has_more\":");
	appendStringInfoString(&buf, page.more ? "true" : "false");
	json_literal(&buf, ",\"next_cursor\":");
	write_cursor(&buf, newer && page.rows > 0, execution.key.hash, &page.last);
	json_literal(&buf, ",\"prev_cursor\":");
	write_cursor(&buf, older && page.rows > 0, execution.key.hash, &page.first);
	json_literal(&buf, ",\"stream_cursor\":");
	json_cstring(&buf, stream_cursor_after_snapshot(&execution.key, execution.registered &&
														 STATUS_IS_TERMINAL(execution.row.status)));
	json_literal(&buf, "}}");
	return json_result(&buf);
}
