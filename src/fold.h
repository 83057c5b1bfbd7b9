/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  Folding of logs into roll-ups, for the keeper.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_FOLD_H
#define WFLOG_FOLD_H

#include "shared.h"

/*
 * A round of folding, in transactions of its own.  Called outside a
 * transaction.  Returns true if there is more to do at once.
 */
extern bool wflog_fold_round(DatabaseSlot *slot);

/* When the next round is due, in ms from now; -1: when there are hints. */
extern long wflog_fold_delay(void);

/* fold_execution.c: the transaction of a round */
typedef struct Fold Fold;

extern Fold *fold_begin(void);
extern bool fold_execution(Fold *fold, int64 hash, Oid leaf);
extern int64 fold_end(Fold *fold, bool *leaf_missing);

#endif							/* WFLOG_FOLD_H */
