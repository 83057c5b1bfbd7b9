/*-------------------------------------------------------------------------
 *
 * cmd_export.c
 *	  wflog export: the command line, and which executions it is about.
 *
 *-------------------------------------------------------------------------
 */
#include "export.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export_row.h"
#include "output.h"

#define LIST_ROWS "1000"

static const char help_text[] =
"Usage: wflog export [OPTION]... EXECUTION...\n"
"       wflog export [OPTION]... --workflow=ID | --all\n"
"\n"
"Writes whole logs, with all their columns, for programs; \"wflog ingest\" reads\n"
"them again. Pages are in the order of time, memory does not grow.\n"
"\n"
"  --format=ndjson|csv   by default by the name of the output: .csv, else ndjson\n"
"  -O, --output=FILE     not to stdout\n"
"  --cursor-file=FILE    how far it came; goes on there when it is run again\n"
"  --status=STATUS       with --workflow or --all: only executions in it\n"
"  --since=TIME, --until=TIME   5m (ago), 14:30, today, 2026-01-31T14:30:00Z\n"
"  -l, --level=LEVEL     this and above          --task=ID, --attempt=N\n"
"  --category=NAME, --source=NAME, --event-type=NAME, --milestones\n"
"  -q, --quiet           no progress, no sum\n"
"\n"
CONNECT_HELP
"\n"
"Exit status: 0 done, also when who reads has gone; 1 failure, 2 usage, 3 no\n"
"connection, 4 not found, 5 extension missing or too old, 130 on Ctrl-C.\n";

enum
{
	OPTION_FORMAT = 1000, OPTION_CURSOR_FILE, OPTION_STATUS, OPTION_SINCE, OPTION_UNTIL,
	OPTION_TASK, OPTION_ATTEMPT, OPTION_CATEGORY, OPTION_SOURCE, OPTION_EVENT_TYPE,
	OPTION_MILESTONES, OPTION_WORKFLOW, OPTION_ALL
};

static const struct option long_options[] = {
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"output", required_argument, NULL, 'O'},
	{"cursor-file", required_argument, NULL, OPTION_CURSOR_FILE},
	{"status", required_argument, NULL, OPTION_STATUS},
	{"since", required_argument, NULL, OPTION_SINCE},
	{"until", required_argument, NULL, OPTION_UNTIL},
	{"level", required_argument, NULL, 'l'},
	{"task", required_argument, NULL, OPTION_TASK},
	{"attempt", required_argument, NULL, OPTION_ATTEMPT},
	{"category", required_argument, NULL, OPTION_CATEGORY},
	{"source", required_argument, NULL, OPTION_SOURCE},
	{"event-type", required_argument, NULL, OPTION_EVENT_TYPE},
	{"milestones", no_argument, NULL, OPTION_MILESTONES},
	{"workflow", required_argument, NULL, OPTION_WORKFLOW},
	{"all", no_argument, NULL, OPTION_ALL},
	{"quiet", no_argument, NULL, 'q'},
	CONNECT_LONG_OPTIONS,
	{NULL}
};

static const char list_sql[] =
	"SELECT wflog.executions_json($1, $2, " LIST_ROWS ", $3)";

/* What is made of the command line. */
typedef struct Setup
{
	Export		job;
	ConnectOptions where;
	const char *format;
	const char *workflow;
	const char *status;
	bool		all;
} Setup;

static void
take_option(Setup *setup, int c, char *argument)
{
	Export	   *job = &setup->job;
	LogFilter  *filter = &job->filter;

	switch (c)
	{
		case OPTION_FORMAT:
			if (strcmp(argument, "parquet") == 0)
				usage_error("Debian has no library for Parquet; docs/command.md says what to do instead");
			if (strcmp(argument, "ndjson") != 0 && strcmp(argument, "csv") != 0)
				usage_error("--format must be ndjson or csv, not \"%s\"", argument);
			setup->format = argument;
			break;
		case 'O':
			job->output_path = argument;
			break;
		case OPTION_CURSOR_FILE:
			job->cursor_path = argument;
			break;
		case OPTION_STATUS:
			setup->status = argument;
			break;
		case OPTION_SINCE:
			log_filter_since(filter, time_option("--since", argument, false));
			break;
		case OPTION_UNTIL:
			log_filter_until(filter, time_option("--until", argument, false));
			break;
		case 'l':
			filter->min_level = argument;
			break;
		case OPTION_TASK:
			filter->node_id = argument;
			break;
		case OPTION_ATTEMPT:
			number_option("--attempt", argument, 1, INT32_MAX);
			filter->attempt = argument;
			break;
		case OPTION_CATEGORY:
			filter->category = argument;
			break;
		case OPTION_SOURCE:
			filter->source = argument;
			break;
		case OPTION_EVENT_TYPE:
			filter->event_type = argument;
			break;
		case OPTION_MILESTONES:
			filter->milestones_only = true;
			break;
		case OPTION_WORKFLOW:
			setup->workflow = argument;
			break;
		case OPTION_ALL:
			setup->all = true;
			break;
		case 'q':
			job->quiet = true;
			break;
	}
}

