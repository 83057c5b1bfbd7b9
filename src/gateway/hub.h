/*-------------------------------------------------------------------------
 *
 * hub.h
 *	  Where notifications meet streams: one topic for each execution followed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_HUB_H
#define WFLOG_HUB_H

#include "gateway.h"

struct Stream;

/* Bytes of a batch's name with its NUL; they compare as text. */
#define BATCH_SIZE 32

typedef enum EventKind
{
	EVENT_LOG,					/* a log, encoded */
	EVENT_REFERENCE,			/* there is something to read */
	EVENT_STATUS,				/* of no interest but for its batch */
	EVENT_END,					/* the execution has ended, or is gone: look */
	EVENT_MOVED,				/* the owner has changed: may we still? */
	EVENT_GAP					/* notifications have been missed, perhaps ours */
} EventKind;

typedef struct Event
{
	EventKind	kind;
	char		batch[BATCH_SIZE];	/* "": none */
	char		chain[BATCH_SIZE];	/* since that batch nothing on the channel was missed */
	uint32		chain_number;	/* counts chains */
	const char *cursor;			/* goes on behind it */
	const char *body;			/* of EVENT_LOG: what follows the line with the id */
	size_t		body_len;
	int64		written;		/* of EVENT_LOG: log_written_at() */
	size_t		size;
} Event;

/* The ring holds the events from first to next; older ones are gone. */
typedef struct Topic
{
	struct Topic *next;			/* of the same bucket */
	struct Topic *next_ready;
	char	   *execution;
	char	   *quoted;			/* as JSON */
	uint64		hash;
	struct Stream *streams;
	struct Stream *pump_at;		/* to be served next in this round */
	uint64		pumped;			/* the round is for events before this one */
	bool		ready;
	Event	  **ring;
	uint32		room;			/* a power of two, or 0 */
	uint64		first;
	uint64		next_event;
	size_t		bytes;
} Topic;

extern Topic *hub_join(const char *execution, struct Stream *stream);
extern void hub_leave(Topic *topic, struct Stream *stream);
extern void hub_notified(const char *payload, size_t len);
extern void hub_listening(void);
extern int	hub_topics(void);
extern uint32 hub_chain_number(void);

static inline const Event *
topic_event(const Topic *topic, uint64 number)
{
	return topic->ring[number & (topic->room - 1)];
}

/* ---- sse.c ---- */

extern void sse_log(Buffer *out, const char *quoted_execution, const char *log, size_t len, bool live);
extern void sse_complete(Buffer *out, const char *quoted_execution, const char *status, bool live,
						 int64 total, bool is_final);
extern void sse_error(Buffer *out, const char *quoted, const char *kind, const char *error,
					  const char *type, bool is_final);
extern int64 log_written_at(const char *log, size_t len);

/* ---- listener.c ---- */

extern void listener_begin(void);
extern void listener_end(void);
extern bool listener_is_up(void);
extern bool listener_is_polling(void);
extern void listener_must_poll(void);

#endif							/* WFLOG_HUB_H */
