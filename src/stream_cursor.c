/*-------------------------------------------------------------------------
 *
 * stream_cursor.c
 *	  Making the cursors of a batch.
 *
 * tail() and the worker both make their cursors here, so that a reader may go
 * from the one to the other behind any log.
 *
 * A cursor says what has been seen.  That never reaches beyond the last
 * delivered transaction: a crash hands ids out anew that no durable record
 * mentions, and the delivered transaction's commit is flushed before the
 * cursor is given away.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/clog.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "reader.h"
#include "storage/lwlock.h"
#include "stream.h"
#include "stream_cursor.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Where this server stands: for cursors given now. */
void
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
XLogRecPtr
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

/* Make a maker in the current memory context; it serves any number of batches. */
void
cursor_maker_init(CursorMaker *maker)
{
	memset(maker, 0, sizeof(*maker));
	cursor_text_init(&maker->text);
	maker->context = AllocSetContextCreate(CurrentMemoryContext, "wflog cursor",
										   ALLOCSET_SMALL_SIZES);
}

/* Go over to an execution.  removals is as in StreamPosition. */
void
cursor_maker_begin(CursorMaker *maker, int64 hash, TimestampTz removals)
{
	maker->hash = hash;
	maker->flush = InvalidXLogRecPtr;
	maker->durable = false;
	maker->prepared_xact = 0;
	memset(&maker->position, 0, sizeof(maker->position));
	server_position(&maker->position.timeline, &maker->position.lsn);
	maker->position.removals = removals;
}

/*
 * Begin a batch: what batch shows beyond before, all of which has been
 * delivered.  before must not reach beyond what is durable.
 */
void
cursor_maker_batch(CursorMaker *maker, const XactSet *before, const XactSet *batch)
{
	maker->before = before;
	maker->batch = batch;
	maker->prepared_xact = 0;
}

/* Take the next log. */
void
cursor_maker_log(CursorMaker *maker, TupleTableSlot *slot)
{
	StreamPosition *position = &maker->position;
	uint64		xact = stream_xact(slot);
	bool		isnull;

	if (xact != position->xact && !maker->durable)
	{
		maker->flush = Max(maker->flush, commit_lsn(xact));
		position->lsn = Max(position->lsn, maker->flush);
	}
	position->xact = xact;
	position->seq = DatumGetInt32(slot_getattr(slot, Anum_log_seq, &isnull));
	position->fingerprint = id_fingerprint(DatumGetUUIDP(slot_getattr(slot, Anum_log_id, &isnull)));
}

/* Work out what is seen behind the log taken last. */
static void
prepare(CursorMaker *maker, TupleTableSlot *next)
{
	StreamPosition *position = &maker->position;
	const XactSet *before = maker->before;
	MemoryContext saved;

	MemoryContextReset(maker->context);
	saved = MemoryContextSwitchTo(maker->context);
	if (position->inside)
	{
		position->seen = *before;
		position->batch = xact_set_clip(maker->batch, position->xact + 1);
	}
	else
	{
		/* All of the batch is seen at its end, but nothing beyond a delivered id. */
		XactSet		delivered = xact_set_clip(maker->batch,
											  next ? position->xact + 1 :
											  Max(before->xmax, position->xact + 1));

		position->seen = xact_set_union(before, &delivered);
	}
	MemoryContextSwitchTo(saved);
	cursor_text_prepare(&maker->text, maker->hash, position);
	maker->prepared_xact = position->xact;
	maker->prepared_inside = position->inside;
}

/*
 * Append the cursor behind the log taken last to out.  next is the log that
 * follows in the batch, or NULL at its end.
 */
void
cursor_maker_append(CursorMaker *maker, TupleTableSlot *next, StringInfo out)
{
	StreamPosition *position = &maker->position;

	position->inside = next && stream_xact(next) == position->xact;
	if (maker->prepared_xact != position->xact || maker->prepared_inside != position->inside)
		prepare(maker, next);
	cursor_text_append(&maker->text, position->seq, position->fingerprint, out);
}

/*
 * The cursor with which tail() goes on after all that the active snapshot
 * shows of the execution.
 *
 * Of one that has ended it does not say where the server stood, so that it is
 * the same one as long as nothing changes, and so is the page that has it: its
 * last log must be there when it comes back (stream_check_divergence()).
 */
char *
stream_cursor_after_snapshot(const ExecutionKey *key, bool ended)
{
	StreamPosition position = {0};
	XactSet		now = xact_set_from_snapshot(GetActiveSnapshot());
	TupleTableSlot *slot;

	if (!ended)
		server_position(&position.timeline, &position.lsn);
	position.removals = stream_removals(key);
	slot = stream_last_log(key, &now, NULL);
	if (slot)
	{
		PagePosition page = log_position(slot);
		XLogRecPtr	flush;

		position.xact = stream_xact(slot);
		position.seq = DatumGetInt32(stream_attribute(slot, Anum_log_seq));
		position.fingerprint = id_fingerprint(&page.id);
		position.seen = xact_set_clip(&now, position.xact + 1);
		flush = commit_lsn(position.xact);
		if (!ended)
			position.lsn = Max(position.lsn, flush);
		if (flush != InvalidXLogRecPtr)
			XLogFlush(flush);
		ExecDropSingleTupleTableSlot(slot);
	}
	return stream_cursor_encode(key->hash, &position);
}
