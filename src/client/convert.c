/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Makes lines for append_lines() of lines and records of other programs.
 *
 * A line that is already as the server wants it is passed on as it is.  A
 * log without a time gets the present one, always later than the one before,
 * so that the order of the input stays.
 *
 *-------------------------------------------------------------------------
 */
#include "convert.h"

#include <stdlib.h>
#include <time.h>

#include "encode.h"
#include "structured.h"
#include "unescape.h"

#define COLUMN_BIT(number) (UINT32_C(1) << (number))
#define EXCERPT 64				/* bytes of a value in a message */

static bool
refuse(Converter *converter, const char *name, const char *problem)
{
	converter->problem.len = 0;
	buffer_printf(&converter->problem, "%s%s%s", name ? name : "", name ? ": " : "", problem);
	return false;
}

/* Refuse, quoting a value. */
static bool
refuse_value(Converter *converter, const char *name, const char *text, size_t len,
			 const char *problem)
{
	converter->problem.len = 0;
	buffer_printf(&converter->problem, "%s: \"%.*s%s\" %s", name,
				  (int) (len < EXCERPT ? len : EXCERPT), text, len > EXCERPT ? "..." : "", problem);
	return false;
}

/* The column that a name of the input stands for, or -1. */
static int
target_of(const Converter *converter, const char *name, size_t len)
{
	int			column;

	for (int i = 0; i < COLUMN_COUNT; i++)
		if (converter->map[i] && strlen(converter->map[i]) == len &&
			memcmp(converter->map[i], name, len) == 0)
			return i;
	column = column_named(name, len);
	if (column < 0)
		column = column_alias(name, len);
	/* a column that is mapped has no other name */
	return column >= 0 && converter->map[column] == NULL ? column : -1;
}

/* The same for the next name of a line, which is often the one of the line before. */
static const KnownName *
next_target(Converter *converter, const char *name, size_t len)
{
	static KnownName other;
	KnownName  *known = converter->place < KNOWN_NAMES ? &converter->known[converter->place++] : &other;

	if (known->len == len && len > 0 && memcmp(known->name, name, len) == 0)
		return known;
	known->target = target_of(converter, name, len);
	known->own = known->target >= 0 && column_named(name, len) == known->target;
	known->len = 0;
	if (len <= sizeof(known->name))
	{
		memcpy(known->name, name, len);
		known->len = len;
	}
	return known;
}

/* Begin a log: with what all have. */
static uint32_t
begin_log(Converter *converter)
{
	uint32_t	seen = 0;

	converter->place = 0;
	converter->fields.len = 0;
	converter->data.len = 0;
	for (int i = 0; i < COLUMN_COUNT; i++)
		if (converter->set[i])
		{
			seen |= COLUMN_BIT(i);
			if (i == COLUMN_DATA)
			{
				/* others join its members */
				size_t		len = strlen(converter->set[i]);

				if (!ndjson_is_blank(converter->set[i] + 1, len - 2))
				{
					buffer_append(&converter->data, converter->set[i] + 1, len - 2);
					buffer_char(&converter->data, ',');
				}
				continue;
			}
			buffer_printf(&converter->fields, ",\"%s\":%s", columns[i].name, converter->set[i]);
		}
	return seen;
}

/* Are the columns there that must be? */
static bool
is_complete(Converter *converter, uint32_t seen)
{
	if ((seen & COLUMN_BIT(COLUMN_EXECUTION_ID)) == 0)
		return refuse(converter, NULL, "execution_id is missing");
	if ((seen & COLUMN_BIT(COLUMN_MESSAGE)) == 0)
		return refuse(converter, NULL, "message is missing");
	return true;
}

/* Append the time of a log that has none. */
static void
append_time(Converter *converter, Buffer *out)
{
	struct timespec now;
	int64_t		time;

	clock_gettime(CLOCK_REALTIME, &now);
	time = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
	if (time <= converter->last_time)
		time = converter->last_time + 1;
	converter->last_time = time;
	buffer_string(out, ",\"created_at\":\"");
	encode_time(out, time);
	buffer_char(out, '"');
}

/* Write the log that has been gathered. */
static void
end_log(Converter *converter, uint32_t seen, Buffer *out)
{
	size_t		first;

	if ((seen & COLUMN_BIT(COLUMN_CREATED_AT)) == 0)
		append_time(converter, &converter->fields);
	if (converter->data.len > 0)
	{
		buffer_string(&converter->fields, ",\"data\":{");
		buffer_append(&converter->fields, converter->data.data, converter->data.len - 1);
		buffer_char(&converter->fields, '}');
	}
	first = out->len;
	buffer_append(out, converter->fields.data, converter->fields.len);
	out->data[first] = '{';		/* in place of the first comma */
	buffer_string(out, "}\n");
}

