/*-------------------------------------------------------------------------
 *
 * inspect.c
 *	  Collects everything about one execution.
 *
 * Steps are put together from their events: step_started, step_input,
 * step_completed, step_error, at most the last thousand of each.  Of what a
 * step has printed the last lines are looked for between its start and its
 * end, so that a step in a million logs is found as fast as in a thousand.
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include "style.h"

#define EVENT_ROWS "1000"
#define MOST_STEPS_WITH_LINES 200

static const char head_sql[] =
	"SELECT wflog.execution($1), wflog.summary($1),"
	" pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()),"
	" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
static const char events_sql[] =
	"SELECT wflog.logs_json($1, " EVENT_ROWS ", event_type => $2, from_end => true, detail => true,"
	" with_total => false)";
static const char lines_sql[] =
	"SELECT wflog.logs_json($1, " CppAsString2(STEP_LINES) ", event_type => 'step_output',"
	" node_id => $2, attempt => $3::pg_catalog.int4, start_time => $4::pg_catalog.timestamptz,"
	" end_time => $5::pg_catalog.timestamptz, from_end => true, with_total => false)";
static const char error_sql[] =
	"SELECT wflog.logs_json($1, 1, min_level => 'ERROR', from_end => true, detail => true,"
	" with_total => false)";
static const char audit_sql[] =
	"SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', a.created_at),"
	" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), a.event_type, a.actor, a.metadata"
	" FROM wflog.execution_audit_events AS a"
	" WHERE a.execution_id OPERATOR(pg_catalog.=) $1 ORDER BY a.position";

/* A value as text of its own, as it is written; NULL if it says nothing. */
static char *
copy_json(const JsonValue *value)
{
	Buffer		text = {0};

	if (value->kind == JSON_MISSING || value->kind == JSON_NULL ||
		(value->kind == JSON_OBJECT && value->len == 2))
		return NULL;
	buffer_append(&text, value->text, value->len);
	return buffer_text(&text);
}

/* The attempt at a step that a log is about; made if it is new, NULL if it is about none. */
static Step *
step_of(Inspection *inspection, const LogEntry *log)
{
	char	   *node_id = json_text(&log->field[LOG_NODE_ID]);
	bool		has_attempt = log->field[LOG_ATTEMPT].kind == JSON_NUMBER;
	int			attempt = has_attempt ? atoi(log->field[LOG_ATTEMPT].text) : 1;
	Step	   *step;

	if (node_id == NULL)
		return NULL;
	/* the last ones first: events of a step are close together */
	for (int i = inspection->step_count - 1; i >= 0; i--)
	{
		step = &inspection->steps[i];
		if (step->attempt == attempt && strcmp(step->node_id, node_id) == 0)
		{
			free(node_id);
			step->has_attempt = step->has_attempt || has_attempt;
			return step;
		}
	}
	inspection->steps = xrealloc(inspection->steps, sizeof(Step) * (inspection->step_count + 1));
	step = &inspection->steps[inspection->step_count++];
	memset(step, 0, sizeof(Step));
	step->node_id = node_id;
	step->attempt = attempt;
	step->has_attempt = has_attempt;
	step->started = step->ended = INT64_MIN;
	step->duration = -1;
	step->outcome = "";
	return step;
}

/* Take note of a step's event. */
static void
take_event(Inspection *inspection, const LogEntry *log, const char *event_type)
{
	Step	   *step = step_of(inspection, log);
	char	   *name = json_text(&log->field[LOG_NODE_NAME]);

	if (step == NULL)
	{
		free(name);
		return;
	}
	if (name)
	{
		free(step->node_name);
		step->node_name = name;
	}
	if (log->field[LOG_STEP_NUMBER].kind == JSON_NUMBER)
		step->number = value_number(&log->field[LOG_STEP_NUMBER]);
	if (log->field[LOG_TOTAL_STEPS].kind == JSON_NUMBER)
		step->total = value_number(&log->field[LOG_TOTAL_STEPS]);

	if (strcmp(event_type, "step_started") == 0)
	{
		step->started = log->time;
		step->outcome = "running";
	}
	else if (strcmp(event_type, "step_input") == 0)
	{
		free(step->input);
		step->input = copy_json(&log->field[LOG_DATA]);
		if (step->input == NULL)
			step->input = json_text(&log->field[LOG_MESSAGE]);
	}
	else if (log->time >= step->started)
	{
		/* the end; of an attempt that was begun again, not that of before */
		bool		failed = strcmp(event_type, "step_error") == 0;

		if (step->ended != INT64_MIN && step->ended > log->time)
			return;
		step->ended = log->time;
		step->outcome = failed ? "failed" : "completed";
		if (log->field[LOG_DURATION_SECONDS].kind == JSON_NUMBER && step->started == INT64_MIN)
			step->duration = value_number(&log->field[LOG_DURATION_SECONDS]) * MICROSECONDS;
		free(step->output_data);
		step->output_data = copy_json(&log->field[LOG_DATA]);
		free(step->error);
		step->error = failed ? json_text(&log->field[LOG_TECHNICAL_MESSAGE]) : NULL;
	}
}

