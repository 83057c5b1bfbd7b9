/*-------------------------------------------------------------------------
 *
 * listener.c
 *	  The one connection that LISTENs, for all streams.
 *
 * Its channel is asked for each time, since that is also what makes the worker
 * tell gateways anything.  When it is lost, streams stay open; when it is back,
 * they read what they have missed (hub_listening()).  Where nothing notifies,
 * on a standby or without the library being preloaded, they poll instead.
 *
 *-------------------------------------------------------------------------
 */
#include "hub.h"

#include "metrics.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define ALIVE_MS 10000			/* so often, and for at most so long, we ask whether the server is there */

typedef enum ListenerState
{
	LISTENER_DOWN,
	LISTENER_CONNECTING,
	LISTENER_ASKING,			/* for the channel */
	LISTENER_LISTENING,			/* LISTEN has been sent */
	LISTENER_UP,
	LISTENER_CHECKING			/* up, and asked whether it is */
} ListenerState;

static PGconn *pg = NULL;
static ListenerState state = LISTENER_DOWN;
static bool polling = false;
static bool warned = false;		/* nothing will be notified, says the server */
static int	backoff = BACKOFF_MIN_MS;
static struct event read_event;
static struct event write_event;
static struct event timer;
static int	watched_fd = -1;
static Buffer listen_sql;

static void on_event(evutil_socket_t fd, short what, void *arg);

bool
listener_is_up(void)
{
	return state >= LISTENER_UP;
}

/* Are streams to poll, because nothing would be notified? */
bool
listener_is_polling(void)
{
	return polling;
}

/* Nothing will be notified here. */
void
listener_must_poll(void)
{
	if (!polling)
		warn("nothing is notified here, so streams look every second");
	polling = true;
}

static void
set_timer(int64 milliseconds)
{
	struct timeval delay = timeval_of(milliseconds);

	event_add(&timer, &delay);
}

static void
watch(bool to_write)
{
	int			fd = PQsocket(pg);

	if (fd != watched_fd)
	{
		if (watched_fd >= 0)
		{
			event_del(&read_event);
			event_del(&write_event);
		}
		watched_fd = fd;
		event_assign(&read_event, gateway.base, fd, EV_READ | EV_PERSIST, on_event, NULL);
		event_assign(&write_event, gateway.base, fd, EV_WRITE | EV_PERSIST, on_event, NULL);
	}
	if (!to_write || state != LISTENER_CONNECTING)
		event_add(&read_event, NULL);
	else
		event_del(&read_event);
	if (to_write)
		event_add(&write_event, NULL);
	else
		event_del(&write_event);
}

static void
lost(void)
{
	if (watched_fd >= 0)
	{
		event_del(&read_event);
		event_del(&write_event);
		watched_fd = -1;
	}
	if (state >= LISTENER_UP)
		warn("lost the connection that listens; streams go on when it is back");
	PQfinish(pg);
	pg = NULL;
	state = LISTENER_DOWN;
	set_timer(with_jitter(backoff));
	backoff = Min(backoff * 2, BACKOFF_MAX_MS);
}

/* 55000: nothing will be notified, because of how the server is set up. */
static void
on_notice(void *arg, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (sqlstate && strcmp(sqlstate, "55000") == 0)
		warned = true;
}

static void
ask(const char *sql, ListenerState next)
{
	state = next;
	if (!PQsendQuery(pg, sql))
	{
		lost();
		return;
	}
	watch(PQflush(pg) > 0);
	set_timer(ALIVE_MS);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	switch (state)
	{
		case LISTENER_DOWN:
			pg = connect_begin(gateway.database, "wflog serve listen");
			PQsetNoticeReceiver(pg, on_notice, NULL);
			state = LISTENER_CONNECTING;
			if (PQstatus(pg) == CONNECTION_BAD)
			{
				lost();
				return;
			}
			watch(true);
			set_timer(gateway.options.connect_timeout);
			break;
		case LISTENER_UP:
			warned = false;
			ask(worker_figures_sql, LISTENER_CHECKING);
			break;
		default:
			lost();				/* it has had its time */
	}
}

static void
make_listen(Buffer *sql, const PGresult *result)
{
	char	   *quoted = PQescapeIdentifier(pg, PQgetvalue(result, 0, 0), PQgetlength(result, 0, 0));

	buffer_clear(sql);
	buffer_printf(sql, "LISTEN %s", quoted ? quoted : "");
	PQfreemem(quoted);
}

/* Poll, if the server has warned that it is not going to notify. */
static void
set_polling(void)
{
	if (warned)
		listener_must_poll();
	else
		polling = false;
}

/* A statement has been answered. */
static void
take_result(PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (!query_succeeded(result))
	{
		if (sqlstate && strcmp(sqlstate, "25006") == 0)
		{
			listener_must_poll();
			backoff = BACKOFF_MAX_MS;	/* until it is promoted */
		}
		else if (sqlstate)
			complain("could not listen: %s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		lost();
		return;
	}
	switch (state)
	{
		case LISTENER_ASKING:
			make_listen(&listen_sql, result);
			worker_figures_take(result);
			break;
		case LISTENER_LISTENING:
			state = LISTENER_UP;
			backoff = BACKOFF_MIN_MS;
			set_polling();
			hub_listening();
			break;
		case LISTENER_CHECKING:
			{
				Buffer		now = {0};
				bool		same;

				/* it changes when the extension has been made anew */
				make_listen(&now, result);
				same = strcmp(buffer_text(&now), buffer_text(&listen_sql)) == 0;
				buffer_free(&now);
				if (!same)
				{
					lost();
					return;
				}
				state = LISTENER_UP;
				set_polling();
				worker_figures_take(result);
			}
			break;
		default:
			break;
	}
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	PGnotify   *notification;
	bool		asked = state != LISTENER_UP;

	if (state == LISTENER_CONNECTING)
	{
		switch (PQconnectPoll(pg))
		{
			case PGRES_POLLING_OK:
				(void) PQsetnonblocking(pg, 1);
				warned = false;
				ask(worker_figures_sql, LISTENER_ASKING);
				return;
			case PGRES_POLLING_READING:
				watch(false);
				return;
			case PGRES_POLLING_WRITING:
				watch(true);
				return;
			default:
				lost();
				return;
		}
	}
	if (PQflush(pg) < 0 || ((what & EV_READ) && !PQconsumeInput(pg)))
	{
		lost();
		return;
	}
	event_del(&write_event);
	while (state != LISTENER_UP && pg && !PQisBusy(pg))
	{
		PGresult   *result = PQgetResult(pg);
		bool		over = result == NULL;

		if (!over)
			take_result(result);
		PQclear(result);
		if (over)
		{
			if (state == LISTENER_ASKING)
				ask(buffer_text(&listen_sql), LISTENER_LISTENING);
			break;
		}
	}
	if (state == LISTENER_UP && pg)
	{
		/* the end of the last statement's results */
		while (!PQisBusy(pg))
		{
			PGresult   *result = PQgetResult(pg);

			if (result == NULL)
				break;
			PQclear(result);
		}
		/* not put off by notifications, or a busy worker's figures would never come */
		if (asked)
			set_timer(ALIVE_MS);
	}
	while (pg && (notification = PQnotifies(pg)) != NULL)
	{
		hub_notified(notification->extra, strlen(notification->extra));
		PQfreemem(notification);
	}
}

void
listener_begin(void)
{
	evtimer_assign(&timer, gateway.base, on_timer, NULL);
	set_timer(0);
}

void
listener_end(void)
{
	if (pg)
		PQfinish(pg);
	pg = NULL;
}
