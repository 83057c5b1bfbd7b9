/*-------------------------------------------------------------------------
 *
 * logtext.c
 *	  Logs for people: a line each, or as many as the window makes of it.
 *
 * On a terminal
 *
 *		06:05:04.117 INFO  extract  connecting to db1:5432
 *		06:05:05.020 ERROR load#2   disk full
 *
 * with the level in colour, a mark at milestones, a line where the date
 * changes, and what does not fit into the window indented below the message.
 * A narrow window gets shorter columns.  Anywhere else
 *
 *		2026-11-22T06:05:04.117145Z INFO     [extract] connecting to db1:5432
 *
 * always with the same columns, so that grep and awk can rely on them; lines
 * of a message behind the first begin with four blanks and so cannot be taken
 * for a log.
 *
 *-------------------------------------------------------------------------
 */
#include "logentry.h"

#include <stdio.h>
#include <time.h>

#include "style.h"
#include "text.h"

#define NARROW 60				/* columns below which everything gets shorter */
#define LEAST_MESSAGE 10		/* columns that a message gets at least */

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define Max(x, y) ((x) > (y) ? (x) : (y))
#define Min(x, y) ((x) < (y) ? (x) : (y))

static const char *const level_colors[] = {
	"\033[2m", "\033[32m", "\033[33m", "\033[31m", "\033[1;37;41m",
};
static const char *const level_words[] = {"DEBUG", "INFO ", "WARN ", "ERROR", "CRIT "};
static const char *const level_full[] = {"DEBUG   ", "INFO    ", "WARNING ", "ERROR   ", "CRITICAL"};
static const char *const execution_colors[] = {
	"\033[36m", "\033[35m", "\033[34m", "\033[32m", "\033[33m", "\033[96m", "\033[95m", "\033[94m",
};

static int64_t shown_day = INT64_MIN;
static size_t label_column = 0; /* columns that labels have taken so far */

/* Forget which date was shown last. */
void
show_text_reset(void)
{
	shown_day = INT64_MIN;
	label_column = 0;
}

/* Which step a log is about: its node, with the attempt if it is not the first. */
static void
make_label(Buffer *label, const LogEntry *log, int flags)
{
	static Buffer raw;
	const JsonValue *name = &log->field[LOG_NODE_ID];
	const JsonValue *attempt = &log->field[LOG_ATTEMPT];

	if (name->kind != JSON_STRING)
		name = &log->field[LOG_NODE_NAME];
	if (name->kind != JSON_STRING)
		name = &log->field[LOG_SOURCE];
	buffer_clear(label);
	buffer_clear(&raw);
	if (name->kind == JSON_STRING)
		json_decode(&raw, name);
	text_clean(label, raw.data, raw.len, flags);
	if (attempt->kind == JSON_NUMBER && !(attempt->len == 1 && attempt->text[0] == '1'))
	{
		buffer_char(label, '#');
		buffer_append(label, attempt->text, attempt->len);
	}
}

/* Append a text in a column of its own: cut if too long, padded if too short. */
static void
append_column(Buffer *out, const Buffer *text, size_t width)
{
	size_t		wide = text_width(text->data, text->len);

	if (wide > width)
	{
		size_t		fits = text_fit(text->data, text->len, width - 1);

		buffer_append(out, text->data, fits);
		buffer_string(out, output.utf8 ? "\xE2\x80\xA6" : "~");
		wide = text_width(text->data, fits) + 1;
	}
	else
		buffer_append(out, text->data, text->len);
	while (wide++ < width)
		buffer_char(out, ' ');
}

/* A line that says from which day on the logs are. */
static void
show_day(int64_t day, bool utc)
{
	Buffer	   *out = &output.pending;
	int64_t		today = local_time((int64_t) time(NULL) * MICROSECONDS, utc) / (86400 * MICROSECONDS);
	bool		first = shown_day == INT64_MIN;
	int64_t		year;
	int			month;
	int			mday;

	shown_day = day;
	if (first && day == today)
		return;
	civil_from_days(day, &year, &month, &mday);
	paint(out, STYLE_DIM);
	buffer_printf(out, output.utf8 ? "\xE2\x94\x80\xE2\x94\x80 %04d-%02d-%02d \xE2\x94\x80\xE2\x94\x80" :
				  "-- %04d-%02d-%02d --", (int) year, month, mday);
	paint(out, STYLE_RESET);
	buffer_char(out, '\n');
}

/* The message, in a column that begins at indent, with the window's width. */
static void
append_wrapped(Buffer *out, const char *text, size_t len, size_t indent, const char *color)
{
	size_t		width = output.width > 0 ? (size_t) output.width : SIZE_MAX;
	bool		first = true;

	if (width != SIZE_MAX && width < indent + LEAST_MESSAGE)
	{
		indent = width > LEAST_MESSAGE + 2 ? 2 : 0; /* below everything else instead */
		first = false;
	}
	width = width == SIZE_MAX ? width : Max(width - indent, 1);
	do
	{
		const char *feed = memchr(text, '\n', len);
		size_t		line = feed ? (size_t) (feed - text) : len;

		do
		{
			size_t		skip;
			size_t		taken = text_break(text, line, width, &skip);

			if (!first)
			{
				buffer_char(out, '\n');
				for (size_t i = 0; i < indent; i++)
					buffer_char(out, ' ');
			}
			first = false;
			if (color)
				paint(out, color);
			buffer_append(out, text, taken);
			if (color)
				paint(out, STYLE_RESET);
			text += taken + skip;
			len -= taken + skip;
			line -= taken + skip;
		} while (line > 0);
		if (feed)
		{
			text++;
			len--;
		}
		if (feed == NULL)
			break;
	} while (len > 0);
	buffer_char(out, '\n');
}

