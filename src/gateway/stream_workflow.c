/*-------------------------------------------------------------------------
 *
 * stream_workflow.c
 *	  Which executions a stream of a workflow follows: those that have not
 *	  ended, and those that start while it is open.
 *
 * Starts are notified, and then looked up, so that the workflow's owner is
 * asked for each time, and because only the table says when an execution was
 * registered.  That is what tells a client that comes back which ones it has
 * not got: its id has
 *
 *	  the executions that are open, with their cursors;
 *	  a floor: all that were registered up to then are known;
 *	  those registered after it of which everything has been sent, the last 32.
 *
 * So on its return it gets those in its id that are open, those that have not
 * ended, and those registered after the floor that are not in its id, though
 * they may have ended meanwhile.  What would be missed is an execution that is
 * registered in a transaction so long that 32 later ones have ended before it
 * commits, and that itself ends while the client is away.  While it is there,
 * that one is notified, and looked up by its name.
 *
 * Where there are more executions than places they are taken one after the
 * other, in the order in which they were registered; the floor stays below
 * those that wait.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_set.h"

#include "jsonscan.h"

/* Executions that one look finds: more than are in an id, so that there is always something new among them. */
#define MAX_FOUND 250

StaticAssertDecl(MAX_FOUND > SET_MEMBERS + SET_ENDED_ROOM, "a look must find more than what is known");
StaticAssertDecl(STREAM_ID_ENTRIES >= SET_MEMBERS + SET_ENDED_ROOM, "ids must have room for all that is known");

/* Names of executions that have started; beyond that we look for all of them. */
#define MAX_TOLD 1000

static const char channel_sql[] = "SELECT wflog.gateway_channel(NULL, $1)";

/* Microseconds since 1970, exactly. */
#define MICROSECONDS(time) \
	"(pg_catalog.\"extract\"('epoch', " time ") OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8"

/* What stream_id_hash() makes of it. */
#define HASH \
	"pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(e.execution_id, 'UTF8')), 'hex'), 12)"

/* Registered after the floor $2, or told of in $3. */
#define NEW_OR_TOLD \
	"e.created_at OPERATOR(pg_catalog.>) pg_catalog.to_timestamp($2::pg_catalog.float8 OPERATOR(pg_catalog./) 1000000)" \
	" OR e.execution_id OPERATOR(pg_catalog.=) ANY ($3::pg_catalog.text[])"

/* No row: the workflow is not to be seen. */
#define SELECT_EXECUTIONS \
	"SELECT e.execution_id, " MICROSECONDS("e.created_at") ", " MICROSECONDS("pg_catalog.now()") \
	" FROM wflog.workflows w LEFT JOIN wflog.workflow_executions e" \
	" ON e.workflow_id OPERATOR(pg_catalog.=) $1"

#define OF_WORKFLOW " WHERE w.id OPERATOR(pg_catalog.=) $1"

/* $4: hashes of the client's id, which come first. */
static const char full_sql[] =
SELECT_EXECUTIONS " AND (e.end_time IS NULL OR " NEW_OR_TOLD
" OR (pg_catalog.cardinality($4::pg_catalog.text[]) OPERATOR(pg_catalog.>) 0"
" AND " HASH " OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.text[])))" OF_WORKFLOW
" ORDER BY " HASH " OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.text[]) DESC, e.created_at, e.execution_id"
" LIMIT " CppAsString2(MAX_FOUND);

static const char new_sql[] =
SELECT_EXECUTIONS " AND (" NEW_OR_TOLD ")" OF_WORKFLOW
" ORDER BY e.created_at, e.execution_id LIMIT " CppAsString2(MAX_FOUND);

static void look_done(Job *job);

/* Drop the first of the names that we were told. */
static void
forget_told(WorkflowScan *scan, int count)
{
	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
		free(scan->told[i]);
	memmove(scan->told, scan->told + count, sizeof(char *) * (scan->told_count - count));
	scan->told_count -= count;
}

