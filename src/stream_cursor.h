/*-------------------------------------------------------------------------
 *
 * stream_cursor.h
 *	  Making the cursors of a batch, and checking those that come back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STREAM_CURSOR_H
#define WFLOG_STREAM_CURSOR_H

#include "log_scan.h"

/*
 * Makes the cursors behind the logs of one execution's batch, one after the
 * other in the order of the stream.
 */
typedef struct CursorMaker
{
	int64		hash;			/* of the execution */
	const XactSet *before;		/* delivered before the batch */
	const XactSet *batch;		/* what the batch shows */
	bool		durable;		/* all of the batch was committed synchronously */
	XLogRecPtr	flush;			/* so far must be flushed before a cursor is given away */
	StreamPosition position;	/* behind the log at hand */
	uint64		prepared_xact;	/* of which text is, and whether inside; 0: of none */
	bool		prepared_inside;
	CursorText	text;
	MemoryContext context;		/* of sets in text */
} CursorMaker;

extern void cursor_maker_init(CursorMaker *maker);
extern void cursor_maker_begin(CursorMaker *maker, int64 hash, TimestampTz removals);
extern void cursor_maker_batch(CursorMaker *maker, const XactSet *before, const XactSet *batch);
extern void cursor_maker_log(CursorMaker *maker, TupleTableSlot *slot);
extern void cursor_maker_append(CursorMaker *maker, TupleTableSlot *next, StringInfo out);

extern void server_position(TimeLineID *timeline, XLogRecPtr *lsn);
extern XLogRecPtr commit_lsn(uint64 xact);

/* ---- stream_gap.c ---- */

extern void stream_check_divergence(const ExecutionKey *key, const StreamPosition *position);
extern TimestampTz stream_check_gap(const ExecutionKey *key, const StreamPosition *from);
extern TimestampTz stream_removals(const ExecutionKey *key);

#endif							/* WFLOG_STREAM_CURSOR_H */
