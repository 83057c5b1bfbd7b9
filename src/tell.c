/*-------------------------------------------------------------------------
 *
 * tell.c
 *	  What a round of the worker tells: the logs and changes of status that its
 *	  snapshot shows and the last round's did not.
 *
 * Hints say where to look; which logs there are, the table says.  Normally an
 * execution's logs are read by the transactions and leaves of its hints.  When
 * hints were lost, everything that has been asked for is looked up.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "json.h"
#include "utils/memutils.h"
#include "worker.h"

/* What retention has removed is looked up again after so long; an old answer is a careful one. */
#define REMOVALS_MAX_AGE_MS 60000

/* Where an execution's new logs are to be looked up. */
typedef struct Places
{
	bool		anywhere;		/* all between what has been told and now */
	bool		async;			/* some of it may not be durable */
	int			count;
	uint64	   *xacts;			/* otherwise these transactions, rising */
	TimestampTz *pushed_at;		/* theirs, for statistics; or 0 */
	int			leaf_count;		/* in these leaves */
	Oid		   *leaves;			/* NULL: in any */
} Places;

/* Count a log, for the lag of notifications. */
static void
count_lag(Worker *worker, TimestampTz pushed_at)
{
	if (worker->lag_count > 0 && worker->lags[worker->lag_count - 1].pushed_at == pushed_at)
	{
		worker->lags[worker->lag_count - 1].logs++;
		return;
	}
	if (worker->lag_count == worker->lag_room)
	{
		worker->lag_room = Max(64, worker->lag_room * 2);
		worker->lags = worker->lags ? repalloc(worker->lags, sizeof(Lag) * worker->lag_room) :
			MemoryContextAlloc(worker->context, sizeof(Lag) * worker->lag_room);
	}
	worker->lags[worker->lag_count].pushed_at = pushed_at;
	worker->lags[worker->lag_count++].logs = 1;
}

/*
 * Begin to scan, and see whether there are other leaves than there were.
 *
 * Maintenance may move logs from the default leaf to a new one after they were
 * written and before we read them; then hints name the wrong leaf.  It waits
 * for their transaction, so a round that shows it either finds that the leaves
 * have changed, or the round before has found it.
 */
static void
begin_scan(Worker *worker)
{
	LeafSet    *set = leaf_set_get();
	bool		changed = set->count != worker->leaf_count;

	for (int i = 0; !changed && i < set->count; i++)
		changed = set->leaves[i].relid != worker->leaves[i];
	if (changed)
	{
		if (worker->leaves)
			pfree(worker->leaves);
		worker->leaves = MemoryContextAlloc(worker->context, sizeof(Oid) * (set->count + 1));
		worker->leaf_count = set->count;
		for (int i = 0; i < set->count; i++)
			worker->leaves[i] = set->leaves[i].relid;
	}
	worker->leaves_changed = changed || worker->leaves_changed_now;
	worker->leaves_changed_now = changed;
	pfree(set);
}

/* Is the time that long ago, or never? */
static bool
is_older(TimestampTz time, int milliseconds)
{
	return time == 0 || TimestampDifferenceExceeds(time, GetCurrentTimestamp(), milliseconds);
}

/*
 * Find out, once for each subject, up to which transaction its listeners may
 * have got logs, by reading: cursors say no more than that is seen.  False if
 * that cannot be read.
 */
static bool
find_max_xact(Worker *worker, Subject *subject, const ExecutionKey *key)
{
	Oid			unreadable;
	TupleTableSlot *slot = stream_last_log(key, &worker->told, &unreadable);

	if (OidIsValid(unreadable))
	{
		if (slot)
			ExecDropSingleTupleTableSlot(slot);
		missed_unreadable(worker, subject, unreadable);
		return false;
	}
	if (slot)
	{
		subject->max_xact = Max(subject->max_xact, stream_xact(slot));
		worker->flush = Max(worker->flush, commit_lsn(stream_xact(slot)));
		ExecDropSingleTupleTableSlot(slot);
	}
	subject->max_known = true;
	return true;
}