void
scan_free(WorkflowScan *scan)
{
	if (scan->job)
		job_abandon(scan->job);
	if (scan->resumed)
		stream_id_free(scan->resumed);
	free(scan->resumed);
	forget_told(scan, scan->told_count);
	free(scan->told);
	free(scan->workflow);
	free(scan->quoted);
	free(scan);
}

/* Append what the set's id has beside its members. */
void
scan_append_id(const WorkflowScan *scan, Buffer *out)
{
	for (int i = 0; i < scan->ended_count; i++)
		stream_id_entry(out, scan->ended[i].hash, ENTRY_ENDED, NULL);
	/* not found yet, but not forgotten */
	for (int i = 0; scan->resumed && i < scan->resumed->count; i++)
	{
		const StreamIdEntry *entry = &scan->resumed->entries[i];

		if (entry->hash[0] != '\0')
			stream_id_entry(out, entry->hash, entry->state, entry->cursor);
	}
}

/* ---- what has ended ---- */

/* The end of an execution has been sent: who comes back is not to get it again. */
static void
remember(WorkflowScan *scan, const char *hash, int64 registered)
{
	int			at;

	if (registered <= scan->floor || scan->ended_count == SET_ENDED_ROOM)
		return;
	for (at = scan->ended_count++; at > 0 && scan->ended[at - 1].registered > registered; at--)
		scan->ended[at] = scan->ended[at - 1];
	strlcpy(scan->ended[at].hash, hash, sizeof(scan->ended[at].hash));
	scan->ended[at].registered = registered;
}

/*
 * Let the floor rise over the oldest that have ended, if more are remembered
 * than an id should have.  Not while we look: what is found then must be known
 * by what was asked for.
 */
static void
forget(WorkflowScan *scan)
{
	int			count = 0;

	while (scan->ended_count - count > SET_ENDED &&
		   (scan->left == 0 || scan->ended[count].registered < scan->left ||
			scan->ended_count - count > SET_ENDED_ROOM - SET_MEMBERS))
		scan->floor = scan->ended[count++].registered;
	memmove(scan->ended, scan->ended + count, sizeof(Ended) * (scan->ended_count - count));
	scan->ended_count -= count;
}

/* ---- looking ---- */

/* The names of executions that have started, as an array. */
static void
append_told(const WorkflowScan *scan, Buffer *out)
{
	buffer_char(out, '{');
	for (int i = 0; i < scan->told_count; i++)
	{
		buffer_string(out, i > 0 ? ",\"" : "\"");
		for (const char *c = scan->told[i]; *c; c++)
		{
			if (*c == '"' || *c == '\\')
				buffer_char(out, '\\');
			buffer_char(out, *c);
		}
		buffer_char(out, '"');
	}
	buffer_char(out, '}');
}

/* The hashes of the client's id that have not been found yet, as an array. */
static void
append_resumed(const WorkflowScan *scan, Buffer *out)
{
	buffer_char(out, '{');
	for (int i = 0; scan->resumed && i < scan->resumed->count; i++)
		if (scan->resumed->entries[i].hash[0] != '\0')
			buffer_printf(out, "%s%s", out->len > 1 ? "," : "", scan->resumed->entries[i].hash);
	buffer_char(out, '}');
}

/* Look for executions, unless that is being done. */
static void
look(StreamSet *set)
{
	WorkflowScan *scan = set->scan;
	Statement  *statement;
	Buffer		array = {0};

	if (scan->job)
		return;					/* when it is done it looks again */
	forget(scan);
	scan->job = job_make(JOB_STREAM, set->claims.json, gateway.options.query_timeout, look_done, set);
	scan->subscribing = scan->subscribe && !listener_is_polling();
	scan->subscribe = scan->subscribe && !scan->subscribing;
	if (scan->subscribing)
	{
		statement = job_statement(scan->job, channel_sql);
		statement_text(statement, scan->workflow);
	}
	scan->is_full = scan->full_due;
	statement = job_statement(scan->job, scan->is_full ? full_sql : new_sql);
	statement_text(statement, scan->workflow);
	if (scan->floor > 0)
		statement_number(statement, scan->floor);
	else
		statement_text(statement, NULL);
	append_told(scan, &array);
	statement_text(statement, buffer_text(&array));
	if (scan->is_full)
	{
		buffer_clear(&array);
		append_resumed(scan, &array);
		statement_text(statement, buffer_text(&array));
	}
	buffer_free(&array);
	scan->told_asked = scan->told_count;
	scan->due = scan->full_due = scan->waiting = false;
	job_submit(scan->job);
}

