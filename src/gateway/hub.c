/*-------------------------------------------------------------------------
 *
 * hub.c
 *	  Where notifications meet streams: one topic for each execution followed.
 *
 * A topic has a ring of the events of its execution, each encoded once for all
 * streams, and each stream has a place in it.  What all of them have taken is
 * dropped, and the ring is bounded in bytes: what is dropped for that, a stream
 * that has not come so far reads from the table again (stream.c).
 *
 * On the gateway's channel each batch names the one before it (see
 * docs/streaming.md).  As long as that is one we have got, the chain is
 * unbroken; `chain_start` is the batch before its first.  So a stream that has
 * everything up to some batch at or behind chain_start misses nothing by taking
 * the events of later batches, though it is told of no others than its own.
 *
 * Streams are served in slices, a number in each turn of the loop, so that one
 * event for thousands of them does not hold up everything else.
 *
 *-------------------------------------------------------------------------
 */
#include "hub.h"

#include "jsonscan.h"
#include "stream_set.h"

#define BUCKETS 4096			/* a power of two */
#define SLICE 500				/* streams served in a turn */
#define MAX_EVENTS 8192			/* of a ring */
#define SMALL_RING 64			/* this many places are kept though they are empty */

static Topic *buckets[BUCKETS];
static int	topics = 0;

/* Topics with new events. */
static Topic *ready_first = NULL;
static Topic **ready_end = &ready_first;
static struct event pump_event;
static bool pump_is_there = false;

/* The chain of batches on the gateway's channel; "": none has come. */
static char last_batch[BATCH_SIZE];
static char chain_start[BATCH_SIZE];
static uint32 chain_number = 0;

int
hub_topics(void)
{
	return topics;
}

/* Which chain this is; another one begins when something was missed. */
uint32
hub_chain_number(void)
{
	return chain_number;
}

static uint64
hash_of(const char *text, size_t len)
{
	uint64		hash = 14695981039346656037ULL;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char) text[i]) * 1099511628211ULL;
	return hash ^ (hash >> 32);
}

static Topic *
find_topic(const char *execution, size_t len)
{
	uint64		hash = hash_of(execution, len);

	for (Topic *topic = buckets[hash & (BUCKETS - 1)]; topic; topic = topic->next)
		if (topic->hash == hash && strlen(topic->execution) == len &&
			memcmp(topic->execution, execution, len) == 0)
			return topic;
	return NULL;
}

/* A stream begins to follow an execution: it gets the events that come from now on. */
Topic *
hub_join(const char *execution, Stream *stream)
{
	Topic	   *topic = find_topic(execution, strlen(execution));

	if (topic == NULL)
	{
		Buffer		quoted = {0};
		Topic	  **bucket;

		topic = xmalloc(sizeof(Topic));
		memset(topic, 0, sizeof(Topic));
		topic->execution = xstrdup(execution);
		json_quote(&quoted, execution, strlen(execution));
		topic->quoted = buffer_text(&quoted);
		topic->hash = hash_of(execution, strlen(execution));
		bucket = &buckets[topic->hash & (BUCKETS - 1)];
		topic->next = *bucket;
		*bucket = topic;
		topics++;
	}
	stream->prev = NULL;
	stream->next = topic->streams;
	if (topic->streams)
		topic->streams->prev = stream;
	topic->streams = stream;
	return topic;
}

static void
drop_oldest(Topic *topic)
{
	Event	   *event = topic->ring[topic->first & (topic->room - 1)];

	topic->bytes -= event->size;
	topic->first++;
	free(event);
}

/* A stream no longer follows; the last one takes the topic with it. */
void
hub_leave(Topic *topic, Stream *stream)
{
	if (topic->pump_at == stream)
		topic->pump_at = stream->next;
	if (stream->next)
		stream->next->prev = stream->prev;
	if (stream->prev)
		stream->prev->next = stream->next;
	else
		topic->streams = stream->next;
	if (topic->streams)
		return;

	for (Topic **at = &buckets[topic->hash & (BUCKETS - 1)]; *at; at = &(*at)->next)
		if (*at == topic)
		{
			*at = topic->next;
			break;
		}
	if (topic->ready)
		for (Topic **at = &ready_first; *at; at = &(*at)->next_ready)
			if (*at == topic)
			{
				*at = topic->next_ready;
				if (ready_end == &topic->next_ready)
					ready_end = at;
				break;
			}
	while (topic->first < topic->next_event)
		drop_oldest(topic);
	free(topic->ring);
	free(topic->execution);
	free(topic->quoted);
	free(topic);
	topics--;
}

/* ---- serving ---- */

/*
 * Drop what all streams have taken: who joins begins behind it.  So executions
 * that are followed cost what their slowest stream has yet to take.
 */
