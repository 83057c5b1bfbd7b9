/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The logs that there are, in pages, in the order of time.
 *
 * Memory holds one page of each execution, and one that is on its way while
 * that is shown; pages have as many logs as make about half a megabyte.
 *
 * Where the history is to lead on to the stream ("exact"), each page has its
 * own snapshot, and what is committed between two of them, with a time that
 * pages have already passed, would be missed.  No snapshot is kept for it,
 * since that would hold up the server's vacuum for as long as somebody looks
 * at a page.  Instead the stream is read beside the pages: the first page
 * brings the cursor of its snapshot, and before each further page the stream
 * is read to its end.  Of what it gives
 *
 *	  logs behind the last page's end are left to the pages to come: their
 *	  snapshots are later and show them;
 *	  logs in front of it have been missed, and are shown now, unless the last
 *	  page showed them.  Only that one can have: the stream was read to its
 *	  end before that page, so what it gives now was not visible to the pages
 *	  before that one.
 *
 * So the ids of one page are all that must be remembered, and after the last
 * page the stream goes on where it stands.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include "output.h"

#define PAGE_BYTES (512 * 1024)
#define LEAST_ROWS 20
#define MOST_ROWS 500			/* of the largest entries make 5 MB */
#define WAIT_MILLISECONDS 250

static const char page_sql[] =
	"SELECT wflog.logs_json($1, $2::pg_catalog.int4, $3::pg_catalog.int8, " LOG_FILTER_SQL
	", after => $15, from_end => $16::pg_catalog.bool, with_total => false)";

/* Ask for a page; false if the connection is lost. */
static bool
request_page(LogsJob *job, Subject *subject, long long rows, long long skip, bool from_end)
{
	const char *values[16];
	char		rows_text[24];
	char		skip_text[24];

	snprintf(rows_text, sizeof(rows_text), "%lld", rows);
	snprintf(skip_text, sizeof(skip_text), "%lld", skip);
	values[0] = subject->id;
	values[1] = rows_text;
	values[2] = skip_text;
	log_filter_values(&job->filter, values + 3);
	values[14] = subject->page_cursor;
	values[15] = from_end ? "true" : "false";
	return query_send(job->connection, page_sql, lengthof(values), values);
}

/*
 * A page.  If the connection is lost while following, it is made again and
 * the page asked for again.  NULL if there is no such execution and we are to
 * wait for it.
 */
static PGresult *
receive_page(LogsJob *job, Subject *subject, long long rows, long long skip, bool from_end)
{
	for (;;)
	{
		PGresult   *result = NULL;

		if (subject->requested || request_page(job, subject, rows, skip, from_end))
			result = query_receive(job->connection);
		subject->requested = false;
		if (query_succeeded(result))
			return result;
		if (job->wait && result_has_state(result, "P0002"))
		{
			PQclear(result);
			return NULL;
		}
		if (!job->follow || !connection_is_lost(job->connection))
			fail_with_result(job->connection, result);
		PQclear(result);
		reconnect(job);
	}
}

/* The page's document. */
static JsonValue
page_document(const PGresult *page)
{
	JsonValue	document = json_document(PQgetvalue(page, 0, 0), PQgetlength(page, 0, 0));

	if (document.kind != JSON_OBJECT)
		fail(EXIT_FAILED, NULL, "the server's answer is no page of logs");
	return document;
}

/* Take over what a page says about its neighbours. */
static void
read_pagination(LogsJob *job, Subject *subject, const JsonValue *document, bool first)
{
	JsonValue	pagination = json_find(document, "pagination");
	JsonValue	cursor = json_find(&pagination, "next_cursor");

	free(subject->next_cursor);
	subject->next_cursor = json_text(&cursor);
	if (first && job->exact)
	{
		cursor = json_find(&pagination, "stream_cursor");
		free(subject->stream_cursor);
		subject->stream_cursor = json_text(&cursor);
	}
}

/*
 * With --tail, find where the logs to be shown begin, unless one page has them
 * all: the log in front of the first one becomes the cursor.
 */
static bool
find_start(LogsJob *job, Subject *subject)
{
	PGresult   *page = receive_page(job, subject, 1, job->last, true);
	JsonValue	document;

	if (page == NULL)
		return false;
	document = page_document(page);
	read_pagination(job, subject, &document, false);
	set_text(&subject->page_cursor, subject->next_cursor);
	PQclear(page);
	return true;
}

