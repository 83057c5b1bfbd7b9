/*
 * Unit tests of what "wflog run" and "wflog ingest" read: the line splitter,
 * the redactor, structured lines, CSV, and the conversion of JSON lines and
 * CSV; what src/client/{lines,redact,structured,csv,columns,convert}.c make of
 * known input.  Prints TAP; test/t/110_command_capture.pl builds and runs it.
 * test/fuzz/capture.c says what holds for any input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "lines.h"
#include "structured.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int	tests = 0;
static int	failures = 0;

void
ndjson_enlarge(NdjsonBuffer *buffer, size_t size)
{
	buffer->data = xrealloc(buffer->data, size);
	buffer->size = size;
}

/* One test: what came of it, which is freed, against what is wanted. */
static void
check(const char *group, size_t number, Buffer *got, const char *wanted)
{
	bool		good = strcmp(buffer_text(got), wanted) == 0;

	printf("%sok %d - %s %zu\n", good ? "" : "not ", ++tests, group, number + 1);
	if (!good)
	{
		printf("# got    %s\n# wanted %s\n", buffer_text(got), wanted);
		failures++;
	}
	buffer_free(got);
}

/* ---- lines ---- */

/* Parts are shown as WORD(text). */
static void
show_part(void *arg, const char *text, size_t len, LinePart part)
{
	static const char *const words[] = {"line", "begin", "middle", "end", "unterminated"};

	buffer_string(arg, words[part]);
	buffer_char(arg, '(');
	for (size_t i = 0; i < len; i++)
		buffer_char(arg, text[i] ? text[i] : '0');
	buffer_string(arg, ") ");
}

static const struct
{
	const char *pieces[4];		/* as they are read */
	size_t		limit;
	const char *parts;
}			splits[] = {
	{{"one\ntwo\n"}, 16, "line(one) line(two) "},
	{{"o", "ne", "\nt", "wo\n"}, 16, "line(one) line(two) "},
	{{"one\r\n", "two\r", "\nth\rree\n"}, 16, "line(one) line(two) line(th\rree) "},
	{{"\n\n\r\n"}, 16, "line() line() line() "},
	{{"one\ntw", "o"}, 16, "line(one) unterminated(two) "},
	{{"one\r"}, 16, "unterminated(one\r) "},
	{{""}, 16, ""},
	{{"0123456789abcdef\n"}, 16, "line(0123456789abcdef) "},
	{{"0123456789abcdefg\n"}, 16, "begin(0123456789abcdef) end(g) "},
	{{"0123456789abcdef0123456789abcdef0", "\n"}, 16, "begin(0123456789abcdef) middle(0123456789abcdef) end(0) "},
	{{"0123456789abcdefg"}, 16, "begin(0123456789abcdef) unterminated(g) "},
	/* three bytes of one character, at the limit and across reads */
	{{"0123456789abcd\xE2\x82\xAC\n"}, 16, "begin(0123456789abcd) end(\xE2\x82\xAC) "},
	{{"0123456789abcd\xE2", "\x82", "\xAC", "x\n"}, 16, "begin(0123456789abcd) end(\xE2\x82\xACx) "},
	/* a byte that is no UTF-8 takes four in the database */
	{{"\xFF\xFF\xFF\xFF\xFF\n"}, 16, "begin(\xFF\xFF\xFF\xFF) end(\xFF) "},
	{{"\x1B[31mred\x1B[0m\n"}, 64, "line(\x1B[31mred\x1B[0m) "},
};

static void
check_splits(void)
{
	for (size_t i = 0; i < COUNT(splits); i++)
	{
		Buffer		got = {0};
		LineSplitter lines = {.limit = splits[i].limit,.sink = show_part,.arg = &got};

		for (int j = 0; j < 4 && splits[i].pieces[j]; j++)
			lines_feed(&lines, splits[i].pieces[j], strlen(splits[i].pieces[j]));
		lines_finish(&lines);
		lines_free(&lines);
		check("lines", i, &got, splits[i].parts);
	}
	{
		Buffer		got = {0};
		LineSplitter lines = {.limit = 16,.sink = show_part,.arg = &got};

		lines_feed(&lines, "a\0b\n\0", 5);
		lines_finish(&lines);
		lines_free(&lines);
		check("lines with NUL", 0, &got, "line(a0b) unterminated(0) ");
	}
}

