/*-------------------------------------------------------------------------
 *
 * run.h
 *	  wflog run: a command whose output becomes logs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_RUN_H
#define WFLOG_RUN_H

#include "client.h"

#include "child.h"
#include "lines.h"
#include "replay.h"
#include "sender.h"
#include "spool.h"
#include "tee.h"

typedef struct RunOptions
{
	const char *execution;
	const char *workflow;
	const char *task;
	const char *name;
	const char *source;
	int			attempt;
	int			step;			/* 0: not given, as below */
	int			total_steps;
	bool		owns_execution; /* we start it, and end it by the outcome */
	bool		milestone;
	bool		tee;
	bool		quiet;
	bool		structured_output;
	bool		structured_errors;
	int64_t		max_bytes;		/* 0: no limit */
	int64_t		max_line;
	int			wait_seconds;	/* for the database, at the end */
	int			grace_seconds;	/* for what is left of the group, before SIGKILL */
	bool		sync;
	char	  **command;
} RunOptions;

struct Run;

/* One of the child's streams. */
typedef struct RunStream
{
	struct Run *run;
	int			fd;				/* -1: closed */
	bool		is_error_stream;
	LineSplitter lines;
	Tee			tee;
	int64_t		bytes;
	int64_t		read_at;		/* when the last of them came, microseconds since 1970 */
} RunStream;

typedef struct Run
{
	const RunOptions *options;
	Redactor   *redactor;		/* NULL: nothing is masked */
	Child		child;
	Spool	   *spool;
	Sender		sender;
	Replay	   *replay;			/* of what others have left, or NULL */
	RunStream	output;
	RunStream	errors;

	int64_t		time;			/* of the last log, microseconds since 1970 */
	int64_t		captured;		/* bytes */
	int64_t		lines;
	bool		truncated;
	Buffer		error_tail;		/* the last lines of stderr, masked */
	int			ended_by;		/* the signal that we were sent and passed on, or 0 */

	int64_t		started_at;		/* monotonic microseconds, as those below */
	int64_t		ended_at;
	int64_t		unsent_since;	/* 0: everything has been sent */
	int64_t		synced_at;
	bool		urgent;			/* something that is not to wait for a batch to fill */
	bool		flushing;
	bool		abandoned;		/* a signal came while flushing: leave now */
	bool		told_of_disk;
} Run;

/* run.c */
extern int	run_loop(Run *run);

/* run_log.c: what is told of the step */
extern int64_t run_clock(void);
extern int64_t run_log_time(Run *run, int64_t read_at);
extern void run_log_members(const RunOptions *options, Buffer *execution, Buffer *node);
extern void run_log_started(Run *run);
extern void run_log_truncated(Run *run);
extern void run_log_ended(Run *run);

#endif							/* WFLOG_RUN_H */
