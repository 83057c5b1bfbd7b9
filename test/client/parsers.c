/*
 * Unit tests of the command's parsers (timeparse.c, calendar.c, text.c and
 * jsonscan.c of src/client/): what they make of known input.  Prints TAP;
 * test/t/100_command_model.pl builds and runs it.  test/fuzz/command.c says what
 * holds for any input.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jsonscan.h"
#include "text.h"
#include "timeparse.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW (INT64_C(1795327200) * MICROSECONDS)	/* 2026-11-22T06:00:00Z, a Sunday */

static int	tests = 0;
static int	failures = 0;

static void
report(bool good, const char *what, const char *got, const char *wanted)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, what);
	if (!good)
	{
		printf("# got    %s\n# wanted %s\n", got, wanted);
		failures++;
	}
}

static const struct
{
	const char *text;
	int64_t		microseconds;	/* -1: refused */
}			durations[] = {
	{"90s", 90 * MICROSECONDS}, {"5m", 300 * MICROSECONDS}, {"1h30m", 5400 * MICROSECONDS},
	{"1.5h", 5400 * MICROSECONDS}, {"250ms", 250000}, {"7us", 7}, {"2d", 172800 * MICROSECONDS},
	{"1w", 604800 * MICROSECONDS}, {"2 days 3 hours", 183600 * MICROSECONDS}, {"10 Min", 600 * MICROSECONDS},
	{"0s", 0}, {"0.000001s", 1}, {"0.0000001s", 0}, {"1w2d3h4m5s6ms7us", INT64_C(788645006007)},
	{" 5m ", 300 * MICROSECONDS}, {"36500d", INT64_C(3153600000) * MICROSECONDS},
	{"", -1}, {" ", -1}, {"5", -1}, {"m", -1}, {"5x", -1}, {"5m3", -1}, {"-5m", -1}, {"5m1h", -1},
	{"5m5m", -1}, {"1.h", -1}, {".5h", -1}, {"99999999w", -1}, {"99999999999999999999s", -1},
	{"1e3s", -1}, {"5 m, 3 s", -1}, {"5m\n", -1}, {"9999999h9999999999m", -1},
};

/* The zone is Berlin: one hour ahead of UTC in November, two in July. */
static const struct
{
	const char *text;
	bool		utc;
	const char *time;			/* NULL: refused */
}			times[] = {
	{"5m", false, "2026-11-22T05:55:00.000000Z"}, {"1d", false, "2026-11-21T06:00:00.000000Z"},
	{"now", false, "2026-11-22T06:00:00.000000Z"},
	{"today", true, "2026-11-22T00:00:00.000000Z"}, {"today", false, "2026-11-21T23:00:00.000000Z"},
	{"Yesterday", false, "2026-11-20T23:00:00.000000Z"},
	{"06:30", true, "2026-11-22T06:30:00.000000Z"}, {"06:30:05.25", false, "2026-11-22T05:30:05.250000Z"},
	{"2026-01-31", true, "2026-01-31T00:00:00.000000Z"}, {"2026-07-31", false, "2026-07-30T22:00:00.000000Z"},
	{"2026-01-31T14:30:00Z", false, "2026-01-31T14:30:00.000000Z"},
	{"2026-01-31 14:30:00.123456789Z", false, "2026-01-31T14:30:00.123456Z"},
	{"2026-01-31t14:30z", false, "2026-01-31T14:30:00.000000Z"},
	{"2026-01-31T14:30:00+05:30", false, "2026-01-31T09:00:00.000000Z"},
	{"2026-01-31T14:30:00-0800", false, "2026-01-31T22:30:00.000000Z"},
	{"2026-01-31T14:30:00 UTC", false, "2026-01-31T14:30:00.000000Z"},
	{"2026-01-31T14:30:00+02", false, "2026-01-31T12:30:00.000000Z"},
	{"2026-07-31 14:30", false, "2026-07-31T12:30:00.000000Z"},
	{"2026-01-31T24:00:00Z", false, "2026-02-01T00:00:00.000000Z"},
	{"2024-02-29T00:00:00Z", false, "2024-02-29T00:00:00.000000Z"},
	{"1795327200", false, "2026-11-22T06:00:00.000000Z"},
	{"1795327200.5", false, "2026-11-22T06:00:00.500000Z"},
	{"1795327200123", false, "2026-11-22T06:00:00.123000Z"},
	{"0001-01-01T00:00:00Z", false, "0001-01-01T00:00:00.000000Z"},
	{"9999-12-31T23:59:59.999999Z", false, "9999-12-31T23:59:59.999999Z"},
	{"", true, NULL}, {"5", true, NULL}, {"soon", true, NULL}, {"2026-02-29", true, NULL},
	{"2026-13-01", true, NULL}, {"2026-01-32", true, NULL}, {"0000-01-01", true, NULL},
	{"2026-01-31T25:00", true, NULL}, {"2026-01-31T14:60", true, NULL}, {"2026-01-31T24:00:01", true, NULL},
	{"2026-01-31T14:30:00Q", true, NULL}, {"2026-01-31T14:30:00+16:00", true, NULL},
	{"2026-01-31T14:30:00Zx", true, NULL}, {"2026-01-31X", true, NULL}, {"14:3", true, NULL},
	{"99999999999", false, "5138-11-16T09:46:39.000000Z"}, {"999999999999999999", true, NULL},
	{"4000000d", true, NULL}, {"9999-12-31T23:59:59-01:00", true, NULL}, {"2026-1-31", true, NULL},
};

