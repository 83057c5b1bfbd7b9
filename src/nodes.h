/*-------------------------------------------------------------------------
 *
 * nodes.h
 *	  The nodes of a workflow, as an execution's logs tell of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_NODES_H
#define WFLOG_NODES_H

#include "codec.h"
#include "executor/tuptable.h"

typedef struct NodeTable NodeTable;

extern NodeTable *nodes_new(void);
extern int64 nodes_count(const NodeTable *nodes);
extern void nodes_add_log(NodeTable *nodes, TupleTableSlot *slot, int event_type,
						  const PagePosition *at);
extern void nodes_encode(StringInfo buf, NodeTable *nodes);
extern void nodes_add_encoded(NodeTable *nodes, Decoder *decoder);
extern void json_nodes(StringInfo buf, NodeTable *nodes);

#endif							/* WFLOG_NODES_H */
