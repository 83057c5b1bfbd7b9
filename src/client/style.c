/*-------------------------------------------------------------------------
 *
 * style.c
 *	  Small pieces of what people read: colours, counts, durations, bars.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "logentry.h"
#include "style.h"
#include "text.h"

static int
clean_flags(void)
{
	return output.is_terminal && !output.utf8 ? TEXT_ASCII : 0;
}

/* Append text that nobody vouches for, in one line. */
void
style_text(Buffer *out, const char *text, size_t len)
{
	text_clean(out, text, len, clean_flags());
}

/* Append what a JSON value stands for, in one line; nothing if it is null. */
void
style_value(Buffer *out, const JsonValue *value)
{
	Buffer		text = {0};

	if (value->kind == JSON_MISSING || value->kind == JSON_NULL)
		return;
	json_decode(&text, value);
	style_text(out, text.data ? text.data : "", text.len);
	buffer_free(&text);
}

/* Append clean text, cut if it is wider than that; 0: as wide as it is. */
void
style_fitted(Buffer *out, const char *text, size_t len, size_t width)
{
	if (width == 0 || text_width(text, len) <= width)
	{
		buffer_append(out, text, len);
		return;
	}
	buffer_append(out, text, text_fit(text, len, width - 1));
	buffer_string(out, output.utf8 ? "\xE2\x80\xA6" : "~");
}

/* The same, with blanks up to the width. */
void
style_column(Buffer *out, const char *text, size_t len, size_t width)
{
	size_t		start = out->len;
	size_t		used;

	style_fitted(out, text, len, width);
	for (used = text_width(out->data + start, out->len - start); used < width; used++)
		buffer_char(out, ' ');
}

/* Append 1234567 as 1,234,567. */
void
style_count(Buffer *out, long long count)
{
	char		digits[32];
	int			len = snprintf(digits, sizeof(digits), "%lld", count);

	for (int i = 0; i < len; i++)
	{
		buffer_char(out, digits[i]);
		if (digits[i] != '-' && i < len - 1 && (len - 1 - i) % 3 == 0)
			buffer_char(out, ',');
	}
}

/* Append a duration as people say it. */
void
style_duration(Buffer *out, int64_t microseconds)
{
	char		text[48];

	format_duration(text, sizeof(text), microseconds);
	buffer_string(out, text);
}

/* Append a point in time as clocks show it, to the second. */
void
style_time(Buffer *out, int64_t time, bool utc, bool with_date)
{
	char		text[TIME_TEXT_SIZE];

	format_time_utc(text, local_time(time, utc));
	text[10] = ' ';
	if (with_date)
		buffer_append(out, text, 19);
	else
		buffer_append(out, text + 11, 8);
}

/* Append a progress bar so many columns wide, and the percentage. */
void
style_bar(Buffer *out, double percent, int width)
{
	int			full = percent <= 0 ? 0 : percent >= 100 ? width : (int) (percent * width / 100);

	paint(out, STYLE_GREEN);
	for (int i = 0; i < full; i++)
		buffer_string(out, output.utf8 ? "\xE2\x96\x88" : "#");
	paint(out, STYLE_RESET);
	paint(out, STYLE_DIM);
	for (int i = full; i < width; i++)
		buffer_string(out, output.utf8 ? "\xE2\x96\x91" : "-");
	paint(out, STYLE_RESET);
	buffer_printf(out, " %g%%", (double) (long) (percent * 10) / 10);
}

/* The colour in which a status is shown. */
const char *
status_color(const char *status)
{
	if (strcmp(status, "SUCCESS") == 0)
		return STYLE_GREEN;
	if (strcmp(status, "FAILED") == 0)
		return STYLE_RED;
	if (strcmp(status, "CANCELLED") == 0)
		return STYLE_YELLOW;
	return STYLE_CYAN;
}

/* The time that a JSON value says; false if it says none. */
bool
value_time(const JsonValue *value, int64_t *time)
{
	return value->kind == JSON_STRING && parse_timestamp(value->text, value->len, time);
}

/* The number that a JSON value says, 0 if none. */
long long
value_number(const JsonValue *value)
{
	return value->kind == JSON_NUMBER ? strtoll(value->text, NULL, 10) : 0;
}
