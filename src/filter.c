/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Which logs of an execution are wanted: the FILTERS arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "catalog/pg_collation.h"
#include "filter.h"
#include "json.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#define MAX_SEARCH_WORDS 20

/* Refuse a text argument that cannot match anything. */
static text *
nonempty_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	text	   *value;

	if (PG_ARGISNULL(arg))
		return NULL;
	value = PG_GETARG_TEXT_PP(arg);
	if (VARSIZE_ANY_EXHDR(value) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name),
				 errhint("Leave it out or pass NULL to get all.")));
	return value;
}

/* Refuse a number that the column cannot have. */
static int
int_in_range(FunctionCallInfo fcinfo, int arg, const char *name, int min, int max)
{
	int			value = PG_GETARG_INT32(arg);

	if (value >= min && value <= max)
		return value;
	if (max == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least %d, not %d", name, min, value)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be between %d and %d, not %d", name, min, max, value)));
}

/* Refuse a category that no log can have. */
static text *
category_text(FunctionCallInfo fcinfo, int arg)
{
	text	   *value = nonempty_text(fcinfo, arg, "category");
	char	   *name;

	if (value == NULL)
		return NULL;
	name = text_to_cstring(value);
	if (strcmp(name, "technical") != 0 && strcmp(name, "business") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a log category", name),
				 errhint("Categories are technical and business.")));
	return value;
}

/* Lower-case as the database does it. */
static char *
lower_text(const char *data, int len)
{
	return str_tolower(data, len, DEFAULT_COLLATION_OID);
}

static bool
is_ascii(const char *data, int len)
{
	for (int i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(data[i]))
			return false;
	return true;
}

/* Split the search text into words in lower case. */
static void
set_search(LogFilter *filter, text *search)
{
	char	   *lower = lower_text(VARDATA_ANY(search), VARSIZE_ANY_EXHDR(search));

	filter->ascii_words = is_ascii(lower, strlen(lower));
	filter->words = palloc(sizeof(char *) * MAX_SEARCH_WORDS);
	for (char *word = strtok(lower, " \t\r\n"); word; word = strtok(NULL, " \t\r\n"))
	{
		if (filter->word_count == MAX_SEARCH_WORDS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("search must not have more than %d words", MAX_SEARCH_WORDS)));
		filter->words[filter->word_count++] = word;
	}
	if (filter->word_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("search must have a word")));
}

/* A filter that lets everything pass. */
LogFilter *
log_filter_all(void)
{
	LogFilter  *filter = palloc0(sizeof(LogFilter));

	filter->start_time = DT_NOBEGIN;
	filter->end_time = DT_NOEND;
	filter->level = filter->min_level = filter->event_type = -1;
	filter->attempt = filter->min_priority = PG_INT32_MIN;
	for (int i = 0; i < LEVEL_COUNT; i++)
		filter->level_wanted[i] = true;
	return filter;
}

/*
 * The filter of a function's arguments level, min_level, start_time,
 * end_time, category, event_type, node_id, source, attempt, milestones_only,
 * min_priority, search, which stand in that order from first on.  22023 for
 * what makes no sense.
 */
LogFilter *
log_filter_from_args(FunctionCallInfo fcinfo, int first)
{
	LogFilter  *filter = log_filter_all();

	if (!PG_ARGISNULL(first))
		filter->level = wflog_parse_level(text_to_cstring(PG_GETARG_TEXT_PP(first)));
	if (!PG_ARGISNULL(first + 1))
		filter->min_level = wflog_parse_level(text_to_cstring(PG_GETARG_TEXT_PP(first + 1)));
	if (!PG_ARGISNULL(first + 2))
		filter->start_time = PG_GETARG_TIMESTAMPTZ(first + 2);
	if (!PG_ARGISNULL(first + 3))
		filter->end_time = PG_GETARG_TIMESTAMPTZ(first + 3);
	if (filter->start_time > filter->end_time)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start_time %s is after end_time %s",
						time_text(filter->start_time), time_text(filter->end_time))));
	filter->category = category_text(fcinfo, first + 4);
	if (!PG_ARGISNULL(first + 5))
	{
		filter->event_type =
			wflog_parse_event_type(text_to_cstring(PG_GETARG_TEXT_PP(first + 5)));
		filter->event_type_oid = wflog_enum_oid(WFLOG_EVENT_TYPE_ENUM, filter->event_type);
	}
	filter->node_id = nonempty_text(fcinfo, first + 6, "node_id");
	filter->source = nonempty_text(fcinfo, first + 7, "source");
	if (!PG_ARGISNULL(first + 8))
		filter->attempt = int_in_range(fcinfo, first + 8, "attempt", 1, PG_INT32_MAX);
	if (!PG_ARGISNULL(first + 9))
		filter->milestones_only = PG_GETARG_BOOL(first + 9);
	if (!PG_ARGISNULL(first + 10))
		filter->min_priority = int_in_range(fcinfo, first + 10, "min_priority", 1, 10);
	if (!PG_ARGISNULL(first + 11))
		set_search(filter, PG_GETARG_TEXT_PP(first + 11));

	for (int i = 0; i < LEVEL_COUNT; i++)
		filter->level_wanted[i] = i >= filter->min_level &&
			(filter->level < 0 || filter->level == i);
	return filter;
}

