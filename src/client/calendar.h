/*-------------------------------------------------------------------------
 *
 * calendar.h
 *	  Dates of the Gregorian calendar, and times and durations as text.
 *
 * Needs nothing but the C library, as timeparse.c, which reads what this
 * writes.  A time is microseconds since 1970-01-01 UTC.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CALENDAR_H
#define WFLOG_CALENDAR_H

#include <stddef.h>
#include <stdint.h>

#define MICROSECONDS INT64_C(1000000)	/* in a second */
#define SECONDS_PER_DAY 86400

#define TIME_TEXT_SIZE 48		/* room for a time as text, with its NUL */

extern int64_t days_from_civil(int64_t year, int month, int day);
extern void civil_from_days(int64_t days, int64_t *year, int *month, int *day);
extern int	utc_offset(int64_t time);
extern void format_time_utc(char *out, int64_t time);
extern void format_duration(char *out, size_t size, int64_t microseconds);

#endif							/* WFLOG_CALENDAR_H */
