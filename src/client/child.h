/*-------------------------------------------------------------------------
 *
 * child.h
 *	  The child process of "run": starting, signals, and how it ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CHILD_H
#define WFLOG_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct Child
{
	pid_t		pid;
	bool		own_group;		/* a process group of its own, which is cleaned up */
	int			output;			/* what it writes to stdout and stderr, or -1 */
	int			errors;
	bool		ended;
	int			status;			/* as waitpid() says, once it has ended */
	int			exec_error;		/* errno: it could not be executed at all */
} Child;

/* A signal that has come to us. */
typedef struct CaughtSignal
{
	int			number;			/* 0: none */
	bool		from_terminal;
} CaughtSignal;

extern int	signals_begin(void);
extern CaughtSignal signals_next(void);
extern bool child_start(Child *child, char **argv);
extern void child_signal(const Child *child, int number);
extern void child_forward(const Child *child, CaughtSignal caught);
extern bool child_reap(Child *child);
extern bool child_group_lives(const Child *child);
extern int	child_exit_code(const Child *child);
extern const char *signal_name(int number);

#endif							/* WFLOG_CHILD_H */
