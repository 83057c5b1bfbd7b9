/*-------------------------------------------------------------------------
 *
 * uuid.c
 *	  Version 7 UUIDs that rise strictly within a backend.
 *
 * RFC 9562, section 5.7 with method 3 of section 6.2: 48 bits of milliseconds
 * and 12 bits of the millisecond's fraction (244 ns a step), made to rise by
 * a step where the clock does not.  The other 62 bits are drawn once per
 * backend: two backends collide only if both draws and both instants agree,
 * and the ids of one writer have a long tail in common, which compresses.
 * The ids are names, not secrets.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <time.h>

#include "port/pg_bswap.h"

PG_FUNCTION_INFO_V1(wflog_uuid_v7);

static uint64 last_step = 0;
static uint64 random_tail;

/* Fill in the next UUID. */
void
wflog_make_uuid_v7(pg_uuid_t *uuid)
{
	struct timespec now;
	uint64		step;
	uint64		high;
	uint64		low;

	if (last_step == 0 && !pg_strong_random(&random_tail, sizeof(random_tail)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));

	clock_gettime(CLOCK_REALTIME, &now);
	step = ((uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000) << 12;
	step |= (uint64) (now.tv_nsec % 1000000) * 4096 / 1000000;
	if (step <= last_step)
		step = last_step + 1;
	last_step = step;

	high = pg_hton64((step >> 12 << 16) | 0x7000 | (step & 0xFFF));
	low = pg_hton64(UINT64CONST(0x8000000000000000) | (random_tail >> 2));
	memcpy(uuid->data, &high, 8);
	memcpy(uuid->data + 8, &low, 8);
}

/* SQL: wflog.uuid_v7() */
Datum
wflog_uuid_v7(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	wflog_make_uuid_v7(uuid);
	PG_RETURN_UUID_P(uuid);
}
