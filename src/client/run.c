/*-------------------------------------------------------------------------
 *
 * run.c
 *	  The event loop of wflog run.
 *
 * One process and one poll(): signals, the child's two streams, where they
 * are passed on to, and the connection.  What is read from the child goes
 * into the spool before anything else; the sender takes it from there as the
 * database allows.  So nothing the database does or does not do can hold up
 * the child.  What can is who reads our own output: with --tee, a stream
 * whose reader is slow is not read from, as the child would feel it without
 * us in between.
 *
 *-------------------------------------------------------------------------
 */
#include "run.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "encode.h"
#include "structured.h"

#define READ_BYTES (256 * 1024)
#define BATCH_TIME INT64_C(1000000) /* microseconds until a batch is sent that is not full */
#define SYNC_TIME INT64_C(1000000)
#define BACKLOG_LINES 10000		/* of a batch when there is more to send than a few */
#define TAIL_KEPT 16384			/* of stderr */
#define ESCAPED_TIME INT64_C(500000)	/* for pipes that somebody outside the group still holds */
#define GROUP_LOOK INT64_C(20000)	/* between looks whether the group has gone */
#define REPLAY_TIME INT64_C(5000000)	/* for what others have left, when our own is done */

/* ---- lines ---- */

/* Keep the last lines of stderr, for the entry of a failure. */
static void
keep_error_tail(Run *run, const char *text, size_t len, LinePart part)
{
	Buffer	   *tail = &run->error_tail;

	buffer_append(tail, text, len);
	if (part != LINE_BEGIN && part != LINE_MIDDLE)
		buffer_char(tail, '\n');
	if (tail->len > 2 * TAIL_KEPT)
		buffer_consume(tail, tail->len - TAIL_KEPT);
}

/* Take a line of the child's, or a part of one. */
static void
take_line(void *arg, const char *text, size_t len, LinePart part)
{
	RunStream  *stream = arg;
	Run		   *run = stream->run;
	const RunOptions *options = run->options;
	int64_t		time;

	if (run->truncated)
		return;
	if (options->max_bytes > 0 && run->captured + (int64_t) len > options->max_bytes)
	{
		run->truncated = true;
		run_log_truncated(run);
		return;
	}
	run->captured += len + 1;
	if (part != LINE_MIDDLE && part != LINE_END)
		run->lines++;
	if (stream->is_error_stream)
		keep_error_tail(run, text, len, part);
	time = run_log_time(run, stream->read_at);
	if (part == LINE_WHOLE && len > 1 && (text[0] == '{' || text[0] == ' ') &&
		(stream->is_error_stream ? options->structured_errors : options->structured_output))
	{
		Buffer		fields = {0};
		bool		structured = structured_parse(text, len, stream->is_error_stream ? "stderr" : "stdout",
												  stream->is_error_stream ? "WARNING" : "INFO", &fields);

		if (structured)
			spool_add_entry(run->spool, time, false, fields.data, fields.len);
		buffer_free(&fields);
		if (structured)
			return;
	}
	spool_add_line(run->spool, time, stream->is_error_stream, part, text, len);
}

/* The stream has ended, or nobody wants it any more. */
static void
close_stream(RunStream *stream)
{
	if (stream->fd < 0)
		return;
	close(stream->fd);
	stream->fd = -1;
	lines_finish(&stream->lines);
}

/* Read what there is of a stream, and pass it on. */
static void
read_stream(RunStream *stream)
{
	static char bytes[READ_BYTES];
	ssize_t		len = read(stream->fd, bytes, sizeof(bytes));

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len <= 0)
	{
		close_stream(stream);
		return;
	}
	stream->bytes += len;
	stream->read_at = run_clock();
	tee_add(&stream->tee, bytes, len);
	if (!stream->run->truncated)
		lines_feed(&stream->lines, bytes, len);
}

/* Pass on what is pending.  When its reader has gone, the child is to know. */
static void
write_tee(RunStream *stream)
{
	if (tee_is_pending(&stream->tee) && !tee_write(&stream->tee))
		close_stream(stream);
}

static void
begin_stream(Run *run, RunStream *stream, int fd, bool is_error_stream)
{
	stream->run = run;
	stream->fd = fd;
	stream->is_error_stream = is_error_stream;
	stream->lines.redactor = run->redactor;
	stream->lines.limit = run->options->max_line;
	stream->lines.sink = take_line;
	stream->lines.arg = stream;
	stream->tee.fd = !run->options->tee ? -1 : is_error_stream ? STDERR_FILENO : STDOUT_FILENO;
}

/* ---- signals ---- */

