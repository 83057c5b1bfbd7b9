/*-------------------------------------------------------------------------
 *
 * xact_set.h
 *	  Sets of committed transactions: what a snapshot shows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_XACT_SET_H
#define WFLOG_XACT_SET_H

#include "utils/snapshot.h"

/* All transactions below xmax but those listed, which rise and are below xmax. */
typedef struct XactSet
{
	uint64		xmax;			/* full transaction id; 0 is the empty set */
	int			count;
	uint64	   *hidden;
} XactSet;

extern XactSet xact_set_empty(void);
extern uint64 xact_widen(TransactionId xid);
extern XactSet xact_set_from_snapshot(Snapshot snapshot);
extern bool xact_set_contains(const XactSet *set, uint64 xact);
extern bool xact_set_includes(const XactSet *set, const XactSet *part);
extern XactSet xact_set_copy(const XactSet *set);
extern XactSet xact_set_clip(const XactSet *set, uint64 xmax);
extern XactSet xact_set_union(const XactSet *a, const XactSet *b);

#endif							/* WFLOG_XACT_SET_H */
