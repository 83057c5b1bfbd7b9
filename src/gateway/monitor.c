/*-------------------------------------------------------------------------
 *
 * monitor.c
 *	  Health, readiness, metrics.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include <sys/resource.h>
#include <unistd.h>

#include "metrics.h"
#include "pool.h"
#include "stream.h"
#include "tls.h"

/* GET /health: the process lives, and answers. */
void
handle_health(Request *request)
{
	Buffer		body = {0};

	buffer_printf(&body, "{\"status\":\"healthy\",\"service\":\"wflog\",\"version\":\"%s\",\"timestamp\":\"", WFLOG_VERSION);
	append_timestamp(&body, wall_us());
	buffer_string(&body, "\"}\n");
	request_header(request, "Cache-Control: no-store");
	respond(request, 200, "application/json", body.data, body.len);
	buffer_free(&body);
}

/* Append a figure of the worker as a member of an object; null if it is not known. */
static void
append_member(Buffer *out, const char *name, WorkerFigure figure)
{
	double		value;

	if (worker_figure(figure, &value))
		buffer_printf(out, ",\"%s\":%.15g", name, value);
	else
		buffer_printf(out, ",\"%s\":null", name);
}

static const char *
boolean(bool value)
{
	return value ? "true" : "false";
}

static void
ready_done(Job *job)
{
	Request    *request = job->owner;
	bool		database = job->outcome == JOB_DONE;
	bool		listening = listener_is_up() || listener_is_polling();
	bool		ready = database && listening && !gateway.draining;
	double		running;
	Buffer		body = {0};

	request->job = NULL;
	request->database_us += job->took_us;
	buffer_printf(&body, "{\"status\":\"%s\",\"database\":%s,\"listening\":%s,\"polling\":%s,\"draining\":%s,\"worker\":",
				  ready ? "ready" : "not ready", boolean(database), boolean(listener_is_up()),
				  boolean(listener_is_polling()), boolean(gateway.draining));
	if (worker_figure(WORKER_RUNNING, &running))
	{
		buffer_printf(&body, "{\"running\":%s", boolean(running != 0));
		append_member(&body, "queue_depth", WORKER_QUEUE_DEPTH);
		append_member(&body, "queue_size", WORKER_QUEUE_SIZE);
		append_member(&body, "lag_seconds", WORKER_LAG_P99);
		buffer_char(&body, '}');
	}
	else
		buffer_string(&body, "null");
	buffer_string(&body, "}\n");
	request_header(request, "Cache-Control: no-store");
	if (!ready)
		request_header(request, "Retry-After: 2");
	respond(request, ready ? 200 : 503, "application/json", body.data, body.len);
	buffer_free(&body);
}

/*
 * GET /ready: requests can be served.
 *
 * How far the worker is behind is told, but does not count: it is the same for
 * all gateways of a database, and to take all of them out of service because
 * live logs are late would take pages and summaries with them.
 */
void
handle_ready(Request *request)
{
	Job		   *job = job_make(JOB_REQUEST, NULL, 5000, ready_done, request);

	request->job = job;
	(void) job_statement(job, "SELECT wflog.uid()");
	job_submit(job);
}

/* Bytes of memory that the process has; 0 if the system does not tell. */
static double
resident_bytes(void)
{
	FILE	   *file = fopen("/proc/self/statm", "r");
	long		pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(file);
	return (double) pages * sysconf(_SC_PAGESIZE);
}

