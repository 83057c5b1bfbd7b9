/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Page cursors and stream cursors as text.
 *
 * A cursor is its kind ("p1." or "s1.") and base64url of: a tag of its
 * subject (the execution, or workflow), a body of little-endian variable
 * length integers, and a CRC-32C of all before it.  A stream cursor has a tag
 * of its database as well, since transaction ids mean nothing elsewhere; a
 * page cursor is a time and an id, which a restored copy has too.
 *
 * Every error here is WF001 and says which rule the cursor breaks.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/table.h"
#include "access/tableam.h"
#include "common/base64.h"
#include "common/hashfn.h"
#include "cursor.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define KIND_LEN 3
#define PAGE_KIND "p1."
#define STREAM_KIND "s1."
#define MAX_CURSOR_LEN (256 * 1024) /* a standby's snapshot may list many ids */
#define FLAG_INSIDE 0x01

/* Raise the error for a cursor that is not what it should be. */
static void
bad_cursor(const char *text, const char *rule)
{
	int			len = strlen(text);
	int			shown = pg_mbcliplen(text, len, 40);

	ereport(ERROR,
			(errcode(ERRCODE_WFLOG_BAD_CURSOR),
			 errmsg("invalid cursor \"%.*s%s\"", shown, text, shown < len ? "..." : ""),
			 errdetail("%s", rule)));
}

/* Hash of an id, to tell whether a row is the one meant. */
uint32
id_fingerprint(const pg_uuid_t *id)
{
	return hash_bytes(id->data, UUID_LEN);
}

/*
 * Tag of this database: of its identity's UUID, which a dump does not carry
 * over, and its OID, which a copy made with CREATE DATABASE does not share.
 * Read once per backend and extension.
 */
static uint32
database_tag(void)
{
	static Oid	tag_of = InvalidOid;
	static uint32 tag;
	Oid			relid = wflog_table_oid(WFLOG_DATABASE_IDENTITY);
	struct
	{
		pg_uuid_t	id;
		Oid			database;
	}			key;
	Relation	table;
	TableScanDesc scan;
	TupleTableSlot *slot;
	Snapshot	snapshot;

	if (tag_of == relid)
		return tag;

	table = table_open(relid, AccessShareLock);
	slot = table_slot_create(table, NULL);
	snapshot = RegisterSnapshot(GetCatalogSnapshot(relid));
	scan = table_beginscan(table, snapshot, 0, NULL);
	memset(&key, 0, sizeof(key));
	key.database = MyDatabaseId;
	if (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		key.id = *DatumGetUUIDP(slot_getattr(slot, 2, &isnull));
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table \"wflog.database_identity\" is empty"),
				 errhint("INSERT INTO wflog.database_identity DEFAULT VALUES; "
						 "stream cursors given before will be refused.")));
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, AccessShareLock);

	tag = hash_bytes((unsigned char *) &key, sizeof(key));
	tag_of = relid;
	return tag;
}

/* Tag of the subject. */
static uint32
subject_tag(int64 subject_hash)
{
	return (uint32) ((uint64) subject_hash >> 32);
}

static void
put_fixed32(StringInfo buf, uint32 value)
{
	for (int i = 0; i < 4; i++)
		appendStringInfoCharMacro(buf, (char) (value >> (8 * i)));
}

static void
put_varint(StringInfo buf, uint64 value)
{
	while (value >= 0x80)
	{
		appendStringInfoCharMacro(buf, (char) (value | 0x80));
		value >>= 7;
	}
	appendStringInfoCharMacro(buf, (char) value);
}

/* What is left to read of a cursor; text is for errors. */
typedef struct Reader
{
	const char *text;
	const unsigned char *at;
	const unsigned char *end;
} Reader;

static uint32
get_fixed32(Reader *reader)
{
	uint32		value = 0;

	if (reader->end - reader->at < 4)
		bad_cursor(reader->text, "It is damaged: it ends too early.");
	for (int i = 0; i < 4; i++)
		value |= (uint32) *reader->at++ << (8 * i);
	return value;
}

static uint64
get_varint(Reader *reader)
{
	uint64		value = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		unsigned char byte;

		if (reader->at == reader->end)
			bad_cursor(reader->text, "It is damaged: it ends too early.");
		byte = *reader->at++;
		value |= (uint64) (byte & 0x7F) << shift;
		if (!(byte & 0x80))
			return value;
	}
	bad_cursor(reader->text, "It is damaged: a number in it is too long.");
	return 0;					/* keep the compiler quiet */
}

