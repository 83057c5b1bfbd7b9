/*
 * Fuzzer and model test of what "wflog run" and "wflog ingest" read: lines.c,
 * redact.c, structured.c, csv.c, columns.c, convert.c and unescape.c of src/client/.
 *
 * With clang, the coverage-guided fuzzer:
 *   clang -g -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -DLIBFUZZER -Isrc/client -Isrc \
 *       test/fuzz/capture.c src/client/{lines,redact,structured,csv,columns,convert,unescape,encode,buffer}.c \
 *       src/ndjson.c src/ndjson_string.c -o fuzz && ./fuzz
 * With any compiler, a given number of random inputs (test/t/110_command_capture.pl):
 *   cc -g -D_GNU_SOURCE -fsanitize=address,undefined -Isrc/client -Isrc ... -o model && ./model 100000
 *
 * What must hold, however the bytes are cut into pieces when they are fed:
 *   - the lines' parts make up the input, but for line feeds and the carriage
 *     returns in front of them; no part is stored in more than the limit, and
 *     none ends within a character;
 *   - no secret is left in the lines' text, and the text is that of the input
 *     with its secrets masked, whatever the pieces were;
 *   - a structured line's members make a line that the server's reader reads;
 *   - CSV comes back from what was written, and nothing is read beyond the end;
 *   - a converted line is one that the server's reader reads, and the same
 *     whether or not it is first tried to leave the line as it is.
 */
#include "model.h"

#include "convert.h"
#include "csv.h"
#include "encode.h"
#include "lines.h"
#include "structured.h"

#define SECRET "s3cr3t"
#define LONG_SECRET_BYTES 5000

void
ndjson_enlarge(NdjsonBuffer *buffer, size_t size)
{
	buffer->data = realloc(buffer->data, size);
	MUST(buffer->data != NULL);
	buffer->size = size;
}

/* ---- lines and secrets ---- */

typedef struct Gathered
{
	Buffer		text;			/* the parts; lines end in \n, the unterminated one in nothing */
	size_t		limit;
	bool		open;
} Gathered;

static void
gather(void *arg, const char *text, size_t len, LinePart part)
{
	Gathered   *gathered = arg;
	bool		goes_on = part == LINE_BEGIN || part == LINE_MIDDLE;

	MUST(stored_prefix(text, len, gathered->limit) == len);
	MUST(gathered->open ? part != LINE_WHOLE && part != LINE_BEGIN : part != LINE_MIDDLE && part != LINE_END);
	MUST(len > 0 || !goes_on);
	if (gathered->open)
	{
		/* no character has its beginning in the part before and its end in this one */
		char		border[6];
		size_t		before = gathered->text.len < 3 ? gathered->text.len : 3;
		size_t		behind = len < 3 ? len : 3;

		memcpy(border, gathered->text.data + gathered->text.len - before, before);
		memcpy(border + before, text, behind);
		for (size_t i = 0; i < before; i++)
			MUST(utf8_sequence(border + i, before + behind - i) <= (int) (before - i));
	}
	buffer_append(&gathered->text, text, len);
	if (!goes_on && part != LINE_UNTERMINATED)
		buffer_char(&gathered->text, '\n');
	gathered->open = goes_on;
}

/* Feed bytes in random pieces. */
static void
feed(LineSplitter *lines, const char *bytes, size_t len)
{
	while (len > 0)
	{
		size_t		piece = 1 + draw(draw(4) == 0 ? 3 : len);
		char	   *copy;

		if (piece > len)
			piece = len;
		copy = own_block(bytes, piece);
		lines_feed(lines, copy, piece);
		free(copy);
		bytes += piece;
		len -= piece;
	}
	lines_finish(lines);
}

