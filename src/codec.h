/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Numbers and texts as compact bytes, for what roll-ups store.
 *
 * Numbers are written in groups of seven bits, the lowest first; signed ones
 * so that small ones of either sign are short.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CODEC_H
#define WFLOG_CODEC_H

#include "cursor.h"
#include "lib/stringinfo.h"

/* What is left to decode. */
typedef struct Decoder
{
	const char *at;
	const char *end;
} Decoder;

/* Our own tables say something that we have not written. */
pg_noreturn static inline void
decode_failed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("a roll-up is damaged"),
			 errhint("As the owner of the tables, TRUNCATE wflog.rollup_heads; logs are counted anew then.")));
}

static inline void
put_unsigned(StringInfo buf, uint64 value)
{
	while (value >= 0x80)
	{
		appendStringInfoCharMacro(buf, (char) (value | 0x80));
		value >>= 7;
	}
	appendStringInfoCharMacro(buf, (char) value);
}

static inline void
put_signed(StringInfo buf, int64 value)
{
	put_unsigned(buf, ((uint64) value << 1) ^ (value < 0 ? ~UINT64CONST(0) : 0));
}

static inline void
put_bytes(StringInfo buf, const char *data, int len)
{
	put_unsigned(buf, len);
	appendBinaryStringInfo(buf, data, len);
}

static inline void
put_position(StringInfo buf, const PagePosition *position)
{
	put_signed(buf, position->created_at);
	appendBinaryStringInfo(buf, (const char *) position->id.data, UUID_LEN);
}

static inline uint64
get_unsigned(Decoder *decoder)
{
	uint64		value = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		unsigned char byte;

		if (decoder->at == decoder->end)
			break;
		byte = (unsigned char) *decoder->at++;
		value |= (uint64) (byte & 0x7F) << shift;
		if (!(byte & 0x80))
			return value;
	}
	decode_failed();
}

static inline int64
get_signed(Decoder *decoder)
{
	uint64		value = get_unsigned(decoder);

	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

/* Bytes where they lie. */
static inline const char *
get_raw(Decoder *decoder, uint64 len)
{
	const char *data = decoder->at;

	if (len > (uint64) (decoder->end - decoder->at))
		decode_failed();
	decoder->at += len;
	return data;
}

static inline const char *
get_bytes(Decoder *decoder, int *len)
{
	uint64		size = get_unsigned(decoder);
	const char *data = get_raw(decoder, size);

	*len = (int) size;
	return data;
}

static inline PagePosition
get_position(Decoder *decoder)
{
	PagePosition position;

	position.created_at = get_signed(decoder);
	memcpy(position.id.data, get_raw(decoder, UUID_LEN), UUID_LEN);
	return position;
}

#endif							/* WFLOG_CODEC_H */
