/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Connections to the database, and the jobs that go through them.
 *
 * A job is one transaction: the claims of who asks and the time limit, then
 * its statements (pipeline.c).
 *
 * A connection has one job at a time.  libpq 15 cannot cancel without
 * blocking, so the job of a client that has left runs on, at most to its
 * statement_timeout, and its results are dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "pool_server.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

/* A server that has not kept to statement_timeout by then is not there any more. */
#define GRACE_MS 5000

/* Waiting jobs of a class. */
#define MAX_WAITING 2000
#define MAX_WAIT_MS 10000

static Server *servers;
static int	stream_jobs = 0;	/* under way */
static Job *waiting[JOB_CLASSES];
static Job **waiting_end[JOB_CLASSES];
static int	waiting_count[JOB_CLASSES];
static int	backoff = BACKOFF_MIN_MS;
static int	connected = 0;		/* connections that are made */
static bool away = false;		/* there is none, and the last attempt failed or the last one was lost */
static struct event wait_timer;
static struct event submit_event;

static void run_waiting(void);
static void on_server(evutil_socket_t fd, short what, void *arg);
static void on_server_timer(evutil_socket_t fd, short what, void *arg);

/* ---- connections ---- */

bool
pool_is_up(void)
{
	return !away;
}

/* Wait for what libpq waits for. */
static void
watch(Server *server, bool to_read, bool to_write)
{
	int			fd = PQsocket(server->pg);

	/* libpq may open another socket while it connects */
	if (fd != server->fd)
	{
		if (server->fd >= 0)
		{
			event_del(&server->read_event);
			event_del(&server->write_event);
		}
		server->fd = fd;
		event_assign(&server->read_event, gateway.base, fd, EV_READ | EV_PERSIST, on_server, server);
		event_assign(&server->write_event, gateway.base, fd, EV_WRITE | EV_PERSIST, on_server, server);
	}
	if (to_read)
		event_add(&server->read_event, NULL);
	else
		event_del(&server->read_event);
	if (to_write)
		event_add(&server->write_event, NULL);
	else
		event_del(&server->write_event);
}

/* Close a connection, with what that means for its job. */
static void
server_lost(Server *server, const char *what)
{
	Job		   *job = server->job;
	struct timeval delay = timeval_of(with_jitter(backoff));
	bool		was_connected = server->state >= SERVER_IDLE;

	if (!away)
	{
		char		text[256];

		strlcpy(text, server->pg ? PQerrorMessage(server->pg) : "out of memory", sizeof(text));
		text[strcspn(text, "\n")] = '\0';
		warn("%s: %s", what, text);
	}
	if (was_connected)
	{
		pool_figures.lost++;
		connected--;
	}
	if (server->state != SERVER_DOWN)
		pool_figures.connections--;
	if (server->state == SERVER_BUSY)
		pool_figures.busy--;
	if (job && job->class == JOB_STREAM)
		stream_jobs--;
	if (server->fd >= 0)
	{
		event_del(&server->read_event);
		event_del(&server->write_event);
		server->fd = -1;
	}
	if (server->pg)
		PQfinish(server->pg);
	server->pg = NULL;
	server->job = NULL;
	server->state = SERVER_DOWN;
	away = connected == 0;
	backoff = Min(backoff * 2, BACKOFF_MAX_MS);
	event_add(&server->timer, &delay);
	if (job)
		job_end(job, JOB_AWAY);
	run_waiting();
}

/* A connection has been made. */
static void
server_connected(Server *server)
{
	event_del(&server->timer);
	if (!PQenterPipelineMode(server->pg) || PQsetnonblocking(server->pg, 1) != 0)
	{
		server_lost(server, "could not set a connection up");
		return;
	}
	if (away)
		say("connected to the database");
	away = false;
	connected++;
	backoff = BACKOFF_MIN_MS;
	server->state = SERVER_IDLE;
	watch(server, true, false);
	run_waiting();
}

static void
ignore_notice(void *arg, const PGresult *result)
{
}

