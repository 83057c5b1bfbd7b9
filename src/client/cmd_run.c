/*-------------------------------------------------------------------------
 *
 * cmd_run.c
 *	  wflog run: the command line, and what is made ready for the command.
 *
 *-------------------------------------------------------------------------
 */
#include "run.h"

#include <limits.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/string.h"
#include "output.h"

#define ID_LENGTH 255			/* characters, of executions and tasks, as the server has it */
#define SOURCE_LENGTH 1024
#define MEGABYTE INT64_C(1048576)

static const char help_text[] =
"Usage: wflog run [OPTION]... -- COMMAND [ARGUMENT]...\n"
"Runs a command; its stdout (INFO) and stderr (WARNING) become logs of a step.\n"
"  --execution=ID     of this; without it one is begun, and ended by the outcome\n"
"  --workflow=ID, --task=ID     by default both are the command's name\n"
"  --attempt=N (1), --source=S  which attempt; plugin:NS/NAME.ACTION or the like\n"
"  --name=NAME, --step=N, --total-steps=N, --milestone  how far it is, for people\n"
"  --tee              pass the output on as well, unchanged\n"
"  --redact=REGEX     mask what matches    --redact-env=NAME  a variable's value\n"
"  --structured=WHICH JSON lines of stderr (default), stdout, both, off\n"
"  --max-bytes=N      keep so much output (10485760; 0: all)\n"
"  --max-line=N       longer lines become several logs (8192)\n"
"  --spool-dir=DIR, --spool-size=MB (256), --no-sync  what waits for the database\n"
"  --wait=SECONDS     for the database at the end, without progress (5)\n"
"  --grace=SECONDS    for what is left running, from SIGTERM to SIGKILL (5)\n"
"  -q, --quiet        say nothing but errors and the id\n"
CONNECT_HELP
"Exit status: the command's; 128+N: ended by signal N; 125: failure of wflog,\n"
"also of usage; 126: the command cannot be executed; 127: it is not found.\n";

enum
{
	OPTION_EXECUTION = 1000, OPTION_WORKFLOW, OPTION_TASK, OPTION_NAME, OPTION_ATTEMPT,
	OPTION_SOURCE, OPTION_STEP, OPTION_TOTAL_STEPS, OPTION_MILESTONE, OPTION_TEE, OPTION_REDACT,
	OPTION_REDACT_ENV, OPTION_STRUCTURED, OPTION_MAX_BYTES, OPTION_MAX_LINE, OPTION_SPOOL_DIR,
	OPTION_SPOOL_SIZE, OPTION_NO_SYNC, OPTION_WAIT, OPTION_GRACE
};

static const struct option long_options[] = {
	{"execution", required_argument, NULL, OPTION_EXECUTION},
	{"workflow", required_argument, NULL, OPTION_WORKFLOW},
	{"task", required_argument, NULL, OPTION_TASK},
	{"name", required_argument, NULL, OPTION_NAME},
	{"attempt", required_argument, NULL, OPTION_ATTEMPT},
	{"source", required_argument, NULL, OPTION_SOURCE},
	{"step", required_argument, NULL, OPTION_STEP},
	{"total-steps", required_argument, NULL, OPTION_TOTAL_STEPS},
	{"milestone", no_argument, NULL, OPTION_MILESTONE},
	{"tee", no_argument, NULL, OPTION_TEE},
	{"redact", required_argument, NULL, OPTION_REDACT},
	{"redact-env", required_argument, NULL, OPTION_REDACT_ENV},
	{"structured", required_argument, NULL, OPTION_STRUCTURED},
	{"max-bytes", required_argument, NULL, OPTION_MAX_BYTES},
	{"max-line", required_argument, NULL, OPTION_MAX_LINE},
	{"spool-dir", required_argument, NULL, OPTION_SPOOL_DIR},
	{"spool-size", required_argument, NULL, OPTION_SPOOL_SIZE},
	{"no-sync", no_argument, NULL, OPTION_NO_SYNC},
	{"wait", required_argument, NULL, OPTION_WAIT},
	{"grace", required_argument, NULL, OPTION_GRACE},
	{"quiet", no_argument, NULL, 'q'},
	CONNECT_LONG_OPTIONS,
	{NULL}
};

