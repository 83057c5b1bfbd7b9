/*-------------------------------------------------------------------------
 *
 * ingest_read.c
 *	  From the input into a batch.
 *
 * Where batches end depends on nothing but the input, so that the same input
 * makes the same batches with the same numbers; except where it comes in
 * pieces, slowly, and a batch is sent before it is full.
 *
 *-------------------------------------------------------------------------
 */
#include "ingest.h"

#include <sys/stat.h>
#include <unistd.h>

#include "sender.h"

#define BATCH_LINES 2000
#define BATCH_BYTES (1024 * 1024)
#define MOST_LINE ((size_t) 16 * 1024 * 1024)

/* Is it time to send it, whatever comes next? */
bool
batch_is_full(const Ingest *ingest, const Batch *batch)
{
	if (ingest->must_end > 0)
		return ingest->position >= ingest->must_end;
	return batch->count >= BATCH_LINES || batch->raw.len >= BATCH_BYTES;
}

/* What messages call the input. */
static const char *
input_name(const Ingest *ingest)
{
	return ingest->input.path ? ingest->input.path : "stdin";
}

/* Take the names of CSV's fields from its first record, or from the option. */
static void
read_header(Ingest *ingest, const char *raw, size_t len)
{
	ingest->header_read = true;
	if (!convert_header(&ingest->converter, &ingest->record))
		fail(EXIT_USAGE, NULL, "%s: %s", input_name(ingest), buffer_text(&ingest->converter.problem));
	if (raw)
	{
		ingest->rejects.header.len = 0;
		buffer_append(&ingest->rejects.header, raw, len);
	}
}

/* The file that is followed may be the one we know, or another one by now. */
static void
take_up_state(Ingest *ingest, const char *path)
{
	IngestState *state = ingest->state;
	Input	   *input = &ingest->input;
	struct stat status;

	if (state == NULL || state->device == 0)
		return;
	if (input->device != state->device || input->inode != state->inode)
	{
		/* what was rotated away last is read to its end first */
		Buffer		old = {0};

		buffer_printf(&old, "%s.1", path);
		if (stat(old.data, &status) == 0 && status.st_dev == state->device &&
			status.st_ino == state->inode)
		{
			input_close(input);
			if (!input_open(input, old.data, true))
				fail(EXIT_FAILED, NULL, "could not open %s: %s", old.data, strerror(errno));
			input->path = path; /* where the next one is */
		}
		else
		{
			warn("the file that was read last is no longer %s or %s.1; reading %s from its start",
				 path, path, path);
			state->sent_to = 0;
		}
		buffer_free(&old);
	}
	ingest->position = state->position;
	if (input->device == state->device && input->inode == state->inode &&
		input->size >= state->offset && lseek(input->fd, state->offset, SEEK_SET) == state->offset)
	{
		input->offset = state->offset;
		ingest->line = state->line;
		ingest->must_end = state->sent_to;
	}
	state->device = 0;			/* known no longer: a new one is as it is */
}

/* Open the next file. */
void
ingest_open(Ingest *ingest)
{
	const IngestOptions *options = ingest->options;
	const char *path = options->files[ingest->file];
	Input	   *input = &ingest->input;

	if (strcmp(path, "-") == 0)
		path = NULL;
	if (!input_open(input, path, options->follow))
		fail(EXIT_FAILED, NULL, "could not open %s: %s", path ? path : "stdin", strerror(errno));
	ingest->line = 0;
	ingest->header_read = !options->csv;
	take_up_state(ingest, path);
	if (options->from_end && input->regular && ingest->position == 0)
	{
		off_t		end = lseek(input->fd, 0, SEEK_END);

		if (end > 0)
			input->offset = ingest->position = end;
	}
	if (options->csv && options->columns)
	{
		csv_read(&ingest->record, options->columns, strlen(options->columns), true, ',');
		read_header(ingest, NULL, 0);
	}
	else if (options->csv && input->offset > 0)
		fail(EXIT_USAGE, "Name the fields with --columns.",
			 "%s is read from its middle, so its header is not seen", path);
}

