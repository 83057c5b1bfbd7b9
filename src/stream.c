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
 *   hands ids out anew that no durable record mentions;
 * - what was committed with synchronous_commit off is flushed before it is
 *   delivered, so a delivered log and its id survive a crash;
 * - a cursor from another timeline, or from ahead of this server's log, is
 *   checked by looking for the log delivered last;
 * - when retention removes logs, it records how far and when; a cursor from
 *   before that has not seen them all is answered with "gap" (WF002), never by
 *   jumping.
 *
 * On a standby seen and the snapshot need not nest; the union is taken.  See
 * docs/decisions/0003-stream-order.md.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/clog.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/timeline.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "funcapi.h"
#include "json.h"
#include "reader.h"
#include "storage/lwlock.h"
#include "stream.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(wflog_tail);

#define MAX_TAIL 10000
#define DEFAULT_TAIL 1000

/* Where this server stands: for cursors given now. */
static void
server_position(TimeLineID *timeline, XLogRecPtr *lsn)
{
	if (RecoveryInProgress())
		*lsn = GetXLogReplayRecPtr(timeline);
	else
	{
		*lsn = GetFlushRecPtr(NULL);
		*timeline = GetWALInsertionTimeLine();
	}
}

/*
 * Make sure that a commit we have seen cannot be lost in a crash.  Returns
 * how far the log must be flushed for it; nothing for a transaction that
 * committed synchronously or long ago.
 */
static XLogRecPtr
commit_lsn(uint64 xact)
{
	TransactionId xid = XidFromFullTransactionId(FullTransactionIdFromU64(xact));
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	XLogRecPtr	lsn = InvalidXLogRecPtr;

	if (RecoveryInProgress() || xact + (1 << 30) < next)
		return InvalidXLogRecPtr;

	/* as in TransactionIdInRecentPast(): keep its status from being truncated */
	LWLockAcquire(XactTruncationLock, LW_SHARED);
	if (!TransactionIdPrecedes(xid, TransamVariables->oldestClogXid))
		lsn = TransactionIdGetCommitLSN(xid);
	LWLockRelease(XactTruncationLock);
	return lsn;
}

/* Find the delivered log of a cursor by its stamp; is it the same one? */
static bool
delivered_log_is_here(const ExecutionKey *key, const StreamPosition *position)
{
	StreamScan *scan = stream_scan_begin_inside(key, position->xact, position->seq - 1);
	TupleTableSlot *slot = stream_scan_next(scan);
	bool		same = false;

	if (slot && DatumGetInt32(stream_attribute(slot, Anum_log_seq)) == position->seq)
	{
		PagePosition page = log_position(slot);

		same = id_fingerprint(&page.id) == position->fingerprint;
	}
	stream_scan_end(scan);
	return same;
}

/*
 * Could this server have gone another way than the one that gave the cursor?
 * Then ids may mean other transactions.  It is the same way if the switch to
 * this timeline came after the cursor, or if the log delivered last is here
 * and nothing beyond it counts as seen.
 */
static void
check_divergence(const ExecutionKey *key, const StreamPosition *position)
{
	TimeLineID	timeline;
	XLogRecPtr	lsn;
	bool		diverged;

	server_position(&timeline, &lsn);
	if (position->timeline == timeline)
		diverged = !RecoveryInProgress() && position->lsn > lsn;
	else if (position->timeline > timeline)
		diverged = true;
	else
	{
		List	   *history = readTimeLineHistory(timeline);

		diverged = !tliInHistory(position->timeline, history) ||
			position->lsn > tliSwitchPoint(position->timeline, history, NULL);
		list_free_deep(history);
	}
	if (!diverged || position->xact == 0)
		return;
	if (position->seen.xmax <= position->xact + 1 && delivered_log_is_here(key, position))
		return;
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("this standby is behind the server that gave the cursor"),
				 errhint("Try again, or read from the primary.")));
	ereport(ERROR,
			(errcode(ERRCODE_WFLOG_GAP),
			 errmsg("the server has been restored or failed over to a state before the cursor"),
			 errhint("Call tail() without a cursor to read the stream from its start.")));
}

