/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  tail(): an execution's logs in the order they were committed.
 *
 * A stream is read in batches.  A batch is what a call's snapshot shows and
 * the batches before it did not, in the order of the stamps (xact, seq).  A
 * cursor says which transactions' logs have been delivered ("seen"), and, if
 * it stands inside a transaction, up to which of its logs.  Since membership
 * is decided by snapshots and not by any order of ids, nothing waits for a
 * transaction that is still open, and nothing it commits later is missed.
 *
 * What makes that hold across crashes, failover and retention:
 *
 * - seen never reaches beyond the last delivered transaction, because a crash
 *   hands ids out anew that no durable record mentions (stream_cursor.c);
 * - what was committed with synchronous_commit off is flushed before it is
 *   delivered, so a delivered log and its id survive a crash;
 * - a cursor from another timeline, or from ahead of this server's log, is
 *   checked by looking for the log delivered last (stream_gap.c);
 * - when retention removes logs, it records how far and when; a cursor from
 *   before that has not seen them all is answered with "gap" (WF002), never by
 *   jumping.
 *
 * On a standby seen and the snapshot need not nest; the union is taken.  See
 * docs/decisions/0003-stream-order.md.
 *
 * Where the execution's logs are notified as well, a call that comes to the
 * end of the stream says which of the worker's batches its rows cover
 * (docs/decisions/0010-notifications.md).
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fault.h"
#include "funcapi.h"
#include "json.h"
#include "notify.h"
#include "pgstat.h"
#include "reader.h"
#include "shared.h"
#include "stream.h"
#include "stream_cursor.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(wflog_tail);

#define MAX_TAIL 10000
#define DEFAULT_TAIL 1000

/* How long a call waits for the worker to publish what it has read, at most. */
#define PUBLISH_TIMEOUT_MS 200

/* A call of tail() under way. */
typedef struct TailState
{
	ExecutionKey key;
	ReturnSetInfo *rsinfo;
	int			limit;
	int			rows;			/* taken */
	bool		more;			/* there are more than the limit */
	XactSet		now;			/* what the snapshot shows */
	CursorMaker maker;
	StringInfoData cursor;		/* of the row taken last, not yet put out */
	StringInfoData log;
	MemoryContext row_context;
} TailState;

/* Put the row taken last out, if there is one; batch is NULL but for the last. */
static void
put_out(TailState *state, const char *batch)
{
	Datum		values[3];
	bool		nulls[3] = {false, false, batch == NULL};

	if (state->rows == 0)
		return;
	SET_VARSIZE(state->cursor.data, state->cursor.len);
	values[0] = PointerGetDatum(state->cursor.data);
	values[1] = json_result(&state->log);
	values[2] = batch ? CStringGetTextDatum(batch) : (Datum) 0;
	tuplestore_putvalues(state->rsinfo->setResult, state->rsinfo->setDesc, values, nulls);
}

/*
 * Deliver from a scan of the stream until the limit.  before is what had been
 * seen before this batch, batch what the batch shows.
 */
static void
deliver(TailState *state, StreamScan *scan, const XactSet *before, const XactSet *batch)
{
	TupleTableSlot *slot = stream_scan_next(scan);

	cursor_maker_batch(&state->maker, before, batch);
	while (slot && state->rows < state->limit)
	{
		MemoryContext saved = MemoryContextSwitchTo(state->row_context);

		put_out(state, NULL);
		state->log.len = VARHDRSZ;
		json_log_entry(&state->log, slot, false);
		cursor_maker_log(&state->maker, slot);
		MemoryContextSwitchTo(saved);
		MemoryContextReset(state->row_context);

		slot = stream_scan_next(scan);
		state->cursor.len = VARHDRSZ;
		cursor_maker_append(&state->maker, slot, &state->cursor);
		state->rows++;
	}
	state->more = slot != NULL;
}

/* Does our snapshot show logs of the execution that a set does not? */
static bool
shows_more_than(TailState *state, const XactSet *set)
{
	StreamScan *scan = stream_scan_begin(&state->key, set, &state->now);
	bool		found = stream_scan_next(scan) != NULL;

	stream_scan_end(scan);
	return found;
}

/* Go on to what a set shows beyond our snapshot. */
static void
deliver_up_to(TailState *state, const XactSet *set)
{
	XactSet		before = xact_set_copy(&state->maker.position.seen);
	XactSet		shown;
	StreamScan *scan;

	PushActiveSnapshot(GetLatestSnapshot());
	shown = xact_set_from_snapshot(GetActiveSnapshot());
	scan = stream_scan_open();
	stream_scan_aim_between(scan, &state->key, &before, set, &shown);
	deliver(state, scan, &before, set);
	stream_scan_end(scan);
	PopActiveSnapshot();
}

