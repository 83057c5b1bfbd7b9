/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  The columns of a log, and what other programs call them.
 *
 * What can be seen to be refused by the server is found here, line by line;
 * the server refuses a whole batch for one line, and each try costs time.
 * Whatever else it refuses is found when it does.
 *
 *-------------------------------------------------------------------------
 */
#include "columns.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "encode.h"
#include "structured.h"

const Column columns[COLUMN_COUNT] = {
	{"id", COLUMN_UUID},
	{"execution_id", COLUMN_TEXT, 0, 255},
	{"log_category", COLUMN_CATEGORY},
	{"event_type", COLUMN_EVENT},
	{"level", COLUMN_LEVEL},
	{"message", COLUMN_TEXT},
	{"data", COLUMN_OBJECT},
	{"node_id", COLUMN_TEXT, 0, 255},
	{"node_name", COLUMN_TEXT, 0, 255},
	{"node_type", COLUMN_TEXT, 0, 100},
	{"step_number", COLUMN_INTEGER, 0, INT32_MAX},
	{"total_steps", COLUMN_INTEGER, 0, INT32_MAX},
	{"progress_percentage", COLUMN_PERCENTAGE},
	{"duration_seconds", COLUMN_INTEGER, 0, INT32_MAX},
	{"user_friendly_message", COLUMN_TEXT},
	{"display_priority", COLUMN_INTEGER, 1, 10},
	{"is_milestone", COLUMN_BOOLEAN},
	{"technical_details", COLUMN_OBJECT},
	{"stack_trace", COLUMN_TEXT},
	{"performance_metrics", COLUMN_OBJECT},
	{"created_at", COLUMN_TIME},
	{"source", COLUMN_TEXT},
	{"attempt", COLUMN_INTEGER, 1, INT32_MAX},
	{"trace_id", COLUMN_TEXT},
	{"span_id", COLUMN_TEXT},
};

/* What else means a column, where it is not told otherwise. */
static const struct
{
	const char *name;
	const char *column;
}			aliases[] = {
	{"msg", "message"}, {"severity", "level"}, {"lvl", "level"}, {"levelname", "level"},
	{"timestamp", "created_at"}, {"time", "created_at"}, {"ts", "created_at"},
	{"@timestamp", "created_at"}, {"task_id", "node_id"},
};

static bool
is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* The number of the column of that name, or -1. */
int
column_named(const char *name, size_t len)
{
	for (int i = 0; i < COLUMN_COUNT; i++)
		if (strlen(columns[i].name) == len && memcmp(columns[i].name, name, len) == 0)
			return i;
	return -1;
}

/* The number of the column that is often called that, or -1. */
int
column_alias(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (is_word(name, len, aliases[i].name))
			return column_named(aliases[i].column, strlen(aliases[i].column));
	return -1;
}

