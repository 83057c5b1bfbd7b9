/*-------------------------------------------------------------------------
 *
 * timeparse.c
 *	  Durations and times as people write them on a command line.
 *
 * A duration: 90s, 5m, 1h30m, 1.5h, 250ms, 2d, 1w, and 90 seconds, 5 min.
 * A time: a duration, which then is so long ago; RFC 3339, with T or a blank,
 * with or without fraction, seconds, and zone; a date alone; a time of day
 * alone, which is today's; now, today, yesterday; seconds since 1970 (with
 * fraction), or milliseconds if there are 13 digits.  Without zone a time is
 * local, or UTC if times are shown so.
 *
 * All are bounded to the years 1 to 9999, so that nothing overflows.
 *
 *-------------------------------------------------------------------------
 */
#include "timeparse.h"

#include <string.h>

#include "calendar.h"

#define EARLIEST (INT64_C(-62135596800) * MICROSECONDS)	/* 0001-01-01 */
#define LATEST (INT64_C(253402300799) * MICROSECONDS + MICROSECONDS - 1) /* end of 9999 */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Is the text equal to a word in lower case, its own case aside? */
static bool
is_word(const char *text, size_t len, const char *word)
{
	if (strlen(word) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(text[i]) != word[i])
			return false;
	return true;
}

/* ---- durations ---- */

/* Microseconds in a unit, or 0 if there is no such unit. */
static int64_t
unit_length(const char *name, size_t len)
{
	static const struct
	{
		const char *names;		/* each ends with a blank */
		int64_t		length;
	}			units[] = {
		{"us usec microsecond microseconds ", 1},
		{"ms msec millisecond milliseconds ", 1000},
		{"s sec secs second seconds ", MICROSECONDS},
		{"m min mins minute minutes ", 60 * MICROSECONDS},
		{"h hr hrs hour hours ", 3600 * MICROSECONDS},
		{"d day days ", SECONDS_PER_DAY * MICROSECONDS},
		{"w week weeks ", 7 * SECONDS_PER_DAY * MICROSECONDS},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		for (const char *at = units[i].names; *at;)
		{
			size_t		word = strcspn(at, " ");

			if (word == len)
			{
				size_t		j = 0;

				while (j < len && lower(name[j]) == at[j])
					j++;
				if (j == len)
					return units[i].length;
			}
			at += word + 1;
		}
	return 0;
}

/*
 * Read digits with an optional fraction, times a unit's length once that is
 * known: whole part and up to nine digits of the fraction.  False if there is
 * no digit or too many.
 */
static bool
read_decimal(const char **at, int64_t *whole, int64_t *billionths)
{
	const char *start = *at;
	int64_t		scale = 100000000;

	*whole = *billionths = 0;
	for (; is_digit(**at); (*at)++)
	{
		if (*whole > INT64_MAX / 100)
			return false;
		*whole = *whole * 10 + (**at - '0');
	}
	if (*at == start)
		return false;
	if (**at == '.' && is_digit((*at)[1]))
		for ((*at)++; is_digit(**at); (*at)++)
		{
			*billionths += (**at - '0') * scale;
			scale /= 10;		/* further digits count for nothing */
		}
	return true;
}

/* Read a duration, 0 or more. */
const char *
parse_duration(const char *text, int64_t *microseconds)
{
	const char *at = text;
	int64_t		total = 0;
	int64_t		last_unit = INT64_MAX;
	const int64_t most = LATEST - EARLIEST;

	while (*at == ' ')
		at++;
	if (*at == '\0')
		return "is empty";
	while (*at)
	{
		int64_t		whole;
		int64_t		billionths;
		int64_t		unit;
		const char *name;

		if (!is_digit(*at))
			return "is not a duration such as 90s, 5m, 1h30m or 2d";
		if (!read_decimal(&at, &whole, &billionths))
			return "is too long a duration";
		while (*at == ' ')
			at++;
		name = at;
		while (is_letter(*at))
			at++;
		if (at == name)
			return "lacks a unit: us, ms, s, m, h, d or w";
		unit = unit_length(name, at - name);
		if (unit == 0)
			return "has an unknown unit; there are us, ms, s, m, h, d and w";
		if (unit >= last_unit)
			return "does not go from larger to smaller units";
		last_unit = unit;
		if (whole > most / unit)
			return "is too long a duration";
		/* a fraction of a week is more than fits, if not divided first */
		total += whole * unit + (unit >= 1000 ? unit / 1000 * billionths / 1000000 :
								 unit * billionths / 1000000000);
		if (total > most)
			return "is too long a duration";
		while (*at == ' ')
			at++;
	}
	*microseconds = total;
	return NULL;
}

/* ---- times ---- */

static int
days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

/* Read exactly so many digits. */
static bool
read_digits(const char **at, int digits, int *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++, (*at)++)
	{
		if (!is_digit(**at))
			return false;
		*value = *value * 10 + (**at - '0');
	}
	return true;
}