/* What the lines should be: without the carriage returns that end them. */
static void
expect(const char *bytes, size_t len, Redactor *redactor, Buffer *out)
{
	const char *end = bytes + len;

	while (bytes < end)
	{
		const char *newline = memchr(bytes, '\n', end - bytes);
		const char *stop = newline ? newline : end;
		Buffer		line = {0};

		if (redactor)
			redact_text(redactor, bytes, stop - bytes, &line);
		else
			buffer_append(&line, bytes, stop - bytes);
		if (newline && line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		buffer_append(out, line.data, line.len);
		if (newline)
			buffer_char(out, '\n');
		buffer_free(&line);
		bytes = stop + (newline != NULL);
	}
}

static void
check_lines(const char *bytes, size_t len, Redactor *redactor, size_t limit)
{
	Gathered	gathered = {.limit = limit};
	LineSplitter lines = {.redactor = redactor,.limit = limit,.sink = gather,.arg = &gathered};
	Buffer		expected = {0};

	feed(&lines, bytes, len);
	expect(bytes, len, redactor, &expected);
	MUST(gathered.text.len == expected.len);
	MUST(expected.len == 0 || memcmp(gathered.text.data, expected.data, expected.len) == 0);
	if (redactor && gathered.text.len > 0)
		MUST(memmem(gathered.text.data, gathered.text.len, SECRET, strlen(SECRET)) == NULL);
	lines_free(&lines);
	buffer_free(&gathered.text);
	buffer_free(&expected);
}

/* A line far beyond the window, with secrets across every border. */
static void
check_long_line(const char *bytes, size_t len)
{
	Redactor   *redactor = redactor_create();
	Gathered	gathered = {.limit = 8192};
	LineSplitter lines = {.redactor = redactor,.limit = 8192,.sink = gather,.arg = &gathered};
	Buffer		input = {0};
	char		problem[100];
	char		long_secret[LONG_SECRET_BYTES + 1];

	for (int i = 0; i < LONG_SECRET_BYTES; i++)
		long_secret[i] = (char) ('A' + i % 23);
	long_secret[LONG_SECRET_BYTES] = '\0';
	redactor_add_value(redactor, SECRET);
	redactor_add_value(redactor, long_secret);
	MUST(redactor_add_pattern(redactor, "key=[^ ]+", problem, sizeof(problem)));
	while (input.len < 4 * REDACT_WINDOW)
	{
		uint32_t	gap = 1 + draw(draw(3) ? 200 : REDACT_WINDOW);

		for (uint32_t i = 0; i < gap; i++)
		{
			char		c = len > 0 ? bytes[(input.len + i) % len] : 'x';

			buffer_char(&input, c == '\n' ? ' ' : c);
		}
		switch (draw(4))
		{
			case 0:
				buffer_string(&input, SECRET);
				break;
			case 1:
				buffer_append(&input, long_secret, LONG_SECRET_BYTES);
				break;
			default:
				/* a match that is longer than the window, at times */
				buffer_string(&input, "key=");
				for (uint32_t i = draw(draw(4) ? 50 : 3 * REDACT_WINDOW); i > 0; i--)
					buffer_char(&input, 'Q');
				buffer_char(&input, ' ');
		}
	}
	feed(&lines, input.data, input.len);
	MUST(memmem(gathered.text.data, gathered.text.len, SECRET, strlen(SECRET)) == NULL);
	MUST(memmem(gathered.text.data, gathered.text.len, long_secret, LONG_SECRET_BYTES) == NULL);
	MUST(memmem(gathered.text.data, gathered.text.len, "QQQ", 3) == NULL || (len > 0 && memchr(bytes, 'Q', len)));
	lines_free(&lines);
	redactor_free(redactor);
	buffer_free(&input);
	buffer_free(&gathered.text);
}

/* ---- structured lines ---- */

static bool
check_structured(const char *bytes, size_t len)
{
	Buffer		fields = {0};
	char	   *copy = own_block(bytes, len);
	bool		structured;

	structured = structured_parse(copy, len, "stderr", "WARNING", &fields);
	MUST(structured || fields.len == 0);
	if (structured)
	{
		MUST(fields.data[0] == ',');
		fields.data[0] = '{';
		buffer_char(&fields, '}');
		MUST(is_json_object(fields.data, fields.len));
	}
	free(copy);
	buffer_free(&fields);
	return structured;
}

/* ---- CSV ---- */

/* Read any bytes to their end, whatever they are. */
static void
check_csv_bytes(const char *bytes, size_t len)
{
	CsvRecord	record = {0};
	char	   *copy = own_block(bytes, len);
	size_t		at = 0;

	while (at < len)
	{
		size_t		taken = csv_read(&record, copy + at, len - at, true, ',');

		MUST(taken > 0 && taken <= len - at);
		for (int i = 0; i < record.count; i++)
			MUST(record.fields[i].at + record.fields[i].len <= record.text.len);
		at += taken;
	}
	csv_free(&record);
	free(copy);
}

/* What is written as CSV is read again, also when it comes in pieces. */
static void
check_csv_record(const char *bytes, size_t len)
{
	CsvRecord	record = {0};
	Buffer		written = {0};
	size_t		starts[8];
	size_t		lens[8];
	int			count = 1 + draw(8);
	size_t		taken = 0;

	for (int i = 0; i < count; i++)
	{
		bool		quoted = draw(2) == 0;

		starts[i] = draw(len + 1);
		lens[i] = draw(len - starts[i] + 1);
		if (memchr(bytes + starts[i], ',', lens[i]) || memchr(bytes + starts[i], '\n', lens[i]) ||
			memchr(bytes + starts[i], '\r', lens[i]) || memchr(bytes + starts[i], '"', lens[i]))
			quoted = true;
		if (i > 0)
			buffer_char(&written, ',');
		if (quoted)
			buffer_char(&written, '"');
		for (size_t j = 0; j < lens[i]; j++)
		{
			if (bytes[starts[i] + j] == '"')
				buffer_char(&written, '"');
			buffer_char(&written, bytes[starts[i] + j]);
		}
		if (quoted)
			buffer_char(&written, '"');
	}
	buffer_string(&written, draw(2) ? "\n" : "\r\n");
	for (size_t have = 0; taken == 0; have += 1 + draw(20))
	{
		if (have > written.len)
			have = written.len;
		taken = csv_read(&record, written.data, have, have == written.len, ',');
	}
	MUST(taken == written.len && record.error == NULL && record.count == count);
	for (int i = 0; i < count; i++)
		MUST(record.fields[i].len == lens[i] &&
			 memcmp(record.text.data + record.fields[i].at, bytes + starts[i], lens[i]) == 0);
	csv_free(&record);
	buffer_free(&written);
}

/* ---- conversion ---- */

static bool
check_convert(const char *bytes, size_t len)
{
	Converter	converter = {.rest = (RestMode) draw(3),.exported = draw(2)};
	Converter	slow;
	Buffer		out = {0};
	Buffer		slow_out = {0};
	bool		converted;

	if (memchr(bytes, '\n', len) != NULL)
		return false;
	if (draw(4) == 0)
		converter.map[COLUMN_MESSAGE] = "m";
	slow = converter;
	slow.as_is_failed = true;
	if (draw(2))
		for (int i = 0; i < 2; i++)
			(i ? &slow : &converter)->set[COLUMN_EXECUTION_ID] = xstrdup("\"e\"");
	if (draw(4) == 0)
		for (int i = 0; i < 2; i++)
			(i ? &slow : &converter)->set[COLUMN_DATA] = xstrdup("{\"set\":1}");

	converted = convert_line(&converter, bytes, len, &out);
	if (converted)
	{
		MUST(out.len > 0 && out.data[out.len - 1] == '\n');
		MUST(memchr(out.data, '\n', out.len - 1) == NULL);
		MUST(is_json_object(out.data, out.len - 1));
	}
	/* but for the time, which has always the same length */
	MUST(convert_line(&slow, bytes, len, &slow_out) == converted);
	MUST(!converted || slow_out.len == out.len);
	MUST(converted || strcmp(buffer_text(&slow.problem), buffer_text(&converter.problem)) == 0);
	convert_free(&converter);
	convert_free(&slow);
	buffer_free(&out);
	buffer_free(&slow_out);
	return converted;
}

static long structured_lines = 0;
static long converted_lines = 0;

static void
check(const char *bytes, size_t len)
{
	static Redactor *redactor = NULL;
	char		problem[100];

	if (redactor == NULL)
	{
		redactor = redactor_create();
		redactor_add_value(redactor, SECRET);
		redactor_add_value(redactor, "a\"b");
		MUST(redactor_add_pattern(redactor, "(pass|tok)[^ ]*=[^ ]+", problem, sizeof(problem)));
		MUST(redactor_add_pattern(redactor, "^x.$", problem, sizeof(problem)));
		MUST(!redactor_add_pattern(redactor, "(", problem, sizeof(problem)));
	}
	check_lines(bytes, len, NULL, 16 + draw(100));
	check_lines(bytes, len, redactor, 16 + draw(100));
	structured_lines += check_structured(bytes, len);
	check_csv_bytes(bytes, len);
	check_csv_record(bytes, len);
	converted_lines += check_convert(bytes, len);
}

#ifdef LIBFUZZER

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	model_state = MODEL_STATE;
	check((const char *) data, size);
	return 0;
}

