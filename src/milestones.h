/*-------------------------------------------------------------------------
 *
 * milestones.h
 *	  Milestones of an execution, written out as JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_MILESTONES_H
#define WFLOG_MILESTONES_H

#include "cursor.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"

typedef struct Milestone
{
	PagePosition at;
	int			len;
	const char *json;			/* not terminated */
} Milestone;

/* In any order, until sorted. */
typedef struct MilestoneList
{
	int64		count;
	int64		room;
	Milestone  *items;
} MilestoneList;

/* Largest chunk of more than one, so that its row fits on a page. */
#define MILESTONE_CHUNK 7800

/* Writes milestones that come in order. */
typedef struct MilestoneWriter
{
	StringInfo	buf;
	bool		any;
	PagePosition last;
} MilestoneWriter;

extern void milestones_add(MilestoneList *list, const Milestone *item);
extern void milestones_add_log(MilestoneList *list, TupleTableSlot *slot, int event_type,
							   const PagePosition *at);
extern void milestones_sort(MilestoneList *list);

extern bytea *milestones_to_chunk(const MilestoneList *sorted, int64 *next);
extern void milestones_add_chunk(MilestoneList *list, const char *data, int len);

extern bool milestones_write_chunk(MilestoneWriter *writer, const char *data, int len);
extern bool milestones_write_list(MilestoneWriter *writer, const MilestoneList *sorted);

#endif							/* WFLOG_MILESTONES_H */