/* Has everything of an execution been sent, and it is remembered? */
static bool
has_ended(const WorkflowScan *scan, const char *hash)
{
	for (int i = 0; i < scan->ended_count; i++)
		if (strcmp(scan->ended[i].hash, hash) == 0)
			return true;
	return false;
}

/* An execution that we were told of is known: it must not be found by its name once it is forgotten. */
static void
told_is_known(WorkflowScan *scan, const char *execution)
{
	for (int i = 0; i < scan->told_count; i++)
		if (strcmp(scan->told[i], execution) == 0)
		{
			free(scan->told[i]);
			memmove(scan->told + i, scan->told + i + 1, sizeof(char *) * (scan->told_count - i - 1));
			scan->told_count--;
			if (i < scan->told_asked)
				scan->told_asked--;
			return;
		}
}

/* An execution has been found. */
static void
found(StreamSet *set, const char *execution, int64 registered)
{
	WorkflowScan *scan = set->scan;
	char		hash[STREAM_ID_HASH + 1];
	StreamIdEntry *entry;
	Member	   *member;

	stream_id_hash(hash, execution);
	if (set_find(set, hash) || has_ended(scan, hash))
	{
		told_is_known(scan, execution);
		return;
	}
	entry = scan->resumed ? stream_id_find(scan->resumed, hash) : NULL;
	if (entry && entry->state == ENTRY_ENDED)
		remember(scan, hash, registered);
	else
	{
		member = set_add(set, execution, entry);
		if (member == NULL)
		{
			scan->more = true;
			if (scan->left == 0)
				scan->left = registered;
			return;
		}
		member->registered = registered;
		/* what started while the client was there is no history */
		if (member->stream && entry == NULL && set->request == NULL)
			member->stream->was_live = true;
	}
	told_is_known(scan, execution);
	if (entry)
		entry->hash[0] = '\0';
}

/* The look has failed: say so, or try again. */
static void
look_failed(StreamSet *set, const Job *job)
{
	WorkflowScan *scan = set->scan;
	const char *type;
	const char *message;
	int			status;

	scan->due = true;
	scan->full_due = scan->full_due || scan->is_full;
	scan->subscribe = scan->subscribe || scan->subscribing;
	if (scan->subscribing && strcmp(job_sqlstate(job), "25006") == 0)
	{
		listener_must_poll();	/* a standby */
		look(set);
		return;
	}
	status = stream_failure(job, &type, &message);
	if (status == 500)
		complain("a stream of workflow \"%s\" failed: %s: %s", scan->workflow, job_sqlstate(job), job_message(job));
	if (status == 0)
	{
		scan->waiting = true;
		scan->retry_at = clock_ms() + with_jitter(STREAM_RETRY_READ_MS);
	}
	else
		set_refuse(set, status, type, status == 404 ? "There is no such workflow." : message);
}

