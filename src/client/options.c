/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The command line.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdarg.h>
#include <sys/time.h>

#include "timeparse.h"

const Command *current_command = NULL;

/* Say how a command line is wrong, and leave. */
void
usage_error(const char *fmt,...)
{
	Buffer		text = {0};
	va_list		args;

	va_start(args, fmt);
	buffer_reserve(&text, 1024);
	vsnprintf(text.data, 1024, fmt, args);
	va_end(args);
	complain("%s", text.data);
	if (current_command)
		hint("\"wflog %s --help\" lists the options.", current_command->name);
	else
		hint("\"wflog --help\" lists the subcommands.");
	leave(EXIT_USAGE);
}

/*
 * The next option, or -1.  Options and arguments may come in any order, up to
 * "--"; what cannot be an option is a usage error.
 */
int
next_option(int argc, char **argv, const char *short_options, const struct option *long_options)
{
	char		list[128];
	int			c;

	/* ":": a missing argument is told from an unknown option */
	snprintf(list, sizeof(list), "%s:%s",
			 short_options[0] == '+' ? "+" : "", short_options + (short_options[0] == '+'));
	opterr = 0;
	c = getopt_long(argc, argv, list, long_options, NULL);
	if (c == ':' || c == '?')
	{
		/* a long option has been passed over, a short one may be in the midst of its group */
		const char *word = argv[optind - 1];

		if (strncmp(word, "--", 2) != 0 && optopt > 0 && optopt < 256)
			usage_error(c == ':' ? "option -%c needs an argument" : "there is no option -%c", optopt);
		if (c == ':')
			usage_error("option %s needs an argument", word);
		if (optopt != 0 && strchr(word, '='))
			usage_error("option %.*s takes no argument", (int) strcspn(word, "="), word);
		usage_error("there is no option %s, or it is short for several", word);
	}
	if (c == OPTION_HELP)
	{
		fputs(current_command->help, stdout);
		exit(fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED);
	}
	return c;
}

/* Take an option that tells where to connect; false if it is none. */
bool
connect_option(ConnectOptions *options, int c, char *argument)
{
	switch (c)
	{
		case 'd':
			options->dbname = argument;
			return true;
		case 'h':
			options->host = argument;
			return true;
		case 'p':
			options->port = argument;
			return true;
		case 'U':
			options->user = argument;
			return true;
		case 'w':
			options->prompt = -1;
			return true;
		case 'W':
			options->prompt = 1;
			return true;
		default:
			return false;
	}
}

/* The whole number that is an option's argument, within bounds. */
long long
number_option(const char *name, const char *text, long long min, long long max)
{
	char	   *end;
	long long	value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || isspace((unsigned char) text[0]))
		usage_error("%s must be a whole number, not \"%s\"", name, text);
	if (errno != 0 || value < min || value > max)
		usage_error("%s must be between %lld and %lld, not %s", name, min, max, text);
	return value;
}

/* The time that is an option's argument; one without zone is local, or UTC. */
int64_t
time_option(const char *name, const char *text, bool utc)
{
	struct timeval now;
	int64_t		time;
	const char *problem;

	gettimeofday(&now, NULL);
	problem = parse_time(text, now.tv_sec * MICROSECONDS + now.tv_usec, utc, &time);
	if (problem)
		usage_error("%s: \"%s\" %s", name, text, problem);
	return time;
}
