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
