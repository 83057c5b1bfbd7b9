/*-------------------------------------------------------------------------
 *
 * structured.c
 *	  Lines that are JSON objects with a level and a message.
 *
 * Loggers of all languages can write one object a line.  Level, message and
 * those fields of a log that a program can know of itself are taken from it;
 * everything else is kept in "data" under its own name, and so is a field
 * whose value the server would refuse: a line of a child process must never
 * make a batch fail.  A line that is no such object, or one that would grow
 * beyond the limit on entries once it is stored, is a line of text.
 *
 * Values are copied as they are written, not decoded: the server decodes, and
 * keeps what text cannot hold as escapes.
 *
 *-------------------------------------------------------------------------
 */
#include "structured.h"

#include <stdlib.h>
#include <strings.h>

#include "encode.h"

#define MOST_STORED 9216		/* bytes; beyond, an entry might be cut */
#define STORED_TOKEN 16			/* bytes that a value takes beyond its text, at most */
#define MOST_DIGITS 300			/* of a number, so that the server can hold it */
#define MOST_EXPONENT_DIGITS 3

typedef enum FieldKind
{
	KIND_MESSAGE,
	KIND_LEVEL,
	KIND_DATA,
	KIND_STRING,
	KIND_BOOLEAN,
	KIND_OBJECT,
	KIND_CATEGORY,
	KIND_EVENT,
	KIND_PRIORITY,
	KIND_PERCENTAGE,
	KIND_SECONDS
} FieldKind;

/* What loggers call things, and the column it goes into. */
static const struct
{
	const char *key;
	const char *column;
	FieldKind	kind;
}			known[] = {
	{"message", "message", KIND_MESSAGE},
	{"msg", "message", KIND_MESSAGE},
	{"level", "level", KIND_LEVEL},
	{"severity", "level", KIND_LEVEL},
	{"levelname", "level", KIND_LEVEL},
	{"lvl", "level", KIND_LEVEL},
	{"data", "data", KIND_DATA},
	{"user_friendly_message", "user_friendly_message", KIND_STRING},
	{"stack_trace", "stack_trace", KIND_STRING},
	{"stack", "stack_trace", KIND_STRING},
	{"trace_id", "trace_id", KIND_STRING},
	{"span_id", "span_id", KIND_STRING},
	{"is_milestone", "is_milestone", KIND_BOOLEAN},
	{"technical_details", "technical_details", KIND_OBJECT},
	{"performance_metrics", "performance_metrics", KIND_OBJECT},
	{"log_category", "log_category", KIND_CATEGORY},
	{"event_type", "event_type", KIND_EVENT},
	{"display_priority", "display_priority", KIND_PRIORITY},
	{"progress_percentage", "progress_percentage", KIND_PERCENTAGE},
	{"duration_seconds", "duration_seconds", KIND_SECONDS},
};

#define KNOWN_COUNT (int) (sizeof(known) / sizeof(known[0]))

