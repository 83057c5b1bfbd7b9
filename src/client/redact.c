/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Masks secrets in what a child process prints.
 *
 * There are values, found byte by byte, and patterns, POSIX extended regular
 * expressions that are matched byte by byte too, whatever the locale.  All of
 * them are looked for in the text as it was; matches that overlap or touch
 * are masked as one.  So nothing depends on the order in which they were
 * given, and a mask is never searched.
 *
 * A line is masked whole when its end has come.  Of one that is longer than
 * REDACT_WINDOW, what no later byte can change is given on:
 *
 *	  held:  [context][ safe ............ ][ horizon ]
 *
 * The horizon is as long as the longest value and no match that touches the
 * end of what is held is given on before it is known to end.  If such a match
 * fills the window, it is masked now and its first bytes are kept as context,
 * so that the same match is found again in front of what comes next, and
 * masks that too without writing another mask.
 *
 *-------------------------------------------------------------------------
 */
#include "redact.h"

#include <locale.h>
#include <regex.h>
#include <stdlib.h>

#include "encode.h"

#define PATTERN_HORIZON 4096	/* bytes in which a match may still come to be */
#define CONTEXT_BYTES 1024		/* kept of a match that goes on */
#define SHORTEST_LINE_OF_VALUE 4	/* lines of a value with several that are masked alone */

typedef struct Match
{
	size_t		begin;
	size_t		end;
} Match;

struct Redactor
{
	Buffer	   *values;
	int			value_count;
	regex_t    *patterns;
	int			pattern_count;
	size_t		longest_value;
	locale_t	bytewise;
	Match	   *matches;
	size_t		match_count;
	size_t		match_room;
};

/* Make one that masks nothing yet. */
Redactor *
redactor_create(void)
{
	Redactor   *redactor = xmalloc(sizeof(Redactor));

	memset(redactor, 0, sizeof(Redactor));
	redactor->bytewise = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
	return redactor;
}

void
redactor_free(Redactor *redactor)
{
	for (int i = 0; i < redactor->value_count; i++)
		buffer_free(&redactor->values[i]);
	for (int i = 0; i < redactor->pattern_count; i++)
		regfree(&redactor->patterns[i]);
	free(redactor->values);
	free(redactor->patterns);
	free(redactor->matches);
	freelocale(redactor->bytewise);
	free(redactor);
}

/* Does it mask anything? */
bool
redactor_is_needed(const Redactor *redactor)
{
	return redactor->value_count + redactor->pattern_count > 0;
}

/* Add a regular expression; false, with what is wrong, if it is none. */
bool
redactor_add_pattern(Redactor *redactor, const char *pattern, char *problem, size_t size)
{
	locale_t	before = uselocale(redactor->bytewise);
	regex_t    *regex;
	int			error;

	redactor->patterns = xrealloc(redactor->patterns,
								  (redactor->pattern_count + 1) * sizeof(regex_t));
	regex = &redactor->patterns[redactor->pattern_count];
	error = regcomp(regex, pattern, REG_EXTENDED);
	if (error)
		regerror(error, regex, problem, size);
	else
		redactor->pattern_count++;
	uselocale(before);
	return error == 0;
}

/* Add some bytes to the values, unless they are there. */
static void
add_bytes(Redactor *redactor, const char *bytes, size_t len)
{
	Buffer	   *value;

	if (len == 0)
		return;
	for (int i = 0; i < redactor->value_count; i++)
		if (redactor->values[i].len == len && memcmp(redactor->values[i].data, bytes, len) == 0)
			return;
	redactor->values = xrealloc(redactor->values, (redactor->value_count + 1) * sizeof(Buffer));
	value = &redactor->values[redactor->value_count++];
	memset(value, 0, sizeof(Buffer));
	buffer_append(value, bytes, len);
	if (len > redactor->longest_value)
		redactor->longest_value = len;
}

/*
 * Add a value: as it is, and as it reads within a JSON string.  Since lines
 * are looked at one by one, each line of a value with several (a private key)
 * counts for itself, but for the very short ones.
 */
void
redactor_add_value(Redactor *redactor, const char *value)
{
	bool		several = strchr(value, '\n') != NULL;
	const char *line = value;
	Buffer		quoted = {0};

	for (;;)
	{
		size_t		len = strcspn(line, "\n");
		size_t		bare = len > 0 && line[len - 1] == '\r' ? len - 1 : len;

		if (!several || bare >= SHORTEST_LINE_OF_VALUE)
			add_bytes(redactor, line, bare);
		if (line[len] == '\0')
			break;
		line += len + 1;
	}
	encode_json(&quoted, value, strlen(value));
	add_bytes(redactor, quoted.data + 1, quoted.len - 2);
	buffer_free(&quoted);
}

static void
add_match(Redactor *redactor, size_t begin, size_t end)
{
	if (redactor->match_count == redactor->match_room)
	{
		redactor->match_room = redactor->match_room * 2 + 16;
		redactor->matches = xrealloc(redactor->matches, redactor->match_room * sizeof(Match));
	}
	redactor->matches[redactor->match_count++] = (Match) {begin, end};
}

