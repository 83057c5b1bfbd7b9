/*-------------------------------------------------------------------------
 *
 * touched.c
 *	  What the transaction at hand has touched, each thing once.
 *
 * The notes are in static memory, so adding one cannot fail, and they are
 * bounded: a transaction that touches more than QUEUE_MAX_NOTES executions is
 * noted as a whole instead.  Notes of a subtransaction that aborts stay; they
 * are hints only.
 *
 * For wflog.notify = transaction the executions' ids are kept as well, without
 * bound, as the notifications themselves would be; in TopTransactionContext.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "common/hashfn.h"
#include "touched.h"
#include "utils/memutils.h"

/* Up to so many notes, looking at each is quicker than the index. */
#define FEW_NOTES 8

TouchedSet	touched;

/* Make sure that the notes are of this transaction. */
void
touched_begin(TouchedSet *set, uint64 xact)
{
	if (likely(set->xact == xact))
		return;
	/* the callback forgets them at the end of each; this is for safety */
	if (set->count > 0)
		touched_forget(set);
	set->xact = xact;
}

/* Are two notes about the same? */
static bool
same_note(const TouchedSet *set, const TouchedNote *note, QueueKind kind, Oid leaf, int64 hash,
		  const char *text, int len)
{
	return note->hash == hash && note->leaf == leaf && note->kind == kind &&
		note->text_len == len && (len == 0 || memcmp(set->texts + note->text, text, len) == 0);
}

/* Where to begin to look in the index. */
static uint32
index_start(QueueKind kind, Oid leaf, int64 hash)
{
	return murmurhash32((uint32) hash ^ leaf ^ ((uint32) kind << 16));
}

/* Enter a note into the index.  It is never more than half full. */
static void
index_note(TouchedSet *set, int number)
{
	const TouchedNote *note = &set->notes[number];
	uint32		at = index_start(note->kind, note->leaf, note->hash);

	while (set->index[at % TOUCHED_INDEX] != 0)
		at++;
	set->index[at % TOUCHED_INDEX] = number + 1;
}

/* Is there such a note already? */
static bool
find_note(TouchedSet *set, QueueKind kind, Oid leaf, int64 hash, const char *text, int len)
{
	if (!set->indexed)
	{
		for (int i = set->count - 1; i >= 0; i--)
			if (same_note(set, &set->notes[i], kind, leaf, hash, text, len))
				return true;
		return false;
	}
	for (uint32 at = index_start(kind, leaf, hash); set->index[at % TOUCHED_INDEX] != 0; at++)
		if (same_note(set, &set->notes[set->index[at % TOUCHED_INDEX] - 1], kind, leaf, hash, text,
					  len))
			return true;
	return false;
}

/* Let one note stand for all; its leaf is 1 if logs are not all they were about. */
static int
note_unknown(TouchedSet *set, bool more_than_logs)
{
	for (int i = 0; i < set->count; i++)
		if (set->notes[i].kind != QUEUE_LOGS)
			more_than_logs = true;
	memset(&set->notes[0], 0, sizeof(TouchedNote));
	set->notes[0].kind = QUEUE_UNKNOWN;
	set->notes[0].leaf = more_than_logs;
	set->count = 1;
	set->unknown = true;
	return 0;
}

/*
 * Add a note unless it is there; touched_begin() comes first.  Returns the
 * number of the note, or -1 if it says nothing new.  Cannot fail: too many
 * notes become one.
 */
int
touched_add(TouchedSet *set, QueueKind kind, Oid leaf, int64 hash, const char *text, int len)
{
	TouchedNote *note;

	if (set->unknown)
	{
		if (kind == QUEUE_LOGS || set->notes[0].leaf != 0)
			return -1;
		set->notes[0].leaf = 1;
		return 0;
	}
	if (find_note(set, kind, leaf, hash, text, len))
		return -1;
	if (set->count == QUEUE_MAX_NOTES || len > TOUCHED_TEXT_SIZE - set->text_used)
		return note_unknown(set, kind != QUEUE_LOGS);

	note = &set->notes[set->count];
	note->hash = hash;
	note->leaf = leaf;
	note->kind = kind;
	note->text_len = len;
	note->text = set->text_used;
	if (len > 0)
	{
		memcpy(set->texts + set->text_used, text, len);
		set->text_used += len;
	}
	set->count++;

	if (set->indexed)
		index_note(set, set->count - 1);
	else if (set->count > FEW_NOTES)
	{
		memset(set->index, 0, sizeof(set->index));
		for (int i = 0; i < set->count; i++)
			index_note(set, i);
		set->indexed = true;
	}
	return set->count - 1;
}

/* Places of the queue's ring that the notes take, from the given one on. */
uint32
touched_places(const TouchedSet *set, int from)
{
	uint32		places = 0;

	for (int i = from; i < set->count; i++)
		places += 1 + (set->notes[i].text_len + sizeof(QueueEntry) - 1) / sizeof(QueueEntry);
	return places;
}

/* At the end of the transaction. */
void
touched_forget(TouchedSet *set)
{
	set->last_hash = 0;
	set->last_leaf = InvalidOid;
	set->last_xact = 0;
	set->xact = 0;
	set->count = 0;
	set->text_used = 0;
	set->unknown = false;
	set->indexed = false;
	set->executions = NULL;		/* gone with its context */
}

/* ---- executions by id ---- */

/*
 * Remember an execution.  Returns what is remembered, or NULL if it was known.
 * Ids whose hashes are equal are taken for one.
 */
const TouchedExecution *
touched_execution(TouchedSet *set, int64 hash, const char *id, int len)
{
	TouchedExecution *execution;
	bool		found;

	if (set->executions == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(int64);
		ctl.entrysize = sizeof(TouchedExecution);
		ctl.hcxt = TopTransactionContext;
		set->executions = hash_create("wflog touched executions", 16, &ctl,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	execution = hash_search(set->executions, &hash, HASH_FIND, NULL);
	if (execution != NULL)
		return NULL;
	id = memcpy(MemoryContextAlloc(TopTransactionContext, len + 1), id, len);
	execution = hash_search(set->executions, &hash, HASH_ENTER, &found);
	execution->id = (char *) id;
	execution->len = len;
	return execution;
}

/* All executions remembered, in no order; palloc'd. */
TouchedExecution *
touched_executions(const TouchedSet *set, int *count)
{
	TouchedExecution *executions;
	TouchedExecution *execution;
	HASH_SEQ_STATUS status;

	executions = palloc(sizeof(TouchedExecution) * hash_get_num_entries(set->executions));
	*count = 0;
	hash_seq_init(&status, set->executions);
	while ((execution = hash_seq_search(&status)) != NULL)
		executions[(*count)++] = *execution;
	return executions;
}
