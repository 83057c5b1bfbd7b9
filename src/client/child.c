/*-------------------------------------------------------------------------
 *
 * child.c
 *	  The child process of "run": starting, signals, and how it ended.
 *
 * The child gets a process group of its own, so that signals reach all that
 * it starts and nothing of it stays behind; unless we are a terminal's
 * foreground job.  There the child stays in our group, as otherwise it could
 * not read from the terminal and a pager behind us in a pipeline would lose
 * it; the terminal then gives Ctrl-C to all of us, and we do not pass it on
 * once more.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES (1024 * 1024)	/* lets the child go on while we are busy */

static int	signal_pipe[2] = {-1, -1};

/*
 * To whom a signal is passed on: those that come from a terminal go to the
 * whole group, as from there; the others to the child, as if they had been
 * sent to it.
 */
typedef enum Receiver
{
	NOBODY,
	CHILD,
	GROUP
} Receiver;

/* How signals are called, and passed on. */
static const struct
{
	int			number;
	const char *name;
	Receiver	receiver;
}			signals[] = {
	{SIGHUP, "SIGHUP", GROUP}, {SIGINT, "SIGINT", GROUP}, {SIGQUIT, "SIGQUIT", GROUP},
	{SIGTSTP, "SIGTSTP", GROUP}, {SIGCONT, "SIGCONT", GROUP}, {SIGWINCH, "SIGWINCH", GROUP},
	{SIGTERM, "SIGTERM", CHILD}, {SIGUSR1, "SIGUSR1", CHILD}, {SIGUSR2, "SIGUSR2", CHILD},
	{SIGALRM, "SIGALRM", CHILD}, {SIGILL, "SIGILL"}, {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"},
	{SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGKILL, "SIGKILL"}, {SIGSEGV, "SIGSEGV"},
	{SIGPIPE, "SIGPIPE"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"},
};

static bool was_ignored[lengthof(signals)];

/* What it is called; a text that holds until the next call. */
const char *
signal_name(int number)
{
	static char other[32];

	for (int i = 0; i < lengthof(signals); i++)
		if (signals[i].number == number)
			return signals[i].name;
	snprintf(other, sizeof(other), "signal %d", number);
	return other;
}

/* Note a signal in the pipe, with where it comes from. */
static void
catch_signal(int number, siginfo_t *info, void *context)
{
	int			saved = errno;
	unsigned char note[2] = {(unsigned char) number, 0};

#ifdef SI_KERNEL
	note[1] = info != NULL && info->si_code == SI_KERNEL;
#endif
	if (write(signal_pipe[1], note, sizeof(note)) < 0)
		(void) 0;				/* full: there is enough to wake up for */
	errno = saved;
}

/*
 * Catch what is to be passed on, and the ends of children; returns what to
 * poll.  What was ignored when we were started (nohup) stays so, for the
 * child too.  On a terminal Ctrl-Z stops the whole job by itself.
 */
int
signals_begin(void)
{
	struct sigaction action = {0};
	int			foreground = -1;

	if (pipe(signal_pipe) < 0)
		fail(EXIT_WRAPPER, NULL, "could not make a pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
	{
		fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC);
		fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK);
	}
	for (int fd = 0; fd < 3 && foreground < 0; fd++)
		if (isatty(fd))
			foreground = tcgetpgrp(fd) == getpgrp();

	action.sa_sigaction = catch_signal;
	action.sa_flags = SA_SIGINFO;	/* no SA_RESTART: a write to a stopped terminal ends */
	sigfillset(&action.sa_mask);
	for (int i = 0; i < lengthof(signals); i++)
	{
		struct sigaction before;

		if (sigaction(signals[i].number, NULL, &before) == 0)
			was_ignored[i] = before.sa_handler == SIG_IGN;
		if (signals[i].receiver == NOBODY || was_ignored[i])
			continue;
		if (signals[i].number == SIGTSTP && foreground > 0)
			continue;
		sigaction(signals[i].number, &action, NULL);
	}
	sigaction(SIGCHLD, &action, NULL);
	/* whoever reads our output may go, and the spool may have a limit on files' sizes */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return signal_pipe[0];
}

/* The next signal that has come. */
CaughtSignal
signals_next(void)
{
	CaughtSignal caught = {0};
	unsigned char note[2];

	if (read(signal_pipe[0], note, sizeof(note)) == sizeof(note))
	{
		caught.number = note[0];
		caught.from_terminal = note[1] != 0;
	}
	return caught;
}

/* In the child: become the command.  Tells through the pipe why it cannot. */
static void
become(char **argv, bool own_group, int output, int errors, int problem_pipe)
{
	int			problem;
	sigset_t	none;

	if (own_group)
		setpgid(0, 0);
	for (int i = 0; i < lengthof(signals); i++)
		signal(signals[i].number, was_ignored[i] ? SIG_IGN : SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(output, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0)
		execvp(argv[0], argv);
	problem = errno;
	if (write(problem_pipe, &problem, sizeof(problem)) < 0)
		(void) 0;
	_exit(EXIT_COMMAND_NOT_FOUND);
}

/* A pipe whose ends are above stderr, and closed on exec; false with errno. */
static bool
make_pipe(int ends[2])
{
	if (pipe(ends) < 0)
		return false;
	for (int i = 0; i < 2; i++)
	{
		if (ends[i] <= STDERR_FILENO)
		{
			int			moved = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

			if (moved < 0)
				return false;
			close(ends[i]);
			ends[i] = moved;
		}
		fcntl(ends[i], F_SETFD, FD_CLOEXEC);
	}
	return true;
}

/*
 * Start the command.  False with errno if there can be no process; if the
 * process could not become the command, it has ended and exec_error tells.
 */
bool
child_start(Child *child, char **argv)
{
	int			output[2];
	int			errors[2];
	int			problem[2];
	bool		foreground = false;

	memset(child, 0, sizeof(Child));
	child->output = child->errors = -1;
	for (int fd = 0; fd < 3 && !foreground; fd++)
		foreground = isatty(fd) && tcgetpgrp(fd) == getpgrp();
	child->own_group = !foreground;
	if (!make_pipe(output) || !make_pipe(errors) || !make_pipe(problem))
		return false;

	child->pid = fork();
	if (child->pid < 0)
		return false;
	if (child->pid == 0)
		become(argv, child->own_group, output[1], errors[1], problem[1]);
	if (child->own_group)
		setpgid(child->pid, child->pid);	/* whoever comes first */
	close(output[1]);
	close(errors[1]);
	close(problem[1]);
	while (read(problem[0], &child->exec_error, sizeof(int)) < 0 && errno == EINTR)
		continue;
	close(problem[0]);

	child->output = output[0];
	child->errors = errors[0];
	for (int i = 0; i < 2; i++)
	{
		int			fd = i == 0 ? output[0] : errors[0];

		fcntl(fd, F_SETFL, O_NONBLOCK);
#ifdef F_SETPIPE_SZ
		fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
#endif
	}
	return true;
}

/* Send a signal to the child, and to all of its group. */
void
child_signal(const Child *child, int number)
{
	if (child->own_group)
		kill(-child->pid, number);
	else if (!child->ended)
		kill(child->pid, number);
}

/* Pass a signal on. */
void
child_forward(const Child *child, CaughtSignal caught)
{
	/* the terminal has given it to the child as well */
	if (caught.from_terminal && !child->own_group)
		return;
	for (int i = 0; i < lengthof(signals); i++)
	{
		if (signals[i].number != caught.number)
			continue;
		if (signals[i].receiver == GROUP)
			child_signal(child, caught.number);
		else if (!child->ended)
			kill(child->pid, caught.number);
	}
	if (caught.number == SIGTSTP)
		raise(SIGSTOP);
}

/* See whether the child has ended. */
bool
child_reap(Child *child)
{
	int			status;

	if (!child->ended && waitpid(child->pid, &status, WNOHANG) == child->pid)
	{
		child->ended = true;
		child->status = status;
	}
	return child->ended;
}

/* Is anything left of the group? */
bool
child_group_lives(const Child *child)
{
	return child->own_group && kill(-child->pid, 0) == 0;
}

/* What we are to exit with. */
int
child_exit_code(const Child *child)
{
	if (child->exec_error != 0)
		return child->exec_error == ENOENT ? EXIT_COMMAND_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	if (WIFSIGNALED(child->status))
		return EXIT_SIGNAL + WTERMSIG(child->status);
	return WEXITSTATUS(child->status);
}
