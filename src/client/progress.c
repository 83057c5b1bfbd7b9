/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  How far it is: a line on the terminal, and a sum at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "sender.h"

#define REDRAW INT64_C(200000)	/* microseconds */
#define BAR 24					/* columns */

void
progress_begin(Progress *progress, const char *what, bool wanted)
{
	memset(progress, 0, sizeof(Progress));
	progress->shown = wanted && isatty(STDERR_FILENO);
	progress->what = what;
	progress->began_at = monotonic_time();
}

/* Columns of the terminal. */
static int
terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static double
seconds_since(int64_t time)
{
	double		seconds = (monotonic_time() - time) / 1e6;

	return Max(seconds, 0.001);
}

/* Draw the line again, if it is time. */
void
progress_update(Progress *progress)
{
	Buffer		line = {0};
	double		seconds;
	int			width;

	if (!progress->shown || monotonic_time() - progress->drawn_at < REDRAW)
		return;
	seconds = seconds_since(progress->began_at);
	width = terminal_width();
	if (progress->total > 0)
	{
		double		share = Min(1.0, (double) progress->bytes / progress->total);

		if (width >= 72)
		{
			buffer_char(&line, '[');
			for (int i = 0; i < BAR; i++)
				buffer_char(&line, i < (int) (share * BAR) ? '#' : '.');
			buffer_string(&line, "] ");
		}
		buffer_printf(&line, "%3d%%  ", (int) (share * 100));
	}
	buffer_printf(&line, INT64_FORMAT " %s  %.0f/s", progress->count, progress->what,
				  progress->count / seconds);
	if (progress->total > progress->bytes && progress->bytes > 0)
		buffer_printf(&line, "  %.0f s left",
					  seconds * (progress->total - progress->bytes) / progress->bytes);
	if (line.len > (size_t) width - 1)
		line.len = width - 1;
	fprintf(stderr, "\r%.*s\033[K", (int) line.len, line.data);
	fflush(stderr);
	progress->drawn_at = monotonic_time();
	buffer_free(&line);
}

/* Take the line away, so that something else can be written there. */
void
progress_clear(Progress *progress)
{
	if (progress->shown && progress->drawn_at != 0)
	{
		fputs("\r\033[K", stderr);
		fflush(stderr);
		progress->drawn_at = 0;
	}
}

/* Append what was done in what time. */
void
progress_sum(Progress *progress, Buffer *out)
{
	double		seconds = seconds_since(progress->began_at);

	buffer_printf(out, INT64_FORMAT " %s in %.1f s, %.0f/s, %.1f MB/s", progress->count,
				  progress->what, seconds, progress->count / seconds, progress->bytes / 1e6 / seconds);
}
