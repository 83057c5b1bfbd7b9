/*-------------------------------------------------------------------------
 *
 * ingest.c
 *	  The loop of wflog ingest.
 *
 * While the server works on some batches, the next one is read.  Memory holds
 * one batch more than there are connections.
 *
 *-------------------------------------------------------------------------
 */
#include "ingest.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay.h"
#include "sender.h"

#define BATCH_TIME INT64_C(1000000) /* microseconds until one is sent that is not full */
#define TICK 100				/* milliseconds between looks at a file that is followed */
#define REPLAY_LINES 10000

/* Wait for the server or the input. */
static void
wait_for_events(Ingest *ingest, bool reading)
{
	struct pollfd polled[MOST_LANES + 1];
	int			count = 0;

	for (int i = 0; i < ingest->lane_count; i++)
	{
		PGconn	   *pg = ingest->lanes[i].connection->pg;

		if (ingest->lanes[i].batch == NULL)
			continue;
		polled[count++] = (struct pollfd) {
			.fd = PQsocket(pg),
			.events = PQflush(pg) == 1 ? POLLIN | POLLOUT : POLLIN,
		};
	}
	if (reading && !ingest->input.regular)
		polled[count++] = (struct pollfd) {.fd = ingest->input.fd,.events = POLLIN};
	if (interrupt_signal() == 0)
		poll(polled, count, TICK);	/* a signal ends it, or it is seen at the next tick */
	else
		poll(polled, count, count > 0 ? TICK : 0);
}

static Lane *
free_lane(Ingest *ingest)
{
	for (int i = 0; i < ingest->lane_count; i++)
		if (ingest->lanes[i].batch == NULL)
			return &ingest->lanes[i];
	return NULL;
}

/* Begin to fill another batch. */
static void
next_batch(Ingest *ingest)
{
	ingest->filling = ingest->spare[--ingest->spare_count];
	ingest->filling->sequence = ingest->position;
	ingest->filling->end = ingest->position;
}

/* Bytes of all files together, if that is known. */
static int64_t
total_size(const IngestOptions *options)
{
	int64_t		total = 0;

	for (int i = 0; i < options->file_count; i++)
	{
		struct stat status;

		if ((strcmp(options->files[i], "-") == 0 ? fstat(STDIN_FILENO, &status) :
			 stat(options->files[i], &status)) < 0 || !S_ISREG(status.st_mode))
			return 0;
		total += status.st_size;
	}
	return options->follow ? 0 : total;
}

/* Say what was done, and what to exit with. */
static int
finish(Ingest *ingest)
{
	Buffer		sum = {0};

	progress_clear(&ingest->progress);
	if (!ingest->options->quiet)
	{
		progress_sum(&ingest->progress, &sum);
		say("%s", buffer_text(&sum));
		buffer_free(&sum);
	}
	if (ingest->rejects.count > 0)
		complain(INT64_FORMAT " lines could not become logs%s%s", ingest->rejects.count,
				 ingest->rejects.path ? "; they are in " : "",
				 ingest->rejects.path ? ingest->rejects.path : "");
	rejects_end(&ingest->rejects);
	if (interrupt_signal())
		return EXIT_SIGNAL + interrupt_signal();
	return ingest->rejects.count > 0 ? EXIT_FAILED : EXIT_DONE;
}

