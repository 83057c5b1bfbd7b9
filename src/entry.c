/*-------------------------------------------------------------------------
 *
 * entry.c
 *	  The rules one log must keep, and the limit of its size.
 *
 * Both work on a row's values by column number, so that the row trigger and
 * the functions that write share them.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/detoast.h"
#include "common/cryptohash.h"
#include "common/hashfn.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(wflog_check_log);

/*
 * Fields whose sizes count against wflog.max_entry_size: those whose type has
 * no limit of its own.  All of them can be cut.
 */
static const int limited_fields[] = {
	Anum_log_message, Anum_log_data, Anum_log_user_friendly_message,
	Anum_log_technical_details, Anum_log_stack_trace, Anum_log_performance_metrics,
	Anum_log_source, Anum_log_trace_id, Anum_log_span_id
};

#define LIMITED_FIELDS lengthof(limited_fields)

#define SHOWN_BYTES 100			/* of a value, in a message */

/* The mark at the end of a cut text; %d is its size in bytes before. */
#define CUT_MARK "... [truncated, %d bytes]"
#define CUT_MARK_ROOM 48

static bool
is_json_field(int column)
{
	return column == Anum_log_data || column == Anum_log_technical_details ||
		column == Anum_log_performance_metrics;
}

/* Refuse an integer outside its range. */
static void
check_range(const Datum *values, const bool *nulls, int column, const char *name, int min, int max)
{
	int32		value;

	if (nulls[column - 1])
		return;
	value = DatumGetInt32(values[column - 1]);
	if (value >= min && value <= max)
		return;
	if (max == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s must be at least %d, not %d", name, min, value)));
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("%s must be between %d and %d, not %d", name, min, max, value)));
}

/* Refuse JSON that is no object. */
static void
check_object(const Datum *values, const bool *nulls, int column, const char *name)
{
	struct varlena *value;
	uint32		header;
	Jsonb	   *json;

	if (nulls[column - 1])
		return;

	/* The root's header tells; most values need no copy to get at it. */
	value = (struct varlena *) DatumGetPointer(values[column - 1]);
	if (!VARATT_IS_EXTERNAL(value) && !VARATT_IS_COMPRESSED(value))
	{
		memcpy(&header, VARDATA_ANY(value), sizeof(header));
		if (header & JB_FOBJECT)
			return;
	}
	json = DatumGetJsonbP(values[column - 1]);
	if (!JB_ROOT_IS_OBJECT(json))
	{
		char	   *text = JsonbToCString(NULL, &json->root, VARSIZE(json));
		int			len = strlen(text);
		int			shown = pg_mbcliplen(text, len, SHOWN_BYTES);

		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s must be a JSON object", name),
				 errdetail("It is %.*s%s.", shown, text, shown < len ? "..." : "")));
	}
	if ((Pointer) json != DatumGetPointer(values[column - 1]))
		pfree(json);
}

/* Is a number between 0 and 100? */
static bool
is_percentage(Numeric number)
{
	static Numeric hundred = NULL;
	static Numeric zero = NULL;

	if (hundred == NULL)
	{
		MemoryContext saved = MemoryContextSwitchTo(TopMemoryContext);

		zero = int64_to_numeric(0);
		hundred = int64_to_numeric(100);
		MemoryContextSwitchTo(saved);
	}
	/* NaN sorts above everything */
	return DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(number), NumericGetDatum(zero))) &&
		DatumGetBool(DirectFunctionCall2(numeric_le, NumericGetDatum(number), NumericGetDatum(hundred)));
}

/*
 * Refuse a log that breaks a rule, with 23514 and a message that names the
 * column, the rule and the value.
 */
