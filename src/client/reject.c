/*-------------------------------------------------------------------------
 *
 * reject.c
 *	  Lines that cannot become logs: told, counted, and kept.
 *
 * They are appended to a file as they came, so that they can be mended there
 * and read again.
 *
 *-------------------------------------------------------------------------
 */
#include "reject.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_TOLD 10			/* so many are shown one by one */

static void
keep(Rejects *rejects, const char *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t		written = write(rejects->fd, bytes, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			fail(EXIT_FAILED, NULL, "could not write to %s: %s", rejects->path, strerror(errno));
		bytes += written;
		len -= written;
	}
}

/* Open the file; one for CSV gets its header. */
static void
open_file(Rejects *rejects)
{
	struct stat status;

	rejects->fd = open(rejects->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (rejects->fd < 0)
		fail(EXIT_FAILED, "Name another file with --rejects.", "could not open %s: %s",
			 rejects->path, strerror(errno));
	if (rejects->header.len > 0 && fstat(rejects->fd, &status) == 0 && status.st_size == 0)
		keep(rejects, rejects->header.data, rejects->header.len);
}

/* A line cannot become a log. */
void
reject(Rejects *rejects, const char *input, int64_t line, const char *problem, const char *raw,
	   size_t len)
{
	rejects->count++;
	if (rejects->told < MOST_TOLD)
	{
		rejects->told++;
		warn("%s, line " INT64_FORMAT ": %s", input, line, problem);
		if (rejects->told == MOST_TOLD)
			warn("others are counted only");
	}
	if (rejects->path)
	{
		if (rejects->fd < 0)
			open_file(rejects);
		keep(rejects, raw, len);
		if (len == 0 || raw[len - 1] != '\n')
			keep(rejects, "\n", 1);
	}
	if (rejects->most >= 0 && rejects->count > rejects->most)
		fail(EXIT_FAILED, NULL, "more than " INT64_FORMAT " lines cannot become logs", rejects->most);
}

void
rejects_end(Rejects *rejects)
{
	if (rejects->fd >= 0)
		close(rejects->fd);
	rejects->fd = -1;
	buffer_free(&rejects->header);
}
