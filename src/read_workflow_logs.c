/*-------------------------------------------------------------------------
 *
 * read_workflow_logs.c
 *	  workflow_logs_json(): a page of the logs of all of a workflow's
 *	  executions, in page order.
 *
 * Time is cut at the leaves' bounds.  In one slice after the other each
 * execution gives at most a page of logs, and of all these the best are kept,
 * until a page is full; so an execution is asked only as long as it can
 * matter, and only a page is in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "execution_json.h"
#include "json.h"
#include "lib/binaryheap.h"
#include "reader.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(wflog_workflow_logs_json);

#define MAX_PAGE 1000
#define DEFAULT_PAGE 100

enum
{
	ARG_WORKFLOW_ID,
	ARG_MAX_ROWS,
	ARG_FILTERS,
	ARG_AFTER = ARG_FILTERS + FILTER_ARGUMENTS,
	ARG_BEFORE,
	ARG_FROM_END,
	ARG_DETAIL
};

/* A log that may be on the page. */
typedef struct Candidate
{
	PagePosition at;
	char	   *json;
} Candidate;

typedef struct MergeState
{
	MemoryContext context;
	LogFilter  *filter;			/* its times are those of the slice */
	bool		backward;
	bool		detail;
	const PagePosition *after;
	const PagePosition *before;
	int			limit;			/* one more than the page */
	binaryheap *candidates;		/* the one farthest away on top */
} MergeState;

/* binaryheap comparator: on top is what leaves the page first. */
static int
compare_candidates(Datum a, Datum b, void *arg)
{
	int			order = compare_positions(&((Candidate *) DatumGetPointer(a))->at,
										  &((Candidate *) DatumGetPointer(b))->at);

	return ((MergeState *) arg)->backward ? -order : order;
}

/* Is there a full page of candidates? */
static bool
is_full(const MergeState *state)
{
	return state->candidates->bh_size == state->limit;
}

/* Add an execution's logs of the slice, as long as they are on the page. */
static void
add_execution(const WflogExecution *execution, void *arg)
{
	MergeState *state = arg;
	ExecutionKey key = execution_key(execution->execution_id, strlen(execution->execution_id));
	LogScan    *scan = log_scan_begin(&key, state->filter,
									  state->backward ? BackwardScanDirection : ForwardScanDirection,
									  state->after, state->before);
	TupleTableSlot *slot;

	while ((slot = log_scan_next(scan)) != NULL)
	{
		PagePosition at = log_position(slot);
		Candidate  *candidate;
		StringInfoData json;
		MemoryContext saved;

		if (is_full(state))
		{
			Candidate  *worst = (Candidate *) DatumGetPointer(binaryheap_first(state->candidates));
			int			order = compare_positions(&at, &worst->at);

			if (state->backward ? order <= 0 : order >= 0)
				break;
			binaryheap_remove_first(state->candidates);
			pfree(worst->json);
			pfree(worst);
		}
		saved = MemoryContextSwitchTo(state->context);
		initStringInfo(&json);
		json_literal(&json, "{\"execution_id\":");
		json_cstring(&json, execution->execution_id);
		json_literal(&json, ",");
		json_log_fields(&json, slot, state->detail);
		json_literal(&json, "}");
		candidate = palloc(sizeof(Candidate));
		candidate->at = at;
		candidate->json = json.data;
		binaryheap_add(state->candidates, PointerGetDatum(candidate));
		MemoryContextSwitchTo(saved);
	}
	log_scan_end(scan);
}

