/*-------------------------------------------------------------------------
 *
 * job.c
 *	  Jobs for the database: statements, their parameters, their outcome.
 *
 *-------------------------------------------------------------------------
 */
#include "pool_server.h"

#include "metrics.h"

PoolFigures pool_figures;

Job *
job_make(JobClass class, const char *claims, int timeout, void (*done) (Job *job), void *owner)
{
	Job		   *job = xmalloc(sizeof(Job));

	memset(job, 0, sizeof(Job));
	job->class = class;
	job->claims = claims ? xstrdup(claims) : NULL;
	job->timeout = timeout;
	job->done = done;
	job->owner = owner;
	return job;
}

/* Add a statement, to which parameters are then added in the order of their numbers. */
Statement *
job_statement(Job *job, const char *sql)
{
	Statement  *statement = &job->statements[job->count++];

	statement->sql = sql;
	return statement;
}

/* Add a parameter; NULL is NULL. */
void
statement_text(Statement *statement, const char *value)
{
	statement->parameters[statement->count++] = value ? xstrdup(value) : NULL;
}

void
statement_number(Statement *statement, int64 value)
{
	char		text[32];

	snprintf(text, sizeof(text), "%lld", (long long) value);
	statement_text(statement, text);
}

void
statement_bool(Statement *statement, bool value)
{
	statement_text(statement, value ? "t" : "f");
}

/* Add bytea, which is taken over: the buffer is empty then. */
void
statement_bytes(Statement *statement, Buffer *bytes)
{
	int			which = statement->count++;

	statement->parameters[which] = buffer_text(bytes);
	statement->lengths[which] = bytes->len;
	statement->formats[which] = 1;
	*bytes = (Buffer) {0};
}

static void
free_parameters(Job *job)
{
	for (int i = 0; i < job->count; i++)
		for (int j = 0; j < job->statements[i].count; j++)
		{
			free(job->statements[i].parameters[j]);
			job->statements[i].parameters[j] = NULL;
		}
}

void
job_free(Job *job)
{
	free_parameters(job);
	for (int i = 0; i < job->count; i++)
		PQclear(job->results[i]);
	free(job->claims);
	free(job);
}

/* A field of a failed job's error; never NULL. */
static const char *
error_field(const Job *job, int field)
{
	const char *text = job->outcome == JOB_FAILED && job->results[job->failed] ?
		PQresultErrorField(job->results[job->failed], field) : NULL;

	return text ? text : "";
}

/* The SQLSTATE of a failed job; never NULL. */
const char *
job_sqlstate(const Job *job)
{
	return error_field(job, PG_DIAG_SQLSTATE);
}

/* The status that an error of the database is told as. */
static int
status_of_state(const char *state)
{
	static const struct
	{
		const char *state;		/* or its class */
		int			status;
	}			known[] = {
		{"P0002", 404}, {"WF001", 422}, {"WF002", 410}, {"WF003", 409}, {"22", 422},
		{"23514", 422}, {"42501", 403}, {"57014", 504}, {"40001", 503}, {"40P01", 503},
		{"55P03", 503}, {"53", 503}, {"57P", 503}, {"25006", 503}, {"3F000", 503},
	};

	for (int i = 0; i < lengthof(known); i++)
		if (strncmp(state, known[i].state, strlen(known[i].state)) == 0)
			return known[i].status;
	return 500;
}

/* The status that a failure is told as: 500 and above if the request was not to blame. */
int
job_status(const Job *job)
{
	return job->outcome == JOB_FAILED ? status_of_state(job_sqlstate(job)) : 503;
}

/* The job has come to an end: tell its owner. */
void
job_end(Job *job, JobOutcome outcome)
{
	job->outcome = outcome;
	job->took_us = clock_us() - job->queued;
	pool_figures.jobs++;
	histogram_add(&database_histograms[job->class], job->took_us);
	if (outcome == JOB_FAILED)
	{
		if (job_status(job) >= 500)
			pool_figures.failures++;
		if (strcmp(job_sqlstate(job), "57014") == 0)
			pool_figures.timeouts++;
	}
	else if (outcome == JOB_TOO_MANY)
		pool_figures.exhausted++;
	if (!job->abandoned)
		job->done(job);
	job_free(job);
}

/*
 * The owner is no more: done() will not be called.  If the job is waiting it is
 * not run either, and need not keep what it would have sent.
 */
void
job_abandon(Job *job)
{
	job->abandoned = true;
	job->owner = NULL;
	if (!job->running)
		free_parameters(job);
}

/* What the server says of a failed job; never NULL. */
const char *
job_message(const Job *job)
{
	return error_field(job, PG_DIAG_MESSAGE_PRIMARY);
}
