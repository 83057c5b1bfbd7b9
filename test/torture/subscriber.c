/*-------------------------------------------------------------------------
 *
 * subscriber.c
 *	  Subscribers, which lose their connections and go on where they were.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "torture.h"

typedef enum Kind
{
	LISTENS,					/* and reads tail() in the same session */
	LISTENS_AND_READS,			/* in two sessions */
	READS,						/* tail() alone */
	GATEWAY,					/* listens on the channel for all */
	KINDS
} Kind;

static const char *const kind_names[KINDS] = {"listener", "listener with two sessions", "reader", "gateway"};

typedef struct Subscriber
{
	char		name[64];
	Kind		kind;
	Conn		listen;
	Conn		tail;
	Random		random;
	Stream	   *streams;
	int			count;
	atomic_bool connected;
	char		last[BATCH_LEN];	/* of a gateway's batches */
	int			events_left;	/* before it drops its connection; -1: it does not mean to */
	bool		broken;			/* the connection is to be opened anew */
} Subscriber;

static Subscriber subscribers[MAX_SUBSCRIBERS];

static Conn *
tail_conn(Subscriber *s)
{
	return s->kind == LISTENS_AND_READS ? &s->tail : &s->listen;
}

/* Who follows what: kinds in turn, executions at random. */
static void
begin(Subscriber *s, int number)
{
	bool		chosen[MAX_EXECUTIONS] = {false};
	int			wanted;

	s->random = random_for("subscriber", number);
	s->kind = !options.channels ? READS : number % KINDS;
	if (s->kind == GATEWAY && !options.gateway_user)
		s->kind = LISTENS;
	snprintf(s->name, sizeof(s->name), "%s %d", kind_names[s->kind], number);
	snprintf(s->listen.name, sizeof(s->listen.name), "torture subscriber %d", number);
	snprintf(s->tail.name, sizeof(s->tail.name), "torture subscriber %d tail", number);
	if (s->kind == GATEWAY)
		s->listen.user = options.gateway_user;

	wanted = s->kind == GATEWAY ? execution_count : between(&s->random, 1, 4);
	if (wanted > execution_count)
		wanted = execution_count;
	s->streams = calloc(wanted, sizeof(Stream));
	while (s->count < wanted)
	{
		int			e = between(&s->random, 0, execution_count - 1);

		if (chosen[e])
			continue;
		chosen[e] = true;
		stream_begin(&s->streams[s->count++], s->name, e, execution_names[e]);
	}
}

/* Lose the connection, politely or not. */
static void
drop(Subscriber *s)
{
	if (s->listen.pg && chance(&s->random, 50))
		shutdown(PQsocket(s->listen.pg), SHUT_RDWR);
	conn_close(&s->listen);
	if (chance(&s->random, 50))
		conn_close(&s->tail);
	s->broken = true;
	count(T_DROPS, 1);
}

static bool
listen_on(Subscriber *s, const char *channel)
{
	char		sql[128];

	snprintf(sql, sizeof(sql), "LISTEN \"%s\"", channel);
	return command(&s->listen, sql, 0);
}

/* Ask for the channels, LISTEN, and read what has been missed. */
static bool
subscribe(Subscriber *s)
{
	s->last[0] = '\0';
	if (s->kind == GATEWAY)
	{
		char	   *channel;

		if (!command(&s->listen, "SELECT pg_catalog.set_config('request.jwt.claims', "
					 "'{\"role\": \"service_role\"}', false)", 0))
			return false;
		channel = value(&s->listen, "SELECT wflog.gateway_channel()", 0);
		if (!channel || !listen_on(s, channel))
		{
			if (!s->listen.lost)
				violation("%s: gateway_channel(): %s", s->name, s->listen.message);
			free(channel);
			return false;
		}
		free(channel);
	}
	for (int i = 0; i < s->count; i++)
	{
		Stream	   *stream = &s->streams[i];
		char	   *channel;

		stream_connected(stream);
		if (s->kind == READS)
			continue;
		channel = value(&s->listen, "SELECT wflog.channel($1)", 1, stream->id);
		while (channel && s->kind != GATEWAY && listen_on(s, channel))
		{
			/* the owner may change before we listen */
			char	   *present = value(&s->listen, "SELECT wflog.channel($1)", 1, stream->id);
			bool		same = present && strcmp(present, channel) == 0;

			free(channel);
			channel = present;
			if (same)
				break;
		}
		if (!channel || s->listen.lost)
		{
			if (!s->listen.lost)
				violation("%s: channel(%s): %s", s->name, stream->id, s->listen.message);
			free(channel);
			return false;
		}
		free(channel);
	}
	for (int i = 0; i < s->count; i++)
		if (!stream_tail(&s->streams[i], tail_conn(s), &s->random))
			return false;
	return true;
}

