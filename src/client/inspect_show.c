/*-------------------------------------------------------------------------
 *
 * inspect_show.c
 *	  Everything about one execution, for people.
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include "style.h"
#include "text.h"

#define LABEL_WIDTH 11
#define MOST_MILESTONES 20		/* the last ones */
#define MOST_TRACE_LINES 40

static bool show_utc;

/* Columns that are left of a line behind so many. */
size_t
inspect_room(size_t used)
{
	if (output.width == 0)
		return 0;				/* no limit */
	return Max(output.width - (long) used, 10);
}

static void
label(Buffer *out, const char *name)
{
	paint(out, STYLE_DIM);
	style_column(out, name, strlen(name), LABEL_WIDTH);
	paint(out, STYLE_RESET);
}

/* Begin a part of the report. */
void
inspect_heading(Buffer *out, const char *name)
{
	buffer_char(out, '\n');
	paint(out, STYLE_BOLD);
	buffer_string(out, name);
	paint(out, STYLE_RESET);
	buffer_char(out, '\n');
}

/* Text that nobody vouches for, in one line behind so many columns. */
static void
line_of(Buffer *out, const char *text, size_t used)
{
	Buffer		clean = {0};

	style_text(&clean, text, strlen(text));
	style_fitted(out, clean.data ? clean.data : "", clean.len, inspect_room(used));
	buffer_char(out, '\n');
	buffer_free(&clean);
}

/* A labelled line with the value of a field, unless it has none. */
static void
field_line(Buffer *out, const char *name, const JsonValue *object, const char *key)
{
	JsonValue	value = json_find(object, key);
	char	   *text = json_text(&value);

	if (text == NULL)
		return;
	label(out, name);
	line_of(out, text, LABEL_WIDTH);
	free(text);
}

/* "3m 12s ago" and the like. */
static void
time_line(Buffer *out, const char *name, const JsonValue *object, const char *key, int64_t now)
{
	JsonValue	value = json_find(object, key);
	Buffer		ago = {0};
	int64_t		time;

	if (!value_time(&value, &time))
		return;
	label(out, name);
	style_time(out, time, show_utc, true);
	buffer_string(&ago, " (");
	style_duration(&ago, now - time);
	buffer_string(&ago, " ago)");
	if (output.width == 0 || LABEL_WIDTH + 19 + ago.len <= output.width)
		buffer_append(out, ago.data, ago.len);
	buffer_char(out, '\n');
	buffer_free(&ago);
}

static void
status_line(Buffer *out, const JsonValue *execution, int64_t now)
{
	JsonValue	value = json_find(execution, "status");
	char	   *status = json_text(&value);
	int64_t		start;
	int64_t		end;
	bool		terminal;
	Buffer		rest = {0};
	const char *text;

	label(out, "Status");
	if (status == NULL)
	{
		buffer_string(out, "not registered, so its end cannot be known\n");
		return;
	}
	paint(out, status_color(status));
	buffer_string(out, status);
	paint(out, STYLE_RESET);
	value = json_find(execution, "is_terminal");
	terminal = value.kind == JSON_TRUE;
	value = json_find(execution, "start_time");
	if (value_time(&value, &start))
	{
		value = json_find(execution, "end_time");
		if (terminal && value_time(&value, &end))
		{
			buffer_string(&rest, " after ");
			style_duration(&rest, end - start);
		}
		else if (strcmp(status, "NEW") == 0 || strcmp(status, "PENDING") == 0)
			buffer_string(&rest, ": not started yet");
		else if (!terminal)
		{
			buffer_string(&rest, strcmp(status, "RUNNING") == 0 ? ": still running, " : ": still not ended, ");
			style_duration(&rest, now - start);
			buffer_string(&rest, " so far");
		}
	}
	text = buffer_text(&rest);
	if (output.width > 0 && LABEL_WIDTH + strlen(status) + rest.len > output.width)
		buffer_printf(out, ":\n%*s%s", LABEL_WIDTH, "", text + strspn(text, ": "));
	else
		buffer_string(out, text);
	buffer_char(out, '\n');
	buffer_free(&rest);
	free(status);
}

/* How many logs of which level. */
static void
count_line(Buffer *out, const JsonValue *summary)
{
	static const char *const levels[] = {"critical", "error", "warning", "info", "debug"};
	static const char *const colors[] = {STYLE_RED, STYLE_RED, STYLE_YELLOW, "", STYLE_DIM};
	JsonValue	value = json_find(summary, "total_logs");
	JsonValue	counts = json_find(summary, "log_levels");
	Buffer		part = {0};
	size_t		column;
	bool		first = true;

	label(out, "Logs");
	style_count(&part, value_number(&value));
	column = LABEL_WIDTH + part.len;
	buffer_append(out, part.data, part.len);
	for (int i = 0; i < lengthof(levels); i++)
	{
		value = json_find(&counts, levels[i]);
		if (value.kind != JSON_NUMBER)
			continue;
		buffer_clear(&part);
		style_count(&part, value_number(&value));
		buffer_printf(&part, " %s", levels[i]);
		buffer_char(out, first ? ':' : ',');
		first = false;
		if (output.width > 0 && column + 3 + part.len > output.width)
		{
			buffer_printf(out, "\n%*s", LABEL_WIDTH, "");
			column = LABEL_WIDTH;
		}
		else
			buffer_char(out, ' ');
		column += 2 + part.len;
		paint(out, colors[i]);
		buffer_append(out, part.data, part.len);
		paint(out, STYLE_RESET);
	}
	buffer_char(out, '\n');
	buffer_free(&part);
}

