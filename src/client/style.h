/*-------------------------------------------------------------------------
 *
 * style.h
 *	  Small pieces of what people read: colours, counts, durations, bars.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STYLE_H
#define WFLOG_STYLE_H

#include "jsonscan.h"
#include "output.h"
#include "timeparse.h"

#define STYLE_DIM "\033[2m"
#define STYLE_BOLD "\033[1m"
#define STYLE_RED "\033[31m"
#define STYLE_GREEN "\033[32m"
#define STYLE_YELLOW "\033[33m"
#define STYLE_CYAN "\033[36m"
#define STYLE_RESET "\033[0m"

/* Switch to a colour, or back with STYLE_RESET, if there are colours. */
static inline void
paint(Buffer *out, const char *color)
{
	if (output.color)
		buffer_string(out, color);
}

extern void style_text(Buffer *out, const char *text, size_t len);
extern void style_value(Buffer *out, const JsonValue *value);
extern void style_fitted(Buffer *out, const char *text, size_t len, size_t width);
extern void style_column(Buffer *out, const char *text, size_t len, size_t width);
extern void style_count(Buffer *out, long long count);
extern void style_duration(Buffer *out, int64_t microseconds);
extern void style_time(Buffer *out, int64_t time, bool utc, bool with_date);
extern void style_bar(Buffer *out, double percent, int width);
extern const char *status_color(const char *status);
extern bool value_time(const JsonValue *value, int64_t *time);
extern long long value_number(const JsonValue *value);

#endif							/* WFLOG_STYLE_H */
