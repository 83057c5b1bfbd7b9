/*-------------------------------------------------------------------------
 *
 * cmd_logs.c
 *	  wflog logs: the logs of executions, and those to come.
 *
 *-------------------------------------------------------------------------
 */
#include "logs.h"

#include <limits.h>

#include "output.h"

static const char help_text[] =
"Usage: wflog logs EXECUTION... [OPTION]...\n"
"       wflog logs --workflow=WORKFLOW [OPTION]...    its latest execution\n"
"  -f, --follow          go on with logs as they come, until the execution ends\n"
"      --wait            wait for an execution that does not exist yet\n"
"  -n, --tail=N          only the last N logs\n"
"      --since=TIME, --until=TIME   5m (ago), 14:30, today, 2026-01-31T14:30:00Z\n"
"  -l, --level=LEVEL     debug, info, warning, error, critical: this and above\n"
"      --level-exact     this level alone\n"
"      --task=ID         of this step (node_id)      --attempt=N\n"
"      --category=NAME   technical, business         --source=NAME\n"
"      --event-type=NAME as step_error               --milestones\n"
"  -g, --grep=WORDS      every word occurs in the message, in any case\n"
"  -o, --output=FORMAT   text, raw, json, ndjson, csv; --json is -o json\n"
"  -t, --timestamps      times in full               --utc   not local\n"
"      --color=WHEN      auto, always, never; NO_COLOR is heeded\n"
"      --after-cursor=CURSOR, --cursor-file=FILE     only what has come since\n"
"      --exit-status     10 if it FAILED, 11 CANCELLED, 12 still running\n"
CONNECT_HELP;

/* Options without a letter. */
enum
{
	OPT_WAIT = 512,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_LEVEL_EXACT,
	OPT_TASK,
	OPT_ATTEMPT,
	OPT_CATEGORY,
	OPT_SOURCE,
	OPT_EVENT_TYPE,
	OPT_MILESTONES,
	OPT_JSON,
	OPT_UTC,
	OPT_COLOR,
	OPT_AFTER_CURSOR,
	OPT_CURSOR_FILE,
	OPT_EXIT_STATUS,
	OPT_WORKFLOW
};

static const struct option long_options[] = {
	{"follow", no_argument, NULL, 'f'},
	{"wait", no_argument, NULL, OPT_WAIT},
	{"tail", required_argument, NULL, 'n'},
	{"since", required_argument, NULL, OPT_SINCE},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"level", required_argument, NULL, 'l'},
	{"level-exact", no_argument, NULL, OPT_LEVEL_EXACT},
	{"task", required_argument, NULL, OPT_TASK},
	{"attempt", required_argument, NULL, OPT_ATTEMPT},
	{"category", required_argument, NULL, OPT_CATEGORY},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"event-type", required_argument, NULL, OPT_EVENT_TYPE},
	{"milestones", no_argument, NULL, OPT_MILESTONES},
	{"grep", required_argument, NULL, 'g'},
	{"output", required_argument, NULL, 'o'},
	{"json", no_argument, NULL, OPT_JSON},
	{"timestamps", no_argument, NULL, 't'},
	{"utc", no_argument, NULL, OPT_UTC},
	{"color", required_argument, NULL, OPT_COLOR},
	{"after-cursor", required_argument, NULL, OPT_AFTER_CURSOR},
	{"cursor-file", required_argument, NULL, OPT_CURSOR_FILE},
	{"exit-status", no_argument, NULL, OPT_EXIT_STATUS},
	{"workflow", required_argument, NULL, OPT_WORKFLOW},
	CONNECT_LONG_OPTIONS,
	{NULL}
};

static LogsJob job;

/* What the options say beside what goes straight into the job. */
typedef struct Setup
{
	const char *since;
	const char *until;
	const char *level;
	bool		level_exact;
	ColorMode	color;
} Setup;

