/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What all subcommands of wflog share.
 *
 * Words to the person go to stderr and begin with "wflog: "; what was asked
 * for goes to stdout, through output.c.  Names in SQL are always qualified
 * and nothing is ever SET, because a transaction pooler may give the next
 * statement to another server process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CLIENT_H
#define WFLOG_CLIENT_H

#include "postgres_fe.h"

#include <getopt.h>

#include "buffer.h"
#include "exitcodes.h"
#include "libpq-fe.h"

/* PostgreSQL 18 has another name, and another place, for it. */
#define WFLOG_NORETURN __attribute__((noreturn))

/* ---- message.c: words to the person ---- */

/*
 * One line each on stderr.  Control characters are made harmless, so text of
 * the server or of a log may be passed.  None needs a line feed at its end.
 */
extern void say(const char *fmt,...) pg_attribute_printf(1, 2);
extern void warn(const char *fmt,...) pg_attribute_printf(1, 2);
extern void hint(const char *fmt,...) pg_attribute_printf(1, 2);
extern void complain(const char *fmt,...) pg_attribute_printf(1, 2);

/* complain(), hint() unless it is NULL, and leave. */
extern void fail(ExitCode code, const char *hint_text, const char *fmt,...)
	pg_attribute_printf(3, 4) WFLOG_NORETURN;

/* Leave through here, so that what is still to be written is. */
extern void leave(int code) WFLOG_NORETURN;

/* Called by leave(), once; to finish a cursor file, a spool, a progress bar. */
extern void (*at_leave) (void);

/* ---- options.c: the command line ---- */

typedef struct ConnectOptions
{
	const char *host;
	const char *port;
	const char *user;
	const char *dbname;			/* also a URI or a connection string */
	int			prompt;			/* -1 never, 0 if the server asks, 1 at once */
} ConnectOptions;

/*
 * For a subcommand's getopt_long: these belong into its own lists, and what
 * connect_option() returns true for has been dealt with.
 */
#define CONNECT_SHORT_OPTIONS "d:h:p:U:wW"
#define CONNECT_LONG_OPTIONS \
	{"dbname", required_argument, NULL, 'd'}, \
	{"host", required_argument, NULL, 'h'}, \
	{"port", required_argument, NULL, 'p'}, \
	{"username", required_argument, NULL, 'U'}, \
	{"no-password", no_argument, NULL, 'w'}, \
	{"password", no_argument, NULL, 'W'}, \
	{"help", no_argument, NULL, '?' + 256}
#define OPTION_HELP ('?' + 256)

/* The part of each subcommand's help that tells of them. */
#define CONNECT_HELP \
	"Connection, as with psql (also PG* variables, service and password files):\n" \
	"  -d, --dbname=DB|URI     -h, --host=HOST     -p, --port=PORT\n" \
	"  -U, --username=NAME     -w, --no-password   -W, --password\n"

/* A subcommand. */
typedef struct Command
{
	const char *name;
	const char *summary;		/* for wflog --help */
	int			(*run) (int argc, char **argv); /* argv[0] is the subcommand's name */
	const char *help;
} Command;

extern const Command *current_command;

extern int	next_option(int argc, char **argv, const char *short_options,
						const struct option *long_options);
extern bool connect_option(ConnectOptions *options, int c, char *argument);
extern void usage_error(const char *fmt,...) pg_attribute_printf(1, 2) WFLOG_NORETURN;
extern long long number_option(const char *name, const char *text, long long min, long long max);
extern int64_t time_option(const char *name, const char *text, bool utc);

/* ---- connect.c: connections ---- */

/* A connection, and what is needed to make it again. */
typedef struct Connection
{
	ConnectOptions options;
	PGconn	   *pg;				/* NULL: there is none */
	char	   *password;		/* typed in by the person, or NULL */
	char	   *extension_version;
	bool		in_recovery;	/* of a standby */
	int			backend_pid;	/* as the server says, which a pooler may not */
} Connection;

extern Connection *connect_to(const ConnectOptions *options);
extern bool connect_again(Connection *connection, char **problem);
extern bool connection_is_lost(Connection *connection);
extern PGconn *connect_begin(const Connection *connection, const char *application_name);
extern void connection_close(Connection *connection);

/* ---- query.c: statements ---- */

extern bool take_input(PGconn *pg);
extern bool query_send(Connection *connection, const char *sql, int count,
					   const char *const *values);
extern PGresult *query_receive(Connection *connection);
extern PGresult *query(Connection *connection, const char *sql, int count,
					   const char *const *values);
extern PGresult *query_or_fail(Connection *connection, const char *sql, int count,
							   const char *const *values);
extern bool query_succeeded(const PGresult *result);
extern bool result_has_state(const PGresult *result, const char *sqlstate);
extern void fail_with_result(Connection *connection, const PGresult *result)
			WFLOG_NORETURN;

/* ---- interrupt.c: signals, and waiting ---- */

extern void interrupts_begin(void);
extern const char *volatile at_abrupt_end;	/* written to stdout if a second signal comes */
extern int	interrupt_signal(void); /* the signal that came, or 0 */
extern int	wait_for(int fd, bool to_write, int milliseconds);
extern void check_interrupt(void);

/* ---- cmd_*.c: the subcommands ---- */

extern const Command export_command;
extern const Command ingest_command;
extern const Command inspect_command;
extern const Command logs_command;
extern const Command ls_command;
extern const Command maintain_command;
extern const Command run_command;
#ifdef WFLOG_SERVE
extern const Command serve_command;
#endif

#endif							/* WFLOG_CLIENT_H */
