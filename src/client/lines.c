/*-------------------------------------------------------------------------
 *
 * lines.c
 *	  Cuts what a child process prints into lines, and long lines into parts.
 *
 * Lines end in a line feed; a carriage return before it belongs to the end,
 * any other one to the line.  All bytes are allowed.  A line is given to the
 * sink when its end has come, never because time has passed: half a line may
 * be half a secret.  One that the server would store in more bytes than the
 * limit goes in parts, cut between characters, so that nothing of it is lost
 * to the limit on entries.
 *
 *-------------------------------------------------------------------------
 */
#include "lines.h"

#include "encode.h"

/* Beyond the limit, so that a part is never cut where its end is not known. */
#define LOOK_AHEAD 4

/* Give parts to the sink, while it is certain that more of the line follows. */
static void
give_parts(LineSplitter *lines)
{
	size_t		at = 0;

	while (lines->ready.len - at > lines->limit + LOOK_AHEAD)
	{
		size_t		len = stored_prefix(lines->ready.data + at, lines->ready.len - at, lines->limit);

		lines->sink(lines->arg, lines->ready.data + at, len, lines->begun ? LINE_MIDDLE : LINE_BEGIN);
		lines->begun = true;
		at += len;
	}
	buffer_consume(&lines->ready, at);
}

/* Give a line's rest to the sink. */
static void
give_rest(LineSplitter *lines, const char *text, size_t len, bool terminated)
{
	if (terminated && len > 0 && text[len - 1] == '\r')
		len--;
	for (;;)
	{
		size_t		part = stored_prefix(text, len, lines->limit);

		if (part == len)
			break;
		lines->sink(lines->arg, text, part, lines->begun ? LINE_MIDDLE : LINE_BEGIN);
		lines->begun = true;
		text += part;
		len -= part;
	}
	lines->sink(lines->arg, text, len, !terminated ? LINE_UNTERMINATED :
				lines->begun ? LINE_END : LINE_WHOLE);
	lines->begun = false;
	lines->open = false;
}

/* The line ends here, with these bytes. */
static void
end_line(LineSplitter *lines, const char *bytes, size_t len, bool terminated)
{
	if (lines->redactor)
		redact_feed(lines->redactor, &lines->unmasked, bytes, len, true, &lines->ready);
	else if (lines->ready.len == 0)
	{
		give_rest(lines, bytes, len, terminated);	/* as it lies there */
		return;
	}
	else
		buffer_append(&lines->ready, bytes, len);
	give_rest(lines, lines->ready.data ? lines->ready.data : "", lines->ready.len, terminated);
	lines->ready.len = 0;
}

/* Take what was read. */
void
lines_feed(LineSplitter *lines, const char *bytes, size_t len)
{
	const char *end = bytes + len;

	while (bytes < end)
	{
		const char *newline = memchr(bytes, '\n', end - bytes);

		if (newline == NULL)
		{
			lines->open = true;
			if (lines->redactor)
				redact_feed(lines->redactor, &lines->unmasked, bytes, end - bytes, false,
							&lines->ready);
			else
				buffer_append(&lines->ready, bytes, end - bytes);
			give_parts(lines);
			return;
		}
		end_line(lines, bytes, newline - bytes, true);
		bytes = newline + 1;
	}
}

/* The stream has ended. */
void
lines_finish(LineSplitter *lines)
{
	if (lines->open)
		end_line(lines, "", 0, false);
}

void
lines_free(LineSplitter *lines)
{
	buffer_free(&lines->unmasked.held);
	buffer_free(&lines->ready);
}