static const struct
{
	const char *text;
	int			flags;
	const char *clean;
}			cleaned[] = {
	{"plain text", 0, "plain text"},
	{"\x1b[31mred\x1b[0m", 0, "red"},
	{"\x1b[38;5;196mred\x1b[m \x1b[2J\x1b[H", 0, "red "},
	{"\x1b]0;title\x07text", 0, "text"},
	{"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", 0, "link"},
	{"\x1bP$q\"p\x1b\\x", 0, "x"},
	{"\x1b(Bx\x1b=y\x1b" "7z", 0, "xyz"},
	{"\xc2\x9b" "31mred", 0, "red"},
	{"\xc2\x9d" "0;t\xc2\x9c" "x", 0, "x"},
	{"a\x1b", 0, "a^["},
	{"a\x1b[31", 0, "a^[[31"},
	{"a\x1b]0;never ends\nnext", TEXT_KEEP_LINES, "a^[]0;never ends\nnext"},
	{"bell\x07 null\x01 del\x7f", 0, "bell^G null^A del^?"},
	{"back\bspace\rreturn", 0, "back^Hspace^Mreturn"},
	{"two\r\nlines", TEXT_KEEP_LINES, "two\nlines"},
	{"two\nlines", 0, "two\\nlines"},
	{"a\tb\tc", 0, "a       b       c"},
	{"x\na\tb", TEXT_KEEP_LINES, "x\na       b"},
	{"bad \xff\xc3 utf8 \xed\xa0\x80", 0, "bad \\xff\\xc3 utf8 \\xed\\xa0\\x80"},
	{"\xe2\x80\xaereversed \xe2\x80\x8bzero \xef\xbb\xbf", 0, "\\u202ereversed \\u200bzero \\ufeff"},
	{"\xc2\x85 \xc2\x80", 0, "\\x85 \\x80"},
	{"gr\xc3\xbc\xc3\x9f", 0, "gr\xc3\xbc\xc3\x9f"},
	{"gr\xc3\xbc\xc3\x9f", TEXT_ASCII, "gr??"},
};

static const struct
{
	const char *line;
	size_t		width;
	const char *pieces;			/* with | in between */
}			broken[] = {
	{"short", 10, "short"},
	{"exactly ten", 11, "exactly ten"},
	{"the quick brown fox", 10, "the quick|brown fox"},
	{"the quick  brown fox", 9, "the quick|brown fox"},
	{"abcdefghijkl", 5, "abcde|fghij|kl"},
	{"a bcdefghijkl", 6, "a bcde|fghijk|l"},	/* not so early in the line */
	{"    indented text", 9, "    inden|ted text"},
	{"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97", 5, "\xe6\xbc\xa2\xe5\xad\x97|\xe6\xbc\xa2\xe5\xad\x97"},
	{"e\xcc\x81" "e\xcc\x81" "e", 2, "e\xcc\x81" "e\xcc\x81|e"},
};

