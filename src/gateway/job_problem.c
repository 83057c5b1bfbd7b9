/*-------------------------------------------------------------------------
 *
 * job_problem.c
 *	  What a client is told of a job that has not done what it should.
 *
 * What it has asked wrongly it is told in the database's words; an error of any
 * other kind goes to our own output, under the request's id.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "pool.h"

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

/* The status that a job's failure is told as. */
int
job_status(const Job *job)
{
	return job->outcome == JOB_FAILED ? status_of_state(job_sqlstate(job)) : 503;
}

/* Answer a job that has not done what it should. */
void
respond_job_problem(Request *request, const Job *job)
{
	int			status = job_status(job);

	if (status == 503)
		request_header(request, "Retry-After: %d", job->outcome == JOB_AWAY ? 2 : 1);
	if (job->outcome == JOB_AWAY)
		respond_problem(request, status, NULL, "The database cannot be reached.");
	else if (job->outcome == JOB_TOO_MANY)
		respond_problem(request, status, NULL, "Too many requests are waiting for the database.");
	else if (status == 404)
		respond_problem(request, status, NULL, "There is no such execution or workflow.");
	else if (status == 409 || status == 410 || status == 422)
		respond_problem(request, status, NULL, "%s", job_message(job));
	else if (status == 504)
		respond_problem(request, status, NULL, "The database took too long.");
	else if (strcmp(job_sqlstate(job), "25006") == 0)
		respond_problem(request, status, NULL, "The database can only be read.");
	else if (strcmp(job_sqlstate(job), "3F000") == 0)
		respond_problem(request, status, NULL, "There is no wflog in the database.");
	else if (status == 503)
		respond_problem(request, status, NULL, "The database is too busy.");
	else if (status == 403)
		respond_problem(request, status, NULL, "This is not allowed.");
	else
	{
		complain("request %s failed: %s: %s", request->id, job_sqlstate(job), job_message(job));
		respond_problem(request, status, NULL, "The database reports an error.");
	}
}
