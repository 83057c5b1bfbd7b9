/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  Adding up an execution's logs.
 *
 * Logs are added in any order, so what depends on time is decided by
 * comparing positions.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "common/hashfn.h"
#include "totals.h"
#include "utils/builtins.h"

typedef enum NodeStatus
{
	NODE_RUNNING,
	NODE_COMPLETED,
	NODE_FAILED
} NodeStatus;

static const char *const node_status_names[] = {"running", "completed", "failed"};

typedef struct NodeKey
{
	const char *id;				/* not terminated */
	int			len;
} NodeKey;

/*
 * A node of the workflow.  Its latest attempt decides its status, and within
 * that the latest of the events that begin or end a step.
 */
typedef struct NodeTotals
{
	NodeKey		key;
	uint32		hash;
	char		status;			/* of simplehash */
	bool		has_step;
	bool		has_event;
	NodeStatus	node_status;
	int64		count;
	PagePosition first;
	PagePosition named_at;		/* of the log that the name is from */
	PagePosition step_at;		/* of the log that the step is from */
	char	   *name;			/* or NULL */
	int32		step_number;
	int32		attempt;
	PagePosition event_at;
} NodeTotals;

typedef struct MilestoneLog
{
	PagePosition at;
	int			event_type;
	char	   *message;
} MilestoneLog;

#define SH_PREFIX nodes
#define SH_ELEMENT_TYPE NodeTotals
#define SH_KEY_TYPE NodeKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key).id, (key).len)
#define SH_EQUAL(tb, a, b) ((a).len == (b).len && memcmp((a).id, (b).id, (a).len) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Is a later than b? */
static bool
is_later(const PagePosition *a, const PagePosition *b)
{
	return compare_positions(a, b) > 0;
}

/* Find or make a node. */
static NodeTotals *
find_node(LogTotals *totals, NodeKey key)
{
	NodeTotals *node = totals->last_node;
	bool		found;

	if (node && node->key.len == key.len && memcmp(node->key.id, key.id, key.len) == 0)
		return node;
	node = nodes_insert(totals->nodes, key, &found);
	if (!found)
	{
		uint32		hash = node->hash;
		char		status = node->status;

		memset(node, 0, sizeof(*node));
		node->hash = hash;
		node->status = status;
		node->key.id = pnstrdup(key.id, key.len);
		node->key.len = key.len;
	}
	totals->last_node = node;
	return node;
}

/* Let an event that begins or ends a step decide the node's status. */
static void
add_node_event(NodeTotals *node, int event_type, int32 attempt, const PagePosition *at)
{
	if (attempt < node->attempt)
		return;
	if (attempt > node->attempt)
	{
		node->attempt = attempt;
		node->node_status = NODE_RUNNING;
		node->has_event = false;
	}
	if (event_type != EVENT_STEP_STARTED && event_type != EVENT_STEP_COMPLETED &&
		event_type != EVENT_STEP_ERROR)
		return;
	if (node->has_event && !is_later(at, &node->event_at))
		return;
	node->has_event = true;
	node->event_at = *at;
	node->node_status = event_type == EVENT_STEP_COMPLETED ? NODE_COMPLETED :
		event_type == EVENT_STEP_ERROR ? NODE_FAILED : NODE_RUNNING;
}

/* Add a log to its node, which it must have. */
static void
add_to_node(LogTotals *totals, TupleTableSlot *slot, int event_type, const PagePosition *at)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, Anum_log_node_id, &isnull);
	NodeKey		key;
	NodeTotals *node;
	int32		attempt;

	key.id = VARDATA_ANY(PG_DETOAST_DATUM_PACKED(value));
	key.len = VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(value));
	node = find_node(totals, key);
	node->count++;
	if (node->count == 1 || is_later(&node->first, at))
		node->first = *at;

	value = slot_getattr(slot, Anum_log_node_name, &isnull);
	if (!isnull && (node->name == NULL || is_later(at, &node->named_at)))
	{
		text	   *name = DatumGetTextPP(value);

		node->named_at = *at;
		if (node->name == NULL || strlen(node->name) != VARSIZE_ANY_EXHDR(name) ||
			memcmp(node->name, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) != 0)
			node->name = text_to_cstring(name);
	}
	value = slot_getattr(slot, Anum_log_step_number, &isnull);
	if (!isnull && (!node->has_step || is_later(at, &node->step_at)))
	{
		node->has_step = true;
		node->step_at = *at;
		node->step_number = DatumGetInt32(value);
	}
	attempt = DatumGetInt32(slot_getattr(slot, Anum_log_attempt, &isnull));
	add_node_event(node, event_type, isnull ? 1 : attempt, at);
}

/* Remember a milestone. */
static void
add_milestone(LogTotals *totals, TupleTableSlot *slot, int event_type, const PagePosition *at)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, Anum_log_user_friendly_message, &isnull);
	MilestoneLog *milestone;

	if (totals->milestones >= totals->milestone_room)
	{
		totals->milestone_room = totals->milestone_room ? totals->milestone_room * 2 : 16;
		totals->milestone_logs = totals->milestone_logs ?
			repalloc_huge(totals->milestone_logs, sizeof(MilestoneLog) * totals->milestone_room) :
			palloc(sizeof(MilestoneLog) * totals->milestone_room);
	}
	if (isnull || VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(value)) == 0)
		value = slot_getattr(slot, Anum_log_message, &isnull);
	milestone = &totals->milestone_logs[totals->milestones];
	milestone->at = *at;
	milestone->event_type = event_type;
	milestone->message = TextDatumGetCString(value);
}

