/*-------------------------------------------------------------------------
 *
 * leaves.h
 *	  The partitions that hold logs as rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LEAVES_H
#define WFLOG_LEAVES_H

#include "access/attmap.h"
#include "utils/relcache.h"

typedef enum LeafIndex
{
	LEAF_PAGE_INDEX,			/* (execution_hash, created_at, id) */
	LEAF_STREAM_INDEX,			/* (execution_hash, xact, seq) */
	LEAF_EXECUTION_INDEX,		/* (execution_id) */
	LEAF_ERRORS_INDEX,			/* page index of level >= ERROR */
	LEAF_MILESTONES_INDEX,		/* page index of milestones */
	LEAF_INDEX_COUNT
} LeafIndex;

typedef struct Leaf
{
	Oid			relid;
	bool		is_default;
	TimestampTz lower;			/* inclusive; DT_NOBEGIN if unbounded */
	TimestampTz upper;			/* exclusive; DT_NOEND if unbounded */
	bool		known;			/* whether the rest is */
	bool		same_layout;	/* columns as the parent has them */
	Oid			indexes[LEAF_INDEX_COUNT];
} Leaf;

/* All leaves by rising range, the default leaf last. */
typedef struct LeafSet
{
	int			count;
	Leaf		leaves[FLEXIBLE_ARRAY_MEMBER];
} LeafSet;

/* A leaf opened for reading by one of its indexes. */
typedef struct OpenLeaf
{
	Relation	table;
	Relation	index;
	AttrMap    *map;			/* to our column order; NULL if it is the leaf's */
} OpenLeaf;

extern LeafSet *leaf_set_get(void);
extern LeafSet *leaf_set_copy(const LeafSet *set);
extern OpenLeaf leaf_open(Leaf *leaf, LeafIndex which);
extern void leaf_close(OpenLeaf *open);

#endif							/* WFLOG_LEAVES_H */
