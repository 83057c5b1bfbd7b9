/*
 * Fuzzer of what the gateway makes of a request's query, src/gateway/parameters.c.
 * How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/parameters.c src/client/buffer.c
 *
 * What must hold for any bytes:
 *   - a text is decoded as by a second reading, or refused by both; what has been
 *     decoded and is encoded comes back;
 *   - a query's parameters are those of its parts, wherever an & cuts it, and there
 *     are no more than there may be; of several of a name the last counts;
 *   - a number is taken if and only if it is one within the bounds, and is that one;
 *     whoever gives another value is answered, once.
 */
#include "model.h"

#include "request.h"

#include "target.h"

long		fuzz_accepted = 0;
const char *const fuzz_likely = "%&=+;0123456789abcdefABCDEF-\t";

Gateway		gateway;

static int	answers = 0;		/* problems that were told */

void
respond_problem(Request *request, int status, const char *parameter, const char *fmt,...)
{
	MUST(status == 422 && parameter != NULL);
	answers++;
}

/* ---- decoding ---- */

/* Decode by the book; -1: not well-formed. */
static int
decode_again(char *out, const char *text, size_t len, bool is_query)
{
	int			written = 0;

	for (size_t i = 0; i < len; i++)
	{
		unsigned	byte = (unsigned char) text[i];

		if (byte == '%')
		{
			char		digits[3] = {0};

			if (len - i < 3 || !isxdigit((unsigned char) text[i + 1]) || !isxdigit((unsigned char) text[i + 2]))
				return -1;
			memcpy(digits, text + i + 1, 2);
			byte = strtoul(digits, NULL, 16);
			i += 2;
		}
		else if (is_query && byte == '+')
			byte = ' ';
		if (byte == 0)
			return -1;
		out[written++] = (char) byte;
	}
	return written;
}

static void
check_decode(const char *text, size_t len, bool is_query)
{
	Buffer		out = {0};
	Buffer		encoded = {0};
	Buffer		back = {0};
	char	   *again = malloc(len + 1);
	int			wanted = decode_again(again, text, len, is_query);
	bool		good = url_decode(&out, (HttpText) {text, len}, is_query);

	MUST(good == (wanted >= 0));
	if (good)
	{
		MUST(out.len == wanted && memcmp(buffer_text(&out), again, wanted) == 0);
		for (size_t i = 0; i < out.len; i++)
			if (isalnum((unsigned char) out.data[i]))
				buffer_char(&encoded, out.data[i]);
			else
				buffer_printf(&encoded, "%%%02x", (unsigned char) out.data[i]);
		MUST(url_decode(&back, (HttpText) {buffer_text(&encoded), encoded.len}, is_query));
		MUST(back.len == out.len && memcmp(buffer_text(&back), buffer_text(&out), out.len) == 0);
	}
	buffer_free(&out);
	buffer_free(&encoded);
	buffer_free(&back);
	free(again);
}

/* ---- parameters ---- */

static bool
parse(Request *request, const char *text, size_t len)
{
	memset(request, 0, sizeof(Request));
	request->http.query = (HttpText) {text, len};
	return parameters_parse(request);
}

static void
release(Request *request)
{
	for (int i = 0; i < request->parameter_count; i++)
	{
		free(request->parameters[i].name);
		free(request->parameters[i].value);
	}
}

/* A query is what its parts are, one after the other. */
static void
check_parts(const Request *whole, bool good, const char *text, size_t len)
{
	size_t		from = draw(len);
	const char *amp = memchr(text + from, '&', len - from);
	size_t		cut;
	Request		parts[2];
	bool		good_parts[2];
	int			count = 0;

	if (amp == NULL)
		amp = memchr(text, '&', len);
	cut = amp ? amp - text : len;
	good_parts[0] = parse(&parts[0], text, cut);
	good_parts[1] = parse(&parts[1], text + cut, len - cut);
	if (good)
	{
		MUST(good_parts[0] && good_parts[1]);
		for (int i = 0; i < 2; i++)
			for (int j = 0; j < parts[i].parameter_count; j++, count++)
			{
				MUST(count < whole->parameter_count);
				MUST(strcmp(parts[i].parameters[j].name, whole->parameters[count].name) == 0);
				MUST(strcmp(parts[i].parameters[j].value, whole->parameters[count].value) == 0);
			}
		MUST(count == whole->parameter_count);
	}
	else if (good_parts[0] && good_parts[1])
		MUST(parts[0].parameter_count + parts[1].parameter_count > MAX_PARAMETERS);
	release(&parts[0]);
	release(&parts[1]);
}

/* The last of its name, and as a number, and as true or false. */
static void
check_values(Request *request)
{
	for (int i = 0; i < request->parameter_count; i++)
	{
		const char *name = request->parameters[i].name;
		const char *value = request->parameters[i].value;
		const char *digits = value + (value[0] == '-');
		int64		min = (int64) draw(2000) - 1000;
		int64		max = draw(4) ? min + draw(100000) : PG_INT64_MAX;
		int64		number = 0;
		bool		flag;
		bool		is_number;

		MUST(parameter(request, name) != NULL);
		for (int j = i + 1; j < request->parameter_count; j++)
			if (strcmp(request->parameters[j].name, name) == 0)
				value = NULL;
		if (value == NULL)
			continue;			/* not the last */
		MUST(parameter(request, name) == value);

		errno = 0;
		is_number = digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits) &&
			strtoll(value, NULL, 10) >= min && strtoll(value, NULL, 10) <= max && errno == 0;
		answers = 0;
		MUST(parameter_number(request, name, 7, min, max, &number) == is_number);
		MUST(answers == (is_number ? 0 : 1));
		MUST(!is_number || number == strtoll(value, NULL, 10));
		answers = 0;
		MUST(parameter_bool(request, name, false, &flag) == (answers == 0));
	}
	answers = 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	Request		request;
	bool		good;

	if (size == 0 || size > HTTP_MAX_LINE)
		return 0;
	model_state = MODEL_STATE + size;
	check_decode(text, size, false);
	check_decode(text, size, true);
	good = parse(&request, text, size);
	MUST(request.parameter_count <= MAX_PARAMETERS);
	check_parts(&request, good, text, size);
	if (good)
	{
		check_values(&request);
		fuzz_accepted += request.parameter_count > 0;
	}
	release(&request);
	return 0;
}
