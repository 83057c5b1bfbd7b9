/*-------------------------------------------------------------------------
 *
 * inspect.h
 *	  Everything about one execution, for wflog inspect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_INSPECT_H
#define WFLOG_INSPECT_H

#include "client.h"
#include "logentry.h"

#define STEP_LINES 3			/* of a step's output, the last ones */

/* An attempt at a step: a node_id with an attempt. */
typedef struct Step
{
	char	   *node_id;
	char	   *node_name;
	int			attempt;
	bool		has_attempt;	/* its logs say so, and not only we */
	int			number;			/* step_number, total_steps; 0: not said */
	int			total;
	int64_t		started;		/* INT64_MIN: not known */
	int64_t		ended;
	int64_t		duration;		/* microseconds; -1: not known */
	const char *outcome;		/* running, completed, failed, or "" */
	char	   *input;			/* data of the last step_input, or its message */
	char	   *output_data;	/* data of the last step_completed; NULL: none */
	char	   *error;			/* message of the last step_error; NULL: none */
	char	   *lines[STEP_LINES];	/* LogEntry of the last step_outputs; NULL: fewer */
} Step;

/* All of it, as the server gave it in one go or shortly one after the other. */
typedef struct Inspection
{
	char	   *execution;		/* JSON of wflog.execution() */
	char	   *summary;		/* JSON of wflog.summary() */
	int64_t		now;			/* the server's clock */
	Step	   *steps;
	int			step_count;
	bool		steps_missing;	/* there were more than we have read */
	char	   *error_page;		/* JSON: the last error, in detail */
	PGresult   *audit;			/* created_at, event_type, actor, metadata */
} Inspection;

extern void inspect(Inspection *inspection, Connection *connection, const char *execution_id);
extern void inspection_free(Inspection *inspection);
extern void show_inspection(const Inspection *inspection, bool utc, Buffer *out);
extern void show_inspection_json(const Inspection *inspection, Buffer *out);

/* inspect_show.c and inspect_steps.c, for each other */
extern size_t inspect_room(size_t used);
extern void inspect_heading(Buffer *out, const char *name);
extern void inspect_show_steps(Buffer *out, const Inspection *inspection, const JsonValue *summary);

#endif							/* WFLOG_INSPECT_H */
