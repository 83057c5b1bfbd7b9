/*-------------------------------------------------------------------------
 *
 * ingest.h
 *	  Logs that a client sends, on their way to the database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_GATEWAY_INGEST_H
#define WFLOG_GATEWAY_INGEST_H

#include "client.h"

/* A body, and what is made of it: a line for each log, as append_lines() takes them. */
typedef struct LogBatch
{
	const char *execution;		/* of all of them; NULL: each names its own */
	const char *trace_id;		/* of those that have none; NULL: none */
	const char *span_id;		/* goes with it */
	Buffer		lines;
	int64		count;
	/* if it is refused */
	const char *problem;
	const char *field;			/* of the log that is wrong; or NULL */
	int64		index;			/* of that log, from 0; -1: the body is no batch at all */
} LogBatch;

extern bool batch_read_json(LogBatch *batch, const char *bytes, size_t len);
extern bool batch_read_lines(LogBatch *batch, const char *bytes, size_t len);
extern void batch_free(LogBatch *batch);

#endif							/* WFLOG_GATEWAY_INGEST_H */