/* What retention has removed of an execution. */
typedef struct Removals
{
	uint64		last_xact;		/* the greatest stamp among it; 0 if none has been */
	TimestampTz last;			/* when it last did */
} Removals;

/* Look up what a snapshot shows of it. */
static Removals
find_removals(const ExecutionKey *key, Snapshot snapshot)
{
	Relation	table = table_open(wflog_table_oid(WFLOG_REMOVED_LOGS), AccessShareLock);
	Relation	index = index_open(wflog_primary_key(table), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	ScanKeyData scankey;
	IndexScanDesc scan;
	Removals	removals = {0, 0};

	ScanKeyEntryInitialize(&scankey, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[0], F_TEXTEQ,
						   PointerGetDatum(cstring_to_text_with_len(key->id, key->len)));
	scan = wflog_index_beginscan(table, index, snapshot, 1);
	index_rescan(scan, &scankey, 1, NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		removals.last_xact =
			U64FromFullTransactionId(DatumGetFullTransactionId(stream_attribute(slot, 2)));
		removals.last = DatumGetTimestampTz(stream_attribute(slot, 3));
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(table, AccessShareLock);
	return removals;
}

/*
 * Has retention removed logs that the cursor's reader has not got?  Returns
 * the "removals" of the cursors to be given.
 *
 * Asked with a fresh snapshot, after the leaves are locked: what had gone by
 * then is on record by then.  (GetLatestSnapshot() refuses to work beside
 * parallel workers.)  A standby may not know yet of the removals that
 * the cursor knows.
 */
static TimestampTz
check_gap(const ExecutionKey *key, const StreamPosition *from)
{
	Snapshot	fresh = RegisterSnapshot(GetCatalogSnapshot(wflog_table_oid(WFLOG_REMOVED_LOGS)));
	Removals	removals = find_removals(key, fresh);
	XactSet		seen = from->seen;

	UnregisterSnapshot(fresh);

	if (removals.last_xact == 0 || removals.last == from->removals ||
		(RecoveryInProgress() && removals.last < from->removals))
		return from->removals;

	/* Of the transaction it stands in, the cursor has not seen all. */
	if (from->inside)
	{
		XactSet		delivered = xact_set_clip(&from->batch, from->xact);

		seen = xact_set_union(&from->seen, &delivered);
	}
	if (removals.last_xact >= seen.xmax ||
		(seen.count > 0 && seen.hidden[0] <= removals.last_xact))
		ereport(ERROR,
				(errcode(ERRCODE_WFLOG_GAP),
				 errmsg("logs after the cursor have been removed by retention"),
				 errhint("Call tail() without a cursor to read the stream from the oldest log that is left.")));
	return removals.last;
}

/* A call of tail() under way. */
typedef struct TailState
{
	ExecutionKey key;
	ReturnSetInfo *rsinfo;
	int			limit;
	int			rows;
	XactSet		now;			/* what the snapshot shows */
	StreamPosition position;	/* of the row last put out */
	XLogRecPtr	flush;			/* so far must be flushed */
	uint64		checked_xact;	/* commit_lsn() has been asked */
} TailState;

/* Put a row out: a MinimalTuple of two columns is made when the cursor is known. */
static void
emit(TailState *state, Datum log)
{
	Datum		values[3];
	bool		nulls[3] = {false, false, true};

	values[0] = CStringGetTextDatum(stream_cursor_encode(state->key.hash, &state->position));
	values[1] = log;
	values[2] = (Datum) 0;		/* no worker, no batch */
	tuplestore_putvalues(state->rsinfo->setResult, state->rsinfo->setDesc, values, nulls);
	state->rows++;
}

/*
 * Deliver from a scan of the stream until the limit.  before is what had been
 * seen before this batch, batch what the batch shows.
 */
static void
deliver(TailState *state, StreamScan *scan, const XactSet *before, const XactSet *batch)
{
	TupleTableSlot *slot = stream_scan_next(scan);

	while (slot && state->rows < state->limit)
	{
		uint64		xact = stream_xact(slot);
		PagePosition page = log_position(slot);
		StringInfoData log;
		MemoryContext row_context;
		MemoryContext saved;

		row_context = AllocSetContextCreate(CurrentMemoryContext, "wflog tail row",
											ALLOCSET_SMALL_SIZES);
		saved = MemoryContextSwitchTo(row_context);
		json_begin(&log);
		json_log_entry(&log, slot, false);

		if (xact != state->checked_xact)
		{
			state->flush = Max(state->flush, commit_lsn(xact));
			state->position.lsn = Max(state->position.lsn, state->flush);
			state->checked_xact = xact;
		}
		state->position.xact = xact;
		state->position.seq = DatumGetInt32(stream_attribute(slot, Anum_log_seq));
		state->position.fingerprint = id_fingerprint(&page.id);

		MemoryContextSwitchTo(saved);
		slot = stream_scan_next(scan);
		MemoryContextSwitchTo(row_context);

		state->position.inside = slot && stream_xact(slot) == xact;
		if (state->position.inside)
		{
			state->position.seen = *before;
			state->position.batch = xact_set_clip(batch, xact + 1);
		}
		else
		{
			/* All of the batch is seen at its end, but nothing beyond a delivered id. */
			XactSet		delivered = xact_set_clip(batch, slot ? xact + 1 : Max(before->xmax, xact + 1));

			state->position.seen = xact_set_union(before, &delivered);
		}
		emit(state, json_result(&log));
		MemoryContextSwitchTo(saved);
		MemoryContextDelete(row_context);
	}
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
	server_position(&state.position.timeline, &state.position.lsn);
	seen = from.seen;

	if (cursor)
		check_divergence(&state.key, &from);
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
	state.position.removals = cursor ? check_gap(&state.key, &from) :
		find_removals(&state.key, GetActiveSnapshot()).last;

	if (from.inside)
	{
		deliver(&state, scan, &from.seen, &from.batch);
		stream_scan_end(scan);
		seen = xact_set_union(&from.seen, &from.batch);
		scan = NULL;
		if (state.rows < state.limit)
			scan = stream_scan_begin(&state.key, &seen, &state.now);
	}
	if (scan)
	{
		deliver(&state, scan, &seen, &state.now);
		stream_scan_end(scan);
	}

	if (state.flush != InvalidXLogRecPtr)
		XLogFlush(state.flush);
	return (Datum) 0;
}

/*
 * The cursor with which tail() goes on after all that the active snapshot
 * shows of the execution.
 */
char *
stream_cursor_after_snapshot(const ExecutionKey *key)
{
	StreamPosition position = {0};
	XactSet		now = xact_set_from_snapshot(GetActiveSnapshot());
	TupleTableSlot *slot;

	server_position(&position.timeline, &position.lsn);
	position.removals = find_removals(key, GetActiveSnapshot()).last;
	slot = stream_last_log(key, &now);
	if (slot)
	{
		PagePosition page = log_position(slot);
		XLogRecPtr	flush;

		position.xact = stream_xact(slot);
		position.seq = DatumGetInt32(stream_attribute(slot, Anum_log_seq));
		position.fingerprint = id_fingerprint(&page.id);
		position.seen = xact_set_clip(&now, position.xact + 1);
		flush = commit_lsn(position.xact);
		position.lsn = Max(position.lsn, flush);
		if (flush != InvalidXLogRecPtr)
			XLogFlush(flush);
		ExecDropSingleTupleTableSlot(slot);
	}
	return stream_cursor_encode(key->hash, &position);
}
