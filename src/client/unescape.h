/*-------------------------------------------------------------------------
 *
 * unescape.h
 *	  Undoes the escapes in which the server keeps what its texts cannot hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_UNESCAPE_H
#define WFLOG_UNESCAPE_H

#include "buffer.h"

extern void undo_escapes(const char *line, size_t len, Buffer *out);

#endif							/* WFLOG_UNESCAPE_H */
