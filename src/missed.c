/*-------------------------------------------------------------------------
 *
 * missed.c
 *	  Who has missed something, and is to be told so.
 *
 * Logs that cannot be sent, because the queue of notifications is full, or not
 * be read, because their leaf lacks the stream's index, keep nobody else from
 * being told.  Who should have been is marked, his chain of batches is broken,
 * and as soon as the reason is gone he is sent a reference: he reads the table.
 * Until then the round does not count as told (worker_round()), so that a
 * worker that comes after this one tells everybody.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "worker.h"

/* Mark a subject: there is something that it could not be told. */
void
missed_by(Worker *worker, Subject *subject)
{
	subject->resync = true;
	subject->last = 0;
	subject->max_known = false;
	worker->resync = true;
	/* of what cannot be read, a gateway hears when it can */
	if ((subject->flags & ASKED_BY_GATEWAY) && !OidIsValid(subject->unreadable))
	{
		worker->gateway->resync = true;
		worker->gateway->last = 0;
	}
}

/* Mark the workflows that changes of status are about. */
void
missed_events(Worker *worker, List *events)
{
	ListCell   *cell;

	foreach(cell, events)
	{
		const char *id = ((StatusEvent *) lfirst(cell))->workflow_id;
		Subject    *subject;

		if (id == NULL)
			continue;
		subject = subject_unlisted(worker, ASKED_WORKFLOW, id, strlen(id),
								   wflog_execution_hash(id, strlen(id)));
		if (subject)
			missed_by(worker, subject);
	}
}

/* Note that a subject's logs cannot be read, and say so, once. */
void
missed_unreadable(Worker *worker, Subject *subject, Oid leaf)
{
	MemoryContext saved;
	char	   *text;

	subject->unreadable = leaf;
	if (list_member_oid(worker->unreadable, leaf))
		return;
	saved = MemoryContextSwitchTo(worker->context);
	worker->unreadable = lappend_oid(worker->unreadable, leaf);
	MemoryContextSwitchTo(saved);

	text = psprintf("partition \"%s\" has no index to read its logs by", get_rel_name(leaf));
	stat_error(worker->slot, "worker", text);
	ereport(LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("wflog worker: %s", text),
			 errdetail("They are not notified; who listens for them will be told to read them when it has."),
			 errhint("CALL wflog.maintain() makes the indexes that are missing.")));
}

/* Can a leaf be read, that could not, or is it gone? */
static bool
is_readable(Worker *worker, Oid relid)
{
	LeafSet    *set;
	bool		readable = true;

	/* many may wait for the same */
	if (worker->looked_at == relid && worker->looked_at_round == worker->round)
		return worker->looked_readable;
	set = leaf_set_get();
	for (int i = 0; i < set->count; i++)
		if (set->leaves[i].relid == relid)
			readable = leaf_has_index(&set->leaves[i], LEAF_STREAM_INDEX);
	if (readable)
		worker->unreadable = list_delete_oid(worker->unreadable, relid);
	pfree(set);
	worker->looked_at = relid;
	worker->looked_at_round = worker->round;
	worker->looked_readable = readable;
	return readable;
}

/* Tell whoever has missed something that he has. */
void
missed_tell(Worker *worker)
{
	int			count;
	Subject   **subjects;

	if (!worker->resync || !worker->sending)
		return;
	worker->resync = false;
	subjects = subjects_all(worker, &count);
	for (int i = 0; i < count; i++)
	{
		Subject    *subject = subjects[i];

		if (!subject->resync)
			continue;
		if (OidIsValid(subject->unreadable))
		{
			if (!is_readable(worker, subject->unreadable))
			{
				worker->resync = true;
				continue;
			}
			subject->unreadable = InvalidOid;
			if (subject->flags & ASKED_BY_GATEWAY)
				worker->gateway->resync = true;
		}
		if (notify_part_full(worker))
			worker_next_transaction(worker);
		if (!worker->sending)
		{
			worker->resync = true;
			return;
		}
		subject_check_channel(worker, subject);
		notify_simple(worker, subject, subject->channel, "reference");
		subject->last = worker->number;
		subject->resync = false;
	}
	if (worker->gateway->resync && worker->gateway_asked)
	{
		notify_gateway_resync(worker);
		worker->gateway->last = worker->number;
	}
	worker->gateway->resync = false;
}
