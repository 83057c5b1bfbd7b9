/*-------------------------------------------------------------------------
 *
 * fields.c
 *	  Turns what a writer names, key by key, into the columns of a row.
 *
 * Errors are 22023, bad times 22007, broken rules 23514.  Every message
 * begins with the column's name or concerns row->field; batch.c puts the
 * log's place in front of it.
 *
 *-------------------------------------------------------------------------
 */
#include "writer.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define PERCENTAGE_TYPMOD (((5 << 16) | 2) + VARHDRSZ)	/* numeric(5,2) */
#define EXCERPT_BYTES 64		/* how much of a value a message quotes */

static const WflogField fields[] = {
	{"id", Anum_log_id, FIELD_UUID, 0},
	{"execution_id", Anum_log_execution_id, FIELD_TEXT, 0}, /* has a check of its own */
	{"log_category", Anum_log_log_category, FIELD_TEXT, 20},
	{"event_type", Anum_log_event_type, FIELD_EVENT_TYPE, 0},
	{"level", Anum_log_level, FIELD_LEVEL, 0},
	{"message", Anum_log_message, FIELD_TEXT, 0},
	{"data", Anum_log_data, FIELD_OBJECT, 0},
	{"node_id", Anum_log_node_id, FIELD_TEXT, 255},
	{"node_name", Anum_log_node_name, FIELD_TEXT, 255},
	{"node_type", Anum_log_node_type, FIELD_TEXT, 100},
	{"step_number", Anum_log_step_number, FIELD_INTEGER, 0},
	{"total_steps", Anum_log_total_steps, FIELD_INTEGER, 0},
	{"progress_percentage", Anum_log_progress_percentage, FIELD_PERCENTAGE, 0},
	{"duration_seconds", Anum_log_duration_seconds, FIELD_INTEGER, 0},
	{"user_friendly_message", Anum_log_user_friendly_message, FIELD_TEXT, 0},
	{"display_priority", Anum_log_display_priority, FIELD_INTEGER, 0},
	{"is_milestone", Anum_log_is_milestone, FIELD_BOOLEAN, 0},
	{"technical_details", Anum_log_technical_details, FIELD_OBJECT, 0},
	{"stack_trace", Anum_log_stack_trace, FIELD_TEXT, 0},
	{"performance_metrics", Anum_log_performance_metrics, FIELD_OBJECT, 0},
	{"created_at", Anum_log_created_at, FIELD_TIME, 0},
	{"source", Anum_log_source, FIELD_TEXT, 0},
	{"attempt", Anum_log_attempt, FIELD_INTEGER, 0},
	{"trace_id", Anum_log_trace_id, FIELD_TEXT, 0},
	{"span_id", Anum_log_span_id, FIELD_TEXT, 0},
};

StaticAssertDecl(lengthof(fields) == WFLOG_LOG_USER_COLUMNS, "fields must list every user column");

/* The defaults of sql/10_tables.sql as datums that outlive every row. */
static Datum default_category;
static Datum default_object;
static bool defaults_made = false;

/* The field for a column. */
const WflogField *
wflog_field_of(WflogLogColumn column)
{
	return &fields[column - 1];
}

/*
 * The field of that name, or NULL.  A switch on what tells the names apart
 * leaves one comparison.
 */
