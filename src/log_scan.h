/*-------------------------------------------------------------------------
 *
 * log_scan.h
 *	  Reading an execution's logs in page order, and counting them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LOG_SCAN_H
#define WFLOG_LOG_SCAN_H

#include "access/sdir.h"
#include "access/skey.h"
#include "cursor.h"
#include "executor/tuptable.h"
#include "filter.h"
#include "leaves.h"
#include "utils/snapshot.h"

/*
 * Whose logs, by id and its hash; and in which leaves they are, if that has
 * been found out, which pays where an execution is read more than once.
 */
typedef struct ExecutionKey
{
	const char *id;
	int			len;
	int64		hash;
	const LeafSet *leaves;		/* NULL: any */
} ExecutionKey;

typedef struct LogScan LogScan;

extern LogScan *log_scan_begin(const ExecutionKey *key, const LogFilter *filter,
							   ScanDirection direction, const PagePosition *after,
							   const PagePosition *before);
extern int64 log_scan_skip(LogScan *scan, int64 count);
extern TupleTableSlot *log_scan_next(LogScan *scan);
extern void log_scan_end(LogScan *scan);
extern PagePosition log_position(TupleTableSlot *slot);
extern int	compare_positions(const PagePosition *a, const PagePosition *b);

/* ---- log_count.c: in no order ---- */

extern ExecutionKey execution_key(const char *id, int len);
extern LeafSet *execution_leaves(const ExecutionKey *key);
extern text *execution_id_text(const ExecutionKey *key);
extern void execution_scan_key(ScanKey scankey, Relation index, text *id);
extern text *execution_of_hash(int64 hash, const Oid *leaves, int count);
extern void log_find_leaves(ExecutionKey *key);
extern int64 log_count(const ExecutionKey *key, const LogFilter *filter);
extern int64 log_count_leaf(Leaf *leaf, const ExecutionKey *key, Snapshot snapshot, int64 limit);

/* Calls visit for each of an execution's logs, in no particular order. */
typedef void (*LogVisitor) (TupleTableSlot *slot, void *arg);
extern void log_visit_all(const ExecutionKey *key, const LogFilter *filter, LogVisitor visit, void *arg);

#endif							/* WFLOG_LOG_SCAN_H */
