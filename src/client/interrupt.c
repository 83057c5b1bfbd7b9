/*-------------------------------------------------------------------------
 *
 * interrupt.c
 *	  Signals, and waiting that they end.
 *
 * The handlers only note the signal and write a byte into a pipe that every
 * wait listens to, so that none comes between the look at the note and the
 * wait.  "run", which passes signals on, has handlers of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

const char *volatile at_abrupt_end = NULL;

static volatile sig_atomic_t caught = 0;
static int	wakeup[2] = {-1, -1};

static void
note_signal(int signal_number)
{
	int			saved = errno;

	if (caught)
	{
		/* the person insists */
		if (at_abrupt_end && write(STDOUT_FILENO, at_abrupt_end, strlen(at_abrupt_end)) < 0)
			(void) 0;
		_exit(EXIT_SIGNAL + signal_number);
	}
	caught = signal_number;
	if (write(wakeup[1], "", 1) < 0)
		(void) 0;				/* the pipe is full, so it will wake up */
	errno = saved;
}

/* From now on SIGINT, SIGTERM and SIGHUP end waits instead of the program. */
void
interrupts_begin(void)
{
	struct sigaction action = {0};
	const int	signals[] = {SIGINT, SIGTERM, SIGHUP};

	if (wakeup[0] >= 0)
		return;
	if (pipe(wakeup) < 0)
		fail(EXIT_FAILED, NULL, "could not make a pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
	{
		fcntl(wakeup[i], F_SETFD, FD_CLOEXEC);
		fcntl(wakeup[i], F_SETFL, O_NONBLOCK);
	}
	action.sa_handler = note_signal;
	sigemptyset(&action.sa_mask);
	for (int i = 0; i < lengthof(signals); i++)
	{
		struct sigaction before;

		/* what was ignored when we were started (nohup) stays so */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

/* The signal that has come, or 0. */
int
interrupt_signal(void)
{
	return caught;
}

/* Leave if a signal has come. */
void
check_interrupt(void)
{
	if (caught)
		leave(EXIT_SIGNAL + caught);
}

/*
 * Wait until the descriptor can be read or written, at most so long; -1: for
 * ever.  A negative descriptor stands for none.  Returns 1 if it can, 0 when
 * the time is over, -1 if a signal has come.
 */
int
wait_for(int fd, bool to_write, int milliseconds)
{
	struct pollfd polled[2] = {
		{.fd = fd,.events = to_write ? POLLIN | POLLOUT : POLLIN},
		{.fd = wakeup[0],.events = POLLIN},
	};
	int			ready;

	if (caught)
		return -1;
	ready = poll(polled, 2, milliseconds);
	if (caught)
		return -1;
	if (ready < 0 && errno != EINTR)
		fail(EXIT_FAILED, NULL, "could not wait: %s", strerror(errno));
	return ready > 0 && polled[0].revents != 0 ? 1 : 0;
}
