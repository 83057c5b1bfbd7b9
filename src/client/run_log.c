/*-------------------------------------------------------------------------
 *
 * run_log.c
 *	  What "run" itself tells of a step: its begin, input, and end.
 *
 * Everything that comes from outside goes through the redactor before it is
 * put into an entry.
 *
 *-------------------------------------------------------------------------
 */
#include "run.h"

#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "encode.h"

#define INPUT_BYTES 6000		/* of the argument vector, in one entry */
#define TAIL_BYTES 4096			/* of stderr, in the entry of a failure */
#define MESSAGE_BYTES 1000

/* Microseconds since 1970. */
int64_t
run_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/*
 * The time of the next log: when it was read, but always later than that of
 * the last one, so that the order of times is the order of reading.
 */
int64_t
run_log_time(Run *run, int64_t read_at)
{
	run->time = Max(read_at, run->time + 1);
	return run->time;
}

/* Append a text from outside, masked. */
static void
mask(Run *run, const char *text, Buffer *out)
{
	if (run->redactor)
		redact_text(run->redactor, text, strlen(text), out);
	else
		buffer_string(out, text);
}

/* Append a JSON string, cut to so many stored bytes. */
static void
add_cut(Buffer *out, const Buffer *text, size_t limit)
{
	size_t		len = stored_prefix(text->data, text->len, limit);
	Buffer		shown = {0};

	buffer_append(&shown, text->data, len);
	if (len < text->len)
		buffer_printf(&shown, "... [truncated, %zu bytes]", text->len);
	encode_json(out, shown.data, shown.len);
	buffer_free(&shown);
}

static void
add_member(Buffer *out, const char *name, const char *value)
{
	buffer_printf(out, ",\"%s\":", name);
	encode_json(out, value, strlen(value));
}

/* The members that logs have in common. */
void
run_log_members(const RunOptions *options, Buffer *execution, Buffer *node)
{
	buffer_string(execution, "\"execution_id\":");
	encode_json(execution, options->execution, strlen(options->execution));

	add_member(node, "node_id", options->task);
	if (options->name)
		add_member(node, "node_name", options->name);
	buffer_string(node, ",\"node_type\":\"command\"");
	if (options->source)
		add_member(node, "source", options->source);
	buffer_printf(node, ",\"attempt\":%d", options->attempt);
	if (options->step)
		buffer_printf(node, ",\"step_number\":%d", options->step);
	if (options->total_steps)
		buffer_printf(node, ",\"total_steps\":%d", options->total_steps);
}

/* Begin an entry. */
static void
begin_entry(Buffer *entry, const char *event_type, const char *level)
{
	entry->len = 0;
	buffer_printf(entry, ",\"event_type\":\"%s\",\"level\":\"%s\"", event_type, level);
}

static void
end_entry(Run *run, Buffer *entry, bool of_workflow)
{
	spool_add_entry(run->spool, run_log_time(run, run_clock()), of_workflow, buffer_text(entry), entry->len);
	run->urgent = true;
}

/* What makes an entry one for people who are no engineers. */
static void
add_milestone(const Run *run, Buffer *entry, const char *what, int steps_done)
{
	const RunOptions *options = run->options;
	Buffer		told = {0};

	if (options->total_steps && options->step)
		buffer_printf(entry, ",\"progress_percentage\":%.2f",
					  Min(100.0, 100.0 * steps_done / options->total_steps));
	if (!options->milestone)
		return;
	buffer_printf(&told, "%s: %s", options->name ? options->name : options->task, what);
	if (options->attempt > 1)
		buffer_printf(&told, " (attempt %d)", options->attempt);
	buffer_string(entry, ",\"is_milestone\":true,\"log_category\":\"business\",\"display_priority\":8");
	add_member(entry, "user_friendly_message", buffer_text(&told));
	buffer_free(&told);
}

