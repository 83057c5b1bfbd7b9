/*-------------------------------------------------------------------------
 *
 * export.c
 *	  The logs of an execution as one document, of any size.
 *
 * Pages by cursor, each a transaction of its own on any connection of the pool.
 * While one page is being sent the next is asked for, and no more are before the
 * client has taken the first: however slow it is, it holds two pages here, and
 * in the database neither a connection nor a snapshot.
 *
 * What goes wrong after the answer has begun ends it without its last chunk.
 * The client goes on behind the last line it has: "after" takes the time and the
 * id that are in it.
 *
 * The lines are those of "wflog export", byte by byte (client/export_row.c).
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "export_row.h"
#include "pool.h"

/* A page is to have about so many bytes; of the first one the size of a log is not known. */
#define PAGE_BYTES 262144
#define FIRST_ROWS 50
#define MOST_ROWS 1000			/* as the database allows */

#define PIECE_BYTES 65536		/* is given to the connection at a time */
#define CHUNK_HEAD 10			/* bytes of "0000ffff\r\n" */

static const char page_sql[] =
"SELECT wflog.logs_json($1::pg_catalog.varchar, max_rows => $2, detail => true, with_total => false,"
" level => $3, min_level => $4, start_time => $5, end_time => $6, category => $7,"
" event_type => $8, node_id => $9, source => $10, attempt => $11,"
" milestones_only => COALESCE($12::pg_catalog.bool, false), min_priority => $13, search => $14,"
" after => $15)";

static const char *const filters[] = {"level", "min_level", "start_time", "end_time", "category",
"event_type", "node_id", "source", "attempt", "milestones_only", "min_priority", "search"};

typedef struct Download
{
	Request    *request;
	bool		csv;
	bool		resumes;		/* the client has a first part */
	bool		begun;			/* the head has been sent */
	int			cut_off;		/* the status of what keeps the next page from us; or 0 */
	int			rows;			/* of the next page to be asked for */
	char	   *resume_from;	/* a time; or NULL.  Logs up to this one ... */
	int64_t		resume_time;
	const char *resume_id;		/* ... with this id have been sent before */
	PGresult   *page;			/* being sent */
	JsonWalk	walk;			/* through its logs */
	PGresult   *next_page;		/* has come */
	Buffer		cursor;			/* of the page to be asked for */
} Download;

static void page_done(Job *job);

void
download_free(Download *download)
{
	PQclear(download->page);
	PQclear(download->next_page);
	free(download->resume_from);
	buffer_free(&download->cursor);
	free(download);
}

/* Ask for the page behind the cursor, or for the first. */
static void
request_page(Download *download, JobClass class)
{
	Request    *request = download->request;
	Job		   *job = job_make(class, request->claims.json, gateway.options.logs_timeout, page_done, request);
	Statement  *statement = job_statement(job, page_sql);

	statement_text(statement, request->path.value);
	statement_number(statement, download->rows);
	for (int i = 0; i < lengthof(filters); i++)
	{
		const char *value = parameter(request, filters[i]);

		if (download->resume_from && strcmp(filters[i], "start_time") == 0)
			value = download->resume_from;
		statement_text(statement, value && value[0] ? value : NULL);
	}
	statement_text(statement, download->cursor.len > 0 ? buffer_text(&download->cursor) : NULL);
	request->job = job;
	job_submit(job);
}

/* ---- writing ---- */

/* Has the client had it, before it came back? */
static bool
is_old(const Download *download, const LogEntry *log)
{
	const JsonValue *id = &log->field[LOG_ID];

	if (download->resume_from == NULL || !log->has_time || log->time > download->resume_time)
		return false;
	return log->time < download->resume_time || id->len != strlen(download->resume_id) ||
		memcmp(id->text, download->resume_id, id->len) <= 0;
}

