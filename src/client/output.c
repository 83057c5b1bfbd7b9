/*-------------------------------------------------------------------------
 *
 * output.c
 *	  What was asked for, on stdout; and what kind of thing stdout is.
 *
 * Output gathers in a buffer and is written in blocks.  If whoever read it
 * has gone (EPIPE), the program ends quietly with status 0: that is how
 * "wflog logs E | head" is meant to end.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"

Output		output;

static volatile sig_atomic_t resized = 0;

static void
note_resize(int signal_number)
{
	resized = 1;
}

/* auto, always or never; false for anything else. */
bool
parse_color_mode(const char *text, ColorMode *mode)
{
	if (strcmp(text, "auto") == 0)
		*mode = COLOR_AUTO;
	else if (strcmp(text, "always") == 0)
		*mode = COLOR_ALWAYS;
	else if (strcmp(text, "never") == 0)
		*mode = COLOR_NEVER;
	else
		return false;
	return true;
}

/* Look at stdout, and from now on find out when its reader has gone. */
void
output_begin(ColorMode color)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	struct sigaction action = {0};

	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_CTYPE, "");
	output.is_terminal = isatty(STDOUT_FILENO);
	output.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	output.color = color == COLOR_ALWAYS ||
		(color == COLOR_AUTO && output.is_terminal && !(no_color && no_color[0]) &&
		 !(term && strcmp(term, "dumb") == 0));
	if (output.is_terminal)
	{
		action.sa_handler = note_resize;
		action.sa_flags = SA_RESTART;
		sigaction(SIGWINCH, &action, NULL);
		resized = 1;
		output_measure();
	}
}

/* Ask the terminal for its width again, if it has changed. */
void
output_measure(void)
{
	struct winsize size;

	if (!resized)
		return;
	resized = 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		output.width = size.ws_col;
	else if (getenv("COLUMNS") && atoi(getenv("COLUMNS")) > 0)
		output.width = atoi(getenv("COLUMNS"));
	else
		output.width = 80;
}

/* Write all that has gathered. */
void
output_flush(void)
{
	const char *at = output.pending.data;
	size_t		left = output.pending.len;

	output.pending.len = 0;		/* what cannot be written is not tried again */
	while (left > 0)
	{
		ssize_t		written = write(STDOUT_FILENO, at, left);

		if (written < 0 && errno == EINTR)
		{
			/* a terminal that is held (^S) must not make us deaf to Ctrl-C */
			check_interrupt();
			continue;
		}
		if (written < 0 && errno == EAGAIN)
		{
			struct pollfd polled = {.fd = STDOUT_FILENO,.events = POLLOUT};

			poll(&polled, 1, 1000);
			check_interrupt();
			continue;
		}
		if (written < 0 && errno == EPIPE)
			leave(EXIT_DONE);
		if (written < 0)
			fail(EXIT_FAILED, NULL, "could not write the output: %s", strerror(errno));
		at += written;
		left -= written;
	}
}

/* What is on the way goes in front of a message, if both are seen together. */
void
output_before_message(void)
{
	if (output.pending.len > 0 && output.is_terminal)
		output_flush();
}

/* The end: write the rest. */
void
output_end(void)
{
	if (output.pending.len > 0)
		output_flush();
}
