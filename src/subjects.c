/*-------------------------------------------------------------------------
 *
 * subjects.c
 *	  Executions and workflows that the worker tells somebody about.
 *
 * They are those whose channel has been asked for: a copy of the table in
 * shared memory, with what the worker needs to know of each.  When all
 * executions count as asked for, others come in as they are written to
 * ("unlisted"); beyond a bound they are forgotten between rounds.
 *
 * "last" is the batch that was told to a subject last, which becomes "prev"
 * of the next one.  A number that is too great does no harm: who does not know
 * it reads the table.  One that is too small would hide a gap.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker.h"

#define MAX_UNLISTED 50000

/* Channels are looked up anew after so long, whatever hints say. */
#define CHANNEL_MAX_AGE_MS 1000

/* An ended execution is told about for so long, unless there is need for room. */
#define RETIRE_AFTER_MS (10 * 60 * 1000)

typedef struct SubjectChain
{
	int64		hash;
	Subject    *first;
} SubjectChain;

/* Make a subject. */
static Subject *
make_subject(Worker *worker, AskedKind kind, const char *id, int len, int64 hash)
{
	Subject    *subject = MemoryContextAllocZero(worker->context,
												 offsetof(Subject, id) + len + 1);

	subject->kind = kind;
	subject->hash = hash;
	subject->len = len;
	memcpy(subject->id, id, len);
	return subject;
}

/* Begin with no subject but the gateways. */
void
subjects_init(Worker *worker)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(SubjectChain);
	ctl.hcxt = worker->context;
	worker->subjects = hash_create("wflog subjects", 256, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	worker->asked_version = PG_UINT64_MAX;
	worker->gateway = make_subject(worker, 0, "", 0, 0);
	worker->gateway->flags = ASKED_BY_GATEWAY;
}

/* Those with a hash, as a chain; NULL if there is none. */
Subject *
subjects_of_hash(Worker *worker, int64 hash)
{
	SubjectChain *chain = hash_search(worker->subjects, &hash, HASH_FIND, NULL);

	return chain ? chain->first : NULL;
}

/* One by its id; NULL if there is none such. */
Subject *
subject_find(Worker *worker, AskedKind kind, const char *id, int len, int64 hash)
{
	for (Subject *subject = subjects_of_hash(worker, hash); subject; subject = subject->next)
		if (subject->kind == kind && subject->len == len && memcmp(subject->id, id, len) == 0)
			return subject;
	return NULL;
}

/* Add a subject, which must not be there. */
static Subject *
add_subject(Worker *worker, AskedKind kind, const char *id, int len, int64 hash)
{
	Subject    *subject = make_subject(worker, kind, id, len, hash);
	SubjectChain *chain;
	bool		found;

	chain = hash_search(worker->subjects, &hash, HASH_ENTER, &found);
	subject->next = found ? chain->first : NULL;
	chain->first = subject;
	worker->subject_count++;
	worker->unlisted_count++;
	if (kind == ASKED_WORKFLOW)
		worker->workflow_count++;
	return subject;
}

/* Forget a subject. */
static void
remove_subject(Worker *worker, Subject *subject)
{
	SubjectChain *chain = hash_search(worker->subjects, &subject->hash, HASH_FIND, NULL);

	for (Subject **at = &chain->first; *at; at = &(*at)->next)
		if (*at == subject)
		{
			*at = subject->next;
			break;
		}
	if (chain->first == NULL)
		hash_search(worker->subjects, &subject->hash, HASH_REMOVE, NULL);
	worker->subject_count--;
	if (subject->last_asked == 0)
		worker->unlisted_count--;
	if (subject->kind == ASKED_WORKFLOW)
		worker->workflow_count--;
	pfree(subject);
}

/* Calls do_it for each subject; it may remove the one it is called with. */
static void
for_each(Worker *worker, void (*do_it) (Worker *worker, Subject *subject))
{
	HASH_SEQ_STATUS status;
	SubjectChain *chain;

	hash_seq_init(&status, worker->subjects);
	while ((chain = hash_seq_search(&status)) != NULL)
		for (Subject *subject = chain->first, *next; subject; subject = next)
		{
			next = subject->next;
			do_it(worker, subject);
		}
}

static void
remove_unlisted(Worker *worker, Subject *subject)
{
	if (subject->last_asked == 0)
		remove_subject(worker, subject);
}

/*
 * The number before which nothing is missing for one who asked when a number
 * had been published.
 */
static uint64
known_since(Worker *worker, uint64 epoch, uint64 since)
{
	if (epoch == worker->epoch && since >= worker->base)
		return since;
	return worker->resumed ? worker->base : 0;
}

