/*-------------------------------------------------------------------------
 *
 * stream_member.c
 *	  An execution in a set of several: how it joins, reads in its turn, ends.
 *
 * Members read the table in turns, a few at a time: a set of many is not to
 * crowd out the others that wait for the database, nor to hold the rows of all.
 *
 *-------------------------------------------------------------------------
 */
#include "stream_set.h"

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
void
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

/* ---- ends ---- */

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
