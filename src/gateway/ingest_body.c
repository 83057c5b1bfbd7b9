/*-------------------------------------------------------------------------
 *
 * ingest_body.c
 *	  Logs that a client sends, as lines of JSON for append_lines().
 *
 * A body is an array of objects, {"logs": [...]}, one object, or lines.  The
 * text of each object is copied as it is, and the database reads it: here only
 * its beginning and its end are found, and what all logs of the request have in
 * common is put there.  What is put in front is a default, because of a field
 * that is there twice the last one counts; the execution is put behind.
 *
 * What is read as an object here has all its quotes and brackets closed, or the
 * database refuses it: nothing that it would take can contain what is put
 * behind it.
 *
 *-------------------------------------------------------------------------
 */
#include "ingest.h"

#include "jsonscan.h"

static bool
refuse(LogBatch *batch, int64 index, const char *field, const char *problem)
{
	batch->index = index;
	batch->field = field;
	batch->problem = problem;
	return false;
}

/* Append a pair, with what separates it from what is before. */
static void
append_pair(Buffer *out, const char *name, const char *value)
{
	if (out->data[out->len - 1] != '{')
		buffer_char(out, ',');
	buffer_printf(out, "\"%s\":", name);
	json_quote(out, value, strlen(value));
}

/*
 * Append JSON on one line: line feeds between values become blanks.  False if
 * there is one within a string.
 */
static bool
append_flat(Buffer *out, const char *text, size_t len)
{
	bool		quoted = false;

	if (memchr(text, '\n', len) == NULL)
	{
		buffer_append(out, text, len);
		return true;
	}
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '\n' && quoted)
			return false;
		if (text[i] == '\\' && quoted && i + 1 < len && text[i + 1] != '\n')
			buffer_char(out, text[i++]);
		else if (text[i] == '"')
			quoted = !quoted;
		buffer_char(out, text[i] == '\n' ? ' ' : text[i]);
	}
	return true;
}

/* Does the log say that it is of another execution than all of them? */
static bool
is_of_another(const LogBatch *batch, const JsonValue *log)
{
	JsonValue	id = json_find(log, "execution_id");
	char	   *text = json_text(&id);
	bool		differs = text && strcmp(text, batch->execution) != 0;

	free(text);
	return differs;
}

/* Append a log as a line. */
static bool
append_log(LogBatch *batch, const JsonValue *log)
{
	Buffer	   *out = &batch->lines;
	JsonWalk	inner = {log->text + 1, log->text + log->len - 1};

	if (log->kind != JSON_OBJECT || log->text[log->len - 1] != '}')
		return refuse(batch, batch->count, NULL, "a log must be a JSON object");
	if (batch->execution && is_of_another(batch, log))
		return refuse(batch, batch->count, "execution_id", "execution_id is not the one in the address");
	json_skip_blanks(&inner);
	buffer_char(out, '{');
	if (batch->trace_id)
		append_pair(out, "trace_id", batch->trace_id);
	/* a span is one of its trace */
	if (batch->span_id && json_find(log, "trace_id").kind == JSON_MISSING)
		append_pair(out, "span_id", batch->span_id);
	if (inner.at < inner.end)
	{
		if (out->data[out->len - 1] != '{')
			buffer_char(out, ',');
		if (!append_flat(out, inner.at, inner.end - inner.at))
			return refuse(batch, batch->count, NULL, "a line feed within a string must be written as \\n");
	}
	if (batch->execution)
		append_pair(out, "execution_id", batch->execution);
	buffer_string(out, "}\n");
	batch->count++;
	return true;
}

/* Pass over blanks and then this text, if it is there. */
static bool
take(JsonWalk *walk, const char *text)
{
	size_t		len = strlen(text);

	json_skip_blanks(walk);
	if (walk->end - walk->at < len || memcmp(walk->at, text, len) != 0)
		return false;
	walk->at += len;
	return true;
}

static bool
is_at_end(JsonWalk *walk)
{
	json_skip_blanks(walk);
	return walk->at == walk->end;
}

static bool
refuse_body(LogBatch *batch)
{
	return refuse(batch, -1, NULL, "The body must be a JSON array of logs, {\"logs\": [...]}, or one log.");
}

/* The elements of an array whose bracket has been passed. */
static bool
read_elements(LogBatch *batch, JsonWalk *walk)
{
	JsonValue	element;

	if (take(walk, "]"))
		return true;
	do
	{
		if (!json_read(walk, &element))
			return refuse_body(batch);
		if (!append_log(batch, &element))
			return false;
	} while (take(walk, ","));
	return take(walk, "]") || refuse_body(batch);
}

/* Read an array, an object that has one, or one log. */
bool
batch_read_json(LogBatch *batch, const char *bytes, size_t len)
{
	JsonWalk	walk = {bytes, bytes + len};
	JsonWalk	logs = walk;
	JsonValue	value;

	if (take(&walk, "["))
		return read_elements(batch, &walk) && (is_at_end(&walk) || refuse_body(batch));

	/* no log has a field of that name */
	if (take(&logs, "{") && take(&logs, "\"logs\"") && take(&logs, ":") && take(&logs, "["))
		return read_elements(batch, &logs) && ((take(&logs, "}") && is_at_end(&logs)) || refuse_body(batch));
	if (!json_read(&walk, &value) || value.kind != JSON_OBJECT || !is_at_end(&walk))
		return refuse_body(batch);
	return append_log(batch, &value);
}

/* Read lines, each a log; blank ones do not count. */
bool
batch_read_lines(LogBatch *batch, const char *bytes, size_t len)
{
	const char *at = bytes;
	const char *end = bytes + len;

	if (len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
		at += 3;				/* a byte order mark */
	while (at < end)
	{
		const char *newline = memchr(at, '\n', end - at);
		JsonWalk	walk = {at, newline ? newline : end};
		JsonValue	log;

		at = walk.end + (newline != NULL);
		if (is_at_end(&walk))
			continue;
		if (!json_read(&walk, &log) || !is_at_end(&walk))
			return refuse(batch, batch->count, NULL, "a line must be one JSON object");
		if (!append_log(batch, &log))
			return false;
	}
	return true;
}

void
batch_free(LogBatch *batch)
{
	buffer_free(&batch->lines);
}
