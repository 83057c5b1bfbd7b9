/*
 * Fuzzer and model test of src/ndjson*.c, which need no server.
 *
 * With clang, the coverage-guided fuzzer:
 *   clang -g -fsanitize=fuzzer,address,undefined -DLIBFUZZER -Isrc \
 *       test/fuzz/ndjson.c src/ndjson.c src/ndjson_string.c -o fuzz && ./fuzz
 * With any compiler, a given number of random lines (test/t/050_ndjson_model.pl):
 *   cc -g -fsanitize=address,undefined -Isrc ... -o model && ./model 100000
 *
 * What must hold for every line:
 *   - whatever is read is valid UTF-8 without NUL;
 *   - a container that has been read is good JSON;
 * and for every string of bytes, written as JSON with those bytes as they are:
 *   - it is read, and ndjson_unescape() gives back the bytes.
 */
#include "model.h"

#include "ndjson.h"

void
ndjson_enlarge(NdjsonBuffer *buffer, size_t size)
{
	/* exactly as much as was asked for, so that an overrun is seen */
	buffer->data = realloc(buffer->data, size);
	MUST(buffer->data != NULL);
	buffer->size = size;
}

static void
release(NdjsonReader *reader)
{
	free(reader->key.data);
	free(reader->value.data);
	free(reader->string.data);
}

/* A second opinion on UTF-8, by decoding. */
static bool
is_clean_text(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *) text;

	for (size_t i = 0; i < len;)
	{
		uint32_t	code = s[i];
		int			more = code < 0x80 ? 0 : code >> 5 == 6 ? 1 : code >> 4 == 14 ? 2 : code >> 3 == 30 ? 3 : -1;
		static const uint32_t least[] = {1, 0x80, 0x800, 0x10000};

		if (more < 0 || i + more >= len)
			return false;
		if (more > 0)
			code &= 0x3F >> more;
		for (int j = 1; j <= more; j++)
		{
			if (s[i + j] >> 6 != 2)
				return false;
			code = code << 6 | (s[i + j] & 0x3F);
		}
		if (code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
			return false;
		i += more + 1;
	}
	return true;
}

/* Read a container's text again, as the value of a line. */
static void
check_container(const NdjsonValue *value)
{
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue again;
	size_t		len = value->len + 6;
	char	   *line = malloc(len);

	memcpy(line, "{\"k\":", 5);
	memcpy(line + 5, value->text, value->len);
	line[len - 1] = '}';
	MUST(ndjson_open(&reader, line, len));
	MUST(ndjson_next(&reader, &key, &again) == NDJSON_PAIR);
	MUST(again.kind == value->kind && again.len >= value->len);
	MUST(ndjson_next(&reader, &key, &again) == NDJSON_END);
	release(&reader);
	free(line);
}

/* Read any bytes as a line; returns whether they are one. */
static bool
check_line(const char *bytes, size_t len)
{
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result = NDJSON_ERROR;
	char	   *line = own_block(bytes, len);

	(void) ndjson_is_blank(line, len);
	if (ndjson_open(&reader, line, len))
		while ((result = ndjson_next(&reader, &key, &value)) == NDJSON_PAIR)
		{
			MUST(is_clean_text(key.text, key.len));
			MUST(is_clean_text(value.text, value.len));
			if (value.kind == NDJSON_OBJECT || value.kind == NDJSON_ARRAY)
				check_container(&value);
		}
	MUST(result == NDJSON_END || reader.error != NULL);
	MUST(reader.at >= reader.line && reader.at <= reader.end);
	release(&reader);
	free(line);
	return result == NDJSON_END;
}

/* Write bytes as a JSON string, as a program would that knows no UTF-8. */
static size_t
write_string(char *out, const unsigned char *bytes, size_t len)
{
	char	   *start = out;

	*out++ = '"';
	for (size_t i = 0; i < len; i++)
	{
		if (bytes[i] == '"' || bytes[i] == '\\')
			*out++ = '\\';
		if (bytes[i] == '\n')
			out += sprintf(out, "\\n");
		else if (bytes[i] == 0 && i % 2 == 0)
			out += sprintf(out, "\\u0000");
		else
			*out++ = (char) bytes[i];
	}
	*out++ = '"';
	return out - start;
}

