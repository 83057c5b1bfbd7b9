/*-------------------------------------------------------------------------
 *
 * nodes.c
 *	  The nodes of a workflow, as an execution's logs tell of them.
 *
 * Logs are added in any order, and so are what other tables know of the same
 * nodes; so what depends on time is decided by comparing positions.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "common/hashfn.h"
#include "json.h"
#include "log_scan.h"
#include "nodes.h"
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

struct NodeTable
{
	nodes_hash *hash;
	MemoryContext context;		/* of names and ids */
	NodeTotals *last;			/* looked up last, or NULL */
};

/* No nodes. */
NodeTable *
nodes_new(void)
{
	NodeTable  *nodes = palloc(sizeof(NodeTable));

	nodes->hash = nodes_create(CurrentMemoryContext, 32, NULL);
	nodes->context = CurrentMemoryContext;
	nodes->last = NULL;
	return nodes;
}

/* How many there are. */
int64
nodes_count(const NodeTable *nodes)
{
	return nodes->hash->members;
}

/* Is a later than b? */
static bool
is_later(const PagePosition *a, const PagePosition *b)
{
	return compare_positions(a, b) > 0;
}

/* Find or make a node. */
static NodeTotals *
find_node(NodeTable *nodes, NodeKey key)
{
	NodeTotals *node = nodes->last;
	bool		found;

	if (node && node->key.len == key.len && memcmp(node->key.id, key.id, key.len) == 0)
		return node;
	node = nodes_insert(nodes->hash, key, &found);
	if (!found)
	{
		uint32		hash = node->hash;
		char		status = node->status;
		char	   *id = MemoryContextAlloc(nodes->context, key.len + 1);

		memset(node, 0, sizeof(*node));
		node->hash = hash;
		node->status = status;
		memcpy(id, key.id, key.len);
		node->key.id = id;
		node->key.len = key.len;
	}
	nodes->last = node;
	return node;
}

/* Let a number of attempt count: a later one begins anew. */
static void
set_attempt(NodeTotals *node, int32 attempt)
{
	if (attempt > node->attempt)
	{
		node->attempt = attempt;
		node->node_status = NODE_RUNNING;
		node->has_event = false;
	}
}

/* Let an event that begins or ends a step of the latest attempt decide its status. */
static void
set_event(NodeTotals *node, NodeStatus status, const PagePosition *at)
{
	if (node->has_event && !is_later(at, &node->event_at))
		return;
	node->has_event = true;
	node->event_at = *at;
	node->node_status = status;
}

/* Let a name count if it is the latest. */
static void
set_name(NodeTable *nodes, NodeTotals *node, const char *name, int len, const PagePosition *at)
{
	if (node->name != NULL && !is_later(at, &node->named_at))
		return;
	node->named_at = *at;
	if (node->name != NULL && strlen(node->name) == len && memcmp(node->name, name, len) == 0)
		return;
	if (node->name != NULL)
		pfree(node->name);
	node->name = MemoryContextAlloc(nodes->context, len + 1);
	memcpy(node->name, name, len);
	node->name[len] = '\0';
}

/* Let a step's number count if it is the latest. */
static void
set_step(NodeTotals *node, int32 step, const PagePosition *at)
{
	if (node->has_step && !is_later(at, &node->step_at))
		return;
	node->has_step = true;
	node->step_at = *at;
	node->step_number = step;
}

/* Let logs count, the first of which is at a position. */
static void
add_count(NodeTotals *node, int64 count, const PagePosition *first)
{
	if (node->count == 0 || is_later(&node->first, first))
		node->first = *first;
	node->count += count;
}

