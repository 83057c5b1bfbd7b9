/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  Requests by route and status, and how long they took.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

/* The upper bounds of the histogram, in microseconds; the log API's levels are among them. */
static const int64 bounds[] = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
1000000, 2000000, 5000000, 10000000};

#define BOUNDS lengthof(bounds)

/* Of the routes that share a name. */
typedef struct RouteFigures
{
	const char *name;
	uint64		by_class[6];	/* of statuses: 2 is 2xx */
	uint64		buckets[BOUNDS + 1];
	uint64		count;
	int64		sum_us;
} RouteFigures;

#define MAX_ROUTES 32

static RouteFigures figures[MAX_ROUTES];
static int	figure_count = 0;

/* A request has been answered; the route is NULL if it was for none. */
void
metrics_request(const Route *route, int status, int64 microseconds)
{
	const char *name = route ? route->name : "none";
	RouteFigures *of = NULL;
	int			bucket = 0;

	for (int i = 0; i < figure_count && of == NULL; i++)
		if (strcmp(figures[i].name, name) == 0)
			of = &figures[i];
	if (of == NULL)
	{
		if (figure_count == MAX_ROUTES)
			return;
		of = &figures[figure_count++];
		of->name = name;
	}
	while (bucket < BOUNDS && microseconds > bounds[bucket])
		bucket++;
	of->by_class[Min(status / 100, 5)]++;
	of->buckets[bucket]++;
	of->count++;
	of->sum_us += microseconds;
}

/* Append them as Prometheus reads them. */
void
metrics_append(Buffer *out)
{
	buffer_string(out, "# HELP wflog_http_requests_total Requests answered, by route and class of status.\n"
				  "# TYPE wflog_http_requests_total counter\n");
	for (int i = 0; i < figure_count; i++)
		for (int class = 1; class <= 5; class++)
			if (figures[i].by_class[class] > 0)
				buffer_printf(out, "wflog_http_requests_total{route=\"%s\",code=\"%dxx\"} %llu\n",
							  figures[i].name, class, (unsigned long long) figures[i].by_class[class]);
	buffer_string(out, "# HELP wflog_http_request_duration_seconds Time to the answer; of a stream, to its beginning.\n"
				  "# TYPE wflog_http_request_duration_seconds histogram\n");
	for (int i = 0; i < figure_count; i++)
	{
		uint64		upto = 0;

		for (int bucket = 0; bucket < BOUNDS; bucket++)
		{
			upto += figures[i].buckets[bucket];
			buffer_printf(out, "wflog_http_request_duration_seconds_bucket{route=\"%s\",le=\"%g\"} %llu\n",
						  figures[i].name, bounds[bucket] / 1e6, (unsigned long long) upto);
		}
		buffer_printf(out, "wflog_http_request_duration_seconds_bucket{route=\"%s\",le=\"+Inf\"} %llu\n"
					  "wflog_http_request_duration_seconds_sum{route=\"%s\"} %.6f\n"
					  "wflog_http_request_duration_seconds_count{route=\"%s\"} %llu\n",
					  figures[i].name, (unsigned long long) figures[i].count,
					  figures[i].name, figures[i].sum_us / 1e6,
					  figures[i].name, (unsigned long long) figures[i].count);
	}
}
