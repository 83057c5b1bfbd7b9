/*-------------------------------------------------------------------------
 *
 * logentry.h
 *	  A log as the server gives it (LogEntry), and the ways to show it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LOGENTRY_H
#define WFLOG_LOGENTRY_H

#include "jsonscan.h"
#include "timeparse.h"

/* The fields of LogEntry; CSV has them in this order. */
typedef enum LogField
{
	LOG_TIMESTAMP,
	LOG_LEVEL,
	LOG_EVENT_TYPE,
	LOG_EXECUTION_ID,
	LOG_NODE_ID,
	LOG_ATTEMPT,
	LOG_SOURCE,
	LOG_MESSAGE,
	LOG_TECHNICAL_MESSAGE,
	LOG_USER_FRIENDLY_MESSAGE,
	LOG_IS_MILESTONE,
	LOG_PROGRESS_PERCENTAGE,
	LOG_NODE_NAME,
	LOG_NODE_TYPE,
	LOG_STEP_NUMBER,
	LOG_TOTAL_STEPS,
	LOG_DURATION_SECONDS,
	LOG_LOG_CATEGORY,
	LOG_DISPLAY_PRIORITY,
	LOG_TRACE_ID,
	LOG_SPAN_ID,
	LOG_ORIGINAL_SIZE,
	LOG_DATA,
	LOG_ID,
	LOG_STACK_TRACE,
	LOG_TECHNICAL_DETAILS,
	LOG_PERFORMANCE_METRICS
} LogField;

#define LOG_FIELDS (LOG_PERFORMANCE_METRICS + 1)
#define LOG_CSV_FIELDS (LOG_ID + 1) /* the rest is there only with detail */

typedef enum Level
{
	LEVEL_DEBUG,
	LEVEL_INFO,
	LEVEL_WARNING,
	LEVEL_ERROR,
	LEVEL_CRITICAL
} Level;

/* A log; everything points into the text it was read from. */
typedef struct LogEntry
{
	JsonValue	field[LOG_FIELDS];	/* JSON_MISSING where it has none */
	JsonValue	whole;
	int64_t		time;
	bool		has_time;		/* it is in the years that time can say */
	Level		level;
} LogEntry;

/* Where a log is in the order of pages. */
typedef struct Position
{
	bool		valid;
	char		timestamp[40];
	char		id[40];
} Position;

extern bool log_parse(LogEntry *log, const JsonValue *object);
extern bool parse_level(const char *name, Level *level);
extern const char *level_name(Level level);
extern const char *log_field_name(LogField field);
extern void log_position(Position *position, const LogEntry *log);
extern int	position_compare(const Position *a, const Position *b);

/* ---- logformat.c, logtext.c: showing them ---- */

typedef enum LogFormat
{
	FORMAT_TEXT,
	FORMAT_RAW,
	FORMAT_JSON,
	FORMAT_NDJSON,
	FORMAT_CSV
} LogFormat;

typedef struct LogStyle
{
	LogFormat	format;
	bool		timestamps;		/* -t: in full, and also in front of raw */
	bool		utc;
	bool		with_execution; /* say which execution a log belongs to */
	bool		json_lines;		/* of FORMAT_JSON: one object a line, no array */
} LogStyle;

extern bool parse_log_format(const char *name, LogFormat *format);
extern void show_begin(const LogStyle *style);
extern void show_log(const LogStyle *style, const char *execution_id, const LogEntry *log);
extern void show_end(const LogStyle *style);
extern void show_log_text(const LogStyle *style, const char *execution_id, const LogEntry *log);
extern void show_time(Buffer *out, const LogEntry *log, bool utc, int digits);
extern int64_t local_time(int64_t time, bool utc);
extern void show_text_reset(void);

#endif							/* WFLOG_LOGENTRY_H */