/* ---- secrets ---- */

static const struct
{
	const char *pattern;		/* or NULL */
	const char *value;			/* or NULL */
	const char *pieces[4];
	const char *parts;
}			secrets[] = {
	{NULL, "hunter2", {"pw hunter2.\n"}, "line(pw ***.) "},
	{NULL, "hunter2", {"pw hun", "te", "r2.\n"}, "line(pw ***.) "},
	{NULL, "hunter2", {"hunter2hunter2\n"}, "line(***) "},
	{NULL, "hunter2", {"hunter", "\nhunter2"}, "line(hunter) unterminated(***) "},
	{NULL, "hunter2", {"Hunter2\n"}, "line(Hunter2) "},
	{NULL, "a\"b", {"{\"m\":\"a\\\"b\"} a\"b\n"}, "line({\"m\":\"***\"} ***) "},
	{NULL, "first line\nxyz\nlast line", {"first line\nxyz\nlast line\n"}, "line(***) line(xyz) line(***) "},
	{"token=[^ ]+", NULL, {"a token=abc b\n"}, "line(a *** b) "},
	{"token=[^ ]+", NULL, {"a tok", "en=a", "bc", " b\n"}, "line(a *** b) "},
	{"token=[^ ]+", NULL, {"token= x\n"}, "line(token= x) "},
	{"^x.$", NULL, {"xy\nxyz\n"}, "line(***) line(xyz) "},
	{"x*", NULL, {"axb\n"}, "line(a***b) "},
	{"b+", "abc", {"abcb\n"}, "line(***) "},
};

static void
check_secrets(void)
{
	for (size_t i = 0; i < COUNT(secrets); i++)
	{
		Buffer		got = {0};
		Redactor   *redactor = redactor_create();
		LineSplitter lines = {.redactor = redactor,.limit = 64,.sink = show_part,.arg = &got};
		char		problem[100];

		if (secrets[i].pattern &&
			!redactor_add_pattern(redactor, secrets[i].pattern, problem, sizeof(problem)))
			buffer_string(&got, problem);
		if (secrets[i].value)
			redactor_add_value(redactor, secrets[i].value);
		for (int j = 0; j < 4 && secrets[i].pieces[j]; j++)
			lines_feed(&lines, secrets[i].pieces[j], strlen(secrets[i].pieces[j]));
		lines_finish(&lines);
		lines_free(&lines);
		redactor_free(redactor);
		check("secrets", i, &got, secrets[i].parts);
	}
}

/* ---- structured lines ---- */

static const struct
{
	const char *line;
	const char *members;		/* "" if it is text */
}			structured[] = {
	{"{\"message\":\"m\"}",
	",\"message\":\"m\",\"level\":\"WARNING\",\"event_type\":\"step_output\",\"data\":{\"stream\":\"stderr\"}"},
	{"{\"msg\":\"m\",\"lvl\":\"debug\",\"k\":[1],\"attempt\":9,\"step_number\":1}",
	",\"message\":\"m\",\"level\":\"DEBUG\",\"event_type\":\"step_output\",\"data\":{\"k\":[1],\"attempt\":9,\"step_number\":1,\"stream\":\"stderr\"}"},
	{"plain", ""},
	{"{\"level\":\"info\"}", ""},
	{"{\"message\":1}", ""},
	{"{\"message\":\"m\"} more", ""},
	{"{\"message\":\"m\"", ""},
	{"[\"message\"]", ""},
};

static void
check_structured(void)
{
	for (size_t i = 0; i < COUNT(structured); i++)
	{
		Buffer		got = {0};

		structured_parse(structured[i].line, strlen(structured[i].line), "stderr", "WARNING", &got);
		check("structured", i, &got, structured[i].members);
	}
}

/* ---- CSV ---- */

