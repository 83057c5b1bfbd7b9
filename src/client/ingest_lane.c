/*-------------------------------------------------------------------------
 *
 * ingest_lane.c
 *	  From a batch into the database.
 *
 * A batch is one transaction: all of its lines or none.  When the server
 * refuses one of them, that one is taken out and the rest is sent again under
 * the same number, so a batch that has been committed is always whole.
 *
 *-------------------------------------------------------------------------
 */
#include "ingest.h"

#include <unistd.h>

#include "encode.h"
#include "sender.h"

#define BYTEA_OID 17
#define INT8_OID 20
#define TEXT_OID 25
#define LONGEST_PAUSE 5000		/* milliseconds between tries */

/* Hand the lane's batch to the server. */
static void
send_batch(Ingest *ingest, Lane *lane)
{
	Batch	   *batch = lane->batch;
	char		number[32];
	const Oid	types[3] = {BYTEA_OID, TEXT_OID, INT8_OID};
	const char *values[3] = {batch->lines.data, ingest->options->producer_key, number};
	const int	lengths[3] = {(int) batch->lines.len, 0, 0};
	const int	formats[3] = {1, 0, 0};

	snprintf(number, sizeof(number), INT64_FORMAT, batch->sequence);
	/* a failure shows as the end of the connection when the answer is taken */
	(void) PQsendQueryParams(lane->connection->pg, "SELECT wflog.append_lines($1, $2, $3)", 3, types,
							 values, lengths, formats, 0);
}

/* The database has the batch. */
static void
batch_is_done(Ingest *ingest, Lane *lane)
{
	Batch	   *batch = lane->batch;

	ingest->progress.count += batch->count;
	ingest->progress.bytes = Max(ingest->progress.bytes, batch->end);
	ingest->trouble_since = 0;
	if (ingest->state)
	{
		ingest->state->device = batch->device;
		ingest->state->inode = batch->inode;
		ingest->state->offset = batch->offset;
		ingest->state->position = batch->end;
		ingest->state->line = batch->line;
		ingest->state->sent_to = 0;
		ingest_state_write(ingest->state);
	}
	batch->count = 0;
	batch->lines.len = batch->raw.len = 0;
	ingest->spare[ingest->spare_count++] = batch;
	lane->batch = NULL;
}

/* Give a batch to a lane that is free. */
void
lane_send(Ingest *ingest, Lane *lane, Batch *batch)
{
	lane->batch = batch;
	if (ingest->state)
	{
		ingest->state->sent_to = batch->end;
		ingest_state_write(ingest->state);
	}
	if (batch->count == 0)
		batch_is_done(ingest, lane);
	else
		send_batch(ingest, lane);
}

/* ---- trouble ---- */

/* Wait before the next try, or leave if it has been tried for long enough. */
static void
wait_in_trouble(Ingest *ingest, int try, const char *problem)
{
	int64_t		now = monotonic_time();

	progress_clear(&ingest->progress);
	if (ingest->trouble_since == 0)
	{
		ingest->trouble_since = now;
		say("the database does not take logs, trying again: %s", problem);
	}
	if (now - ingest->trouble_since >= ingest->options->retry_seconds * INT64_C(1000000))
	{
		complain("the database is away: %s", problem);
		say(INT64_FORMAT " logs are in it", ingest->progress.count);
		if (ingest->state == NULL)
			hint("The same command with --producer-key=%s goes on where it ended, if its input is the same.",
				 ingest->options->producer_key);
		leave(EXIT_CONNECTION);
	}
	if (wait_for(-1, false, Min(100 << Min(try, 6), LONGEST_PAUSE)) < 0)
		check_interrupt();
}

/* Make the lane's connection anew and send its batch again. */
static void
reconnect(Ingest *ingest, Lane *lane, const char *problem)
{
	char	   *text = xstrdup(problem);

	text[strcspn(text, "\n")] = '\0';
	for (int try = 0;; try++)
	{
		char	   *another = NULL;

		wait_in_trouble(ingest, try, text);
		if (connect_again(lane->connection, &another))
			break;
		free(text);
		text = another;
	}
	free(text);
	PQsetnonblocking(lane->connection->pg, 1);
	send_batch(ingest, lane);
}

