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

#endif							/* WFLOG_SERVER_H */
