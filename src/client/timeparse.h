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
#include <stddef.h>
#include <stdint.h>

#define MICROSECONDS INT64_C(1000000)	/* in a second */

#define TIME_TEXT_SIZE 48		/* room for a time as text, with its NUL */

/* Each returns NULL, or what is wrong, as an end of the sentence 'TEXT ...'. */
extern const char *parse_duration(const char *text, int64_t *microseconds);
extern const char *parse_time(const char *text, int64_t now, bool utc, int64_t *time);

extern void format_time_utc(char *out, int64_t time);
extern bool parse_timestamp(const char *text, size_t len, int64_t *time);
extern int64_t days_from_civil(int64_t year, int month, int day);
extern void civil_from_days(int64_t days, int64_t *year, int *month, int *day);
extern int	utc_offset(int64_t time);
extern void format_duration(char *out, size_t size, int64_t microseconds);

#endif							/* WFLOG_TIMEPARSE_H */