/* Add the checksum to the body and append the text to out. */
static void
append_finished(StringInfo out, StringInfo body, const char *kind)
{
	pg_crc32c	crc;
	int			room;
	int			len;
	char	   *text;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, kind, KIND_LEN);
	COMP_CRC32C(crc, body->data, body->len);
	FIN_CRC32C(crc);
	put_fixed32(body, crc);

	room = pg_b64_enc_len(body->len) + 1;
	enlargeStringInfo(out, KIND_LEN + room);
	text = out->data + out->len;
	memcpy(text, kind, KIND_LEN);
	len = pg_b64_encode((const void *) body->data, body->len, text + KIND_LEN, room);
	Assert(len >= 0);
	while (len > 0 && text[KIND_LEN + len - 1] == '=')
		len--;
	text[KIND_LEN + len] = '\0';
	for (char *p = text + KIND_LEN; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	out->len += KIND_LEN + len;
}

/* Add the checksum and return the text. */
static char *
finish(StringInfo body, const char *kind)
{
	StringInfoData text;

	initStringInfo(&text);
	append_finished(&text, body, kind);
	return text.data;
}

/* Undo finish(): check kind, spelling and checksum. */
static Reader
start(const char *text, const char *kind)
{
	int			len = strlen(text);
	char	   *padded;
	int			padded_len;
	char	   *respelled;
	unsigned char *bytes;
	int			count;
	pg_crc32c	crc;
	Reader		reader;
	Reader		tail;

	if (len > MAX_CURSOR_LEN)
		bad_cursor(text, "It is too long.");
	if (strncmp(text, kind, KIND_LEN) != 0)
	{
		if (strncmp(text, STREAM_KIND, KIND_LEN) == 0)
			bad_cursor(text, "A stream cursor cannot be used for pages, only for tail().");
		if (strncmp(text, PAGE_KIND, KIND_LEN) == 0)
			bad_cursor(text, "A page cursor cannot be used for tail(), only for pages.");
		bad_cursor(text, "Cursors begin with \"p1.\" for pages or \"s1.\" for streams.");
	}

	len -= KIND_LEN;
	padded_len = (len + 3) / 4 * 4;
	padded = palloc(padded_len + 1);
	memset(padded, '=', padded_len);
	for (int i = 0; i < len; i++)
	{
		char		c = text[KIND_LEN + i];

		if (!(isalnum((unsigned char) c) || c == '-' || c == '_'))
			bad_cursor(text, "It is damaged: it has a character that no cursor has.");
		padded[i] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	bytes = palloc(pg_b64_dec_len(padded_len) + 1);
	count = pg_b64_decode(padded, padded_len, (void *) bytes, pg_b64_dec_len(padded_len));
	/* bits that no byte has, at the end, must be zero: a cursor has one spelling */
	respelled = palloc(padded_len + 1);
	if (count < 0 ||
		pg_b64_encode((const void *) bytes, count, respelled, padded_len + 1) != padded_len ||
		memcmp(respelled, padded, padded_len) != 0)
		bad_cursor(text, "It is damaged: it is not base64url.");
	if (count < 8)
		bad_cursor(text, "It is damaged: it is too short.");

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, kind, KIND_LEN);
	COMP_CRC32C(crc, bytes, count - 4);
	FIN_CRC32C(crc);
	reader.text = tail.text = text;
	reader.at = bytes;
	reader.end = tail.at = bytes + count - 4;
	tail.end = bytes + count;
	if (get_fixed32(&tail) != crc)
		bad_cursor(text, "It is damaged: its checksum does not match.");
	return reader;
}

/* Both kinds begin with the subject's tag. */
static void
check_subject(Reader *reader, int64 subject_hash)
{
	if (get_fixed32(reader) != subject_tag(subject_hash))
		bad_cursor(reader->text, "It belongs to another execution or workflow.");
}

/* The cursor for a place in page order. */
char *
page_cursor_encode(int64 subject_hash, const PagePosition *position)
{
	StringInfoData body;

	initStringInfo(&body);
	put_fixed32(&body, subject_tag(subject_hash));
	put_varint(&body, (uint64) position->created_at);
	appendBinaryStringInfo(&body, (const char *) position->id.data, UUID_LEN);
	return finish(&body, PAGE_KIND);
}

/* The place a page cursor stands for; WF001 if it is no such cursor. */
void
page_cursor_decode(const char *text, int64 subject_hash, PagePosition *position)
{
	Reader		reader = start(text, PAGE_KIND);

	check_subject(&reader, subject_hash);
	position->created_at = (TimestampTz) get_varint(&reader);
	if (reader.end - reader.at != UUID_LEN)
		bad_cursor(text, "It is damaged: it has not the length it should have.");
	memcpy(position->id.data, reader.at, UUID_LEN);
}

