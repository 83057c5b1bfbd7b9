/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Which executions and workflows the asker may read.
 *
 * The policies' predicates answer for each row of a scan, so their answers
 * are kept.  In a plan that scans rows, for as long as the plan runs: the
 * snapshot is one then, and who asks is looked at again for each row and, as
 * far as the claims go, each time the client has had its say (a cursor may
 * outlive a SET).  An expression without a row may be kept by PL/pgSQL for
 * the transaction; there everything the answer depends on is compared: also
 * the snapshot, as the owner may change between statements, and the
 * subtransaction, as that change may be undone.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "identity.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(wflog_can_read_execution);
PG_FUNCTION_INFO_V1(wflog_can_read_workflow);

/* An answer that has been given. */
typedef struct CachedAnswer
{
	uint64		hash;			/* of the id; simplehash key */
	char		status;
	bool		allowed;
	uint16		len;
	char	   *id;
} CachedAnswer;

#define SH_PREFIX answers
#define SH_ELEMENT_TYPE CachedAnswer
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) ((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

#define MAX_ANSWERS 100000		/* then the cache starts anew */

typedef struct AnswerCache
{
	MemoryContext context;		/* of everything below */
	bool		in_scan;		/* the argument is a column */
	TimestampTz message_at;		/* when the client's message came */
	bool		gateway;
	Oid			user;
	Oid			identity;
	char	   *claims;
	SubTransactionId subxact;
	SnapshotData snapshot;		/* what is needed to tell it from others */
	bool		sees_all;
	char	   *uid;
	answers_hash *answers;
	CachedAnswer *last;
} AnswerCache;

/* Does the user own the workflow? */
static bool
owns_workflow(const char *id, int len, const char *uid)
{
	char	   *owner;

	return uid && wflog_lookup_workflow_owner(id, len, &owner) &&
		owner && strcmp(owner, uid) == 0;
}

/* Does the user own the execution's workflow? */
static bool
owns_execution(const char *id, int len, const char *uid)
{
	WflogExecution execution;

	return uid && wflog_lookup_execution(id, len, &execution) &&
		owns_workflow(execution.workflow_id, strlen(execution.workflow_id), uid);
}

/* May the asker read this execution?  An unknown one only who sees all. */
bool
wflog_may_read_execution(const char *id, int len)
{
	return wflog_sees_all() || owns_execution(id, len, wflog_current_uid());
}

/* May the asker read this workflow? */
bool
wflog_may_read_workflow(const char *id, int len)
{
	return wflog_sees_all() || owns_workflow(id, len, wflog_current_uid());
}

/* Are two lists of transaction ids the same?  Empty ones may be NULL. */
static inline bool
same_ids(const TransactionId *a, const TransactionId *b, uint32 count)
{
	return count == 0 || memcmp(a, b, count * sizeof(TransactionId)) == 0;
}

/*
 * Do two snapshots of this transaction show the same?  Their bounds do not
 * tell: what ends between them changes only the list of what is in progress.
 */
static inline bool
same_snapshot(const SnapshotData *a, const SnapshotData *b)
{
	return a->xmin == b->xmin && a->xmax == b->xmax && a->curcid == b->curcid &&
		a->xcnt == b->xcnt && a->subxcnt == b->subxcnt && a->suboverflowed == b->suboverflowed &&
		same_ids(a->xip, b->xip, a->xcnt) && same_ids(a->subxip, b->subxip, Max(a->subxcnt, 0));
}

/* A list of transaction ids in the current memory context; NULL if it is empty. */
static TransactionId *
copy_ids(const TransactionId *ids, uint32 count)
{
	TransactionId *copy;

	if (count == 0)
		return NULL;
	copy = palloc(count * sizeof(TransactionId));
	memcpy(copy, ids, count * sizeof(TransactionId));
	return copy;
}

/* Copy what same_snapshot() looks at to the current memory context. */
static void
copy_snapshot(SnapshotData *copy, Snapshot snapshot)
{
	*copy = *snapshot;
	copy->xip = copy_ids(snapshot->xip, snapshot->xcnt);
	copy->subxip = copy_ids(snapshot->subxip, Max(snapshot->subxcnt, 0));
}

/* Is the cache still about the same asker and the same data? */
static inline bool
cache_is_current(const AnswerCache *cache, Snapshot snapshot)
{
	if (cache->user != GetUserId() || cache->identity != identity_role())
		return false;
	if (cache->in_scan)
		return cache->message_at == GetCurrentStatementStartTimestamp();
	if (cache->subxact != GetCurrentSubTransactionId() ||
		!same_snapshot(&cache->snapshot, snapshot))
		return false;
	if (cache->gateway)
		return strcmp(claims_setting(), cache->claims) == 0;
	return true;
}

/* Start a cache for the present asker and snapshot. */
static AnswerCache *
start_cache(FmgrInfo *flinfo, Snapshot snapshot)
{
	AnswerCache *cache = flinfo->fn_extra;
	MemoryContext saved;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(AnswerCache));
		cache->context = AllocSetContextCreate(flinfo->fn_mcxt, "wflog policy answers",
											   ALLOCSET_DEFAULT_SIZES);
		cache->in_scan = flinfo->fn_expr && contain_var_clause(flinfo->fn_expr);
		flinfo->fn_extra = cache;
	}
	else
		MemoryContextReset(cache->context);

	cache->answers = NULL;
	cache->last = NULL;
	cache->user = InvalidOid;	/* not current until all is known */
	saved = MemoryContextSwitchTo(cache->context);
	cache->gateway = wflog_is_gateway_session();
	cache->claims = cache->gateway ? pstrdup(wflog_current_claims()->text) : NULL;
	cache->sees_all = wflog_sees_all();
	cache->uid = wflog_current_uid();
	cache->answers = answers_create(cache->context, 64, NULL);
	if (!cache->in_scan)
		copy_snapshot(&cache->snapshot, snapshot);
	cache->message_at = GetCurrentStatementStartTimestamp();
	MemoryContextSwitchTo(saved);
	cache->identity = identity_role();
	cache->subxact = GetCurrentSubTransactionId();
	cache->user = GetUserId();
	return cache;
}