static void
drop_taken(Topic *topic)
{
	uint64		least = topic->next_event;

	for (Stream *stream = topic->streams; stream; stream = stream->next)
		least = Min(least, stream->at);
	while (topic->first < least)
		drop_oldest(topic);
	if (topic->first == topic->next_event && topic->room > SMALL_RING)
	{
		free(topic->ring);
		topic->ring = NULL;
		topic->room = 0;
	}
}

/* Serve some of the streams that there is something for. */
static void
pump(evutil_socket_t fd, short what, void *arg)
{
	int			served = 0;

	while (ready_first && served < SLICE)
	{
		Topic	   *topic = ready_first;
		Stream	   *stream = topic->pump_at;

		if (stream == NULL)
		{
			/* the round is over; was there something new meanwhile? */
			if (topic->pumped < topic->next_event)
			{
				topic->pumped = topic->next_event;
				topic->pump_at = topic->streams;
				continue;
			}
			drop_taken(topic);
			ready_first = topic->next_ready;
			if (ready_first == NULL)
				ready_end = &ready_first;
			topic->ready = false;
			continue;
		}
		topic->pump_at = stream->next;
		served++;
		stream_pump(stream);	/* which may be the end of it, and of the topic */
	}
	if (ready_first)
	{
		struct timeval at_once = {0, 0};

		/* a timer, because what is made active is served before the sockets are looked at */
		event_add(&pump_event, &at_once);
	}
}

/* There are new events. */
static void
topic_is_ready(Topic *topic)
{
	struct timeval at_once = {0, 0};

	if (topic->ready)
		return;
	topic->ready = true;
	topic->pump_at = topic->streams;
	topic->pumped = topic->next_event;
	topic->next_ready = NULL;
	*ready_end = topic;
	ready_end = &topic->next_ready;
	if (!pump_is_there)
	{
		event_assign(&pump_event, gateway.base, -1, 0, pump, NULL);
		pump_is_there = true;
	}
	if (!event_pending(&pump_event, EV_TIMEOUT, NULL))
		event_add(&pump_event, &at_once);
}

/* Put an event into a ring; cursor and body are copied. */
static Event *
publish(Topic *topic, EventKind kind, const char *batch, const JsonValue *cursor, const Buffer *body)
{
	size_t		cursor_len = cursor && cursor->kind == JSON_STRING ? cursor->len : 0;
	size_t		body_len = body ? body->len : 0;
	size_t		size = sizeof(Event) + cursor_len + 1 + body_len;
	Event	   *event = xmalloc(size);
	char	   *room = (char *) (event + 1);

	memset(event, 0, sizeof(Event));
	event->kind = kind;
	event->size = size;
	strlcpy(event->batch, batch, BATCH_SIZE);
	strlcpy(event->chain, chain_start, BATCH_SIZE);
	event->chain_number = chain_number;
	if (cursor_len > 0)
		memcpy(room, cursor->text, cursor_len);
	room[cursor_len] = '\0';
	event->cursor = room;
	if (body_len > 0)
		memcpy(room + cursor_len + 1, body->data, body_len);
	event->body = room + cursor_len + 1;
	event->body_len = body_len;

	while (topic->first < topic->next_event &&
		   (topic->bytes + size > gateway.options.stream_buffer || topic->next_event - topic->first >= MAX_EVENTS))
		drop_oldest(topic);
	if (topic->next_event - topic->first == topic->room)
	{
		uint32		room_now = Max(topic->room * 2, 8);
		Event	  **ring = xmalloc(sizeof(Event *) * room_now);

		for (uint64 i = topic->first; i < topic->next_event; i++)
			ring[i & (room_now - 1)] = topic->ring[i & (topic->room - 1)];
		free(topic->ring);
		topic->ring = ring;
		topic->room = room_now;
	}
	topic->ring[topic->next_event++ & (topic->room - 1)] = event;
	topic->bytes += size;
	topic_is_ready(topic);
	return event;
}

/* ---- notifications ---- */

static void
copy_batch(char *out, const JsonValue *value)
{
	size_t		len = value->kind == JSON_STRING ? Min(value->len, BATCH_SIZE - 1) : 0;

	memcpy(out, value->text, len);
	out[len] = '\0';
}

/* Tell every topic that something may have been missed, and who waits for executions to start. */
static void
publish_gap(const char *batch)
{
	sets_missed_something(false);
	for (int i = 0; i < BUCKETS; i++)
		for (Topic *topic = buckets[i]; topic; topic = topic->next)
			publish(topic, EVENT_GAP, batch, NULL, NULL);
}

