/*-------------------------------------------------------------------------
 *
 * ingest_state.h
 *	  How far "ingest --follow" has come, for when it is started again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_INGEST_STATE_H
#define WFLOG_INGEST_STATE_H

#include "client.h"

#include "input.h"

typedef struct IngestState
{
	const char *path;
	char		producer_key[64];
	dev_t		device;			/* of the file, 0: none yet */
	ino_t		inode;
	int64_t		offset;			/* in the file: the database has everything before */
	int64_t		position;		/* the same, in bytes of all files there were */
	int64_t		line;			/* in the file */
	int64_t		sent_to;		/* position where the batch ends that may have been sent; or 0 */
} IngestState;

extern IngestState *ingest_state_read(const char *path);
extern void ingest_state_write(IngestState *state);

#endif							/* WFLOG_INGEST_STATE_H */
