/*-------------------------------------------------------------------------
 *
 * ends.c
 *	  Followers of executions that end: each hears of the end, when it has got
 *	  all the logs, and is told the right total.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define POLL_AFTER_MS 10000		/* of silence */

typedef struct Follower
{
	Conn		conn;
	Random		random;
	int			number;			/* of the execution */
	Stream		stream;
	bool		broken;
	bool		ended;
	long		total;			/* as told */
} Follower;

static void
take_event(void *arg, const Event *event)
{
	Follower   *f = arg;

	if (f->broken || f->ended)
		return;
	if (strcmp(event->kind, "moved") == 0)
	{
		f->broken = true;
		return;
	}
	if (strcmp(event->execution, f->stream.id) != 0)
	{
		violation("%s was told of %s", f->stream.owner, event->execution);
		return;
	}
	if (strcmp(event->kind, "end") == 0)
	{
		/* its batch may be one that tail() has covered; it is an end all the same */
		if (!stream_event(&f->stream, event, &f->conn, &f->random))
			f->broken = true;
		else
		{
			f->ended = true;
			f->total = event->total_logs;
		}
	}
	else if (!stream_event(&f->stream, event, &f->conn, &f->random))
		f->broken = true;
}

static bool
subscribe(Follower *f)
{
	char	   *channel;
	char		sql[128];
	bool		worked;

	if (!conn_open(&f->conn))
		return false;
	stream_connected(&f->stream);
	channel = value(&f->conn, "SELECT wflog.channel($1)", 1, f->stream.id);
	if (!channel)
	{
		if (!f->conn.lost && short_get(f->number).state != SHORT_UNKNOWN)
			violation("channel(%s): %s", f->stream.id, f->conn.message);
		return false;
	}
	snprintf(sql, sizeof(sql), "LISTEN \"%s\"", channel);
	free(channel);
	worked = command(&f->conn, sql, 0) && stream_tail(&f->stream, &f->conn, &f->random);
	f->broken = !worked;
	return worked;
}

/* Ask whether it has ended without our hearing of it. */
static void
ask(Follower *f)
{
	char	   *terminal = value(&f->conn, "SELECT (wflog.execution($1)->>'is_terminal')::bool", 1, f->stream.id);

	if (f->conn.lost)
		f->broken = true;
	else if (terminal && terminal[0] == 't')
	{
		if (!stream_tail(&f->stream, &f->conn, &f->random))
			f->broken = true;
		else
		{
			f->ended = true;
			f->total = -1;
		}
	}
	free(terminal);
}

/* Listen until something is wrong, the end is told or nothing is told for long. */
static void
listen_to(Follower *f)
{
	int64_t		silent_since = now_ms();

	while (!f->broken && !f->ended && phase != PHASE_END)
	{
		struct pollfd fd = {.fd = PQsocket(f->conn.pg),.events = POLLIN};
		PGnotify   *notification;

		poll(&fd, 1, 50);
		if (!PQconsumeInput(f->conn.pg))
			f->broken = true;
		while (!f->broken && (notification = PQnotifies(f->conn.pg)) != NULL)
		{
			silent_since = now_ms();
			if (!payload_events(notification->extra, take_event, f))
				violation("%s was notified \"%s\"", f->stream.owner, notification->extra);
			PQfreemem(notification);
			if (!f->conn.pg)
				f->broken = true;
		}
		if (!f->broken && !f->ended && now_ms() - silent_since > POLL_AFTER_MS)
		{
			ask(f);
			silent_since = now_ms();
			if (f->ended)
				count(T_ENDS_POLLED, 1);
		}
	}
}

/* Follow one from somewhere in its middle until it is over. */
static void
follow(Follower *f, int number)
{
	ShortExecution execution = short_get(number);

	f->number = number;
	stream_begin(&f->stream, f->conn.name, NO_EXECUTION, execution.id);
	f->ended = false;
	f->broken = true;
	while (!f->ended && phase != PHASE_END)
	{
		if (f->broken && !subscribe(f))
		{
			sleep_ms(50);
			execution = short_get(number);
			if (execution.state == SHORT_UNKNOWN)
				break;
			continue;
		}
		/* it may have ended before we listened */
		ask(f);
		if (f->ended)
			count(T_ENDS_POLLED, 1);
		listen_to(f);
		/* a crash may have taken its end, or all of it */
		if (short_get(number).state == SHORT_UNKNOWN)
			break;
	}
	if (f->ended)
	{
		/* COMMIT may be told to its writer after its log to us */
		for (int i = 0; i < 100 && short_get(number).state == SHORT_OPEN; i++)
			sleep_ms(20);
		execution = short_get(number);
		if (execution.state == SHORT_ENDED)
		{
			count(T_ENDS, 1);
			if (f->total >= 0 && f->total != execution.logs)
				violation("%s: the end of %s tells of %ld logs, and there are %d", f->stream.owner,
						  execution.id, f->total, execution.logs);
			if (f->stream.count != execution.logs)
				violation("%s has got %d logs of %s at its end, and there are %d", f->stream.owner,
						  f->stream.count, execution.id, execution.logs);
		}
	}
	stream_free(&f->stream);
}

void *
follower_main(void *arg)
{
	int			number = (int) (intptr_t) arg;
	Follower	f = {.random = random_for("follower", number)};
	int			last = -1;

	snprintf(f.conn.name, sizeof(f.conn.name), "torture follower %d", number);
	while (phase != PHASE_END)
	{
		int			latest = short_latest();

		if (latest >= 0 && latest != last)
			follow(&f, last = latest);
		else
			sleep_ms(10);
	}
	conn_close(&f.conn);
	return NULL;
}
