/*-------------------------------------------------------------------------
 *
 * logentry.c
 *	  A log as the server gives it.
 *
 *-------------------------------------------------------------------------
 */
#include "logentry.h"

#include <stdio.h>
#include <strings.h>

static const char *const field_names[LOG_FIELDS] = {
	"timestamp", "level", "event_type", "execution_id", "node_id", "attempt", "source", "message",
	"technical_message", "user_friendly_message", "is_milestone", "progress_percentage", "node_name",
	"node_type", "step_number", "total_steps", "duration_seconds", "log_category", "display_priority",
	"trace_id", "span_id", "original_size", "data", "id", "stack_trace", "technical_details",
	"performance_metrics",
};

/* The field's name in JSON and CSV. */
const char *
log_field_name(LogField field)
{
	return field_names[field];
}

/* Where in the list a name is; -1 if it is no field. */
static int
find_field(const JsonValue *key)
{
	/* first and last letter and length tell all apart, so that one comparison is left */
	static signed char slots[64];
	static bool slots_made = false;
	int			slot;
	int			field;

#define SLOT(text, len) \
	(((unsigned char) (text)[0] * 5 + (unsigned char) (text)[(len) - 1] * 3 + \
	  (unsigned char) (text)[(len) / 2] * 7 + (len) * 11) % 64)

	if (!slots_made)
	{
		memset(slots, -1, sizeof(slots));
		for (int i = 0; i < LOG_FIELDS; i++)
		{
			slot = SLOT(field_names[i], strlen(field_names[i]));
			while (slots[slot] >= 0)
				slot = (slot + 1) % 64;
			slots[slot] = i;
		}
		slots_made = true;
	}
	if (key->len == 0)
		return -1;
	for (slot = SLOT(key->text, key->len); (field = slots[slot]) >= 0; slot = (slot + 1) % 64)
		if (strncmp(field_names[field], key->text, key->len) == 0 && field_names[field][key->len] == '\0')
			return field;
	return -1;
}

/* The level of that name in any case, also by its other names. */
bool
parse_level(const char *name, Level *level)
{
	static const struct
	{
		const char *name;
		Level		level;
	}			names[] = {
		{"DEBUG", LEVEL_DEBUG}, {"TRACE", LEVEL_DEBUG}, {"INFO", LEVEL_INFO},
		{"WARNING", LEVEL_WARNING}, {"WARN", LEVEL_WARNING}, {"ERROR", LEVEL_ERROR},
		{"CRITICAL", LEVEL_CRITICAL}, {"FATAL", LEVEL_CRITICAL},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i].name) == 0)
		{
			*level = names[i].level;
			return true;
		}
	return false;
}

/* A level's name. */
const char *
level_name(Level level)
{
	static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};

	return names[level];
}

/* Read an object as a log; false if it is none. */
bool
log_parse(LogEntry *log, const JsonValue *object)
{
	JsonWalk	walk;
	JsonValue	key;
	JsonValue	value;

	if (object->kind != JSON_OBJECT)
		return false;
	memset(log, 0, sizeof(LogEntry));
	log->whole = *object;
	log->level = LEVEL_INFO;
	walk = json_walk(object);
	while (json_next_pair(&walk, &key, &value))
	{
		int			field = find_field(&key);

		if (field >= 0 && value.kind != JSON_NULL)
			log->field[field] = value;
	}
	value = log->field[LOG_TIMESTAMP];
	log->has_time = value.kind == JSON_STRING &&
		parse_timestamp(value.text, value.len, &log->time);
	value = log->field[LOG_LEVEL];
	if (value.kind == JSON_STRING && value.len > 0)
		switch (value.text[0])
		{
			case 'd':
				log->level = LEVEL_DEBUG;
				break;
			case 'w':
				log->level = LEVEL_WARNING;
				break;
			case 'e':
				log->level = LEVEL_ERROR;
				break;
			case 'c':
				log->level = LEVEL_CRITICAL;
				break;
			default:
				break;
		}
	return log->field[LOG_ID].kind == JSON_STRING;
}

/* Where a log is. */
void
log_position(Position *position, const LogEntry *log)
{
	const JsonValue *timestamp = &log->field[LOG_TIMESTAMP];
	const JsonValue *id = &log->field[LOG_ID];

	snprintf(position->timestamp, sizeof(position->timestamp), "%.*s", (int) timestamp->len,
			 timestamp->text ? timestamp->text : "");
	snprintf(position->id, sizeof(position->id), "%.*s", (int) id->len, id->text);
	position->valid = true;
}

/*
 * As strcmp.  Times of one length compare as text; those of years that have
 * five digits are longer and later.
 */
int
position_compare(const Position *a, const Position *b)
{
	size_t		a_len = strlen(a->timestamp);
	size_t		b_len = strlen(b->timestamp);
	int			order;

	if ((a->timestamp[0] == '-') != (b->timestamp[0] == '-'))
		return a->timestamp[0] == '-' ? -1 : 1; /* before Christ */
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	order = strcmp(a->timestamp, b->timestamp);
	return order != 0 ? order : strcmp(a->id, b->id);
}
