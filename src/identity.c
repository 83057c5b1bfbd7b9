/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who is asking, and what they may see.
 *
 * A session is its login role, unless that role is a member of wflog_gateway:
 * then it is whom request.jwt.claims names.  SET cannot make anybody someone
 * else, because the claims of other sessions are not believed and because the
 * session user, not the current one, is asked for the identity.  What a role
 * may do, on the other hand, follows the current user, as privileges do, so
 * SET ROLE and SECURITY DEFINER work as everywhere.  In a gateway session
 * memberships count for nothing: the claims alone decide.
 *
 * Code that PostgreSQL runs for a table's owner in somebody else's session
 * (an index's function under ANALYZE, for instance) is an exception: there
 * the owner is who asks, or he could read what the session's user may.
 *
 * The look-ups here read the tables without regard to privileges or
 * policies; they return a yes or no, or serve functions that have asked
 * before.  They take AccessShareLock on the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "execution.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(wflog_uid);
PG_FUNCTION_INFO_V1(wflog_role);
PG_FUNCTION_INFO_V1(wflog_can_read_execution);
PG_FUNCTION_INFO_V1(wflog_can_read_workflow);
PG_FUNCTION_INFO_V1(wflog_can_write);
PG_FUNCTION_INFO_V1(wflog_can_administer);

#define CLAIMS_SETTING "request.jwt.claims"
#define SERVICE_ROLE "service_role"

/* Columns of workflows, as in sql/10_tables.sql. */
enum
{
	Anum_workflow_id = 1,
	Anum_workflow_user_id
};

/* What the claims say; valid for the text it was read from. */
typedef struct Claims
{
	char	   *text;			/* the setting's value */
	char	   *sub;			/* or NULL */
	char	   *role;			/* or NULL */
} Claims;

static Claims claims = {NULL, NULL, NULL};

/* Whose identity counts: the login role's, or the owner's whose code is run for him. */
static inline Oid
identity_role(void)
{
	return InSecurityRestrictedOperation() ? GetUserId() : GetSessionUserId();
}

/* Is this session one whose claims are believed? */
bool
wflog_is_gateway_session(void)
{
	Oid			gateway = wflog_role_oid(WFLOG_GATEWAY);

	/* nosuper: a superuser is no gateway unless made one expressly */
	return OidIsValid(gateway) && is_member_of_role_nosuper(identity_role(), gateway);
}

/* A string in the claims, copied to TopMemoryContext; NULL if there is none. */
static char *
claim_string(Jsonb *json, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(&json->root, name, strlen(name), &buffer);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return MemoryContextStrdup(TopMemoryContext,
							   pnstrdup(value->val.string.val, value->val.string.len));
}

/*
 * The claims of this session's setting.  Fails closed: a setting that is no
 * JSON object is an error (22023) and not nobody, so that it is noticed.
 */
static const Claims *
current_claims(void)
{
	const char *text = GetConfigOption(CLAIMS_SETTING, true, false);
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile json = NULL;

	if (text == NULL)
		text = "";
	if (claims.text && strcmp(text, claims.text) == 0)
		return &claims;

	if (text[0] != '\0')
	{
		PG_TRY();
		{
			json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
		}
		PG_CATCH();
		{
			/* replaced by our own error just below */
			MemoryContextSwitchTo(context);
			FlushErrorState();
		}
		PG_END_TRY();
		if (json == NULL || !JB_ROOT_IS_OBJECT(json))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("setting \"%s\" is not a JSON object", CLAIMS_SETTING)));
	}

	if (claims.text)
		pfree(claims.text);
	if (claims.sub)
		pfree(claims.sub);
	if (claims.role)
		pfree(claims.role);
	memset(&claims, 0, sizeof(claims));
	if (json)
	{
		claims.sub = claim_string(json, "sub");
		claims.role = claim_string(json, "role");
	}
	claims.text = MemoryContextStrdup(TopMemoryContext, text);
	return &claims;
}

/* The user's id: the subject of the claims, or the login role's name.  An empty one is nobody's. */
char *
wflog_current_uid(void)
{
	if (wflog_is_gateway_session())
	{
		const Claims *now = current_claims();

		return now->sub && now->sub[0] != '\0' ? pstrdup(now->sub) : NULL;
	}
	return GetUserNameFromId(identity_role(), true);
}

/* Does the current user have a role's privileges, or a gateway session claims of service? */
static bool
has_role(WflogRole role, bool service_suffices)
{
	Oid			oid;

	if (wflog_is_gateway_session())
	{
		const Claims *now = current_claims();

		return service_suffices && now->role && strcmp(now->role, SERVICE_ROLE) == 0;
	}
	oid = wflog_role_oid(role);
	return OidIsValid(oid) && has_privs_of_role(GetUserId(), oid);
}

/* Is the current user beyond policies: owner of the logs, superuser, BYPASSRLS? */
static bool
bypasses_policies(void)
{
	return check_enable_rls(wflog_table_oid(WFLOG_LOGS), InvalidOid, true) != RLS_ENABLED;
}

/* May the asker read every execution? */
bool
wflog_sees_all(void)
{
	return bypasses_policies() || has_role(WFLOG_WRITER, true) || has_role(WFLOG_ADMIN, false);
}

