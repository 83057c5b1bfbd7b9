/*-------------------------------------------------------------------------
 *
 * bgworker.h
 *	  The frame that the worker and the keeper run in.
 *
 * The frame calls the process' loop outside a transaction, in a memory context
 * of its own.  A loop never returns.  When it throws, the frame rolls back,
 * logs the error and notes it in wflog.stat, resets the context, and after a
 * pause calls the loop again: whatever it keeps in static variables it has to
 * set anew.  Told to stop, the process gets a query cancellation, so that
 * CHECK_FOR_INTERRUPTS() ends whatever goes on, and leaves quietly.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_BGWORKER_H
#define WFLOG_BGWORKER_H

#include "shared.h"

/* ---- bgworker.c ---- */

/*
 * To be called between transactions, at least once a round: leaves if told to,
 * and reads the settings again after a SIGHUP.  Returns whether it did.
 */
extern bool bgworker_check(void);

/*
 * Sleep, outside a transaction, until the latch is set or the time (ms; -1 for
 * ever) is over; then as bgworker_check().  The latch is reset before the
 * return, so look for work after it.
 */
extern bool bgworker_wait(long timeout);

/* Begin a transaction with a snapshot; activity is shown in pg_stat_activity. */
extern void bgworker_begin(const char *activity);

/* Commit it and report what it did to the statistics system. */
extern void bgworker_commit(void);

/*
 * Run work(slot), which does its own transactions.  After an error everything
 * is rolled back, logged and noted; returns false, with the message in 'error'
 * (STAT_TEXT bytes) unless that is NULL.
 */
extern bool bgworker_try(void (*work) (DatabaseSlot *slot), DatabaseSlot *slot, char *error);

/* ---- worker.c and keeper.c ---- */

extern void wflog_worker_loop(DatabaseSlot *slot);
extern void wflog_keeper_loop(DatabaseSlot *slot);

#endif							/* WFLOG_BGWORKER_H */
