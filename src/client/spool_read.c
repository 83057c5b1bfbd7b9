/*-------------------------------------------------------------------------
 *
 * spool_read.c
 *	  Reads a spool file, whatever state a crash has left it in.
 *
 * Nothing that is read is believed before its checksum is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "spool.h"

#include <sys/stat.h>
#include <unistd.h>

#include "encode.h"
#include "port/pg_crc32c.h"
#include "spool_file.h"

#define READ_BLOCK (256 * 1024)

/* Checksum of a record, which holds for its place in the file only. */
uint32_t
spool_crc(uint64_t at, const char *head, const char *payload, uint32_t len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &at, sizeof(at));
	COMP_CRC32C(crc, head, 4);	/* the length */
	COMP_CRC32C(crc, head + 8, 4);	/* the type */
	COMP_CRC32C(crc, payload, len);
	FIN_CRC32C(crc);
	return crc;
}

/*
 * Make some bytes of the file be in the block; NULL if they are not there.
 * They stay until the next call.
 */
static const char *
read_bytes(Spool *spool, uint64_t at, size_t len)
{
	size_t		wanted = Max(len, READ_BLOCK);

	if (at >= spool->block_at && at + len <= spool->block_at + spool->block.len)
		return spool->block.data + (at - spool->block_at);
	spool->block.len = 0;
	spool->block_at = at;
	buffer_reserve(&spool->block, wanted);
	while (spool->block.len < wanted)
	{
		ssize_t		got = pread(spool->fd, spool->block.data + spool->block.len,
								wanted - spool->block.len, (off_t) (at + spool->block.len));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		spool->block.len += got;
	}
	return spool->block.len >= len ? spool->block.data : NULL;
}

/* Read a slot; false if it is none. */
static bool
read_slot(Spool *spool, const char *header, int number, SpoolSlot *slot)
{
	memcpy(slot, header + SPOOL_SLOT_AT(number), sizeof(*slot));
	return slot->crc == spool_slot_crc(slot) && slot->done >= SPOOL_HEADER_SIZE &&
		slot->done <= INT64_MAX / 2 && slot->base <= INT64_MAX / 2;
}

/* A string of the header, which the next one follows. */
static char *
read_header_string(const char **at, const char *end)
{
	const char *nul = memchr(*at, '\0', end - *at);
	char	   *string;

	if (nul == NULL)
		return NULL;
	string = xstrdup(*at);
	*at = nul + 1;
	return string;
}

/* Read the header and the newer of the slots; false if it is no spool. */
bool
spool_read_header(Spool *spool)
{
	const char *header = read_bytes(spool, 0, SPOOL_HEADER_SIZE);
	SpoolHead	head;
	SpoolSlot	slots[2];
	bool		good[2];
	int			newer;
	const char *at;
	const char *end;
	pg_crc32c	crc;

	if (header == NULL)
		return false;
	memcpy(&head, header, sizeof(head));
	if (memcmp(head.magic, SPOOL_MAGIC, sizeof(head.magic)) != 0 || head.order != SPOOL_ORDER ||
		head.len > SPOOL_SLOT_AT(0) - sizeof(head))
		return false;
	at = header + sizeof(head);
	end = at + head.len;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, at, head.len);
	FIN_CRC32C(crc);
	if (crc != head.crc)
		return false;
	spool->producer_key = read_header_string(&at, end);
	spool->target = read_header_string(&at, end);
	spool->execution = read_header_string(&at, end);
	spool->node = read_header_string(&at, end);
	if (spool->producer_key == NULL || spool->target == NULL || spool->execution == NULL ||
		spool->node == NULL)
		return false;

	good[0] = read_slot(spool, header, 0, &slots[0]);
	good[1] = read_slot(spool, header, 1, &slots[1]);
	if (!good[0] && !good[1])
		return false;
	newer = !good[1] || (good[0] && (int32_t) (slots[0].generation - slots[1].generation) > 0) ? 0 : 1;
	spool->done = slots[newer].done;
	spool->base = slots[newer].base;
	spool->generation = slots[newer].generation;
	spool->done_before = good[1 - newer] ? Min(slots[1 - newer].done, spool->done) : SPOOL_HEADER_SIZE;
	return true;
}

