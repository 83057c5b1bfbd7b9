/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  A client that follows an execution.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STREAM_H
#define WFLOG_STREAM_H

#include "hub.h"
#include "pool.h"
#include "request.h"

typedef enum StreamState
{
	STREAM_ASKING,				/* the table is being read */
	STREAM_ROWS,				/* what was read is being sent */
	STREAM_LIVE,				/* events are taken from the ring */
	STREAM_WAITING				/* the table could not be read; it will be tried again */
} StreamState;

typedef struct Stream
{
	struct Stream *next;		/* of the topic */
	struct Stream *prev;
	struct Stream *next_all;
	struct Stream *prev_all;
	Conn	   *conn;
	Request    *request;		/* until the answer has begun */
	Topic	   *topic;
	Claims		claims;
	StreamState state;
	bool		follow;			/* to the end of the execution, not only of what there is */
	bool		was_at_end;		/* the client says it has had COMPLETE */
	bool		was_live;		/* has been live: what is read now is new */
	bool		subscribe;		/* ask for the channel with the next read */
	bool		subscribing;	/* the job at hand does */
	char	   *cursor;			/* behind what has been sent; NULL: the beginning */
	char		have[BATCH_SIZE];	/* as in docs/streaming.md; "": nothing */
	char		receiving[BATCH_SIZE];
	bool		is_fresh;		/* the execution had no log at all when it was read last */
	uint32		chain_number;	/* as that read began */
	uint64		at;				/* the next event of the ring */
	Job		   *job;
	PGresult   *rows;			/* of tail(), being sent */
	int			row;
	char		status[32];		/* of the execution, as of the last read */
	bool		is_terminal;
	int64		total;
	int64		next_beat;		/* clock_ms() */
	int64		retry_at;		/* STREAM_WAITING; clock_ms() */
	int64		patience;		/* until then a stream that has not begun waits for the database */
} Stream;

extern int	stream_count;

extern void stream_pump(Stream *stream);
extern void stream_writable(Stream *stream);
extern void stream_abandoned(Stream *stream);
extern void stream_drain(Stream *stream);
extern void streams_begin(void);

/* ---- stream_read.c ---- */

extern void stream_catch_up(Stream *stream);
extern void stream_send_rows(Stream *stream);

/* ---- stream.c, for stream_read.c ---- */

extern void stream_went_live(Stream *stream);
extern void stream_begins_to_answer(Stream *stream);
extern void stream_refuse(Stream *stream, int status, const char *type, const char *message);
extern void stream_complete(Stream *stream);
extern void stream_end(Stream *stream);
extern bool stream_send(Stream *stream, const Buffer *bytes);
extern void stream_keep_cursor(Stream *stream, const char *cursor);

/*
 * How long a stream that has not begun waits for a database that is away, in
 * milliseconds: EventSource gives up for good when it is refused.
 */
#define STREAM_PATIENCE_MS 15000

/* Bytes a client may leave untaken before we stop to give it more. */
#define STREAM_HIGH_WATER 65536

#endif							/* WFLOG_STREAM_H */
