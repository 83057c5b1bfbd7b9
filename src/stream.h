/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  Reading an execution's logs in stream order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STREAM_H
#define WFLOG_STREAM_H

#include "log_scan.h"
#include "xact_set.h"

typedef struct StreamScan StreamScan;

extern StreamScan *stream_scan_begin(const ExecutionKey *key, const XactSet *seen, const XactSet *now);
extern StreamScan *stream_scan_begin_inside(const ExecutionKey *key, uint64 xact, int32 after_seq);
extern TupleTableSlot *stream_scan_next(StreamScan *scan);
extern void stream_scan_end(StreamScan *scan);

extern TupleTableSlot *stream_last_log(const ExecutionKey *key, const XactSet *now);

extern Datum stream_attribute(TupleTableSlot *slot, AttrNumber attnum);
extern uint64 stream_xact(TupleTableSlot *slot);

#endif							/* WFLOG_STREAM_H */