/* Add a log to its node, which it must have. */
void
nodes_add_log(NodeTable *nodes, TupleTableSlot *slot, int event_type, const PagePosition *at)
{
	bool		isnull;
	struct varlena *id = PG_DETOAST_DATUM_PACKED(slot_getattr(slot, Anum_log_node_id, &isnull));
	NodeKey		key = {VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)};
	NodeTotals *node = find_node(nodes, key);
	Datum		value;
	int32		attempt;

	add_count(node, 1, at);
	value = slot_getattr(slot, Anum_log_node_name, &isnull);
	if (!isnull)
	{
		text	   *name = DatumGetTextPP(value);

		set_name(nodes, node, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), at);
	}
	value = slot_getattr(slot, Anum_log_step_number, &isnull);
	if (!isnull)
		set_step(node, DatumGetInt32(value), at);

	attempt = DatumGetInt32(slot_getattr(slot, Anum_log_attempt, &isnull));
	if (isnull)
		attempt = 1;
	set_attempt(node, attempt);
	if (attempt == node->attempt &&
		(event_type == EVENT_STEP_STARTED || event_type == EVENT_STEP_COMPLETED ||
		 event_type == EVENT_STEP_ERROR))
		set_event(node,
				  event_type == EVENT_STEP_COMPLETED ? NODE_COMPLETED :
				  event_type == EVENT_STEP_ERROR ? NODE_FAILED : NODE_RUNNING, at);
}

/* What a node has, in front of its encoding. */
#define HAS_NAME 0x01
#define HAS_STEP 0x02
#define HAS_EVENT 0x04

/* Write the nodes, for nodes_add_encoded(). */
void
nodes_encode(StringInfo buf, NodeTable *nodes)
{
	nodes_iterator iterator;
	NodeTotals *node;

	put_unsigned(buf, nodes->hash->members);
	nodes_start_iterate(nodes->hash, &iterator);
	while ((node = nodes_iterate(nodes->hash, &iterator)) != NULL)
	{
		put_unsigned(buf, (node->name ? HAS_NAME : 0) | (node->has_step ? HAS_STEP : 0) |
					 (node->has_event ? HAS_EVENT : 0));
		put_bytes(buf, node->key.id, node->key.len);
		put_unsigned(buf, node->count);
		put_position(buf, &node->first);
		put_signed(buf, node->attempt);
		if (node->name)
		{
			put_bytes(buf, node->name, strlen(node->name));
			put_position(buf, &node->named_at);
		}
		if (node->has_step)
		{
			put_signed(buf, node->step_number);
			put_position(buf, &node->step_at);
		}
		if (node->has_event)
		{
			put_unsigned(buf, node->node_status);
			put_position(buf, &node->event_at);
		}
	}
}

/* Add what another table has written. */
void
nodes_add_encoded(NodeTable *nodes, Decoder *decoder)
{
	uint64		count = get_unsigned(decoder);

	for (uint64 i = 0; i < count; i++)
	{
		uint64		has = get_unsigned(decoder);
		NodeKey		key;
		NodeTotals *node;
		PagePosition at;
		int64		logs;
		int32		attempt;

		key.id = get_bytes(decoder, &key.len);
		node = find_node(nodes, key);
		logs = get_unsigned(decoder);
		at = get_position(decoder);
		add_count(node, logs, &at);
		attempt = (int32) get_signed(decoder);
		set_attempt(node, attempt);
		if (has & HAS_NAME)
		{
			int			len;
			const char *name = get_bytes(decoder, &len);

			at = get_position(decoder);
			set_name(nodes, node, name, len, &at);
		}
		if (has & HAS_STEP)
		{
			int32		step = (int32) get_signed(decoder);

			at = get_position(decoder);
			set_step(node, step, &at);
		}
		if (has & HAS_EVENT)
		{
			uint64		status = get_unsigned(decoder);

			at = get_position(decoder);
			if (status > NODE_FAILED)
				decode_failed();
			if (attempt == node->attempt)
				set_event(node, (NodeStatus) status, &at);
		}
	}
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
json_nodes(StringInfo buf, NodeTable *nodes)
{
	NodeTotals **sorted = palloc(sizeof(NodeTotals *) * (nodes->hash->members + 1));
	int			count = 0;
	nodes_iterator iterator;
	NodeTotals *node;

	nodes_start_iterate(nodes->hash, &iterator);
	while ((node = nodes_iterate(nodes->hash, &iterator)) != NULL)
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