static bool
is_event(const char *text, size_t len)
{
	static const char *const events[] = {
		"workflow_started", "workflow_completed", "workflow_progress", "step_started",
		"step_input", "step_output", "step_completed", "step_error", "separator", "log",
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (strlen(events[i]) == len && memcmp(events[i], text, len) == 0)
			return true;
	return false;
}

static size_t
count_characters(const char *text, size_t len)
{
	size_t		count = 0;

	for (size_t i = 0; i < len; i++)
		count += (text[i] & 0xC0) != 0x80;
	return count;
}

/* Why the server would refuse the value for that column, or NULL. */
const char *
column_problem(const Column *column, const NdjsonValue *value)
{
	char		number[32] = {0};
	char	   *end;
	long		integer;

	if (value->kind == NDJSON_NULL)
		return NULL;
	switch (column->type)
	{
		case COLUMN_OBJECT:
			return value->kind == NDJSON_OBJECT ? NULL : "must be an object";
		case COLUMN_BOOLEAN:
			return value->kind == NDJSON_TRUE || value->kind == NDJSON_FALSE ? NULL : "must be true or false";
		case COLUMN_INTEGER:
		case COLUMN_PERCENTAGE:
			if (value->kind != NDJSON_NUMBER)
				return "must be a number";
			if (value->len >= sizeof(number))
				return NULL;	/* odd enough to leave it to the server */
			memcpy(number, value->text, value->len);
			if (column->type == COLUMN_PERCENTAGE)
			{
				double		percentage = strtod(number, NULL);

				return percentage >= 0 && percentage <= 100 ? NULL : "must be between 0 and 100";
			}
			integer = strtol(number, &end, 10);
			if (*end != '\0')
				return NULL;	/* 1e3, 5.0: likewise */
			return integer >= column->min && integer <= column->max ? NULL : "is out of range";
		default:
			break;
	}
	if (value->kind != NDJSON_STRING)
		return "must be a string";
	switch (column->type)
	{
		case COLUMN_CATEGORY:
			return (value->len == 9 && memcmp(value->text, "technical", 9) == 0) ||
				(value->len == 8 && memcmp(value->text, "business", 8) == 0) ? NULL :
				"must be technical or business";
		case COLUMN_EVENT:
			return is_event(value->text, value->len) ? NULL : "is not an event type";
		case COLUMN_LEVEL:
			return level_of_word(value->text, value->len) ? NULL : "is not a log level";
		case COLUMN_TEXT:
			if (column->max && count_characters(value->text, value->len) > (size_t) column->max)
				return "is too long";
			return NULL;
		default:
			return NULL;
	}
}

/* Append a time that is given as a number: seconds, or milli- or microseconds. */
static bool
append_epoch(const char *text, size_t len, Buffer *json)
{
	char		number[40] = {0};
	char	   *end;
	double		value;

	if (len == 0 || len >= sizeof(number))
		return false;
	memcpy(number, text, len);
	value = strtod(number, &end);
	if (*end != '\0' || !(value > 0 && value < 9e15))
		return false;
	/* seconds reach 5138, milliseconds begin in 1973 */
	if (value < 1e11)
		value *= 1000000;
	else if (value < 1e14)
		value *= 1000;
	buffer_char(json, '"');
	encode_time(json, (int64_t) (value + 0.5));
	buffer_char(json, '"');
	return true;
}

/*
 * Append a value that means something, but not as the server reads it: other
 * words and numbers for levels, times as numbers.  False if it is none.
 */
bool
column_translate(const Column *column, const NdjsonValue *value, Buffer *json)
{
	const char *level;

	if (column->type == COLUMN_LEVEL && (level = structured_level(value)) != NULL)
	{
		buffer_printf(json, "\"%s\"", level);
		return true;
	}
	if (column->type == COLUMN_TIME && value->kind == NDJSON_NUMBER)
		return append_epoch(value->text, value->len, json);
	return false;
}

static void
free_reader(NdjsonReader *reader)
{
	free(reader->key.data);
	free(reader->value.data);
	free(reader->string.data);
}

/* Is it an object as the server reads it, and nothing else? */
bool
is_json_object(const char *text, size_t len)
{
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result = NDJSON_ERROR;

	if (ndjson_open(&reader, text, len))
		while ((result = ndjson_next(&reader, &key, &value)) == NDJSON_PAIR)
			continue;
	free_reader(&reader);
	return result == NDJSON_END;
}

/* Is it a number as JSON has them? */
static bool
is_json_number(const char *text, size_t len)
{
	Buffer		line = {0};
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue value;
	bool		good;

	buffer_printf(&line, "{\"n\":%.*s}", (int) len, text);
	good = ndjson_open(&reader, line.data, line.len) &&
		ndjson_next(&reader, &key, &value) == NDJSON_PAIR && value.kind == NDJSON_NUMBER &&
		ndjson_next(&reader, &key, &value) == NDJSON_END;
	free_reader(&reader);
	buffer_free(&line);
	return good;
}

/* Append the JSON of a text that stands for a value, as in CSV; false if it is none. */
bool
column_from_text(const Column *column, const char *text, size_t len, Buffer *json)
{
	static const char *const truths[] = {"true", "t", "yes", "y", "on", "1"};
	static const char *const lies[] = {"false", "f", "no", "n", "off", "0"};
	const char *level;

	switch (column->type)
	{
		case COLUMN_INTEGER:
		case COLUMN_PERCENTAGE:
			if (!is_json_number(text, len))
				return false;
			buffer_append(json, text, len);
			return true;
		case COLUMN_BOOLEAN:
			for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++)
			{
				if (is_word(text, len, truths[i]))
				{
					buffer_string(json, "true");
					return true;
				}
				if (is_word(text, len, lies[i]))
				{
					buffer_string(json, "false");
					return true;
				}
			}
			return false;
		case COLUMN_OBJECT:
			if (!is_json_object(text, len))
				return false;
			for (size_t i = 0; i < len; i++)
				buffer_char(json, text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
			return true;
		case COLUMN_LEVEL:
			level = level_of_word(text, len);
			if (level == NULL && is_json_number(text, len))
				level = structured_level(&(NdjsonValue) {.kind = NDJSON_NUMBER,.text = text,.len = len});
			if (level == NULL)
				break;
			buffer_printf(json, "\"%s\"", level);
			return true;
		case COLUMN_TIME:
			if (append_epoch(text, len, json))
				return true;
			break;
		default:
			break;
	}
	encode_json(json, text, len);
	return true;
}
