/*-------------------------------------------------------------------------
 *
 * milestones.c
 *	  Milestones of an execution, written out as JSON.
 *
 * Roll-ups keep them in chunks: a header, the places of all of them, and then
 * their JSON in a row, as it stands in a summary.  A chunk is in order, so one
 * that follows on another is copied as it is; a summary of ten thousand
 * milestones is a megabyte copied.  Chunks that overlap, because transactions
 * have committed late, are taken apart.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "json.h"
#include "log_scan.h"
#include "milestones.h"
#include "codec.h"
#include "utils/builtins.h"

/* A chunk begins with this; then come its places; then its JSON. */
typedef struct ChunkHeader
{
	uint32		count;
	uint32		json_len;		/* commas included */
	PagePosition first;
	PagePosition last;
} ChunkHeader;

/* Place of one of them. */
typedef struct ChunkPlace
{
	TimestampTz created_at;
	pg_uuid_t	id;
	uint32		len;
	uint32		unused;
} ChunkPlace;

StaticAssertDecl(sizeof(ChunkHeader) == 56 && sizeof(ChunkPlace) == 32,
				 "chunks are stored as they are, without holes");

/* Make room for another. */
static Milestone *
new_item(MilestoneList *list)
{
	if (list->count == list->room)
	{
		list->room = list->room ? list->room * 2 : 16;
		list->items = list->items ?
			repalloc_huge(list->items, sizeof(Milestone) * list->room) :
			palloc(sizeof(Milestone) * list->room);
	}
	return &list->items[list->count++];
}

/* Add one that stays where it is. */
void
milestones_add(MilestoneList *list, const Milestone *item)
{
	*new_item(list) = *item;
}

/* Remember a log, which must be a milestone. */
void
milestones_add_log(MilestoneList *list, TupleTableSlot *slot, int event_type,
				   const PagePosition *at)
{
	bool		isnull;
	text	   *message;
	Datum		value = slot_getattr(slot, Anum_log_user_friendly_message, &isnull);
	StringInfoData json;
	Milestone  *item = new_item(list);

	if (isnull || VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(value)) == 0)
		value = slot_getattr(slot, Anum_log_message, &isnull);
	message = DatumGetTextPP(value);
	json.maxlen = VARSIZE_ANY_EXHDR(message) + 128;
	json.data = palloc(json.maxlen);
	resetStringInfo(&json);
	json_literal(&json, "{\"timestamp\":");
	json_time(&json, at->created_at);
	json_literal(&json, ",\"message\":");
	json_string(&json, VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message));
	appendStringInfo(&json, ",\"event_type\":\"%s\"}",
					 wflog_enum_label(WFLOG_EVENT_TYPE_ENUM, event_type));
	item->at = *at;
	item->len = json.len;
	item->json = json.data;
}

static int
compare_items(const void *a, const void *b)
{
	const Milestone *left = a;
	const Milestone *right = b;

	return compare_positions(&left->at, &right->at);
}

/* Put them in order. */
void
milestones_sort(MilestoneList *list)
{
	if (list->count > 1)
		qsort(list->items, list->count, sizeof(Milestone), compare_items);
}

/* Form a chunk of those from *next on, as many as go into it, and move *next past them. */
bytea *
milestones_to_chunk(const MilestoneList *sorted, int64 *next)
{
	int64		end = *next;
	Size		size = sizeof(ChunkHeader);
	ChunkHeader header = {0};
	bytea	   *chunk;
	char	   *at;

	while (end < sorted->count &&
		   (end == *next || size + sizeof(ChunkPlace) + sorted->items[end].len + 1 <= MILESTONE_CHUNK))
	{
		size += sizeof(ChunkPlace) + sorted->items[end].len + 1;
		header.json_len += sorted->items[end].len + 1;
		end++;
	}
	header.count = end - *next;
	header.json_len--;			/* no comma after the last */
	header.first = sorted->items[*next].at;
	header.last = sorted->items[end - 1].at;

	chunk = palloc(VARHDRSZ + size - 1);
	SET_VARSIZE(chunk, VARHDRSZ + size - 1);
	at = VARDATA(chunk);
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	for (int64 i = *next; i < end; i++)
	{
		ChunkPlace	place = {sorted->items[i].at.created_at, sorted->items[i].at.id,
		sorted->items[i].len, 0};

		memcpy(at, &place, sizeof(place));
		at += sizeof(place);
	}
	for (int64 i = *next; i < end; i++)
	{
		if (i > *next)
			*at++ = ',';
		memcpy(at, sorted->items[i].json, sorted->items[i].len);
		at += sorted->items[i].len;
	}
	*next = end;
	return chunk;
}

/* Read a chunk's header; its JSON is where *json says. */
static ChunkHeader
read_header(const char *data, int len, const char **json)
{
	ChunkHeader header;

	if (len < sizeof(header))
		decode_failed();
	memcpy(&header, data, sizeof(header));
	if (header.count == 0 ||
		(uint64) len != sizeof(header) + header.count * (uint64) sizeof(ChunkPlace) + header.json_len)
		decode_failed();
	*json = data + sizeof(header) + header.count * sizeof(ChunkPlace);
	return header;
}

/* Add a chunk's milestones to a list, which then points into it. */
void
milestones_add_chunk(MilestoneList *list, const char *data, int len)
{
	const char *json;
	ChunkHeader header = read_header(data, len, &json);

	for (uint32 i = 0; i < header.count; i++)
	{
		Milestone  *item = new_item(list);
		ChunkPlace	place;

		memcpy(&place, data + sizeof(header) + i * sizeof(place), sizeof(place));
		if (place.len > (uint64) (data + len - json))
			decode_failed();
		item->at.created_at = place.created_at;
		item->at.id = place.id;
		item->len = place.len;
		item->json = json;
		json += place.len + 1;
	}
}

/* May what is at a position come next?  If so, write what stands before it. */
static bool
begin_writing(MilestoneWriter *writer, const PagePosition *first)
{
	if (writer->any && compare_positions(first, &writer->last) < 0)
		return false;
	if (writer->any)
		json_literal(writer->buf, ",");
	writer->any = true;
	return true;
}

/* Write a chunk's milestones; false, and nothing is written, if they come too late. */
bool
milestones_write_chunk(MilestoneWriter *writer, const char *data, int len)
{
	const char *json;
	ChunkHeader header = read_header(data, len, &json);

	if (!begin_writing(writer, &header.first))
		return false;
	json_bytes(writer->buf, json, header.json_len);
	writer->last = header.last;
	return true;
}

/* The same for a sorted list. */
bool
milestones_write_list(MilestoneWriter *writer, const MilestoneList *sorted)
{
	for (int64 i = 0; i < sorted->count; i++)
	{
		const Milestone *item = &sorted->items[i];

		if (!begin_writing(writer, &item->at))
			return false;
		json_bytes(writer->buf, item->json, item->len);
		writer->last = item->at;
	}
	return true;
}