static int
compare_matches(const void *a, const void *b)
{
	const Match *x = a;
	const Match *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

/* Find what a pattern matches. */
static void
match_pattern(Redactor *redactor, const regex_t *regex, const char *text, size_t len, int flags)
{
	size_t		at = 0;

	while (at < len)
	{
		regmatch_t	found = {.rm_so = (regoff_t) at,.rm_eo = (regoff_t) len};

		if (regexec(regex, text, 1, &found, flags | REG_STARTEND) != 0)
			break;
		if (found.rm_eo > found.rm_so)
			add_match(redactor, found.rm_so, found.rm_eo);
		at = found.rm_eo > found.rm_so ? found.rm_eo : found.rm_eo + 1;
		flags |= REG_NOTBOL;
	}
}

/* Find all matches, in order and merged. */
static void
find_matches(Redactor *redactor, const char *text, size_t len, bool is_begin, bool is_end)
{
	size_t		kept = 0;

	redactor->match_count = 0;
	for (int i = 0; i < redactor->value_count; i++)
	{
		const Buffer *value = &redactor->values[i];
		const char *at = text;
		const char *found;

		/* also where it overlaps itself */
		while ((found = memmem(at, text + len - at, value->data, value->len)) != NULL)
		{
			add_match(redactor, found - text, found - text + value->len);
			at = found + 1;
		}
	}
	if (redactor->pattern_count > 0)
	{
		locale_t	before = uselocale(redactor->bytewise);
		int			flags = (is_begin ? 0 : REG_NOTBOL) | (is_end ? 0 : REG_NOTEOL);

		for (int i = 0; i < redactor->pattern_count; i++)
			match_pattern(redactor, &redactor->patterns[i], text, len, flags);
		uselocale(before);
	}

	if (redactor->match_count == 0)
		return;
	qsort(redactor->matches, redactor->match_count, sizeof(Match), compare_matches);
	for (size_t i = 1; i < redactor->match_count; i++)
	{
		Match	   *last = &redactor->matches[kept];
		Match	   *next = &redactor->matches[i];

		if (next->begin > last->end)
			redactor->matches[++kept] = *next;
		else if (next->end > last->end)
			last->end = next->end;
	}
	redactor->match_count = kept + 1;
}

/* Append a text with its secrets masked. */
void
redact_text(Redactor *redactor, const char *text, size_t len, Buffer *out)
{
	RedactLine	line = {0};

	redact_feed(redactor, &line, text, len, true, out);
	buffer_free(&line.held);
}

/* Give on what is held up to "stop", which is in no match but at its borders. */
static void
give_on(Redactor *redactor, RedactLine *line, size_t stop, Buffer *out)
{
	const char *held = line->held.data;
	size_t		at = line->context;

	for (size_t i = 0; i < redactor->match_count && redactor->matches[i].begin < stop; i++)
	{
		const Match *match = &redactor->matches[i];

		if (match->end <= line->context)
			continue;
		if (match->begin > at)
			buffer_append(out, held + at, match->begin - at);
		/* what goes on from the context has its mask */
		if (match->begin >= line->context)
			buffer_string(out, REDACT_MASK);
		at = match->end;
	}
	if (stop > at)
		buffer_append(out, held + at, stop - at);
	buffer_consume(&line->held, stop);
	line->context = 0;
	line->started = true;
}

/*
 * Take more of a line, without line feeds, and append to "out" what can be
 * given on, masked; at the line's end that is all.
 */
void
redact_feed(Redactor *redactor, RedactLine *line, const char *text, size_t len, bool end,
			Buffer *out)
{
	size_t		horizon;
	size_t		stop;
	Match	   *last;

	buffer_append(&line->held, text, len);
	if (end)
	{
		find_matches(redactor, buffer_text(&line->held), line->held.len, !line->started, true);
		give_on(redactor, line, line->held.len, out);
		line->started = false;
		return;
	}
	if (line->held.len < REDACT_WINDOW)
		return;

	horizon = redactor->pattern_count > 0 ? PATTERN_HORIZON : 0;
	if (redactor->longest_value > horizon)
		horizon = redactor->longest_value;
	if (line->held.len < 2 * horizon)
		return;					/* a value longer than the window */
	find_matches(redactor, buffer_text(&line->held), line->held.len, !line->started, false);
	last = redactor->match_count > 0 ? &redactor->matches[redactor->match_count - 1] : NULL;
	stop = line->held.len - horizon;

	/* a match across the stop, or one that might grow, stays whole */
	for (size_t i = redactor->match_count; i-- > 0;)
	{
		Match	   *match = &redactor->matches[i];

		if (match->end < stop)
			break;
		if (match->begin < stop)
			stop = match->begin;
	}
	if (stop > line->context)
	{
		give_on(redactor, line, stop, out);
		return;
	}

	/*
	 * A match from the front on, which leaves no room: mask it, and keep its
	 * beginning as context.
	 */
	if (last != NULL)
	{
		Match	   *first = &redactor->matches[0];
		size_t		context = CONTEXT_BYTES > redactor->longest_value ?
			CONTEXT_BYTES : redactor->longest_value;

		if (first->begin >= line->context)
			buffer_string(out, REDACT_MASK);
		if (context > first->end)
			context = first->end;
		line->started = line->started || first->begin > 0;
		buffer_consume(&line->held, first->begin);
		first->end -= first->begin;
		memmove(line->held.data + context, line->held.data + first->end,
				line->held.len - first->end);
		line->held.len -= first->end - context;
		line->context = context;
	}
}
