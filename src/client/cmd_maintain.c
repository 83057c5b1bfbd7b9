/*-------------------------------------------------------------------------
 *
 * cmd_maintain.c
 *	  wflog maintain: partitions ahead, and what is past its time removed.
 *
 * How long logs are kept is said by the option, else by the environment
 * variable AUTOKESTRA_LOG_RETENTION_DAYS, else by the server's policies and
 * setting.  The work is done by the server's maintain().
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "output.h"

#define ENVIRONMENT_VARIABLE "AUTOKESTRA_LOG_RETENTION_DAYS"
#define MOST_DAYS 365000		/* as wflog.retention_days */

static const char help_text[] =
"Usage: wflog maintain [OPTION]...\n"
"\n"
"Makes partitions ahead and removes logs that are past their time, at once.\n"
"The server's background worker does the same by itself, where there is one.\n"
"\n"
"  --retention-days=N   how long logs are kept where no policy of a workflow or\n"
"                       tier says otherwise; else AUTOKESTRA_LOG_RETENTION_DAYS,\n"
"                       else the server's default policy or setting\n"
"  -n, --dry-run        show what would be removed, and remove nothing\n"
"  --help               this text\n"
"\n"
CONNECT_HELP
"\n"
"You need the role wflog_admin. Exit status: 0 done, 1 failure, 2 usage (also a\n"
"bad value in the environment), 3 no connection, 5 extension missing or too old.\n";

/* The days that were asked for, as text; NULL if the server is to decide. */
static const char *
retention_days(const char *option)
{
	const char *value = getenv(ENVIRONMENT_VARIABLE);

	if (option)
		value = option;
	else if (value == NULL || value[0] == '\0')
		return NULL;
	number_option(option ? "--retention-days" : ENVIRONMENT_VARIABLE, value, 1, MOST_DAYS);
	return value;
}

/* Show what would be removed. */
static void
preview(Connection *connection, const char *days)
{
	PGresult   *result = query_or_fail(connection,
									   "SELECT p.action, p.target, p.day, p.logs,"
									   " pg_catalog.pg_size_pretty(p.bytes)"
									   " FROM wflog.retention_preview($1::pg_catalog.int4) AS p", 1, &days);
	PQprintOpt	format = {.header = true,.align = true,.fieldSep = "|"};

	output_begin(COLOR_NEVER);
	if (PQntuples(result) == 0)
		say("nothing is past its time");
	else
		PQprint(stdout, result, &format);
	PQclear(result);
	if (fflush(stdout) != 0 && errno != EPIPE)
		fail(EXIT_FAILED, NULL, "could not write the output: %s", strerror(errno));
}

static int
run_maintain(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"retention-days", required_argument, NULL, 'R'},
		{"dry-run", no_argument, NULL, 'n'},
		CONNECT_LONG_OPTIONS,
		{NULL}
	};
	ConnectOptions where = {0};
	const char *days = NULL;
	bool		dry_run = false;
	Connection *connection;
	int			c;

	while ((c = next_option(argc, argv, "n" CONNECT_SHORT_OPTIONS, long_options)) != -1)
	{
		if (connect_option(&where, c, optarg))
			continue;
		if (c == 'R')
			days = optarg;
		else
			dry_run = true;
	}
	if (optind < argc)
		usage_error("\"%s\" is too much", argv[optind]);
	days = retention_days(days);

	interrupts_begin();
	connection = connect_to(&where);
	if (dry_run)
		preview(connection, days);
	else
		PQclear(query_or_fail(connection, "CALL wflog.maintain($1::pg_catalog.int4)", 1, &days));
	connection_close(connection);
	return EXIT_DONE;
}

const Command maintain_command = {
	"maintain", "make partitions ahead, remove what is past its time", run_maintain, help_text
};