/* Begin to connect. */
static void
server_connect(Server *server)
{
	struct timeval timeout = timeval_of(gateway.options.connect_timeout);

	memset(server->prepared, 0, sizeof(server->prepared));
	server->pg = connect_begin(gateway.database, "wflog serve");
	server->state = SERVER_CONNECTING;
	pool_figures.connections++;
	PQsetNoticeReceiver(server->pg, ignore_notice, NULL);
	event_add(&server->timer, &timeout);
	if (PQstatus(server->pg) == CONNECTION_BAD)
		server_lost(server, "could not connect");
	else
		watch(server, false, true);
}

static void
on_server_timer(evutil_socket_t fd, short what, void *arg)
{
	Server	   *server = arg;

	if (server->state == SERVER_CONNECTING || server->state == SERVER_BUSY)
		server_lost(server, "the database did not answer in time");
	else if (server->state == SERVER_DOWN && !gateway.draining)
		server_connect(server);
}

/* Give a connection its next job. */
static void
server_run(Server *server, Job *job)
{
	struct timeval limit = timeval_of(job->timeout + GRACE_MS);

	server->state = SERVER_BUSY;
	server->job = job;
	job->running = true;
	server->since = clock_us();
	pool_figures.busy++;
	if (job->class == JOB_STREAM)
		stream_jobs++;
	event_add(&server->timer, &limit);
	if (pipeline_send(server))
		on_server(server->fd, EV_WRITE, server);
	else
		server_lost(server, "lost a connection to the database");
}

/* Go on with connecting. */
static void
go_on_connecting(Server *server)
{
	switch (PQconnectPoll(server->pg))
	{
		case PGRES_POLLING_OK:
			watch(server, true, false);
			server_connected(server);
			break;
		case PGRES_POLLING_READING:
			watch(server, true, false);
			break;
		case PGRES_POLLING_WRITING:
			watch(server, false, true);
			break;
		default:
			server_lost(server, "could not connect");
	}
}

/* The pipeline has come to its end: the job is done. */
static void
job_over(Server *server)
{
	Job		   *job = server->job;
	JobOutcome	outcome = JOB_DONE;

	pool_figures.busy--;
	pool_figures.busy_us += clock_us() - server->since;
	if (job->class == JOB_STREAM)
		stream_jobs--;
	server->job = NULL;
	server->state = SERVER_IDLE;
	event_del(&server->timer);
	for (int i = job->count - 1; i >= 0; i--)
		if (!query_succeeded(job->results[i]))
		{
			/* the first of them has the reason, the others were not run */
			outcome = JOB_FAILED;
			job->failed = i;
		}
	job_end(job, outcome);
}

/* Something has come from a connection, or it can be written to. */
static void
on_server(evutil_socket_t fd, short what, void *arg)
{
	Server	   *server = arg;
	bool		is_lost;
	int			left;

	if (server->state == SERVER_CONNECTING)
	{
		go_on_connecting(server);
		return;
	}
	/* what came before the end may still be the whole answer */
	is_lost = (what & EV_READ) && !PQconsumeInput(server->pg);
	if (!is_lost)
	{
		left = PQflush(server->pg);
		is_lost = left < 0;
		if (!is_lost)
			watch(server, true, left > 0);
	}
	if (server->state == SERVER_BUSY)
		switch (pipeline_receive(server))
		{
			case PIPELINE_OVER:
				job_over(server);
				break;
			case PIPELINE_LOST:
				is_lost = true;
				break;
			case PIPELINE_GOES_ON:
				break;
		}
	if (is_lost)
		server_lost(server, "lost a connection to the database");
	else if (server->state == SERVER_IDLE)
		run_waiting();
}

/* ---- the queue ---- */

/* Of which class is the next job to be? */
static int
next_class(void)
{
	int			stream_room = Max(gateway.options.pool_size - 2, 1) - stream_jobs;

	if (waiting[JOB_REQUEST])
		return JOB_REQUEST;
	return waiting[JOB_STREAM] && stream_room > 0 ? JOB_STREAM : -1;
}