/* Read 12:34, 12:34:56 or 12:34:56.789 as microseconds of the day. */
static const char *
read_time_of_day(const char **at, int64_t *microseconds)
{
	int			hour;
	int			minute;
	int			second = 0;
	int64_t		fraction = 0;

	if (!read_digits(at, 2, &hour) || **at != ':' || (++*at, !read_digits(at, 2, &minute)))
		return "has no time of day such as 14:30 or 14:30:05";
	if (**at == ':')
	{
		++*at;
		if (!read_digits(at, 2, &second))
			return "has no two digits for the seconds";
		if (**at == '.' || **at == ',')
		{
			int64_t		scale = 100000;

			if (!is_digit(*++*at))
				return "has no digit after the point";
			for (; is_digit(**at); ++*at)
			{
				fraction += (**at - '0') * scale;
				scale /= 10;
			}
		}
	}
	/* 24:00 is the end of the day, and 60 a leap second, which ends the minute */
	if (hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute || second || fraction)))
		return "has a time of day that does not exist";
	*microseconds = ((hour * 60 + minute) * 60 + second) * MICROSECONDS + fraction;
	return NULL;
}

/* Read Z, +02, +0200 or +02:00 as seconds ahead of UTC. */
static const char *
read_zone(const char **at, int *offset)
{
	int			hours;
	int			minutes = 0;
	int			sign;

	if (lower(**at) == 'z')
	{
		++*at;
		*offset = 0;
		return NULL;
	}
	if (is_word(*at, strlen(*at), "utc"))
	{
		*at += 3;
		*offset = 0;
		return NULL;
	}
	if (**at != '+' && **at != '-')
		return "has something after the time that is no zone such as Z or +02:00";
	sign = *(*at)++ == '-' ? -1 : 1;
	if (!read_digits(at, 2, &hours))
		return "has a zone that is not like +02:00";
	if (**at == ':')
		++*at;
	if (is_digit(**at) && !read_digits(at, 2, &minutes))
		return "has a zone that is not like +02:00";
	if (hours > 15 || minutes > 59)
		return "has a zone that does not exist";
	*offset = sign * (hours * 3600 + minutes * 60);
	return NULL;
}

/* The point in time at which clocks here show a time, given as if it were UTC. */
static int64_t
from_local(int64_t time, bool utc)
{
	int			offset;

	if (utc)
		return time;
	/* the offset at the result, not at the guess, is the one that counts */
	offset = utc_offset(time);
	offset = utc_offset(time - offset * MICROSECONDS);
	return time - offset * MICROSECONDS;
}

/* Midnight of the day on which a time is. */
static int64_t
midnight(int64_t time, bool utc, int days_before)
{
	int64_t		local = time + (utc ? 0 : utc_offset(time) * MICROSECONDS);
	int64_t		day = local / (SECONDS_PER_DAY * MICROSECONDS) -
		(local % (SECONDS_PER_DAY * MICROSECONDS) < 0);

	return (day - days_before) * SECONDS_PER_DAY * MICROSECONDS;	/* as clocks show it */
}

/* Seconds, or milliseconds, since 1970. */
static const char *
read_epoch(const char *text, int64_t *time)
{
	const char *at = text;
	int64_t		whole;
	int64_t		billionths;
	size_t		digits = strspn(text, "0123456789");

	if (!read_decimal(&at, &whole, &billionths))
		return "is beyond the year 9999";
	if (*at != '\0')
		return "is not a time";
	if (digits >= 13)
	{
		if (whole > LATEST / 1000)
			return "is beyond the year 9999";
		*time = whole * 1000 + billionths / 1000000;
	}
	else
	{
		if (whole > LATEST / MICROSECONDS)
			return "is beyond the year 9999";
		*time = whole * MICROSECONDS + billionths / 1000;
	}
	return NULL;
}

