/*-------------------------------------------------------------------------
 *
 * cmd_ingest.c
 *	  wflog ingest: the command line.
 *
 *-------------------------------------------------------------------------
 */
#include "ingest.h"

#include <sys/random.h>
#include <time.h>

#include "encode.h"

static const char help_text[] =
"Usage: wflog ingest [OPTION]... [FILE]...\n"
"       wflog ingest --spool [FILE|DIRECTORY]...  what \"wflog run\" has left\n"
"Writes logs from files, or stdin: JSON objects, one a line, or CSV.\n"
"  --format=ndjson|csv  by default by the name: .csv, .tsv, else ndjson\n"
"  --map=FIELD=NAME     FIELD of the log is what the input calls NAME\n"
"  --set=FIELD=VALUE    the same in all logs; --execution=ID sets execution_id\n"
"  --rest=data|drop|error   what is no field of a log (data)\n"
"  --exported           \"wflog export\" wrote it: undo the escapes in it\n"
"  --delimiter=C, --columns=A,B,...   of CSV; its names if it has no header\n"
"  -f, --follow         wait for more, and for a new file of that name\n"
"  --from-end           begin at its end   --state=FILE  know how far it came\n"
"  --rejects=FILE       bad lines go there (INPUT.rejects; none: nowhere)\n"
"  --max-rejects=N      more of them are a failure at once (no limit)\n"
"  --producer-key=KEY   under one key the same input is written only once\n"
"  -j, --jobs=N         connections (2)    --retry=SECONDS  without database (60)\n"
"  -q, --quiet          say nothing but errors\n"
CONNECT_HELP
"Exit status: 0 done; 1 failure, or bad lines; 2 usage; 3 no connection;\n"
"5 extension missing or too old; 130 on Ctrl-C.\n";

enum
{
	OPTION_FORMAT = 1000, OPTION_MAP, OPTION_SET, OPTION_EXECUTION, OPTION_REST, OPTION_EXPORTED, OPTION_DELIMITER,
	OPTION_COLUMNS, OPTION_FROM_END, OPTION_STATE, OPTION_REJECTS, OPTION_MAX_REJECTS, OPTION_KEY,
	OPTION_RETRY, OPTION_SPOOL
};

static const struct option long_options[] = {
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"map", required_argument, NULL, OPTION_MAP},
	{"set", required_argument, NULL, OPTION_SET},
	{"execution", required_argument, NULL, OPTION_EXECUTION},
	{"rest", required_argument, NULL, OPTION_REST},
	{"exported", no_argument, NULL, OPTION_EXPORTED},
	{"delimiter", required_argument, NULL, OPTION_DELIMITER},
	{"columns", required_argument, NULL, OPTION_COLUMNS},
	{"follow", no_argument, NULL, 'f'},
	{"from-end", no_argument, NULL, OPTION_FROM_END},
	{"state", required_argument, NULL, OPTION_STATE},
	{"rejects", required_argument, NULL, OPTION_REJECTS},
	{"max-rejects", required_argument, NULL, OPTION_MAX_REJECTS},
	{"producer-key", required_argument, NULL, OPTION_KEY},
	{"jobs", required_argument, NULL, 'j'},
	{"retry", required_argument, NULL, OPTION_RETRY},
	{"spool", no_argument, NULL, OPTION_SPOOL},
	{"quiet", no_argument, NULL, 'q'},
	CONNECT_LONG_OPTIONS,
	{NULL}
};

/* What is made of the command line. */
typedef struct Setup
{
	IngestOptions options;
	Ingest		ingest;
	const char *format;
	const char *rejects;
	bool		spool;
} Setup;

/* The column before the equals sign; what is behind it goes to *rest. */
static int
column_option(const char *name, const char *argument, const char **rest)
{
	const char *equals = strchr(argument, '=');
	int			column = equals ? column_named(argument, equals - argument) : -1;

	if (equals == NULL)
		usage_error("%s must be FIELD=..., not \"%s\"", name, argument);
	if (column < 0)
		usage_error("%s: there is no field \"%.*s\"", name, (int) (equals - argument), argument);
	*rest = equals + 1;
	return column;
}

/* A column that has the same value in all logs. */
static void
set_column(Converter *converter, const char *name, int column, const char *text)
{
	Buffer		json = {0};
	Buffer		line = {0};
	Buffer		checked = {0};
	Converter	check = {.rest = REST_DATA};

	if (!column_from_text(&columns[column], text, strlen(text), &json))
		usage_error("%s: %s cannot be \"%s\"", name, columns[column].name, text);
	/* as a line would be checked */
	buffer_printf(&line, "{\"%s\":%s,\"%s\":\"x\",\"%s\":\"x\"}", columns[column].name,
				  buffer_text(&json),
				  column == COLUMN_EXECUTION_ID ? "source" : "execution_id",
				  column == COLUMN_MESSAGE ? "source" : "message");
	if (!convert_line(&check, line.data, line.len, &checked))
		usage_error("%s: %s", name, buffer_text(&check.problem));
	free(converter->set[column]);
	converter->set[column] = xstrdup(buffer_text(&json));
	convert_free(&check);
	buffer_free(&json);
	buffer_free(&line);
	buffer_free(&checked);
}