/* What is made of the command line. */
typedef struct Setup
{
	RunOptions	options;
	ConnectOptions where;
	Redactor   *redactor;
	const char *spool_dir;
	int64_t		spool_bytes;
} Setup;

/* Before the command runs, every failure is the wrapper's. */
static void
leave_as_wrapper(void)
{
	output_end();
	exit(EXIT_WRAPPER);
}

/* A text that becomes a column of so many characters. */
static const char *
text_option(const char *name, const char *text, size_t longest)
{
	size_t		characters = 0;

	for (const char *c = text; *c; c++)
		characters += (*c & 0xC0) != 0x80;
	if (text[0] == '\0')
		usage_error("%s must not be empty", name);
	if (characters > longest)
		usage_error("%s must have at most %zu characters, not %zu", name, longest, characters);
	return text;
}

/* Mask the value of an environment variable. */
static void
redact_variable(Redactor *redactor, const char *name)
{
	const char *value = getenv(name);

	if (value == NULL || value[0] == '\0')
		warn("the variable %s is not set, so nothing of it is masked", name);
	else
		redactor_add_value(redactor, value);
}

static void
structured_option(RunOptions *options, const char *which)
{
	if (strcmp(which, "stderr") != 0 && strcmp(which, "stdout") != 0 &&
		strcmp(which, "both") != 0 && strcmp(which, "off") != 0)
		usage_error("--structured must be stderr, stdout, both or off, not \"%s\"", which);
	options->structured_errors = strcmp(which, "stderr") == 0 || strcmp(which, "both") == 0;
	options->structured_output = strcmp(which, "stdout") == 0 || strcmp(which, "both") == 0;
}

/* Take one option. */
static void
take_option(Setup *setup, int c, char *argument)
{
	RunOptions *options = &setup->options;
	char		problem[256];

	switch (c)
	{
		case OPTION_EXECUTION:
			options->execution = text_option("--execution", argument, ID_LENGTH);
			break;
		case OPTION_WORKFLOW:
			options->workflow = text_option("--workflow", argument, ID_LENGTH);
			break;
		case OPTION_TASK:
			options->task = text_option("--task", argument, ID_LENGTH);
			break;
		case OPTION_NAME:
			options->name = text_option("--name", argument, ID_LENGTH);
			break;
		case OPTION_ATTEMPT:
			options->attempt = (int) number_option("--attempt", argument, 1, INT_MAX);
			break;
		case OPTION_SOURCE:
			options->source = text_option("--source", argument, SOURCE_LENGTH);
			break;
		case OPTION_STEP:
			options->step = (int) number_option("--step", argument, 1, INT_MAX);
			break;
		case OPTION_TOTAL_STEPS:
			options->total_steps = (int) number_option("--total-steps", argument, 1, INT_MAX);
			break;
		case OPTION_MILESTONE:
			options->milestone = true;
			break;
		case OPTION_TEE:
			options->tee = true;
			break;
		case OPTION_REDACT:
			if (!redactor_add_pattern(setup->redactor, argument, problem, sizeof(problem)))
				usage_error("--redact: \"%s\": %s", argument, problem);
			break;
		case OPTION_REDACT_ENV:
			redact_variable(setup->redactor, argument);
			break;
		case OPTION_STRUCTURED:
			structured_option(options, argument);
			break;
		case OPTION_MAX_BYTES:
			options->max_bytes = number_option("--max-bytes", argument, 0, INT64_MAX / 2);
			break;
		case OPTION_MAX_LINE:
			options->max_line = number_option("--max-line", argument, 16, MEGABYTE);
			break;
		case OPTION_SPOOL_DIR:
			setup->spool_dir = argument;
			break;
		case OPTION_SPOOL_SIZE:
			setup->spool_bytes = number_option("--spool-size", argument, 1, 1024 * 1024) * MEGABYTE;
			break;
		case OPTION_NO_SYNC:
			options->sync = false;
			break;
		case OPTION_WAIT:
			options->wait_seconds = (int) number_option("--wait", argument, 0, 86400);
			break;
		case OPTION_GRACE:
			options->grace_seconds = (int) number_option("--grace", argument, 0, 86400);
			break;
		case 'q':
			options->quiet = true;
			break;
	}
}

