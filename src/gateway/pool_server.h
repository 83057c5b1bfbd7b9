/*-------------------------------------------------------------------------
 *
 * pool_server.h
 *	  A connection of the pool, and a job on it; for the pool's own files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_POOL_SERVER_H
#define WFLOG_POOL_SERVER_H

#include "pool.h"

typedef enum ServerState
{
	SERVER_DOWN,				/* there is none; perhaps a timer runs */
	SERVER_CONNECTING,
	SERVER_IDLE,
	SERVER_BUSY
} ServerState;

/* Different statements there are, with room to spare. */
#define MAX_PREPARED 32

/* What the next results of a pipeline are of. */
typedef struct Step
{
	enum
	{
		STEP_PREPARE,			/* index: of prepared[] */
		STEP_SETTINGS,
		STEP_STATEMENT			/* index: of the job's */
	}			kind;
	int			index;
} Step;

typedef struct Server
{
	PGconn	   *pg;
	ServerState state;
	Job		   *job;
	bool		prepared[MAX_PREPARED]; /* by number, which is in their names */
	int			step_count;
	int			step;			/* whose results are taken now */
	Step		steps[2 * (JOB_MAX_STATEMENTS + 1)];
	int64		since;			/* busy, clock_us() */
	struct event read_event;
	struct event write_event;
	struct event timer;			/* for an answer, or for the next attempt to connect */
	int			fd;
} Server;

/* ---- job.c ---- */

extern void job_end(Job *job, JobOutcome outcome);
extern void job_free(Job *job);

/* ---- pipeline.c ---- */

typedef enum PipelineState
{
	PIPELINE_GOES_ON,
	PIPELINE_OVER,				/* the job has all its results */
	PIPELINE_LOST				/* and so is the connection */
} PipelineState;

extern bool pipeline_send(Server *server);
extern PipelineState pipeline_receive(Server *server);

#endif							/* WFLOG_POOL_SERVER_H */
