/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  Figures for Prometheus: histograms, and what is told of each route.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_METRICS_H
#define WFLOG_METRICS_H

#include "gateway.h"

#define HISTOGRAM_BOUNDS 13

/* How long things took. */
typedef struct Histogram
{
	uint64		buckets[HISTOGRAM_BOUNDS + 1];	/* the last one: longer than all bounds */
	int64		sum_us;
} Histogram;

/* ---- metrics.c ---- */

extern void histogram_add(Histogram *histogram, int64 microseconds);
extern void metrics_append(Buffer *out);

/* Transactions by class of job, with their waiting; and logs, from their writing to a live stream. */
extern Histogram database_histograms[];
extern Histogram delivery_histogram;

/*
 * A log that was written at a time is given to a stream now; both in
 * microseconds since 1970.  0: when it was written is not known.
 */
static inline void
count_delivery(int64 written, int64 now)
{
	if (written > 0)
		histogram_add(&delivery_histogram, now - written);
}

/* ---- worker_figures.c: what wflog.stat says ---- */

typedef enum WorkerFigure
{
	WORKER_RUNNING,
	WORKER_QUEUE_SIZE,
	WORKER_QUEUE_DEPTH,
	WORKER_QUEUE_OVERFLOWS,
	WORKER_LOGS_NOTIFIED,
	WORKER_BATCHES,
	WORKER_BATCHES_SKIPPED,
	WORKER_LAG_MEAN,
	WORKER_LAG_P99,
	WORKER_LAG_MAX,
	WORKER_FOLD_LAG,
	WORKER_MAINTENANCE_FAILED,
	WORKER_MAINTENANCE_INCOMPLETE,
	WORKER_MAINTENANCE_ENDED,
	WORKER_MAINTENANCE_NEXT,
	WORKER_LAST_ERROR,
	WORKER_FIGURES
} WorkerFigure;

extern const char worker_figures_sql[];

extern void worker_figures_take(PGresult *result);
extern bool worker_figure(WorkerFigure figure, double *value);
extern void worker_figures_append(Buffer *out);

#endif							/* WFLOG_METRICS_H */
