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
extern StreamScan *stream_scan_open(void);
extern StreamScan *stream_scan_open_in(LeafSet *set);
extern StreamScan *stream_scan_open_readable(void);
extern Oid	stream_scan_unreadable(const StreamScan *scan);
extern void stream_scan_aim_rest(StreamScan *scan, const ExecutionKey *key, const XactSet *seen);
extern void stream_scan_aim_between(StreamScan *scan, const ExecutionKey *key, const XactSet *seen,
									const XactSet *now, const XactSet *shown);
extern void stream_scan_aim_targets(StreamScan *scan, const ExecutionKey *key, uint64 *targets,
									int count, const Oid *leaves, int leaf_count);
extern void stream_scan_skip_to(StreamScan *scan, uint64 xact, int32 after_seq);
extern TupleTableSlot *stream_scan_next(StreamScan *scan);
extern void stream_scan_end(StreamScan *scan);

extern TupleTableSlot *stream_last_log(const ExecutionKey *key, const XactSet *now, Oid *unreadable);

extern Datum stream_attribute(TupleTableSlot *slot, AttrNumber attnum);
extern uint64 stream_xact(TupleTableSlot *slot);

#endif							/* WFLOG_STREAM_H */
