/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  What users write as text: levels, event types, statuses, times, ids.
 *
 * Everything here is refused with 22023, times with 22007, and the message
 * names the value.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "mb/pg_wchar.h"
#include "utils/datetime.h"

/* Find text among the labels in any case; -1 if it is none of them. */
static int
find_label(WflogEnum which, int count, const char *text)
{
	for (int i = 0; i < count; i++)
		if (pg_strcasecmp(text, wflog_enum_label(which, i)) == 0)
			return i;
	return -1;
}

/* A level by name in any case; WARN, FATAL and TRACE are understood too. */
WflogLevel
wflog_parse_level(const char *text)
{
	int			level = find_label(WFLOG_LEVEL_ENUM, LEVEL_COUNT, text);

	if (level >= 0)
		return level;
	if (pg_strcasecmp(text, "WARN") == 0)
		return LEVEL_WARNING;
	if (pg_strcasecmp(text, "FATAL") == 0)
		return LEVEL_CRITICAL;
	if (pg_strcasecmp(text, "TRACE") == 0)
		return LEVEL_DEBUG;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a log level", text),
			 errhint("Levels are DEBUG, INFO, WARNING, ERROR and CRITICAL.")));
}

/* An event type by name in any case. */
WflogEventType
wflog_parse_event_type(const char *text)
{
	int			type = find_label(WFLOG_EVENT_TYPE_ENUM, EVENT_TYPE_COUNT, text);

	if (type >= 0)
		return type;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not an event type", text),
			 errhint("Event types are workflow_started, workflow_completed, workflow_progress, "
					 "step_started, step_input, step_output, step_completed, step_error, "
					 "separator and log.")));
}

/* An execution's status by name in any case. */
WflogStatus
wflog_parse_status(const char *text)
{
	int			status = find_label(WFLOG_STATUS_ENUM, STATUS_COUNT, text);

	if (status >= 0)
		return status;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not an execution status", text),
			 errhint("Statuses are NEW, PENDING, RUNNING, PAUSED, WAITING_FOR_HUMAN, SUCCESS, "
					 "FAILED and CANCELLED.")));
}

/* Report a time that cannot be read. */
static void
bad_time(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
			 errmsg("\"%s\" is not a time", text),
			 errhint("Write it as in 2026-01-31T12:00:00Z; without a zone it is UTC.")));
}

/*
 * A time as timestamptz_in reads it, but UTC and not TimeZone where it has no
 * zone, so that a stored log does not depend on the session's settings.
 * Infinite times are refused: no log has one.
 */
TimestampTz
wflog_parse_time(const char *text)
{
	char		workbuf[MAXDATELEN + MAXDATEFIELDS];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nf;
	int			dtype;
	int			tz;
	fsec_t		fsec;
	struct pg_tm tm;
	TimestampTz result;
	pg_tz	   *saved = session_timezone;
	int			error;

	if (ParseDateTime(text, workbuf, sizeof(workbuf), field, ftype, MAXDATEFIELDS, &nf) != 0)
		bad_time(text);

	/* The decoder asks session_timezone and reports errors by its result. */
	session_timezone = pg_tzset("GMT");
	PG_TRY();
	{
		error = wflog_decode_datetime(field, ftype, nf, &dtype, &tm, &fsec, &tz);
	}
	PG_FINALLY();
	{
		session_timezone = saved;
	}
	PG_END_TRY();

	if (error != 0)
		bad_time(text);
	if (dtype == DTK_EPOCH)
		return SetEpochTimestamp();
	if (dtype != DTK_DATE || tm2timestamp(&tm, fsec, &tz, &result) != 0)
		bad_time(text);
	return result;
}

/* Refuse an execution id that is empty or longer than the column. */
void
wflog_check_execution_id(const char *id, int len)
{
	int			chars;

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("execution_id must not be empty")));
	if (len <= WFLOG_MAX_EXECUTION_ID)
		return;
	chars = pg_mbstrlen_with_len(id, len);
	if (chars > WFLOG_MAX_EXECUTION_ID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("execution_id \"%.*s...\" is too long: %d characters",
						pg_mbcliplen(id, len, 40), id, chars),
				 errdetail("At most %d characters are allowed.", WFLOG_MAX_EXECUTION_ID)));
}