/* Take the signals that have come. */
static void
take_signals(Run *run)
{
	CaughtSignal caught;

	while ((caught = signals_next()).number != 0)
	{
		if (caught.number == SIGCHLD)
			continue;			/* looked at anyway */
		if (caught.number == SIGINT || caught.number == SIGTERM || caught.number == SIGHUP ||
			caught.number == SIGQUIT)
		{
			if (run->flushing)
				run->abandoned = true;
			else
				run->ended_by = caught.number;
		}
		if (!run->flushing)
			child_forward(&run->child, caught);
	}
}

/* ---- sending ---- */

/* Give the sender what is due. */
static void
give_work(Run *run, int64_t now)
{
	Spool	   *spool = run->spool;
	bool		idle;

	spool_write(spool);
	if (spool->write_error && !run->told_of_disk)
	{
		warn("could not write to the spool: %s; lines may be lost", strerror(spool->write_error));
		run->told_of_disk = true;
	}
	if (spool->unsent_items > 0 && run->unsent_since == 0)
		run->unsent_since = now;

	idle = sender_advance(&run->sender);
	if (idle)
		spool_write(spool);		/* an answer may have made room */
	if (idle && !spool_is_empty(spool) &&
		(run->urgent || run->flushing || spool->unsent_items >= SPOOL_BATCH_LINES ||
		 now - run->unsent_since >= BATCH_TIME))
	{
		uint64_t	lines = spool->unsent_items > 10 * SPOOL_BATCH_LINES ? BACKLOG_LINES : SPOOL_BATCH_LINES;

		if (sender_offer(&run->sender, spool, lines))
		{
			run->unsent_since = now;
			run->urgent = run->sender.work.is_call;	/* and what follows it */
			return;
		}
		/* its number cannot be written down; later, perhaps */
		run->urgent = false;
		run->unsent_since = now;
	}
	if (spool_is_empty(spool))
		run->unsent_since = 0;
	if (idle && run->replay && run->sender.state == SENDER_IDLE)
	{
		Spool	   *other = replay_current(run->replay);

		if (other)
			sender_offer(&run->sender, other, BACKLOG_LINES);
		else if (run->replay->next >= run->replay->count)
		{
			replay_end(run->replay);
			run->replay = NULL;
		}
	}
	if (run->sender.state == SENDER_AWAY && run->sender.problem && run->options->sync && now - run->synced_at >= SYNC_TIME)
	{
		spool_sync(spool);
		run->synced_at = now;
	}
}

/* When the loop is to turn at the latest, without any event. */
static int64_t
next_due(const Run *run)
{
	int64_t		due = sender_due(&run->sender);

	if (run->sender.state == SENDER_IDLE && run->unsent_since > 0)
		due = Min(due, run->unsent_since + BATCH_TIME);
	if (run->options->sync && run->spool->unsynced && run->sender.problem)
		due = Min(due, run->synced_at + SYNC_TIME);
	return due;
}

/* Wait for something to happen, until then at the latest. */
static void
wait_for_events(Run *run, int signal_fd, int64_t due)
{
	enum
	{
		SIGNALS, OUTPUT, ERRORS, TEE_OUTPUT, TEE_ERRORS, DATABASE, COUNT
	};
	RunStream  *streams[2] = {&run->output, &run->errors};
	struct pollfd polled[COUNT];
	int64_t		wait = due - monotonic_time();

	for (int i = 0; i < COUNT; i++)
		polled[i] = (struct pollfd) {.fd = -1};
	polled[SIGNALS] = (struct pollfd) {.fd = signal_fd,.events = POLLIN};
	for (int i = 0; i < 2; i++)
	{
		if (tee_is_pending(&streams[i]->tee))
			polled[TEE_OUTPUT + i] = (struct pollfd) {.fd = streams[i]->tee.fd,.events = POLLOUT};
		else if (streams[i]->fd >= 0)
			polled[OUTPUT + i] = (struct pollfd) {.fd = streams[i]->fd,.events = POLLIN};
	}
	sender_poll(&run->sender, &polled[DATABASE]);

	wait = Max(wait, 0);
	if (poll(polled, COUNT, wait > 3600000000 ? -1 : (int) ((wait + 999) / 1000)) < 0)
		return;					/* a signal; the next turn sees it */
	for (int i = 0; i < 2; i++)
	{
		if (polled[TEE_OUTPUT + i].revents)
			write_tee(streams[i]);
		if (polled[OUTPUT + i].revents && streams[i]->fd >= 0)
		{
			read_stream(streams[i]);
			write_tee(streams[i]);
		}
	}
}

/* ---- the course of things ---- */

/*
 * The child has ended; see to what is left of its group and its streams.
 * True when all is done.
 */