void
wflog_check_entry(const Datum *values, const bool *nulls)
{
	if (!nulls[Anum_log_execution_id - 1] &&
		VARSIZE_ANY_EXHDR(DatumGetPointer(values[Anum_log_execution_id - 1])) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("execution_id must not be empty")));

	if (!nulls[Anum_log_log_category - 1])
	{
		char	   *text = VARDATA_ANY(DatumGetPointer(values[Anum_log_log_category - 1]));
		int			len = VARSIZE_ANY_EXHDR(DatumGetPointer(values[Anum_log_log_category - 1]));

		if (!(len == 9 && memcmp(text, "technical", 9) == 0) &&
			!(len == 8 && memcmp(text, "business", 8) == 0))
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("log_category must be \"technical\" or \"business\", not \"%.*s\"",
							len, text)));
	}

	if (!nulls[Anum_log_progress_percentage - 1])
	{
		Numeric		progress = DatumGetNumeric(values[Anum_log_progress_percentage - 1]);

		if (!is_percentage(progress))
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("progress_percentage must be between 0 and 100, not %s",
							DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(progress))))));
	}

	if (!nulls[Anum_log_created_at - 1] &&
		TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(values[Anum_log_created_at - 1])))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("created_at must be finite")));

	check_range(values, nulls, Anum_log_display_priority, "display_priority", 1, 10);
	check_range(values, nulls, Anum_log_step_number, "step_number", 0, PG_INT32_MAX);
	check_range(values, nulls, Anum_log_total_steps, "total_steps", 0, PG_INT32_MAX);
	check_range(values, nulls, Anum_log_duration_seconds, "duration_seconds", 0, PG_INT32_MAX);
	check_range(values, nulls, Anum_log_attempt, "attempt", 1, PG_INT32_MAX);
	check_object(values, nulls, Anum_log_data, "data");
	check_object(values, nulls, Anum_log_technical_details, "technical_details");
	check_object(values, nulls, Anum_log_performance_metrics, "performance_metrics");
}

/*
 * SQL: wflog.check_log(), the table's CHECK constraint.  A constraint and not
 * part of the row trigger, so that it holds where triggers are disabled; one
 * function and not a constraint for each rule, because it is cheaper and says
 * what is wrong.  The arguments are columns in the order below.
 */
Datum
wflog_check_log(PG_FUNCTION_ARGS)
{
	static const int columns[] = {
		Anum_log_execution_id, Anum_log_log_category, Anum_log_data, Anum_log_step_number,
		Anum_log_total_steps, Anum_log_progress_percentage, Anum_log_duration_seconds,
		Anum_log_display_priority, Anum_log_technical_details, Anum_log_performance_metrics,
		Anum_log_created_at, Anum_log_attempt
	};
	Datum		values[WFLOG_LOG_COLUMNS];
	bool		nulls[WFLOG_LOG_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	for (int i = 0; i < lengthof(columns); i++)
	{
		int			column = columns[i] - 1;

		nulls[column] = PG_ARGISNULL(i);
		if (nulls[column])
			continue;
		values[column] = PG_GETARG_DATUM(i);
		if (column == Anum_log_execution_id - 1 || column == Anum_log_log_category - 1)
			values[column] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[column]));
	}
	wflog_check_entry(values, nulls);
	PG_RETURN_BOOL(true);
}

/* Cut a text to at most limit bytes, mark included, at a character border. */
static Datum
cut_text(Datum value, int size, int limit)
{
	text	   *whole = DatumGetTextPP(value);
	char		mark[CUT_MARK_ROOM];
	int			mark_len = snprintf(mark, sizeof(mark), CUT_MARK, size);
	int			keep = pg_mbcliplen(VARDATA_ANY(whole), size, Max(limit - mark_len, 0));
	text	   *result = palloc(VARHDRSZ + keep + mark_len);

	SET_VARSIZE(result, VARHDRSZ + keep + mark_len);
	memcpy(VARDATA(result), VARDATA_ANY(whole), keep);
	memcpy(VARDATA(result) + keep, mark, mark_len);
	return PointerGetDatum(result);
}

static void
push_pair(JsonbParseState **state, const char *key, JsonbValue *value)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &name);
	pushJsonbValue(state, WJB_VALUE, value);
}

/*
 * Replace a JSON object by one of at most limit bytes that says that it was
 * cut, how large it was, and how its text began.
 */
static Datum
cut_json(Datum value, int size, int limit)
{
	Jsonb	   *whole = DatumGetJsonbP(value);
	char	   *text;
	/* what the other keys, the headers and padding take */
	int			overhead = 96;
	int			keep;
	JsonbParseState *state = NULL;
	JsonbValue	item;
	JsonbValue *object;

	if (!JB_ROOT_IS_OBJECT(whole))
		return value;			/* which wflog_check_entry() refuses */
	text = JsonbToCString(NULL, &whole->root, VARSIZE(whole));
	keep = pg_mbcliplen(text, strlen(text), Max(limit - overhead, 0));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	item.type = jbvBool;
	item.val.boolean = true;
	push_pair(&state, "truncated", &item);
	item.type = jbvNumeric;
	item.val.numeric = int64_to_numeric(size);
	push_pair(&state, "original_size", &item);
	item.type = jbvString;
	item.val.string.val = text;
	item.val.string.len = keep;
	push_pair(&state, "preview", &item);
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(object));
}

