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
static size_t
room(size_t used)
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

static void
heading(Buffer *out, const char *name)
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
	style_fitted(out, clean.data ? clean.data : "", clean.len, room(used));
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

/* The mark of an outcome. */
static void
mark(Buffer *out, const char *outcome)
{
	if (strcmp(outcome, "completed") == 0)
	{
		paint(out, STYLE_GREEN);
		buffer_string(out, output.utf8 ? "\xE2\x9C\x93" : "+");
	}
	else if (strcmp(outcome, "failed") == 0)
	{
		paint(out, STYLE_RED);
		buffer_string(out, output.utf8 ? "\xE2\x9C\x97" : "x");
	}
	else if (strcmp(outcome, "running") == 0)
	{
		paint(out, STYLE_CYAN);
		buffer_string(out, output.utf8 ? "\xE2\x96\xB6" : ">");
	}
	else
		buffer_char(out, ' ');
	paint(out, STYLE_RESET);
}

/* Something about a step, in a line below it. */
static void
step_detail(Buffer *out, const char *name, const char *text, const char *color)
{
	Buffer		clean = {0};

	buffer_string(out, "      ");
	paint(out, STYLE_DIM);
	style_column(out, name, strlen(name), 8);
	paint(out, STYLE_RESET);
	style_text(&clean, text, strlen(text));
	if (color)
		paint(out, color);
	style_fitted(out, clean.data ? clean.data : "", clean.len, room(14));
	if (color)
		paint(out, STYLE_RESET);
	buffer_char(out, '\n');
	buffer_free(&clean);
}

/*
 * Append how many logs a node has to the line of its last attempt; they are
 * counted by node, not by attempt.
 */
static void
append_log_count(Buffer *line, const Inspection *inspection, const Step *step,
				 const JsonValue *nodes)
{
	JsonWalk	walk = json_walk(nodes);
	JsonValue	key;
	JsonValue	value;
	int			attempts = 0;
	const Step *last = step;

	for (int i = 0; i < inspection->step_count; i++)
		if (strcmp(inspection->steps[i].node_id, step->node_id) == 0)
		{
			attempts++;
			last = &inspection->steps[i];
		}
	while (step == last && json_next_pair(&walk, &key, &value))
	{
		char	   *id = json_text(&key);
		bool		same = strcmp(id, step->node_id) == 0;

		free(id);
		if (!same)
			continue;
		value = json_find(&value, "logs_count");
		buffer_string(line, ", ");
		style_count(line, value_number(&value));
		buffer_string(line, value_number(&value) == 1 ? " log" : " logs");
		if (attempts > 1)
			buffer_string(line, " in all attempts");
		break;
	}
}

static void
show_step(Buffer *out, const Inspection *inspection, const Step *step, const JsonValue *nodes)
{
	Buffer		line = {0};
	Buffer		name = {0};
	char		count[48];

	buffer_string(out, "  ");
	mark(out, step->outcome);
	buffer_char(out, ' ');
	if (step->number > 0)
	{
		if (step->total > 0)
			snprintf(count, sizeof(count), "%d/%d ", step->number, step->total);
		else
			snprintf(count, sizeof(count), "%d ", step->number);
		buffer_string(&line, count);
	}
	style_text(&line, step->node_id, strlen(step->node_id));
	if (step->attempt != 1)
		buffer_printf(&line, "#%d", step->attempt);
	if (step->node_name && strcmp(step->node_name, step->node_id) != 0)
	{
		buffer_string(&line, "  ");
		style_text(&line, step->node_name, strlen(step->node_name));
	}
	buffer_string(&name, step->outcome[0] ? step->outcome : "no outcome");
	if (step->duration >= 0)
	{
		buffer_string(&name, step->outcome[0] == 'f' ? " after " : " in ");
		style_duration(&name, step->duration);
	}
	else if (strcmp(step->outcome, "running") == 0)
	{
		buffer_string(&name, " for ");
		style_duration(&name, inspection->now - step->started);
	}
	append_log_count(&name, inspection, step, nodes);
	style_fitted(out, line.data ? line.data : "", line.len, room(6 + name.len));
	buffer_string(out, "  ");
	paint(out, STYLE_DIM);
	buffer_append(out, name.data, name.len);
	paint(out, STYLE_RESET);
	buffer_char(out, '\n');
	buffer_free(&line);
	buffer_free(&name);

	if (step->input)
		step_detail(out, "input", step->input, NULL);
	for (int i = 0; i < STEP_LINES && step->lines[i]; i++)
	{
		JsonValue	log = json_document(step->lines[i], strlen(step->lines[i]));
		JsonValue	message = json_find(&log, "message");
		char	   *text = json_text(&message);

		step_detail(out, i == 0 ? "output" : "", text ? text : "", NULL);
		free(text);
	}
	if (step->output_data && !step->error)
		step_detail(out, step->lines[0] ? "result" : "output", step->output_data, NULL);
	if (step->error)
	{
		step_detail(out, "error", step->error, STYLE_RED);
		if (step->output_data)
			step_detail(out, "", step->output_data, NULL);
	}
}

/* Steps that only have logs, without events that say how they went. */
static void
show_other_nodes(Buffer *out, const Inspection *inspection, const JsonValue *nodes)
{
	JsonWalk	walk = json_walk(nodes);
	JsonValue	key;
	JsonValue	node;

	while (json_next_pair(&walk, &key, &node))
	{
		char	   *id = json_text(&key);
		bool		known = false;
		JsonValue	value;

		for (int i = 0; i < inspection->step_count && !known; i++)
			known = strcmp(inspection->steps[i].node_id, id) == 0;
		if (!known)
		{
			buffer_string(out, "    ");
			style_text(out, id, strlen(id));
			value = json_find(&node, "logs_count");
			paint(out, STYLE_DIM);
			buffer_string(out, "  ");
			style_count(out, value_number(&value));
			buffer_string(out, value_number(&value) == 1 ? " log" : " logs");
			paint(out, STYLE_RESET);
			buffer_char(out, '\n');
		}
		free(id);
	}
}

static void
show_steps(Buffer *out, const Inspection *inspection, const JsonValue *summary)
{
	JsonValue	nodes = json_find(summary, "nodes");

	if (inspection->step_count == 0 && nodes.len <= 2)
		return;
	heading(out, "Steps");
	if (inspection->steps_missing)
		buffer_string(out, "  (of very many; the last ones)\n");
	for (int i = 0; i < inspection->step_count; i++)
		show_step(out, inspection, &inspection->steps[i], &nodes);
	show_other_nodes(out, inspection, &nodes);
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
	heading(out, "Last error");
	buffer_string(out, "  ");
	if (log.has_time)
		style_time(out, log.time, show_utc, false);
	buffer_char(out, ' ');
	style_value(&clean, &log.field[LOG_NODE_ID]);
	if (clean.len > 0)
		buffer_string(&clean, ": ");
	style_value(&clean, &log.field[LOG_TECHNICAL_MESSAGE]);
	paint(out, STYLE_RED);
	style_fitted(out, clean.data ? clean.data : "", clean.len, room(11));
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
		style_fitted(out, at, len, room(4));
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
	heading(out, "Milestones");
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
	heading(out, "Audit trail");
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
		style_fitted(out, line.data, line.len, room(26));
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
	show_steps(out, inspection, &summary);
	show_error(out, inspection);
	show_milestones(out, &summary);
	show_audit(out, inspection);
}