/* Append the next lines of the page; false if there is none left. */
static bool
append_piece(Download *download, Buffer *out)
{
	size_t		begun = out->len;
	JsonValue	object;
	LogEntry	log;

	while (out->len - begun < PIECE_BYTES && json_next_element(&download->walk, &object))
		if (log_parse(&log, &object) && !is_old(download, &log))
			export_append_row(out, download->csv, download->request->path.value, &log);
	return out->len > begun;
}

/* Send what has been made of a page, as a chunk.  False if the connection is over, and the download with it. */
static bool
send_piece(Download *download, Buffer *out)
{
	Request    *request = download->request;

	if (request->http.minor_version == 0)
	{
		request->sent += out->len - CHUNK_HEAD;
		return conn_send(request->conn, out->data + CHUNK_HEAD, out->len - CHUNK_HEAD);
	}
	snprintf(out->data, CHUNK_HEAD, "%08zx\r", out->len - CHUNK_HEAD);
	out->data[CHUNK_HEAD - 1] = '\n';
	buffer_string(out, "\r\n");
	request->sent += out->len;
	return conn_send(request->conn, out->data, out->len);
}

/* Begin a piece, with room for the head of its chunk. */
static Buffer *
begin_piece(void)
{
	static Buffer out;

	buffer_clear(&out);
	buffer_append(&out, "0000000000", CHUNK_HEAD);
	return &out;
}

/*
 * All has been sent; or if it was cut off, all that there will be.  Then the
 * connection is closed when the client has taken that, without a last chunk.
 */
static void
download_end(Download *download)
{
	Request    *request = download->request;
	Conn	   *conn = request->conn;
	int			cut_off = download->cut_off;
	bool		is_chunked = request->http.minor_version > 0 && !cut_off && !http_text_is(request->http.method, "HEAD");

	access_log(request, cut_off ? cut_off : 200, request->sent);
	conn->request = NULL;
	request_free(request);
	if (cut_off)
		conn->close_after = true;
	if (is_chunked)
		conn_send(conn, "0\r\n\r\n", 5);
	conn_answered(conn);
}

/* The name of a file for it; ids may have any characters. */
static void
name_file(const Download *download)
{
	Request    *request = download->request;
	char		name[101];

	strlcpy(name, request->path.value, sizeof(name));
	for (char *at = name; *at; at++)
		if (!isalnum((unsigned char) *at) && strchr("-_.", *at) == NULL)
			*at = '_';
	request_header(request, "Content-Disposition: attachment; filename=\"%s.%s\"", name, download->csv ? "csv" : "ndjson");
}

/* Begin the answer.  False if the connection is over, and the download with it. */
static bool
begin_answer(Download *download)
{
	Request    *request = download->request;
	Buffer	   *out;

	download->begun = true;
	request_header(request, "Cache-Control: private, no-store");
	name_file(download);
	if (!respond_document_head(request, download->csv ? "text/csv; charset=utf-8" : "application/x-ndjson"))
		return false;
	/* what is put behind a first part has no second header */
	if (!download->csv || download->resumes || http_text_is(request->http.method, "HEAD"))
		return true;
	out = begin_piece();
	export_append_header(out);
	return send_piece(download, out);
}

/* Turn to the page that has come, and ask for the one behind it. */
static void
turn_page(Download *download)
{
	PGresult   *page = download->next_page;
	JsonValue	document = json_document(PQgetvalue(page, 0, 0), PQgetlength(page, 0, 0));
	JsonValue	logs = json_find(&document, "logs");
	JsonValue	pagination = json_find(&document, "pagination");
	JsonValue	next = json_find(&pagination, "next_cursor");

	download->next_page = NULL;
	download->page = page;
	download->walk = json_walk(&logs);
	if (next.kind != JSON_STRING || http_text_is(download->request->http.method, "HEAD"))
		return;
	buffer_clear(&download->cursor);
	json_decode(&download->cursor, &next);
	download->rows = Max(Min((int64) download->rows * PAGE_BYTES / Max(document.len, 1), MOST_ROWS), 1);
	request_page(download, JOB_STREAM);
}