static void
take_option(Setup *setup, int c, char *argument)
{
	IngestOptions *options = &setup->options;
	Converter  *converter = &setup->ingest.converter;
	const char *rest;
	int			column;

	switch (c)
	{
		case OPTION_FORMAT:
			if (strcmp(argument, "ndjson") != 0 && strcmp(argument, "csv") != 0)
				usage_error("--format must be ndjson or csv, not \"%s\"", argument);
			setup->format = argument;
			break;
		case OPTION_MAP:
			column = column_option("--map", argument, &rest);
			converter->map[column] = rest;
			break;
		case OPTION_SET:
			column = column_option("--set", argument, &rest);
			set_column(converter, "--set", column, rest);
			break;
		case OPTION_EXECUTION:
			set_column(converter, "--execution", COLUMN_EXECUTION_ID, argument);
			break;
		case OPTION_REST:
			if (strcmp(argument, "data") == 0)
				converter->rest = REST_DATA;
			else if (strcmp(argument, "drop") == 0)
				converter->rest = REST_DROP;
			else if (strcmp(argument, "error") == 0)
				converter->rest = REST_ERROR;
			else
				usage_error("--rest must be data, drop or error, not \"%s\"", argument);
			break;
		case OPTION_EXPORTED:
			converter->exported = true;
			break;
		case OPTION_DELIMITER:
			if (strcmp(argument, "\\t") == 0)
				argument = "\t";
			if (strlen(argument) != 1 || strchr("\"\r\n", argument[0]))
				usage_error("--delimiter must be one character, and no quote or line feed");
			options->delimiter = argument[0];
			break;
		case OPTION_COLUMNS:
			options->columns = argument;
			break;
		case 'f':
			options->follow = true;
			break;
		case OPTION_FROM_END:
			options->from_end = true;
			break;
		case OPTION_STATE:
			options->state_path = argument;
			break;
		case OPTION_REJECTS:
			setup->rejects = argument;
			break;
		case OPTION_MAX_REJECTS:
			setup->ingest.rejects.most = number_option("--max-rejects", argument, 0, INT64_MAX);
			break;
		case OPTION_KEY:
			if (argument[0] == '\0' || strlen(argument) > 255)
				usage_error("--producer-key must have 1 to 255 characters");
			options->producer_key = argument;
			break;
		case 'j':
			options->jobs = (int) number_option("--jobs", argument, 1, MOST_LANES);
			break;
		case OPTION_RETRY:
			options->retry_seconds = (int) number_option("--retry", argument, 0, 86400 * 7);
			break;
		case OPTION_SPOOL:
			setup->spool = true;
			break;
		case 'q':
			options->quiet = true;
			break;
	}
}

/* A key that nobody else has. */
static char *
new_key(void)
{
	unsigned char random[12];
	Buffer		key = {0};

	if (getentropy(random, sizeof(random)) < 0)
		fail(EXIT_FAILED, NULL, "could not get random bytes: %s", strerror(errno));
	buffer_string(&key, "ingest/");
	for (int i = 0; i < lengthof(random); i++)
		buffer_printf(&key, "%02x", random[i]);
	return buffer_text(&key);
}

static bool
ends_in(const char *text, const char *end)
{
	size_t		len = strlen(text);

	return len >= strlen(end) && pg_strcasecmp(text + len - strlen(end), end) == 0;
}

/* What the command line leaves open, and what does not go together. */
static void
fill_in(Setup *setup)
{
	IngestOptions *options = &setup->options;
	const char *first = options->files[0];
	Buffer		rejects = {0};

	options->csv = setup->format ? strcmp(setup->format, "csv") == 0 :
		ends_in(first, ".csv") || ends_in(first, ".tsv");
	if (options->delimiter == '\0')
		options->delimiter = ends_in(first, ".tsv") ? '\t' : ',';
	if (options->columns && !options->csv)
		usage_error("--columns is for CSV");
	if (options->follow && (options->file_count > 1 || strcmp(first, "-") == 0))
		usage_error("--follow needs one file");
	if ((options->from_end || options->state_path) && !options->follow)
		usage_error("--from-end and --state are for --follow");
	if (options->follow)
		options->jobs = 1;		/* in the order in which they were written */

	if (setup->rejects && strcmp(setup->rejects, "none") != 0)
		setup->ingest.rejects.path = setup->rejects;
	else if (setup->rejects == NULL)
	{
		buffer_printf(&rejects, "%s.rejects", strcmp(first, "-") == 0 ? "stdin" : first);
		setup->ingest.rejects.path = buffer_text(&rejects);
	}
	if (options->state_path)
	{
		setup->ingest.state = ingest_state_read(options->state_path);
		if (setup->ingest.state->producer_key[0] == '\0')
		{
			if (options->producer_key && strlen(options->producer_key) >= 64)
				usage_error("with --state, --producer-key must have less than 64 characters");
			strlcpy(setup->ingest.state->producer_key,
					options->producer_key ? options->producer_key : new_key(),
					sizeof(setup->ingest.state->producer_key));
		}
		options->producer_key = setup->ingest.state->producer_key;
	}
	if (options->producer_key == NULL)
		options->producer_key = new_key();
}

static int
run_ingest(int argc, char **argv)
{
	static Setup setup = {
		.options = {.jobs = 2,.retry_seconds = 60},
		.ingest = {.rejects = {.fd = -1,.most = -1}},
	};
	static char *standard_input[] = {"-"};
	int			c;

	while ((c = next_option(argc, argv, "fj:q" CONNECT_SHORT_OPTIONS, long_options)) != -1)
		if (!connect_option(&setup.options.where, c, optarg))
			take_option(&setup, c, optarg);
	setup.options.files = argv + optind;
	setup.options.file_count = argc - optind;
	if (setup.spool)
		return ingest_spools(&setup.options);
	if (setup.options.file_count == 0)
	{
		setup.options.files = standard_input;
		setup.options.file_count = 1;
	}
	fill_in(&setup);
	setup.ingest.options = &setup.options;
	return ingest(&setup.ingest);
}

const Command ingest_command = {
	"ingest", "write logs from files: JSON lines or CSV", run_ingest, help_text
};