static bool
connect_both(Subscriber *s)
{
	s->connected = false;
	if (!s->listen.pg && !conn_open(&s->listen))
		return false;
	if (s->kind == LISTENS_AND_READS && !s->tail.pg && !conn_open(&s->tail))
		return false;
	if (!subscribe(s))
	{
		count(T_SUBSCRIBER_LOST, 1);
		conn_close(&s->listen);
		sleep_ms(50);
		return false;
	}
	s->broken = false;
	s->connected = true;
	return true;
}

/*
 * A gateway's batch begins.  If it does not follow the one before, or has no
 * events, which says that something could not be told, any execution may have
 * missed something that is not known to be covered.
 */
static void
gateway_batch(Subscriber *s, const Event *event)
{
	if (event->events > 0 && s->last[0] != '\0' &&
		(strcmp(event->batch, s->last) == 0 || strcmp(event->prev, s->last) == 0))
		/* it follows */ ;
	else
	{
		count(T_BROKEN_PREV, 1);
		for (int i = 0; i < s->count && !s->broken; i++)
			if (event->events == 0 || !stream_follows(&s->streams[i], event))
				s->broken = !stream_catch_up(&s->streams[i], event, tail_conn(s), &s->random);
	}
	snprintf(s->last, sizeof(s->last), "%s", event->batch);
	for (int i = 0; i < s->count; i++)
		snprintf(s->streams[i].last, sizeof(s->streams[i].last), "%s", event->batch);
}

/* An event has arrived. */
static void
take_event(void *arg, const Event *event)
{
	Subscriber *s = arg;

	if (s->broken)
		return;					/* it has not been looked at */
	if (s->events_left == 0 && phase == PHASE_RUN)
	{
		drop(s);
		return;
	}
	if (s->events_left > 0)
		s->events_left--;
	if (strcmp(event->kind, "batch") == 0)
	{
		gateway_batch(s, event);
		return;
	}
	if (strcmp(event->kind, "status") == 0)
		count(T_STATUS_EVENTS, 1);
	if (strcmp(event->kind, "moved") == 0)
	{
		/* another channel, after a change of owner */
		count(T_MOVED, 1);
		s->broken = true;
		return;
	}
	for (int i = 0; i < s->count; i++)
		if (strcmp(s->streams[i].id, event->execution) == 0)
		{
			if (!stream_event(&s->streams[i], event, tail_conn(s), &s->random))
				s->broken = true;
			return;
		}
	if (s->kind != GATEWAY)		/* whose channel has what other gateways have asked for */
		violation("%s was told of %s", s->name, event->execution);
}

/* Take what has arrived, waiting a moment for something to arrive. */
static void
listen_for_a_moment(Subscriber *s)
{
	struct pollfd fd = {.fd = PQsocket(s->listen.pg),.events = POLLIN};
	PGnotify   *notification;

	poll(&fd, 1, 30);
	if (!PQconsumeInput(s->listen.pg))
	{
		s->broken = true;
		return;
	}
	while (!s->broken && (notification = PQnotifies(s->listen.pg)) != NULL)
	{
		if (!payload_events(notification->extra, take_event, s))
			violation("%s was notified \"%s\"", s->name, notification->extra);
		PQfreemem(notification);
	}
}

