/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  A client that follows one execution.
 *
 * The rule for clients is that of docs/streaming.md: LISTEN, read tail() to
 * its end, drop the notifications of batches that it covered, take the others
 * as long as each one's prev is known, and read tail() again, from the cursor
 * of whatever was delivered last, when one is not.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define AROUND 8				/* deliveries to show before and after a bad one */
#define MAX_NAMED 10			/* missing logs to name */

void
stream_begin(Stream *stream, const char *owner, int execution, const char *id)
{
	memset(stream, 0, sizeof(*stream));
	snprintf(stream->owner, sizeof(stream->owner), "%s", owner);
	snprintf(stream->id, sizeof(stream->id), "%s", id);
	stream->execution = execution;
	pthread_mutex_init(&stream->lock, NULL);
}

/* Begin anew, as a client that has stored nothing. */
void
stream_forget(Stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	free(stream->cursor);
	stream->cursor = NULL;
	stream->count = 0;
	for (int i = 0; i < MAX_WRITERS; i++)
	{
		free(stream->got[i]);
		stream->got[i] = NULL;
		stream->got_bits[i] = 0;
	}
	pthread_mutex_unlock(&stream->lock);
}

void
stream_free(Stream *stream)
{
	stream_forget(stream);
	free(stream->deliveries);
	stream->deliveries = NULL;
	pthread_mutex_destroy(&stream->lock);
}

/* A new connection knows of no batch. */
void
stream_connected(Stream *stream)
{
	stream->connection++;
	stream->covered[0] = stream->last[0] = '\0';
	stream->uncertain = false;
}

/* Show what was delivered around a place. */
static void
show(Stream *stream, int place)
{
	for (int i = place - AROUND; i <= place + AROUND; i++)
		if (i >= 0 && i < stream->count)
		{
			Delivery   *d = &stream->deliveries[i];

			note("%s %d: log %d:%u %s, connection %d, batch ..%08x, at %u ms",
				 i == place ? ">" : " ", i, d->writer, d->number,
				 d->how == BY_TAIL ? "by tail" : "by notification", d->connection, d->batch, d->at);
		}
}

/* Where a log was delivered, or -1. */
static int
place_of(Stream *stream, int writer, int number)
{
	for (int i = stream->count - 1; i >= 0; i--)
		if (stream->deliveries[i].writer == writer && (int) stream->deliveries[i].number == number)
			return i;
	return -1;
}

static bool
has(Stream *stream, int writer, int number)
{
	return number < stream->got_bits[writer] && (stream->got[writer][number / 8] >> number % 8 & 1);
}

/* The low bits of a batch's number, for people to see. */
static uint32_t
batch_bits(const char *batch)
{
	size_t		len = strlen(batch);

	return len < 8 ? 0 : (uint32_t) strtoul(batch + len - 8, NULL, 16);
}

/* Note a delivery under the lock. */
static void
deliver_locked(Stream *stream, int writer, int number, How how, const char *batch)
{
	if (has(stream, writer, number))
	{
		int			before = place_of(stream, writer, number);

		violation("%s of %s got log %d:%d twice: first as its %dth, now as its %dth %s of connection %d, batch %s",
				  stream->owner, stream->id, writer, number, before, stream->count,
				  how == BY_TAIL ? "by tail" : "by notification", stream->connection, batch);
		show(stream, before);
		show(stream, stream->count - 1);
		return;
	}
	if (number >= stream->got_bits[writer])
	{
		int			bits = (number + 1) * 2 + 1024;

		stream->got[writer] = realloc(stream->got[writer], bits / 8 + 1);
		memset(stream->got[writer] + (stream->got_bits[writer] + 7) / 8, 0,
			   bits / 8 + 1 - (stream->got_bits[writer] + 7) / 8);
		stream->got_bits[writer] = bits;
	}
	stream->got[writer][number / 8] |= 1 << number % 8;
	stream->deliveries = grow(stream->deliveries, stream->count, &stream->room, sizeof(Delivery));
	stream->deliveries[stream->count++] = (Delivery) {
		.number = number,.writer = writer,.how = how,.connection = stream->connection,
		.at = now_ms(),.batch = batch_bits(batch)
	};
}