/* Read everything; returns what to exit with. */
int
ingest(Ingest *ingest)
{
	const IngestOptions *options = ingest->options;

	interrupts_begin();
	ingest->lane_count = options->jobs;
	for (int i = 0; i < ingest->lane_count; i++)
	{
		ConnectOptions where = options->where;
		Connection *first = ingest->lanes[0].connection;

		/* the person is asked for a password once */
		ingest->lanes[i].connection = i == 0 ? connect_to(&where) : xmalloc(sizeof(Connection));
		if (i > 0)
		{
			char	   *problem;

			memset(ingest->lanes[i].connection, 0, sizeof(Connection));
			ingest->lanes[i].connection->options = where;
			ingest->lanes[i].connection->password = first->password;
			if (!connect_again(ingest->lanes[i].connection, &problem))
			{
				/* as many as there can be */
				free(problem);
				ingest->lane_count = i;
				break;
			}
		}
		PQsetnonblocking(ingest->lanes[i].connection->pg, 1);
	}
	for (int i = 0; i <= ingest->lane_count; i++)
	{
		ingest->spare[i] = xmalloc(sizeof(Batch));
		memset(ingest->spare[i], 0, sizeof(Batch));
	}
	ingest->spare_count = ingest->lane_count + 1;
	progress_begin(&ingest->progress, "logs", !options->quiet);
	ingest->progress.total = total_size(options);
	ingest_open(ingest);
	next_batch(ingest);

	for (;;)
	{
		Batch	   *batch = ingest->filling;
		bool		ending = ingest->input_done || interrupt_signal() != 0;
		bool		full = batch_is_full(ingest, batch);
		bool		moved = false;
		bool		busy = false;
		Lane	   *lane;

		if (!ending && !full)
			moved = ingest_read(ingest);
		full = batch_is_full(ingest, batch);
		if ((full || (batch->count > 0 &&
					  (ending || ingest->input_done || monotonic_time() - batch->begun_at >= BATCH_TIME))) &&
			(lane = free_lane(ingest)) != NULL)
		{
			ingest->must_end = 0;
			lane_send(ingest, lane, batch);
			next_batch(ingest);
			moved = true;
		}
		for (int i = 0; i < ingest->lane_count; i++)
		{
			moved |= lane_advance(ingest, &ingest->lanes[i]);
			busy |= ingest->lanes[i].batch != NULL;
		}
		progress_update(&ingest->progress);
		if ((ending || ingest->input_done) && ingest->filling->count == 0 && !busy)
			return finish(ingest);
		if (!moved)
			wait_for_events(ingest, !ending && !full);
	}
}

/* ---- what "run" has left ---- */

/* Bring spools to the database; returns what to exit with. */
int
ingest_spools(const IngestOptions *options)
{
	Connection *connection;
	Replay	   *replay;
	Sender		sender;
	Progress	progress;
	Buffer		sum = {0};
	Spool	   *spool;
	char	   *directory = NULL;
	const char *problem = NULL;
	int			exit_code;

	interrupts_begin();
	connection = connect_to(&options->where);	/* or say why not */
	sender_begin(&sender, &options->where, connection->password);
	sender.quiet = options->quiet;
	connection_close(connection);

	if (options->file_count == 0)
	{
		directory = spool_directory(NULL, &problem);
		if (directory == NULL)
			fail(EXIT_FAILED, NULL, "there is no directory of spools: %s", problem);
		replay = replay_begin(sender_target(&options->where));
		replay_add_directory(replay, directory);
	}
	else
	{
		replay = replay_begin(NULL);
		for (int i = 0; i < options->file_count; i++)
		{
			struct stat status;

			if (stat(options->files[i], &status) < 0)
				fail(EXIT_FAILED, NULL, "could not open %s: %s", options->files[i], strerror(errno));
			if (S_ISDIR(status.st_mode))
				replay_add_directory(replay, options->files[i]);
			else
				replay_add_file(replay, options->files[i]);
		}
	}

	progress_begin(&progress, "logs", !options->quiet);
	while ((spool = replay_current(replay)) != NULL && interrupt_signal() == 0)
	{
		struct pollfd polled;

		if (sender_advance(&sender))
			sender_offer(&sender, spool, REPLAY_LINES);
		if (sender.problem &&
			monotonic_time() - sender.away_since >= options->retry_seconds * INT64_C(1000000))
			fail(EXIT_CONNECTION, "What is left waits in the spools.", "the database is away: %s",
				 sender.problem);
		progress.count = sender.lines_sent;
		progress.bytes = (int64_t) (spool->base + spool->done);
		progress_update(&progress);
		if (sender.state != SENDER_IDLE)
		{
			sender_poll(&sender, &polled);
			poll(&polled, 1, TICK);
		}
	}
	progress.count = sender.lines_sent;
	progress_clear(&progress);
	if (!options->quiet)
		say(INT64_FORMAT " logs of %d spools", progress.count, replay->finished);
	if (replay->in_use > 0 && !options->quiet)
		say("%d spools are in use by others", replay->in_use);
	if (replay->elsewhere > 0 && !options->quiet)
		say("%d spools are for other databases; name their files to bring them here",
			replay->elsewhere);
	exit_code = interrupt_signal() ? EXIT_SIGNAL + interrupt_signal() :
		replay->failed > 0 || sender.lines_refused > 0 ? EXIT_FAILED : EXIT_DONE;
	sender_end(&sender);
	replay_end(replay);
	free(directory);
	buffer_free(&sum);
	return exit_code;
}
