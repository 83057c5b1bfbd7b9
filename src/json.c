/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Writing JSON into a buffer that becomes the function's result.
 *
 * The buffer has room for the varlena header in front, so that the finished
 * text is returned without being copied.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "json.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

/* What a session may keep of its memory for results. */
#define LARGEST_ROOM (4 * 1024 * 1024)

/* Begin a result. */
void
json_begin(StringInfo buf)
{
	initStringInfo(buf);
	buf->len = VARHDRSZ;
}

/*
 * Begin a result of about so many bytes.
 *
 * On its way out a result is copied twice, as a cstring and into a message.
 * glibc gives freed memory back to the kernel above twice the largest block it
 * has seen freed, so with three blocks of about the same size every call would
 * fault in all of their pages anew, which takes longer than all the rest.  So
 * ours is larger than the three will be together; what is not used of it is
 * only addresses.
 */
void
json_begin_sized(StringInfo buf, Size expected)
{
	json_begin(buf);
	enlargeStringInfo(buf, Min(expected, LARGEST_ROOM / 4) * 4);
}

/* End a result: the buffer as a json Datum. */
Datum
json_result(StringInfo buf)
{
	SET_VARSIZE(buf->data, buf->len);
	return PointerGetDatum(buf->data);
}

/* How many bytes from the start need no escape. */
static inline int
plain_length(const unsigned char *data, int len)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 highs = UINT64CONST(0x8080808080808080);
	int			i = 0;

	/* eight at a time: a byte below 0x20, a quote or a backslash stops it */
	for (; i + 8 <= len; i += 8)
	{
		uint64		chunk;
		uint64		quotes;
		uint64		slashes;

		memcpy(&chunk, data + i, 8);
		quotes = chunk ^ (ones * '"');
		slashes = chunk ^ (ones * '\\');
		if ((((chunk - ones * 0x20) & ~chunk) |
			 ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) & highs)
			break;
	}
	while (i < len && data[i] >= 0x20 && data[i] != '"' && data[i] != '\\')
		i++;
	return i;
}

/* A string, quoted and escaped. */
void
json_string(StringInfo buf, const char *data, int len)
{
	json_literal(buf, "\"");
	while (len > 0)
	{
		int			plain = plain_length((const unsigned char *) data, len);

		json_bytes(buf, data, plain);
		data += plain;
		len -= plain;
		if (len == 0)
			break;
		switch (*data)
		{
			case '"':
				json_literal(buf, "\\\"");
				break;
			case '\\':
				json_literal(buf, "\\\\");
				break;
			case '\n':
				json_literal(buf, "\\n");
				break;
			case '\r':
				json_literal(buf, "\\r");
				break;
			case '\t':
				json_literal(buf, "\\t");
				break;
			case '\b':
				json_literal(buf, "\\b");
				break;
			case '\f':
				json_literal(buf, "\\f");
				break;
			default:
				appendStringInfo(buf, "\\u%04x", (unsigned char) *data);
		}
		data++;
		len--;
	}
	json_literal(buf, "\"");
}

/* A C string, or null. */
void
json_cstring(StringInfo buf, const char *text)
{
	if (text)
		json_string(buf, text, strlen(text));
	else
		json_literal(buf, "null");
}

/* A jsonb that is neither array nor object. */
static void
json_scalar(StringInfo buf, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			json_literal(buf, "null");
			break;
		case jbvBool:
			if (value->val.boolean)
				json_literal(buf, "true");
			else
				json_literal(buf, "false");
			break;
		case jbvString:
			json_string(buf, value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			{
				char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out,
																		 NumericGetDatum(value->val.numeric)));

				json_bytes(buf, digits, strlen(digits));
				pfree(digits);
				break;
			}
		default:
			elog(ERROR, "unexpected type of jsonb value: %d", value->type);
	}
}

/*
 * A jsonb as PostgreSQL shows it.  JsonbToCString() copies each string and
 * looks at each of its characters apart.
 */
void
json_jsonb(StringInfo buf, JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	bool		bare = JsonContainerIsScalar(container);	/* is kept as an array of one */
	bool		separate = false;	/* something is in front, at this level */

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		bool		opens = token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT;

		if (separate && token != WJB_END_ARRAY && token != WJB_END_OBJECT)
			json_literal(buf, ", ");
		separate = !opens && token != WJB_KEY;
		if (bare && (token == WJB_BEGIN_ARRAY || token == WJB_END_ARRAY))
			continue;
		if (token == WJB_BEGIN_OBJECT)
			json_literal(buf, "{");
		else if (token == WJB_END_OBJECT)
			json_literal(buf, "}");
		else if (token == WJB_BEGIN_ARRAY)
			json_literal(buf, "[");
		else if (token == WJB_END_ARRAY)
			json_literal(buf, "]");
		else
			json_scalar(buf, &value);
		if (token == WJB_KEY)
			json_literal(buf, ": ");
	}
}