/* A log arrives with the cursor after it. */
static void
deliver(Stream *stream, int writer, int number, uint32_t digest, const char *cursor, How how,
		const char *batch)
{
	static _Atomic long arrivals;
	LogRecord	log = log_get(writer, number);

	if (log.execution != stream->execution)
		violation("%s of %s got log %d:%d, which is of another execution", stream->owner, stream->id,
				  writer, number);
	if (log.state == LOG_ABORTED)
		violation("%s of %s got log %d:%d, which was rolled back", stream->owner, stream->id, writer, number);
	if (!log_digest(writer, number, digest))
		violation("%s of %s got log %d:%d with other content than somebody else", stream->owner,
				  stream->id, writer, number);

	pthread_mutex_lock(&stream->lock);
	if (options.sabotage && ++arrivals % options.sabotage == 0)
	{
		/* test of the test: be a bad client */
		if (options.sabotage_kind != 'l')
			deliver_locked(stream, writer, number, how, batch);
		if (options.sabotage_kind == 't')
			deliver_locked(stream, writer, number, how, batch);
		if (options.sabotage_kind == 's' && stream->count > 1)
		{
			Delivery	one = stream->deliveries[stream->count - 1];

			stream->deliveries[stream->count - 1] = stream->deliveries[stream->count - 2];
			stream->deliveries[stream->count - 2] = one;
		}
	}
	else
		deliver_locked(stream, writer, number, how, batch);
	pthread_mutex_unlock(&stream->lock);

	free(stream->cursor);
	stream->cursor = strdup(cursor);
	count(T_DELIVERED, 1);
	count(how == BY_TAIL ? T_BY_TAIL : T_BY_NOTIFICATION, 1);
}

/*
 * Read a page with tail().  Returns how many logs it had; -1 if the connection
 * is lost or the call is to be repeated.  At the end of the stream the server
 * says which batch is covered; where it does not, we may have got some of the
 * batches to come.
 */
int
stream_page(Stream *stream, Conn *conn, int max_rows)
{
	char		limit[16];
	char		covered[BATCH_LEN] = "";
	PGresult   *result;
	int			rows;

	snprintf(limit, sizeof(limit), "%d", max_rows);
	result = query(conn, "SELECT cursor, log, batch FROM wflog.tail($1, $2, $3::int)", 3,
				   stream->id, stream->cursor, limit);
	count(T_TAILS, 1);
	if (!result)
	{
		if (!conn->lost && strcmp(conn->sqlstate, "57P01") != 0)
			violation("%s of %s: tail(): %s: %s", stream->owner, stream->id, conn->sqlstate, conn->message);
		return -1;
	}
	rows = PQntuples(result);
	for (int i = 0; i < rows; i++)
	{
		int			writer,
					number;
		uint32_t	digest;

		if (!PQgetisnull(result, i, 2))
			snprintf(covered, sizeof(covered), "%s", PQgetvalue(result, i, 2));
		if (!log_key(PQgetvalue(result, i, 1), &writer, &number, &digest))
			violation("%s of %s: tail() gave \"%s\"", stream->owner, stream->id, PQgetvalue(result, i, 1));
		else
			deliver(stream, writer, number, digest, PQgetvalue(result, i, 0), BY_TAIL, covered);
	}
	if (rows > 0)
		stream->uncertain = covered[0] == '\0';
	if (strcmp(covered, stream->covered) > 0)
		snprintf(stream->covered, sizeof(stream->covered), "%s", covered);
	PQclear(result);
	return rows;
}

/* Read tail() to its end.  False: the connection is lost. */
bool
stream_tail(Stream *stream, Conn *conn, Random *r)
{
	static const int sizes[] = {10000, 1000, 1000, 100, 17, 1};

	for (;;)
	{
		/* small pages are for the end of the stream, not for reading all of it */
		int			size = stream->count == 0 ? 10000 : sizes[between(r, 0, lengthof(sizes) - 1)];
		int			rows = stream_page(stream, conn, size);

		if (rows < 0)
			return false;
		if (rows < size)
			return true;
	}
}

/* Is the event of a batch that tail() has covered? */
static bool
is_covered(const Stream *stream, const Event *event)
{
	return event->batch[0] != '\0' && stream->covered[0] != '\0' &&
		strcmp(event->batch, stream->covered) <= 0;
}