static void
take_option(Setup *setup, int c, char *argument)
{
	switch (c)
	{
		case 'f':
			job.follow = true;
			break;
		case OPT_WAIT:
			job.wait = true;
			break;
		case 'n':
			job.last = number_option("--tail", argument, 0, INT_MAX);
			break;
		case OPT_SINCE:
			setup->since = argument;
			break;
		case OPT_UNTIL:
			setup->until = argument;
			break;
		case 'l':
			setup->level = argument;
			break;
		case OPT_LEVEL_EXACT:
			setup->level_exact = true;
			break;
		case OPT_TASK:
			job.filter.node_id = argument;
			break;
		case OPT_ATTEMPT:
			number_option("--attempt", argument, 1, INT_MAX);
			job.filter.attempt = argument;
			break;
		case OPT_CATEGORY:
			job.filter.category = argument;
			break;
		case OPT_SOURCE:
			job.filter.source = argument;
			break;
		case OPT_EVENT_TYPE:
			job.filter.event_type = argument;
			break;
		case OPT_MILESTONES:
			job.filter.milestones_only = true;
			break;
		case 'g':
			job.filter.search = argument;
			break;
		case 'o':
			if (!parse_log_format(argument, &job.style.format))
				usage_error("there is no output format \"%s\"; there are text, raw, json, ndjson and csv",
							argument);
			break;
		case OPT_JSON:
			job.style.format = FORMAT_JSON;
			break;
		case 't':
			job.style.timestamps = true;
			break;
		case OPT_UTC:
			job.style.utc = true;
			break;
		case OPT_COLOR:
			if (!parse_color_mode(argument, &setup->color))
				usage_error("--color is auto, always or never, not \"%s\"", argument);
			break;
		case OPT_AFTER_CURSOR:
			job.after_cursor = argument;
			break;
		case OPT_CURSOR_FILE:
			job.cursor_file = argument;
			break;
		case OPT_EXIT_STATUS:
			job.exit_status = true;
			break;
		case OPT_WORKFLOW:
			job.workflow = argument;
			break;
	}
}

/* Read the command line into the job. */
static void
read_options(int argc, char **argv, ConnectOptions *where)
{
	Setup		setup = {.color = COLOR_AUTO};
	const char *problem;
	int			c;

	log_filter_begin(&job.filter);
	job.last = -1;
	while ((c = next_option(argc, argv, "fn:l:g:o:t" CONNECT_SHORT_OPTIONS, long_options)) != -1)
		if (!connect_option(where, c, optarg))
			take_option(&setup, c, optarg);
	if (setup.level_exact && setup.level == NULL)
		usage_error("--level-exact needs --level");
	if (setup.level_exact)
		job.filter.level = setup.level;
	else
		job.filter.min_level = setup.level;
	if (setup.since)
		log_filter_since(&job.filter, time_option("--since", setup.since, job.style.utc));
	if (setup.until)
		log_filter_until(&job.filter, time_option("--until", setup.until, job.style.utc));
	problem = log_filter_prepare(&job.filter);
	if (problem)
		usage_error("%s", problem);

	for (int i = optind; i < argc; i++)
		if (argv[i][0] == '\0')
			usage_error("an execution's id cannot be empty");
		else if (subject_find(&job, argv[i]) == NULL)
			subject_add(&job, argv[i]);
	if (job.count == 0 && job.workflow == NULL)
		usage_error("which execution? Name it, or a workflow with --workflow");
	if (job.count > 0 && job.workflow)
		usage_error("either executions or --workflow can be given");
	if (job.workflow && (job.cursor_file || job.after_cursor))
		usage_error("cursors are of executions, so they do not go with --workflow");
	if (job.after_cursor && (job.count > 1 || job.cursor_file))
		usage_error("--after-cursor goes with one execution, and not with --cursor-file");
	if (job.after_cursor && strncmp(job.after_cursor, "s1.", 3) != 0 &&
		strncmp(job.after_cursor, "p1.", 3) != 0)
		usage_error("a cursor begins with p1. or s1.");
	if (job.last >= 0 && job.after_cursor)
		usage_error("either --tail or --after-cursor can be given");
	if (setup.until && job.follow)
		usage_error("--until has no meaning with --follow");
	output_begin(setup.color);
}