/* Read slice after slice until the page is full. */
static void
merge_slices(MergeState *state, const char *workflow_id)
{
	LeafSet    *leaves = leaf_set_get();
	TimestampTz *bounds = palloc(sizeof(TimestampTz) * (2 * leaves->count + 2));
	TimestampTz start = state->filter->start_time;
	TimestampTz end = state->filter->end_time;
	int			count = 0;

	/* Rising bounds; a slice is [bounds[i], bounds[i + 1]). */
	bounds[count++] = DT_NOBEGIN;
	for (int i = 0; i < leaves->count; i++)
	{
		Leaf	   *leaf = &leaves->leaves[i];

		if (!TIMESTAMP_NOT_FINITE(leaf->lower) && leaf->lower > bounds[count - 1])
			bounds[count++] = leaf->lower;
		if (!TIMESTAMP_NOT_FINITE(leaf->upper) && leaf->upper > bounds[count - 1])
			bounds[count++] = leaf->upper;
	}
	bounds[count] = DT_NOEND;

	for (int i = 0; i < count && !is_full(state); i++)
	{
		int			slice = state->backward ? count - 1 - i : i;
		TimestampTz upper = bounds[slice + 1];

		state->filter->start_time = Max(start, bounds[slice]);
		state->filter->end_time = Min(end, TIMESTAMP_IS_NOEND(upper) ? upper : upper - 1);
		if (state->filter->start_time > state->filter->end_time ||
			(state->after && state->after->created_at > state->filter->end_time) ||
			(state->before && state->before->created_at < state->filter->start_time))
			continue;
		visit_executions(workflow_id, add_execution, state);
	}
}

/* SQL: wflog.workflow_logs_json() */
Datum
wflog_workflow_logs_json(PG_FUNCTION_ARGS)
{
	char	   *workflow_id = require_workflow(fcinfo, ARG_WORKFLOW_ID);
	int			limit = row_limit_arg(fcinfo, ARG_MAX_ROWS, DEFAULT_PAGE, MAX_PAGE);
	char	   *after_cursor = text_arg(fcinfo, ARG_AFTER);
	char	   *before_cursor = text_arg(fcinfo, ARG_BEFORE);
	int64		subject = wflog_execution_hash(workflow_id, strlen(workflow_id));
	PagePosition after;
	PagePosition before;
	MergeState	state = {0};
	Candidate **page;
	int			count;
	int			first;
	int			last;
	bool		more;
	bool		older;
	bool		newer;
	StringInfoData buf;

	state.filter = log_filter_from_args(fcinfo, ARG_FILTERS);
	if (after_cursor)
	{
		page_cursor_decode(after_cursor, subject, &after);
		state.after = &after;
	}
	if (before_cursor)
	{
		page_cursor_decode(before_cursor, subject, &before);
		state.before = &before;
	}
	state.backward = (before_cursor && !after_cursor) || bool_arg(fcinfo, ARG_FROM_END, false);
	state.detail = bool_arg(fcinfo, ARG_DETAIL, false);
	state.context = CurrentMemoryContext;
	state.limit = limit + 1;
	state.candidates = binaryheap_allocate(state.limit, compare_candidates, &state);
	merge_slices(&state, workflow_id);

	/* The heap gives the farthest first; put the page in rising order. */
	count = state.candidates->bh_size;
	more = count > limit;
	page = palloc(sizeof(Candidate *) * (count + 1));
	for (int i = 0; i < count; i++)
		page[state.backward ? i : count - 1 - i] =
			(Candidate *) DatumGetPointer(binaryheap_remove_first(state.candidates));
	first = more && state.backward ? 1 : 0;
	last = more && !state.backward ? count - 2 : count - 1;

	json_begin(&buf);
	json_literal(&buf, "{\"workflow_id\":");
	json_cstring(&buf, workflow_id);
	json_literal(&buf, ",\"logs\":[");
	for (int i = first; i <= last; i++)
	{
		if (i > first)
			json_literal(&buf, ",");
		appendStringInfoString(&buf, page[i]->json);
	}
	older = state.backward ? more : after_cursor != NULL;
	newer = state.backward ? before_cursor != NULL : more;
	json_literal(&buf, "],\"pagination\":{\"limit\":");
	json_int(&buf, limit);
	json_literal(&buf, ",\"has_more\":");
	appendStringInfoString(&buf, more ? "true" : "false");
	json_literal(&buf, ",\"next_cursor\":");
	json_cstring(&buf, newer && count > 0 ? page_cursor_encode(subject, &page[last]->at) : NULL);
	json_literal(&buf, ",\"prev_cursor\":");
	json_cstring(&buf, older && count > 0 ? page_cursor_encode(subject, &page[first]->at) : NULL);
	json_literal(&buf, "}}");
	return json_result(&buf);
}
