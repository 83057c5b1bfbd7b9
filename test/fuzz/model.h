/*
 * What the model tests of readers share (test/fuzz/, test/client/spool.c): what
 * must hold, random numbers, and seeds that are changed at random.
 *
 * They are repeatable: each run draws the same.  Compiled with -DLIBFUZZER a
 * program has libFuzzer's entry in place of main().
 */
#ifndef WFLOG_FUZZ_MODEL_H
#define WFLOG_FUZZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MODEL_STATE UINT64_C(88172645463325252)

static uint64_t model_state = MODEL_STATE;
static long model_round = 0;

#define MUST(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: %s does not hold (round %ld)\n", __FILE__, __LINE__, \
					#condition, model_round); \
			abort(); \
		} \
	} while (0)

/* A random number below that, which is not 0. */
static inline uint32_t
draw(uint32_t below)
{
	model_state ^= model_state << 13;
	model_state ^= model_state >> 7;
	model_state ^= model_state << 17;
	return (uint32_t) (model_state >> 11) % below;
}

/* Bytes in a block of their own size, so that a read beyond them is seen; to be freed. */
static inline char *
own_block(const void *bytes, size_t len)
{
	char	   *block = malloc(len ? len : 1);

	MUST(block != NULL);
	memcpy(block, bytes, len);
	return block;
}

/*
 * Change, lose or repeat a few bytes, in a place that has room for so many.
 * What is put in is any byte or, every other time, one of "likely" unless
 * that is NULL.  Returns the new length.
 */
static inline size_t
mutate(char *bytes, size_t len, size_t room, const char *likely)
{
	for (uint32_t n = draw(4); n > 0 && len > 0; n--)
	{
		size_t		at = draw(len);
		size_t		many = 1 + draw(len - at);

		switch (draw(3))
		{
			case 0:
				bytes[at] = (char) (likely && draw(2) ? likely[draw(strlen(likely))] : draw(256));
				break;
			case 1:
				memmove(bytes + at, bytes + at + many, len - at - many);
				len -= many;
				break;
			default:
				if (len + many > room)
					break;
				memmove(bytes + at + many, bytes + at, len - at);
				len += many;
		}
	}
	return len;
}

/* Put together up to so many pieces, and any bytes in between; returns the length. */
static inline size_t
assemble(char *bytes, size_t room, const char *const *pieces, size_t count, uint32_t most)
{
	size_t		len = 0;

	for (uint32_t n = draw(most); n > 0; n--)
	{
		const char *piece = pieces[draw(count)];

		if (len + strlen(piece) > room)
			break;
		if (draw(4) == 0)
			bytes[len++] = (char) draw(256);
		else
		{
			memcpy(bytes + len, piece, strlen(piece));
			len += strlen(piece);
		}
	}
	return len;
}

#endif							/* WFLOG_FUZZ_MODEL_H */
