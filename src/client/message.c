/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Words to the person, on stderr.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdarg.h>
#include <unistd.h>

#include "output.h"
#include "text.h"

void		(*at_leave) (void) = NULL;

static void write_message(const char *prefix, const char *fmt, va_list args) pg_attribute_printf(2, 0);

/*
 * Write one message in one piece, so that the messages of several programs
 * that share a terminal do not run into one another.
 */
static void
write_message(const char *prefix, const char *fmt, va_list args)
{
	Buffer		raw = {0};
	Buffer		line = {0};
	char	   *text;
	int			len;

	buffer_reserve(&raw, 1024);
	{
		va_list		again;

		va_copy(again, args);
		len = vsnprintf(raw.data, 1024, fmt, args);
		if (len >= 1024)
		{
			buffer_reserve(&raw, len);
			vsnprintf(raw.data, len + 1, fmt, again);
		}
		va_end(again);
	}
	raw.len = len > 0 ? len : 0;
	while (raw.len > 0 && raw.data[raw.len - 1] == '\n')
		raw.len--;

	output_before_message();
	buffer_string(&line, prefix);
	text_clean(&line, raw.data, raw.len, TEXT_KEEP_LINES);
	buffer_char(&line, '\n');
	text = line.data;
	while (line.len > 0)
	{
		ssize_t		written = write(STDERR_FILENO, text, line.len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;				/* nobody to talk to */
		text += written;
		line.len -= written;
	}
	buffer_free(&raw);
	buffer_free(&line);
}

#define WRITE_MESSAGE(prefix, fmt) \
	do { \
		va_list		args; \
		va_start(args, fmt); \
		write_message(prefix, fmt, args); \
		va_end(args); \
	} while (0)

/* Say something that the person should know. */
void
say(const char *fmt,...)
{
	WRITE_MESSAGE("wflog: ", fmt);
}

/* Say what may be wrong. */
void
warn(const char *fmt,...)
{
	WRITE_MESSAGE("wflog: warning: ", fmt);
}

/* Say what is wrong. */
void
complain(const char *fmt,...)
{
	WRITE_MESSAGE("wflog: error: ", fmt);
}

/* Say what can be done about it. */
void
hint(const char *fmt,...)
{
	WRITE_MESSAGE("wflog: hint: ", fmt);
}

/* Say what is wrong and, if known, what can be done about it; and leave. */
void
fail(ExitCode code, const char *hint_text, const char *fmt,...)
{
	WRITE_MESSAGE("wflog: error: ", fmt);
	if (hint_text)
		hint("%s", hint_text);
	leave(code);
}

/* Leave, having written what is still to be written. */
void
leave(int code)
{
	void		(*finish) (void) = at_leave;

	at_leave = NULL;			/* it may fail, and come here again */
	if (finish)
		finish();
	output_end();
	exit(code);
}
