/*
 * Fuzzer and model test of what the command makes of text nobody vouches for:
 * src/client/{timeparse,calendar,text,jsonscan}.c, which need no server.
 *
 * With clang, the coverage-guided fuzzer:
 *   clang -g -fsanitize=fuzzer,address,undefined -DLIBFUZZER -Isrc/client test/fuzz/command.c \
 *       src/client/{timeparse,calendar,text,jsonscan,buffer}.c -o fuzz && ./fuzz
 * With any compiler, a given number of random texts (test/t/100_command_model.pl):
 *   cc -g -fsanitize=address,undefined -Isrc/client ... -o model && ./model 100000
 *
 * What must hold for any bytes:
 *   - a duration or time that is accepted is within bounds, and a time that is
 *     written as UTC is read as the same;
 *   - cleaned text is valid UTF-8 without a control character; cleaning it
 *     again changes nothing but what it says of backslashes, which is nothing;
 *   - the pieces into which a line is broken are no wider than they may be,
 *     and together hold all of it but blanks;
 *   - whatever is found in JSON lies within it; a string that was quoted is
 *     read as it was.
 */
#include "model.h"

#include "jsonscan.h"
#include "text.h"
#include "timeparse.h"

#define NOW (INT64_C(1795327200) * MICROSECONDS)	/* 2026-11-22T06:00:00Z */
#define YEAR_1 (INT64_C(-62135596800) * MICROSECONDS)
#define YEAR_10000 (INT64_C(253402300800) * MICROSECONDS)

static long accepted = 0;

static void
check_times(const char *text)
{
	int64_t		value = -1;
	int64_t		again;
	char		out[TIME_TEXT_SIZE];
	const char *problem = parse_duration(text, &value);

	if (problem == NULL)
	{
		MUST(value >= 0 && value <= YEAR_10000 - YEAR_1);
		accepted++;
	}
	else
		MUST(problem[0] != '\0');
	for (int utc = 0; utc < 2; utc++)
	{
		problem = parse_time(text, NOW, utc, &value);
		if (problem)
			continue;
		MUST(value >= YEAR_1 && value < YEAR_10000);
		format_time_utc(out, value);
		MUST(parse_time(out, NOW, utc, &again) == NULL && again == value);
		MUST(parse_timestamp(out, strlen(out), &again) && again == value);
		accepted++;
	}
	format_duration(out, sizeof(out), value);
	(void) parse_timestamp(text, strlen(text), &value);
}

/* Valid UTF-8 without control characters, other than line feeds if they are kept. */
static bool
is_clean(const char *text, size_t len, int flags)
{
	for (size_t i = 0; i < len;)
	{
		uint32_t	code;
		int			bytes = text_decode(text + i, len - i, &code);

		if (bytes == 0 || ((flags & TEXT_ASCII) && code >= 0x80))
			return false;
		if ((code < 0x20 && !(code == '\n' && (flags & TEXT_KEEP_LINES))) ||
			(code >= 0x7F && code <= 0x9F) || (code >= 0x200B && code <= 0x200F) ||
			(code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069))
			return false;
		i += bytes;
	}
	return true;
}

static void
check_text(const char *bytes, size_t len)
{
	for (int flags = 0; flags <= (TEXT_KEEP_LINES | TEXT_ASCII); flags++)
	{
		Buffer		clean = {0};
		Buffer		again = {0};

		text_clean(&clean, bytes, len, flags);
		MUST(is_clean(clean.data ? clean.data : "", clean.len, flags));
		text_clean(&again, clean.data, clean.len, flags);
		MUST(again.len == clean.len && (clean.len == 0 || memcmp(again.data, clean.data, clean.len) == 0));
		if (!(flags & TEXT_KEEP_LINES))
			for (size_t width = 1; width < 12; width += 5)
			{
				size_t		at = 0;
				size_t		kept = 0;

				while (at < clean.len)
				{
					size_t		skip;
					size_t		taken = text_break(clean.data + at, clean.len - at, width, &skip);

					MUST(taken > 0 && at + taken + skip <= clean.len);
					/* a character of two columns does not fit into one */
					MUST(text_width(clean.data + at, taken) <= width || width == 1 ||
						 text_fit(clean.data + at, taken, width) == 0);
					for (size_t i = 0; i < skip; i++)
						MUST(clean.data[at + taken + i] == ' ');
					at += taken + skip;
					kept += taken + skip;
				}
				MUST(kept == clean.len);
			}
		buffer_free(&clean);
		buffer_free(&again);
	}
}

