/*-------------------------------------------------------------------------
 *
 * export_row.c
 *	  A log as a line of JSON or CSV, under the names of the table's columns.
 *
 * So that what is written can be read by "wflog ingest", by COPY into a table
 * of the same columns, and by whatever reads CSV with a header.  In JSON,
 * fields that are null are left out; in CSV they are empty, and empty texts
 * are "".
 *
 *-------------------------------------------------------------------------
 */
#include "export_row.h"

#include "columns.h"

/* Where LogEntry has the columns, in their order; -1: not there. */
static const int fields[COLUMN_COUNT] = {
	LOG_ID, LOG_EXECUTION_ID, LOG_LOG_CATEGORY, LOG_EVENT_TYPE, LOG_LEVEL, LOG_TECHNICAL_MESSAGE,
	LOG_DATA, LOG_NODE_ID, LOG_NODE_NAME, LOG_NODE_TYPE, LOG_STEP_NUMBER, LOG_TOTAL_STEPS,
	LOG_PROGRESS_PERCENTAGE, LOG_DURATION_SECONDS, LOG_USER_FRIENDLY_MESSAGE, LOG_DISPLAY_PRIORITY,
	LOG_IS_MILESTONE, LOG_TECHNICAL_DETAILS, LOG_STACK_TRACE, LOG_PERFORMANCE_METRICS,
	LOG_TIMESTAMP, LOG_SOURCE, LOG_ATTEMPT, LOG_TRACE_ID, LOG_SPAN_ID,
};

/* Append the header of CSV. */
void
export_append_header(Buffer *out)
{
	for (int i = 0; i < COLUMN_COUNT; i++)
	{
		if (i > 0)
			buffer_char(out, ',');
		buffer_string(out, columns[i].name);
	}
	buffer_char(out, '\n');
}

/* Levels are lower case in JSON, upper case in the table. */
static void
append_upper(Buffer *out, const JsonValue *value)
{
	for (size_t i = 0; i < value->len; i++)
		buffer_char(out, value->text[i] >= 'a' && value->text[i] <= 'z' ?
					value->text[i] - ('a' - 'A') : value->text[i]);
}

static void
append_json(Buffer *out, const char *name, const JsonValue *value, bool upper)
{
	buffer_printf(out, "\"%s\":", name);
	if (value->kind == JSON_STRING)
		buffer_char(out, '"');
	if (upper)
		append_upper(out, value);
	else
		buffer_append(out, value->text, value->len);
	if (value->kind == JSON_STRING)
		buffer_char(out, '"');
}

/* Append a field of CSV. */
static void
append_csv(Buffer *out, const JsonValue *value, bool upper)
{
	static Buffer text;
	bool		quoted;

	buffer_clear(&text);
	if (upper)
		append_upper(&text, value);
	else if (value->kind == JSON_STRING)
		json_decode(&text, value);
	else
		buffer_append(&text, value->text, value->len);
	quoted = text.len == 0;
	for (size_t i = 0; i < text.len && !quoted; i++)
		quoted = strchr("\",\r\n", text.data[i]) != NULL;
	/* COPY takes this alone on a line for the end */
	quoted = quoted || (text.len == 2 && memcmp(text.data, "\\.", 2) == 0);
	if (!quoted)
	{
		buffer_append(out, text.data, text.len);
		return;
	}
	buffer_char(out, '"');
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] == '"')
			buffer_char(out, '"');
		buffer_char(out, text.data[i]);
	}
	buffer_char(out, '"');
}

/* Append a log as a line. */
void
export_append_row(Buffer *out, bool csv, const char *execution, const LogEntry *log)
{
	bool		first = true;

	if (!csv)
		buffer_char(out, '{');
	for (int i = 0; i < COLUMN_COUNT; i++)
	{
		const JsonValue *value = &log->field[fields[i]];
		bool		there = value->kind != JSON_MISSING && value->kind != JSON_NULL;

		if (csv && i > 0)
			buffer_char(out, ',');
		if (i == COLUMN_EXECUTION_ID)
		{
			static Buffer quoted;
			JsonValue	id = {JSON_STRING};

			buffer_clear(&quoted);
			json_quote(&quoted, execution, strlen(execution));
			id.text = quoted.data + 1;
			id.len = quoted.len - 2;
			if (csv)
				append_csv(out, &id, false);
			else
			{
				buffer_string(out, first ? "" : ",");
				append_json(out, columns[i].name, &id, false);
			}
			first = false;
			continue;
		}
		if (!there)
			continue;
		if (csv)
			append_csv(out, value, columns[i].type == COLUMN_LEVEL);
		else
		{
			buffer_string(out, first ? "" : ",");
			append_json(out, columns[i].name, value, columns[i].type == COLUMN_LEVEL);
		}
		first = false;
	}
	buffer_string(out, csv ? "\n" : "}\n");
}
