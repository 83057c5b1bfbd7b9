/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  Page cursors and stream cursors as text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CURSOR_H
#define WFLOG_CURSOR_H

#include "access/xlogdefs.h"
#include "xact_set.h"

/* A place among an execution's logs in page order. */
typedef struct PagePosition
{
	TimestampTz created_at;
	pg_uuid_t	id;
} PagePosition;

/*
 * How far a stream has been read: all logs of the transactions in seen, and,
 * if inside is true, those of transaction xact up to seq, which is being
 * delivered as part of the set batch.  If not inside, xact and seq are merely
 * those of the log delivered last.  xact is 0 if no log was.  What retention
 * had removed by the time "removals" is not missing from the stream: it went
 * before the stream was begun, or had been delivered.
 */
typedef struct StreamPosition
{
	XactSet		seen;
	bool		inside;
	XactSet		batch;			/* only if inside; its xmax is xact + 1 */
	uint64		xact;
	int32		seq;
	uint32		fingerprint;	/* of that log's id */
	TimestampTz removals;
	TimeLineID	timeline;		/* where and when the server gave the cursor; 0: not said */
	XLogRecPtr	lsn;
} StreamPosition;

/*
 * A stream cursor's text but for the log it stands behind: what many cursors
 * of one transaction have in common.
 */
typedef struct CursorText
{
	StringInfoData head;
	StringInfoData tail;
	StringInfoData body;		/* scratch */
} CursorText;

extern char *page_cursor_encode(int64 subject_hash, const PagePosition *position);
extern void page_cursor_decode(const char *text, int64 subject_hash, PagePosition *position);
extern char *list_cursor_encode(int64 subject_hash, TimestampTz created_at, const char *id);
extern void list_cursor_decode(const char *text, int64 subject_hash, TimestampTz *created_at,
							   char **id);
extern char *stream_cursor_encode(int64 execution_hash, const StreamPosition *position);
extern void cursor_text_init(CursorText *text);
extern void cursor_text_prepare(CursorText *text, int64 execution_hash,
								const StreamPosition *position);
extern void cursor_text_append(CursorText *text, int32 seq, uint32 fingerprint, StringInfo out);
extern void stream_cursor_decode(const char *text, int64 execution_hash, StreamPosition *position);
extern uint32 id_fingerprint(const pg_uuid_t *id);

#endif							/* WFLOG_CURSOR_H */