/* Are only errors wanted, so that the index of errors has them all? */
bool
log_filter_only_errors(const LogFilter *filter)
{
	return filter->level >= LEVEL_ERROR || filter->min_level >= LEVEL_ERROR;
}

/*
 * Must a log's row be looked at to decide?  Times are in the index; the rest
 * is, if the index at hand holds only errors or milestones.
 */
bool
log_filter_needs_row(const LogFilter *filter, bool errors_known, bool milestones_known)
{
	bool		levels_decided = true;

	for (int i = errors_known ? LEVEL_ERROR : LEVEL_DEBUG; i < LEVEL_COUNT; i++)
		if (!filter->level_wanted[i])
			levels_decided = false;
	return !levels_decided || (filter->milestones_only && !milestones_known) ||
		filter->event_type >= 0 || filter->attempt != PG_INT32_MIN ||
		filter->min_priority != PG_INT32_MIN || filter->category || filter->node_id ||
		filter->source || filter->word_count > 0;
}

/* Is a column equal to a text? */
static bool
text_equals(TupleTableSlot *slot, AttrNumber attnum, text *wanted)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);
	text	   *actual;

	if (isnull)
		return false;
	actual = DatumGetTextPP(value);
	return VARSIZE_ANY_EXHDR(actual) == VARSIZE_ANY_EXHDR(wanted) &&
		memcmp(VARDATA_ANY(actual), VARDATA_ANY(wanted), VARSIZE_ANY_EXHDR(wanted)) == 0;
}

/* Does an ASCII text in lower case occur, the case of ASCII letters aside? */
static bool
contains_ascii(const char *data, int len, const char *word)
{
	int			word_len = strlen(word);
	char		first = word[0];
	char		first_upper = pg_ascii_toupper((unsigned char) first);

	for (int i = 0; i + word_len <= len; i++)
	{
		int			j = 1;

		if (data[i] != first && data[i] != first_upper)
			continue;
		while (j < word_len && pg_ascii_tolower((unsigned char) data[i + j]) == (unsigned char) word[j])
			j++;
		if (j == word_len)
			return true;
	}
	return false;
}

/* Note which of the search's words a column has. */
static void
find_words(const LogFilter *filter, TupleTableSlot *slot, AttrNumber attnum, bool *found)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);
	text	   *whole;
	char	   *lower = NULL;

	if (isnull)
		return;
	whole = DatumGetTextPP(value);
	if (!filter->ascii_words)
		lower = lower_text(VARDATA_ANY(whole), VARSIZE_ANY_EXHDR(whole));
	for (int i = 0; i < filter->word_count; i++)
		if (!found[i])
			found[i] = lower ? strstr(lower, filter->words[i]) != NULL :
				contains_ascii(VARDATA_ANY(whole), VARSIZE_ANY_EXHDR(whole), filter->words[i]);
	if (lower)
		pfree(lower);
	if ((Pointer) whole != DatumGetPointer(value))
		pfree(whole);
}

/* Does every word of the search occur in one of the two messages? */
static bool
search_matches(const LogFilter *filter, TupleTableSlot *slot)
{
	bool		found[MAX_SEARCH_WORDS] = {false};

	find_words(filter, slot, Anum_log_message, found);
	find_words(filter, slot, Anum_log_user_friendly_message, found);
	for (int i = 0; i < filter->word_count; i++)
		if (!found[i])
			return false;
	return true;
}

/* Does an integer column pass?  NULL passes nothing. */
static bool
int_passes(TupleTableSlot *slot, AttrNumber attnum, int wanted, bool at_least)
{
	bool		isnull;
	int32		value = DatumGetInt32(slot_getattr(slot, attnum, &isnull));

	return !isnull && (at_least ? value >= wanted : value == wanted);
}

/* Does a log, in our column order, pass all of the filter but the times? */
bool
log_filter_matches(const LogFilter *filter, TupleTableSlot *slot)
{
	bool		isnull;

	if (filter->level >= 0 || filter->min_level >= 0)
	{
		Oid			oid = DatumGetObjectId(slot_getattr(slot, Anum_log_level, &isnull));

		if (!filter->level_wanted[wflog_enum_value(WFLOG_LEVEL_ENUM, oid)])
			return false;
	}
	if (filter->event_type >= 0 &&
		DatumGetObjectId(slot_getattr(slot, Anum_log_event_type, &isnull)) != filter->event_type_oid)
		return false;
	if (filter->category && !text_equals(slot, Anum_log_log_category, filter->category))
		return false;
	if (filter->node_id && !text_equals(slot, Anum_log_node_id, filter->node_id))
		return false;
	if (filter->milestones_only && !DatumGetBool(slot_getattr(slot, Anum_log_is_milestone, &isnull)))
		return false;
	if (filter->min_priority != PG_INT32_MIN &&
		!int_passes(slot, Anum_log_display_priority, filter->min_priority, true))
		return false;
	if (filter->source && !text_equals(slot, Anum_log_source, filter->source))
		return false;
	if (filter->attempt != PG_INT32_MIN &&
		!int_passes(slot, Anum_log_attempt, filter->attempt, false))
		return false;
	return filter->word_count == 0 || search_matches(filter, slot);
}
