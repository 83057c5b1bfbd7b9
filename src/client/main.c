/*-------------------------------------------------------------------------
 *
 * main.c
 *	  wflog: the command.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <signal.h>

/* In the order in which --help shows them. */
static const Command *const commands[] = {
	&ls_command,
	&logs_command,
	&inspect_command,
	&run_command,
	&ingest_command,
	&export_command,
	&maintain_command,
#ifdef WFLOG_SERVE
	&serve_command,
#endif
};

static void
show_help(void)
{
	printf("wflog: logs of workflow executions, kept in PostgreSQL\n"
		   "\n"
		   "Usage: wflog SUBCOMMAND [OPTION]...\n"
		   "\n"
		   "Subcommands:\n");
	for (int i = 0; i < lengthof(commands); i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	printf("\n"
		   "  wflog SUBCOMMAND --help    its options\n"
		   "  wflog --version            the version\n"
		   "\n"
		   "Exit status: 0 done, 1 failure, 2 usage, 3 no connection, 4 not found,\n"
		   "5 extension missing or too old, 130 on Ctrl-C; more with each subcommand.\n"
		   "It connects as psql does: -h, -p, -U, -d, URIs, PG* variables, service and\n"
		   "password files.\n");
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (name == NULL)
	{
		complain("a subcommand is missing");
		hint("\"wflog --help\" lists the subcommands.");
		return EXIT_USAGE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0 || strcmp(name, "help") == 0)
	{
		if (argc == 2)
		{
			show_help();
			return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
		}
		name = argv[2];			/* wflog help logs */
		argv[2] = "--help";
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
	{
		printf("wflog %s\n", WFLOG_VERSION);
		return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
	}
	for (int i = 0; i < lengthof(commands); i++)
		if (strcmp(name, commands[i]->name) == 0)
		{
			current_command = commands[i];
			leave(current_command->run(argc - 1, argv + 1));
		}
#ifndef WFLOG_SERVE
	if (strcmp(name, "serve") == 0)
		fail(EXIT_FAILED, "Install libevent, cjose, jansson and OpenSSL with their headers, then make clean and build wflog again.",
			 "this wflog was built without \"serve\"");
#endif
	usage_error("there is no subcommand \"%s\"", name);
}
