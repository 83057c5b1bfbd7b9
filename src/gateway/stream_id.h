/*-------------------------------------------------------------------------
 *
 * stream_id.h
 *	  The ids of events of streams that follow several executions.
 *
 * Pure functions over bytes: need nothing but the C library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_STREAM_ID_H
#define WFLOG_STREAM_ID_H

#include "buffer.h"

/* Digits of an execution's hash, and how many entries an id can have. */
#define STREAM_ID_HASH 12
#define STREAM_ID_ENTRIES 256

/* How it stands with an execution. */
typedef enum EntryState
{
	ENTRY_OPEN = 'o',			/* it is being followed; all up to the cursor has been sent */
	ENTRY_ENDED = 'e',			/* its end has been sent, too */
	ENTRY_REFUSED = 'x'			/* it could not be followed, which has been sent */
} EntryState;

typedef struct StreamIdEntry
{
	char		hash[STREAM_ID_HASH + 1];
	EntryState	state;
	char	   *cursor;			/* NULL: the beginning */
} StreamIdEntry;

typedef struct StreamId
{
	bool		of_workflow;
	int64_t		floor;			/* of a workflow: stream_set.h */
	int			count;
	StreamIdEntry entries[STREAM_ID_ENTRIES];
} StreamId;

extern void stream_id_hash(char *hash, const char *execution);
extern void stream_id_begin(Buffer *out, bool of_workflow, int64_t floor);
extern void stream_id_entry(Buffer *out, const char *hash, EntryState state, const char *cursor);
extern bool stream_id_parse(StreamId *id, const char *text, size_t len);
extern StreamIdEntry *stream_id_find(StreamId *id, const char *hash);
extern void stream_id_free(StreamId *id);

#endif							/* WFLOG_STREAM_ID_H */
