/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  Brings spools to the database, without ever waiting for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_SENDER_H
#define WFLOG_SENDER_H

#include "client.h"

#include <poll.h>

#include "spool.h"

typedef enum SenderState
{
	SENDER_AWAY,				/* no connection; the next try is at retry_at */
	SENDER_CONNECTING,
	SENDER_LOOKING,				/* for the extension */
	SENDER_IDLE,
	SENDER_BUSY					/* work has been sent */
} SenderState;

typedef struct Sender
{
	Connection	connection;
	SenderState state;
	PostgresPollingStatusType polling;
	int64_t		retry_at;		/* monotonic microseconds, as all times here */
	int64_t		give_up_at;		/* of an attempt to connect */
	int			failures;		/* in a row */
	int64_t		away_since;		/* the first of them */
	bool		connected_once;
	bool		quiet;			/* no words about a database that is away */
	char	   *problem;		/* why it is away, NULL: it is not, or nobody knows yet */
	bool		told;			/* the person has been told that it is away */

	Spool	   *spool;			/* whose work has been sent */
	SpoolWork	work;
	bool		unanswered;		/* work is to be sent again */
	PGresult   *answer;			/* to it, of which the end has not come */
	int64_t		lines_sent;
	int64_t		lines_refused;
	int64_t		calls_failed;
} Sender;

extern int64_t monotonic_time(void);
extern char *sender_target(const ConnectOptions *options);
extern void sender_begin(Sender *sender, const ConnectOptions *options, const char *password);
extern void sender_poll(const Sender *sender, struct pollfd *polled);
extern int64_t sender_due(const Sender *sender);
extern bool sender_advance(Sender *sender);
extern bool sender_offer(Sender *sender, Spool *spool, uint32_t most_lines);
extern void sender_end(Sender *sender);

#endif							/* WFLOG_SENDER_H */
