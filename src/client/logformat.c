/*-------------------------------------------------------------------------
 *
 * logformat.c
 *	  Logs as JSON, JSON lines, CSV and raw.
 *
 * JSON is passed on as the server wrote it.
 *
 *-------------------------------------------------------------------------
 */
#include "logentry.h"

#include <stdio.h>

#include "output.h"
#include "text.h"

static bool array_begun = false;

/* The format of that name. */
bool
parse_log_format(const char *name, LogFormat *format)
{
	static const char *const names[] = {"text", "raw", "json", "ndjson", "csv"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
		{
			*format = (LogFormat) i;
			return true;
		}
	return false;
}

/* A time as clocks here show it, or as UTC does. */
int64_t
local_time(int64_t time, bool utc)
{
	/* zones change at quarters of an hour, if at all */
	static const int64_t quarter = 900 * MICROSECONDS;
	static int64_t known = INT64_MIN;
	static int64_t offset;
	int64_t		now = time / quarter - (time % quarter < 0);

	if (utc)
		return time;
	if (now != known)
	{
		offset = utc_offset(time) * MICROSECONDS;
		known = now;
	}
	return time + offset;
}

static char *
put_two(char *at, int value)
{
	at[0] = '0' + value / 10 % 10;
	at[1] = '0' + value % 10;
	return at + 2;
}

/* Append a log's time as RFC 3339, with 3 or 6 digits of the second. */
void
show_time(Buffer *out, const LogEntry *log, bool utc, int digits)
{
	static int64_t known_day = INT64_MIN;
	static char day_text[24];
	const int64_t day_length = 86400 * MICROSECONDS;
	int64_t		shown;
	int64_t		day;
	int64_t		rest;
	int			seconds;
	int			fraction;
	int			zone;
	char	   *at;

	if (!log->has_time)
	{
		const JsonValue *raw = &log->field[LOG_TIMESTAMP];

		text_clean(out, raw->text ? raw->text : "", raw->len, 0);
		return;
	}
	shown = local_time(log->time, utc);
	day = shown / day_length - (shown % day_length < 0);
	rest = shown - day * day_length;
	if (day != known_day)
	{
		int64_t		year;
		int			month;
		int			mday;

		civil_from_days(day, &year, &month, &mday);
		snprintf(day_text, sizeof(day_text), "%04d-%02d-%02dT", (int) year % 10000, month, mday);
		known_day = day;
	}
	seconds = rest / MICROSECONDS;
	fraction = rest % MICROSECONDS;
	buffer_reserve(out, 40);
	at = out->data + out->len;
	memcpy(at, day_text, 11);
	at = put_two(at + 11, seconds / 3600);
	*at++ = ':';
	at = put_two(at, seconds / 60 % 60);
	*at++ = ':';
	at = put_two(at, seconds % 60);
	*at++ = '.';
	at = put_two(at, fraction / 10000);
	if (digits == 3)
		*at++ = '0' + fraction / 1000 % 10;
	else
	{
		at = put_two(at, fraction / 100);
		at = put_two(at, fraction);
	}
	zone = (shown - log->time) / MICROSECONDS / 60;
	if (zone == 0)
		*at++ = 'Z';
	else
	{
		*at++ = zone < 0 ? '-' : '+';
		zone = zone < 0 ? -zone : zone;
		at = put_two(at, zone / 60);
		*at++ = ':';
		at = put_two(at, zone % 60);
	}
	out->len = at - out->data;
}

/* One field of a CSV row, quoted where it must be. */
static void
csv_field(Buffer *out, const char *text, size_t len)
{
	bool		quote = false;

	for (size_t i = 0; i < len && !quote; i++)
		quote = text[i] == '"' || text[i] == ',' || text[i] == '\n' || text[i] == '\r';
	if (!quote)
	{
		buffer_append(out, text, len);
		return;
	}
	buffer_char(out, '"');
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '"')
			buffer_char(out, '"');
		buffer_char(out, text[i]);
	}
	buffer_char(out, '"');
}

static void
show_log_csv(const char *execution_id, const LogEntry *log)
{
	static Buffer value;
	Buffer	   *out = &output.pending;

	for (int i = 0; i < LOG_CSV_FIELDS; i++)
	{
		if (i > 0)
			buffer_char(out, ',');
		buffer_clear(&value);
		if (i == LOG_EXECUTION_ID && log->field[i].kind == JSON_MISSING)
			buffer_string(&value, execution_id);
		else if (log->field[i].kind != JSON_MISSING)
			json_decode(&value, &log->field[i]);
		csv_field(out, value.data ? value.data : "", value.len);
	}
	buffer_char(out, '\n');
}

/* The object as the server wrote it, with the execution's id if there are several. */
static void
append_object(Buffer *out, const LogStyle *style, const char *execution_id, const LogEntry *log)
{
	if (style->with_execution && log->field[LOG_EXECUTION_ID].kind == JSON_MISSING)
	{
		buffer_string(out, "{\"execution_id\":");
		json_quote(out, execution_id, strlen(execution_id));
		buffer_char(out, ',');
		buffer_append(out, log->whole.text + 1, log->whole.len - 1);
	}
	else
		buffer_append(out, log->whole.text, log->whole.len);
}

/* What comes in front of the first log. */
void
show_begin(const LogStyle *style)
{
	if (style->format == FORMAT_CSV)
	{
		for (int i = 0; i < LOG_CSV_FIELDS; i++)
		{
			if (i > 0)
				buffer_char(&output.pending, ',');
			buffer_string(&output.pending, log_field_name(i));
		}
		buffer_char(&output.pending, '\n');
	}
}

/* Show a log. */
void
show_log(const LogStyle *style, const char *execution_id, const LogEntry *log)
{
	Buffer	   *out = &output.pending;

	switch (style->format)
	{
		case FORMAT_TEXT:
			show_log_text(style, execution_id, log);
			break;
		case FORMAT_RAW:
			if (style->timestamps)
			{
				show_time(out, log, style->utc, 6);
				buffer_char(out, ' ');
			}
			json_decode(out, &log->field[LOG_MESSAGE]);
			buffer_char(out, '\n');
			break;
		case FORMAT_JSON:
			if (!style->json_lines)
			{
				buffer_string(out, array_begun ? ",\n" : "[\n");
				array_begun = true;
				append_object(out, style, execution_id, log);
				break;
			}
			/* fall through */
		case FORMAT_NDJSON:
			append_object(out, style, execution_id, log);
			buffer_char(out, '\n');
			break;
		case FORMAT_CSV:
			show_log_csv(execution_id, log);
			break;
	}
	output_advance();
}

/* What comes behind the last log. */
void
show_end(const LogStyle *style)
{
	if (style->format == FORMAT_JSON && !style->json_lines)
		buffer_string(&output.pending, array_begun ? "\n]\n" : "[]\n");
}
