/*-------------------------------------------------------------------------
 *
 * stream_leaf.h
 *	  Reading one leaf's logs of an execution in stream order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STREAM_LEAF_H
#define WFLOG_STREAM_LEAF_H

#include "access/stratnum.h"
#include "log_scan.h"
#include "xact_set.h"

typedef struct LeafStream LeafStream;

extern LeafStream *leaf_stream_open(Leaf *leaf);
extern void leaf_stream_aim(LeafStream *stream, text *id, StrategyNumber strategy, uint64 xact,
							int32 after_seq);
extern TupleTableSlot *leaf_stream_next(LeafStream *stream);
extern TupleTableSlot *leaf_stream_last(LeafStream *stream, text *id, const XactSet *now);
extern void leaf_stream_close(LeafStream *stream);

#endif							/* WFLOG_STREAM_LEAF_H */
