/*-------------------------------------------------------------------------
 *
 * log_json.c
 *	  A log as LogEntry, the JSON that pages, streams and notifications share.
 *
 * Fields that are null are left out, but for data, which S1's clients expect
 * to be an object.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "json.h"
#include "leaf_scan.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* A text column, with the comma and key in front; nothing if it is null. */
static inline void
text_field(StringInfo buf, TupleTableSlot *slot, AttrNumber attnum, const char *key, int key_len)
{
	Datum		value = slot->tts_values[attnum - 1];
	text	   *whole;

	if (slot->tts_isnull[attnum - 1])
		return;
	whole = DatumGetTextPP(value);
	json_bytes(buf, key, key_len);
	json_string(buf, VARDATA_ANY(whole), VARSIZE_ANY_EXHDR(whole));
	if ((Pointer) whole != DatumGetPointer(value))
		pfree(whole);
}

static inline void
int_field(StringInfo buf, TupleTableSlot *slot, AttrNumber attnum, const char *key, int key_len)
{
	if (slot->tts_isnull[attnum - 1])
		return;
	json_bytes(buf, key, key_len);
	json_int(buf, DatumGetInt32(slot->tts_values[attnum - 1]));
}

/* The jsonb column, or an empty object if it is null. */
static void
jsonb_value(StringInfo buf, TupleTableSlot *slot, AttrNumber attnum)
{
	Datum		value = slot->tts_values[attnum - 1];
	Jsonb	   *json;

	if (slot->tts_isnull[attnum - 1])
	{
		json_literal(buf, "{}");
		return;
	}
	json = DatumGetJsonbP(value);
	if (JB_ROOT_IS_OBJECT(json) && JB_ROOT_COUNT(json) == 0)
		json_literal(buf, "{}");
	else
		json_jsonb(buf, &json->root);
	if ((Pointer) json != DatumGetPointer(value))
		pfree(json);
}

static inline void
jsonb_field(StringInfo buf, TupleTableSlot *slot, AttrNumber attnum, const char *key, int key_len)
{
	if (slot->tts_isnull[attnum - 1])
		return;
	json_bytes(buf, key, key_len);
	jsonb_value(buf, slot, attnum);
}

#define TEXT_FIELD(attnum, key) text_field(buf, slot, attnum, ",\"" key "\":", sizeof(key) + 3)
#define INT_FIELD(attnum, key) int_field(buf, slot, attnum, ",\"" key "\":", sizeof(key) + 3)
#define JSONB_FIELD(attnum, key) jsonb_field(buf, slot, attnum, ",\"" key "\":", sizeof(key) + 3)

/* Write the fields of a log that is in our column order, without the braces. */
void
json_log_fields(StringInfo buf, TupleTableSlot *slot, bool detail)
{
	int			event_type;
	int			level;
	bool		has_friendly;

	slot_getallattrs(slot);
	event_type = wflog_enum_value(WFLOG_EVENT_TYPE_ENUM,
								  DatumGetObjectId(slot->tts_values[Anum_log_event_type - 1]));
	level = wflog_enum_value(WFLOG_LEVEL_ENUM,
							 DatumGetObjectId(slot->tts_values[Anum_log_level - 1]));
	has_friendly = !slot->tts_isnull[Anum_log_user_friendly_message - 1] &&
		VARSIZE_ANY_EXHDR(DatumGetPointer(slot->tts_values[Anum_log_user_friendly_message - 1])) > 0;

	json_literal(buf, "\"id\":");
	json_uuid(buf, DatumGetUUIDP(slot->tts_values[Anum_log_id - 1]));
	json_literal(buf, ",\"timestamp\":");
	json_time(buf, DatumGetTimestampTz(slot->tts_values[Anum_log_created_at - 1]));
	TEXT_FIELD(Anum_log_node_name, "node_name");
	json_literal(buf, ",\"event_type\":\"");
	appendStringInfoString(buf, wflog_enum_label(WFLOG_EVENT_TYPE_ENUM, event_type));
	json_literal(buf, "\"");
	TEXT_FIELD(has_friendly ? Anum_log_user_friendly_message : Anum_log_message, "message");
	json_literal(buf, ",\"level\":\"");
	appendStringInfoString(buf, wflog_enum_lower(WFLOG_LEVEL_ENUM, level));
	json_literal(buf, "\",\"data\":");
	jsonb_value(buf, slot, Anum_log_data);
	TEXT_FIELD(Anum_log_node_id, "node_id");
	TEXT_FIELD(Anum_log_node_type, "node_type");
	INT_FIELD(Anum_log_step_number, "step_number");
	INT_FIELD(Anum_log_total_steps, "total_steps");
	INT_FIELD(Anum_log_display_priority, "display_priority");
	if (DatumGetBool(slot->tts_values[Anum_log_is_milestone - 1]))
		json_literal(buf, ",\"is_milestone\":true");
	else
		json_literal(buf, ",\"is_milestone\":false");
	TEXT_FIELD(Anum_log_log_category, "log_category");
	TEXT_FIELD(Anum_log_message, "technical_message");
	TEXT_FIELD(Anum_log_user_friendly_message, "user_friendly_message");
	TEXT_FIELD(Anum_log_source, "source");
	INT_FIELD(Anum_log_attempt, "attempt");
	if (!slot->tts_isnull[Anum_log_progress_percentage - 1])
	{
		char	   *number = DatumGetCString(DirectFunctionCall1(numeric_out,
																 slot->tts_values[Anum_log_progress_percentage - 1]));

		json_literal(buf, ",\"progress_percentage\":");
		appendStringInfoString(buf, number);
		pfree(number);
	}
	INT_FIELD(Anum_log_duration_seconds, "duration_seconds");
	TEXT_FIELD(Anum_log_trace_id, "trace_id");
	TEXT_FIELD(Anum_log_span_id, "span_id");
	INT_FIELD(Anum_log_original_size, "original_size");
	if (detail)
	{
		TEXT_FIELD(Anum_log_stack_trace, "stack_trace");
		JSONB_FIELD(Anum_log_technical_details, "technical_details");
		JSONB_FIELD(Anum_log_performance_metrics, "performance_metrics");
	}
}

/* Write a log that is in our column order. */
void
json_log_entry(StringInfo buf, TupleTableSlot *slot, bool detail)
{
	json_literal(buf, "{");
	json_log_fields(buf, slot, detail);
	json_literal(buf, "}");
}

/* Write an array of logs that were read backward, and free them. */
void
json_log_tuples(StringInfo buf, MinimalTuple *reversed, int count, bool detail)
{
	TupleTableSlot *slot = log_slot_create(&TTSOpsMinimalTuple);

	json_literal(buf, "[");
	for (int i = count - 1; i >= 0; i--)
	{
		ExecStoreMinimalTuple(reversed[i], slot, true);
		json_log_entry(buf, slot, detail);
		if (i > 0)
			json_literal(buf, ",");
	}
	json_literal(buf, "]");
	ExecDropSingleTupleTableSlot(slot);
}
