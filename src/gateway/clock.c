/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  Times.
 *
 *-------------------------------------------------------------------------
 */
#include "gateway.h"

#include <sys/time.h>
#include <time.h>

static int64
read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Microseconds of a clock that is never set. */
int64
clock_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64
clock_ms(void)
{
	return clock_us() / 1000;
}

/* Microseconds since 1970. */
int64
wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* Append a wall time as the server writes it: UTC, six decimals, Z. */
void
append_timestamp(Buffer *out, int64 wall)
{
	time_t		seconds = wall / 1000000;
	struct tm	parts;
	char		text[40];

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	buffer_printf(out, "%s.%06dZ", text, (int) (wall % 1000000));
}

struct timeval
timeval_of(int64 milliseconds)
{
	return (struct timeval) {milliseconds / 1000, milliseconds % 1000 * 1000};
}

/* A time at random between half and one and a half of it, so that not all come at once. */
int64
with_jitter(int64 milliseconds)
{
	return milliseconds / 2 + random() % (milliseconds + 1);
}
