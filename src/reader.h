/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  What the reading functions share: arguments and access.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_READER_H
#define WFLOG_READER_H

#include "log_scan.h"

/* An execution that the asker may read. */
typedef struct ReadableExecution
{
	ExecutionKey key;
	bool		registered;
	WflogExecution row;			/* if registered */
} ReadableExecution;

extern bool find_readable_execution(FunctionCallInfo fcinfo, int arg, ReadableExecution *execution);
extern void no_such_execution(const char *id);
extern void require_execution(FunctionCallInfo fcinfo, int arg, ReadableExecution *execution);
extern char *require_workflow(FunctionCallInfo fcinfo, int arg);
extern int	row_limit_arg(FunctionCallInfo fcinfo, int arg, int unset, int max);
extern int64 skip_arg(FunctionCallInfo fcinfo, int arg);
extern char *text_arg(FunctionCallInfo fcinfo, int arg);
extern bool bool_arg(FunctionCallInfo fcinfo, int arg, bool unset);

/* stream_cursor.c: the cursor with which a stream goes on after what a snapshot shows */
extern char *stream_cursor_after_snapshot(const ExecutionKey *key, bool ended);

#endif							/* WFLOG_READER_H */
