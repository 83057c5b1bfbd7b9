/*-------------------------------------------------------------------------
 *
 * cmd_ls.c
 *	  wflog ls: the executions, the latest first.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "style.h"
#include "text.h"

static const char help_text[] =
"Usage: wflog ls [OPTION]...\n"
"\n"
"Lists executions, the one registered last first, with their status, how long ago\n"
"they began, how long they took (+: so far), and how many logs they have.\n"
"\n"
"      --workflow=ID     only of this workflow\n"
"      --status=STATUS   only new, pending, running, paused, waiting_for_human,\n"
"                        success, failed or cancelled\n"
"  -n, --number=N        at most so many (20); 0: all\n"
"      --json            one JSON array, an execution a line\n"
"      --utc             times in UTC, not local (only with --times)\n"
"      --times           when they began, instead of how long ago\n"
"      --color=WHEN      auto, always, never; NO_COLOR is heeded\n"
"      --help            this text\n"
"\n"
CONNECT_HELP;

enum
{
	OPT_WORKFLOW = 512,
	OPT_STATUS,
	OPT_JSON,
	OPT_UTC,
	OPT_TIMES,
	OPT_COLOR
};

#define PAGE_ROWS 100

typedef enum Column
{
	COLUMN_ID,
	COLUMN_STATUS,
	COLUMN_START,
	COLUMN_DURATION,
	COLUMN_LOGS,
	COLUMN_WORKFLOW
} Column;

#define COLUMNS (COLUMN_WORKFLOW + 1)

typedef struct ListOptions
{
	const char *workflow;
	const char *status;
	long long	most;			/* 0: all */
	bool		json;
	bool		utc;
	bool		times;
} ListOptions;

static const char list_sql[] =
	"SELECT wflog.executions_json($1, $2, $3::pg_catalog.int4, $4),"
	" pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()),"
	" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/* The texts of a row, ready to be shown. */
static void
make_row(Buffer *cells, const JsonValue *execution, const ListOptions *options, int64_t now)
{
	JsonValue	value;
	int64_t		start;
	int64_t		end;
	bool		started;

	for (int i = 0; i < COLUMNS; i++)
		buffer_clear(&cells[i]);
	value = json_find(execution, "execution_id");
	style_value(&cells[COLUMN_ID], &value);
	value = json_find(execution, "status");
	style_value(&cells[COLUMN_STATUS], &value);
	value = json_find(execution, "workflow_id");
	style_value(&cells[COLUMN_WORKFLOW], &value);
	value = json_find(execution, "total_logs");
	style_count(&cells[COLUMN_LOGS], value_number(&value));

	value = json_find(execution, "start_time");
	started = value_time(&value, &start);
	if (started && options->times)
		style_time(&cells[COLUMN_START], start, options->utc, true);
	else if (started)
		style_duration(&cells[COLUMN_START], now - start);
	value = json_find(execution, "end_time");
	if (started && value_time(&value, &end))
		style_duration(&cells[COLUMN_DURATION], end - start);
	else if (started)
	{
		style_duration(&cells[COLUMN_DURATION], now - start);
		buffer_char(&cells[COLUMN_DURATION], '+');
	}
}

/* A line feed in place of blanks. */
static void
end_line(Buffer *out)
{
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
	buffer_char(out, '\n');
}

/* Show the rows of a page as a table. */
static void
show_rows(Buffer (*rows)[COLUMNS], int count, const ListOptions *options, bool header)
{
	static const char *const names[COLUMNS] = {"EXECUTION", "STATUS", "AGE", "DURATION", "LOGS", "WORKFLOW"};
	static size_t widths[COLUMNS];
	static bool left_out[COLUMNS];
	static const Column dispensable[] = {COLUMN_WORKFLOW, COLUMN_DURATION, COLUMN_LOGS};
	Buffer	   *out = &output.pending;
	size_t		others = 0;

	for (int c = 0; c < COLUMNS; c++)
	{
		if (header)
			widths[c] = strlen(c == COLUMN_START && options->times ? "STARTED" : names[c]);
		for (int i = 0; i < count; i++)
			widths[c] = Max(widths[c], text_width(rows[i][c].data ? rows[i][c].data : "", rows[i][c].len));
	}
	if (output.is_terminal)
	{
		/* a narrow window has fewer columns, and then shorter ids */
		for (int c = COLUMN_STATUS; c < COLUMNS; c++)
			others += left_out[c] ? 0 : widths[c] + 2;
		for (int i = 0; i < lengthof(dispensable); i++)
		{
			Column		c = dispensable[i];

			if (!header || Min(widths[COLUMN_ID], 24) + others <= output.width)
				break;
			left_out[c] = true;
			others -= widths[c] + 2;
		}
		if (widths[COLUMN_ID] + others > output.width)
			widths[COLUMN_ID] = Max(output.width - (long) others, 8);
	}
	if (header)
	{
		paint(out, STYLE_DIM);
		for (int c = 0; c < COLUMNS; c++)
		{
			const char *name = c == COLUMN_START && options->times ? "STARTED" : names[c];

			if (left_out[c])
				continue;
			if (c == COLUMN_WORKFLOW)
				buffer_string(out, name);
			else
				style_column(out, name, strlen(name), widths[c] + 2);
		}
		end_line(out);
		out->len--;
		paint(out, STYLE_RESET);
		buffer_char(out, '\n');
	}
	for (int i = 0; i < count; i++)
	{
		for (int c = 0; c < COLUMNS; c++)
		{
			Buffer	   *cell = &rows[i][c];

			if (left_out[c])
				continue;
			if (c == COLUMN_STATUS)
				paint(out, status_color(buffer_text(cell)));
			if (c == COLUMN_WORKFLOW)
				buffer_append(out, cell->data, cell->len);
			else
			{
				style_column(out, buffer_text(cell), cell->len, widths[c]);
				buffer_string(out, "  ");
			}
			if (c == COLUMN_STATUS)
				paint(out, STYLE_RESET);
		}
		end_line(out);
		output_advance();
	}
}

