/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Connections to the database, and the jobs that go through them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_POOL_H
#define WFLOG_POOL_H

#include "gateway.h"

#define JOB_MAX_STATEMENTS 3
#define JOB_MAX_PARAMETERS 24

typedef enum JobOutcome
{
	JOB_DONE,					/* all statements have results */
	JOB_FAILED,					/* one has an error: job->failed */
	JOB_AWAY,					/* the database could not be reached, or was lost */
	JOB_TOO_MANY				/* too many were waiting, or it waited too long */
} JobOutcome;

typedef enum JobClass
{
	JOB_REQUEST,				/* a client waits for one answer */
	JOB_STREAM,					/* one of many streams; these leave connections to the others */
	JOB_CLASSES
} JobClass;

typedef struct Statement
{
	const char *sql;			/* static */
	int			count;
	char	   *parameters[JOB_MAX_PARAMETERS];
	int			lengths[JOB_MAX_PARAMETERS];	/* of those that are bytes */
	int			formats[JOB_MAX_PARAMETERS];	/* 1: bytes, 0: text */
} Statement;

typedef struct Job
{
	struct Job *next;			/* waiting */
	JobClass	class;
	char	   *claims;			/* JSON; NULL: nobody's */
	int			timeout;		/* statement_timeout, milliseconds */
	int			count;
	Statement	statements[JOB_MAX_STATEMENTS];
	void		(*done) (struct Job *job);	/* called once, unless abandoned; the job is freed after it */
	void	   *owner;
	bool		running;		/* has been sent to the database */
	bool		abandoned;
	/* the outcome */
	JobOutcome	outcome;
	PGresult   *results[JOB_MAX_STATEMENTS];	/* take one by setting it to NULL */
	int			failed;			/* which result has the error */
	int64		queued;			/* clock_us() */
	int64		took_us;		/* with the waiting */
} Job;

extern Job *job_make(JobClass class, const char *claims, int timeout, void (*done) (Job *job), void *owner);
extern Statement *job_statement(Job *job, const char *sql);
extern void statement_text(Statement *statement, const char *value);
extern void statement_number(Statement *statement, int64 value);
extern void statement_bool(Statement *statement, bool value);
extern void statement_bytes(Statement *statement, Buffer *bytes);
extern void job_submit(Job *job);
extern void job_abandon(Job *job);
extern const char *job_sqlstate(const Job *job);
extern int	job_status(const Job *job);
extern const char *job_message(const Job *job);

extern void pool_begin(void);
extern void pool_end(void);
extern bool pool_is_up(void);

typedef struct PoolFigures
{
	int			connections;
	int			busy;
	int			waiting;
	uint64		jobs;
	uint64		failures;		/* jobs that ended in an error that is not the request's */
	uint64		timeouts;		/* of which by statement_timeout */
	uint64		lost;			/* connections */
	uint64		exhausted;		/* jobs that were refused because too many waited */
	int64		busy_us;
} PoolFigures;

extern PoolFigures pool_figures;

#endif							/* WFLOG_POOL_H */
