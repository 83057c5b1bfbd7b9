/*
 * Fuzzer of what the gateway makes of a batch of logs, src/gateway/ingest_body.c.
 * How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/ingest_body.c src/client/jsonscan.c src/client/buffer.c src/ndjson.c src/ndjson_string.c
 *
 * What must hold for any bytes, as JSON and as lines:
 *   - what is taken is as many lines as it says, and what is refused says why;
 *   - whatever the database takes of them is of the execution in the address,
 *     and has the request's trace or one of its own;
 *   - a line is good for the database if and only if it was good before.
 */
#include "model.h"

#include "ingest.h"
#include "jsonscan.h"
#include "ndjson.h"

#include "target.h"

long		fuzz_accepted = 0;
const char *const fuzz_likely = "{}[]\",:\\ \n\rae0";

#define EXECUTION "e\"1"
#define TRACE "t1"
#define SPAN "s1"

/* What the database's reader finds in a line. */
typedef struct Found
{
	bool		good;
	int			pairs;
	char		execution[64];	/* the last of that name, as of the others */
	char		trace[64];
	char		span[64];
} Found;

void
ndjson_enlarge(NdjsonBuffer *buffer, size_t size)
{
	buffer->size = size * 2;
	buffer->data = xrealloc(buffer->data, buffer->size);
}

static void
keep(char *place, size_t room, const NdjsonValue *value)
{
	snprintf(place, room, "%.*s", (int) (value->kind == NDJSON_STRING ? value->len : 0), value->text);
}

static Found
read_line(const char *line, size_t len)
{
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result = NDJSON_ERROR;
	Found		found = {0};
	char	   *copy = own_block(line, len);

	if (ndjson_open(&reader, copy, len))
		while ((result = ndjson_next(&reader, &key, &value)) == NDJSON_PAIR)
		{
			found.pairs++;
			if (key.len == 12 && memcmp(key.text, "execution_id", 12) == 0)
				keep(found.execution, sizeof(found.execution), &value);
			else if (key.len == 8 && memcmp(key.text, "trace_id", 8) == 0)
				keep(found.trace, sizeof(found.trace), &value);
			else if (key.len == 7 && memcmp(key.text, "span_id", 7) == 0)
				keep(found.span, sizeof(found.span), &value);
		}
	found.good = result == NDJSON_END;
	free(reader.key.data);
	free(reader.value.data);
	free(reader.string.data);
	free(copy);
	return found;
}

/* The next line that is not blank; false: there is none. */
static bool
next_line(const char **at, const char *end, const char **line, size_t *len)
{
	while (*at < end)
	{
		const char *newline = memchr(*at, '\n', end - *at);

		*line = *at;
		*len = (newline ? newline : end) - *at;
		*at += *len + (newline != NULL);
		if (!ndjson_is_blank(*line, *len))
			return true;
	}
	return false;
}

/* Look at the lines that were made; of lines also at what they were made of. */
static void
check_lines(const LogBatch *batch, const char *from, const char *from_end)
{
	const char *at = batch->lines.data;
	const char *end = batch->lines.len > 0 ? at + batch->lines.len : at;
	const char *line;
	size_t		len;
	int64		count = 0;

	if (batch->lines.len > 0)
		MUST(end[-1] == '\n');
	for (; next_line(&at, end, &line, &len); count++)
	{
		Found		made = read_line(line, len);

		if (made.good && batch->execution)
		{
			MUST(strcmp(made.execution, EXECUTION) == 0);
			fuzz_accepted++;
		}
		if (from)
		{
			Found		before;

			MUST(next_line(&from, from_end, &line, &len));
			before = read_line(line, len);
			MUST(before.good == made.good);
			if (!made.good)
				continue;
			MUST(made.pairs - before.pairs >= (batch->execution != NULL) + (batch->trace_id != NULL));
			if (before.trace[0] != '\0')
				MUST(strcmp(made.trace, before.trace) == 0 && strcmp(made.span, before.span) == 0);
			else if (before.pairs == 0 && batch->trace_id)
				MUST(strcmp(made.trace, TRACE) == 0 && strcmp(made.span, SPAN) == 0);
		}
	}
	MUST(count == batch->count);
	if (from)
		MUST(!next_line(&from, from_end, &line, &len));
}

static void
check(const char *body, size_t size, bool as_lines, bool with_all)
{
	LogBatch	batch = {0};
	const char *start = body;

	if (with_all)
	{
		batch.execution = EXECUTION;
		batch.trace_id = TRACE;
		batch.span_id = SPAN;
	}
	if (as_lines ? batch_read_lines(&batch, body, size) : batch_read_json(&batch, body, size))
	{
		if (as_lines && size >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
			start += 3;
		check_lines(&batch, as_lines ? start : NULL, body + size);
	}
	else
	{
		MUST(batch.problem != NULL);
		MUST(batch.index == -1 || batch.index == batch.count);
	}
	batch_free(&batch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* libFuzzer's empty input is at no address */
	if (size == 0)
		return 0;
	for (int i = 0; i < 4; i++)
		check((const char *) data, size, i & 1, i & 2);
	return 0;
}
