/*-------------------------------------------------------------------------
 *
 * inspect_steps.c
 *	  The steps of an execution, for people.
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include "style.h"
#include "text.h"

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
	style_fitted(out, clean.data ? clean.data : "", clean.len, inspect_room(14));
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
	style_fitted(out, line.data ? line.data : "", line.len, inspect_room(6 + name.len));
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

/* All steps, and the nodes that are none. */
void
inspect_show_steps(Buffer *out, const Inspection *inspection, const JsonValue *summary)
{
	JsonValue	nodes = json_find(summary, "nodes");

	if (inspection->step_count == 0 && nodes.len <= 2)
		return;
	inspect_heading(out, "Steps");
	if (inspection->steps_missing)
		buffer_string(out, "  (of very many; the last ones)\n");
	for (int i = 0; i < inspection->step_count; i++)
		show_step(out, inspection, &inspection->steps[i], &nodes);
	show_other_nodes(out, inspection, &nodes);
}
