/*-------------------------------------------------------------------------
 *
 * worker_figures.c
 *	  How the database's worker and keeper are doing, as wflog.stat says.
 *
 * The connection that listens asks with each of its questions whether the
 * server is there (listener.c), so /metrics and /ready need not wait for a
 * connection of the pool, least of all when there is none to be had.
 *
 *-------------------------------------------------------------------------
 */
#include "metrics.h"

/* What has not been heard for so long is no longer known. */
#define STALE_MS 30000

/* The channel, and behind it a column for each WorkerFigure, in their order. */
const char	worker_figures_sql[] =
"SELECT wflog.gateway_channel(), s.running::pg_catalog.int4, s.queue_size, s.queue_depth, s.overflows,"
" s.logs_notified, s.batches, s.batches_skipped,"
" pg_catalog.date_part('epoch', s.notify_lag_mean), pg_catalog.date_part('epoch', s.notify_lag_p99),"
" pg_catalog.date_part('epoch', s.notify_lag_max), pg_catalog.date_part('epoch', s.fold_lag),"
" (NOT pg_catalog.starts_with(s.maintenance_result, 'done')"
" AND s.maintenance_result OPERATOR(pg_catalog.<>) 'running'"
" AND s.maintenance_result OPERATOR(pg_catalog.<>) 'another run was active')::pg_catalog.int4,"
" pg_catalog.starts_with(s.maintenance_result, 'done, but')::pg_catalog.int4,"
" pg_catalog.date_part('epoch', s.maintenance_ended), pg_catalog.date_part('epoch', s.maintenance_next),"
" pg_catalog.date_part('epoch', s.last_error_at)"
" FROM wflog.stat s";

static const struct
{
	const char *type;
	const char *name;
	const char *help;
}			descriptions[WORKER_FIGURES] = {
	[WORKER_RUNNING] = {"gauge", "worker_running", "Whether the database's worker and keeper run."},
	[WORKER_QUEUE_SIZE] = {"gauge", "worker_queue_size", "Places in the commit queue."},
	[WORKER_QUEUE_DEPTH] = {"gauge", "worker_queue_depth", "Places taken."},
	[WORKER_QUEUE_OVERFLOWS] = {"counter", "worker_queue_overflows_total", "Transactions that found the commit queue full."},
	[WORKER_LOGS_NOTIFIED] = {"counter", "worker_logs_notified_total", "Logs that the worker has notified."},
	[WORKER_BATCHES] = {"counter", "worker_batches_total", "Batches that the worker has notified."},
	[WORKER_BATCHES_SKIPPED] = {"counter", "worker_batches_skipped_total", "Batches not sent, because PostgreSQL's notification queue was full."},
	[WORKER_LAG_MEAN] = {"gauge", "worker_notify_lag_mean_seconds", "From commit to notification, in the last minute: the mean."},
	[WORKER_LAG_P99] = {"gauge", "worker_notify_lag_p99_seconds", "From commit to notification, in the last minute: 99% are faster."},
	[WORKER_LAG_MAX] = {"gauge", "worker_notify_lag_max_seconds", "From commit to notification, in the last minute: the longest."},
	[WORKER_FOLD_LAG] = {"gauge", "worker_fold_lag_seconds", "Age of the oldest log that waits to be rolled up."},
	[WORKER_MAINTENANCE_FAILED] = {"gauge", "maintenance_failed", "Whether the last run of maintenance failed."},
	[WORKER_MAINTENANCE_INCOMPLETE] = {"gauge", "maintenance_incomplete", "Whether it left something for the next one."},
	[WORKER_MAINTENANCE_ENDED] = {"gauge", "maintenance_ended_timestamp_seconds", "When it ended."},
	[WORKER_MAINTENANCE_NEXT] = {"gauge", "maintenance_next_timestamp_seconds", "When the next one is due."},
	[WORKER_LAST_ERROR] = {"gauge", "worker_last_error_timestamp_seconds", "When worker or keeper last had an error."},
};

static struct
{
	bool		known;
	double		value;
}			figures[WORKER_FIGURES];
static int64 taken_ms = 0;

/* Take a result of worker_figures_sql. */
void
worker_figures_take(PGresult *result)
{
	if (PQntuples(result) != 1 || PQnfields(result) != 1 + WORKER_FIGURES)
		return;
	for (int i = 0; i < WORKER_FIGURES; i++)
	{
		figures[i].known = !PQgetisnull(result, 0, 1 + i);
		figures[i].value = strtod(PQgetvalue(result, 0, 1 + i), NULL);
	}
	taken_ms = clock_ms();
}

/* A figure; false if it is not known. */
bool
worker_figure(WorkerFigure figure, double *value)
{
	*value = figures[figure].value;
	return figures[figure].known && clock_ms() - taken_ms < STALE_MS;
}

/* Append them as Prometheus reads them; what is not known has no sample. */
void
worker_figures_append(Buffer *out)
{
	for (int i = 0; i < WORKER_FIGURES; i++)
	{
		double		value;

		buffer_printf(out, "# HELP wflog_%s %s\n# TYPE wflog_%s %s\n", descriptions[i].name, descriptions[i].help,
					  descriptions[i].name, descriptions[i].type);
		if (worker_figure(i, &value))
			buffer_printf(out, "wflog_%s %.15g\n", descriptions[i].name, value);
	}
}