static void
show_on_terminal(const LogStyle *style, const char *execution_id, const LogEntry *log,
				 const Buffer *message)
{
	static Buffer label;
	static Buffer execution;
	Buffer	   *out = &output.pending;
	bool		narrow = output.width < NARROW;
	int			flags = output.utf8 ? 0 : TEXT_ASCII;
	size_t		start;
	size_t		indent = 0;
	size_t		most;
	bool		milestone = log->field[LOG_IS_MILESTONE].kind == JSON_TRUE;
	const char *color = NULL;

	if (style->timestamps || !log->has_time)
	{
		paint(out, STYLE_DIM);
		start = out->len;
		show_time(out, log, style->utc, 6);
		indent += out->len - start + 1;
	}
	else
	{
		const int64_t day_length = 86400 * MICROSECONDS;
		int64_t		shown = local_time(log->time, style->utc);
		int64_t		day = shown / day_length - (shown % day_length < 0);
		int			rest = (shown - day * day_length) / 1000;

		if (day != shown_day)
			show_day(day, style->utc);
		paint(out, STYLE_DIM);
		buffer_printf(out, "%02d:%02d:%02d", rest / 3600000, rest / 60000 % 60, rest / 1000 % 60);
		if (!narrow)
			buffer_printf(out, ".%03d", rest % 1000);
		indent += narrow ? 9 : 13;
	}
	paint(out, STYLE_RESET);
	buffer_char(out, ' ');

	if (style->with_execution)
	{
		unsigned	hash = 5381;

		for (const char *at = execution_id; *at; at++)
			hash = hash * 33 + (unsigned char) *at;
		buffer_clear(&execution);
		text_clean(&execution, execution_id, strlen(execution_id), flags);
		most = narrow ? 6 : output.width / 6;
		paint(out, execution_colors[hash % lengthof(execution_colors)]);
		append_column(out, &execution, most);
		paint(out, STYLE_RESET);
		buffer_char(out, ' ');
		indent += most + 1;
	}

	paint(out, level_colors[log->level]);
	if (narrow)
		buffer_append(out, level_words[log->level], 1);
	else
		buffer_string(out, level_words[log->level]);
	paint(out, STYLE_RESET);
	indent += narrow ? 1 : 5;
	if (milestone)
	{
		paint(out, STYLE_BOLD);
		buffer_string(out, output.utf8 ? "\xE2\x97\x86" : "*");
		paint(out, STYLE_RESET);
	}
	else
		buffer_char(out, ' ');
	indent++;

	make_label(&label, log, flags);
	most = narrow ? 8 : Max(output.width / 6, 8);
	label_column = Min(Max(label_column, text_width(label.data, label.len)), most);
	if (label_column > 0)
	{
		paint(out, "\033[36m");
		append_column(out, &label, label_column);
		paint(out, STYLE_RESET);
		buffer_char(out, ' ');
		indent += label_column + 1;
	}
	if (milestone)
		color = STYLE_BOLD;
	else if (log->level == LEVEL_DEBUG)
		color = STYLE_DIM;
	else if (log->level >= LEVEL_ERROR)
		color = "\033[31m";
	append_wrapped(out, message->data ? message->data : "", message->len, indent, color);
}

static void
show_in_pipe(const LogStyle *style, const char *execution_id, const LogEntry *log,
			 const Buffer *message)
{
	static Buffer label;
	Buffer	   *out = &output.pending;
	const char *text = message->data;
	size_t		len = message->len;

	paint(out, STYLE_DIM);
	show_time(out, log, style->utc, 6);
	paint(out, STYLE_RESET);
	buffer_char(out, ' ');
	if (style->with_execution)
	{
		text_clean(out, execution_id, strlen(execution_id), 0);
		buffer_char(out, ' ');
	}
	paint(out, level_colors[log->level]);
	buffer_append(out, level_full[log->level], 8);
	paint(out, STYLE_RESET);
	make_label(&label, log, 0);
	buffer_string(out, " [");
	buffer_append(out, label.data, label.len);
	buffer_string(out, log->field[LOG_IS_MILESTONE].kind == JSON_TRUE ? "] * " : "] ");
	while (len > 0)
	{
		const char *feed = memchr(text, '\n', len);
		size_t		line = feed ? (size_t) (feed - text) : len;

		buffer_append(out, text, line);
		if (feed == NULL)
			break;
		text += line + 1;
		len -= line + 1;
		if (len > 0)
			buffer_string(out, "\n    ");
	}
	buffer_char(out, '\n');
}

/* Show a log for people. */
void
show_log_text(const LogStyle *style, const char *execution_id, const LogEntry *log)
{
	static Buffer raw;
	static Buffer message;

	buffer_clear(&raw);
	buffer_clear(&message);
	json_decode(&raw, &log->field[LOG_MESSAGE]);
	while (raw.len > 0 && raw.data[raw.len - 1] == '\n')
		raw.len--;
	text_clean(&message, raw.data, raw.len,
			   TEXT_KEEP_LINES | (output.is_terminal && !output.utf8 ? TEXT_ASCII : 0));
	if (output.is_terminal)
	{
		output_measure();
		show_on_terminal(style, execution_id, log, &message);
	}
	else
		show_in_pipe(style, execution_id, log, &message);
}