/* Read a date, with or without a time and zone behind it. */
static const char *
read_date_time(const char *at, bool utc, int64_t *time)
{
	int			year;
	int			month;
	int			day;
	int			offset;
	int64_t		of_day = 0;
	const char *problem;

	if (!read_digits(&at, 4, &year) || *at++ != '-' || !read_digits(&at, 2, &month) ||
		*at++ != '-' || !read_digits(&at, 2, &day))
		return "is not a date such as 2026-01-31";
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return "is a date that does not exist";
	*time = days_from_civil(year, month, day) * SECONDS_PER_DAY * MICROSECONDS;
	if (*at == '\0')
	{
		*time = from_local(*time, utc);
		return NULL;
	}
	if (lower(*at) != 't' && *at != ' ')
		return "has something after the date that is no time of day";
	at++;
	problem = read_time_of_day(&at, &of_day);
	if (problem)
		return problem;
	*time += of_day;
	while (*at == ' ')
		at++;
	if (*at == '\0')
	{
		*time = from_local(*time, utc);
		return NULL;
	}
	problem = read_zone(&at, &offset);
	if (problem)
		return problem;
	if (*at != '\0')
		return "has something after the zone";
	*time -= offset * MICROSECONDS;
	return NULL;
}

/* Read a time; a duration is so long before now. */
const char *
parse_time(const char *text, int64_t now, bool utc, int64_t *time)
{
	size_t		len = strlen(text);
	size_t		digits = strspn(text, "0123456789");
	const char *problem;
	int64_t		value;

	if (len == 0)
		return "is empty";
	if (is_word(text, len, "now"))
		value = now;
	else if (is_word(text, len, "today"))
		value = from_local(midnight(now, utc, 0), utc);
	else if (is_word(text, len, "yesterday"))
		value = from_local(midnight(now, utc, 1), utc);
	else if (digits == 2 && text[2] == ':')
	{
		const char *at = text;

		problem = read_time_of_day(&at, &value);
		if (problem)
			return problem;
		if (*at != '\0')
			return "has something after the time of day";
		value = from_local(midnight(now, utc, 0) + value, utc);
	}
	else if (digits == 4 && text[4] == '-')
	{
		problem = read_date_time(text, utc, &value);
		if (problem)
			return problem;
	}
	else if (digits == len || (digits >= 9 && text[digits] == '.'))
	{
		if (digits < 9)
			return "lacks a unit, as in 5m; seconds since 1970 have nine digits or more";
		problem = read_epoch(text, &value);
		if (problem)
			return problem;
	}
	else
	{
		if (!is_digit(text[0]))
			return "is not a time such as 5m, 14:30, 2026-01-31 or 2026-01-31T14:30:00Z";
		problem = parse_duration(text, &value);
		if (problem)
			return problem;
		value = now - value;
	}
	if (value < EARLIEST || value > LATEST)
		return "is not between the years 1 and 9999";
	*time = value;
	return NULL;
}

/*
 * Read a time as the server writes it in JSON, 2026-01-31T12:00:00.000000Z.
 * False for any other form.
 */
bool
parse_timestamp(const char *text, size_t len, int64_t *time)
{
	int			part[7];
	static const struct
	{
		unsigned char at;
		unsigned char digits;
	}			parts[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}, {20, 6}};

	if (len != 27 || text[10] != 'T' || text[26] != 'Z' || text[19] != '.')
		return false;
	for (int i = 0; i < 7; i++)
	{
		const char *at = text + parts[i].at;

		if (!read_digits(&at, parts[i].digits, &part[i]))
			return false;
	}
	if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31)
		return false;
	*time = (days_from_civil(part[0], part[1], part[2]) * SECONDS_PER_DAY +
			 (part[3] * 60 + part[4]) * 60 + part[5]) * MICROSECONDS + part[6];
	return true;
}