/* Records are shown as [field|field], quoted ones with quotes, and errors. */
static const struct
{
	const char *text;
	char		delimiter;
	const char *records;
}			tables[] = {
	{"a,b\nc,d\n", ',', "[a|b][c|d]"},
	{"a,b\r\nc,d", ',', "[a|b][c|d]"},
	{",\n\"\",x\n", ',', "[|][\"\"|x]"},
	{"\"a,b\",\"c \"\"d\"\"\"\n", ',', "[\"a,b\"|\"c \"d\"\"]"},
	{"\"two\nlines\",x\n", ',', "[\"two\nlines\"|x]"},
	{"\"two\r\nlines\"\r\n", ',', "[\"two\r\nlines\"]"},
	{"a;b,c\n", ';', "[a|b,c]"},
	{"a\tb\n", '\t', "[a|b]"},
	{"say \"hi\",x\n", ',', "[say \"hi\"|x]"},
	{" a , b \n", ',', "[ a | b ]"},
	{"\n", ',', "[]"},
	{"\"bad\"x,y\nz\n", ',', "[error][z]"},
	{"\"open\nz\n", ',', "[error][z]"},
};

static void
check_tables(void)
{
	for (size_t i = 0; i < COUNT(tables); i++)
	{
		const char *at = tables[i].text;
		const char *end = at + strlen(at);
		CsvRecord	record = {0};
		Buffer		got = {0};

		while (at < end)
		{
			at += csv_read(&record, at, end - at, true, tables[i].delimiter);
			buffer_char(&got, '[');
			for (int j = 0; j < record.count && !record.error; j++)
			{
				const CsvField *field = &record.fields[j];

				if (j > 0)
					buffer_char(&got, '|');
				if (field->quoted)
					buffer_char(&got, '"');
				buffer_append(&got, record.text.data + field->at, field->len);
				if (field->quoted)
					buffer_char(&got, '"');
			}
			buffer_string(&got, record.error ? "error]" : "]");
		}
		csv_free(&record);
		check("CSV", i, &got, tables[i].records);
	}
}

/* A record without its end is waited for, and one that has it is taken whole. */
static void
check_pieces_of_csv(void)
{
	static const char text[] = "\"a\nb\",\"c\"\"\"\r\nnext";
	CsvRecord	record = {0};
	Buffer		got = {0};

	for (size_t have = 0; have < sizeof(text); have++)
		buffer_printf(&got, "%zu ", csv_read(&record, text, have, false, ','));
	csv_free(&record);
	check("CSV in pieces", 0, &got, "0 0 0 0 0 0 0 0 0 0 0 0 0 13 13 13 13 13 ");
}

/* ---- conversion ---- */

#define TIME "\"created_at\":\"2026-01-31T12:00:00Z\""