/* Aim the scan at what is left of the places from a log on; xact 0 is the beginning. */
static TupleTableSlot *
aim(Worker *worker, const ExecutionKey *key, const Places *places, uint64 xact, int32 after_seq)
{
	if (worker->scan == NULL)
		worker->scan = stream_scan_open_readable();
	if (places->anywhere)
		stream_scan_aim_between(worker->scan, key, &worker->told, &worker->now, &worker->shown);
	else
		stream_scan_aim_targets(worker->scan, key, places->xacts, places->count,
								places->leaves, places->leaf_count);
	if (xact != 0)
		stream_scan_skip_to(worker->scan, xact, after_seq);
	return stream_scan_next(worker->scan);
}

/* Tell a subject's new logs; false if that could not be done. */
static bool
tell_logs(Worker *worker, Subject *subject, const Places *places)
{
	ExecutionKey key = {subject->id, subject->len, subject->hash, NULL};
	CursorMaker *maker = &worker->maker;
	XactSet		before;
	TupleTableSlot *slot;
	int			place = 0;

	if (!subject->max_known && !find_max_xact(worker, subject, &key))
		return false;
	if (is_older(subject->removals_at, REMOVALS_MAX_AGE_MS))
	{
		subject->removals = stream_removals(&key);
		subject->removals_at = GetCurrentTimestamp();
	}
	before = xact_set_clip(&worker->told, subject->max_xact + 1);
	cursor_maker_begin(maker, subject->hash, subject->removals);
	cursor_maker_batch(maker, &before, &worker->now);
	maker->durable = !places->anywhere && !places->async;

	slot = aim(worker, &key, places, 0, 0);
	if (OidIsValid(stream_scan_unreadable(worker->scan)))
	{
		missed_unreadable(worker, subject, stream_scan_unreadable(worker->scan));
		return false;
	}
	if (slot)
		notify_begin_batch(worker, subject);
	while (slot)
	{
		MemoryContext saved = MemoryContextSwitchTo(worker->row_context);
		uint64		xact;
		pg_uuid_t	id;

		CHECK_FOR_INTERRUPTS();
		resetStringInfo(&worker->log);
		json_log_fields(&worker->log, slot, false);
		id = *DatumGetUUIDP(stream_attribute(slot, Anum_log_id));
		cursor_maker_log(maker, slot);
		xact = maker->position.xact;
		MemoryContextSwitchTo(saved);
		MemoryContextReset(worker->row_context);

		slot = stream_scan_next(worker->scan);
		resetStringInfo(&worker->cursor);
		cursor_maker_append(maker, slot, &worker->cursor);
		worker->flush = Max(worker->flush, maker->flush);
		notify_log(worker, subject, &id);
		subject->max_xact = Max(subject->max_xact, xact);

		while (place < places->count && places->xacts[place] < xact)
			place++;
		if (place < places->count && places->xacts[place] == xact)
			count_lag(worker, places->pushed_at[place]);

		if (slot && notify_part_full(worker))
		{
			uint64		next_xact = stream_xact(slot);
			int32		next_seq = DatumGetInt32(stream_attribute(slot, Anum_log_seq));

			worker_next_transaction(worker);
			if (!worker->sending)
				return false;
			slot = aim(worker, &key, places, next_xact, next_seq - 1);
			if (OidIsValid(stream_scan_unreadable(worker->scan)))
			{
				missed_unreadable(worker, subject, stream_scan_unreadable(worker->scan));
				return false;
			}
		}
	}
	return true;
}

/* Tell a change of status to whoever listens for it. */
static void
tell_status(Worker *worker, Subject *execution, StatusEvent *event)
{
	Subject    *workflow = NULL;
	bool		ended = event->to && STATUS_IS_TERMINAL(wflog_parse_status(event->to));

	if (event->workflow_id && (worker->workflow_count > 0 || worker->asked_all != 0))
	{
		int			len = strlen(event->workflow_id);

		workflow = subject_unlisted(worker, ASKED_WORKFLOW, event->workflow_id, len,
									wflog_execution_hash(event->workflow_id, len));
	}
	if (workflow)
	{
		subject_check_channel(worker, workflow);
		notify_status(worker, workflow, event->from ? "status" : "start", event);
	}
	if (execution)
		notify_status(worker, execution, "status", event);

	/*
	 * Not by ended_at: whoever has asked before the end, and is looked up after
	 * it for the first time, is to be told it as well.
	 */
	if (ended && (workflow || (execution && !execution->end_told)))
	{
		ExecutionKey key = execution_key(event->id, event->len);

		event->total_logs = log_count(&key, log_filter_all());
		if (workflow)
			notify_status(worker, workflow, "end", event);
		if (execution)
		{
			notify_status(worker, execution, "end", event);
			execution->ended_at = GetCurrentTimestamp();
			execution->end_told = true;
		}
	}
	if (workflow)
		workflow->last = worker->number;
}