/* Take what is no column.  False if that is an error. */
static bool
take_rest(Converter *converter, const char *key, size_t key_len, const char *value, size_t value_len)
{
	if (converter->rest == REST_ERROR)
		return refuse_value(converter, "unknown field", key, key_len, "is no field of a log");
	if (converter->rest == REST_DATA)
	{
		encode_json(&converter->data, key, key_len);
		buffer_char(&converter->data, ':');
		buffer_append(&converter->data, value, value_len);
		buffer_char(&converter->data, ',');
	}
	return true;
}

/* Can a member stay as it is, if all the others can? */
static bool
fits_as_is(Converter *converter, const NdjsonValue *key, const NdjsonValue *value, uint32_t *seen)
{
	const KnownName *known = next_target(converter, key->text, key->len);
	const Column *column = &columns[known->own ? known->target : 0];
	const char *level;

	if (!known->own || (*seen & COLUMN_BIT(known->target)) != 0)
		return false;
	if (value->kind == NDJSON_NULL)
		return true;
	*seen |= COLUMN_BIT(known->target);
	if (column_problem(column, value) != NULL)
		return false;
	if (column->type != COLUMN_LEVEL)
		return true;
	level = structured_level(value);
	return level != NULL && strlen(level) == value->len && memcmp(level, value->text, value->len) == 0;
}

/* Take a member of the line's object; *as_is stays true if it can stay as it is. */
static bool
take_member(Converter *converter, const NdjsonValue *key, const NdjsonValue *value,
			const RawPair *raw, uint32_t *seen, bool *as_is)
{
	const KnownName *known = next_target(converter, key->text, key->len);
	int			target = known->target;
	const Column *column = &columns[target < 0 ? 0 : target];
	const char *problem;

	if (target < 0 || (*seen & COLUMN_BIT(target)) != 0)
	{
		*as_is = false;
		if (target >= 0 && converter->set[target])
			return true;		/* what is set holds */
		return take_rest(converter, key->text, key->len, raw->value, raw->value_len);
	}
	if (value->kind == NDJSON_NULL)
		return true;
	if (!known->own)
		*as_is = false;
	*seen |= COLUMN_BIT(target);
	if (target == COLUMN_DATA && value->kind == NDJSON_OBJECT)
	{
		if (!ndjson_is_blank(raw->value + 1, raw->value_len - 2))
		{
			buffer_append(&converter->data, raw->value + 1, raw->value_len - 2);
			buffer_char(&converter->data, ',');
		}
		return true;
	}

	converter->value.len = 0;
	problem = column_problem(column, value);
	if (column->type == COLUMN_LEVEL || problem)
	{
		if (column_translate(column, value, &converter->value))
		{
			*as_is = *as_is && converter->value.len == raw->value_len &&
				memcmp(converter->value.data, raw->value, raw->value_len) == 0;
			problem = NULL;
		}
		else if (problem)
			return refuse_value(converter, column->name,
								value->kind == NDJSON_STRING ? value->text : raw->value,
								value->kind == NDJSON_STRING ? value->len : raw->value_len, problem);
	}
	buffer_string(&converter->fields, ",\"");
	buffer_string(&converter->fields, column->name);
	buffer_string(&converter->fields, "\":");
	if (converter->value.len > 0)
		buffer_append(&converter->fields, converter->value.data, converter->value.len);
	else
		buffer_append(&converter->fields, raw->value, raw->value_len);
	return true;
}

/* Append a line as it is, or with a time if it has none. */
static void
append_as_is(Converter *converter, const char *line, size_t len, uint32_t seen, Buffer *out)
{
	if ((seen & COLUMN_BIT(COLUMN_CREATED_AT)) != 0)
		buffer_append(out, line, len);
	else
	{
		while (line[len - 1] != '}')
			len--;
		buffer_append(out, line, len - 1);
		append_time(converter, out);
		buffer_char(out, '}');
	}
	buffer_char(out, '\n');
}

/* If a line can stay as it is, append it; else nothing, not even why. */
static bool
convert_as_is(Converter *converter, const char *line, size_t len, Buffer *out)
{
	NdjsonReader *reader = &converter->reader;
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result = NDJSON_ERROR;
	uint32_t	seen = 0;

	converter->place = 0;
	if (ndjson_open(reader, line, len))
		while ((result = ndjson_next(reader, &key, &value)) == NDJSON_PAIR)
			if (!fits_as_is(converter, &key, &value, &seen))
				return false;
	if (result != NDJSON_END || !is_complete(converter, seen))
		return false;
	append_as_is(converter, line, len, seen, out);
	return true;
}

/*
 * Append the log that a line of JSON tells of, with a line feed.  False, with
 * the reason in "problem", if it tells of none.
 */
