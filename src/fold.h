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

#endif							/* WFLOG_FOLD_H */
