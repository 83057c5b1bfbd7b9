/*-------------------------------------------------------------------------
 *
 * subject.c
 *	  The executions whose logs are shown, and the file that remembers how far.
 *
 * A cursor file has a line for each execution: the stream's cursor, a blank,
 * the execution's id with line feeds and backslashes escaped.  It is replaced
 * as a whole, so that whoever reads it, or we after a crash, finds the old one
 * or the new one; and only after what it stands for has been written to
 * stdout, so that a crash repeats logs rather than losing them.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

/* Replace a text by a copy of another, or by NULL. */
void
set_text(char **variable, const char *value)
{
	char	   *copy = value ? xstrdup(value) : NULL;

	free(*variable);
	*variable = copy;
}

/* One more execution. */
Subject *
subject_add(LogsJob *job, const char *id)
{
	Subject    *subject = xmalloc(sizeof(Subject));

	memset(subject, 0, sizeof(Subject));
	subject->id = xstrdup(id);
	subject->page_rows = 100;	/* something to see at once; then by their size */
	subject->must_read = subject->must_subscribe = true;
	job->subjects = xrealloc(job->subjects, sizeof(Subject *) * (job->count + 1));
	job->subjects[job->count++] = subject;
	return subject;
}

/* Forget an execution that has ended. */
void
subject_remove(LogsJob *job, Subject *subject)
{
	int			at = 0;

	while (job->subjects[at] != subject)
		at++;
	memmove(&job->subjects[at], &job->subjects[at + 1], sizeof(Subject *) * (job->count - at - 1));
	job->count--;
	PQclear(subject->page);
	free(subject->id);
	free(subject->status);
	free(subject->page_cursor);
	free(subject->next_cursor);
	free(subject->stream_cursor);
	free(subject->saved_cursor);
	free(subject->seen);
	free(subject->channel);
	free(subject);
}

/* The execution of that id, or NULL. */
Subject *
subject_find(LogsJob *job, const char *id)
{
	for (int i = 0; i < job->count; i++)
		if (strcmp(job->subjects[i]->id, id) == 0)
			return job->subjects[i];
	return NULL;
}

/* Is nothing more to come? */
bool
status_is_terminal(const char *status)
{
	return status && (strcmp(status, "SUCCESS") == 0 || strcmp(status, "FAILED") == 0 ||
					  strcmp(status, "CANCELLED") == 0);
}

/* What --exit-status makes of it. */
int
status_exit_code(const char *status)
{
	if (status == NULL || !status_is_terminal(status))
		return EXIT_EXECUTION_RUNNING;
	if (strcmp(status, "FAILED") == 0)
		return EXIT_EXECUTION_FAILED;
	if (strcmp(status, "CANCELLED") == 0)
		return EXIT_EXECUTION_CANCELLED;
	return EXIT_DONE;
}

/* ---- the cursor file ---- */

/* The escaped id of a line, in place. */
static void
unescape_id(char *text)
{
	char	   *to = text;

	for (const char *from = text; *from; from++)
	{
		if (*from == '\\' && from[1])
			*to++ = *++from == 'n' ? '\n' : *from;
		else
			*to++ = *from;
	}
	*to = '\0';
}

/* Take the cursors of the executions from the file, if there is one. */
void
load_cursors(LogsJob *job)
{
	FILE	   *file = fopen(job->cursor_file, "r");
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		len;

	if (file == NULL && errno == ENOENT)
		return;					/* the first time */
	if (file == NULL)
		fail(EXIT_FAILED, NULL, "could not open \"%s\": %s", job->cursor_file, strerror(errno));
	while ((len = getline(&line, &size, file)) > 0)
	{
		char	   *id = strchr(line, ' ');
		Subject    *subject;

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (id == NULL || strncmp(line, "s1.", 3) != 0)
			fail(EXIT_FAILED, "Is it another program's file? It can be removed to begin anew.",
				 "\"%s\" is no cursor file", job->cursor_file);
		*id++ = '\0';
		unescape_id(id);
		subject = subject_find(job, id);
		if (subject)
		{
			set_text(&subject->stream_cursor, line);
			set_text(&subject->saved_cursor, line);
			subject->history_done = true;
		}
	}
	if (ferror(file))
		fail(EXIT_FAILED, NULL, "could not read \"%s\": %s", job->cursor_file, strerror(errno));
	free(line);
	fclose(file);
}

/* Write the cursors into the file. */
void
save_cursors(LogsJob *job)
{
	Buffer		temporary = {0};
	Buffer		text = {0};
	int			fd;
	bool		written;

	for (int i = 0; i < job->count; i++)
	{
		Subject    *subject = job->subjects[i];

		if (subject->saved_cursor == NULL)
			continue;
		buffer_string(&text, subject->saved_cursor);
		buffer_char(&text, ' ');
		for (const char *at = subject->id; *at; at++)
		{
			if (*at == '\n' || *at == '\\')
				buffer_char(&text, '\\');
			buffer_char(&text, *at == '\n' ? 'n' : *at);
		}
		buffer_char(&text, '\n');
	}
	if (text.len == 0)
		return;					/* nothing known: what the file says still holds */
	buffer_printf(&temporary, "%s.tmp", job->cursor_file);
	fd = open(buffer_text(&temporary), O_WRONLY | O_CREAT | O_TRUNC, 0666);
	written = fd >= 0 && write(fd, text.data, text.len) == (ssize_t) text.len;
	if (fd >= 0)
		written = close(fd) == 0 && written;
	if (!written || rename(temporary.data, job->cursor_file) != 0)
	{
		int			problem = errno;

		if (fd >= 0)
			unlink(temporary.data);
		job->cursor_file = NULL;	/* leave() would come here again */
		fail(EXIT_FAILED, NULL, "could not write \"%s\": %s", temporary.data, strerror(problem));
	}
	buffer_free(&text);
	buffer_free(&temporary);
}

/* Let all logs be seen, and remember so; in the file at most once a second. */
void
flush_logs(LogsJob *job)
{
	static time_t saved = 0;
	bool		changed = false;

	output_flush();
	if (job->cursor_file == NULL)
		return;
	for (int i = 0; i < job->count; i++)
	{
		Subject    *subject = job->subjects[i];

		if (!subject->history_done || subject->stream_cursor == NULL ||
			(subject->saved_cursor && strcmp(subject->saved_cursor, subject->stream_cursor) == 0))
			continue;
		set_text(&subject->saved_cursor, subject->stream_cursor);
		changed = true;
	}
	if (changed && time(NULL) != saved)
	{
		save_cursors(job);
		saved = time(NULL);
	}
}
