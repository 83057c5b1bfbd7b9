/*-------------------------------------------------------------------------
 *
 * monitor.c
 *	  Health, readiness, metrics.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

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

static void
ready_done(Job *job)
{
	Request    *request = job->owner;
	bool		database = job->outcome == JOB_DONE;
	bool		listening = listener_is_up() || listener_is_polling();
	bool		ready = database && listening && !gateway.draining;
	Buffer		body = {0};

	request->job = NULL;
	request->database_us += job->took_us;
	buffer_printf(&body, "{\"status\":\"%s\",\"database\":%s,\"listening\":%s,\"polling\":%s,\"draining\":%s}\n",
				  ready ? "ready" : "not ready", database ? "true" : "false",
				  listener_is_up() ? "true" : "false", listener_is_polling() ? "true" : "false",
				  gateway.draining ? "true" : "false");
	request_header(request, "Cache-Control: no-store");
	if (!ready)
		request_header(request, "Retry-After: 2");
	respond(request, ready ? 200 : 503, "application/json", body.data, body.len);
	buffer_free(&body);
}

/* GET /ready: requests can be served. */
void
handle_ready(Request *request)
{
	Job		   *job = job_make(JOB_REQUEST, NULL, 5000, ready_done, request);

	request->job = job;
	(void) job_statement(job, "SELECT wflog.uid()");
	job_submit(job);
}

static void
append_figure(Buffer *out, const char *type, const char *name, const char *help, double value)
{
	buffer_printf(out, "# HELP wflog_%s %s\n# TYPE wflog_%s %s\nwflog_%s %.15g\n", name, help, name, type, name, value);
}

/* GET /metrics */
void
handle_metrics(Request *request)
{
	const GatewayCounters *counters = &gateway.counters;
	Buffer		out = {0};

	metrics_append(&out);
	append_figure(&out, "gauge", "connections", "Connections of clients.", conn_count);
	append_figure(&out, "counter", "connections_accepted_total", "Connections accepted.", counters->connections_accepted);
	append_figure(&out, "counter", "connections_refused_total", "Connections refused because of a limit.", counters->connections_refused);
	append_figure(&out, "counter", "accept_pauses_total", "Times the listener paused because there was no file descriptor.", counters->accept_pauses);
	if (tls_is_on())
	{
		append_figure(&out, "counter", "tls_failures_total", "Connections whose TLS handshake failed.", counters->tls_failures);
		append_figure(&out, "gauge", "tls_certificate_expires_seconds", "When the certificate expires, since 1970.", tls_expires());
	}
	append_figure(&out, "counter", "requests_refused_total", "Requests that could not be read.", counters->requests_refused);
	append_figure(&out, "gauge", "streams", "Streams open.", stream_count);
	append_figure(&out, "gauge", "executions_followed", "Executions that streams follow.", hub_topics());
	append_figure(&out, "counter", "stream_events_total", "Logs sent on streams.", counters->events_sent);
	append_figure(&out, "counter", "stream_laps_total", "Times a stream was so slow that it had to read the table.", counters->stream_laps);
	append_figure(&out, "counter", "stream_stalls_total", "Streams closed because the client took nothing.", counters->stream_stalls);
	append_figure(&out, "counter", "notification_gaps_total", "Times notifications were missed, and the table was read instead.", counters->chain_breaks);
	append_figure(&out, "gauge", "listening", "Whether notifications are listened for.", listener_is_up());
	append_figure(&out, "gauge", "polling", "Whether streams poll, because nothing is notified.", listener_is_polling());
	append_figure(&out, "gauge", "database_up", "Whether there is a connection to the database.", pool_is_up());
	append_figure(&out, "gauge", "pool_size", "Connections to the database there may be.", gateway.options.pool_size);
	append_figure(&out, "gauge", "pool_connections", "Connections to the database.", pool_figures.connections);
	append_figure(&out, "gauge", "pool_busy", "Connections to the database at work.", pool_figures.busy);
	append_figure(&out, "gauge", "pool_waiting", "Transactions waiting for a connection.", pool_figures.waiting);
	append_figure(&out, "counter", "database_transactions_total", "Transactions.", pool_figures.jobs);
	append_figure(&out, "counter", "database_seconds_total", "Time spent in them.", pool_figures.busy_us / 1e6);
	append_figure(&out, "counter", "database_errors_total", "Transactions that ended in an error.", pool_figures.failures);
	append_figure(&out, "counter", "database_timeouts_total", "Of these, by statement_timeout.", pool_figures.timeouts);
	append_figure(&out, "counter", "database_lost_total", "Connections lost.", pool_figures.lost);
	append_figure(&out, "counter", "pool_exhausted_total", "Transactions refused because too many waited.", pool_figures.exhausted);
	append_figure(&out, "gauge", "uptime_seconds", "Time since the start.", (clock_ms() - gateway.started_ms) / 1000.0);
	respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
	buffer_free(&out);
}