#else

static const char *const seeds[] = {
	"{\"level\":\"warn\",\"message\":\"m\",\"k\":[1,{\"a\":null}],\"data\":{\"x\":1},\"progress_percentage\":5.5}",
	"{\"severity\":30,\"msg\":\"\\u0000\\ud800 \\\\x00\",\"time\":1.5,\"stream\":\"s\",\"event_type\":\"log\"}",
	"{\"execution_id\":\"e\",\"message\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"attempt\":2}",
	"{\"execution_id\":\"e\",\"m\":\"\\\\x00\\\\x5c\\\\ud800\",\"ts\":1795327200,\"level\":\"loud\",\"step_number\":-1}",
	"a,\"b \"\"c\"\"\nd\",,\"\"\r\n\"open,1\n2,3\n",
	"tok=" SECRET " password=x " SECRET SECRET "\r\nx1\n a\"b \xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80 \xFF\n\n\r\n",
	"\\x00 \\u0000 \\\\x \\ \\x5c long long long long long long long long long line \xE2\x82\xAC\xE2\x82\xAC",
};

static const char *const pieces[] = {
	SECRET, "tok=", "\n", "\r\n", "\r", "\"", ",", "\"\"", "\\", "\\x00", "\xE2\x82\xAC", "\xFF", "{", "}",
	"\"message\":\"", "\"level\":", "some text ", "s3cr", "3t", "\xF0\x9F\x98", "x",
};

int
main(int argc, char **argv)
{
	long		rounds = argc > 1 ? atol(argv[1]) : 20000;
	char		bytes[4096];

	MUST(check_structured(seeds[0], strlen(seeds[0])) && check_structured(seeds[1], strlen(seeds[1])));
	for (long i = 0; i < rounds; i++)
	{
		size_t		len;

		model_round = i;
		if (i % 2 == 0)
		{
			const char *seed = seeds[i / 2 % COUNT(seeds)];

			memcpy(bytes, seed, strlen(seed));
			len = mutate(bytes, strlen(seed), sizeof(bytes), NULL);
		}
		else
			len = assemble(bytes, sizeof(bytes), pieces, COUNT(pieces), 60);
		check(bytes, len);
		if (i % 500 == 0)
			check_long_line(bytes, len);
	}
	printf("%ld rounds, %ld structured lines, %ld converted lines\n", rounds, structured_lines,
		   converted_lines);
	return structured_lines > 0 && converted_lines > 0 ? 0 : 1;
}

#endif