/* Read the record at a place; false if there is no good one. */
bool
spool_read_record(Spool *spool, uint64_t at, SpoolRecord *record)
{
	const char *head = read_bytes(spool, at, SPOOL_RECORD_HEAD);
	uint32_t	len;
	uint32_t	crc;
	unsigned char type;

	if (head == NULL)
		return false;
	memcpy(&len, head, 4);
	memcpy(&crc, head + 4, 4);
	type = (unsigned char) head[8];
	if (len == 0 || len > SPOOL_RECORD_MOST)
		return false;
	head = read_bytes(spool, at, SPOOL_RECORD_HEAD + (size_t) len);
	if (head == NULL || crc != spool_crc(at, head, head + SPOOL_RECORD_HEAD, len))
		return false;
	if (type != SPOOL_RECORD_ITEMS && type != SPOOL_RECORD_CALL && type != SPOOL_RECORD_SEAL)
		return false;
	record->type = (SpoolRecordType) type;
	record->payload = head + SPOOL_RECORD_HEAD;
	record->len = len;
	record->next = at + SPOOL_RECORD_HEAD + len;
	return true;
}

/*
 * Is what cannot be read at this place just a write that was cut short?  It
 * then ends with the file, or is nothing but zeros.
 */
bool
spool_tail_is_torn(Spool *spool, uint64_t at)
{
	struct stat status;
	const char *head;
	uint32_t	len;

	if (fstat(spool->fd, &status) < 0 || at + SPOOL_RECORD_HEAD > (uint64_t) status.st_size)
		return true;
	head = read_bytes(spool, at, SPOOL_RECORD_HEAD);
	if (head == NULL)
		return true;
	memcpy(&len, head, 4);
	if (len > 0 && len <= SPOOL_RECORD_MOST &&
		at + SPOOL_RECORD_HEAD + len >= (uint64_t) status.st_size)
		return true;
	for (uint64_t byte = at; byte < (uint64_t) status.st_size; byte++)
	{
		const char *c = read_bytes(spool, byte, 1);

		if (c != NULL && *c != '\0')
			return false;
	}
	return true;
}

/* Read the next of a record's items; false at the end, or if it is none. */
bool
spool_next_item(const char **at, const char *end, SpoolItem *item)
{
	if (end - *at < SPOOL_ITEM_HEAD)
		return false;
	item->kind = (*at)[0];
	item->error_stream = (uint8_t) (*at)[1];
	item->part = (uint8_t) (*at)[2];
	memcpy(&item->len, *at + 4, 4);
	memcpy(&item->time, *at + 8, 8);
	*at += SPOOL_ITEM_HEAD;
	if (item->len > (size_t) (end - *at) || !strchr("LEW", item->kind) || item->kind == '\0' ||
		item->part > LINE_UNTERMINATED)
		return false;
	item->bytes = *at;
	*at += item->len;
	return true;
}

/* Append an item as a line of JSON, as append_lines() reads it. */
void
spool_item_json(const Spool *spool, const SpoolItem *item, Buffer *out)
{
	static const char *const parts[] = {
		[LINE_WHOLE] = "",
		[LINE_BEGIN] = ",\"partial\":\"begin\"",
		[LINE_MIDDLE] = ",\"partial\":\"middle\"",
		[LINE_END] = ",\"partial\":\"end\"",
		[LINE_UNTERMINATED] = ",\"partial\":\"unterminated\"",
	};

	buffer_char(out, '{');
	buffer_string(out, spool->execution);
	if (item->kind != 'W')
		buffer_string(out, spool->node);
	buffer_string(out, ",\"created_at\":\"");
	encode_time(out, item->time);
	buffer_char(out, '"');
	if (item->kind != 'L')
		buffer_append(out, item->bytes, item->len);
	else
	{
		buffer_string(out, item->error_stream ?
					  ",\"event_type\":\"step_output\",\"level\":\"WARNING\",\"data\":{\"stream\":\"stderr\"" :
					  ",\"event_type\":\"step_output\",\"level\":\"INFO\",\"data\":{\"stream\":\"stdout\"");
		buffer_string(out, parts[item->part]);
		buffer_string(out, "},\"message\":");
		encode_json(out, item->bytes, item->len);
	}
	buffer_string(out, "}\n");
}