/* The cursor for a place in a list of executions. */
char *
list_cursor_encode(int64 subject_hash, TimestampTz created_at, const char *id)
{
	StringInfoData body;

	initStringInfo(&body);
	put_fixed32(&body, subject_tag(subject_hash));
	put_varint(&body, (uint64) created_at);
	appendStringInfoString(&body, id);
	return finish(&body, PAGE_KIND);
}

/* The place such a cursor stands for; WF001 if it is no such cursor. */
void
list_cursor_decode(const char *text, int64 subject_hash, TimestampTz *created_at, char **id)
{
	Reader		reader = start(text, PAGE_KIND);

	check_subject(&reader, subject_hash);
	*created_at = (TimestampTz) get_varint(&reader);
	*id = pnstrdup((const char *) reader.at, reader.end - reader.at);
}

/* Hidden ids are written from the greatest down, as differences. */
static void
put_set(StringInfo buf, const XactSet *set)
{
	uint64		above = set->xmax;

	put_varint(buf, set->xmax);
	put_varint(buf, set->count);
	for (int i = set->count - 1; i >= 0; i--)
	{
		put_varint(buf, above - set->hidden[i]);
		above = set->hidden[i];
	}
}

static XactSet
get_set(Reader *reader)
{
	XactSet		set;
	uint64		count;
	uint64		above;

	above = set.xmax = get_varint(reader);
	count = get_varint(reader);
	if (count > reader->end - reader->at)
		bad_cursor(reader->text, "It is damaged: it ends too early.");
	set.count = count;
	set.hidden = palloc(sizeof(uint64) * (count + 1));
	for (int i = set.count - 1; i >= 0; i--)
	{
		uint64		step = get_varint(reader);

		if (step == 0 || step > above)
			bad_cursor(reader->text, "It is damaged: its transactions are out of order.");
		above = set.hidden[i] = above - step;
	}
	return set;
}

/* Make room for a text to be used again and again. */
void
cursor_text_init(CursorText *text)
{
	initStringInfo(&text->head);
	initStringInfo(&text->tail);
	initStringInfo(&text->body);
}

/* Write what is the same for all logs of a transaction: all but seq and fingerprint. */
void
cursor_text_prepare(CursorText *text, int64 execution_hash, const StreamPosition *position)
{
	StringInfo	head = &text->head;

	resetStringInfo(head);
	put_fixed32(head, subject_tag(execution_hash));
	put_fixed32(head, database_tag());
	appendStringInfoCharMacro(head, position->inside ? FLAG_INSIDE : 0);
	put_varint(head, position->timeline);
	put_varint(head, position->lsn);
	put_varint(head, (uint64) position->removals);
	put_set(head, &position->seen);
	put_varint(head, position->xact);

	resetStringInfo(&text->tail);
	if (position->inside)
		put_set(&text->tail, &position->batch);
}

/* Append the cursor that stands behind a log. */
void
cursor_text_append(CursorText *text, int32 seq, uint32 fingerprint, StringInfo out)
{
	StringInfo	body = &text->body;

	resetStringInfo(body);
	appendBinaryStringInfo(body, text->head.data, text->head.len);
	put_varint(body, seq);
	put_fixed32(body, fingerprint);
	appendBinaryStringInfo(body, text->tail.data, text->tail.len);
	append_finished(out, body, STREAM_KIND);
}

/* The cursor for a place in a stream. */
char *
stream_cursor_encode(int64 execution_hash, const StreamPosition *position)
{
	CursorText	text;
	StringInfoData cursor;

	cursor_text_init(&text);
	initStringInfo(&cursor);
	cursor_text_prepare(&text, execution_hash, position);
	cursor_text_append(&text, position->seq, position->fingerprint, &cursor);
	return cursor.data;
}

/* The place a stream cursor stands for; WF001 if it is no such cursor. */
void
stream_cursor_decode(const char *text, int64 execution_hash, StreamPosition *position)
{
	Reader		reader = start(text, STREAM_KIND);
	unsigned char flags;

	check_subject(&reader, execution_hash);
	if (get_fixed32(&reader) != database_tag())
		bad_cursor(text, "It belongs to another database.");
	if (reader.at == reader.end)
		bad_cursor(text, "It is damaged: it ends too early.");
	flags = *reader.at++;
	position->inside = (flags & FLAG_INSIDE) != 0;
	position->timeline = (TimeLineID) get_varint(&reader);
	position->lsn = get_varint(&reader);
	position->removals = (TimestampTz) get_varint(&reader);
	position->seen = get_set(&reader);
	position->xact = get_varint(&reader);
	position->seq = (int32) get_varint(&reader);
	position->fingerprint = get_fixed32(&reader);
	position->batch = position->inside ? get_set(&reader) : xact_set_empty();
	if (reader.at != reader.end)
		bad_cursor(text, "It is damaged: it has not the length it should have.");
}