static bool
clean_up(Run *run, int64_t now, int64_t *due)
{
	static bool asked = false;
	static bool insisted = false;
	bool		lives = child_group_lives(&run->child);
	int64_t		since = now - run->ended_at;
	int64_t		grace = run->options->grace_seconds * INT64_C(1000000);

	if (lives)
	{
		if (!asked)
			child_signal(&run->child, SIGTERM);
		asked = true;
		if (since >= grace && !insisted)
		{
			child_signal(&run->child, SIGKILL);
			insisted = true;
		}
		*due = Min(*due, now + GROUP_LOOK);
		/* a zombie that nobody reaps counts as alive for ever */
		if (since < grace + ESCAPED_TIME)
			return false;
	}
	if (run->output.fd < 0 && run->errors.fd < 0)
		return !tee_is_pending(&run->output.tee) && !tee_is_pending(&run->errors.tee);

	/* what has left the group keeps its pipe, but does not keep us */
	if (!tee_is_pending(&run->output.tee) && !tee_is_pending(&run->errors.tee) &&
		since >= ESCAPED_TIME)
	{
		close_stream(&run->output);
		close_stream(&run->errors);
		return true;
	}
	*due = Min(*due, run->ended_at + ESCAPED_TIME > now ? run->ended_at + ESCAPED_TIME : now + GROUP_LOOK);
	return false;
}

/* Bring what is left to the database, as long as that goes on. */
static void
flush_spool(Run *run, int signal_fd)
{
	int64_t		patience = run->options->wait_seconds * INT64_C(1000000);
	int64_t		progress_at = monotonic_time();
	int64_t		done_at = 0;
	uint64_t	done = 0;

	run->flushing = true;
	for (;;)
	{
		int64_t		now = monotonic_time();
		uint64_t	have;

		take_signals(run);
		if (run->abandoned)
			return;
		give_work(run, now);
		have = run->spool->base + run->spool->done;
		if (have != done)
			progress_at = now;
		done = have;
		if (spool_is_empty(run->spool) && run->sender.spool != run->spool)
		{
			if (done_at == 0)
				done_at = now;
			if (run->replay == NULL || run->sender.state == SENDER_AWAY || now - done_at >= REPLAY_TIME)
				return;
		}
		else if (now - progress_at >= patience)
			return;
		wait_for_events(run, signal_fd, Min(Min(next_due(run), progress_at + patience),
											now + 200000));
	}
}

/* Say what the person should know, and close everything. */
static void
finish(Run *run)
{
	const RunOptions *options = run->options;
	Spool	   *spool = run->spool;
	bool		empty = spool_is_empty(spool);

	if (run->sender.spool == spool)
		empty = false;			/* no answer yet */
	if (!empty && spool->path)
	{
		spool_give_up(spool);
		if (options->sync)
			spool_sync(spool);
		say("the database does not have all logs yet; they wait in %s", spool->path);
		if (!options->quiet)
			hint("A later \"wflog run\" brings them there, or: wflog ingest --spool %s", spool->path);
	}
	else if (!empty)
		warn("logs are lost: the database is away, and there was no place for a spool");
	if (spool->lost_total > 0)
		warn("%llu lines are lost: the spool was full", (unsigned long long) spool->lost_total);
	if (run->sender.lines_refused > 0 && spool->path)
		hint("What the server refused is in %s.refused.", spool->path);
	sender_end(&run->sender);
	if (run->replay)
		replay_end(run->replay);
	spool_close(spool, empty);
}

/* Run the command, and return what to exit with. */
int
run_loop(Run *run)
{
	const RunOptions *options = run->options;
	int			signal_fd = signals_begin();
	bool		done = false;
	int			exit_code;

	run->started_at = monotonic_time();
	run_log_started(run);
	if (!child_start(&run->child, options->command))
		fail(EXIT_WRAPPER, NULL, "could not start a process: %s", strerror(errno));
	begin_stream(run, &run->output, run->child.output, false);
	begin_stream(run, &run->errors, run->child.errors, true);
	if (run->child.exec_error)
		complain("could not execute \"%s\": %s", options->command[0],
				 strerror(run->child.exec_error));

	while (!done)
	{
		int64_t		now = monotonic_time();
		int64_t		due;

		take_signals(run);
		give_work(run, now);
		due = next_due(run);
		if (child_reap(&run->child))
		{
			if (run->ended_at == 0)
				run->ended_at = now;
			done = clean_up(run, now, &due);
		}
		if (!done)
			wait_for_events(run, signal_fd, due);
	}
	run_log_ended(run);
	exit_code = child_exit_code(&run->child);
	flush_spool(run, signal_fd);
	finish(run);
	return exit_code;
}
