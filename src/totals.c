/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  Adding up an execution's logs.
 *
 * Logs are added in any order, and so is what has been added up before; what
 * depends on time is decided by comparing positions.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "totals.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* In front of what totals_encode() writes. */
#define FORMAT 1

/* Nothing yet.  Details live in the current memory context. */
void
totals_init(LogTotals *totals, bool by_day, bool details)
{
	memset(totals, 0, sizeof(*totals));
	totals->by_day = by_day;
	totals->details = details;
	if (details)
		totals->nodes = nodes_new();
}

/* The day, UTC, of a time, counted from 2000-01-01. */
int32
day_of(TimestampTz time)
{
	return (int32) (time / USECS_PER_DAY - (time % USECS_PER_DAY < 0 ? 1 : 0));
}

/* The counts of a day. */
static LogCounts *
find_day(LogTotals *totals, int32 day)
{
	if (totals->day_count > 0 && totals->days[totals->last_day].day == day)
		return &totals->days[totals->last_day].counts;
	for (int i = 0; i < totals->day_count; i++)
		if (totals->days[i].day == day)
		{
			totals->last_day = i;
			return &totals->days[i].counts;
		}
	if (totals->day_count == totals->day_room)
	{
		totals->day_room = totals->day_room ? totals->day_room * 2 : 4;
		totals->days = totals->days ?
			repalloc_huge(totals->days, sizeof(DayCounts) * totals->day_room) :
			palloc(sizeof(DayCounts) * totals->day_room);
	}
	totals->last_day = totals->day_count++;
	memset(&totals->days[totals->last_day], 0, sizeof(DayCounts));
	totals->days[totals->last_day].day = day;
	return &totals->days[totals->last_day].counts;
}

/* Add counts to others. */
void
counts_add(LogCounts *counts, const LogCounts *more)
{
	if (more->total == 0)
		return;
	if (counts->total == 0 || more->first < counts->first)
		counts->first = more->first;
	if (counts->total == 0 || more->last > counts->last)
		counts->last = more->last;
	counts->total += more->total;
	for (int i = 0; i < LEVEL_COUNT; i++)
		counts->levels[i] += more->levels[i];
	for (int i = 0; i < EVENT_TYPE_COUNT; i++)
		counts->event_types[i] += more->event_types[i];
	counts->milestones += more->milestones;
}

/* Count a log. */
static inline void
count_log(LogCounts *counts, TimestampTz at, int level, int event_type, bool milestone)
{
	if (counts->total == 0 || at < counts->first)
		counts->first = at;
	if (counts->total == 0 || at > counts->last)
		counts->last = at;
	counts->total++;
	counts->levels[level]++;
	counts->event_types[event_type]++;
	if (milestone)
		counts->milestones++;
}

/*
 * Does a log say how far its execution is, by progress_percentage or by
 * step_number of total_steps?  If so, *percent is that as JSON, palloc'd.
 */
bool
log_progress(TupleTableSlot *slot, char **percent)
{
	bool		isnull;
	bool		no_step;
	Datum		progress = slot_getattr(slot, Anum_log_progress_percentage, &isnull);
	int			step = DatumGetInt32(slot_getattr(slot, Anum_log_step_number, &no_step));
	int			total;
	StringInfoData buf;

	if (!isnull)
	{
		*percent = DatumGetCString(DirectFunctionCall1(numeric_out, progress));
		return true;
	}
	if (no_step)
		return false;
	total = DatumGetInt32(slot_getattr(slot, Anum_log_total_steps, &isnull));
	if (isnull || total <= 0 || step > total)
		return false;
	initStringInfo(&buf);
	json_double(&buf, (int) (10000.0 * step / total) / 100.0);
	*percent = buf.data;
	return true;
}

/* Let a log's progress count if it is the latest that has any. */
static void
add_progress(Progress *known, TupleTableSlot *slot, const PagePosition *at)
{
	char	   *percent;

	if ((known->known && compare_positions(at, &known->at) < 0) || !log_progress(slot, &percent))
		return;
	if (known->known)
		pfree(known->percent);
	known->known = true;
	known->at = *at;
	known->percent = percent;
}

/* Add a log; a LogVisitor. */
void
totals_add_log(TupleTableSlot *slot, void *arg)
{
	LogTotals  *totals = arg;
	TimestampTz created_at;
	bool		isnull;
	bool		milestone;
	int			level;
	int			event_type;

	slot_getsomeattrs(slot, Anum_log_attempt);
	created_at = DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull));
	level = wflog_enum_value(WFLOG_LEVEL_ENUM,
							 DatumGetObjectId(slot_getattr(slot, Anum_log_level, &isnull)));
	event_type = wflog_enum_value(WFLOG_EVENT_TYPE_ENUM,
								  DatumGetObjectId(slot_getattr(slot, Anum_log_event_type, &isnull)));
	milestone = DatumGetBool(slot_getattr(slot, Anum_log_is_milestone, &isnull));
	count_log(&totals->counts, created_at, level, event_type, milestone);
	if (totals->by_day)
		count_log(find_day(totals, day_of(created_at)), created_at, level, event_type, milestone);
	if (totals->details)
	{
		PagePosition at = log_position(slot);

		if (!slot->tts_isnull[Anum_log_node_id - 1])
			nodes_add_log(totals->nodes, slot, event_type, &at);
		if (milestone)
			milestones_add_log(&totals->milestones, slot, event_type, &at);
		if (!slot->tts_isnull[Anum_log_progress_percentage - 1] ||
			!slot->tts_isnull[Anum_log_step_number - 1])
			add_progress(&totals->progress, slot, &at);
	}
}

