/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  Histograms, and requests by route and status.
 *
 * Labels are names of ours, so there are as many series as there are routes,
 * whatever clients ask for.  All are there from the start: what appears with
 * its first event would have that event overlooked, since rates are of
 * differences.
 *
 *-------------------------------------------------------------------------
 */
#include "metrics.h"

#include "pool.h"
#include "request.h"

/* The upper bounds of a histogram, in microseconds; the log API's levels are among them. */
static const int64 bounds[HISTOGRAM_BOUNDS] = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
500000, 1000000, 2000000, 5000000, 10000000};

/* Of the routes that share a name. */
typedef struct RouteFigures
{
	const char *name;
	uint64		by_class[6];	/* of statuses: 2 is 2xx */
	Histogram	took;
} RouteFigures;

Histogram	database_histograms[JOB_CLASSES];
Histogram	delivery_histogram;

static RouteFigures *figures = NULL;
static int	figure_count = 0;

void
histogram_add(Histogram *histogram, int64 microseconds)
{
	int			bucket = 0;

	/* of two clocks, which may differ, the second may be behind */
	microseconds = Max(microseconds, 0);
	while (bucket < HISTOGRAM_BOUNDS && microseconds > bounds[bucket])
		bucket++;
	histogram->buckets[bucket]++;
	histogram->sum_us += microseconds;
}

/* Append a histogram; its label, such as route="logs", may be empty. */
static void
append_histogram(Buffer *out, const char *name, const char *label, const Histogram *histogram)
{
	const char *comma = label[0] ? "," : "";
	const char *open = label[0] ? "{" : "";
	const char *close = label[0] ? "}" : "";
	uint64		count = 0;

	for (int bucket = 0; bucket < HISTOGRAM_BOUNDS; bucket++)
	{
		count += histogram->buckets[bucket];
		buffer_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, comma, bounds[bucket] / 1e6,
					  (unsigned long long) count);
	}
	count += histogram->buckets[HISTOGRAM_BOUNDS];
	buffer_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma, (unsigned long long) count);
	buffer_printf(out, "%s_sum%s%s%s %.6f\n", name, open, label, close, histogram->sum_us / 1e6);
	buffer_printf(out, "%s_count%s%s%s %llu\n", name, open, label, close, (unsigned long long) count);
}

/* What is known of the routes of a name; NULL if there are none. */
static RouteFigures *
figures_of(const char *name)
{
	for (int i = 0; i < figure_count; i++)
		if (strcmp(figures[i].name, name) == 0)
			return &figures[i];
	return NULL;
}

/* Make room for every route's name, and for requests for none. */
static void
make_figures(void)
{
	int			routes = route_count();

	figures = xmalloc(sizeof(RouteFigures) * (routes + 1));
	memset(figures, 0, sizeof(RouteFigures) * (routes + 1));
	for (int i = 0; i < routes; i++)
		if (figures_of(route_number(i)->name) == NULL)
			figures[figure_count++].name = route_number(i)->name;
	figures[figure_count++].name = "none";
}

/* A request has been answered; the route is NULL if it was for none. */
void
metrics_request(const Route *route, int status, int64 microseconds)
{
	RouteFigures *of;

	if (figures == NULL)
		make_figures();
	of = figures_of(route ? route->name : "none");
	of->by_class[Min(status / 100, 5)]++;
	histogram_add(&of->took, microseconds);
}

/* Append them as Prometheus reads them. */
void
metrics_append(Buffer *out)
{
	static const char *const classes[JOB_CLASSES] = {"for=\"request\"", "for=\"stream\""};
	char		label[64];

	if (figures == NULL)
		make_figures();
	buffer_string(out, "# HELP wflog_http_requests_total Requests answered, by route and class of status.\n"
				  "# TYPE wflog_http_requests_total counter\n");
	for (int i = 0; i < figure_count; i++)
		for (int class = 2; class <= 5; class++)
			buffer_printf(out, "wflog_http_requests_total{route=\"%s\",code=\"%dxx\"} %llu\n",
						  figures[i].name, class, (unsigned long long) figures[i].by_class[class]);
	buffer_string(out, "# HELP wflog_http_request_duration_seconds Time to the answer; of a stream, to its beginning.\n"
				  "# TYPE wflog_http_request_duration_seconds histogram\n");
	for (int i = 0; i < figure_count; i++)
	{
		snprintf(label, sizeof(label), "route=\"%s\"", figures[i].name);
		append_histogram(out, "wflog_http_request_duration_seconds", label, &figures[i].took);
	}
	buffer_string(out, "# HELP wflog_database_duration_seconds Time of a transaction, with its waiting for a connection.\n"
				  "# TYPE wflog_database_duration_seconds histogram\n");
	for (int class = 0; class < JOB_CLASSES; class++)
		append_histogram(out, "wflog_database_duration_seconds", classes[class], &database_histograms[class]);
	buffer_string(out, "# HELP wflog_stream_delivery_seconds From the writing of a log to its being given to a live stream.\n"
				  "# TYPE wflog_stream_delivery_seconds histogram\n");
	append_histogram(out, "wflog_stream_delivery_seconds", "", &delivery_histogram);
}