/* Put a line that has been read into the batch. */
static void
take_line(Ingest *ingest, const char *raw, size_t len, bool good)
{
	Batch	   *batch = ingest->filling;
	Converter  *converter = &ingest->converter;
	size_t		before = batch->lines.len;
	size_t		bare = len;

	while (bare > 0 && (raw[bare - 1] == '\n' || raw[bare - 1] == '\r'))
		bare--;
	if (batch->count == 0)
		batch->begun_at = monotonic_time();
	if (good)
		good = ingest->options->csv ? convert_record(converter, &ingest->record, &batch->lines) :
			convert_line(converter, raw, bare, &batch->lines);
	if (!good)
	{
		batch->lines.len = before;
		progress_clear(&ingest->progress);
		reject(&ingest->rejects, input_name(ingest), ingest->line, buffer_text(&converter->problem),
			   raw, len);
		return;
	}
	if (batch->count == batch->room)
	{
		batch->room = batch->room * 2 + 256;
		batch->items = xrealloc(batch->items, batch->room * sizeof(BatchLine));
	}
	batch->items[batch->count++] = (BatchLine) {
		.number = ingest->line,
		.file = input_name(ingest),
		.raw_at = batch->raw.len,
		.raw_len = len,
		.len = batch->lines.len - before,
	};
	buffer_append(&batch->raw, raw, len);
}

/*
 * Take the next line or record of what has been read; false if its end is not
 * there yet.
 */
static bool
take_next(Ingest *ingest, bool at_end)
{
	Input	   *input = &ingest->input;
	const char *raw = input->bytes.data + input->taken;
	size_t		have = input->bytes.len - input->taken;
	size_t		len;
	const char *newline;

	if (have == 0)
		return false;
	if (ingest->options->csv)
	{
		len = csv_read(&ingest->record, raw, have, at_end, ingest->options->delimiter);
		if (len == 0)
			return false;
		ingest->line++;
		if (!ingest->header_read)
			read_header(ingest, raw, len);
		else if (len > 0 && !(ingest->record.count == 1 && ingest->record.text.len == 0 &&
							  ingest->record.error == NULL && !ingest->record.fields[0].quoted))
			take_line(ingest, raw, len, true);
		ingest->line += Max(ingest->record.lines, 1) - 1;
		input->taken += len;
		ingest->position += len;
		return true;
	}

	newline = memchr(raw, '\n', have);
	if (newline == NULL && !at_end && have <= MOST_LINE)
		return false;
	len = newline ? (size_t) (newline + 1 - raw) : have;
	if (newline == NULL && !at_end)
	{
		/* far too long: told once, its beginning kept, and passed over */
		if (!ingest->skipping)
		{
			ingest->line++;
			ingest->converter.problem.len = 0;
			buffer_printf(&ingest->converter.problem, "the line is longer than %zu bytes", MOST_LINE);
			take_line(ingest, raw, 1000, false);
		}
		ingest->skipping = true;
	}
	else if (ingest->skipping)
		ingest->skipping = false;
	else
	{
		ingest->line++;
		if (!ndjson_is_blank(raw, len))
			take_line(ingest, raw, len, true);
	}
	input->taken += len;
	ingest->position += len;
	return true;
}

/* Note in the batch where it ends for now. */
static void
note_place(Ingest *ingest)
{
	Batch	   *batch = ingest->filling;

	batch->end = ingest->position;
	batch->device = ingest->input.device;
	batch->inode = ingest->input.inode;
	batch->offset = input_position(&ingest->input);
	batch->line = ingest->line;
}

/* The file has ended; on to the next, if there is one. */
static void
end_file(Ingest *ingest)
{
	input_close(&ingest->input);
	if (++ingest->file < ingest->options->file_count)
		ingest_open(ingest);
	else
		ingest->input_done = true;
}

/*
 * Read on, as far as the batch has room and without waiting.  False if
 * nothing came of it.
 */
bool
ingest_read(Ingest *ingest)
{
	Input	   *input = &ingest->input;
	int64_t		before = ingest->position;

	for (;;)
	{
		while (!batch_is_full(ingest, ingest->filling) && take_next(ingest, input->at_end))
			continue;
		note_place(ingest);
		if (batch_is_full(ingest, ingest->filling))
			return true;
		if (input->at_end)
		{
			end_file(ingest);
			return true;
		}
		switch (input_fill(input))
		{
			case INPUT_READ:
			case INPUT_END:
				continue;
			case INPUT_NOTHING:
				return ingest->position > before;
			case INPUT_ROTATED:
				while (take_next(ingest, true))
					continue;
				note_place(ingest);
				/* a new file begins a new batch */
				ingest->must_end = ingest->position;
				input_close(input);
				if (!input_open(input, input->path, true))
				{
					/* it was there a moment ago */
					input->fd = -1;
					fail(EXIT_FAILED, NULL, "could not open %s: %s", input->path, strerror(errno));
				}
				ingest->line = 0;
				ingest->header_read = !ingest->options->csv || ingest->options->columns;
				return true;
		}
	}
}