/* Note that a name was told that is perhaps no more. */
static void
note_old_channel(Worker *worker, const AskedEntry *entry)
{
	MemoryContext saved = MemoryContextSwitchTo(worker->context);
	AskedEntry *copy = palloc(sizeof(AskedEntry));

	memcpy(copy, entry, sizeof(AskedEntry));
	worker->old_channels = lappend(worker->old_channels, copy);
	MemoryContextSwitchTo(saved);
}

/*
 * Take over what has been asked for.  To be called within a transaction; the
 * channel of what is new is looked up, so that a change of it is noticed.
 */
void
subjects_sync(Worker *worker)
{
	AskedEntry *entries;
	int			count;
	bool		all;
	uint32		was_all = worker->asked_all;

	/* here, where nobody is being told anything */
	if (worker->unlisted_count >= MAX_UNLISTED)
	{
		for_each(worker, remove_unlisted);
		worker->unlisted_since = worker->number;
	}
	if (worker->asked_version == worker->slot->asked_version)
		return;
	entries = asked_copy(worker->slot, &count, &all, &worker->asked_version);
	worker->asked_all = pg_atomic_read_u32(&worker->slot->asked_all);
	if (worker->asked_all != 0 && was_all == 0)
		worker->unlisted_since = worker->number;
	else if (worker->asked_all == 0 && was_all != 0)
		for_each(worker, remove_unlisted);
	if (worker->slot->gateway_asked && !worker->gateway_asked)
	{
		worker->gateway_asked = true;
		worker->gateway->last = worker->number;
		/* what was missed before was nothing to it: it reads after it has asked */
		worker->gateway->resync = false;
	}

	list_free_deep(worker->old_channels);
	worker->old_channels = NIL;
	for (int i = 0; i < count; i++)
	{
		AskedEntry *entry = &entries[i];
		Subject    *subject = subject_find(worker, entry->kind, entry->id, entry->id_len,
										   entry->hash);

		if (subject == NULL)
		{
			subject = add_subject(worker, entry->kind, entry->id, entry->id_len, entry->hash);
			subject->last = known_since(worker, entry->since_epoch, entry->since);
			subject_name_channel(worker, subject, 0);
		}
		if (subject->last_asked == 0)
			worker->unlisted_count--;
		subject->last_asked = Max(subject->last_asked, entry->last_asked);
		subject->flags |= entry->flags;
		if (strcmp(entry->channel, subject->channel) != 0)
			note_old_channel(worker, entry);
	}
	pfree(entries);
}

/* One that nobody may have asked for, when all count as asked for. */
Subject *
subject_unlisted(Worker *worker, AskedKind kind, const char *id, int len, int64 hash)
{
	Subject    *subject = subject_find(worker, kind, id, len, hash);

	if (subject || worker->asked_all == 0)
		return subject;
	subject = add_subject(worker, kind, id, len, hash);
	subject->last = worker->unlisted_since;
	subject->flags = ASKED_BY_CHANNEL;
	/* which ones the gateway has asked for, we cannot know */
	if ((worker->asked_all & ASKED_ALL_FULL) && worker->gateway_asked)
		subject->flags |= ASKED_BY_GATEWAY;
	return subject;
}

/*
 * See that a subject's channel is the present one; it is looked up if that was
 * last done before the given time.  Who listens on another one is told that it
 * is no more.
 *
 * The present one, not that of the round's snapshot: who asks for the name
 * after having been told gets that.
 */
void
subject_name_channel(Worker *worker, Subject *subject, TimestampTz older_than)
{
	char		name[CHANNEL_LEN + 1];
	char	   *owner = NULL;

	if (subject->channel_at != 0 && subject->channel_at >= older_than)
		return;

	/* not before somebody is to be told anything: a dump being restored may bring the key */
	if (worker->key == NULL)
	{
		MemoryContext saved = MemoryContextSwitchTo(worker->context);

		worker->key = channel_key(true);
		MemoryContextSwitchTo(saved);
	}
	PushActiveSnapshot(GetLatestSnapshot());
	if (subject->kind == ASKED_WORKFLOW)
		(void) workflow_channel_name(worker->key, subject->id, subject->len, name);
	else if (subject->kind == ASKED_EXECUTION)
	{
		WflogExecution execution;

		if (wflog_lookup_execution(subject->id, subject->len, &execution))
		{
			(void) wflog_lookup_workflow_owner(execution.workflow_id,
											   strlen(execution.workflow_id), &owner);
			/* perhaps nobody will be told its end, but it is to be retired some time */
			if (subject->channel_at == 0 && STATUS_IS_TERMINAL(execution.status))
				subject->ended_at = GetCurrentTimestamp();
		}
		channel_name(worker->key, CHANNEL_EXECUTION, subject->id, subject->len, owner, name);
	}
	else
		channel_name(worker->key, CHANNEL_GATEWAY, "", 0, NULL, name);
	PopActiveSnapshot();

	if (subject->channel_at != 0 && strcmp(name, subject->channel) != 0)
	{
		/* nothing can be sent now: so nothing is, until we come here again */
		if (!worker->sending)
			return;
		notify_simple(worker, subject, subject->channel, "moved");
	}
	strcpy(subject->channel, name);
	subject->channel_at = GetCurrentTimestamp();
}