/* May the asker insert and update? */
bool
wflog_may_write(void)
{
	return wflog_sees_all();	/* the same people, by the contract */
}

/* May the asker delete logs and run maintenance? */
bool
wflog_may_administer(void)
{
	return bypasses_policies() || has_role(WFLOG_ADMIN, false);
}

/*
 * Fetch the row of a table whose text primary key equals key, by the active
 * snapshot.  Returns a slot to drop, or NULL; the table is open either way.
 */
static TupleTableSlot *
fetch_by_key(Relation table, const char *key, int len)
{
	Relation	index;
	ScanKeyData scankey;
	IndexScanDesc scan;
	TupleTableSlot *slot = table_slot_create(table, NULL);
	bool		found;

	index = index_open(wflog_primary_key(table), AccessShareLock);
	ScanKeyEntryInitialize(&scankey, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[0], F_TEXTEQ,
						   PointerGetDatum(cstring_to_text_with_len(key, len)));
	scan = wflog_index_beginscan(table, index, GetActiveSnapshot(), 1);
	index_rescan(scan, &scankey, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
		ExecMaterializeSlot(slot);
	index_endscan(scan);
	index_close(index, AccessShareLock);
	if (found)
		return slot;
	ExecDropSingleTupleTableSlot(slot);
	return NULL;
}

/* A text column as a palloc'd string; NULL if null. */
static char *
slot_text(TupleTableSlot *slot, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* Find the owner of a workflow; false if there is no such workflow. */
bool
wflog_lookup_workflow_owner(const char *id, int len, char **user_id)
{
	Relation	table = table_open(wflog_table_oid(WFLOG_WORKFLOWS), AccessShareLock);
	TupleTableSlot *slot = fetch_by_key(table, id, len);

	if (slot)
	{
		*user_id = slot_text(slot, Anum_workflow_user_id);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(table, AccessShareLock);
	return slot != NULL;
}

/* Read an execution's row; false if there is none. */
bool
wflog_lookup_execution(const char *id, int len, WflogExecution *execution)
{
	Relation	table = table_open(wflog_table_oid(WFLOG_EXECUTIONS), AccessShareLock);
	TupleTableSlot *slot = fetch_by_key(table, id, len);

	if (slot)
	{
		bool		isnull;
		Datum		value;

		execution->execution_id = slot_text(slot, Anum_execution_execution_id);
		execution->workflow_name = NULL;
		execution->workflow_id = slot_text(slot, Anum_execution_workflow_id);
		execution->status = wflog_enum_value(WFLOG_STATUS_ENUM,
											 DatumGetObjectId(slot_getattr(slot, Anum_execution_status, &isnull)));
		value = slot_getattr(slot, Anum_execution_start_time, &isnull);
		execution->has_start_time = !isnull;
		execution->start_time = isnull ? 0 : DatumGetTimestampTz(value);
		value = slot_getattr(slot, Anum_execution_end_time, &isnull);
		execution->has_end_time = !isnull;
		execution->end_time = isnull ? 0 : DatumGetTimestampTz(value);
		execution->error_message = slot_text(slot, Anum_execution_error_message);
		value = slot_getattr(slot, Anum_execution_created_at, &isnull);
		execution->created_at = DatumGetTimestampTz(value);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(table, AccessShareLock);
	return slot != NULL;
}

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

/* SQL: wflog.uid() */
Datum
wflog_uid(PG_FUNCTION_ARGS)
{
	char	   *uid = wflog_current_uid();

	if (uid == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(uid));
}

/*
 * SQL: wflog.role(): the claims' role in a gateway session, else the greatest
 * of our roles that the current user has, else NULL.
 */
Datum
wflog_role(PG_FUNCTION_ARGS)
{
	const char *role = NULL;

	if (wflog_is_gateway_session())
		role = current_claims()->role;
	else if (has_role(WFLOG_ADMIN, false))
		role = "wflog_admin";
	else if (has_role(WFLOG_WRITER, false))
		role = "wflog_writer";
	else if (has_role(WFLOG_READER, false))
		role = "wflog_reader";
	if (role == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(role));
}

/* SQL: wflog.can_write() */
Datum
wflog_can_write(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(wflog_may_write());
}

/* SQL: wflog.can_administer() */
Datum
wflog_can_administer(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(wflog_may_administer());
}

/*
 * The policies' predicates answer for each row of a scan, so their answers
 * are kept.  In a plan that scans rows, for as long as the plan runs: the
 * snapshot is one then, and who asks is looked at again for each row and, as
 * far as the claims go, each time the client has had its say (a cursor may
 * outlive a SET).  An expression without a row may be kept by PL/pgSQL for
 * the transaction; there everything the answer depends on is compared: also
 * the snapshot, as the owner may change between statements, and the
 * subtransaction, as that change may be undone.
 */
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
	{
		const char *text = GetConfigOption(CLAIMS_SETTING, true, false);

		return strcmp(text ? text : "", cache->claims) == 0;
	}
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
	cache->claims = cache->gateway ? pstrdup(current_claims()->text) : NULL;
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
