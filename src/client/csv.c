/*-------------------------------------------------------------------------
 *
 * csv.c
 *	  Records of comma-separated values, as RFC 4180 and COPY write them.
 *
 * Fields may be in double quotes, within which a quote is doubled, and line
 * feeds and delimiters stand for themselves.  Records end in a line feed or
 * in both characters.  A quote in the middle of a field that does not begin
 * with one stands for itself.  All other bytes are left as they are.
 *
 *-------------------------------------------------------------------------
 */
#include "csv.h"

#include <stdlib.h>

#define MOST_BYTES ((size_t) 16 * 1024 * 1024)	/* of a record: a quote was left open */

static void
begin_field(CsvRecord *record)
{
	if (record->count == record->room)
	{
		record->room = record->room * 2 + 16;
		record->fields = xrealloc(record->fields, record->room * sizeof(CsvField));
	}
	record->fields[record->count++] = (CsvField) {.at = record->text.len};
}

static void
end_field(CsvRecord *record)
{
	CsvField   *field = &record->fields[record->count - 1];

	field->len = record->text.len - field->at;
}

/* A record that is wrong is passed over up to the end of its first line. */
static size_t
refuse(CsvRecord *record, const char *bytes, size_t len, const char *error)
{
	const char *newline = memchr(bytes, '\n', len);

	record->error = error;
	record->count = 0;
	record->text.len = 0;
	record->lines = 1;
	return newline ? (size_t) (newline + 1 - bytes) : len;
}

/* Read a field in quotes, from behind the first; where it ends, or NULL if it does not. */
static const char *
read_quoted(CsvRecord *record, const char *at, const char *end)
{
	while (at < end)
	{
		const char *quote = memchr(at, '"', end - at);

		if (quote == NULL)
			return NULL;
		buffer_append(&record->text, at, quote - at);
		if (quote + 1 < end && quote[1] == '"')
		{
			buffer_char(&record->text, '"');
			at = quote + 2;
			continue;
		}
		return quote + 1;
	}
	return NULL;
}

/*
 * Read the record at the front of some bytes.  Returns how many it takes, its
 * line feed included; 0 if its end is not among them yet.
 */
size_t
csv_read(CsvRecord *record, const char *bytes, size_t len, bool at_end, char delimiter)
{
	const char *end = bytes + len;
	const char *at = bytes;

	record->text.len = 0;
	record->count = 0;
	record->lines = 0;
	record->error = NULL;
	if (len == 0)
		return 0;
	for (;;)
	{
		begin_field(record);
		if (at < end && *at == '"')
		{
			const char *behind = read_quoted(record, at + 1, end);

			if (behind == NULL || (behind == end && !at_end))
			{
				/* a quote at the very end may be half of a doubled one */
				if (at_end || len > MOST_BYTES)
					return refuse(record, bytes, len, "a quoted field has no end");
				return 0;
			}
			record->fields[record->count - 1].quoted = true;
			at = behind;
			if (at + 1 == end && *at == '\r' && !at_end)
				return 0;
			if (at < end && *at != delimiter && *at != '\n' &&
				!(*at == '\r' && (at + 1 == end || at[1] == '\n')))
				return refuse(record, bytes, len, "there is something behind a quoted field");
		}
		else
		{
			const char *from = at;

			while (at < end && *at != delimiter && *at != '\n')
				at++;
			if (at == end && !at_end)
			{
				if (len > MOST_BYTES)
					return refuse(record, bytes, len, "the record is too long");
				return 0;
			}
			buffer_append(&record->text, from, at - from);
			if ((at == end || *at == '\n') && at > from && at[-1] == '\r')
				record->text.len--;
		}
		end_field(record);
		if (at < end && *at == '\r' && *at != delimiter)
			at++;
		if (at < end && *at == delimiter)
		{
			at++;
			continue;
		}
		break;
	}
	for (const char *c = bytes; c < at; c++)
		record->lines += *c == '\n';
	if (at < end)
	{
		at++;
		record->lines++;
	}
	return at - bytes;
}

void
csv_free(CsvRecord *record)
{
	buffer_free(&record->text);
	free(record->fields);
	memset(record, 0, sizeof(CsvRecord));
}
