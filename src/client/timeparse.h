/*-------------------------------------------------------------------------
 *
 * timeparse.h
 *	  Durations and times as people write them on a command line.
 *
 * Needs nothing but the C library, so that it can be tested and fuzzed by
 * itself (test/fuzz/).  A time is microseconds since 1970-01-01 UTC.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_TIMEPARSE_H
#define WFLOG_TIMEPARSE_H

#include <stdbool.h>

#include "calendar.h"

/* Each returns NULL, or what is wrong, as an end of the sentence 'TEXT ...'. */
extern const char *parse_duration(const char *text, int64_t *microseconds);
extern const char *parse_time(const char *text, int64_t now, bool utc, int64_t *time);

/* The reverse of format_time_utc(). */
extern bool parse_timestamp(const char *text, size_t len, int64_t *time);

#endif							/* WFLOG_TIMEPARSE_H */