/* The database has answered. */
static void
look_done(Job *job)
{
	StreamSet  *set = job->owner;
	Conn	   *conn = set->conn;
	WorkflowScan *scan = set->scan;
	bool		is_first = scan->floor == 0;
	PGresult   *rows = job->results[job->count - 1];

	scan->job = NULL;
	if (set->request)
		set->request->database_us += job->took_us;
	if (job->outcome != JOB_DONE)
	{
		look_failed(set, job);
		return;
	}
	if (PQntuples(rows) == 0)
	{
		set_refuse(set, 404, "not_found", "There is no such workflow.");
		return;
	}
	scan->left = 0;
	scan->more = PQntuples(rows) == MAX_FOUND;
	for (int i = 0; i < PQntuples(rows); i++)
		if (!PQgetisnull(rows, i, 0))
			found(set, PQgetvalue(rows, i, 0), strtoll(PQgetvalue(rows, i, 1), NULL, 10));
	if (is_first && scan->more)
	{
		set_refuse(set, 422, "too_large", "More executions are running than a stream can follow.");
		return;
	}
	if (is_first)
		scan->floor = strtoll(PQgetvalue(rows, 0, 2), NULL, 10);
	if (!scan->more)
	{
		/* those told of that have not been found are not to be seen, nor those of the client's id */
		forget_told(scan, scan->told_asked);
		if (scan->is_full && scan->resumed)
			stream_id_free(scan->resumed);
	}
	if (!set->follow && set->open == 0 && !scan_may_find_more(scan))
	{
		if (set->request)
			set_refuse(set, 204, NULL, NULL);
		else
			set_end(set);
		return;
	}
	set_begins_to_answer(set);
	if (conn->closed)
		return;
	scan->retry_at = clock_ms() + STREAM_POLL_MS;
	if (scan->due)
		look(set);
}

/* ---- what is heard ---- */

/* Begin a stream of a workflow, from where the client's id says; what that has is taken over. */
void
scan_begin(StreamSet *set, const char *workflow, StreamId *id)
{
	WorkflowScan *scan = xmalloc(sizeof(WorkflowScan));
	Buffer		quoted = {0};

	memset(scan, 0, sizeof(WorkflowScan));
	set->scan = scan;
	scan->workflow = xstrdup(workflow);
	json_quote(&quoted, workflow, strlen(workflow));
	scan->quoted = buffer_text(&quoted);
	scan->subscribe = set->follow;
	if (id->of_workflow)
	{
		scan->floor = id->floor;
		scan->resumed = xmalloc(sizeof(StreamId));
		memcpy(scan->resumed, id, sizeof(StreamId));
	}
	scan_everything(set);
}

/* Something may have been missed. */
void
scan_everything(StreamSet *set)
{
	set->scan->due = set->scan->full_due = true;
	if (!set->scan->waiting)
		look(set);
}

/* An execution has started. */
void
scan_told(StreamSet *set, const char *execution)
{
	WorkflowScan *scan = set->scan;
	char		hash[STREAM_ID_HASH + 1];

	stream_id_hash(hash, execution);
	if (!set->follow || set_find(set, hash) || has_ended(scan, hash))
		return;
	if (scan->told_count == MAX_TOLD)
		scan->full_due = true;
	else
	{
		scan->told = xrealloc(scan->told, sizeof(char *) * (scan->told_count + 1));
		scan->told[scan->told_count++] = xstrdup(execution);
	}
	scan->due = true;
	if (!scan->waiting)
		look(set);
}

/* The end of a member has been sent: remember it, and let another one have its place. */
void
scan_ended(StreamSet *set, const Member *member)
{
	remember(set->scan, member->hash, member->registered);
	if (set->scan->job == NULL)
		forget(set->scan);
	if (set->scan->more)
		scan_everything(set);
}

/* Could there be executions that are not members yet, though nothing new starts? */
bool
scan_may_find_more(const WorkflowScan *scan)
{
	return scan->more || scan->due || scan->job;
}

/* What is due. */
void
scan_tick(StreamSet *set, int64 now)
{
	WorkflowScan *scan = set->scan;

	if (scan->waiting && now >= scan->retry_at && pool_is_up())
		look(set);
	else if (!scan->waiting && set->follow && listener_is_polling() && now >= scan->retry_at && !scan->job)
	{
		scan->retry_at = now + STREAM_POLL_MS;
		scan->due = true;
		look(set);
	}
}
