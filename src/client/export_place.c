/*-------------------------------------------------------------------------
 *
 * export_place.c
 *	  The cursor file of "export": how far each execution has been written.
 *
 * Lines are only appended; the last one about an execution holds:
 *
 *	  SIZE COMPLETE SKIP CURSOR "EXECUTION"
 *
 * SIZE is that of the output file at that point, or -1.  It is written down
 * after the output, so a crash leaves output that is not accounted for; in a
 * file it is cut off when the export goes on, so that nothing is there twice.
 *
 *-------------------------------------------------------------------------
 */
#include "export.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

#define NO_CURSOR "-"
#define MOST_CURSOR 1000

/* The place of an execution, or NULL. */
ExportPlace *
place_find(const Export *job, const char *execution)
{
	for (int i = job->place_count - 1; i >= 0; i--)
		if (strcmp(job->places[i].execution, execution) == 0)
			return &job->places[i];
	return NULL;
}

static void
set_place(Export *job, const char *execution, const char *cursor, int64_t skip, bool complete)
{
	ExportPlace *place = place_find(job, execution);

	if (place == NULL)
	{
		if ((job->place_count & (job->place_count - 1)) == 0)
			job->places = xrealloc(job->places, Max(job->place_count * 2, 1) * sizeof(ExportPlace));
		place = &job->places[job->place_count++];
		memset(place, 0, sizeof(ExportPlace));
		place->execution = xstrdup(execution);
	}
	free(place->cursor);
	place->cursor = cursor ? xstrdup(cursor) : NULL;
	place->skip = skip;
	place->complete = complete;
}

/* Take over a line; false if it is none. */
static bool
read_place(Export *job, const char *line, size_t len)
{
	char		cursor[MOST_CURSOR + 1];
	int64_t		size;
	int64_t		skip;
	int			complete;
	int			at = 0;
	JsonValue	id;
	char	   *execution;

	if (sscanf(line, "%" SCNd64 " %d %" SCNd64 " %1000s %n", &size, &complete, &skip, cursor, &at) != 4 ||
		at == 0)
		return false;
	id = json_document(line + at, len - at);
	if (id.kind != JSON_STRING)
		return false;
	execution = json_text(&id);
	set_place(job, execution, strcmp(cursor, NO_CURSOR) == 0 ? NULL : cursor, skip, complete != 0);
	job->output_size = size;
	free(execution);
	return true;
}

/* Read the cursor file, if there is one, and open it for more. */
void
places_read(Export *job)
{
	char	   *line = NULL;
	size_t		room = 0;
	ssize_t		len;
	off_t		good = 0;

	job->output_size = 0;
	job->cursor_file = fopen(job->cursor_path, "a+");
	if (job->cursor_file == NULL)
		fail(EXIT_FAILED, NULL, "could not open %s: %s", job->cursor_path, strerror(errno));
	rewind(job->cursor_file);
	while ((len = getline(&line, &room, job->cursor_file)) > 0)
	{
		if (line[len - 1] != '\n')
			break;				/* it was cut short when it was written */
		if (!read_place(job, line, len - 1))
			fail(EXIT_USAGE, "Name another file with --cursor-file, or remove it to begin anew.",
				 "%s is no cursor file of wflog export", job->cursor_path);
		good += len;
	}
	free(line);
	if (ftruncate(fileno(job->cursor_file), good) < 0)
		fail(EXIT_FAILED, NULL, "could not write %s: %s", job->cursor_path, strerror(errno));
	fseek(job->cursor_file, 0, SEEK_END);
}

/* Write down that an execution has been written up to there. */
void
place_write(Export *job, const char *execution, const char *cursor, int64_t skip, bool complete)
{
	Buffer		quoted = {0};
	struct stat status;
	int64_t		size = -1;

	if (job->cursor_file == NULL)
		return;
	output_flush();
	if (fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode))
		size = lseek(STDOUT_FILENO, 0, SEEK_CUR);
	json_quote(&quoted, execution, strlen(execution));
	if (fprintf(job->cursor_file, "%" PRId64 " %d %" PRId64 " %s %s\n", size, complete, skip,
				cursor ? cursor : NO_CURSOR, buffer_text(&quoted)) < 0 ||
		fflush(job->cursor_file) != 0)
		fail(EXIT_FAILED, NULL, "could not write %s: %s", job->cursor_path, strerror(errno));
	buffer_free(&quoted);
}
