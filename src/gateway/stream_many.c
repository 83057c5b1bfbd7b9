/*-------------------------------------------------------------------------
 *
 * stream_many.c
 *	  Requests for a stream of several executions, or of a workflow's.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_set.h"

/* The executions that a request names; -1: something is wrong, and it has been answered. */
static int
named_executions(Request *request, const char **executions)
{
	int			count = 0;

	for (int i = 0; i < request->parameter_count; i++)
	{
		const char *value = request->parameters[i].value;
		bool		is_there = false;

		if (strcmp(request->parameters[i].name, "execution_id") != 0)
			continue;
		if (value[0] == '\0')
		{
			respond_problem(request, 422, "execution_id", "execution_id is empty");
			return -1;
		}
		for (int j = 0; j < count; j++)
			is_there = is_there || strcmp(executions[j], value) == 0;
		if (is_there)
			continue;
		if (count == SET_MEMBERS)
		{
			respond_problem(request, 422, "execution_id", "a stream can follow %d executions", SET_MEMBERS);
			return -1;
		}
		executions[count++] = value;
	}
	return count;
}

/* Is all of it what the ticket is for? */
static bool
is_in_scope(const Scope *scope, const char **executions, int count, const char *workflow)
{
	if (workflow)
		return scope_allows(scope, NULL, workflow);
	for (int i = 0; i < count; i++)
		if (!scope_allows(scope, executions[i], NULL))
			return false;
	return true;
}

/* GET …/logs/stream?execution_id=…&execution_id=…, or ?workflow_id= */
void
handle_stream_of_many(Request *request)
{
	const char *executions[SET_MEMBERS];
	const char *workflow = parameter(request, "workflow_id");
	HttpText	resume = stream_resume_id(request);
	StreamId	id = {0};
	StreamSet  *set;
	bool		follow;
	int			count;

	if (!parameter_bool(request, "follow", true, &follow) ||
		(count = named_executions(request, executions)) < 0)
		return;
	if (workflow ? workflow[0] == '\0' : count == 0)
	{
		respond_problem(request, 422, workflow ? "workflow_id" : "execution_id",
						"which executions? Give execution_id, once or more, or workflow_id");
		return;
	}
	if (workflow && count > 0)
	{
		respond_problem(request, 422, "workflow_id", "either execution_id or workflow_id can be given");
		return;
	}
	if (!is_in_scope(request->scope, executions, count, workflow))
	{
		respond_problem(request, 403, NULL, "The ticket is for something else.");
		return;
	}
	if (resume.len > 0 &&
		(!stream_id_parse(&id, resume.at, resume.len) || id.of_workflow != (workflow != NULL)))
	{
		stream_id_free(&id);
		respond_problem(request, 422, "after", "the id to go on from is not one of such a stream");
		return;
	}

	set = set_make(request, follow);
	if (workflow)
	{
		scan_begin(set, workflow, &id);
		return;
	}
	/* first those whose end the client has been told, to which there is seldom anything to add */
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < count; i++)
		{
			char		hash[STREAM_ID_HASH + 1];
			StreamIdEntry *entry;

			stream_id_hash(hash, executions[i]);
			entry = stream_id_find(&id, hash);
			if ((entry && entry->state == ENTRY_ENDED) == (pass == 0))
				(void) set_add(set, executions[i], entry);
		}
	stream_id_free(&id);
	if (set->open == 0)
		set_refuse(set, 204, NULL, NULL);	/* the client knows it all */
}