bool
convert_line(Converter *converter, const char *line, size_t len, Buffer *out)
{
	NdjsonReader *reader = &converter->reader;
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result = NDJSON_ERROR;
	uint32_t	seen = begin_log(converter);
	bool		as_is = seen == 0;

	if (converter->exported)
	{
		undo_escapes(line, len, &converter->unescaped);
		line = converter->unescaped.data ? converter->unescaped.data : "";
		len = converter->unescaped.len;
	}
	/* that is fast; where the last line was no such, this one will not be */
	if (as_is && !converter->as_is_failed)
	{
		if (convert_as_is(converter, line, len, out))
			return true;
		(void) begin_log(converter);
	}
	if (ndjson_open(reader, line, len))
	{
		for (;;)
		{
			const char *from = (const char *) reader->at;
			RawPair		raw;

			result = ndjson_next(reader, &key, &value);
			if (result != NDJSON_PAIR)
				break;
			raw_pair(from, (const char *) reader->at, &raw);
			if (!take_member(converter, &key, &value, &raw, &seen, &as_is))
				return false;
		}
	}
	if (result != NDJSON_END)
	{
		converter->problem.len = 0;
		buffer_printf(&converter->problem, "%s, at byte %zu", reader->error,
					  (size_t) (reader->at - reader->line) + 1);
		return false;
	}
	if (!is_complete(converter, seen))
		return false;
	converter->as_is_failed = !as_is;
	if (as_is)
		append_as_is(converter, line, len, seen, out);
	else
		end_log(converter, seen, out);
	return true;
}

/* ---- CSV ---- */

/* Take the names of the fields; false if two of them mean one column. */
bool
convert_header(Converter *converter, const CsvRecord *record)
{
	uint32_t	seen = 0;

	converter->names = xrealloc(converter->names, (record->count + 1) * sizeof(char *));
	converter->targets = xrealloc(converter->targets, (record->count + 1) * sizeof(int));
	for (int i = 0; i < record->count; i++)
	{
		Buffer		name = {0};
		const char *text = record->text.data + record->fields[i].at;
		size_t		len = record->fields[i].len;
		int			target;

		if (i == 0 && len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		{
			text += 3;			/* a byte order mark */
			len -= 3;
		}
		buffer_append(&name, text, len);
		target = target_of(converter, name.data, name.len);
		converter->names[i] = xstrdup(buffer_text(&name));
		converter->targets[i] = target;
		converter->name_count = i + 1;
		buffer_free(&name);
		if (target < 0 && converter->rest == REST_ERROR)
			return refuse_value(converter, "header", converter->names[i], len, "is no field of a log");
		if (target >= 0 && (seen & COLUMN_BIT(target)) != 0)
			return refuse_value(converter, "header", converter->names[i], len,
								"is a second name of one field");
		if (target >= 0)
			seen |= COLUMN_BIT(target);
	}
	return true;
}

/* Append a field of the record to the line of JSON that is made of it. */
static bool
take_field(Converter *converter, int i, const char *text, size_t len)
{
	int			target = converter->targets[i];

	buffer_char(&converter->line, converter->line.len == 0 ? '{' : ',');
	if (target < 0)
	{
		encode_json(&converter->line, converter->names[i], strlen(converter->names[i]));
		buffer_char(&converter->line, ':');
		encode_json(&converter->line, text, len);
		return true;
	}
	/* by the name under which the line's members are looked up */
	encode_json(&converter->line, converter->names[i], strlen(converter->names[i]));
	buffer_char(&converter->line, ':');
	if (!column_from_text(&columns[target], text, len, &converter->line))
		return refuse_value(converter, columns[target].name, text, len, "cannot be read");
	return true;
}

/*
 * Append the log that a record of CSV tells of.  An empty field without
 * quotes is null, as for COPY.
 */
bool
convert_record(Converter *converter, const CsvRecord *record, Buffer *out)
{
	if (record->error)
		return refuse(converter, NULL, record->error);
	if (record->count != converter->name_count)
	{
		converter->problem.len = 0;
		buffer_printf(&converter->problem, "there are %d fields, not %d", record->count,
					  converter->name_count);
		return false;
	}
	converter->line.len = 0;
	for (int i = 0; i < record->count; i++)
	{
		const CsvField *field = &record->fields[i];

		if (field->len == 0 && !field->quoted)
			continue;
		if (!take_field(converter, i, record->text.data + field->at, field->len))
			return false;
	}
	buffer_string(&converter->line, converter->line.len == 0 ? "{}" : "}");
	return convert_line(converter, converter->line.data, converter->line.len, out);
}

void
convert_free(Converter *converter)
{
	free(converter->reader.key.data);
	free(converter->reader.value.data);
	free(converter->reader.string.data);
	for (int i = 0; i < COLUMN_COUNT; i++)
		free(converter->set[i]);
	for (int i = 0; i < converter->name_count; i++)
		free(converter->names[i]);
	free(converter->names);
	free(converter->targets);
	buffer_free(&converter->fields);
	buffer_free(&converter->data);
	buffer_free(&converter->value);
	buffer_free(&converter->line);
	buffer_free(&converter->unescaped);
	buffer_free(&converter->problem);
}
