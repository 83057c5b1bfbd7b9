/*-------------------------------------------------------------------------
 *
 * tls.h
 *	  The gateway's certificate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_TLS_H
#define WFLOG_TLS_H

#include "gateway.h"

struct ssl_st;

extern bool tls_load(void);
extern struct ssl_st *tls_new(int fd);
extern int64 tls_expires(void);

/* Do clients connect by TLS? */
static inline bool
tls_is_on(void)
{
	return gateway.options.tls_cert_file != NULL;
}

#endif							/* WFLOG_TLS_H */