/* The last error, with its stack trace. */
static void
show_error(Buffer *out, const Inspection *inspection)
{
	JsonValue	page;
	JsonValue	logs;
	JsonValue	object;
	JsonWalk	walk;
	LogEntry	log;
	Buffer		trace = {0};
	Buffer		clean = {0};
	int			lines = 0;

	if (inspection->error_page == NULL)
		return;
	page = json_document(inspection->error_page, strlen(inspection->error_page));
	logs = json_find(&page, "logs");
	walk = json_walk(&logs);
	if (!json_next_element(&walk, &object) || !log_parse(&log, &object))
		return;
	inspect_heading(out, "Last error");
	buffer_string(out, "  ");
	if (log.has_time)
		style_time(out, log.time, show_utc, false);
	buffer_char(out, ' ');
	style_value(&clean, &log.field[LOG_NODE_ID]);
	if (clean.len > 0)
		buffer_string(&clean, ": ");
	style_value(&clean, &log.field[LOG_TECHNICAL_MESSAGE]);
	paint(out, STYLE_RED);
	style_fitted(out, clean.data ? clean.data : "", clean.len, inspect_room(11));
	paint(out, STYLE_RESET);
	buffer_char(out, '\n');

	if (log.field[LOG_STACK_TRACE].kind == JSON_STRING)
		json_decode(&trace, &log.field[LOG_STACK_TRACE]);
	buffer_clear(&clean);
	text_clean(&clean, trace.data ? trace.data : "", trace.len, TEXT_KEEP_LINES);
	for (char *at = buffer_text(&clean); *at;)
	{
		size_t		len = strcspn(at, "\n");

		if (lines++ == MOST_TRACE_LINES)
		{
			buffer_string(out, "    ...\n");
			break;
		}
		buffer_string(out, "    ");
		style_fitted(out, at, len, inspect_room(4));
		buffer_char(out, '\n');
		at += len + (at[len] == '\n');
	}
	buffer_free(&trace);
	buffer_free(&clean);
}

static void
show_milestones(Buffer *out, const JsonValue *summary)
{
	JsonValue	milestones = json_find(summary, "milestones");
	JsonWalk	walk = json_walk(&milestones);
	JsonValue	object;
	int			count = 0;
	int			at = 0;

	while (json_next_element(&walk, &object))
		count++;
	if (count == 0)
		return;
	inspect_heading(out, "Milestones");
	if (count > MOST_MILESTONES)
		buffer_printf(out, "  (the last %d of %d)\n", MOST_MILESTONES, count);
	walk = json_walk(&milestones);
	while (json_next_element(&walk, &object))
	{
		JsonValue	value = json_find(&object, "timestamp");
		char	   *text;
		int64_t		time;

		if (at++ < count - MOST_MILESTONES)
			continue;
		buffer_string(out, "  ");
		if (value_time(&value, &time))
			style_time(out, time, show_utc, false);
		buffer_string(out, "  ");
		value = json_find(&object, "message");
		text = json_text(&value);
		line_of(out, text ? text : "", 12);
		free(text);
	}
}

static void
show_audit(Buffer *out, const Inspection *inspection)
{
	if (PQntuples(inspection->audit) == 0)
		return;
	inspect_heading(out, "Audit trail");
	for (int i = 0; i < PQntuples(inspection->audit); i++)
	{
		char	   *metadata_text = PQgetvalue(inspection->audit, i, 3);
		JsonValue	metadata = json_document(metadata_text, strlen(metadata_text));
		JsonValue	from = json_find(&metadata, "from");
		JsonValue	to = json_find(&metadata, "to");
		JsonValue	message = json_find(&metadata, "error_message");
		JsonValue	raw = {JSON_STRING, PQgetvalue(inspection->audit, i, 0), PQgetlength(inspection->audit, i, 0)};
		Buffer		line = {0};
		int64_t		time;

		buffer_string(out, "  ");
		if (value_time(&raw, &time))
			style_time(out, time, show_utc, false);
		buffer_string(out, "  ");
		style_column(out, PQgetvalue(inspection->audit, i, 1), PQgetlength(inspection->audit, i, 1), 14);
		if (from.kind == JSON_STRING)
		{
			style_value(&line, &from);
			buffer_string(&line, " -> ");
		}
		style_value(&line, &to);
		buffer_string(&line, "  by ");
		style_text(&line, PQgetvalue(inspection->audit, i, 2), PQgetlength(inspection->audit, i, 2));
		if (message.kind == JSON_STRING)
		{
			buffer_string(&line, ": ");
			style_value(&line, &message);
		}
		style_fitted(out, line.data, line.len, inspect_room(26));
		buffer_char(out, '\n');
		buffer_free(&line);
	}
}

/* Append all of it as text. */
void
show_inspection(const Inspection *inspection, bool utc, Buffer *out)
{
	JsonValue	execution = json_document(inspection->execution, strlen(inspection->execution));
	JsonValue	summary = json_document(inspection->summary, strlen(inspection->summary));
	JsonValue	progress = json_find(&execution, "progress");

	show_utc = utc;
	field_line(out, "Execution", &execution, "execution_id");
	field_line(out, "Workflow", &execution, "workflow_id");
	status_line(out, &execution, inspection->now);
	time_line(out, "Started", &execution, "start_time", inspection->now);
	time_line(out, "Ended", &execution, "end_time", inspection->now);
	if (progress.kind == JSON_NUMBER)
	{
		label(out, "Progress");
		style_bar(out, atof(progress.text), output.width > 0 ? Max(Min(output.width - 20, 30), 5) : 30);
		buffer_char(out, '\n');
	}
	count_line(out, &summary);
	field_line(out, "Error", &execution, "error_message");
	inspect_show_steps(out, inspection, &summary);
	show_error(out, inspection);
	show_milestones(out, &summary);
	show_audit(out, inspection);
}
