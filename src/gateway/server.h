/*-------------------------------------------------------------------------
 *
 * server.h
 *	  The socket that clients connect to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_SERVER_H
#define WFLOG_SERVER_H

#include "gateway.h"

extern void server_begin(void);
extern void server_end(void);
extern const char *server_url(void);
extern bool server_is_loopback(void);

#endif							/* WFLOG_SERVER_H */