/*
 * The largest size a field may have so that all fit the limit together: small
 * fields are left whole and the large ones share what remains evenly.
 */
static int
fair_share(const int *sizes, int limit)
{
	int			remaining = limit;
	int			share = 0;
	bool		settled[LIMITED_FIELDS] = {false};

	for (;;)
	{
		int			open = 0;
		bool		progress = false;

		for (int i = 0; i < LIMITED_FIELDS; i++)
			open += !settled[i];
		if (open == 0)
			return share;
		share = remaining / open;
		for (int i = 0; i < LIMITED_FIELDS; i++)
			if (!settled[i] && sizes[i] <= share)
			{
				settled[i] = true;
				remaining -= sizes[i];
				progress = true;
			}
		if (!progress)
			return share;
	}
}

/* How many bytes a value has uncompressed. */
static inline int
raw_size(Datum value)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);

	if (VARATT_IS_EXTERNAL(pointer) || VARATT_IS_COMPRESSED(pointer))
		return (int) toast_raw_datum_size(value) - VARHDRSZ;
	return VARSIZE_ANY_EXHDR(pointer);
}

/*
 * Cut an entry that is over wflog.max_entry_size.  Sizes are what the fields
 * take uncompressed, in bytes.  Returns whether anything was cut; the size
 * before is then in original_size.
 */
bool
wflog_limit_entry(Datum *values, bool *nulls)
{
	int			sizes[LIMITED_FIELDS];
	int64		total = 0;
	int			share;

	for (int i = 0; i < LIMITED_FIELDS; i++)
	{
		int			column = limited_fields[i];

		sizes[i] = nulls[column - 1] ? 0 : raw_size(values[column - 1]);
		total += sizes[i];
	}
	if (total <= wflog_max_entry_size)
		return false;

	share = fair_share(sizes, wflog_max_entry_size);
	for (int i = 0; i < LIMITED_FIELDS; i++)
	{
		int			column = limited_fields[i];

		if (sizes[i] <= share)
			continue;
		values[column - 1] = is_json_field(column) ?
			cut_json(values[column - 1], sizes[i], share) :
			cut_text(values[column - 1], sizes[i], share);
	}
	/* a log that was cut before has been larger than it is now */
	if (!nulls[Anum_log_original_size - 1])
		total = Max(total, DatumGetInt32(values[Anum_log_original_size - 1]));
	values[Anum_log_original_size - 1] = Int32GetDatum((int32) Min(total, PG_INT32_MAX));
	nulls[Anum_log_original_size - 1] = false;
	return true;
}

/*
 * Hashes computed lately, by a cheap hash of the id.  Writers of many
 * executions at a time take turns, and a SHA-256 costs more than all the rest
 * of the row trigger.
 */
#define CACHED_HASHES 1024
#define CACHED_ID_BYTES 55

typedef struct CachedHash
{
	int64		hash;
	uint8		len;			/* 0: free */
	char		id[CACHED_ID_BYTES];
} CachedHash;

static CachedHash cached_hashes[CACHED_HASHES];

/* The first 64 bits of an id's SHA-256. */
static int64
compute_hash(const char *id, int len)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	uint64		head;
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) id, len) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
	{
		pg_cryptohash_free(context);
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the hash of an execution id")));
	}
	pg_cryptohash_free(context);
	memcpy(&head, digest, sizeof(head));
	return (int64) pg_ntoh64(head);
}

/*
 * The key under which an execution's logs are indexed: the first 64 bits of
 * the id's SHA-256, so that nobody can make an id that meets another's.
 */
int64
wflog_execution_hash(const char *id, int len)
{
	CachedHash *cached;

	if (len == 0 || len > CACHED_ID_BYTES)
		return compute_hash(id, len);

	cached = &cached_hashes[hash_bytes((const unsigned char *) id, len) % CACHED_HASHES];
	if (cached->len != len || memcmp(cached->id, id, len) != 0)
	{
		int64		hash = compute_hash(id, len);

		cached->hash = hash;
		cached->len = len;
		memcpy(cached->id, id, len);
	}
	return cached->hash;
}