static bool
is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* The level that a logger's word for it stands for, or NULL. */
const char *
level_of_word(const char *text, size_t len)
{
	static const struct
	{
		const char *word;
		const char *level;
	}			words[] = {
		{"debug", "DEBUG"}, {"trace", "DEBUG"}, {"verbose", "DEBUG"}, {"info", "INFO"},
		{"information", "INFO"}, {"notice", "INFO"}, {"warning", "WARNING"}, {"warn", "WARNING"},
		{"error", "ERROR"}, {"err", "ERROR"}, {"critical", "CRITICAL"}, {"crit", "CRITICAL"},
		{"fatal", "CRITICAL"}, {"alert", "CRITICAL"}, {"emergency", "CRITICAL"},
		{"emerg", "CRITICAL"}, {"panic", "CRITICAL"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_word(text, len, words[i].word))
			return words[i].level;
	return NULL;
}

/* The level that a number of pino's or bunyan's stands for, or NULL. */
static const char *
level_of_number(long number)
{
	switch (number)
	{
		case 10:
		case 20:
			return "DEBUG";
		case 30:
			return "INFO";
		case 40:
			return "WARNING";
		case 50:
			return "ERROR";
		case 60:
			return "CRITICAL";
		default:
			return NULL;
	}
}

/* Would the server store it whole, and can it hold the numbers? */
static bool
is_modest(const char *line, size_t len)
{
	size_t		tokens = 0;
	size_t		digits = 0;
	bool		exponent = false;
	bool		in_string = false;

	for (size_t i = 0; i < len; i++)
	{
		char		c = line[i];

		if (in_string)
		{
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c >= '0' && c <= '9')
		{
			if (++digits > (exponent ? MOST_EXPONENT_DIGITS : MOST_DIGITS))
				return false;
			continue;
		}
		if ((c == 'e' || c == 'E') && digits > 0)
		{
			exponent = true;
			digits = 0;
			continue;
		}
		if (c == '+' || c == '-' || c == '.')
			continue;
		exponent = false;
		digits = 0;
		if (c == '"')
			in_string = true;
		else if (strchr(",:[]{}", c) && c != '\0')
			tokens++;
	}
	return stored_prefix(line, len, MOST_STORED) == len && len + tokens * STORED_TOKEN <= MOST_STORED;
}

/*
 * Where key and value of a pair stand in the line, as they are written there:
 * the pair between "from" and "end", which ndjson_next() has read.
 */
void
raw_pair(const char *from, const char *end, RawPair *pair)
{
	while (from < end && *from != '"')
		from++;
	pair->key = from;
	for (from++; from < end && *from != '"'; from++)
		if (*from == '\\')
			from++;
	from++;
	pair->key_len = from - pair->key;
	while (from < end && *from != ':')
		from++;
	for (from++; from < end && (*from == ' ' || *from == '\t' || *from == '\r' || *from == '\n');)
		from++;
	pair->value = from;
	pair->value_len = end - from;
}

/* A whole number within bounds? */
static bool
is_integer(const NdjsonValue *value, long min, long max)
{
	char		text[16];
	char	   *end;
	long		number;

	if (value->kind != NDJSON_NUMBER || value->len >= sizeof(text))
		return false;
	memcpy(text, value->text, value->len);
	text[value->len] = '\0';
	number = strtol(text, &end, 10);
	return *end == '\0' && number >= min && number <= max;
}

static bool
is_percentage(const NdjsonValue *value)
{
	char		text[32];
	double		number;

	if (value->kind != NDJSON_NUMBER || value->len >= sizeof(text))
		return false;
	memcpy(text, value->text, value->len);
	text[value->len] = '\0';
	number = strtod(text, NULL);
	return number >= 0 && number <= 100;
}

/* The level a value stands for, or NULL. */
const char *
structured_level(const NdjsonValue *value)
{
	if (value->kind == NDJSON_STRING)
		return level_of_word(value->text, value->len);
	if (is_integer(value, 0, 100))
	{
		char		text[16] = {0};

		memcpy(text, value->text, value->len);
		return level_of_number(strtol(text, NULL, 10));
	}
	return NULL;
}

/* Would the server take the value for that field? */
static bool
is_acceptable(FieldKind kind, const NdjsonValue *value)
{
	bool		string = value->kind == NDJSON_STRING;

	switch (kind)
	{
		case KIND_MESSAGE:
		case KIND_STRING:
			return string;
		case KIND_LEVEL:
			return structured_level(value) != NULL;
		case KIND_DATA:
		case KIND_OBJECT:
			return value->kind == NDJSON_OBJECT;
		case KIND_BOOLEAN:
			return value->kind == NDJSON_TRUE || value->kind == NDJSON_FALSE;
		case KIND_CATEGORY:
			return string && (is_word(value->text, value->len, "technical") ||
							  is_word(value->text, value->len, "business"));
		case KIND_EVENT:
			/* what a step is and how it ended is for the wrapper to say */
			return string && (is_word(value->text, value->len, "log") ||
							  is_word(value->text, value->len, "separator") ||
							  is_word(value->text, value->len, "workflow_progress") ||
							  is_word(value->text, value->len, "step_output"));
		case KIND_PRIORITY:
			return is_integer(value, 1, 10);
		case KIND_PERCENTAGE:
			return is_percentage(value);
		case KIND_SECONDS:
			return is_integer(value, 0, INT32_MAX);
	}
	return false;
}

/* A bit for the column, the same for all keys that mean it. */
static uint32_t
column_bit(const char *column)
{
	int			i = 0;

	while (strcmp(known[i].column, column) != 0)
		i++;
	return UINT32_C(1) << i;
}

/* Append a word's string in lower case. */
static void
append_lower(Buffer *out, const NdjsonValue *word)
{
	buffer_char(out, '"');
	for (size_t i = 0; i < word->len; i++)
	{
		char		c = word->text[i];

		buffer_char(out, c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	buffer_char(out, '"');
}

/* Append a pair to the fields, if it is one of those; false if it is not. */
static bool
take_field(const NdjsonValue *key, const NdjsonValue *value, const RawPair *pair, uint32_t *seen,
		   Buffer *fields, Buffer *data)
{
	FieldKind	kind;
	uint32_t	bit;
	int			i = 0;

	while (i < KNOWN_COUNT &&
		   (strlen(known[i].key) != key->len || memcmp(known[i].key, key->text, key->len) != 0))
		i++;
	if (i == KNOWN_COUNT)
		return false;
	kind = known[i].kind;
	bit = column_bit(known[i].column);
	if ((*seen & bit) != 0 || !is_acceptable(kind, value))
		return false;
	*seen |= bit;

	if (kind == KIND_DATA)
	{
		/* its members become members of ours */
		if (!ndjson_is_blank(pair->value + 1, pair->value_len - 2))
		{
			buffer_append(data, pair->value + 1, pair->value_len - 2);
			buffer_char(data, ',');
		}
		return true;
	}
	buffer_printf(fields, ",\"%s\":", known[i].column);
	if (kind == KIND_LEVEL)
		buffer_printf(fields, "\"%s\"", structured_level(value));
	else if (kind == KIND_CATEGORY || kind == KIND_EVENT)
		append_lower(fields, value);
	else
		buffer_append(fields, pair->value, pair->value_len);
	return true;
}

/*
 * Append to "fields" the members of a log, each with a comma in front, if the
 * line is a structured one.  "data" tells the stream, too.
 */
bool
structured_parse(const char *line, size_t len, const char *stream, const char *default_level,
				 Buffer *fields)
{
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result = NDJSON_ERROR;
	uint32_t	seen = 0;
	size_t		before = fields->len;
	size_t		blank = 0;
	Buffer		data = {0};

	while (blank < len && (line[blank] == ' ' || line[blank] == '\t'))
		blank++;
	if (blank == len || line[blank] != '{' || !is_modest(line, len))
		return false;
	if (ndjson_open(&reader, line, len))
	{
		for (;;)
		{
			const char *from = (const char *) reader.at;
			RawPair		pair;

			result = ndjson_next(&reader, &key, &value);
			if (result != NDJSON_PAIR)
				break;
			raw_pair(from, (const char *) reader.at, &pair);
			if (take_field(&key, &value, &pair, &seen, fields, &data))
				continue;
			if (key.len == 6 && memcmp(key.text, "stream", 6) == 0)
				buffer_string(&data, "\"stream_\"");	/* ours has that name */
			else
				buffer_append(&data, pair.key, pair.key_len);
			buffer_char(&data, ':');
			buffer_append(&data, pair.value, pair.value_len);
			buffer_char(&data, ',');
		}
	}
	free(reader.key.data);
	free(reader.value.data);
	free(reader.string.data);

	if (result != NDJSON_END || (seen & column_bit("message")) == 0)
	{
		fields->len = before;
		buffer_free(&data);
		return false;
	}
	if ((seen & column_bit("level")) == 0)
		buffer_printf(fields, ",\"level\":\"%s\"", default_level);
	if ((seen & column_bit("event_type")) == 0)
		buffer_string(fields, ",\"event_type\":\"step_output\"");
	buffer_string(fields, ",\"data\":{");
	buffer_append(fields, data.data, data.len);
	buffer_printf(fields, "\"stream\":\"%s\"}", stream);
	buffer_free(&data);
	return true;
}