const WflogField *
wflog_find_field(const char *name, size_t len)
{
	WflogLogColumn column;
	const WflogField *field;

	switch (len)
	{
		case 2:
			column = Anum_log_id;
			break;
		case 4:
			column = Anum_log_data;
			break;
		case 5:
			column = Anum_log_level;
			break;
		case 6:
			column = Anum_log_source;
			break;
		case 7:
			column = name[0] == 'm' ? Anum_log_message :
				name[0] == 'n' ? Anum_log_node_id :
				name[0] == 'a' ? Anum_log_attempt : Anum_log_span_id;
			break;
		case 8:
			column = Anum_log_trace_id;
			break;
		case 9:
			column = name[5] == 'n' ? Anum_log_node_name : Anum_log_node_type;
			break;
		case 10:
			column = name[0] == 'e' ? Anum_log_event_type : Anum_log_created_at;
			break;
		case 11:
			column = name[0] == 't' ? Anum_log_total_steps :
				name[2] == 'e' ? Anum_log_step_number : Anum_log_stack_trace;
			break;
		case 12:
			column = name[0] == 'e' ? Anum_log_execution_id :
				name[0] == 'l' ? Anum_log_log_category : Anum_log_is_milestone;
			break;
		case 16:
			column = name[1] == 'i' ? Anum_log_display_priority : Anum_log_duration_seconds;
			break;
		case 17:
			column = Anum_log_technical_details;
			break;
		case 19:
			column = name[1] == 'r' ? Anum_log_progress_percentage : Anum_log_performance_metrics;
			break;
		case 21:
			column = Anum_log_user_friendly_message;
			break;
		default:
			return NULL;
	}
	field = &fields[column - 1];
	return memcmp(name, field->name, len) == 0 ? field : NULL;
}

/* Make the default values that rows share. */
static void
make_defaults(void)
{
	MemoryContext saved = MemoryContextSwitchTo(TopMemoryContext);

	default_category = PointerGetDatum(cstring_to_text("technical"));
	default_object = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	MemoryContextSwitchTo(saved);
	defaults_made = true;
}

static void
set_value(WflogRow *row, WflogLogColumn column, Datum value)
{
	row->values[column - 1] = value;
	row->nulls[column - 1] = false;
}

/* Give one column its default, or NULL if it has none. */
static void
set_default(WflogRow *row, WflogLogColumn column)
{
	switch (column)
	{
		case Anum_log_log_category:
			set_value(row, column, default_category);
			break;
		case Anum_log_event_type:
			set_value(row, column, ObjectIdGetDatum(wflog_enum_oid(WFLOG_EVENT_TYPE_ENUM, EVENT_LOG)));
			break;
		case Anum_log_level:
			set_value(row, column, ObjectIdGetDatum(wflog_enum_oid(WFLOG_LEVEL_ENUM, LEVEL_INFO)));
			break;
		case Anum_log_display_priority:
			set_value(row, column, Int32GetDatum(5));
			break;
		case Anum_log_is_milestone:
			set_value(row, column, BoolGetDatum(false));
			break;
		default:
			row->nulls[column - 1] = true;
	}
}

/* Begin a row: defaults everywhere.  Those of id and created_at come last. */
void
wflog_row_begin(WflogRow *row)
{
	if (!defaults_made)
		make_defaults();

	row->field = NULL;
	memset(row->nulls, true, sizeof(row->nulls));
	set_default(row, Anum_log_log_category);
	set_default(row, Anum_log_event_type);
	set_default(row, Anum_log_level);
	set_default(row, Anum_log_display_priority);
	set_default(row, Anum_log_is_milestone);
	set_value(row, Anum_log_data, default_object);
	set_value(row, Anum_log_technical_details, default_object);
	set_value(row, Anum_log_performance_metrics, default_object);
}

/* What a field takes, for messages. */
static const char *
type_description(const WflogField *field)
{
	switch (field->type)
	{
		case FIELD_UUID:
			return "a UUID in a string";
		case FIELD_INTEGER:
			return "an integer of 32 bits";
		case FIELD_PERCENTAGE:
			return "a number";
		case FIELD_BOOLEAN:
			return "true or false";
		case FIELD_OBJECT:
			return "a JSON object";
		case FIELD_TIME:
			return "a time in a string";
		default:
			return "a string";
	}
}

/*
 * Refuse a value of the wrong type; text is the value as JSON shows it, of
 * which the message quotes the beginning.
 */
void
wflog_row_wrong_type(const WflogField *field, const char *text, size_t len)
{
	size_t		shown = len <= EXCERPT_BYTES ? len : pg_mbcliplen(text, len, EXCERPT_BYTES);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s, not %.*s%s", field->name, type_description(field),
					(int) shown, text, shown < len ? "..." : "")));
}

