/*-------------------------------------------------------------------------
 *
 * calendar.c
 *	  Dates of the Gregorian calendar, and times and durations as text.
 *
 *-------------------------------------------------------------------------
 */
#include "calendar.h"

#include <stdio.h>
#include <time.h>

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
int64_t
days_from_civil(int64_t year, int month, int day)
{
	int64_t		era;
	int64_t		year_of_era;
	int64_t		day_of_year;

	/* years begin in March here, so that the leap day is the last */
	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
		719468;
}

/* The reverse. */
void
civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t		era;
	int64_t		day_of_era;
	int64_t		year_of_era;
	int64_t		day_of_year;
	int64_t		m;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	m = (5 * day_of_year + 2) / 153;
	*day = day_of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = year_of_era + era * 400 + (*month <= 2);
}

/* Seconds by which local time is ahead of UTC at that time. */
int
utc_offset(int64_t time)
{
	time_t		seconds = time / MICROSECONDS - (time % MICROSECONDS < 0);
	struct tm	tm;

	if (localtime_r(&seconds, &tm) == NULL)
		return 0;
	return tm.tm_gmtoff;
}

/* Write a time as 2026-01-31T12:00:00.000000Z; out has TIME_TEXT_SIZE bytes. */
void
format_time_utc(char *out, int64_t time)
{
	int64_t		seconds = time / MICROSECONDS - (time % MICROSECONDS < 0);
	int64_t		days = seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0);
	int			rest = seconds - days * SECONDS_PER_DAY;
	int64_t		year;
	int			month;
	int			day;

	civil_from_days(days, &year, &month, &day);
	snprintf(out, TIME_TEXT_SIZE, "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ", (long long) year, month,
			 day, rest / 3600, rest / 60 % 60, rest % 60, (int) (time - seconds * MICROSECONDS));
}

/* Write a duration for a person: 350ms, 12.3s, 4m 05s, 3h 12m, 2d 4h. */
void
format_duration(char *out, size_t size, int64_t microseconds)
{
	int64_t		seconds = microseconds / MICROSECONDS;

	if (microseconds < 0)
		snprintf(out, size, "0s");
	else if (microseconds < MICROSECONDS)
		snprintf(out, size, "%dms", (int) (microseconds / 1000));
	else if (seconds < 60)
		snprintf(out, size, "%d.%ds", (int) seconds, (int) (microseconds % MICROSECONDS / 100000));
	else if (seconds < 3600)
		snprintf(out, size, "%dm %02ds", (int) (seconds / 60), (int) (seconds % 60));
	else if (seconds < SECONDS_PER_DAY)
		snprintf(out, size, "%dh %02dm", (int) (seconds / 3600), (int) (seconds / 60 % 60));
	else
		snprintf(out, size, "%lldd %dh", (long long) (seconds / SECONDS_PER_DAY),
				 (int) (seconds / 3600 % 24));
}