int
main(void)
{
	static const char document[] =
		"{\"id\":\"a\\\"b\",\"list\":[1,{\"x\":\"]}\"},\"\\u00e9\\ud83d\\ude00\\ud800\"],\"none\":null}";
	JsonValue	whole = json_document(document, strlen(document));
	JsonValue	value;
	JsonWalk	walk;
	char		got[TIME_TEXT_SIZE];
	char	   *text;

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);	/* Berlin, whatever zones are installed */
	tzset();

	for (size_t i = 0; i < COUNT(durations); i++)
	{
		int64_t		duration = -1;
		char		what[64];
		char		wanted[32];

		if (parse_duration(durations[i].text, &duration) != NULL)
			duration = -1;
		snprintf(what, sizeof(what), "duration \"%s\"", strcmp(durations[i].text, "5m\n") ? durations[i].text : "5m and a line feed");
		snprintf(got, sizeof(got), "%" PRId64, duration);
		snprintf(wanted, sizeof(wanted), "%" PRId64, durations[i].microseconds);
		report(strcmp(got, wanted) == 0, what, got, wanted);
	}
	for (size_t i = 0; i < COUNT(times); i++)
	{
		int64_t		time;
		char		what[64];
		const char *wanted = times[i].time ? times[i].time : "refused";

		if (parse_time(times[i].text, NOW, times[i].utc, &time) != NULL)
			snprintf(got, sizeof(got), "refused");
		else
			format_time_utc(got, time);
		snprintf(what, sizeof(what), "time \"%s\"%s", times[i].text, times[i].utc ? " in UTC" : "");
		report(strcmp(got, wanted) == 0, what, got, wanted);
	}
	for (size_t i = 0; i < COUNT(cleaned); i++)
	{
		Buffer		clean = {0};
		char		what[32];

		text_clean(&clean, cleaned[i].text, strlen(cleaned[i].text), cleaned[i].flags);
		snprintf(what, sizeof(what), "cleaned text %zu", i + 1);
		report(strcmp(buffer_text(&clean), cleaned[i].clean) == 0, what, buffer_text(&clean), cleaned[i].clean);
		buffer_free(&clean);
	}
	for (size_t i = 0; i < COUNT(broken); i++)
	{
		Buffer		pieces = {0};
		const char *at = broken[i].line;
		char		what[32];

		while (*at)
		{
			size_t		skip;
			size_t		taken = text_break(at, strlen(at), broken[i].width, &skip);

			if (pieces.len > 0)
				buffer_char(&pieces, '|');
			buffer_append(&pieces, at, taken);
			at += taken + skip;
		}
		snprintf(what, sizeof(what), "broken line %zu", i + 1);
		report(strcmp(buffer_text(&pieces), broken[i].pieces) == 0, what, buffer_text(&pieces), broken[i].pieces);
		buffer_free(&pieces);
	}

	value = json_find(&whole, "id");
	text = json_text(&value);
	report(text && strcmp(text, "a\"b") == 0, "a JSON string", text, "a\"b");
	free(text);
	value = json_find(&whole, "none");
	report(value.kind == JSON_NULL && json_text(&value) == NULL, "a JSON null", "", "");
	value = json_find(&whole, "missing");
	report(value.kind == JSON_MISSING, "a JSON value that is not there", "", "");
	value = json_find(&whole, "list");
	walk = json_walk(&value);
	report(json_next_element(&walk, &value) && value.kind == JSON_NUMBER && value.len == 1, "a JSON number", "", "");
	report(json_next_element(&walk, &value) && value.kind == JSON_OBJECT && value.len == 10,
		   "a JSON object with brackets in a string", "", "");
	report(json_next_element(&walk, &value), "a JSON string with escapes", "", "");
	text = json_text(&value);
	report(text && strcmp(text, "\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd") == 0, "its text", text,
		   "e with acute, a face, a replacement character");
	free(text);
	report(!json_next_element(&walk, &value), "the end of a JSON array", "", "");

	format_duration(got, sizeof(got), 350 * 1000);
	report(strcmp(got, "350ms") == 0, "a short duration for people", got, "350ms");
	format_duration(got, sizeof(got), INT64_C(3725) * MICROSECONDS);
	report(strcmp(got, "1h 02m") == 0, "a long duration for people", got, "1h 02m");

	printf("1..%d\n", tests);
	return failures > 0;
}