/* Refuse a string that is not what the field takes. */
static void
wrong_string(const WflogField *field, const char *text, size_t len)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '"');
	appendBinaryStringInfo(&quoted, text, Min(len, EXCERPT_BYTES * 2));
	appendStringInfoChar(&quoted, '"');
	wflog_row_wrong_type(field, quoted.data, quoted.len);
}

/* Refuse a text that is longer than the column. */
static void
check_length(const WflogField *field, const char *text, size_t len)
{
	int			chars;

	if (field->max_chars == 0 || len <= field->max_chars)
		return;
	chars = pg_mbstrlen_with_len(text, len);
	if (chars > field->max_chars)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have at most %d characters, not %d",
						field->name, field->max_chars, chars)));
}

/* NULL stands for the default where the column takes no NULL. */
void
wflog_row_set_null(WflogRow *row, const WflogField *field)
{
	row->field = field;
	set_default(row, field->column);
}

/* Set a field from a string in the database's encoding. */
void
wflog_row_set_string(WflogRow *row, const WflogField *field, const char *text, size_t len)
{
	char		copy[EXCERPT_BYTES + 4];

	row->field = field;
	if (field->type == FIELD_TEXT)
	{
		if (field->column == Anum_log_execution_id)
			wflog_check_execution_id(text, len);
		else
			check_length(field, text, len);
		set_value(row, field->column, PointerGetDatum(cstring_to_text_with_len(text, len)));
		return;
	}

	/* The others want a terminated string; a long one is wrong anyway. */
	if (len <= EXCERPT_BYTES)
	{
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	else
		snprintf(copy, sizeof(copy), "%.*s...", pg_mbcliplen(text, len, EXCERPT_BYTES), text);
	switch (field->type)
	{
		case FIELD_LEVEL:
			set_value(row, field->column,
					  ObjectIdGetDatum(wflog_enum_oid(WFLOG_LEVEL_ENUM, wflog_parse_level(copy))));
			break;
		case FIELD_EVENT_TYPE:
			set_value(row, field->column,
					  ObjectIdGetDatum(wflog_enum_oid(WFLOG_EVENT_TYPE_ENUM, wflog_parse_event_type(copy))));
			break;
		case FIELD_TIME:
			set_value(row, field->column, TimestampTzGetDatum(wflog_parse_time(copy)));
			break;
		case FIELD_UUID:
			/* batch.c reports uuid_in()'s 22P02 as a bad argument */
			set_value(row, field->column, DirectFunctionCall1(uuid_in, CStringGetDatum(copy)));
			break;
		default:
			wrong_string(field, text, len);
	}
}

/* Set a field from a JSON number's text. */
void
wflog_row_set_number_text(WflogRow *row, const WflogField *field, const char *text, size_t len)
{
	row->field = field;
	if (field->type == FIELD_INTEGER && len <= 9)
	{
		int32		value = 0;
		bool		negative = text[0] == '-';
		size_t		i = negative;

		for (; i < len && text[i] >= '0' && text[i] <= '9'; i++)
			value = value * 10 + (text[i] - '0');
		if (i == len)
		{
			set_value(row, field->column, Int32GetDatum(negative ? -value : value));
			return;
		}
	}
	if (field->type != FIELD_INTEGER && field->type != FIELD_PERCENTAGE)
		wflog_row_wrong_type(field, text, len);
	wflog_row_set_numeric(row, field,
						  DatumGetNumeric(DirectFunctionCall3(numeric_in,
															  CStringGetDatum(pnstrdup(text, len)),
															  ObjectIdGetDatum(InvalidOid),
															  Int32GetDatum(-1))));
}

/* Text of a number, for messages. */
static const char *
numeric_text(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

/* An integer that a number must be. */
static Datum
integer_of(const WflogField *field, Numeric number)
{
	bool		too_large = false;
	int32		value = numeric_int4_opt_error(number, &too_large);
	bool		whole = true;

	/* Only what has a fraction's digits can have been rounded. */
	if (!too_large &&
		DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(number))) != 0)
		whole = DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number),
												 NumericGetDatum(int64_to_numeric(value))));
	if (too_large || !whole)
	{
		const char *text = numeric_text(number);

		wflog_row_wrong_type(field, text, strlen(text));
	}
	return Int32GetDatum(value);
}