/* Is everything here that came before the event's batch? */
bool
stream_follows(Stream *stream, const Event *event)
{
	if (event->batch[0] == '\0' || stream->uncertain)
		return false;
	if (strcmp(event->batch, stream->last) == 0)
		return true;
	return event->prev[0] != '\0' &&
		(strcmp(event->prev, stream->last) == 0 ||
		 (stream->covered[0] != '\0' && strcmp(event->prev, stream->covered) <= 0));
}

/*
 * Read what came before an event that does not follow what is here, and
 * everything up to its batch with it: a batch is on record before its
 * notifications are sent.  False: the connection is lost.
 */
bool
stream_catch_up(Stream *stream, const Event *event, Conn *tail, Random *r)
{
	if (!stream_tail(stream, tail, r))
		return false;
	if (strcmp(event->batch, stream->covered) > 0)
		snprintf(stream->covered, sizeof(stream->covered), "%s", event->batch);
	return true;
}

/* Take an event of the execution.  False: the connection for tail() is lost. */
bool
stream_event(Stream *stream, const Event *event, Conn *tail, Random *r)
{
	bool		follows = stream_follows(stream, event);
	bool		good = true;

	if (strcmp(event->kind, "reference") == 0)
		count(T_REFERENCES, 1);
	if (is_covered(stream, event))
	{
		count(T_DROPPED_BATCHES, 1);
		return true;
	}
	if (!follows)
		count(T_BROKEN_PREV, 1);
	if (!follows || strcmp(event->kind, "reference") == 0)
		good = stream_catch_up(stream, event, tail, r);
	else if (strcmp(event->kind, "log") == 0)
		deliver(stream, event->writer, event->number, event->digest, event->cursor,
				BY_NOTIFICATION, event->batch);
	snprintf(stream->last, sizeof(stream->last), "%s", event->batch);
	return good;
}

/* Has everything arrived that is known to be committed? */
bool
stream_complete(Stream *stream)
{
	bool		complete;

	pthread_mutex_lock(&stream->lock);
	complete = stream->count >= committed_logs(stream->execution);
	pthread_mutex_unlock(&stream->lock);
	return complete;
}

/* Report which committed logs are not here. */
void
stream_missing(Stream *stream)
{
	int			named = 0;
	long		missing = 0;

	pthread_mutex_lock(&stream->lock);
	for (int writer = 0; writer < options.writers; writer++)
		for (int number = 0; number < log_count(writer); number++)
		{
			LogRecord	log = log_get(writer, number);

			if (log.execution != stream->execution || log.state != LOG_COMMITTED || has(stream, writer, number))
				continue;
			missing++;
			if (++named > MAX_NAMED)
				continue;
			violation("%s of %s has not got log %d:%d (stream %d); covered %s, last %s, connection %d",
					  stream->owner, stream->id, writer, number, log.stream, stream->covered,
					  stream->last, stream->connection);
			if (named == 1)
				for (int after = number + 1; after < log_count(writer); after++)
					if (has(stream, writer, after))
					{
						show(stream, place_of(stream, writer, after));
						break;
					}
		}
	if (missing > named)
		note("and %ld more", missing - named);
	pthread_mutex_unlock(&stream->lock);
}

/* At the end: nothing is missing, all is committed, and writers' logs are in order. */
void
stream_check(Stream *stream)
{
	int		   *last[MAX_WRITERS] = {NULL};
	int			disordered = 0;

	stream_missing(stream);
	for (int i = 0; i < stream->count; i++)
	{
		Delivery   *d = &stream->deliveries[i];
		LogRecord	log = log_get(d->writer, d->number);

		if (log.state != LOG_COMMITTED)
		{
			violation("%s of %s got log %d:%u, which was not committed", stream->owner, stream->id,
					  d->writer, d->number);
			show(stream, i);
		}
		if (!last[d->writer])
		{
			last[d->writer] = malloc(sizeof(int) * 65536);
			for (int s = 0; s < 65536; s++)
				last[d->writer][s] = -1;
		}
		if ((int) d->number < last[d->writer][log.stream] && ++disordered <= MAX_NAMED)
		{
			violation("%s of %s got log %d:%u after %d:%d", stream->owner, stream->id, d->writer,
					  d->number, d->writer, last[d->writer][log.stream]);
			show(stream, i);
		}
		last[d->writer][log.stream] = d->number;
	}
	for (int i = 0; i < MAX_WRITERS; i++)
		free(last[i]);
}
