/*-------------------------------------------------------------------------
 *
 * touched.h
 *	  What the transaction at hand has touched.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_TOUCHED_H
#define WFLOG_TOUCHED_H

#include "shared.h"
#include "utils/hsearch.h"

#define TOUCHED_TEXT_SIZE 16384 /* bytes of all texts together */
#define TOUCHED_INDEX (2 * QUEUE_MAX_NOTES) /* a power of 2 */

typedef struct TouchedNote
{
	int64		hash;
	Oid			leaf;
	uint16		kind;			/* QueueKind */
	uint16		text_len;
	uint32		text;			/* where in texts */
} TouchedNote;

typedef struct TouchedSet
{
	/* the log noted last */
	int64		last_hash;
	uint64		last_xact;
	Oid			last_leaf;

	uint64		xact;			/* whose notes they are, top-level */
	int			count;
	int			text_used;
	bool		unknown;		/* too much: the only note is QUEUE_UNKNOWN */
	bool		indexed;

	HTAB	   *executions;		/* for wflog.notify = transaction; or NULL */

	TouchedNote notes[QUEUE_MAX_NOTES];
	uint16		index[TOUCHED_INDEX];	/* 1 + number of the note; 0: free */
	char		texts[TOUCHED_TEXT_SIZE];
} TouchedSet;

extern TouchedSet touched;

extern void touched_begin(TouchedSet *set, uint64 xact);
extern int	touched_add(TouchedSet *set, QueueKind kind, Oid leaf, int64 hash,
						const char *text, int len);
extern uint32 touched_places(const TouchedSet *set, int from);
extern void touched_forget(TouchedSet *set);

extern const TouchedExecution *touched_execution(TouchedSet *set, int64 hash, const char *id, int len);
extern TouchedExecution *touched_executions(const TouchedSet *set, int *count);

#endif							/* WFLOG_TOUCHED_H */