/* List them, page by page. */
static void
list(Connection *connection, const ListOptions *options)
{
	static Buffer rows[PAGE_ROWS][COLUMNS];
	const char *values[4] = {options->workflow, options->status};
	char	   *cursor = NULL;
	char		limit[24];
	long long	shown = 0;

	do
	{
		PGresult   *result;
		JsonValue	document;
		JsonValue	value;
		JsonValue	execution;
		JsonWalk	walk;
		int64_t		now = 0;
		int			count = 0;

		snprintf(limit, sizeof(limit), "%lld",
				 options->most > 0 ? Min(options->most - shown, PAGE_ROWS) : PAGE_ROWS);
		values[2] = limit;
		values[3] = cursor;
		result = query_or_fail(connection, list_sql, 4, values);
		document = json_document(PQgetvalue(result, 0, 0), PQgetlength(result, 0, 0));
		parse_timestamp(PQgetvalue(result, 0, 1), PQgetlength(result, 0, 1), &now);
		value = json_find(&document, "executions");
		walk = json_walk(&value);
		while (count < PAGE_ROWS && json_next_element(&walk, &execution))
		{
			if (options->json)
			{
				buffer_string(&output.pending, shown + count == 0 ? "[\n" : ",\n");
				buffer_append(&output.pending, execution.text, execution.len);
			}
			else
				make_row(rows[count], &execution, options, now);
			count++;
		}
		if (!options->json && (count > 0 || shown > 0))
			show_rows(rows, count, options, shown == 0);
		shown += count;
		free(cursor);
		value = json_find(&document, "pagination");
		value = json_find(&value, "next_cursor");
		cursor = json_text(&value);
		PQclear(result);
		check_interrupt();
	} while (cursor && (options->most == 0 || shown < options->most));
	if (options->json)
		buffer_string(&output.pending, shown > 0 ? "\n]\n" : "[]\n");
	else if (shown == 0)
		say("no executions that you may see");
	else if (cursor && output.is_terminal)
	{
		output_flush();
		say("there are more; -n 0 shows all");
	}
	free(cursor);
}

static int
run_ls(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"workflow", required_argument, NULL, OPT_WORKFLOW},
		{"status", required_argument, NULL, OPT_STATUS},
		{"number", required_argument, NULL, 'n'},
		{"json", no_argument, NULL, OPT_JSON},
		{"utc", no_argument, NULL, OPT_UTC},
		{"times", no_argument, NULL, OPT_TIMES},
		{"color", required_argument, NULL, OPT_COLOR},
		CONNECT_LONG_OPTIONS,
		{NULL}
	};
	ConnectOptions where = {0};
	ListOptions options = {.most = 20};
	ColorMode	color = COLOR_AUTO;
	Connection *connection;
	int			c;

	while ((c = next_option(argc, argv, "n:" CONNECT_SHORT_OPTIONS, long_options)) != -1)
	{
		if (connect_option(&where, c, optarg))
			continue;
		switch (c)
		{
			case OPT_WORKFLOW:
				options.workflow = optarg;
				break;
			case OPT_STATUS:
				options.status = optarg;
				break;
			case 'n':
				options.most = number_option("--number", optarg, 0, PG_INT32_MAX);
				break;
			case OPT_JSON:
				options.json = true;
				break;
			case OPT_UTC:
				options.utc = true;
				break;
			case OPT_TIMES:
				options.times = true;
				break;
			case OPT_COLOR:
				if (!parse_color_mode(optarg, &color))
					usage_error("--color is auto, always or never, not \"%s\"", optarg);
				break;
		}
	}
	if (optind < argc)
		usage_error("\"%s\" is too much", argv[optind]);
	output_begin(color);
	interrupts_begin();
	connection = connect_to(&where);
	list(connection, &options);
	return EXIT_DONE;
}

const Command ls_command = {
	"ls", "list executions", run_ls, help_text
};