/*
 * The batch of the worker that the rows delivered cover: all logs that have
 * been notified in it or before it are among them or were delivered earlier,
 * and none that will be notified after it is.  NULL if that cannot be said.
 *
 * The rows may go beyond the batch published last, when the worker has not
 * come to them yet: then wait for it, for a moment.  And a batch may go beyond
 * the rows: then deliver the rest of it.
 */
static char *
covered_batch(TailState *state)
{
	DatabaseSlot *slot = my_slot();
	bool		fixed = IsolationUsesXactSnapshot() || IsInParallelMode();
	TimestampTz deadline = 0;
	uint64		epoch;
	uint64		number;
	XactSet		published;

	if (slot == NULL || RecoveryInProgress() || pg_atomic_read_u32(&slot->notify_on) == 0 ||
		!asked_execution(slot, state->key.hash))
		return NULL;

	FAULT_POINT("tail-read");
	ConditionVariablePrepareToSleep(&slot->published_cv);
	for (;;)
	{
		long		left;

		if (!published_batch(slot, &epoch, &number, &published))
			break;
		if (xact_set_includes(&published, &state->now))
		{
			ConditionVariableCancelSleep();
			if (!xact_set_includes(&state->now, &published))
			{
				if (fixed)
					return NULL;
				deliver_up_to(state, &published);
				if (state->more)
					return NULL;
			}
			return batch_text(epoch, number);
		}
		if (xact_set_includes(&state->now, &published) && !shows_more_than(state, &published))
		{
			ConditionVariableCancelSleep();
			return batch_text(epoch, number);
		}
		if (fixed || slot->latches[KIND_WORKER] == NULL)
			break;

		if (deadline == 0)
			deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PUBLISH_TIMEOUT_MS);
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (left <= 0)
			break;
		queue_wake(slot, KIND_WORKER);
		ConditionVariableTimedSleep(&slot->published_cv, left, WFLOG_WAIT_EVENT("WflogPublished"));
		pfree(published.hidden);
	}
	ConditionVariableCancelSleep();
	return NULL;
}

/* SQL: wflog.tail() */
Datum
wflog_tail(PG_FUNCTION_ARGS)
{
	TailState	state = {0};
	ReadableExecution execution;
	char	   *cursor = text_arg(fcinfo, 1);
	StreamPosition from = {0};
	XactSet		seen;
	StreamScan *scan;
	TimestampTz removals;
	bool		readable;

	state.limit = row_limit_arg(fcinfo, 2, DEFAULT_TAIL, MAX_TAIL);
	state.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	readable = find_readable_execution(fcinfo, 0, &execution);
	if (cursor)
		stream_cursor_decode(cursor, execution.key.hash, &from);
	InitMaterializedSRF(fcinfo, 0);
	if (!readable)
		return (Datum) 0;

	state.key = execution.key;
	state.now = xact_set_from_snapshot(GetActiveSnapshot());
	json_begin(&state.cursor);
	json_begin(&state.log);
	state.row_context = AllocSetContextCreate(CurrentMemoryContext, "wflog tail row",
											  ALLOCSET_DEFAULT_SIZES);
	seen = from.seen;

	if (cursor)
		stream_check_divergence(&state.key, &from);
	if (from.inside)
	{
		if (!xact_set_contains(&state.now, from.xact))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("this server does not show transaction " UINT64_FORMAT " of the cursor yet",
							from.xact),
					 errhint("Try again, or read from the server that gave the cursor.")));
		scan = stream_scan_begin_inside(&state.key, from.xact, from.seq);
	}
	else
		scan = stream_scan_begin(&state.key, &seen, &state.now);
	removals = cursor ? stream_check_gap(&state.key, &from) : stream_removals(&state.key);
	cursor_maker_init(&state.maker);
	cursor_maker_begin(&state.maker, state.key.hash, removals);

	if (from.inside)
	{
		deliver(&state, scan, &from.seen, &from.batch);
		stream_scan_end(scan);
		seen = xact_set_union(&from.seen, &from.batch);
		scan = NULL;
		if (!state.more)
			scan = stream_scan_begin(&state.key, &seen, &state.now);
	}
	if (scan)
	{
		deliver(&state, scan, &seen, &state.now);
		stream_scan_end(scan);
	}

	if (state.rows > 0)
		put_out(&state, state.more ? NULL : covered_batch(&state));
	if (state.maker.flush != InvalidXLogRecPtr)
		XLogFlush(state.maker.flush);
	return (Datum) 0;
}