/* Tell the argument vector; a long one in several entries. */
static void
log_input(Run *run)
{
	char	  **argv = run->options->command;
	char		directory[4096];
	Buffer		entry = {0};
	Buffer		list = {0};
	Buffer		masked = {0};
	int			from = 0;
	int			i = 0;

	do
	{
		Buffer		words = {0};

		list.len = 0;
		for (; argv[i] != NULL && (i == from || list.len + strlen(argv[i]) < INPUT_BYTES / 2); i++)
		{
			if (i > from)
			{
				buffer_char(&list, ',');
				buffer_char(&words, ' ');
			}
			masked.len = 0;
			mask(run, argv[i], &masked);
			add_cut(&list, &masked, INPUT_BYTES / 2);
			encode_shell_word(&words, buffer_text(&masked));
		}
		begin_entry(&entry, "step_input", "INFO");
		buffer_string(&entry, ",\"message\":");
		add_cut(&entry, &words, MESSAGE_BYTES);
		buffer_string(&entry, ",\"data\":{\"argv\":[");
		buffer_append(&entry, list.data, list.len);
		buffer_char(&entry, ']');
		if (from > 0)
			buffer_printf(&entry, ",\"from\":%d", from);
		else if (getcwd(directory, sizeof(directory)) != NULL)
		{
			masked.len = 0;
			mask(run, directory, &masked);
			buffer_string(&entry, ",\"directory\":");
			add_cut(&entry, &masked, MESSAGE_BYTES);
		}
		buffer_char(&entry, '}');
		end_entry(run, &entry, false);
		buffer_free(&words);
		from = i;
	} while (argv[i] != NULL);
	buffer_free(&entry);
	buffer_free(&list);
	buffer_free(&masked);
}

/* A call of a function of the server: its name, and arguments. */
static void
add_call(Run *run, const char *name, const char *a, const char *b, const char *c)
{
	Buffer		strings = {0};
	const char *all[] = {name, a, b, c};

	for (int i = 0; i < lengthof(all) && all[i] != NULL; i++)
		buffer_append(&strings, all[i], strlen(all[i]) + 1);
	spool_add_call(run->spool, strings.data, strings.len);
	buffer_free(&strings);
	run->urgent = true;
}

/* Tell that the step begins. */
void
run_log_started(Run *run)
{
	const RunOptions *options = run->options;
	Buffer		entry = {0};
	Buffer		message = {0};

	if (options->workflow)
		add_call(run, "start_execution", options->execution, options->workflow, NULL);
	if (options->owns_execution)
	{
		begin_entry(&entry, "workflow_started", "INFO");
		buffer_printf(&message, "%s started", options->workflow);
		add_member(&entry, "message", buffer_text(&message));
		end_entry(run, &entry, true);
	}
	begin_entry(&entry, "step_started", "INFO");
	message.len = 0;
	buffer_printf(&message, "%s started", options->task);
	add_member(&entry, "message", buffer_text(&message));
	add_milestone(run, &entry, "started", options->step - 1);
	end_entry(run, &entry, false);
	log_input(run);
	buffer_free(&entry);
	buffer_free(&message);
}

/* Tell that no more of the output is kept. */
void
run_log_truncated(Run *run)
{
	Buffer		entry = {0};

	begin_entry(&entry, "step_output", "WARNING");
	buffer_printf(&entry, ",\"data\":{\"truncated\":true,\"max_bytes\":" INT64_FORMAT "},"
				  "\"message\":\"the output is cut here, after " INT64_FORMAT " bytes of it;"
				  " the command goes on\"", run->options->max_bytes, run->captured);
	end_entry(run, &entry, false);
	buffer_free(&entry);
}

/* The last lines of stderr, as whole as they can be. */
static void
add_error_tail(Run *run, Buffer *entry)
{
	const char *tail = run->error_tail.data;
	size_t		len = run->error_tail.len;

	while (len > 0 && tail[len - 1] == '\n')
		len--;
	if (len == 0)
		return;
	if (len > TAIL_BYTES)
	{
		const char *newline;

		tail += len - TAIL_BYTES;
		len = TAIL_BYTES;
		newline = memchr(tail, '\n', len);
		if (newline)
		{
			len -= newline + 1 - tail;
			tail = newline + 1;
		}
	}
	buffer_string(entry, ",\"stack_trace\":");
	encode_json(entry, tail, stored_prefix(tail, len, TAIL_BYTES));
}

