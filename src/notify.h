/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  Channels and payloads of notifications.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_NOTIFY_H
#define WFLOG_NOTIFY_H

#include "lib/stringinfo.h"
#include "shared.h"

/* The longest payload that NOTIFY takes, in bytes. */
#define MAX_PAYLOAD (BLCKSZ - NAMEDATALEN - 128 - 1)

/* ---- channel_name.c ---- */

#define CHANNEL_PREFIX "wflog_"

typedef enum ChannelKind
{
	CHANNEL_EXECUTION = 'e',
	CHANNEL_WORKFLOW = 'w',
	CHANNEL_GATEWAY = 'g'
} ChannelKind;

extern bytea *channel_key(bool create); /* in the current memory context */
extern void channel_name(const bytea *key, ChannelKind kind, const char *id, int len,
						 const char *owner, char *name);
extern void execution_channel_name(const bytea *key, const char *id, int len, char *name);
extern bool workflow_channel_name(const bytea *key, const char *id, int len, char *name);

/* ---- payload.c ---- */

#define BATCH_LEN (12 + 1 + 12) /* characters of a batch */

extern char *batch_text(uint64 epoch, uint64 number);	/* palloc'd */
extern void put_batch_text(char *out, uint64 epoch, uint64 number); /* BATCH_LEN + 1 bytes */

/* What the events of a batch have in common. */
typedef struct BatchLabel
{
	char		batch[BATCH_LEN + 1];	/* empty: none */
	char		prev[BATCH_LEN + 1];	/* empty: unknown */
} BatchLabel;

/* One event of an execution's audit trail. */
typedef struct StatusEvent
{
	const char *id;				/* the execution's */
	int			len;
	const char *workflow_id;	/* or NULL */
	const char *from;			/* or NULL: it has just been created */
	const char *to;				/* or NULL: it has been deleted */
	TimestampTz created_at;
	int64		total_logs;		/* of kind end */
} StatusEvent;

extern void payload_head(StringInfo buf, const char *kind, const char *id, int len,
						 const BatchLabel *label);
extern void payload_log(StringInfo buf, StringInfo cursor, StringInfo log);
extern void payload_reference(StringInfo buf, StringInfo cursor, const pg_uuid_t *id);
extern void payload_status(StringInfo buf, const char *kind, const StatusEvent *event,
						   const BatchLabel *label);
extern void payload_batch_begin(StringInfo buf, const BatchLabel *label);
extern void payload_batch_end(StringInfo buf);

/* ---- notify_transaction.c ---- */

extern void wflog_notify_init(void);
extern void notify_note_change(const char *execution_id, int64 position);

/* ---- status.c ---- */

extern bool status_read(const char *id, int len, int64 position, StatusEvent *event);

#endif							/* WFLOG_NOTIFY_H */