/*
 * Tell all that is new of an execution.  subject is NULL if nobody listens for
 * itself; events is a list of StatusEvent.
 */
static void
tell_execution(Worker *worker, Subject *subject, const Places *places, List *events)
{
	uint64		events_before = worker->events;
	ListCell   *cell;

	if (subject)
	{
		if (subject->round == worker->round)
			return;
		subject->round = worker->round;
	}
	if (!worker->sending)
	{
		if (subject)
			missed_by(worker, subject);
		missed_events(worker, events);
		return;
	}
	if (subject)
	{
		subject_check_channel(worker, subject);
		if ((places->anywhere || places->count > 0) && !tell_logs(worker, subject, places))
		{
			missed_by(worker, subject);
			if (!worker->sending)
			{
				missed_events(worker, events);
				return;
			}
			/* its logs cannot be read: that is no matter of its workflow's */
			subject = NULL;
		}
	}
	foreach(cell, events)
		tell_status(worker, subject, lfirst(cell));
	if (subject && worker->events != events_before)
		subject->last = worker->number;
	if (notify_part_full(worker))
		worker_next_transaction(worker);
}

/* Order hints by execution and kind; then logs by transaction, changes of status by position. */
static int
compare_hints(const void *a, const void *b)
{
	const Hint *left = a;
	const Hint *right = b;

	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	if (left->kind != QUEUE_STATUS && left->xact != right->xact)
		return left->xact < right->xact ? -1 : 1;
	if (left->leaf != right->leaf)
		return left->leaf < right->leaf ? -1 : 1;
	return 0;
}

/* The places that an execution's hints name. */
static Places
places_of_hints(Worker *worker, const Hint *hints, int count)
{
	Places		places = {0};

	places.xacts = palloc(sizeof(uint64) * (count + worker->unknown_count));
	places.pushed_at = palloc0(sizeof(TimestampTz) * (count + worker->unknown_count));
	places.leaves = palloc(sizeof(Oid) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		int			j;

		if (hints[i].kind != QUEUE_LOGS)
			continue;
		if (hints[i].async)
			places.async = true;
		if (places.count == 0 || places.xacts[places.count - 1] != hints[i].xact)
		{
			places.pushed_at[places.count] = hints[i].pushed_at;
			places.xacts[places.count++] = hints[i].xact;
		}
		for (j = 0; j < places.leaf_count; j++)
			if (places.leaves[j] == hints[i].leaf)
				break;
		if (j == places.leaf_count)
			places.leaves[places.leaf_count++] = hints[i].leaf;
	}
	/* maintenance may have moved logs to a new leaf since they were written */
	if (worker->leaves_changed)
		places.leaves = NULL;
	return places;
}

/* The events that an execution's hints name. */
static List *
events_of_hints(const Hint *hints, int count, const char *id, int len)
{
	List	   *events = NIL;

	for (int i = 0; i < count; i++)
	{
		StatusEvent *event;

		if (hints[i].kind != QUEUE_STATUS || hints[i].text_len != len ||
			memcmp(hints[i].text, id, len) != 0)
			continue;
		event = palloc(sizeof(StatusEvent));
		if (status_read(id, len, hints[i].leaf, event))
			events = lappend(events, event);
	}
	return events;
}