static const struct
{
	const char *line;
	RestMode	rest;
	const char *converted;		/* or, after "! ", why not */
}			lines[] = {
	/* as the server wants it: as it is */
	{"{\"execution_id\":\"e\",\"message\":\"m\"," TIME "}", REST_DATA, "{\"execution_id\":\"e\",\"message\":\"m\"," TIME "}\n"},
	{" {\"execution_id\": \"e\", \"message\": \"m\", " TIME ", \"data\": {\"a\": [1]}} ", REST_DATA,
	" {\"execution_id\": \"e\", \"message\": \"m\", " TIME ", \"data\": {\"a\": [1]}} \n"},
	/* other names, words and numbers */
	{"{\"execution_id\":\"e\",\"msg\":\"m\",\"severity\":\"warn\",\"ts\":1795327200.5}", REST_DATA,
	"{\"execution_id\":\"e\",\"message\":\"m\",\"level\":\"WARNING\",\"created_at\":\"2026-11-22T06:00:00.500000Z\"}\n"},
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"level\":50," TIME "}", REST_DATA,
	"{\"execution_id\":\"e\",\"message\":\"m\",\"level\":\"ERROR\"," TIME "}\n"},
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"time\":1795327200123}", REST_DATA,
	"{\"execution_id\":\"e\",\"message\":\"m\",\"created_at\":\"2026-11-22T06:00:00.123000Z\"}\n"},
	/* what is no field */
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"x\":{\"y\":1},\"data\":{\"d\":2}," TIME "}", REST_DATA,
	"{\"execution_id\":\"e\",\"message\":\"m\"," TIME ",\"data\":{\"x\":{\"y\":1},\"d\":2}}\n"},
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"x\":1," TIME "}", REST_DROP, "{\"execution_id\":\"e\",\"message\":\"m\"," TIME "}\n"},
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"x\":1}", REST_ERROR, "! unknown field: \"x\" is no field of a log"},
	/* what is none */
	{"{\"message\":\"m\"}", REST_DATA, "! execution_id is missing"},
	{"{\"execution_id\":\"e\"}", REST_DATA, "! message is missing"},
	{"{\"execution_id\":\"e\",\"message\":5}", REST_DATA, "! message: \"5\" must be a string"},
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"level\":\"loud\"}", REST_DATA, "! level: \"loud\" is not a log level"},
	{"{\"execution_id\":\"e\",\"message\":\"m\",\"attempt\":0}", REST_DATA, "! attempt: \"0\" is out of range"},
	{"{\"execution_id\":\"e\",\"message\":\"m\"", REST_DATA, "! the object has no end, at byte 34"},
	{"nonsense", REST_DATA, "! a JSON object is needed, at byte 1"},
	{"", REST_DATA, "! a JSON object is needed, at byte 1"},
};

static void
check_lines(void)
{
	for (size_t i = 0; i < COUNT(lines); i++)
	{
		Converter	converter = {.rest = lines[i].rest};
		Buffer		got = {0};

		if (!convert_line(&converter, lines[i].line, strlen(lines[i].line), &got))
		{
			got.len = 0;
			buffer_printf(&got, "! %s", buffer_text(&converter.problem));
		}
		convert_free(&converter);
		check("JSON lines", i, &got, lines[i].converted);
	}
}

/* Records under the header execution_id,message,level,created_at,attempt,data,colour. */
static const struct
{
	const char *record;
	const char *converted;
}			records[] = {
	{"e,m,info,2026-01-31,,,", "{\"execution_id\":\"e\",\"message\":\"m\",\"level\":\"INFO\",\"created_at\":\"2026-01-31\"}\n"},
	{"e,\"a \"\"b\"\"\",30,1795327200,2,\"{\"\"x\"\": 1}\",red",
	"{\"execution_id\":\"e\",\"message\":\"a \\\"b\\\"\",\"level\":\"INFO\",\"created_at\":\"2026-11-22T06:00:00.000000Z\",\"attempt\":2,\"data\":{\"x\": 1,\"colour\":\"red\"}}\n"},
	{"e,m,loud,,,,", "! level: \"loud\" is not a log level"},
	{"e,m,,,x,,", "! attempt: \"x\" cannot be read"},
	{"e,m,,,,{} x,", "! data: \"{} x\" cannot be read"},
	{"e,m", "! there are 2 fields, not 7"},
	{",m,,,,,", "! execution_id is missing"},
};

static void
check_records(void)
{
	static const char header[] = "execution_id,message,level,created_at,attempt,data,colour";

	for (size_t i = 0; i < COUNT(records); i++)
	{
		Converter	converter = {.rest = REST_DATA};
		CsvRecord	record = {0};
		Buffer		got = {0};

		csv_read(&record, header, strlen(header), true, ',');
		if (!convert_header(&converter, &record))
			buffer_string(&got, "the header is refused ");
		csv_read(&record, records[i].record, strlen(records[i].record), true, ',');
		if (!convert_record(&converter, &record, &got))
		{
			got.len = 0;
			buffer_printf(&got, "! %s", buffer_text(&converter.problem));
		}
		csv_free(&record);
		convert_free(&converter);
		check("CSV records", i, &got, records[i].converted);
	}
}

int
main(void)
{
	check_splits();
	check_secrets();
	check_structured();
	check_tables();
	check_pieces_of_csv();
	check_lines();
	check_records();
	printf("1..%d\n", tests);
	return failures > 0;
}