/* Append something that will not come twice, which sorts by time. */
static void
append_unique(Buffer *out)
{
	unsigned char random[6];
	time_t		now = time(NULL);
	struct tm	broken;
	char		text[32];

	gmtime_r(&now, &broken);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%S-", &broken);
	buffer_string(out, text);
	if (getentropy(random, sizeof(random)) < 0)
		fail(EXIT_WRAPPER, NULL, "could not get random bytes: %s", strerror(errno));
	for (int i = 0; i < lengthof(random); i++)
		buffer_printf(out, "%02x", random[i]);
}

/* A command's name, without its path. */
static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* What the command line leaves open. */
static void
fill_in(RunOptions *options)
{
	Buffer		id = {0};

	if (options->task == NULL)
		options->task = text_option("the command", base_name(options->command[0]), ID_LENGTH);
	if (options->total_steps && options->step > options->total_steps)
		usage_error("--step is %d, but there are only %d", options->step, options->total_steps);
	if (options->execution == NULL)
	{
		options->owns_execution = true;
		if (options->workflow == NULL)
			options->workflow = base_name(options->command[0]);
		buffer_string(&id, "run-");
		append_unique(&id);
		options->execution = buffer_text(&id);
	}
}

/* Make the spool: in its directory, or else in memory. */
static void
make_spool(Run *run, const Setup *setup, const char *target)
{
	const char *problem = NULL;
	char	   *directory = spool_directory(setup->spool_dir, &problem);
	Buffer		name = {0};
	Buffer		key = {0};
	Buffer		execution = {0};
	Buffer		node = {0};

	append_unique(&name);
	buffer_printf(&key, "run/%s", buffer_text(&name));
	run_log_members(&setup->options, &execution, &node);
	if (directory)
	{
		run->spool = spool_create(directory, buffer_text(&name), buffer_text(&key), target,
								  buffer_text(&execution), buffer_text(&node), setup->spool_bytes);
		if (run->spool == NULL)
			problem = strerror(errno);
	}
	if (run->spool == NULL)
	{
		warn("there can be no spool in %s: %s; what the database does not have in time is lost",
			 directory ? directory : setup->spool_dir ? setup->spool_dir : "the usual place", problem);
		run->spool = spool_create(NULL, NULL, buffer_text(&key), target, buffer_text(&execution),
								  buffer_text(&node), Min(setup->spool_bytes, SPOOL_MEMORY_LIMIT));
	}
	if (run->spool == NULL)
		fail(EXIT_WRAPPER, NULL, "could not make a spool: %s", strerror(errno));
	if (directory)
	{
		run->replay = replay_begin(target);
		replay_add_directory(run->replay, directory);
	}
	free(directory);
	buffer_free(&name);
	buffer_free(&key);
	buffer_free(&execution);
	buffer_free(&node);
}

static int
run_run(int argc, char **argv)
{
	Setup		setup = {
		.options = {
			.attempt = 1,
			.structured_errors = true,
			.max_bytes = 10 * MEGABYTE,
			.max_line = 8192,
			.wait_seconds = 5,
			.grace_seconds = 5,
			.sync = true,
		},
		.spool_bytes = 256 * MEGABYTE,
	};
	static Run	run;
	char	   *target;
	char	   *password = NULL;
	int			c;

	at_leave = leave_as_wrapper;
	setup.redactor = redactor_create();
	while ((c = next_option(argc, argv, "+q" CONNECT_SHORT_OPTIONS, long_options)) != -1)
		if (!connect_option(&setup.where, c, optarg))
			take_option(&setup, c, optarg);
	if (optind >= argc)
		usage_error("the command is missing");
	setup.options.command = argv + optind;
	fill_in(&setup.options);
	target = sender_target(&setup.where);
	if (setup.where.prompt > 0)
		password = simple_prompt("Password: ", false);

	run.options = &setup.options;
	if (redactor_is_needed(setup.redactor))
		run.redactor = setup.redactor;
	make_spool(&run, &setup, target);
	if (setup.options.owns_execution)
		say("execution %s", setup.options.execution);
	sender_begin(&run.sender, &setup.where, password);
	run.sender.quiet = setup.options.quiet;
	c = run_loop(&run);
	at_leave = NULL;
	return c;
}

const Command run_command = {
	"run", "run a command, and make logs of its output", run_run, help_text
};
