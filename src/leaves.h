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

/*
 * How many bits of seq the stream's index leaves out: logs of one transaction
 * whose numbers agree in the rest have equal keys.  The index is defined in
 * sql/10_tables.sql.
 */
#define STREAM_GROUP_SHIFT 6

typedef enum LeafIndex
{
	LEAF_PAGE_INDEX,			/* (execution_hash, created_at, id) */
	LEAF_STREAM_INDEX,			/* (execution_id, xact, seq >> STREAM_GROUP_SHIFT) */
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
	bool		known;			/* whether these two are: */
	bool		same_layout;	/* columns as the parent has them */
	Oid			indexes[LEAF_INDEX_COUNT];
	Oid			listed_trigger; /* as wflog.rollup_leaves has it, or InvalidOid */
	bool		tracked_known;	/* whether this is: */
	bool		tracked;		/* roll-ups know whatever is written to it */
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
extern bool leaf_has_index(Leaf *leaf, LeafIndex which);
extern OpenLeaf leaf_open(Leaf *leaf, LeafIndex which);
extern void leaf_close(OpenLeaf *open);
extern bool leaf_is_tracked(Leaf *leaf);
extern Oid	leaf_trigger(Relation table);

#endif							/* WFLOG_LEAVES_H */