/* Read the events of a kind. */
static void
read_events(Inspection *inspection, Connection *connection, const char *execution_id,
			const char *event_type)
{
	const char *values[2] = {execution_id, event_type};
	PGresult   *result = query_or_fail(connection, events_sql, 2, values);
	JsonValue	document = json_document(PQgetvalue(result, 0, 0), PQgetlength(result, 0, 0));
	JsonValue	logs = json_find(&document, "logs");
	JsonValue	more = json_find(&document, "pagination");
	JsonWalk	walk = json_walk(&logs);
	JsonValue	object;
	LogEntry	log;

	while (json_next_element(&walk, &object))
		if (log_parse(&log, &object))
			take_event(inspection, &log, event_type);
	more = json_find(&more, "has_more");
	if (more.kind == JSON_TRUE)
		inspection->steps_missing = true;
	PQclear(result);
}

/* By when they began; those of which that is not known, last. */
static int
compare_steps(const void *a, const void *b)
{
	const Step *x = a;
	const Step *y = b;
	int64_t		x_time = x->started != INT64_MIN ? x->started : x->ended != INT64_MIN ? x->ended : INT64_MAX;
	int64_t		y_time = y->started != INT64_MIN ? y->started : y->ended != INT64_MIN ? y->ended : INT64_MAX;

	if (x_time != y_time)
		return x_time < y_time ? -1 : 1;
	if (strcmp(x->node_id, y->node_id) != 0)
		return strcmp(x->node_id, y->node_id);
	return x->attempt - y->attempt;
}

/* The last lines that a step has printed. */
static void
read_lines(Step *step, Connection *connection, const char *execution_id)
{
	char		attempt[16];
	char		start[TIME_TEXT_SIZE];
	char		end[TIME_TEXT_SIZE];
	const char *values[5] = {execution_id, step->node_id};
	PGresult   *result;
	JsonValue	document;
	JsonValue	logs;
	JsonValue	object;
	JsonWalk	walk;

	if (step->has_attempt)
	{
		snprintf(attempt, sizeof(attempt), "%d", step->attempt);
		values[2] = attempt;
	}
	if (step->started != INT64_MIN)
	{
		format_time_utc(start, step->started);
		values[3] = start;
	}
	if (step->ended != INT64_MIN)
	{
		format_time_utc(end, step->ended);
		values[4] = end;
	}
	result = query_or_fail(connection, lines_sql, 5, values);
	document = json_document(PQgetvalue(result, 0, 0), PQgetlength(result, 0, 0));
	logs = json_find(&document, "logs");
	walk = json_walk(&logs);
	for (int i = 0; i < STEP_LINES && json_next_element(&walk, &object); i++)
		step->lines[i] = copy_json(&object);
	PQclear(result);
}

/* Collect everything about an execution. */
void
inspect(Inspection *inspection, Connection *connection, const char *execution_id)
{
	static const char *const kinds[] = {"step_started", "step_input", "step_completed", "step_error"};
	const char *values[1] = {execution_id};
	PGresult   *result = query_or_fail(connection, head_sql, 1, values);
	JsonValue	summary;
	JsonValue	types;
	JsonValue	type;

	memset(inspection, 0, sizeof(Inspection));
	inspection->execution = xstrdup(PQgetvalue(result, 0, 0));
	inspection->summary = xstrdup(PQgetvalue(result, 0, 1));
	parse_timestamp(PQgetvalue(result, 0, 2), PQgetlength(result, 0, 2), &inspection->now);
	PQclear(result);
	summary = json_document(inspection->summary, strlen(inspection->summary));

	types = json_find(&summary, "event_types");
	for (int i = 0; i < lengthof(kinds); i++)
	{
		type = json_find(&types, kinds[i]);
		if (type.kind == JSON_NUMBER)
			read_events(inspection, connection, execution_id, kinds[i]);
	}
	if (inspection->step_count > 0)
		qsort(inspection->steps, inspection->step_count, sizeof(Step), compare_steps);
	for (int i = 0; i < inspection->step_count; i++)
	{
		Step	   *step = &inspection->steps[i];

		if (step->started != INT64_MIN && step->ended != INT64_MIN)
			step->duration = step->ended - step->started;
	}
	type = json_find(&types, "step_output");
	if (type.kind == JSON_NUMBER)
		for (int i = Max(inspection->step_count - MOST_STEPS_WITH_LINES, 0); i < inspection->step_count; i++)
			read_lines(&inspection->steps[i], connection, execution_id);

	types = json_find(&summary, "log_levels");
	if (json_find(&types, "error").kind == JSON_NUMBER || json_find(&types, "critical").kind == JSON_NUMBER)
	{
		result = query_or_fail(connection, error_sql, 1, values);
		inspection->error_page = xstrdup(PQgetvalue(result, 0, 0));
		PQclear(result);
	}
	inspection->audit = query_or_fail(connection, audit_sql, 1, values);
}