/*
 * Does a batch follow on the last one?  If not, a new chain begins.
 *
 * The first one after LISTEN follows on whatever it says is before it: that had
 * been notified by then, as it has not come, so it was published before any of
 * the reads that all streams have begun since (hub_listening()), and these show
 * it.  Nobody need read again for it.
 */
static void
follow_chain(const char *batch, const char *prev)
{
	bool		is_first = last_batch[0] == '\0';

	if (batch[0] == '\0' || strcmp(batch, last_batch) == 0)
		return;
	if (prev[0] && (is_first || strcmp(prev, last_batch) <= 0))
	{
		if (is_first)
			strlcpy(chain_start, prev, BATCH_SIZE);
		strlcpy(last_batch, batch, BATCH_SIZE);
		return;
	}
	if (!is_first)
		gateway.counters.chain_breaks++;
	chain_number++;
	/* who has this very batch has everything before it */
	strlcpy(chain_start, prev[0] ? prev : batch, BATCH_SIZE);
	strlcpy(last_batch, batch, BATCH_SIZE);
	publish_gap(batch);
}

/* An execution has started, of which there is no topic yet. */
static void
take_start(const JsonValue *event, const char *execution)
{
	JsonValue	workflow = json_find(event, "workflow_id");
	char	   *name = json_text(&workflow);

	/* a very long name is left out */
	sets_told(name, execution);
	free(name);
}

/* One event of a notification. */
static void
take_event(const JsonValue *event, const char *batch)
{
	JsonValue	kind = json_find(event, "kind");
	JsonValue	execution = json_find(event, "execution_id");
	JsonValue	log;
	JsonValue	cursor;
	Topic	   *topic;
	static Buffer body;
	static Buffer name;

	buffer_clear(&name);
	json_decode(&name, &execution);
	if (json_is(&kind, "start"))
	{
		take_start(event, buffer_text(&name));
		return;
	}
	topic = find_topic(buffer_text(&name), name.len);
	if (topic == NULL)
		return;					/* of interest to another gateway, or to nobody any more */
	cursor = json_find(event, "cursor");
	if (json_is(&kind, "log"))
	{
		log = json_find(event, "log");
		buffer_clear(&body);
		sse_log(&body, topic->quoted, log.text, log.len, true);
		publish(topic, EVENT_LOG, batch, &cursor, &body)->written = log_written_at(log.text, log.len);
	}
	else if (json_is(&kind, "reference"))
		publish(topic, EVENT_REFERENCE, batch, NULL, NULL);
	else if (json_is(&kind, "end"))
		publish(topic, EVENT_END, batch, NULL, NULL);
	else if (json_is(&kind, "moved"))
		publish(topic, EVENT_MOVED, batch, NULL, NULL);
	else if (json_is(&kind, "status"))
	{
		/* without a status it has been deleted */
		JsonValue	status = json_find(event, "status");

		publish(topic, status.kind == JSON_STRING ? EVENT_STATUS : EVENT_END, batch, NULL, NULL);
	}
}

/* Something was lost, of whom is not said. */
static void
break_chain(void)
{
	chain_number++;
	publish_gap("~");
}

/* A notification has come on the gateway's channel. */
void
hub_notified(const char *payload, size_t len)
{
	JsonValue	document = json_document(payload, len);
	JsonValue	kind = json_find(&document, "kind");
	JsonValue	value;
	char		batch[BATCH_SIZE];
	char		prev[BATCH_SIZE];

	gateway.counters.notifications++;
	/* the server writes them escaped; in an event they would end a line */
	if (memchr(payload, '\n', len) || memchr(payload, '\r', len))
	{
		break_chain();
		return;
	}
	value = json_find(&document, "batch");
	copy_batch(batch, &value);
	value = json_find(&document, "prev");
	copy_batch(prev, &value);
	follow_chain(batch, prev);
	if (json_is(&kind, "batch"))
	{
		JsonValue	events = json_find(&document, "events");
		JsonWalk	walk = json_walk(&events);

		while (json_next_element(&walk, &value))
			take_event(&value, batch);
	}
	else if (json_is(&kind, "reference") && json_find(&document, "execution_id").kind != JSON_STRING)
		break_chain();
	else
		take_event(&document, batch);
}

/*
 * LISTEN has just been committed.  What was notified before has not been heard:
 * no chain, and every stream looks for itself, having asked to be told.
 */
void
hub_listening(void)
{
	last_batch[0] = '\0';
	chain_number++;
	/* greater than any batch: nobody has so much */
	strlcpy(chain_start, "~", BATCH_SIZE);
	sets_missed_something(true);
	for (int i = 0; i < BUCKETS; i++)
		for (Topic *topic = buckets[i]; topic; topic = topic->next)
			publish(topic, EVENT_MOVED, "", NULL, NULL);
}