/* Tell what the hints of one hash lead to; they are sorted. */
static void
tell_hints(Worker *worker, const Hint *hints, int count)
{
	Places		places = places_of_hints(worker, hints, count);
	Subject    *subject;

	/* all executions count as asked for: find out which those are */
	if (worker->asked_all != 0)
		for (int i = 0; i < count; i++)
			if (hints[i].kind == QUEUE_STATUS)
				(void) subject_unlisted(worker, ASKED_EXECUTION, hints[i].text, hints[i].text_len,
										hints[i].hash);
	if (worker->asked_all != 0 && subjects_of_hash(worker, hints[0].hash) == NULL &&
		places.count > 0)
	{
		text	   *id = execution_of_hash(hints[0].hash, places.leaves, places.leaf_count);

		if (id)
			(void) subject_unlisted(worker, ASKED_EXECUTION, VARDATA_ANY(id),
									VARSIZE_ANY_EXHDR(id), hints[0].hash);
	}

	for (subject = subjects_of_hash(worker, hints[0].hash); subject; subject = subject->next)
		if (subject->kind == ASKED_EXECUTION)
			tell_execution(worker, subject, &places,
						   events_of_hints(hints, count, subject->id, subject->len));

	/* changes of status that only listeners of workflows hear of */
	if (worker->workflow_count > 0)
		for (int i = 0; i < count; i++)
			if (hints[i].kind == QUEUE_STATUS &&
				(i == 0 || hints[i - 1].kind != QUEUE_STATUS ||
				 hints[i - 1].text_len != hints[i].text_len ||
				 memcmp(hints[i - 1].text, hints[i].text, hints[i].text_len) != 0) &&
				!subject_find(worker, ASKED_EXECUTION, hints[i].text, hints[i].text_len,
							  hints[i].hash))
				tell_execution(worker, NULL, &places,
							   events_of_hints(hints, count, hints[i].text, hints[i].text_len));
}

/* Tell what the hints lead to, of what has been asked for. */
static void
tell_by_hints(Worker *worker)
{
	HintList	wanted = {0};

	for (int i = 0; i < worker->resolved.count; i++)
	{
		const Hint *hint = &worker->resolved.hints[i];

		if (worker->asked_all != 0 || hint->kind == QUEUE_STATUS ||
			(hint->kind == QUEUE_LOGS && subjects_of_hash(worker, hint->hash) != NULL))
			hint_add(&wanted, hint);
	}
	if (wanted.count > 1)
		qsort(wanted.hints, wanted.count, sizeof(Hint), compare_hints);
	for (int first = 0, next; first < wanted.count; first = next)
	{
		for (next = first + 1; next < wanted.count; next++)
			if (wanted.hints[next].hash != wanted.hints[first].hash)
				break;
		tell_hints(worker, &wanted.hints[first], next - first);
	}
}

/* Tell what the table says, of all that has been asked for. */
static void
tell_by_table(Worker *worker)
{
	Places		anywhere = {.anywhere = true};
	int			count;
	Subject   **subjects = subjects_all(worker, &count);

	for (int i = 0; i < count; i++)
		if (subjects[i]->kind == ASKED_EXECUTION)
			tell_execution(worker, subjects[i], &anywhere,
						   status_read_new(worker, subjects[i]->id, subjects[i]->len));
		else if (worker->status_unknown)
			missed_by(worker, subjects[i]);
}

/* Has the worker anything to tell in this round?  If not, it needs no new number. */
bool
tell_is_needed(Worker *worker)
{
	if (worker->old_channels != NIL)
		return true;
	if (worker->catch_up || worker->unknown_count > 0 || worker->resync)
		return worker->subject_count > 0 || worker->asked_all != 0 || worker->gateway_asked;
	for (int i = 0; i < worker->resolved.count; i++)
	{
		const Hint *hint = &worker->resolved.hints[i];

		if (worker->asked_all != 0 || hint->kind != QUEUE_LOGS ||
			subjects_of_hash(worker, hint->hash) != NULL)
			return true;
	}
	return false;
}

/* Tell all there is to be told. */
void
tell_round(Worker *worker)
{
	bool		by_table = worker->catch_up || worker->unknown_count > 0;
	bool		owners = by_table && worker->status_unknown;	/* may have changed */

	for (int i = 0; i < worker->resolved.count && !owners; i++)
		owners = worker->resolved.hints[i].kind == QUEUE_OWNER;
	if (owners || by_table)
		subjects_name_channels(worker);
	/* what a gateway follows besides, and for whom, we do not know: it asks anew for all */
	if (owners && (worker->asked_all & ASKED_ALL_FULL) && worker->gateway_asked)
		worker->resync = worker->gateway->resync = true;
	worker->gateway_told = false;
	subjects_tell_old_channels(worker);
	begin_scan(worker);
	if (by_table)
	{
		tell_by_table(worker);
		/* those not looked up: where they may have missed something, "prev" tells */
		worker->unlisted_since = worker->number;
	}
	tell_by_hints(worker);
	if (worker->gateway_told)
		worker->gateway->last = worker->number;
	missed_tell(worker);
}