/* The latest execution of the workflow, which is to be shown. */
static void
find_latest(void)
{
	static const char sql[] =
		"SELECT e.execution_id FROM pg_catalog.json_to_recordset(pg_catalog.json_extract_path("
		"wflog.executions_json($1, max_rows => 1), 'executions')) AS e (execution_id pg_catalog.text)";

	for (;;)
	{
		PGresult   *result = query(job.connection, sql, 1, &job.workflow);

		if (!query_succeeded(result) && !(job.wait && result_has_state(result, "P0002")))
			fail_with_result(job.connection, result);
		if (query_succeeded(result) && PQntuples(result) > 0)
			subject_add(&job, PQgetvalue(result, 0, 0));
		PQclear(result);
		if (job.count > 0)
			return;
		if (!job.wait)
			fail(EXIT_NOT_FOUND, "--wait waits for the first one.",
				 "the workflow \"%s\" has no execution", job.workflow);
		if (wait_for(-1, false, 250) < 0)
			check_interrupt();
	}
}

/* Pages say if there is no such execution, the stream does not. */
static void
require_executions(void)
{
	for (int i = 0; i < job.count; i++)
		if (job.subjects[i]->history_done)
		{
			const char *values[1] = {job.subjects[i]->id};

			PQclear(query_or_fail(job.connection,
								  "SELECT wflog.logs_json($1, 1, with_total => false)", 1, values));
		}
}

/* With --exit-status, what the executions' outcome makes of the exit status. */
static int
outcome(void)
{
	int			worst = EXIT_DONE;

	for (int i = 0; i < job.count; i++)
	{
		Subject    *subject = job.subjects[i];
		int			code;

		if (!subject->terminal)
		{
			const char *values[1] = {subject->id};
			PGresult   *result = query_or_fail(job.connection,
											   "SELECT e.status FROM pg_catalog.json_to_record(wflog.execution($1))"
											   " AS e (status pg_catalog.text)", 1, values);

			set_text(&subject->status, PQgetisnull(result, 0, 0) ? NULL : PQgetvalue(result, 0, 0));
			PQclear(result);
		}
		code = status_exit_code(subject->status);
		if (code != EXIT_DONE && (worst == EXIT_DONE || code < worst))
			worst = code;
	}
	return worst;
}

/* However we end: what has been written will not be written again. */
static void
finish(void)
{
	if (job.cursor_file)
		save_cursors(&job);
}

static int
run_logs(int argc, char **argv)
{
	ConnectOptions where = {0};

	read_options(argc, argv, &where);
	interrupts_begin();
	job.connection = connect_to(&where);
	job.exact = job.follow || job.cursor_file;
	job.style.json_lines = job.follow;
	job.style.with_execution = job.count > 1 || (job.workflow && job.follow);
	if (job.workflow && !job.follow)
		find_latest();
	if (job.cursor_file)
		load_cursors(&job);
	at_leave = finish;
	if (job.after_cursor && job.after_cursor[0] == 'p')
		set_text(&job.subjects[0]->page_cursor, job.after_cursor);
	else if (job.after_cursor)
	{
		set_text(&job.subjects[0]->stream_cursor, job.after_cursor);
		job.subjects[0]->history_done = true;
	}

	require_executions();
	show_begin(&job.style);
	show_history(&job);
	flush_logs(&job);
	if (job.follow)
		follow(&job);
	else
		for (int i = 0; i < job.count; i++)
			if (job.subjects[i]->stream_cursor)
				stream_read_to_end(&job, job.subjects[i], false);
	show_end(&job.style);
	flush_logs(&job);
	return job.exit_status ? outcome() : EXIT_DONE;
}

const Command logs_command = {
	"logs", "show the logs of executions, and follow them", run_logs, help_text
};
