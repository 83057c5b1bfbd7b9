/*-------------------------------------------------------------------------
 *
 * stream_set.c
 *	  A client that follows several executions on one connection.
 *
 * Each execution is a member with a stream of its own (stream.c), which reads
 * and takes events as if it were alone; what it sends goes out on the set's
 * connection.  The id of an event is the place of all of them (stream_id.c), as
 * it is when the event has been sent, so the whole set goes on from any event.
 *
 * Members end one by one, each with COMPLETE or ERROR; is_final is the event
 * with which the last one does, and so the stream.  The answer begins when the
 * first member has been allowed; until then the others wait, so that a set of
 * which nothing may be seen is refused like a stream that is alone.
 *
 * What is about one of them, from joining to its end, is in stream_member.c.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_set.h"

#include <time.h>

static StreamSet *all_sets = NULL;

/* ---- begin and end ---- */

/* Free a set with its streams. */
void
set_free(StreamSet *set)
{
	for (int i = 0; i < SET_MEMBERS; i++)
	{
		if (set->members[i].stream)
			stream_free(set->members[i].stream);
		free(set->members[i].cursor);
	}
	if (set->scan)
		scan_free(set->scan);
	if (set->next)
		set->next->prev = set->prev;
	if (set->prev)
		set->prev->next = set->next;
	else
		all_sets = set->next;
	stream_count--;
	claims_free(&set->claims);
	buffer_free(&set->early);
	free(set->refusal_text);
	free(set);
}

/* End it when what has been sent is out. */
void
set_end(StreamSet *set)
{
	Conn	   *conn = set->conn;

	conn->set = NULL;
	set_free(set);
	conn_end_after_output(conn);
}

/* Make one without members for a request. */
StreamSet *
set_make(Request *request, bool follow)
{
	StreamSet  *set = xmalloc(sizeof(StreamSet));

	memset(set, 0, sizeof(StreamSet));
	set->conn = request->conn;
	set->request = request;
	set->follow = follow;
	claims_copy(&set->claims, &request->claims);
	set->patience = clock_ms() + STREAM_PATIENCE_MS;
	set->next = all_sets;
	if (all_sets)
		all_sets->prev = set;
	all_sets = set;
	stream_count++;
	request->conn->set = set;
	return set;
}

/* The first member has been allowed, or the workflow: from now on the answer is a stream. */
void
set_begins_to_answer(StreamSet *set)
{
	Request    *request = set->request;
	Buffer		out = {0};

	if (request == NULL)
		return;
	set->request = NULL;
	set->next_beat = clock_ms() + gateway.options.heartbeat;
	if (stream_open_answer(set->conn, request, &out))
	{
		/* executions that start before there is an event are to be found by who comes back, too */
		if (set->scan)
		{
			set_append_id(set, &out);
			buffer_char(&out, '\n');
		}
		buffer_append(&out, set->early.data, set->early.len);
		buffer_free(&set->early);
		if (conn_send(set->conn, out.data, out.len))
			set_give_turns(set);
	}
	buffer_free(&out);
}

/* The set cannot go on, whatever its members do. */
void
set_refuse(StreamSet *set, int status, const char *type, const char *message)
{
	Request    *request = set->request;
	Buffer		out = {0};
	int			left = set->open;

	if (request)
	{
		set->conn->set = NULL;
		stream_respond_refusal(request, status, message);
		set_free(set);
		return;
	}
	if (set->scan)
		sse_error(&out, set->scan->quoted, "workflow_id", message, type, true);
	else
		for (int i = 0; i < SET_MEMBERS; i++)
			if (set->members[i].stream)
				sse_error(&out, set->members[i].stream->topic->quoted, "execution_id", message, type, --left == 0);
	if (conn_send(set->conn, out.data, out.len))
		set_end(set);
	buffer_free(&out);
}

