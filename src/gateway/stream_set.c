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
 * Members read the table in turns, a few at a time: a set of many is not to
 * crowd out the others that wait for the database, nor to hold the rows of all.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_set.h"

#include <time.h>

static StreamSet *all_sets = NULL;

static void set_give_turns(StreamSet *set);

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

/* The member of a hash; NULL if there is none. */
Member *
set_find(StreamSet *set, const char *hash)
{
	for (int i = 0; i < SET_MEMBERS; i++)
		if (strcmp(set->members[i].hash, hash) == 0)
			return &set->members[i];
	return NULL;
}

/*
 * Follow one more execution, from where the client's id says if it has it;
 * the entry's cursor is taken over.  NULL if there is no room.
 */
Member *
set_add(StreamSet *set, const char *execution, StreamIdEntry *entry)
{
	Member	   *member = set_find(set, "");

	if (member == NULL)
		return NULL;
	stream_id_hash(member->hash, execution);
	member->state = entry ? entry->state : ENTRY_OPEN;
	if (member->state == ENTRY_REFUSED)
		return member;
	member->stream = stream_make(set->conn, set, execution, set->follow);
	member->stream->claims = set->claims;
	if (entry)
	{
		member->stream->was_at_end = entry->state == ENTRY_ENDED;
		member->stream->cursor = entry->cursor;
		entry->cursor = NULL;
	}
	set->open++;
	stream_catch_up(member->stream);
	return member;
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

/* ---- turns ---- */

/* May a member read the table now?  If not, it will be called when it may. */
bool
set_takes_turn(Stream *stream)
{
	StreamSet  *set = stream->set;

	if (!stream->has_turn && set->reading < (set->request ? 1 : SET_READERS))
	{
		stream->has_turn = true;
		set->reading++;
	}
	return stream->has_turn;
}

/* Let members read that wait for it. */
static void
set_give_turns(StreamSet *set)
{
	for (int i = 0; i < SET_MEMBERS; i++)
	{
		Stream	   *stream = set->members[(set->next_served + i) % SET_MEMBERS].stream;

		if (stream && stream->state == STREAM_QUEUED)
			stream_catch_up(stream);
	}
}

/* A member has read what it had to, for the time being. */
void
set_turn_over(Stream *stream)
{
	StreamSet  *set = stream->set;

	if (!stream->has_turn)
		return;
	stream->has_turn = false;
	set->reading--;
	set->next_served = (set->next_served + 1) % SET_MEMBERS;
	set_give_turns(set);
}

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

/* ---- what members come to ---- */

static Member *
member_of(const Stream *stream)
{
	for (int i = 0; i < SET_MEMBERS; i++)
		if (stream->set->members[i].stream == stream)
			return &stream->set->members[i];
	return NULL;				/* cannot be */
}

/* Is there nothing but one member that the stream could still bring? */
static bool
is_last(const StreamSet *set)
{
	return set->open == 1 && (set->scan == NULL || (!set->follow && !scan_may_find_more(set->scan)));
}

/* A member ends, its stream with it.  An ended one of a workflow leaves its place to others. */
static void
member_over(StreamSet *set, Member *member, EntryState state)
{
	Stream	   *stream = member->stream;

	member->stream = NULL;
	member->state = state;
	set->open--;
	if (stream->has_turn)
		set->reading--;
	if (set->scan && state != ENTRY_REFUSED)
	{
		scan_ended(set, member);
		member->hash[0] = '\0';
	}
	else
	{
		member->cursor = stream->cursor;
		stream->cursor = NULL;
	}
	stream_free(stream);
}

/* Send the event that a member has ended with, if there is one; the last one ends the set. */
static void
member_ended(StreamSet *set, const Buffer *event, bool last)
{
	Conn	   *conn = set->conn;

	if (set->request)
	{
		/* whether it is to be a stream depends on the others */
		buffer_append(&set->early, event->data, event->len);
		if (!last)
			set_give_turns(set);
		else if (!set->was_quiet)
			set_refuse(set, set->refusal, NULL, set->refusal_text);
		else if (set->early.len == 0)
			set_refuse(set, 204, NULL, NULL);
		else
			set_begins_to_answer(set);
		if (!last || conn->set != set)
			return;
	}
	else if (event->len > 0 && !conn_send(conn, event->data, event->len))
		return;
	if (last)
		set_end(set);
	else
		set_give_turns(set);
}

/* A member cannot go on; the others can. */
void
set_refused(Stream *stream, int status, const char *type, const char *message)
{
	StreamSet  *set = stream->set;
	bool		last = is_last(set);
	bool		is_gone = set->scan && status == 404;
	char	   *quoted = xstrdup(stream->topic->quoted);
	Buffer		event = {0};

	if (set->request && set->refusal == 0)
	{
		set->refusal = status;
		set->refusal_text = xstrdup(message);
	}
	/* a workflow's execution that is gone will not be found again; but is it the workflow that is? */
	member_over(set, member_of(stream), is_gone ? ENTRY_ENDED : ENTRY_REFUSED);
	set_append_id(set, &event);
	sse_error(&event, quoted, "execution_id", message, type, last);
	if (is_gone)
		scan_everything(set);
	member_ended(set, &event, last);
	buffer_free(&event);
	free(quoted);
}

/* A member's client has been told its end, and there is nothing new. */
void
set_nothing_new(Stream *stream)
{
	StreamSet  *set = stream->set;
	Buffer		nothing = {0};
	bool		last = is_last(set);

	/* the stream has to have an end that can be seen */
	if (last && set->request == NULL)
	{
		set_complete(stream);
		return;
	}
	member_over(set, member_of(stream), ENTRY_ENDED);
	set->was_quiet = true;
	member_ended(set, &nothing, last);
}

/* Everything of a member has been sent, and there is the end. */
void
set_complete(Stream *stream)
{
	StreamSet  *set = stream->set;
	bool		last = is_last(set);
	Buffer		body = {0};
	Buffer		event = {0};

	sse_complete(&body, stream->topic->quoted, stream->status, stream->was_live, stream->total, last);
	member_over(set, member_of(stream), ENTRY_ENDED);
	set_append_id(set, &event);
	buffer_append(&event, body.data, body.len);
	member_ended(set, &event, last);
	buffer_free(&event);
	buffer_free(&body);
}

/* ---- workflows ---- */

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
