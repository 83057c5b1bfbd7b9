/*-------------------------------------------------------------------------
 *
 * jwt.h
 *	  Tokens: who is asking.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_JWT_H
#define WFLOG_JWT_H

#include "gateway.h"

#include <cjose/cjose.h>

/* Bytes; longer tokens are refused unread. */
#define JWT_MAX 8192

/* What a verified token says. */
typedef struct Claims
{
	char	   *json;			/* all of them, for the database */
	char	   *subject;		/* sub; or NULL */
	int64		expires;		/* exp: seconds since 1970 */
} Claims;

/* A key, with the one algorithm that it is for. */
typedef struct Key
{
	struct Key *next;
	char	   *kid;			/* or NULL */
	const char *algorithm;		/* HS256, RS256, ES256 */
	cjose_jwk_t *jwk;
} Key;

/* ---- keys.c ---- */

extern bool keys_load(void);
extern const Key *keys_first(void);

/* ---- jwt.c ---- */

extern const char *jwt_verify(const char *token, size_t len, Claims *claims);
extern void claims_free(Claims *claims);
extern void claims_copy(Claims *to, const Claims *from);

#endif							/* WFLOG_JWT_H */