/* The gateway ends. */
void
set_drain(StreamSet *set)
{
	Buffer		out = {0};

	if (set->request)
	{
		set_refuse(set, 503, "", "The gateway is being stopped.");
		return;
	}
	stream_append_farewell(&out);
	if (conn_send(set->conn, out.data, out.len))
		set_end(set);
	buffer_free(&out);
}

/* ---- ids ---- */

/* Append the line with the id: where the set stands. */
void
set_append_id(StreamSet *set, Buffer *out)
{
	size_t		before = out->len;

	buffer_string(out, "id: ");
	stream_id_begin(out, set->scan != NULL, set->scan ? set->scan->floor : 0);
	for (int i = 0; i < SET_MEMBERS; i++)
	{
		const Member *member = &set->members[i];
		const Stream *stream = member->stream;

		/* who has been told an end has been told it, though it is being looked at again */
		if (member->hash[0] != '\0')
			stream_id_entry(out, member->hash, stream && stream->was_at_end ? ENTRY_ENDED : member->state,
							stream ? stream->cursor : member->cursor);
	}
	if (set->scan)
		scan_append_id(set->scan, out);
	buffer_char(out, '\n');
	set->id_len = out->len - before;
}

/* ---- what comes from elsewhere ---- */

/* The client has taken everything: each member goes on, another one first each time. */
void
set_writable(StreamSet *set)
{
	Conn	   *conn = set->conn;
	int			first = set->next_served;

	for (int i = 0; i < SET_MEMBERS; i++)
	{
		Stream	   *stream = set->members[(first + i) % SET_MEMBERS].stream;

		if (stream == NULL)
			continue;
		stream_writable(stream);
		if (conn->set != set)
			return;				/* that was the end */
		if (conn_pending(conn) > 0)
		{
			set->next_served = (first + i + 1) % SET_MEMBERS;
			return;
		}
	}
}

/* An execution of a workflow has started; NULL: of one that is not told. */
void
sets_told(const char *workflow, const char *execution)
{
	for (StreamSet *set = all_sets; set; set = set->next)
		if (set->scan && (workflow == NULL || strcmp(set->scan->workflow, workflow) == 0))
			scan_told(set, execution);
}

/* Notifications were missed, perhaps of starts; ask_again: and channels have to be asked for again. */
void
sets_missed_something(bool ask_again)
{
	for (StreamSet *set = all_sets; set; set = set->next)
		if (set->scan)
		{
			set->scan->subscribe = set->scan->subscribe || (ask_again && set->follow);
			scan_everything(set);
		}
}

/* ---- time ---- */

/* Does the set wait for the database to be there? */
static bool
is_waiting(const StreamSet *set)
{
	for (int i = 0; i < SET_MEMBERS; i++)
		if (set->members[i].stream && set->members[i].stream->state == STREAM_WAITING)
			return true;
	return set->scan && set->scan->waiting;
}

/* What is due for a set, which may be its end. */
static void
set_tick(StreamSet *set, int64 now)
{
	if (set->request && now >= set->patience && is_waiting(set))
	{
		set_refuse(set, 503, "unavailable", "The database cannot be reached.");
		return;
	}
	if (set->request == NULL)
	{
		if (set->claims.expires <= time(NULL))
		{
			set_refuse(set, 401, "token_expired", "The token has expired.");
			return;
		}
		if (set->id_len > SET_ID_MAX)
		{
			set_refuse(set, 422, "too_large", "The place in so many executions is too long for an id.");
			return;
		}
		if (now >= set->next_beat)
		{
			set->next_beat = now + gateway.options.heartbeat;
			if (conn_pending(set->conn) == 0 && !conn_send(set->conn, ":\n\n", 3))
				return;
		}
	}
	for (int i = 0; i < SET_MEMBERS; i++)
		if (set->members[i].stream)
			stream_tick_read(set->members[i].stream, now);
	if (set->scan)
		scan_tick(set, now);
}

void
sets_tick(int64 now)
{
	StreamSet  *next;

	for (StreamSet *set = all_sets; set; set = next)
	{
		next = set->next;
		set_tick(set, now);
	}
}