/* A percentage rounded as the column does it. */
static Datum
percentage_of(const WflogField *field, Numeric number)
{
	bool		too_large = false;
	int32		rounded = numeric_int4_opt_error(number, &too_large);

	/* what is far out of range must not fail for want of digits */
	if (too_large || rounded < 0 || rounded > 100)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s must be between 0 and 100, not %s", field->name, numeric_text(number))));
	return DirectFunctionCall2(numeric, NumericGetDatum(number), Int32GetDatum(PERCENTAGE_TYPMOD));
}

/* Set a field from a number. */
void
wflog_row_set_numeric(WflogRow *row, const WflogField *field, Numeric number)
{
	const char *text;

	row->field = field;
	switch (field->type)
	{
		case FIELD_INTEGER:
			set_value(row, field->column, integer_of(field, number));
			break;
		case FIELD_PERCENTAGE:
			set_value(row, field->column, percentage_of(field, number));
			break;
		default:
			text = numeric_text(number);
			wflog_row_wrong_type(field, text, strlen(text));
	}
}

/* Set a field from true or false. */
void
wflog_row_set_boolean(WflogRow *row, const WflogField *field, bool value)
{
	row->field = field;
	if (field->type != FIELD_BOOLEAN)
		wflog_row_wrong_type(field, value ? "true" : "false", value ? 4 : 5);
	set_value(row, field->column, BoolGetDatum(value));
}

/* Set a field from a JSON object or array. */
void
wflog_row_set_object(WflogRow *row, const WflogField *field, Jsonb *object)
{
	row->field = field;
	if (field->type != FIELD_OBJECT || !JB_ROOT_IS_OBJECT(object))
	{
		char	   *text = JsonbToCString(NULL, &object->root, VARSIZE(object));

		wflog_row_wrong_type(field, text, strlen(text));
	}
	set_value(row, field->column, JsonbPGetDatum(object));
}

/*
 * Set a field from an argument of a SQL function, which has the column's type
 * or, for levels and event types, text.
 */
void
wflog_row_set_datum(WflogRow *row, const WflogField *field, Datum value)
{
	text	   *string;

	row->field = field;
	switch (field->type)
	{
		case FIELD_TEXT:
		case FIELD_LEVEL:
		case FIELD_EVENT_TYPE:
			string = DatumGetTextPP(value);
			if (field->type != FIELD_TEXT || field->max_chars > 0 ||
				field->column == Anum_log_execution_id)
				wflog_row_set_string(row, field, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
			else
				set_value(row, field->column, PointerGetDatum(string));
			break;
		case FIELD_OBJECT:
			wflog_row_set_object(row, field, DatumGetJsonbP(value));
			break;
		case FIELD_PERCENTAGE:
			wflog_row_set_numeric(row, field, DatumGetNumeric(value));
			break;
		default:
			set_value(row, field->column, value);
	}
}

/* Refuse a row that lacks a column without default. */
static void
require(const WflogRow *row, WflogLogColumn column)
{
	if (row->nulls[column - 1])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is missing", fields[column - 1].name)));
}

/*
 * Complete a row: what must be there is, id and time are made if they were
 * not given, and the rules are kept.  The row trigger checks them again, but
 * could not say where the log came from.
 */
void
wflog_row_finish(WflogRow *row)
{
	row->field = NULL;
	require(row, Anum_log_execution_id);
	require(row, Anum_log_message);

	if (row->nulls[Anum_log_id - 1])
	{
		pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

		wflog_make_uuid_v7(uuid);
		set_value(row, Anum_log_id, UUIDPGetDatum(uuid));
	}
	if (row->nulls[Anum_log_created_at - 1])
		set_value(row, Anum_log_created_at, TimestampTzGetDatum(GetCurrentTimestamp()));
	wflog_check_entry(row->values, row->nulls);
}
