/*-------------------------------------------------------------------------
 *
 * export.c
 *	  The logs of an execution, page by page.
 *
 * While one page is written, the next is on its way; memory holds these two.
 * Pages are in the order of time.  A log that is committed late, with a time
 * that has been passed, is not in a later page: who exports executions that
 * still run and wants each log once follows them with "wflog logs".
 *
 *-------------------------------------------------------------------------
 */
#include "export.h"

#include "export_row.h"
#include "output.h"

#define MOST_ROWS 1000			/* of a page, as the server allows */
#define LEAST_ROWS 20
#define PAGE_BYTES (1024 * 1024)

static const char page_sql[] =
	"SELECT wflog.logs_json($1, $2::pg_catalog.int4, $3::pg_catalog.int8, " LOG_FILTER_SQL
	", after => $15, detail => true, with_total => false)";
static const char status_sql[] =
	"SELECT (wflog.execution($1) OPERATOR(pg_catalog.->>) 'is_terminal')::pg_catalog.bool";

static void
request_page(Export *job, const char *execution, int rows, int64_t skip, const char *cursor)
{
	const char *values[15];
	char		rows_text[24];
	char		skip_text[24];

	snprintf(rows_text, sizeof(rows_text), "%d", rows);
	snprintf(skip_text, sizeof(skip_text), INT64_FORMAT, skip);
	values[0] = execution;
	values[1] = rows_text;
	values[2] = skip_text;
	log_filter_values(&job->filter, values + 3);
	values[14] = cursor;
	if (!query_send(job->connection, page_sql, lengthof(values), values))
		fail_with_result(job->connection, NULL);
}

/* Has it ended, so that no more will come? */
static bool
is_over(Export *job, const char *execution)
{
	PGresult   *result = query(job->connection, status_sql, 1, &execution);
	bool		over = query_succeeded(result) && PQntuples(result) == 1 &&
		PQgetvalue(result, 0, 0)[0] == 't';

	if (!query_succeeded(result) && !result_has_state(result, "P0002"))
		fail_with_result(job->connection, result);
	PQclear(result);
	return over;
}

/* Write the logs of a page; returns how many. */
static int64_t
write_page(Export *job, const char *execution, const JsonValue *document)
{
	JsonValue	logs = json_find(document, "logs");
	JsonWalk	walk = json_walk(&logs);
	JsonValue	object;
	LogEntry	log;
	int64_t		count = 0;

	while (json_next_element(&walk, &object))
	{
		if (!log_parse(&log, &object))
			fail(EXIT_FAILED, NULL, "the server's answer has something that is no log");
		export_append_row(&output.pending, job->csv, execution, &log);
		output_advance();
		count++;
	}
	job->progress.count += count;
	job->progress.bytes += logs.len;
	return count;
}

/* Write all logs of an execution, or those behind its place. */
void
export_execution(Export *job, const char *execution)
{
	ExportPlace *place = place_find(job, execution);
	char	   *cursor = place && place->cursor ? xstrdup(place->cursor) : NULL;
	int64_t		skip = place ? place->skip : 0;
	int			rows = MOST_ROWS / 4;
	bool		over = false;

	if (place && place->complete)
		return;
	if (job->cursor_file)
		over = is_over(job, execution); /* before the last page is asked for */
	job->executions++;
	request_page(job, execution, rows, skip, cursor);
	for (;;)
	{
		PGresult   *page = query_receive(job->connection);
		JsonValue	document;
		JsonValue	pagination;
		JsonValue	next;
		char	   *next_cursor;
		int64_t		count;

		if (!query_succeeded(page))
			fail_with_result(job->connection, page);
		document = json_document(PQgetvalue(page, 0, 0), PQgetlength(page, 0, 0));
		pagination = json_find(&document, "pagination");
		next = json_find(&pagination, "next_cursor");
		next_cursor = json_text(&next);
		rows = (int) Max(Min((int64_t) rows * PAGE_BYTES / Max(document.len, 1), MOST_ROWS), LEAST_ROWS);
		if (next_cursor)
			request_page(job, execution, rows, 0, next_cursor);
		count = write_page(job, execution, &document);
		PQclear(page);
		progress_update(&job->progress);
		check_interrupt();
		if (next_cursor == NULL)
		{
			place_write(job, execution, cursor, skip + count, over);
			break;
		}
		free(cursor);
		cursor = next_cursor;
		skip = 0;
		place_write(job, execution, cursor, 0, false);
	}
	free(cursor);
}