/* Add a log; a LogVisitor. */
static void
add_log(TupleTableSlot *slot, void *arg)
{
	LogTotals  *totals = arg;
	TimestampTz created_at;
	bool		isnull;
	bool		no_node;
	bool		milestone;
	int			level;
	int			event_type;

	slot_getsomeattrs(slot, Anum_log_attempt);
	created_at = DatumGetTimestampTz(slot_getattr(slot, Anum_log_created_at, &isnull));
	level = wflog_enum_value(WFLOG_LEVEL_ENUM,
							 DatumGetObjectId(slot_getattr(slot, Anum_log_level, &isnull)));
	event_type = wflog_enum_value(WFLOG_EVENT_TYPE_ENUM,
								  DatumGetObjectId(slot_getattr(slot, Anum_log_event_type, &isnull)));
	if (totals->total == 0 || created_at < totals->first)
		totals->first = created_at;
	if (totals->total == 0 || created_at > totals->last)
		totals->last = created_at;
	totals->total++;
	totals->levels[level]++;
	totals->event_types[event_type]++;
	milestone = DatumGetBool(slot_getattr(slot, Anum_log_is_milestone, &isnull));
	(void) slot_getattr(slot, Anum_log_node_id, &no_node);
	if (totals->details && (milestone || !no_node))
	{
		PagePosition at = log_position(slot);

		if (!no_node)
			add_to_node(totals, slot, event_type, &at);
		if (milestone)
			add_milestone(totals, slot, event_type, &at);
	}
	if (milestone)
		totals->milestones++;
}

/* Add up those of an execution's logs that pass the filter. */
void
totals_of_execution(LogTotals *totals, const ExecutionKey *key, const LogFilter *filter,
					bool details)
{
	memset(totals, 0, sizeof(*totals));
	totals->details = details;
	if (details)
		totals->nodes = nodes_create(CurrentMemoryContext, 32, NULL);
	log_visit_all(key, filter, add_log, totals);
}

/* Logs of level ERROR and above. */
int64
totals_errors(const LogTotals *totals)
{
	return totals->levels[LEVEL_ERROR] + totals->levels[LEVEL_CRITICAL];
}

/* Write counts by name, those that are not zero. */
static void
write_counts(StringInfo buf, const int64 *counts, int n, WflogEnum which)
{
	const char *comma = "";

	json_literal(buf, "{");
	for (int i = 0; i < n; i++)
		if (counts[i] > 0)
		{
			appendStringInfo(buf, "%s\"%s\":" INT64_FORMAT, comma, wflog_enum_lower(which, i),
							 counts[i]);
			comma = ",";
		}
	json_literal(buf, "}");
}

/* {"info": 45, "error": 2} */
void
json_levels(StringInfo buf, const int64 *levels)
{
	write_counts(buf, levels, LEVEL_COUNT, WFLOG_LEVEL_ENUM);
}

/* {"step_started": 10} */
void
json_event_types(StringInfo buf, const int64 *event_types)
{
	write_counts(buf, event_types, EVENT_TYPE_COUNT, WFLOG_EVENT_TYPE_ENUM);
}

static int
compare_milestones(const void *a, const void *b)
{
	const MilestoneLog *left = a;
	const MilestoneLog *right = b;

	return compare_positions(&left->at, &right->at);
}

/* The milestones in order of time. */
void
json_milestones(StringInfo buf, LogTotals *totals)
{
	if (totals->milestones > 0)
		qsort(totals->milestone_logs, totals->milestones, sizeof(MilestoneLog), compare_milestones);
	json_literal(buf, "[");
	for (int64 i = 0; i < totals->milestones; i++)
	{
		MilestoneLog *milestone = &totals->milestone_logs[i];

		if (i > 0)
			json_literal(buf, ",");
		json_literal(buf, "{\"timestamp\":");
		json_time(buf, milestone->at.created_at);
		json_literal(buf, ",\"message\":");
		json_cstring(buf, milestone->message);
		appendStringInfo(buf, ",\"event_type\":\"%s\"}",
						 wflog_enum_label(WFLOG_EVENT_TYPE_ENUM, milestone->event_type));
	}
	json_literal(buf, "]");
}

static int
compare_nodes(const void *a, const void *b)
{
	const NodeTotals *left = *(NodeTotals *const *) a;
	const NodeTotals *right = *(NodeTotals *const *) b;

	return compare_positions(&left->first, &right->first);
}

/* The nodes by id, in the order in which they first appeared. */
void
json_nodes(StringInfo buf, LogTotals *totals)
{
	NodeTotals **sorted = palloc(sizeof(NodeTotals *) * (totals->nodes->members + 1));
	int			count = 0;
	nodes_iterator iterator;
	NodeTotals *node;

	nodes_start_iterate(totals->nodes, &iterator);
	while ((node = nodes_iterate(totals->nodes, &iterator)) != NULL)
		sorted[count++] = node;
	qsort(sorted, count, sizeof(NodeTotals *), compare_nodes);

	json_literal(buf, "{");
	for (int i = 0; i < count; i++)
	{
		node = sorted[i];
		if (i > 0)
			json_literal(buf, ",");
		json_string(buf, node->key.id, node->key.len);
		json_literal(buf, ":{\"node_name\":");
		if (node->name)
			json_cstring(buf, node->name);
		else
			json_string(buf, node->key.id, node->key.len);
		json_literal(buf, ",\"logs_count\":");
		json_int(buf, node->count);
		json_literal(buf, ",\"step_number\":");
		if (node->has_step)
			json_int(buf, node->step_number);
		else
			json_literal(buf, "null");
		appendStringInfo(buf, ",\"status\":\"%s\",\"attempt\":%d}",
						 node_status_names[node->node_status], node->attempt);
	}
	json_literal(buf, "}");
	pfree(sorted);
}
