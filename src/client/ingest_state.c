/*-------------------------------------------------------------------------
 *
 * ingest_state.c
 *	  How far "ingest --follow" has come, for when it is started again.
 *
 * The file is written before a batch is sent, with the place where the batch
 * ends, and when the database has it.  Who starts again cuts the same batch
 * and gives it the same number, so that it is a no-op if it was committed.
 *
 *-------------------------------------------------------------------------
 */
#include "ingest_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define FORMAT \
	"wflog-ingest 1\nkey %63s\nfile %" SCNu64 " %" SCNu64 " %" SCNd64 "\nposition %" SCNd64 \
	"\nline %" SCNd64 "\nsent-to %" SCNd64 "\n"

/* Read the file, or begin one. */
IngestState *
ingest_state_read(const char *path)
{
	IngestState *state = xmalloc(sizeof(IngestState));
	FILE	   *file = fopen(path, "r");
	uint64_t	device;
	uint64_t	inode;
	int			found;

	memset(state, 0, sizeof(IngestState));
	state->path = path;
	if (file == NULL)
	{
		if (errno != ENOENT)
			fail(EXIT_FAILED, NULL, "could not open %s: %s", path, strerror(errno));
		return state;
	}
	found = fscanf(file, FORMAT, state->producer_key, &device, &inode, &state->offset,
				   &state->position, &state->line, &state->sent_to);
	fclose(file);
	if (found != 7)
		fail(EXIT_USAGE, "Name another file with --state, or remove it to begin anew.",
			 "%s is no state of wflog ingest", path);
	state->device = (dev_t) device;
	state->inode = (ino_t) inode;
	return state;
}

/* Write the file, at once or not at all. */
void
ingest_state_write(IngestState *state)
{
	Buffer		temporary = {0};
	FILE	   *file;

	buffer_printf(&temporary, "%s.new", state->path);
	file = fopen(temporary.data, "w");
	if (file == NULL ||
		fprintf(file, "wflog-ingest 1\nkey %s\nfile %" PRIu64 " %" PRIu64 " %" PRId64
				"\nposition %" PRId64 "\nline %" PRId64 "\nsent-to %" PRId64 "\n",
				state->producer_key, (uint64_t) state->device, (uint64_t) state->inode,
				state->offset, state->position, state->line, state->sent_to) < 0 ||
		fclose(file) != 0 ||
		rename(temporary.data, state->path) < 0)
		fail(EXIT_FAILED, NULL, "could not write %s: %s", state->path, strerror(errno));
	buffer_free(&temporary);
}