/* Send as much as the client takes. */
static void
download_pump(Download *download)
{
	Request    *request = download->request;
	Conn	   *conn = request->conn;

	while (conn_pending(conn) == 0)
	{
		if (download->page == NULL)
		{
			if (download->next_page == NULL && request->job)
				return;			/* page_done() goes on */
			if (download->next_page == NULL)
			{
				download_end(download);
				return;
			}
			turn_page(download);
		}
		if (!download->begun && !begin_answer(download))
			return;
		if (http_text_is(request->http.method, "HEAD"))
		{
			download_end(download);
			return;
		}
		for (;;)
		{
			Buffer	   *out = begin_piece();

			if (!append_piece(download, out))
				break;
			if (!send_piece(download, out))
				return;
			if (conn_pending(conn) > 0)
				return;			/* download_writable() goes on */
		}
		PQclear(download->page);
		download->page = NULL;
	}
}

/* The client has taken all that it was given. */
void
download_writable(Download *download)
{
	download_pump(download);
}

/* A page has come, or does not. */
static void
page_done(Job *job)
{
	Request    *request = job->owner;
	Download   *download = request->download;

	request->job = NULL;
	request->database_us += job->took_us;
	if (job->outcome == JOB_DONE && PQntuples(job->results[0]) == 1)
	{
		download->next_page = job->results[0];
		job->results[0] = NULL;
	}
	else if (!download->begun)
	{
		respond_job_problem(request, job);
		return;
	}
	else
	{
		download->cut_off = job_status(job);
		if (download->cut_off == 500)
			complain("request %s failed: %s: %s", request->id, job_sqlstate(job), job_message(job));
	}
	if (download->page == NULL)
		download_pump(download);
}

/* ---- the request ---- */

/*
 * Read where a client goes on: a cursor of a page, or "created_at,id" of a log,
 * which are in every line.  False: it is neither.
 */
static bool
read_after(Download *download, const char *after)
{
	const char *comma = strchr(after, ',');

	if (comma == NULL)
	{
		buffer_string(&download->cursor, after);
		return true;
	}
	download->resume_from = xstrdup(after);
	download->resume_from[comma - after] = '\0';
	download->resume_id = download->resume_from + (comma - after) + 1;
	return parse_timestamp(download->resume_from, comma - after, &download->resume_time) &&
		strlen(download->resume_id) == 36 &&
		strspn(download->resume_id, "0123456789abcdef-") == 36;
}

/* Which format is wanted: 0 lines of JSON, 1 CSV; -1: another. */
static int
choose_format(Request *request)
{
	static const char *const types[] = {"application/x-ndjson", "text/csv"};
	const char *format = parameter(request, "format");
	int			type;

	if (format && strcmp(format, "ndjson") == 0)
		return 0;
	if (format && strcmp(format, "csv") == 0)
		return 1;
	if (format)
		respond_problem(request, 422, "format", "format must be csv or ndjson");
	else
	{
		request_header(request, "Vary: Accept");
		type = accept_choose(http_header(&request->http, "Accept"), types, lengthof(types));
		if (type >= 0)
			return type;
		respond_problem(request, 406, NULL, "There are application/x-ndjson and text/csv.");
	}
	return -1;
}

/* GET …/executions/{id}/logs/export */
void
handle_export(Request *request)
{
	const char *after = parameter(request, "after");
	bool		milestones;
	int			format;
	Download   *download;

	if (!parameter_bool(request, "milestones_only", false, &milestones) || (format = choose_format(request)) < 0)
		return;
	download = xmalloc(sizeof(Download));
	memset(download, 0, sizeof(Download));
	download->request = request;
	request->download = download;
	download->csv = format == 1;
	download->rows = FIRST_ROWS;
	download->resumes = after && after[0];
	if (download->resumes && !read_after(download, after))
	{
		respond_problem(request, 422, "after", "after must be a cursor of a page, or created_at and id of a log with a comma between them");
		return;
	}
	request_page(download, JOB_REQUEST);
}
