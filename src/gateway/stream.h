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

struct StreamSet;

typedef enum StreamState
{
	STREAM_QUEUED,				/* it is to read the table when it is its turn; of a set only */
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
	struct StreamSet *set;		/* with which it shares the connection; NULL: it is alone */
	Conn	   *conn;
	Request    *request;		/* until the answer has begun; the set has its own */
	Topic	   *topic;
	Claims		claims;			/* of a set: the set's */
	StreamState state;
	bool		follow;			/* to the end of the execution, not only of what there is */
	bool		was_at_end;		/* the client says it has had COMPLETE */
	bool		was_live;		/* has been live: what is read now is new */
	bool		subscribe;		/* ask for the channel with the next read */
	bool		subscribing;	/* the job at hand does */
	bool		has_turn;		/* of the set's to read the table */
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

extern Stream *stream_make(Conn *conn, struct StreamSet *set, const char *execution, bool follow);
extern void stream_free(Stream *stream);
extern void stream_pump(Stream *stream);
extern void stream_writable(Stream *stream);
extern void stream_abandoned(Stream *stream);
extern void stream_drain(Stream *stream);
extern HttpText stream_resume_id(const Request *request);
extern bool stream_open_answer(Conn *conn, Request *request, Buffer *out);
extern void stream_append_farewell(Buffer *out);
extern void stream_respond_refusal(Request *request, int status, const char *message);
extern void stream_tick_read(Stream *stream, int64 now);
extern void streams_begin(void);

/* ---- stream_read.c ---- */

extern void stream_catch_up(Stream *stream);
extern void stream_send_rows(Stream *stream);
extern int	stream_failure(const Job *job, const char **type, const char **message);

/* ---- stream.c, for stream_read.c ---- */

extern void stream_went_live(Stream *stream);
extern void stream_begins_to_answer(Stream *stream);
extern void stream_refuse(Stream *stream, int status, const char *type, const char *message);
extern void stream_complete(Stream *stream);
extern void stream_nothing_new(Stream *stream);
extern bool stream_send(Stream *stream, const Buffer *bytes);
extern void stream_append_id(Stream *stream, Buffer *out, const char *cursor);

/* Where LISTEN is of no use, streams look so often. */
#define STREAM_POLL_MS 1000

/* Clients come back after so long. */
#define STREAM_RETRY_MS 2000

/* So long after the database could not be read it is tried again. */
#define STREAM_RETRY_READ_MS 1000

/*
 * How long a stream that has not begun waits for a database that is away, in
 * milliseconds: EventSource gives up for good when it is refused.
 */
#define STREAM_PATIENCE_MS 15000

/* Bytes a client may leave untaken before we stop to give it more. */
#define STREAM_HIGH_WATER 65536

#endif							/* WFLOG_STREAM_H */
