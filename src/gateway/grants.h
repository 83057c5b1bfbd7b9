/*-------------------------------------------------------------------------
 *
 * grants.h
 *	  Random texts that stand for somebody's claims for a while.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_GRANTS_H
#define WFLOG_GRANTS_H

#include "jwt.h"

typedef enum GrantKind
{
	GRANT_STREAM,				/* opens one stream */
	GRANT_LINK,					/* opens one session of the page */
	GRANT_SESSION,				/* good for requests until it expires */
	GRANT_KINDS
} GrantKind;

/* A grant's text: 256 bits as base64url, and a NUL. */
#define GRANT_SIZE 44

/* What a stream's ticket is for; both empty: whatever the claims allow. */
typedef struct Scope
{
	int			count;
	char	  **executions;
	char	   *workflow;
} Scope;

typedef enum GrantRefusal
{
	GRANT_MADE,
	GRANT_TOO_MANY,				/* of everybody */
	GRANT_TOO_MANY_OF_SUBJECT
} GrantRefusal;

extern GrantRefusal grant_make(GrantKind kind, const Claims *claims, Scope *scope, int64 lifetime_ms, char *text);
extern bool grant_take(GrantKind kind, const char *text, size_t len, Claims *claims, Scope **scope);
extern bool grant_read(GrantKind kind, const char *text, size_t len, Claims *claims);
extern int	grants_outstanding(GrantKind kind);
extern void scope_free(Scope *scope);
extern bool scope_allows(const Scope *scope, const char *execution, const char *workflow);

#endif							/* WFLOG_GRANTS_H */
