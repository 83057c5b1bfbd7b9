/*-------------------------------------------------------------------------
 *
 * stream_gap.c
 *	  Does a stream cursor still mean what it meant when it was given?
 *
 * Not if the server has gone another way since, by failover or recovery to a
 * point in time, and not if retention has removed logs that its reader has not
 * got.  Then the answer is an error, never a stream with a hole in it.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/timeline.h"
#include "access/xlog.h"
#include "stream.h"
#include "stream_cursor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

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
 * and nothing beyond it counts as seen: who has its transaction has handed out
 * all ids below.
 */
void
stream_check_divergence(const ExecutionKey *key, const StreamPosition *position)
{
	TimeLineID	timeline;
	XLogRecPtr	lsn;
	bool		diverged;

	server_position(&timeline, &lsn);
	if (position->timeline == 0)
		diverged = true;
	else if (position->timeline == timeline)
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
	if (position->timeline == 0)
		ereport(ERROR,
				(errcode(ERRCODE_WFLOG_GAP),
				 errmsg("the log that the cursor stands behind is not here any more"),
				 errhint("Call tail() without a cursor to read the stream from the oldest log that is left.")));
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
TimestampTz
stream_check_gap(const ExecutionKey *key, const StreamPosition *from)
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

/* The "removals" of a cursor of what the active snapshot shows. */
TimestampTz
stream_removals(const ExecutionKey *key)
{
	return find_removals(key, GetActiveSnapshot()).last;
}