/*
 * Make stdout the file.  What a crash left there behind the place that was
 * written down is cut off.
 */
static void
open_output(Export *job)
{
	bool		resumes = job->cursor_file && job->place_count > 0;
	struct stat status;
	int			fd;

	if (job->output_path)
	{
		fd = open(job->output_path, O_WRONLY | O_CREAT | (resumes ? 0 : O_TRUNC), 0666);
		if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
			fail(EXIT_FAILED, NULL, "could not open %s: %s", job->output_path, strerror(errno));
		close(fd);
		if (resumes && fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode))
		{
			if (job->output_size < 0 || status.st_size < job->output_size)
				fail(EXIT_USAGE, "Remove the cursor file to begin anew.",
					 "%s is not the file that %s tells of", job->output_path, job->cursor_path);
			if (ftruncate(STDOUT_FILENO, job->output_size) < 0 ||
				lseek(STDOUT_FILENO, job->output_size, SEEK_SET) < 0)
				fail(EXIT_FAILED, NULL, "could not cut %s: %s", job->output_path, strerror(errno));
		}
	}
	output_begin(COLOR_NEVER);
	if (job->csv && !resumes)
		export_append_header(&output.pending);
}

/* Export the executions of a workflow, or all; each page of the list before the next. */
static void
export_listed(Export *job, const char *workflow, const char *status)
{
	char	   *cursor = NULL;

	do
	{
		const char *values[3] = {workflow, status, cursor};
		PGresult   *result = query_or_fail(job->connection, list_sql, 3, values);
		JsonValue	document = json_document(PQgetvalue(result, 0, 0), PQgetlength(result, 0, 0));
		JsonValue	list = json_find(&document, "executions");
		JsonValue	pagination = json_find(&document, "pagination");
		JsonValue	next = json_find(&pagination, "next_cursor");
		JsonWalk	walk = json_walk(&list);
		JsonValue	execution;

		free(cursor);
		cursor = json_text(&next);
		while (json_next_element(&walk, &execution))
		{
			JsonValue	id = json_find(&execution, "execution_id");
			char	   *text = json_text(&id);

			if (text)
				export_execution(job, text);
			free(text);
		}
		PQclear(result);
	} while (cursor);
}

static int
run_export(int argc, char **argv)
{
	static Setup setup;
	Export	   *job = &setup.job;
	Buffer		sum = {0};
	const char *problem;
	int			c;

	log_filter_begin(&job->filter);
	while ((c = next_option(argc, argv, "O:l:q" CONNECT_SHORT_OPTIONS, long_options)) != -1)
		if (!connect_option(&setup.where, c, optarg))
			take_option(&setup, c, optarg);
	problem = log_filter_prepare(&job->filter);
	if (problem)
		usage_error("%s", problem);
	if ((optind < argc) + (setup.workflow != NULL) + setup.all != 1)
		usage_error("name executions, or --workflow, or --all");
	if (setup.status && optind < argc)
		usage_error("--status goes with --workflow or --all");
	job->csv = setup.format ? strcmp(setup.format, "csv") == 0 :
		job->output_path && strlen(job->output_path) > 4 &&
		pg_strcasecmp(job->output_path + strlen(job->output_path) - 4, ".csv") == 0;

	interrupts_begin();
	job->connection = connect_to(&setup.where);
	if (job->cursor_path)
		places_read(job);
	open_output(job);
	progress_begin(&job->progress, "logs", !job->quiet && !output.is_terminal);

	if (optind == argc)
		export_listed(job, setup.workflow, setup.status);
	for (; optind < argc; optind++)
		export_execution(job, argv[optind]);
	output_flush();
	progress_clear(&job->progress);
	if (job->output_path && !job->quiet)
	{
		progress_sum(&job->progress, &sum);
		say("%d executions, %s", job->executions, buffer_text(&sum));
	}
	connection_close(job->connection);
	return EXIT_DONE;
}

const Command export_command = {
	"export", "write whole logs for programs: JSON lines or CSV", run_export, help_text
};