/* How the command ended, as an end of the sentence "TASK ...". */
static void
describe_end(const Child *child, Buffer *out)
{
	if (child->exec_error)
		buffer_printf(out, "could not be executed: %s", strerror(child->exec_error));
	else if (WIFSIGNALED(child->status))
		buffer_printf(out, "was ended by %s", signal_name(WTERMSIG(child->status)));
	else if (WEXITSTATUS(child->status) != 0)
		buffer_printf(out, "failed with exit status %d", WEXITSTATUS(child->status));
	else
		buffer_string(out, "completed");
}

/* Tell the execution's end, if it is ours. */
static void
end_execution(Run *run, bool failed, const char *how)
{
	const RunOptions *options = run->options;
	const char *status = "SUCCESS";
	Buffer		entry = {0};
	Buffer		message = {0};

	/* who ended it has cancelled it */
	if (failed)
		status = run->ended_by == SIGINT || run->ended_by == SIGTERM || run->ended_by == SIGHUP ||
			run->ended_by == SIGQUIT ? "CANCELLED" : "FAILED";
	begin_entry(&entry, "workflow_completed", failed ? "ERROR" : "INFO");
	buffer_printf(&message, "%s ended: %s", options->workflow, status);
	add_member(&entry, "message", buffer_text(&message));
	if (!failed)
		buffer_string(&entry, ",\"progress_percentage\":100");
	end_entry(run, &entry, true);
	add_call(run, "set_execution_status", options->execution, status, failed ? how : NULL);
	buffer_free(&entry);
	buffer_free(&message);
}

/* Tell how the step ended. */
void
run_log_ended(Run *run)
{
	const RunOptions *options = run->options;
	const Child *child = &run->child;
	bool		failed = child_exit_code(child) != 0;
	bool		signaled = child->exec_error == 0 && WIFSIGNALED(child->status);
	int64_t		duration = run->ended_at - run->started_at;
	Buffer		entry = {0};
	Buffer		how = {0};
	Buffer		message = {0};

	buffer_printf(&how, "%s ", options->task);
	describe_end(child, &how);
	buffer_printf(&message, "%s after %.3f s", buffer_text(&how), duration / 1e6);

	begin_entry(&entry, failed ? "step_error" : "step_completed", failed ? "ERROR" : "INFO");
	add_member(&entry, "message", buffer_text(&message));
	buffer_printf(&entry, ",\"duration_seconds\":%d,\"data\":{\"exit_code\":%d",
				  (int) Min((duration + 500000) / 1000000, INT_MAX), child_exit_code(child));
	if (signaled)
		buffer_printf(&entry, ",\"signal\":\"%s\"", signal_name(WTERMSIG(child->status)));
	buffer_printf(&entry, ",\"duration_ms\":" INT64_FORMAT ",\"stdout_bytes\":" INT64_FORMAT
				  ",\"stderr_bytes\":" INT64_FORMAT ",\"lines\":" INT64_FORMAT,
				  duration / 1000, run->output.bytes, run->errors.bytes, run->lines);
	if (run->truncated)
		buffer_printf(&entry, ",\"truncated\":true,\"captured_bytes\":" INT64_FORMAT, run->captured);
	if (run->spool->lost_total > 0)
		buffer_printf(&entry, ",\"lost_lines\":%llu", (unsigned long long) run->spool->lost_total);
	buffer_char(&entry, '}');
	if (failed)
		add_error_tail(run, &entry);
	add_milestone(run, &entry, failed ? "failed" : "done", failed ? options->step - 1 : options->step);
	end_entry(run, &entry, false);
	if (options->owns_execution)
		end_execution(run, failed, buffer_text(&how));
	buffer_free(&entry);
	buffer_free(&how);
	buffer_free(&message);
}
