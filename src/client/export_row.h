/*-------------------------------------------------------------------------
 *
 * export_row.h
 *	  A log as a line of JSON or CSV, for "wflog export" and the gateway's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_EXPORT_ROW_H
#define WFLOG_EXPORT_ROW_H

#include "logentry.h"

extern void export_append_header(Buffer *out);
extern void export_append_row(Buffer *out, bool csv, const char *execution, const LogEntry *log);

#endif							/* WFLOG_EXPORT_ROW_H */