static void
encode_counts(StringInfo buf, const LogCounts *counts)
{
	put_unsigned(buf, counts->total);
	for (int i = 0; i < LEVEL_COUNT; i++)
		put_unsigned(buf, counts->levels[i]);
	for (int i = 0; i < EVENT_TYPE_COUNT; i++)
		put_unsigned(buf, counts->event_types[i]);
	put_unsigned(buf, counts->milestones);
	put_signed(buf, counts->first);
	put_unsigned(buf, counts->last - counts->first);
}

static void
decode_counts(Decoder *decoder, LogCounts *counts)
{
	counts->total = get_unsigned(decoder);
	for (int i = 0; i < LEVEL_COUNT; i++)
		counts->levels[i] = get_unsigned(decoder);
	for (int i = 0; i < EVENT_TYPE_COUNT; i++)
		counts->event_types[i] = get_unsigned(decoder);
	counts->milestones = get_unsigned(decoder);
	counts->first = get_signed(decoder);
	counts->last = counts->first + (int64) get_unsigned(decoder);
}

/* Totals by day and with details as bytes; but not the milestones themselves. */
bytea *
totals_encode(const LogTotals *totals)
{
	StringInfoData buf;

	initStringInfo(&buf);
	buf.len = VARHDRSZ;
	put_unsigned(&buf, FORMAT);
	put_unsigned(&buf, totals->day_count);
	for (int i = 0; i < totals->day_count; i++)
	{
		put_signed(&buf, totals->days[i].day);
		encode_counts(&buf, &totals->days[i].counts);
	}
	put_unsigned(&buf, totals->progress.known);
	if (totals->progress.known)
	{
		put_position(&buf, &totals->progress.at);
		put_bytes(&buf, totals->progress.percent, strlen(totals->progress.percent));
	}
	nodes_encode(&buf, totals->nodes);
	SET_VARSIZE(buf.data, buf.len);
	return (bytea *) buf.data;
}

/* Add what totals_encode() has written. */
void
totals_add_encoded(LogTotals *totals, const char *data, int len)
{
	Decoder		decoder = {data, data + len};
	uint64		days;

	if (get_unsigned(&decoder) != FORMAT)
		decode_failed();
	days = get_unsigned(&decoder);
	for (uint64 i = 0; i < days; i++)
	{
		int32		day = (int32) get_signed(&decoder);
		LogCounts	counts;

		decode_counts(&decoder, &counts);
		counts_add(&totals->counts, &counts);
		if (totals->by_day)
			counts_add(find_day(totals, day), &counts);
	}
	if (!totals->details)
		return;
	if (get_unsigned(&decoder))
	{
		Progress	progress = {.known = true};
		int			percent_len;
		const char *percent;

		progress.at = get_position(&decoder);
		percent = get_bytes(&decoder, &percent_len);
		if (!totals->progress.known || compare_positions(&progress.at, &totals->progress.at) > 0)
		{
			progress.percent = pnstrdup(percent, percent_len);
			totals->progress = progress;
		}
	}
	nodes_add_encoded(totals->nodes, &decoder);
}

/* Logs of level ERROR and above. */
int64
counts_errors(const LogCounts *counts)
{
	return counts->levels[LEVEL_ERROR] + counts->levels[LEVEL_CRITICAL];
}

/* Write counts by name, those that are not zero. */
static void
write_counts(StringInfo buf, const int64 *counts, int n, WflogEnum which)
{
	const char *comma = "";

	json_literal(buf, "{");
	for (int i = 0; i < n; i++)
		if (counts[i] > 0)
		{
			appendStringInfo(buf, "%s\"%s\":" INT64_FORMAT, comma, wflog_enum_lower(which, i),
							 counts[i]);
			comma = ",";
		}
	json_literal(buf, "}");
}

/* {"info": 45, "error": 2} */
void
json_levels(StringInfo buf, const int64 *levels)
{
	write_counts(buf, levels, LEVEL_COUNT, WFLOG_LEVEL_ENUM);
}

/* {"step_started": 10} */
void
json_event_types(StringInfo buf, const int64 *event_types)
{
	write_counts(buf, event_types, EVENT_TYPE_COUNT, WFLOG_EVENT_TYPE_ENUM);
}
