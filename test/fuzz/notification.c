/*
 * Fuzzer of what the gateway makes of notifications, src/gateway/hub.c with
 * sse.c.  How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/hub.c src/gateway/sse.c src/gateway/clock.c src/client/buffer.c src/client/jsonscan.c
 *
 * An input is payloads, with SEPARATOR between them.
 *
 * What must hold for any bytes:
 *   - a log that is published is an event of one id and one line of data, which
 *     ends in an empty line: nothing a payload says can add another;
 *   - names of batches and cursors end; the ring's account of its bytes is right;
 *   - a payload that is JSON publishes what a second reading (jansson) finds for
 *     the followed execution, and of that kind;
 *   - streams are told of all of it, and what they have taken is dropped.
 */
#include "model.h"

#include "hub.h"

#include <jansson.h>

#include "stream_set.h"
#include "target.h"

#define SEPARATOR '\x1e'
#define EXECUTION "e\"1"		/* has to be quoted */

long		fuzz_accepted = 0;
const char *const fuzz_likely = "{}[]\":,\\u0123456789elogbatchprevkindcursor\r\n\x1e";

Gateway		gateway;

static Stream stream;
static bool told;				/* the stream has been served since */

void
stream_pump(Stream *served)
{
	MUST(served == &stream);
	told = true;
	/* as one whose client is slow, or not */
	if (draw(2))
		stream.at = stream.topic->next_event;
}

/* Of streams of several executions there are none. */
void
sets_told(const char *workflow, const char *execution)
{
}

void
sets_missed_something(bool ask_again)
{
}

static void
begin(void)
{
	gateway.base = event_base_new();
	gateway.options.stream_buffer = 20000;
	MUST(gateway.base != NULL);
	stream.topic = hub_join(EXECUTION, &stream);
	hub_listening();
}

/* ---- the second reading ---- */

/* What an event of the execution is published as; -1: it is none. */
static int
kind_of(const json_t *event)
{
	static const struct
	{
		const char *name;
		EventKind	kind;
	}			kinds[] = {{"log", EVENT_LOG}, {"reference", EVENT_REFERENCE}, {"end", EVENT_END}, {"moved", EVENT_MOVED}};
	const char *name = json_string_value(json_object_get(event, "kind"));
	const char *execution = json_string_value(json_object_get(event, "execution_id"));

	if (name == NULL || execution == NULL || strcmp(execution, EXECUTION) != 0)
		return -1;
	for (int i = 0; i < COUNT(kinds); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].kind;
	if (strcmp(name, "status") != 0)
		return -1;
	return json_is_string(json_object_get(event, "status")) ? EVENT_STATUS : EVENT_END;
}

/* The kinds of a payload's events, in order; how many, or -1 if it is not for comparing. */
static int
kinds_of(const char *payload, size_t len, int *kinds, int room)
{
	json_t	   *document;
	json_t	   *event;
	size_t		i;
	int			count = 0;
	const char *name;

	/* what the server would not write is not read; of names with escapes only one of the readings knows */
	if (memchr(payload, '\n', len) || memchr(payload, '\r', len) || memmem(payload, len, "\\u", 2) ||
		(document = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL)) == NULL)
		return -1;
	name = json_string_value(json_object_get(document, "kind"));
	if (name && strcmp(name, "batch") == 0)
	{
		json_array_foreach(json_object_get(document, "events"), i, event)
			if (kind_of(event) >= 0 && count < room)
				kinds[count++] = kind_of(event);
	}
	else if (kind_of(document) >= 0)
		kinds[count++] = kind_of(document);
	json_decref(document);
	return count;
}

/* ---- what must hold ---- */

/* An event as a client gets it: fields, each a line, and an empty line. */
static void
check_log(const Event *event)
{
	static const char begins[] = "event: message\ndata: {\"event_type\":\"LOG\",\"session_id\":\"e\\\"1\",";
	size_t		len = event->body_len;

	MUST(strpbrk(event->cursor, "\r\n") == NULL);
	MUST(len > sizeof(begins) && memcmp(event->body, begins, sizeof(begins) - 1) == 0);
	MUST(memcmp(event->body + len - 3, "}\n\n", 3) == 0);
	MUST(memchr(event->body + 15, '\n', len - 15 - 2) == NULL);
	MUST(memchr(event->body, '\r', len) == NULL && memchr(event->body, '\0', len) == NULL);
}

/* The ring is in order. */
static void
check_ring(const Topic *topic)
{
	size_t		bytes = 0;

	MUST(topic->first <= topic->next_event && topic->next_event - topic->first <= topic->room);
	for (uint64_t i = topic->first; i < topic->next_event; i++)
	{
		const Event *event = topic_event(topic, i);

		MUST(memchr(event->batch, '\0', BATCH_SIZE) && memchr(event->chain, '\0', BATCH_SIZE));
		bytes += event->size;
	}
	MUST(bytes == topic->bytes);
	MUST(bytes <= gateway.options.stream_buffer || topic->next_event - topic->first == 1);
}

static void
check_payload(const char *payload, size_t len)
{
	Topic	   *topic = stream.topic;
	char	   *copy = own_block(payload, len);
	uint64_t	before = topic->next_event;
	int			kinds[4096];
	int			wanted = kinds_of(payload, len, kinds, COUNT(kinds));
	int			found = 0;

	told = false;
	hub_notified(copy, len);
	free(copy);
	check_ring(topic);
	for (uint64_t i = before > topic->first ? before : topic->first; i < topic->next_event; i++)
	{
		const Event *event = topic_event(topic, i);

		if (event->kind == EVENT_LOG)
			check_log(event);
		if (wanted >= 0 && event->kind != EVENT_GAP && before >= topic->first)
			MUST(found < wanted && event->kind == kinds[found++]);
	}
	if (wanted > 0 && before >= topic->first)
		MUST(found == wanted);
	fuzz_accepted += wanted > 0;
	(void) event_base_loop(gateway.base, EVLOOP_NONBLOCK);
	MUST(told || topic->next_event == before);
	check_ring(topic);
	MUST(!told || stream.at < topic->next_event || topic->first == topic->next_event);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *) data;
	const char *end = at + size;

	/* payloads are shorter, but several make a chain */
	if (size > 20000)
		return 0;
	if (gateway.base == NULL)
		begin();
	model_state = MODEL_STATE + size;
	while (at < end)
	{
		const char *stop = memchr(at, SEPARATOR, end - at);

		stop = stop ? stop : end;
		/* a payload is text */
		if (memchr(at, '\0', stop - at) == NULL)
			check_payload(at, stop - at);
		at = stop + 1;
	}
	return 0;
}