/* Be asleep inside a transaction: the server's queue of notifications cannot move on. */
static void
sleep_in_transaction(Subscriber *s)
{
	int64_t		until = now_ms() + between(&s->random, 100, 4000);

	if (!command(&s->listen, "BEGIN", 0) || !command(&s->listen, "SELECT 1", 0))
		return;
	while (now_ms() < until && phase == PHASE_RUN)
		sleep_ms(20);
	command(&s->listen, "COMMIT", 0);
}

/* What listeners do besides listening. */
static void
misbehave(Subscriber *s)
{
	int			what = between(&s->random, 0, 999);

	if (what < 10)
		drop(s);
	else if (what < 25)
		s->events_left = between(&s->random, 0, 200);
	else if (what < 28)
		sleep_in_transaction(s);
	else if (what < 32)
		sleep_ms(between(&s->random, 50, 800));
	else if (what < 33 && s->kind != GATEWAY)
	{
		/* who begins anew begins with tail() */
		count(T_RESTARTS, 1);
		for (int i = 0; i < s->count; i++)
			stream_forget(&s->streams[i]);
		drop(s);
	}
}

/* Read some pages by tail() alone, now and then in one snapshot. */
static void
read_for_a_moment(Subscriber *s)
{
	static const int sizes[] = {1, 3, 50, 1000, 10000};
	bool		repeatable = chance(&s->random, 20);

	if (repeatable && !command(&s->listen, "BEGIN ISOLATION LEVEL REPEATABLE READ", 0))
		s->broken = true;
	for (int i = 0; i < s->count && !s->broken; i++)
	{
		Stream	   *stream = &s->streams[i];
		int			pages = between(&s->random, 1, 5);
		int			rows = 1;

		while (pages-- > 0 && rows > 0 && !s->broken)
		{
			rows = stream_page(stream, &s->listen, sizes[between(&s->random, 0, lengthof(sizes) - 1)]);
			s->broken = rows < 0;
		}
		if (!s->broken && !stream_complete(stream) && !repeatable)
			s->broken = !stream_tail(stream, &s->listen, &s->random);
	}
	if (repeatable && !s->broken)
		s->broken = !command(&s->listen, "COMMIT", 0);
	sleep_ms(between(&s->random, 0, 100));
}

void *
subscriber_main(void *arg)
{
	int			number = (int) (intptr_t) arg;
	Subscriber *s = &subscribers[number];

	begin(s, number);
	s->broken = true;
	s->events_left = -1;
	while (phase != PHASE_END)
	{
		if (s->broken || !s->listen.pg)
		{
			if (s->listen.lost || s->tail.lost)
				count(T_SUBSCRIBER_LOST, 1);
			conn_close(&s->listen);
			s->listen.lost = s->tail.lost = false;
			s->events_left = -1;
			connect_both(s);
			continue;
		}
		if (s->kind == READS)
			read_for_a_moment(s);
		else
			listen_for_a_moment(s);
		if (phase == PHASE_RUN && !s->broken)
			misbehave(s);
		else
			s->events_left = -1;
	}
	conn_close(&s->listen);
	conn_close(&s->tail);
	return NULL;
}

bool
subscribers_are_connected(void)
{
	for (int i = 0; i < options.subscribers; i++)
		if (!subscribers[i].connected)
			return false;
	return true;
}

/*
 * How much those have got who are not connected: to connect is to read what
 * has been missed, which may be all there is.
 */
long
subscribers_progress(void)
{
	long		sum = 0;

	for (int i = 0; i < options.subscribers; i++)
		for (int j = 0; !subscribers[i].connected && j < subscribers[i].count; j++)
			sum += subscribers[i].streams[j].count;
	return sum;
}

/* Has everybody got everything? */
bool
subscribers_are_complete(bool report)
{
	bool		complete = true;

	for (int i = 0; i < options.subscribers; i++)
		for (int j = 0; j < subscribers[i].count; j++)
			if (!stream_complete(&subscribers[i].streams[j]))
			{
				complete = false;
				if (report)
					stream_missing(&subscribers[i].streams[j]);
			}
	return complete;
}

/* The final look, when all threads have ended. */
void
subscribers_check(void)
{
	for (int i = 0; i < options.subscribers; i++)
		for (int j = 0; j < subscribers[i].count; j++)
			stream_check(&subscribers[i].streams[j]);
}
