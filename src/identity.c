/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who is asking, and what they may do.
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
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "identity.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(wflog_uid);
PG_FUNCTION_INFO_V1(wflog_role);
PG_FUNCTION_INFO_V1(wflog_can_write);
PG_FUNCTION_INFO_V1(wflog_can_administer);

#define SERVICE_ROLE "service_role"

static Claims claims = {NULL, NULL, NULL};

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

/* A text as JSON; NULL if it is none. */
static Jsonb *
parse_claims(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile json = NULL;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		/* the caller raises an error of ours */
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return json;
}

/*
 * The claims of this session's setting.  Fails closed: a setting that is no
 * JSON object is an error (22023) and not nobody, so that it is noticed.
 */
const Claims *
wflog_current_claims(void)
{
	const char *text = claims_setting();
	Jsonb	   *json = NULL;

	if (claims.text && strcmp(text, claims.text) == 0)
		return &claims;

	if (text[0] != '\0')
	{
		json = parse_claims(text);
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
		const Claims *now = wflog_current_claims();

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
		const Claims *now = wflog_current_claims();

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
		role = wflog_current_claims()->role;
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
