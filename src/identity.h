/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Who is asking: what identity.c tells policy.c, which remembers answers
 *	  for as long as it is the same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_IDENTITY_H
#define WFLOG_IDENTITY_H

#include "miscadmin.h"
#include "utils/guc.h"

#define CLAIMS_SETTING "request.jwt.claims"

/* What the claims say; valid for the text it was read from. */
typedef struct Claims
{
	char	   *text;			/* the setting's value */
	char	   *sub;			/* or NULL */
	char	   *role;			/* or NULL */
} Claims;

extern const Claims *wflog_current_claims(void);

/* The claims as they are set; empty if they are not. */
static inline const char *
claims_setting(void)
{
	const char *text = GetConfigOption(CLAIMS_SETTING, true, false);

	return text ? text : "";
}

/* Whose identity counts: the login role's, or the owner's whose code is run for him. */
static inline Oid
identity_role(void)
{
	return InSecurityRestrictedOperation() ? GetUserId() : GetSessionUserId();
}

#endif							/* WFLOG_IDENTITY_H */
