/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  Spools that others have left: where they are, and one after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_REPLAY_H
#define WFLOG_REPLAY_H

#include "spool.h"

typedef struct Replay
{
	char	  **paths;
	int			count;
	int			next;
	char	   *target;			/* only spools for this database; NULL: all */
	Spool	   *current;
	int			finished;
	int			in_use;
	int			failed;			/* cannot be read, or is damaged */
	int			elsewhere;		/* for another database */
} Replay;

extern char *spool_directory(const char *option, const char **problem);
extern Replay *replay_begin(const char *target);
extern void replay_add_directory(Replay *replay, const char *directory);
extern void replay_add_file(Replay *replay, const char *path);
extern Spool *replay_current(Replay *replay);
extern void replay_end(Replay *replay);

#endif							/* WFLOG_REPLAY_H */