/* See that the subject's channel is known, and of no owner of a while ago. */
void
subject_check_channel(Worker *worker, Subject *subject)
{
	if (subject->channel_at == 0 ||
		TimestampDifferenceExceeds(subject->channel_at, GetCurrentTimestamp(), CHANNEL_MAX_AGE_MS))
		subject_name_channel(worker, subject, DT_NOEND);
}

static void
name_channel(Worker *worker, Subject *subject)
{
	if (subject->channel_at != 0)
		subject_name_channel(worker, subject, DT_NOEND);
}

/* See that all channels are the present ones. */
void
subjects_name_channels(Worker *worker)
{
	for_each(worker, name_channel);
}

/*
 * Tell whoever listens to a name that is no more.  He was told it by a
 * snapshot from before the change: of a worker before us, or before we had
 * heard of him.
 */
void
subjects_tell_old_channels(Worker *worker)
{
	while (worker->old_channels != NIL && worker->sending)
	{
		AskedEntry *entry = linitial(worker->old_channels);
		Subject    *subject = subject_find(worker, entry->kind, entry->id, entry->id_len, entry->hash);

		bool		old = false;

		if (subject)
		{
			/* to look it up is to tell those who listen to what we took for the present one */
			bool		told = strcmp(entry->channel, subject->channel) == 0;

			subject_name_channel(worker, subject, DT_NOEND);
			old = strcmp(entry->channel, subject->channel) != 0;
			if (old && !told)
				notify_simple(worker, subject, entry->channel, "moved");
		}
		worker->old_channels = list_delete_first(worker->old_channels);
		if (old)
			worker->told_channels = lappend(worker->told_channels, entry);
		else
			pfree(entry);
		if (notify_part_full(worker))
			worker_next_transaction(worker);
	}
}

/* Forget those that have been told so, when that has been committed. */
void
subjects_forget_old_channels(Worker *worker)
{
	ListCell   *cell;

	foreach(cell, worker->told_channels)
	{
		/* one who has been told it since is told in the next round */
		if (!asked_remove_channel(worker->slot, lfirst(cell)))
			worker->asked_version = PG_UINT64_MAX;
		pfree(lfirst(cell));
	}
	worker->told_channels = NIL;
}

/* All but the gateways, palloc'd: for what cannot be done within a scan of the table. */
Subject **
subjects_all(Worker *worker, int *count)
{
	Subject   **subjects = palloc(sizeof(Subject *) * (worker->subject_count + 1));
	HASH_SEQ_STATUS status;
	SubjectChain *chain;

	*count = 0;
	hash_seq_init(&status, worker->subjects);
	while ((chain = hash_seq_search(&status)) != NULL)
		for (Subject *subject = chain->first; subject; subject = subject->next)
			subjects[(*count)++] = subject;
	return subjects;
}

static void
set_resync(Worker *worker, Subject *subject)
{
	subject->resync = true;
	subject->last = 0;
	subject->max_known = false;
}

/* Everybody may have missed something. */
void
subjects_all_resync(Worker *worker)
{
	for_each(worker, set_resync);
	set_resync(worker, worker->gateway);
	worker->unlisted_since = 0;
	worker->resync = true;
}

static void
retire(Worker *worker, Subject *subject)
{
	bool		crowded = worker->subject_count - worker->unlisted_count > ASKED_MAX / 2;
	AskedEntry	entry;

	if (subject->ended_at == 0 || subject->last_asked == 0 || subject->resync ||
		(!crowded && !TimestampDifferenceExceeds(subject->ended_at, GetCurrentTimestamp(),
												 RETIRE_AFTER_MS)))
		return;
	entry.hash = subject->hash;
	entry.kind = subject->kind;
	entry.last_asked = subject->last_asked;
	entry.id_len = subject->len;
	memcpy(entry.id, subject->id, subject->len);
	if (asked_remove(worker->slot, &entry))
		remove_subject(worker, subject);
	else
	{
		/* somebody has asked again: another term */
		subject->ended_at = GetCurrentTimestamp();
		worker->asked_version = PG_UINT64_MAX;
	}
}

/* Forget executions that have ended, when nobody is likely to listen any more. */
void
subjects_retire(Worker *worker)
{
	for_each(worker, retire);
}
