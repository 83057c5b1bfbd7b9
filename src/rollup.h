/*-------------------------------------------------------------------------
 *
 * rollup.h
 *	  Roll-ups: what has been added up of an execution's logs.
 *
 * docs/decisions/0011-rollups.md explains why they are right.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_ROLLUP_H
#define WFLOG_ROLLUP_H

#include "access/relscan.h"
#include "totals.h"

/* ---- rollup_store.c: the tables ---- */

/* Rows of one of the tables that begin with an execution_hash, by that. */
typedef struct HashScan
{
	Relation	table;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
} HashScan;

extern void hash_scan_begin(HashScan *scan, WflogTable table, int64 hash, Oid leaf,
							Snapshot snapshot);
extern bool hash_scan_next(HashScan *scan, ScanDirection direction);
extern void hash_scan_end(HashScan *scan);

/* What is rolled up of an execution in a leaf. */
typedef struct RollupRow
{
	Oid			leaf;
	Oid			filenode;
	Oid			trigger;
	const char *totals;
	int			totals_len;
} RollupRow;

extern bool rollup_find_head(const ExecutionKey *key, Snapshot snapshot, XactSet *seen);
extern text *rollup_id_of_hash(int64 hash, Snapshot snapshot);
extern bool rollup_is_marked(int64 hash, Snapshot snapshot);
extern bool rollup_has_rows(int64 hash, Snapshot snapshot);
/* What these return lies in the scan's slot. */
extern bool rollup_next_row(HashScan *scan, const ExecutionKey *key, RollupRow *row);
extern struct varlena *rollup_next_chunk(HashScan *scan, const ExecutionKey *key,
										 ScanDirection direction, int32 *number);
extern uint64 xact_set_least_absent(const XactSet *set);

/* Writing; only under the fold lock, within SPI, as the owner. */
extern bool rollup_lock(bool wait);
extern void rollup_write_head(const ExecutionKey *key, const XactSet *seen, Snapshot snapshot);
extern void rollup_write_row(const ExecutionKey *key, const RollupRow *row, Snapshot snapshot);
extern void rollup_write_chunk(const ExecutionKey *key, Oid leaf, int32 number, bytea *entries,
							   Snapshot snapshot);
extern void rollup_delete_all(int64 hash, Snapshot snapshot);
extern void rollup_delete_leaf(int64 hash, Oid leaf, Snapshot snapshot);
extern void rollup_delete_marks(int64 hash, Snapshot snapshot);

/* ---- rollup_read.c: for readers ---- */

/* How a leaf is to be read beside the roll-up. */
typedef enum LeafShare
{
	SHARE_NOTHING,				/* all there can be is rolled up */
	SHARE_REST,					/* logs of transactions that are not */
	SHARE_WHOLE					/* all logs: nothing of it is rolled up */
} LeafShare;

/* What is rolled up in one leaf. */
typedef struct RollupPart
{
	int			leaf;			/* place in leaves */
	char	   *totals;
	int			totals_len;
} RollupPart;

/* What the active snapshot shows of an execution, rolled up or not. */
typedef struct Rollup
{
	Relation	heads;			/* locked while roll-ups are read */
	bool		usable;
	XactSet		seen;			/* whose logs are rolled up */
	LeafSet    *leaves;
	LeafShare  *shares;			/* of each of them */
	int			part_count;
	RollupPart *parts;
} Rollup;

extern Rollup *rollup_begin(const ExecutionKey *key);
extern void rollup_end(Rollup *rollup);
extern void rollup_totals(Rollup *rollup, const ExecutionKey *key, LogTotals *totals);
extern bool rollup_visit_rest(const Rollup *rollup, const ExecutionKey *key, LogVisitor visit,
							  void *arg, int64 limit);
extern int64 rollup_count(Rollup *rollup, const ExecutionKey *key, const LogFilter *filter);
extern void rollup_find_leaves(Rollup *rollup, ExecutionKey *key);
extern void json_milestones(StringInfo buf, Rollup *rollup, const ExecutionKey *key,
							LogTotals *totals);

extern void execution_find_leaves(ExecutionKey *key);
extern int64 execution_count(const ExecutionKey *key, const LogFilter *filter);

/* ---- rollup_days.c: by the day ---- */

/* What a visitor has made of a day's counts. */
typedef enum DayShare
{
	DAY_DONE,					/* that is all */
	DAY_ERRORS,					/* its errors are to be visited besides */
	DAY_LOGS					/* all its logs are, as the counts do not tell */
} DayShare;

/* Is given what is rolled up of a day in a leaf. */
typedef DayShare (*DayVisitor) (const LogCounts *counts, void *arg);

typedef struct RollupVisitors
{
	DayVisitor	day;
	LogVisitor	error;
	LogVisitor	log;
	void	   *arg;
} RollupVisitors;

extern void rollup_visit(const Rollup *rollup, const ExecutionKey *key,
						 const RollupVisitors *visitors, const LogFilter *span);

/* ---- rollup_leaves.c: which leaves can be relied on ---- */

extern bool rollup_row_is_valid(Leaf *leaf, const RollupRow *row);
extern bool rollup_leaf_is_missing(LeafSet *set);
extern void rollup_list_leaf(Oid leaf);
extern void rollup_void_all(void);

#endif							/* WFLOG_ROLLUP_H */
