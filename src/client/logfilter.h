/*-------------------------------------------------------------------------
 *
 * logfilter.h
 *	  Which logs are wanted.
 *
 * The server filters pages; of the stream it gives all, so that its cursor
 * stands for what has been delivered, and the same filter is applied here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LOGFILTER_H
#define WFLOG_LOGFILTER_H

#include "logentry.h"

#define MAX_SEARCH_WORDS 20		/* as on the server */

typedef struct LogFilter
{
	/* arguments of the server's functions; NULL: all */
	const char *level;
	const char *min_level;
	const char *start_time;
	const char *end_time;
	const char *category;
	const char *event_type;
	const char *node_id;
	const char *source;
	const char *attempt;
	const char *search;
	bool		milestones_only;

	/* made of them by log_filter_prepare() */
	bool		filters;		/* not all logs pass */
	Level		least;
	Level		most;
	int64_t		since;
	int64_t		until;
	char	   *words[MAX_SEARCH_WORDS];
	int			word_count;
	char		start_text[TIME_TEXT_SIZE];
	char		end_text[TIME_TEXT_SIZE];
} LogFilter;

/* The FILTERS arguments, in the order of log_filter_values(), as $4 and on. */
#define LOG_FILTER_COUNT 11
#define LOG_FILTER_SQL \
	"level => $4, min_level => $5, start_time => $6::pg_catalog.timestamptz," \
	" end_time => $7::pg_catalog.timestamptz, category => $8, event_type => $9, node_id => $10," \
	" source => $11, attempt => $12::pg_catalog.int4," \
	" milestones_only => $13::pg_catalog.bool, search => $14"

extern void log_filter_begin(LogFilter *filter);
extern bool log_filter_since(LogFilter *filter, int64_t time);
extern bool log_filter_until(LogFilter *filter, int64_t time);
extern const char *log_filter_prepare(LogFilter *filter);
extern bool log_filter_matches(const LogFilter *filter, const LogEntry *log);
extern void log_filter_values(const LogFilter *filter, const char **values);

#endif							/* WFLOG_LOGFILTER_H */