/* Take a line out of the batch: it cannot become a log. */
static void
take_out(Ingest *ingest, Batch *batch, int which, const char *problem)
{
	BatchLine  *item = &batch->items[which];
	size_t		at = 0;

	for (int i = 0; i < which; i++)
		at += batch->items[i].len;
	progress_clear(&ingest->progress);
	reject(&ingest->rejects, item->file, item->number, problem, batch->raw.data + item->raw_at,
		   item->raw_len);
	memmove(batch->lines.data + at, batch->lines.data + at + item->len,
			batch->lines.len - at - item->len);
	batch->lines.len -= item->len;
	memmove(item, item + 1, (batch->count - which - 1) * sizeof(BatchLine));
	batch->count--;
}

/* The line with the key that is there already, as the server tells it; or -1. */
static int
find_duplicate(const Batch *batch, const char *detail)
{
	const char *end = detail ? strstr(detail, ") already exists") : NULL;
	const char *id;
	size_t		at = 0;

	if (end == NULL)
		return -1;
	for (id = end; id > detail && id[-1] != ' '; id--)
		continue;
	for (int i = 0; i < batch->count; i++)
	{
		if (end > id && memmem(batch->lines.data + at, batch->items[i].len, id, end - id) != NULL)
			return i;
		at += batch->items[i].len;
	}
	return -1;
}

/* The server has refused the batch for what it says.  False if it was not for that. */
static bool
refused(Ingest *ingest, Lane *lane, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	Batch	   *batch = lane->batch;
	long		line = 0;
	int			which = -1;
	int			prefix = 0;

	if (state == NULL || message == NULL)
		return false;
	if (strncmp(state, "22", 2) != 0 && strncmp(state, "23", 2) != 0 && strncmp(state, "54", 2) != 0)
		return false;
	if (sscanf(message, "line %ld: %n", &line, &prefix) == 1 && line >= 1 && line <= batch->count)
		which = (int) line - 1;
	else if (strcmp(state, "23505") == 0)
	{
		which = find_duplicate(batch, PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
		message = "there is such a log already";
		prefix = 0;
	}
	if (which >= 0)
		take_out(ingest, batch, which, message + prefix);
	else
		while (batch->count > 0)	/* for no one line: none of them can be kept */
			take_out(ingest, batch, batch->count - 1, message);
	if (batch->count == 0)
		batch_is_done(ingest, lane);
	else
		send_batch(ingest, lane);
	return true;
}

/* Is it something that passes? */
static bool
is_passing(const PGresult *result)
{
	static const char *const classes[] = {"40", "53", "55", "57"};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	for (int i = 0; state && i < lengthof(classes); i++)
		if (strncmp(state, classes[i], 2) == 0)
			return true;
	return false;
}

static void
settle(Ingest *ingest, Lane *lane, const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		batch_is_done(ingest, lane);
	else if (connection_is_lost(lane->connection))
		reconnect(ingest, lane, message ? message : PQerrorMessage(lane->connection->pg));
	else if (refused(ingest, lane, result))
		return;
	else if (is_passing(result))
	{
		wait_in_trouble(ingest, 5, message ? message : "");
		send_batch(ingest, lane);
	}
	else
	{
		progress_clear(&ingest->progress);
		fail_with_result(lane->connection, result);
	}
}

/* Take what the server has to say, without waiting.  True if a batch was settled. */
bool
lane_advance(Ingest *ingest, Lane *lane)
{
	PGconn	   *pg = lane->connection->pg;

	if (lane->batch == NULL)
		return false;
	if (!take_input(pg) || PQflush(pg) < 0)
	{
		reconnect(ingest, lane, PQerrorMessage(pg));
		return true;
	}
	while (!PQisBusy(pg))
	{
		PGresult   *result = PQgetResult(pg);

		if (result != NULL)
		{
			PQclear(lane->answer);
			lane->answer = result;
			continue;
		}
		result = lane->answer;
		lane->answer = NULL;
		if (result != NULL)
			settle(ingest, lane, result);
		else
			reconnect(ingest, lane, PQerrorMessage(pg));
		PQclear(result);
		return true;
	}
	return false;
}
