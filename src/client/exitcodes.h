/*-------------------------------------------------------------------------
 *
 * exitcodes.h
 *	  What the command's exit status says.  docs/command.md lists them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_EXITCODES_H
#define WFLOG_EXITCODES_H

typedef enum ExitCode
{
	EXIT_DONE = 0,				/* also when whoever read our output has gone */
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONNECTION = 3,
	EXIT_NOT_FOUND = 4,			/* the execution or workflow does not exist, or may not be read */
	EXIT_EXTENSION = 5,			/* not in the database, or too old */

	/* with --exit-status: the outcome of the execution */
	EXIT_EXECUTION_FAILED = 10,
	EXIT_EXECUTION_CANCELLED = 11,
	EXIT_EXECUTION_RUNNING = 12,

	/* of "run", where it is not the child's own */
	EXIT_WRAPPER = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_COMMAND_NOT_FOUND = 127,
	EXIT_SIGNAL = 128			/* plus the signal's number; 130 on Ctrl-C */
} ExitCode;

#endif							/* WFLOG_EXITCODES_H */