/* Any bytes come back from a string, and from a string within an array. */
static void
check_bytes(const unsigned char *bytes, size_t len)
{
	NdjsonReader reader = {0};
	NdjsonValue key;
	NdjsonValue value;
	char	   *line = malloc(len * 12 + 64);
	unsigned char *back;
	char	   *inner;
	size_t		size = 0;

	size += sprintf(line, "{\"s\":");
	size += write_string(line + size, bytes, len);
	size += sprintf(line + size, ", \"a\" : [ 1,");
	size += write_string(line + size, bytes, len);
	size += sprintf(line + size, "]}");

	MUST(ndjson_open(&reader, line, size));
	MUST(ndjson_next(&reader, &key, &value) == NDJSON_PAIR);
	MUST(value.kind == NDJSON_STRING && is_clean_text(value.text, value.len));
	back = malloc(value.len + 1);
	MUST(ndjson_unescape(value.text, value.len, back) == len);
	MUST(len == 0 || memcmp(back, bytes, len) == 0);
	inner = malloc(value.len + 1);
	memcpy(inner, value.text, value.len);
	size = value.len;

	MUST(ndjson_next(&reader, &key, &value) == NDJSON_PAIR && value.kind == NDJSON_ARRAY);
	MUST(is_clean_text(value.text, value.len));
	check_container(&value);
	{
		/*
		 * The array's string, in a line of its own, is read as a string with
		 * escapes that must be kept apart from new ones: undoing the second
		 * reading gives what the first one gave.
		 */
		NdjsonReader second = {0};
		NdjsonValue string;
		size_t		begin = (const char *) memchr(value.text, '"', value.len) - value.text;
		char	   *alone = malloc(value.len + 8);
		size_t		alone_len = sprintf(alone, "{\"k\":");

		memcpy(alone + alone_len, value.text + begin, value.len - begin - 1);
		alone_len += value.len - begin - 1;
		alone[alone_len++] = '}';
		MUST(ndjson_open(&second, alone, alone_len));
		MUST(ndjson_next(&second, &key, &string) == NDJSON_PAIR && string.kind == NDJSON_STRING);
		back = realloc(back, string.len + 1);
		MUST(ndjson_unescape(string.text, string.len, back) == size);
		MUST(size == 0 || memcmp(back, inner, size) == 0);
		release(&second);
		free(alone);
	}
	MUST(ndjson_next(&reader, &key, &value) == NDJSON_END);
	release(&reader);
	free(inner);
	free(back);
	free(line);
}

#ifdef LIBFUZZER

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	check_line((const char *) data, size);
	check_bytes(data, size);
	return 0;
}

#else

/* Lines to change at random, so that the grammar's corners are met. */
static const char *const seeds[] = {
	"{}",
	" { \"execution_id\" : \"e\" , \"message\":\"m\",\"n\":-1.5e+10,\"t\":true,\"f\":false,\"z\":null } \r",
	"{\"data\":{\"a\":[1,2,{\"b\":[]},\"x\\ud83d\\ude00\\n\"],\"c\":{}},\"m\":\"\\\\x00 \\u0000 \\ud800\"}",
	"{\"a\":[[[[[[]]]],{\"\":[0,-0,0.5,1E5]}],\"\\\\u0000\",\"\\\\ud8\\\\x5c\"]}",
	"{\"k\":\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80 \xED\xA0\x80 \xC0\xAF \xFF\"}",
};

/* What bytes are often made of here. */
static const char *const pieces[] = {
	"\\x00", "\\x5c", "\\xff", "\\u0000", "\\ud800", "\\", "\\x", "\\u", "x5c", "5c", "u0000", "\xFF", "\xFE",
	"\x01", "\xC3\xBC", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\"", "plain text of some length",
};

int
main(int argc, char **argv)
{
	long		rounds = argc > 1 ? atol(argv[1]) : 100000;
	long		lines = 0;
	char		bytes[1024];

	for (size_t i = 0; i < COUNT(seeds); i++)
		MUST(check_line(seeds[i], strlen(seeds[i])));

	for (long i = 0; i < rounds; i++)
	{
		const char *seed = seeds[i % COUNT(seeds)];
		size_t		len;

		model_round = i;
		memcpy(bytes, seed, strlen(seed));
		len = mutate(bytes, strlen(seed), sizeof(bytes), "{}[]\",:\\u0-.eE \t");
		lines += check_line(bytes, len);

		/* bytes of any kind, such as they are often made of here */
		len = assemble(bytes, sizeof(bytes), pieces, COUNT(pieces), 12);
		check_bytes((unsigned char *) bytes, len);
	}
	printf("%ld rounds, %ld of the changed lines were good\n", rounds, lines);
	return 0;
}

#endif