/* Walk through everything that is found. */
static void
walk_value(const JsonValue *value, const char *begin, const char *end, int depth)
{
	JsonWalk	walk;
	JsonValue	key;
	JsonValue	inner;

	MUST(value->text >= begin && value->text + value->len <= end);
	if (value->kind == JSON_STRING)
	{
		Buffer		text = {0};

		json_decode(&text, value);
		MUST(text.len <= value->len);
		buffer_free(&text);
	}
	if (depth > 20)
		return;
	walk = json_walk(value);
	if (value->kind == JSON_OBJECT)
		while (json_next_pair(&walk, &key, &inner))
		{
			walk_value(&key, begin, end, depth + 1);
			walk_value(&inner, begin, end, depth + 1);
		}
	else if (value->kind == JSON_ARRAY)
		while (json_next_element(&walk, &inner))
			walk_value(&inner, begin, end, depth + 1);
}

static void
check_json(const char *bytes, size_t len)
{
	JsonValue	value = json_document(bytes, len);
	Buffer		quoted = {0};
	Buffer		back = {0};

	walk_value(&value, bytes, bytes + len, 0);
	(void) json_find(&value, "id");

	json_quote(&quoted, bytes, len);
	buffer_string(&quoted, " , 1");
	value = json_document(quoted.data, quoted.len);
	MUST(value.kind == JSON_STRING && value.len + 6 == quoted.len);
	if (memchr(bytes, '\0', len) == NULL)	/* which no text of PostgreSQL has */
	{
		json_decode(&back, &value);
		MUST(back.len == len && (len == 0 || memcmp(back.data, bytes, len) == 0));
	}
	buffer_free(&quoted);
	buffer_free(&back);
}

/* Each in a block of its own size, so that a read beyond it is seen. */
static void
check_all(const uint8_t *data, size_t len)
{
	char	   *block = malloc(len + 1);	/* with room for the end of a string */

	memcpy(block, data, len);
	block[len] = '\0';
	check_times(block);
	block = realloc(block, len ? len : 1);
	check_text(block, len);
	check_json(block, len);
	free(block);
}

#ifdef LIBFUZZER

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 2048)
		check_all(data, size);
	return 0;
}

#else

static const char *const seeds[] = {
	"5m", "1h30m", "1.5h", "250ms", "2 days 3 hours", "1w2d3h4m5s6ms7us", "999999999w",
	"2026-11-22T06:34:58.658301Z", "2026-11-22 06:34:58+02:00", "2024-02-29", "0001-01-01", "9999-12-31T24:00:00Z",
	"14:30", "14:30:05.25", "today", "yesterday", "now", "1795327200", "1795327200123", "1795327200.5",
	"\x1b[31mred\x1b[0m and \x1b]0;title\x07 more", "\x1bP1$r\x1b\\", "\xc2\x9b" "31m", "a\tb\r\nc\rd\x7f",
	"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80 \xE6\xBC\xA2\xE5\xAD\x97 \xE2\x80\xAE" "evil",
	"{\"id\":\"x\",\"a\":[1,2,{\"b\":\"\\u00e9\\ud83d\\ude00\\n\"}],\"t\":true,\"z\":null,\"n\":-1.5e3}",
	"[[],{},\"\",{\"k\":\"\\\\\\\"\"}]",
};

static const char *const pieces[] = {
	"\x1b", "\x1b[", "\x1b]", "\x07", "\x1b\\", "\xc2\x9b", "\xc2\x9c", "\xe2\x80\xae", "\xff", "\t", "\n", "\r\n", " ",
	"  ", "0", "9999", "h", "m", "ms", ":", "-", "T", "Z", "+", ".", "{", "}", "[", "]", "\"", "\\", "\\u", "ud8", ",", "word",
};

int
main(int argc, char **argv)
{
	long		rounds = argc > 1 ? atol(argv[1]) : 100000;
	uint8_t		bytes[1024];

	for (size_t i = 0; i < COUNT(seeds); i++)
		check_all((const uint8_t *) seeds[i], strlen(seeds[i]));
	for (long i = 0; i < rounds; i++)
	{
		const char *seed = seeds[i % COUNT(seeds)];
		size_t		len = strlen(seed);

		model_round = i;
		memcpy(bytes, seed, len);
		for (uint32_t n = draw(5); n > 0; n--)
		{
			const char *piece = pieces[draw(COUNT(pieces))];
			size_t		at = draw(len + 1);
			size_t		more = strlen(piece);

			switch (draw(4))
			{
				case 0:
					if (len > 0)
						bytes[at % len] = draw(256);
					break;
				case 1:
					len = at;
					break;
				default:
					if (len + more > sizeof(bytes))
						break;
					memmove(bytes + at + more, bytes + at, len - at);
					memcpy(bytes + at, piece, more);
					len += more;
			}
		}
		check_all(bytes, len);
	}
	printf("%ld rounds, %ld durations and times were accepted\n", rounds, accepted);
	return 0;
}

#endif