/* The answer for an id, from the cache or by asking. */
static bool
cached_answer(FunctionCallInfo fcinfo, bool (*ask) (const char *id, int len, const char *uid))
{
	Snapshot	snapshot = GetActiveSnapshot();
	AnswerCache *cache = fcinfo->flinfo->fn_extra;
	text	   *id;
	char	   *data;
	int			len;
	uint64		hash;
	bool		found;
	bool		allowed;
	CachedAnswer *answer;
	MemoryContext saved;

	if (cache == NULL || !cache_is_current(cache, snapshot))
		cache = start_cache(fcinfo->flinfo, snapshot);
	if (cache->sees_all)
		return true;

	id = PG_GETARG_TEXT_PP(0);
	data = VARDATA_ANY(id);
	len = VARSIZE_ANY_EXHDR(id);
	answer = cache->last;
	if (answer && answer->len == len && memcmp(answer->id, data, len) == 0)
		return answer->allowed;

	hash = hash_bytes_extended((unsigned char *) data, len, 0);
	answer = answers_lookup(cache->answers, hash);
	if (answer && answer->len == len && memcmp(answer->id, data, len) == 0)
	{
		cache->last = answer;
		return answer->allowed;
	}

	allowed = ask(data, len, cache->uid);
	if (answer)
		return allowed;			/* another id of the same hash: not kept */
	if (cache->answers->members >= MAX_ANSWERS)
		cache = start_cache(fcinfo->flinfo, snapshot);

	saved = MemoryContextSwitchTo(cache->context);
	answer = answers_insert(cache->answers, hash, &found);
	answer->allowed = allowed;
	answer->len = len;
	answer->id = palloc(len);
	memcpy(answer->id, data, len);
	MemoryContextSwitchTo(saved);
	cache->last = NULL;			/* inserting moves elements */
	return allowed;
}

/* SQL: wflog.can_read_execution(execution_id), the policies' predicate */
Datum
wflog_can_read_execution(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cached_answer(fcinfo, owns_execution));
}

/* SQL: wflog.can_read_workflow(workflow_id), the policies' predicate */
Datum
wflog_can_read_workflow(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cached_answer(fcinfo, owns_workflow));
}
