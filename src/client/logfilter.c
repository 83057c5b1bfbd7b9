/*-------------------------------------------------------------------------
 *
 * logfilter.c
 *	  Which logs are wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "logfilter.h"

#include <stdlib.h>
#include <wctype.h>

#include "text.h"

/* A filter that lets all pass. */
void
log_filter_begin(LogFilter *filter)
{
	memset(filter, 0, sizeof(LogFilter));
	filter->most = LEVEL_CRITICAL;
	filter->since = INT64_MIN;
	filter->until = INT64_MAX;
}

/* Only logs from this time on. */
bool
log_filter_since(LogFilter *filter, int64_t time)
{
	filter->since = time;
	format_time_utc(filter->start_text, time);
	filter->start_time = filter->start_text;
	return filter->since <= filter->until;
}

/* Only logs up to this time. */
bool
log_filter_until(LogFilter *filter, int64_t time)
{
	filter->until = time;
	format_time_utc(filter->end_text, time);
	filter->end_time = filter->end_text;
	return filter->since <= filter->until;
}

/* ---- searching ---- */

/* Append text in lower case. */
static void
append_lower(Buffer *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len;)
	{
		uint32_t	code;
		int			bytes = text_decode(text + i, len - i, &code);

		if (bytes <= 1 && (bytes == 0 || code < 0x80))
		{
			char		c = text[i];

			buffer_char(out, c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
			i++;
			continue;
		}
		buffer_code_point(out, towlower(code));
		i += bytes;
	}
}

/* Split the search text into words in lower case; false if there are too many. */
static bool
split_words(LogFilter *filter)
{
	Buffer		lower = {0};

	append_lower(&lower, filter->search, strlen(filter->search));
	for (char *word = strtok(buffer_text(&lower), " \t\r\n"); word; word = strtok(NULL, " \t\r\n"))
	{
		if (filter->word_count == MAX_SEARCH_WORDS)
			return false;
		filter->words[filter->word_count++] = word; /* the buffer is kept for them */
	}
	return true;
}

/* Note which words a field has. */
static void
find_words(const LogFilter *filter, const JsonValue *field, bool *found)
{
	static Buffer text;
	static Buffer lower;

	if (field->kind != JSON_STRING)
		return;
	buffer_clear(&text);
	buffer_clear(&lower);
	json_decode(&text, field);
	append_lower(&lower, text.data, text.len);
	for (int i = 0; i < filter->word_count; i++)
		if (!found[i])
			found[i] = strstr(buffer_text(&lower), filter->words[i]) != NULL;
}

/* Does every word occur in one of the two messages? */
static bool
search_matches(const LogFilter *filter, const LogEntry *log)
{
	bool		found[MAX_SEARCH_WORDS] = {false};

	find_words(filter, &log->field[LOG_TECHNICAL_MESSAGE], found);
	find_words(filter, &log->field[LOG_USER_FRIENDLY_MESSAGE], found);
	for (int i = 0; i < filter->word_count; i++)
		if (!found[i])
			return false;
	return true;
}

/* ---- the whole filter ---- */

/* Make it ready to be used.  NULL, or what is wrong with it. */
const char *
log_filter_prepare(LogFilter *filter)
{
	if (filter->level)
	{
		if (!parse_level(filter->level, &filter->least))
			return "there is no such level; there are debug, info, warning, error and critical";
		filter->most = filter->least;
	}
	if (filter->min_level && !parse_level(filter->min_level, &filter->least))
		return "there is no such level; there are debug, info, warning, error and critical";
	if (filter->since > filter->until)
		return "the time of --since is after that of --until";
	if (filter->category && strcmp(filter->category, "technical") != 0 &&
		strcmp(filter->category, "business") != 0)
		return "a category is technical or business";
	if (filter->search)
	{
		if (!split_words(filter))
			return "at most 20 words can be searched for";
		if (filter->word_count == 0)
			return "there is no word to be searched for";
	}
	if ((filter->node_id && !filter->node_id[0]) || (filter->source && !filter->source[0]))
		return "a task or source cannot be empty";
	filter->filters = filter->level || filter->min_level || filter->start_time || filter->end_time ||
		filter->category || filter->event_type || filter->node_id || filter->source ||
		filter->attempt || filter->search || filter->milestones_only;
	return NULL;
}

/* Is a field this text? */
static bool
field_equals(const JsonValue *field, const char *text)
{
	static Buffer decoded;

	if (json_is(field, text) && memchr(field->text, '\\', field->len) == NULL)
		return true;
	if (field->kind != JSON_STRING || memchr(field->text, '\\', field->len) == NULL)
		return false;
	buffer_clear(&decoded);
	json_decode(&decoded, field);
	return strcmp(buffer_text(&decoded), text) == 0;
}

/* Is a log wanted?  As log_filter_matches() of the server says. */
bool
log_filter_matches(const LogFilter *filter, const LogEntry *log)
{
	if (!filter->filters)
		return true;
	if (log->level < filter->least || log->level > filter->most)
		return false;
	if (log->has_time && (log->time < filter->since || log->time > filter->until))
		return false;
	if (filter->category && !field_equals(&log->field[LOG_LOG_CATEGORY], filter->category))
		return false;
	if (filter->event_type && !field_equals(&log->field[LOG_EVENT_TYPE], filter->event_type))
		return false;
	if (filter->node_id && !field_equals(&log->field[LOG_NODE_ID], filter->node_id))
		return false;
	if (filter->source && !field_equals(&log->field[LOG_SOURCE], filter->source))
		return false;
	if (filter->attempt && (log->field[LOG_ATTEMPT].kind != JSON_NUMBER ||
							atoi(log->field[LOG_ATTEMPT].text) != atoi(filter->attempt)))
		return false;
	if (filter->milestones_only && log->field[LOG_IS_MILESTONE].kind != JSON_TRUE)
		return false;
	return filter->word_count == 0 || search_matches(filter, log);
}

/* The arguments for LOG_FILTER_SQL. */
void
log_filter_values(const LogFilter *filter, const char **values)
{
	values[0] = filter->level;
	values[1] = filter->min_level;
	values[2] = filter->start_time;
	values[3] = filter->end_time;
	values[4] = filter->category;
	values[5] = filter->event_type;
	values[6] = filter->node_id;
	values[7] = filter->source;
	values[8] = filter->attempt;
	values[9] = filter->milestones_only ? "true" : NULL;
	values[10] = filter->search;
}