/* An integer. */
void
json_int(StringInfo buf, int64 value)
{
	enlargeStringInfo(buf, 24);
	buf->len += pg_lltoa(value, buf->data + buf->len);
}

/* A number; what JSON has no number for becomes null. */
void
json_double(StringInfo buf, double value)
{
	if (isnan(value) || isinf(value))
	{
		json_literal(buf, "null");
		return;
	}
	enlargeStringInfo(buf, DOUBLE_SHORTEST_DECIMAL_LEN);
	buf->len += double_to_shortest_decimal_buf(value, buf->data + buf->len);
}

/* Write a number's last digits, with zeros in front. */
static void
put_digits(char *at, uint32 value, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
	{
		at[i] = '0' + value % 10;
		value /= 10;
	}
}

/* A time in UTC with six decimals and Z, whatever TimeZone says. */
void
json_time(StringInfo buf, TimestampTz time)
{
	int64		day = time / USECS_PER_DAY;
	int64		rest = time % USECS_PER_DAY;
	int			year;
	int			month;
	int			mday;
	uint32		seconds;
	char		text[] = "\"0000-00-00T00:00:00.000000Z\"";

	if (rest < 0)
	{
		rest += USECS_PER_DAY;
		day--;
	}
	j2date((int) day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	seconds = rest / USECS_PER_SEC;
	if (year < 0 || year > 9999)
	{
		/* beyond what four digits say: ISO 8601's expanded form */
		appendStringInfo(buf, "\"%+06d-%02d-%02dT%02u:%02u:%02u.%06dZ\"", year, month, mday,
						 seconds / 3600, seconds / 60 % 60, seconds % 60, (int) (rest % USECS_PER_SEC));
		return;
	}
	put_digits(text + 1, year, 4);
	put_digits(text + 6, month, 2);
	put_digits(text + 9, mday, 2);
	put_digits(text + 12, seconds / 3600, 2);
	put_digits(text + 15, seconds / 60 % 60, 2);
	put_digits(text + 18, seconds % 60, 2);
	put_digits(text + 21, rest % USECS_PER_SEC, 6);
	json_literal(buf, text);
}

/* A time for a message, as in our JSON but without quotes. */
const char *
time_text(TimestampTz time)
{
	StringInfoData buf;

	if (TIMESTAMP_NOT_FINITE(time))
		return TIMESTAMP_IS_NOBEGIN(time) ? "-infinity" : "infinity";
	initStringInfo(&buf);
	json_time(&buf, time);
	buf.data[--buf.len] = '\0';
	return buf.data + 1;
}

/* A UUID. */
void
json_uuid(StringInfo buf, const pg_uuid_t *uuid)
{
	static const char digits[] = "0123456789abcdef";
	char		text[UUID_LEN * 2 + 6];
	char	   *at = text;

	*at++ = '"';
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = digits[uuid->data[i] >> 4];
		*at++ = digits[uuid->data[i] & 0x0F];
	}
	*at++ = '"';
	json_bytes(buf, text, at - text);
}

/* A span of time in ISO 8601, as PT1H2M3.5S. */
void
json_iso_duration(StringInfo buf, int64 microseconds)
{
	int64		seconds;
	int			fraction;

	json_literal(buf, "\"");
	if (microseconds < 0)
	{
		json_literal(buf, "-");
		microseconds = -microseconds;
	}
	seconds = microseconds / USECS_PER_SEC;
	fraction = microseconds % USECS_PER_SEC;
	json_literal(buf, "PT");
	if (seconds >= 3600)
		appendStringInfo(buf, INT64_FORMAT "H", seconds / 3600);
	if (seconds / 60 % 60 > 0)
		appendStringInfo(buf, "%dM", (int) (seconds / 60 % 60));
	if (fraction)
	{
		appendStringInfo(buf, "%d.%06d", (int) (seconds % 60), fraction);
		while (buf->data[buf->len - 1] == '0')
			buf->len--;
		json_literal(buf, "S");
	}
	else if (seconds % 60 > 0 || seconds == 0)
		appendStringInfo(buf, "%dS", (int) (seconds % 60));
	json_literal(buf, "\"");
}
