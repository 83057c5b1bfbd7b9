/*-------------------------------------------------------------------------
 *
 * payload.c
 *	  What is in a notification and in a log's JSON.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "torture.h"

#define DIGEST_EVERY 8			/* logs; it costs the time of writing the JSON again */

/* Copy a member that is a string; "" if there is none. */
static void
copy_member(char *to, size_t size, const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	snprintf(to, size, "%s", text ? text : "");
}

/* FNV-1a of a log's JSON, spelled in one way, never 0. */
static uint32_t
digest_of(const json_t *log)
{
	char	   *text = json_dumps(log, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	uint32_t	hash = 2166136261u;

	for (const char *p = text; *p; p++)
		hash = (hash ^ (unsigned char) *p) * 16777619u;
	free(text);
	return hash ? hash : 1;
}

/* Who wrote a log, and as his how manieth. */
static bool
key_of(const json_t *log, int *writer, int *number, uint32_t *digest)
{
	const char *message = json_string_value(json_object_get(log, "message"));

	if (!message || sscanf(message, "%d:%d", writer, number) != 2 ||
		*writer < 0 || *writer >= MAX_WRITERS || *number < 0)
		return false;
	*digest = *number % DIGEST_EVERY == 0 ? digest_of(log) : 0;
	return true;
}

/* The same of a log as text. */
bool
log_key(const char *log, int *writer, int *number, uint32_t *digest)
{
	json_t	   *parsed = json_loads(log, 0, NULL);
	bool		found = parsed && key_of(parsed, writer, number, digest);

	json_decref(parsed);
	return found;
}

/* One event, which is a payload or part of a batch. */
static bool
one_event(const json_t *object, const json_t *batch, EventCallback callback, void *arg)
{
	Event		event;
	json_t	   *log = json_object_get(object, "log");
	json_t	   *total = json_object_get(object, "total_logs");

	memset(&event, 0, sizeof(event));
	copy_member(event.kind, sizeof(event.kind), object, "kind");
	copy_member(event.execution, sizeof(event.execution), object, "execution_id");
	copy_member(event.batch, sizeof(event.batch), batch, "batch");
	copy_member(event.prev, sizeof(event.prev), batch, "prev");
	event.events = (int) json_array_size(json_object_get(object, "events"));
	copy_member(event.status, sizeof(event.status), object, "status");
	copy_member(event.previous, sizeof(event.previous), object, "previous");
	event.cursor = json_string_value(json_object_get(object, "cursor"));
	event.total_logs = total && json_is_integer(total) ? (long) json_integer_value(total) : -1;
	event.writer = -1;
	if (log && !key_of(log, &event.writer, &event.number, &event.digest))
		return false;
	callback(arg, &event);
	return true;
}

/* Call back for each event of a payload.  False: it is not what it should be. */
bool
payload_events(const char *payload, EventCallback callback, void *arg)
{
	json_t	   *parsed = json_loads(payload, 0, NULL);
	bool		good = json_is_object(parsed) &&
		json_integer_value(json_object_get(parsed, "v")) == 1;
	const char *kind = good ? json_string_value(json_object_get(parsed, "kind")) : NULL;

	if (kind && strcmp(kind, "batch") == 0)
	{
		json_t	   *events = json_object_get(parsed, "events");
		size_t		i;
		json_t	   *event;

		good = json_is_array(events) && one_event(parsed, parsed, callback, arg);
		if (good)
			json_array_foreach(events, i, event)
				good &= one_event(event, parsed, callback, arg);
	}
	else
		good = kind && one_event(parsed, parsed, callback, arg);
	json_decref(parsed);
	return good;
}
