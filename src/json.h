/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Writing JSON into a buffer that becomes the function's result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_JSON_H
#define WFLOG_JSON_H

#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

extern void json_begin(StringInfo buf);
extern void json_begin_sized(StringInfo buf, Size expected);
extern Datum json_result(StringInfo buf);

extern void json_string(StringInfo buf, const char *data, int len);
extern void json_cstring(StringInfo buf, const char *text); /* NULL becomes null */
extern void json_jsonb(StringInfo buf, JsonbContainer *container);
extern void json_int(StringInfo buf, int64 value);
extern void json_double(StringInfo buf, double value);
extern void json_time(StringInfo buf, TimestampTz time);
extern const char *time_text(TimestampTz time);
extern void json_uuid(StringInfo buf, const pg_uuid_t *uuid);
extern void json_iso_duration(StringInfo buf, int64 microseconds);

/* Appends bytes; inline, because most are short and of constant length. */
static inline void
json_bytes(StringInfo buf, const char *data, int len)
{
	if (unlikely(buf->len + len >= buf->maxlen))
		enlargeStringInfo(buf, len);
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

/* Writes the text literally: a constant such as "\"key\":". */
#define json_literal(buf, text) json_bytes(buf, text, sizeof(text) - 1)

/* log_json.c: a log as LogEntry */
extern void json_log_entry(StringInfo buf, TupleTableSlot *slot, bool detail);
extern void json_log_fields(StringInfo buf, TupleTableSlot *slot, bool detail);
extern void json_log_tuples(StringInfo buf, MinimalTuple *reversed, int count, bool detail);

#endif							/* WFLOG_JSON_H */
