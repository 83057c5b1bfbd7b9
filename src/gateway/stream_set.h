/*-------------------------------------------------------------------------
 *
 * stream_set.h
 *	  A client that follows several executions on one connection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STREAM_SET_H
#define WFLOG_STREAM_SET_H

#include "stream.h"
#include "stream_id.h"

/* Executions that one stream follows at a time. */
#define SET_MEMBERS 50

/* Of a workflow's executions, so many that have ended are remembered; for a while more. */
#define SET_ENDED 32
#define SET_ENDED_ROOM (SET_ENDED + 2 * SET_MEMBERS)

/* Members of a set that read the table at a time. */
#define SET_READERS 4

/* One of the executions. */
typedef struct Member
{
	char		hash[STREAM_ID_HASH + 1];	/* "": the place is free */
	EntryState	state;
	Stream	   *stream;			/* of an open one */
	char	   *cursor;			/* of an ended one */
	int64		registered;		/* of a workflow's: when, in microseconds since 1970 */
} Member;

/* An execution of a workflow whose end has been sent. */
typedef struct Ended
{
	char		hash[STREAM_ID_HASH + 1];
	int64		registered;		/* 0: not known yet */
} Ended;

/* What a stream of a workflow's executions has beside them; see stream_workflow.c. */
typedef struct WorkflowScan
{
	char	   *workflow;
	char	   *quoted;			/* as JSON */
	Job		   *job;
	bool		is_full;		/* the job at hand looks for everything */
	bool		due;			/* look again */
	bool		full_due;		/* and for everything */
	bool		subscribe;		/* ask for the workflow's channel with the next look */
	bool		subscribing;	/* the job at hand does; as above */
	bool		more;			/* there were more than there is room for */
	bool		waiting;		/* the database could not be asked */
	int64		retry_at;		/* clock_ms(), when waiting or polling */
	int64		floor;			/* registered up to then: known; 0: nothing is */
	int64		left;			/* when the first of "more" was registered; 0: unknown */
	int			ended_count;
	Ended		ended[SET_ENDED_ROOM];	/* registered after floor, oldest first */
	StreamId   *resumed;		/* what of the client's id has not been found yet; or NULL */
	char	  **told;			/* executions that have started and were not found yet */
	int			told_count;
	int			told_asked;		/* so many of them are in the job at hand */
} WorkflowScan;

typedef struct StreamSet
{
	struct StreamSet *next;		/* of all sets */
	struct StreamSet *prev;
	Conn	   *conn;
	Request    *request;		/* until the answer has begun */
	Claims		claims;
	bool		follow;
	int			open;			/* members that have a stream */
	int			reading;		/* of these, whose turn it is */
	int			next_served;	/* the member that is given its due first */
	size_t		id_len;			/* of the last id */
	int			refusal;		/* until the answer has begun: the first refusal, a status; 0: none */
	char	   *refusal_text;
	bool		was_quiet;		/* until then: a member has ended without anything to be sent */
	Buffer		early;			/* events to be sent when it begins */
	int64		next_beat;		/* clock_ms() */
	int64		patience;		/* until then a set that has not begun waits for the database */
	WorkflowScan *scan;			/* NULL: the executions were named */
	Member		members[SET_MEMBERS];
} StreamSet;

/* Longer ids than that might not come back: they must fit into the head of a request. */
#define SET_ID_MAX 12000

extern StreamSet *set_make(Request *request, bool follow);
extern void set_free(StreamSet *set);
extern void set_writable(StreamSet *set);
extern void set_drain(StreamSet *set);
extern void set_refuse(StreamSet *set, int status, const char *type, const char *message);
extern void set_end(StreamSet *set);
extern void set_begins_to_answer(StreamSet *set);
extern void set_append_id(StreamSet *set, Buffer *out);
extern void sets_tick(int64 now);
extern void sets_told(const char *workflow, const char *execution);
extern void sets_missed_something(bool ask_again);

/* ---- stream_member.c; streams that are members call the last five ---- */

extern Member *set_find(StreamSet *set, const char *hash);
extern Member *set_add(StreamSet *set, const char *execution, StreamIdEntry *entry);
extern void set_give_turns(StreamSet *set);
extern bool set_takes_turn(Stream *stream);
extern void set_turn_over(Stream *stream);
extern void set_refused(Stream *stream, int status, const char *type, const char *message);
extern void set_nothing_new(Stream *stream);
extern void set_complete(Stream *stream);

/* ---- stream_workflow.c ---- */

extern void scan_begin(StreamSet *set, const char *workflow, StreamId *id);
extern void scan_free(WorkflowScan *scan);
extern void scan_append_id(const WorkflowScan *scan, Buffer *out);
extern void scan_tick(StreamSet *set, int64 now);
extern void scan_told(StreamSet *set, const char *execution);
extern void scan_everything(StreamSet *set);
extern void scan_ended(StreamSet *set, const Member *member);
extern bool scan_may_find_more(const WorkflowScan *scan);

#endif							/* WFLOG_STREAM_SET_H */