/* Begin the next page; false if there is none, or no such execution yet. */
static bool
next_page(LogsJob *job, Subject *subject)
{
	bool		first = !subject->history_begun;
	bool		from_end = first && job->last >= 0 && job->last <= MOST_ROWS;
	long long	rows = subject->page_rows;
	JsonValue	document;
	JsonValue	logs;

	if (first && job->last > MOST_ROWS && !find_start(job, subject))
		return false;
	if (from_end)
		rows = Max(job->last, 1);
	if (!first)
	{
		if (subject->next_cursor == NULL)
			return false;
		/* while the next page was on its way, the cursor has been moved on already */
		if (!subject->requested)
			set_text(&subject->page_cursor, subject->next_cursor);
		if (job->exact)
			stream_read_to_end(job, subject, true);
	}
	PQclear(subject->page);
	subject->page = NULL;
	subject->page = receive_page(job, subject, rows, 0, from_end);
	if (subject->page == NULL)
		return false;
	subject->history_begun = true;
	subject->seen_count = 0;
	document = page_document(subject->page);
	read_pagination(job, subject, &document, first);
	logs = json_find(&document, "logs");
	subject->walk = json_walk(&logs);
	if (from_end)
	{
		free(subject->next_cursor);
		subject->next_cursor = NULL;
		if (job->last == 0)
			subject->walk.at = subject->walk.end;
	}

	/* as many logs as make a page of the size that is wanted */
	rows = rows * PAGE_BYTES / Max(logs.len, 1);
	subject->page_rows = Max(Min(Min(rows, subject->page_rows * 5), MOST_ROWS), LEAST_ROWS);

	if (job->count == 1 && !job->exact && subject->next_cursor)
	{
		set_text(&subject->page_cursor, subject->next_cursor);
		subject->requested = request_page(job, subject, subject->page_rows, 0, false);
	}
	return true;
}

/* Remember what the page has shown, since the stream may bring it again. */
static void
remember(Subject *subject, const LogEntry *log)
{
	if (subject->seen_count == subject->seen_size)
	{
		subject->seen_size = subject->seen_size * 2 + 100;
		subject->seen = xrealloc(subject->seen, (size_t) subject->seen_size * SEEN_ID);
	}
	snprintf(subject->seen[subject->seen_count++], SEEN_ID, "%.*s",
			 (int) log->field[LOG_ID].len, log->field[LOG_ID].text);
}

/* The next log of an execution's history; false at its end. */
static bool
next_log(LogsJob *job, Subject *subject, LogEntry *log)
{
	JsonValue	object;

	if (subject->history_done)
		return false;
	while (!subject->history_begun || !json_next_element(&subject->walk, &object))
	{
		if (subject->history_begun)
		{
			if (output.is_terminal || job->follow)
				output_flush();
			check_interrupt();
		}
		if (!next_page(job, subject))
		{
			if (!subject->history_begun)
			{
				/* --wait: not there yet */
				if (wait_for(-1, false, WAIT_MILLISECONDS) < 0)
					check_interrupt();
				continue;
			}
			PQclear(subject->page);
			subject->page = NULL;
			subject->history_done = true;
			return false;
		}
	}
	if (!log_parse(log, &object))
		fail(EXIT_FAILED, NULL, "the server's answer has something that is no log");
	if (job->exact)
		remember(subject, log);
	return true;
}

/*
 * Show all executions' history, merged by time.  The logs that are compared
 * point into their executions' pages.
 */
void
show_history(LogsJob *job)
{
	LogEntry   *logs = xmalloc(sizeof(LogEntry) * Max(job->count, 1));
	Position   *positions = xmalloc(sizeof(Position) * Max(job->count, 1));
	bool	   *there = xmalloc(sizeof(bool) * Max(job->count, 1));

	for (int i = 0; i < job->count; i++)
	{
		there[i] = next_log(job, job->subjects[i], &logs[i]);
		if (there[i] && job->count > 1)
			log_position(&positions[i], &logs[i]);
	}
	for (;;)
	{
		int			first = -1;
		Subject    *subject;

		for (int i = 0; i < job->count; i++)
			if (there[i] && (first < 0 || position_compare(&positions[i], &positions[first]) < 0))
				first = i;
		if (first < 0)
			break;
		subject = job->subjects[first];
		show_log(&job->style, subject->id, &logs[first]);
		subject->shown++;
		if (job->exact)
			log_position(&subject->edge, &logs[first]);
		there[first] = next_log(job, subject, &logs[first]);
		if (there[first] && job->count > 1)
			log_position(&positions[first], &logs[first]);
	}
	free(logs);
	free(positions);
	free(there);
}