/* Seconds of processor time that it has used. */
static double
processor_seconds(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* As many files as it may have open. */
static double
max_files(void)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

/* GET /metrics */
void
handle_metrics(Request *request)
{
	const GatewayCounters *counters = &gateway.counters;
	double		uptime = (clock_ms() - gateway.started_ms) / 1000.0;
	Buffer		out = {0};
	const struct
	{
		const char *type;
		const char *name;
		const char *help;
		double		value;
	}			figures[] = {
		{"gauge", "wflog_connections", "Connections of clients.", conn_count},
		{"gauge", "wflog_connections_max", "As many as there may be.", gateway.options.max_connections},
		{"counter", "wflog_connections_accepted_total", "Connections accepted.", counters->connections_accepted},
		{"counter", "wflog_connections_refused_total", "Connections refused because of a limit.", counters->connections_refused},
		{"counter", "wflog_accept_pauses_total", "Times the listener paused because there was no file descriptor.", counters->accept_pauses},
		{"counter", "wflog_tls_failures_total", "Connections whose TLS handshake failed.", counters->tls_failures},
		{"counter", "wflog_requests_refused_total", "Requests that could not be read.", counters->requests_refused},
		{"counter", "wflog_requests_abandoned_total", "Requests whose client left before the answer.", counters->requests_abandoned},
		{"counter", "wflog_requests_unauthorized_total", "Requests without a token, or with a bad one.", counters->unauthorized},
		{"gauge", "wflog_streams", "Streams open.", stream_count},
		{"gauge", "wflog_executions_followed", "Executions that streams follow.", hub_topics()},
		{"counter", "wflog_stream_events_total", "Logs sent on streams.", counters->events_sent},
		{"counter", "wflog_stream_completions_total", "Times a stream has told the end of an execution.", counters->completions},
		{"counter", "wflog_stream_errors_total", "Times a stream has told of an error.", counters->stream_errors},
		{"counter", "wflog_stream_laps_total", "Times a stream was so slow that it had to read the table.", counters->stream_laps},
		{"counter", "wflog_stream_stalls_total", "Streams closed because the client took nothing.", counters->stream_stalls},
		{"counter", "wflog_notifications_total", "Notifications received.", counters->notifications},
		{"counter", "wflog_notification_gaps_total", "Times notifications were missed, and the table was read instead.", counters->chain_breaks},
		{"gauge", "wflog_listening", "Whether notifications are listened for.", listener_is_up()},
		{"gauge", "wflog_polling", "Whether streams poll, because nothing is notified.", listener_is_polling()},
		{"gauge", "wflog_database_up", "Whether there is a connection to the database.", pool_is_up()},
		{"gauge", "wflog_pool_size", "Connections to the database there may be.", gateway.options.pool_size},
		{"gauge", "wflog_pool_connections", "Connections to the database.", pool_figures.connections},
		{"gauge", "wflog_pool_busy", "Connections to the database at work.", pool_figures.busy},
		{"gauge", "wflog_pool_waiting", "Transactions waiting for a connection.", pool_figures.waiting},
		{"counter", "wflog_pool_exhausted_total", "Transactions refused because too many waited, or too long.", pool_figures.exhausted},
		{"counter", "wflog_database_transactions_total", "Transactions.", pool_figures.jobs},
		{"counter", "wflog_database_seconds_total", "Time spent in them.", pool_figures.busy_us / 1e6},
		{"counter", "wflog_database_errors_total", "Transactions that ended in an error that was not the request's.", pool_figures.failures},
		{"counter", "wflog_database_timeouts_total", "Of these, by statement_timeout.", pool_figures.timeouts},
		{"counter", "wflog_database_lost_total", "Connections lost.", pool_figures.lost},
		{"gauge", "wflog_uptime_seconds", "Time since the start.", uptime},
		{"gauge", "process_start_time_seconds", "When the process began, in seconds since 1970.", wall_us() / 1e6 - uptime},
		{"counter", "process_cpu_seconds_total", "Processor time.", processor_seconds()},
		{"gauge", "process_resident_memory_bytes", "Memory.", resident_bytes()},
		{"gauge", "process_max_fds", "Files, and so connections, that may be open.", max_files()},
	};

	metrics_append(&out);
	for (int i = 0; i < lengthof(figures); i++)
		buffer_printf(&out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", figures[i].name, figures[i].help,
					  figures[i].name, figures[i].type, figures[i].name, figures[i].value);
	buffer_string(&out, "# HELP wflog_tls_certificate_expires_seconds When the certificate expires, since 1970.\n"
				  "# TYPE wflog_tls_certificate_expires_seconds gauge\n");
	if (tls_is_on())
		buffer_printf(&out, "wflog_tls_certificate_expires_seconds %lld\n", (long long) tls_expires());
	worker_figures_append(&out);
	buffer_string(&out, "# HELP wflog_build_info The version, as a label.\n# TYPE wflog_build_info gauge\n"
				  "wflog_build_info{version=\"" WFLOG_VERSION "\"} 1\n");
	respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
	buffer_free(&out);
}
