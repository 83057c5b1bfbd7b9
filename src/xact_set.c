/*-------------------------------------------------------------------------
 *
 * xact_set.c
 *	  Sets of committed transactions: what a snapshot shows.
 *
 * A stream cursor stores such sets, so they are made of full (64 bit) ids and
 * their membership is decided by them alone: XidInMVCCSnapshot() would read
 * pg_subtrans, which is truncated long before a stored set is used.  That is
 * sound because rows are stamped with top-level ids.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "xact_set.h"

/* The set without any member. */
XactSet
xact_set_empty(void)
{
	XactSet		set = {0, 0, NULL};

	return set;
}

/* qsort comparator */
static int
compare_xacts(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right ? 1 : 0;
}

/* Sort the hidden ids and drop repeats: a prepared transaction may be there twice. */
static void
normalise(XactSet *set)
{
	int			kept = 0;

	qsort(set->hidden, set->count, sizeof(uint64), compare_xacts);
	for (int i = 0; i < set->count; i++)
		if (kept == 0 || set->hidden[kept - 1] != set->hidden[i])
			set->hidden[kept++] = set->hidden[i];
	set->count = kept;
}

/* A 32 bit id that is not after next, with its epoch. */
static uint64
widen(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

/* A 32 bit id that has been given out, and is not older than what can be on disk. */
uint64
xact_widen(TransactionId xid)
{
	return widen(xid, ReadNextFullTransactionId());
}

/*
 * What an MVCC snapshot shows of other transactions.  The own one is never a
 * member: its rows are visible, but not committed.  A snapshot taken during
 * recovery keeps all its running ids, subtransactions among them, in subxip.
 */
XactSet
xact_set_from_snapshot(Snapshot snapshot)
{
	FullTransactionId next = ReadNextFullTransactionId();
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	TransactionId *ids = snapshot->takenDuringRecovery ? snapshot->subxip : snapshot->xip;
	int			count = snapshot->takenDuringRecovery ? snapshot->subxcnt : (int) snapshot->xcnt;
	XactSet		set;

	set.xmax = widen(snapshot->xmax, next);
	set.hidden = palloc(sizeof(uint64) * (count + 1));
	set.count = 0;
	for (int i = 0; i < count; i++)
	{
		uint64		xact = widen(ids[i], next);

		if (xact < set.xmax)
			set.hidden[set.count++] = xact;
	}
	if (FullTransactionIdIsValid(own) && U64FromFullTransactionId(own) < set.xmax)
		set.hidden[set.count++] = U64FromFullTransactionId(own);
	normalise(&set);
	return set;
}

/* Is the transaction a member? */
bool
xact_set_contains(const XactSet *set, uint64 xact)
{
	return xact < set->xmax &&
		(set->count == 0 ||
		 bsearch(&xact, set->hidden, set->count, sizeof(uint64), compare_xacts) == NULL);
}

/* Are all members of part members of set? */
bool
xact_set_includes(const XactSet *set, const XactSet *part)
{
	uint64		beyond = 0;

	for (int i = part->count - 1; i >= 0 && part->hidden[i] >= set->xmax; i--)
		beyond++;
	if (part->xmax > set->xmax && part->xmax - set->xmax > beyond)
		return false;
	for (int i = 0; i < set->count; i++)
		if (xact_set_contains(part, set->hidden[i]))
			return false;
	return true;
}

/* A copy in the current memory context. */
XactSet
xact_set_copy(const XactSet *set)
{
	XactSet		copy = *set;

	copy.hidden = palloc(sizeof(uint64) * (set->count + 1));
	if (set->count > 0)
		memcpy(copy.hidden, set->hidden, sizeof(uint64) * set->count);
	return copy;
}

/* The members below xmax. */
XactSet
xact_set_clip(const XactSet *set, uint64 xmax)
{
	XactSet		result = *set;

	if (xmax >= set->xmax)
		return result;
	result.xmax = xmax;
	while (result.count > 0 && result.hidden[result.count - 1] >= xmax)
		result.count--;
	return result;				/* shares the list, which nobody changes */
}

/* The members of either. */
XactSet
xact_set_union(const XactSet *a, const XactSet *b)
{
	XactSet		result;

	result.xmax = Max(a->xmax, b->xmax);
	result.hidden = palloc(sizeof(uint64) * (a->count + b->count + 1));
	result.count = 0;

	/* What neither shows is hidden by one, and hidden by or beyond the other. */
	for (int i = 0; i < a->count; i++)
		if (!xact_set_contains(b, a->hidden[i]))
			result.hidden[result.count++] = a->hidden[i];
	for (int i = 0; i < b->count; i++)
		if (!xact_set_contains(a, b->hidden[i]))
			result.hidden[result.count++] = b->hidden[i];
	normalise(&result);
	return result;
}