/* Give the memory back. */
void
inspection_free(Inspection *inspection)
{
	for (int i = 0; i < inspection->step_count; i++)
	{
		Step	   *step = &inspection->steps[i];

		free(step->node_id);
		free(step->node_name);
		free(step->input);
		free(step->output_data);
		free(step->error);
		for (int j = 0; j < STEP_LINES; j++)
			free(step->lines[j]);
	}
	free(inspection->steps);
	free(inspection->execution);
	free(inspection->summary);
	free(inspection->error_page);
	PQclear(inspection->audit);
	memset(inspection, 0, sizeof(Inspection));
}

/* ---- as JSON ---- */

static void
json_pair(Buffer *out, const char *key, const char *text)
{
	buffer_printf(out, ",\"%s\":", key);
	if (text)
		json_quote(out, text, strlen(text));
	else
		buffer_string(out, "null");
}

static void
json_time_pair(Buffer *out, const char *key, int64_t time)
{
	char		text[TIME_TEXT_SIZE];

	if (time != INT64_MIN)
		format_time_utc(text, time);
	json_pair(out, key, time != INT64_MIN ? text : NULL);
}

/* JSON as it is; text that is none as a string. */
static void
json_raw_pair(Buffer *out, const char *key, const char *json)
{
	if (json && (json[0] == '{' || json[0] == '['))
		buffer_printf(out, ",\"%s\":%s", key, json);
	else
		json_pair(out, key, json);
}

/* Append all of it as one JSON object, with a line feed. */
void
show_inspection_json(const Inspection *inspection, Buffer *out)
{
	buffer_printf(out, "{\"execution\":%s,\"summary\":%s,\"steps\":[", inspection->execution,
				  inspection->summary);
	for (int i = 0; i < inspection->step_count; i++)
	{
		const Step *step = &inspection->steps[i];

		buffer_string(out, i > 0 ? ",{\"node_id\":" : "{\"node_id\":");
		json_quote(out, step->node_id, strlen(step->node_id));
		json_pair(out, "node_name", step->node_name);
		buffer_printf(out, ",\"attempt\":%d", step->attempt);
		if (step->number > 0)
			buffer_printf(out, ",\"step_number\":%d", step->number);
		if (step->total > 0)
			buffer_printf(out, ",\"total_steps\":%d", step->total);
		json_pair(out, "status", step->outcome[0] ? step->outcome : NULL);
		json_time_pair(out, "start_time", step->started);
		json_time_pair(out, "end_time", step->ended);
		if (step->duration >= 0)
			buffer_printf(out, ",\"duration_seconds\":%.6f", (double) step->duration / MICROSECONDS);
		json_raw_pair(out, "input", step->input);
		json_raw_pair(out, "output", step->output_data);
		json_pair(out, "error", step->error);
		buffer_string(out, ",\"last_lines\":[");
		for (int j = 0; j < STEP_LINES && step->lines[j]; j++)
			buffer_printf(out, "%s%s", j > 0 ? "," : "", step->lines[j]);
		buffer_string(out, "]}");
	}
	buffer_printf(out, "],\"steps_complete\":%s,\"last_error\":", inspection->steps_missing ? "false" : "true");
	if (inspection->error_page)
	{
		JsonValue	page = json_document(inspection->error_page, strlen(inspection->error_page));
		JsonValue	logs = json_find(&page, "logs");
		JsonWalk	walk = json_walk(&logs);
		JsonValue	log;

		if (json_next_element(&walk, &log))
			buffer_append(out, log.text, log.len);
		else
			buffer_string(out, "null");
	}
	else
		buffer_string(out, "null");
	buffer_string(out, ",\"audit\":[");
	for (int i = 0; i < PQntuples(inspection->audit); i++)
	{
		buffer_printf(out, "%s{\"timestamp\":\"%s\"", i > 0 ? "," : "", PQgetvalue(inspection->audit, i, 0));
		json_pair(out, "event_type", PQgetvalue(inspection->audit, i, 1));
		json_pair(out, "actor", PQgetvalue(inspection->audit, i, 2));
		json_raw_pair(out, "metadata", PQgetvalue(inspection->audit, i, 3));
		buffer_char(out, '}');
	}
	buffer_string(out, "]}\n");
}