static Job *
take_waiting(int class)
{
	Job		   *job = waiting[class];

	waiting[class] = job->next;
	if (waiting[class] == NULL)
		waiting_end[class] = &waiting[class];
	waiting_count[class]--;
	pool_figures.waiting--;
	return job;
}

/* The oldest job that waits has waited too long, or too many do. */
static void
end_waiting(int class)
{
	Job		   *job = take_waiting(class);

	job_end(job, JOB_TOO_MANY);
}

/* Give idle connections jobs; open one more if all are busy. */
static void
run_waiting(void)
{
	static bool running = false;
	int			class;

	if (running)
		return;					/* a job that ends makes another: the loop below sees it */
	running = true;
	while ((class = next_class()) >= 0)
	{
		Server	   *idle = NULL;
		Server	   *down = NULL;
		bool		connecting = false;

		for (int i = 0; i < gateway.options.pool_size && idle == NULL; i++)
		{
			if (servers[i].state == SERVER_IDLE)
				idle = &servers[i];
			else if (servers[i].state == SERVER_CONNECTING)
				connecting = true;
			else if (servers[i].state == SERVER_DOWN && !evtimer_pending(&servers[i].timer, NULL))
				down = &servers[i];
		}
		if (idle)
		{
			Job		   *job = take_waiting(class);

			if (job->abandoned)
				job_free(job);
			else
				server_run(idle, job);
			continue;
		}
		if (away)
		{
			/* nothing is to be had now, and nobody is kept waiting for it */
			Job		   *job = take_waiting(class);

			job_end(job, JOB_AWAY);
			continue;
		}
		if (!connecting && down)
		{
			server_connect(down);
			if (away)
				continue;
		}
		break;
	}
	running = false;
}

/* Jobs that have waited too long are told so. */
static void
on_wait_timer(evutil_socket_t fd, short what, void *arg)
{
	/* streams have time, and have their own way to be tired of waiting */
	while (waiting[JOB_REQUEST] && clock_us() - waiting[JOB_REQUEST]->queued > MAX_WAIT_MS * 1000LL)
		end_waiting(JOB_REQUEST);
}

static void
run_waiting_later(evutil_socket_t fd, short what, void *arg)
{
	while (waiting_count[JOB_REQUEST] > MAX_WAITING)
		end_waiting(JOB_REQUEST);
	run_waiting();
}

/*
 * Hand a job in.  Its done() is never called from here, so that callers need
 * not think of it having been.
 */
void
job_submit(Job *job)
{
	job->queued = clock_us();
	*waiting_end[job->class] = job;
	waiting_end[job->class] = &job->next;
	waiting_count[job->class]++;
	pool_figures.waiting++;
	event_active(&submit_event, 0, 0);
}

/* Begin, with one connection; others follow when they are needed. */
void
pool_begin(void)
{
	struct timeval second = {1, 0};

	servers = xmalloc(sizeof(Server) * gateway.options.pool_size);
	memset(servers, 0, sizeof(Server) * gateway.options.pool_size);
	for (int i = 0; i < gateway.options.pool_size; i++)
	{
		servers[i].fd = -1;
		evtimer_assign(&servers[i].timer, gateway.base, on_server_timer, &servers[i]);
	}
	for (int class = 0; class < JOB_CLASSES; class++)
		waiting_end[class] = &waiting[class];
	event_assign(&submit_event, gateway.base, -1, 0, run_waiting_later, NULL);
	event_assign(&wait_timer, gateway.base, -1, EV_PERSIST, on_wait_timer, NULL);
	event_add(&wait_timer, &second);
	server_connect(&servers[0]);
}

/* Close what there is; at the end of the program. */
void
pool_end(void)
{
	for (int i = 0; i < gateway.options.pool_size; i++)
		if (servers[i].pg)
			PQfinish(servers[i].pg);
}
