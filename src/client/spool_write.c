/*-------------------------------------------------------------------------
 *
 * spool_write.c
 *	  Writing the spool; and what is done when there is no room for it.
 *
 * Lines have an end: --spool-size, and the disk.  Blocks are allocated ahead
 * of them, so that seals, without which nothing can be sent, and what tells
 * how the step ended still find room when no line does.  Lines wait in
 * memory then, 8 MB of them; more are lost, and counted.  When the database
 * has taken everything that is in the file, and there still is no room, it
 * goes on in memory altogether.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "spool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spool_file.h"

#define RECORD_BYTES (128 * 1024)	/* a record is written when it has grown to this */
#define RECORD_ITEMS 1000
#define RESERVED (256 * 1024)	/* bytes below the limit that only entries and calls get */
#define MEMORY_MOST (8 * 1024 * 1024)	/* kept when the disk is full */
#define ALLOCATED_AHEAD (1024 * 1024)
#define ALLOCATED_LEAST (64 * 1024) /* behind lines, for seals and entries */

/* Write all of it at a place; false with errno. */
bool
spool_write_at(int fd, const void *bytes, size_t len, uint64_t at)
{
	const char *from = bytes;

	while (len > 0)
	{
		ssize_t		written = pwrite(fd, from, len, (off_t) at);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		from += written;
		at += written;
		len -= written;
	}
	return true;
}

/* A file without a name, or -1. */
int
spool_memory_file(void)
{
#ifdef MFD_CLOEXEC
	return memfd_create("wflog spool", MFD_CLOEXEC);
#else
	FILE	   *file = tmpfile();
	int			fd = file ? fcntl(fileno(file), F_DUPFD_CLOEXEC, 0) : -1;

	if (file)
		fclose(file);
	return fd;
#endif
}

/*
 * Have the disk's blocks up to there, and for what may have to come behind;
 * false with errno if it is full.
 */
static bool
allocate(Spool *spool, uint64_t end)
{
#ifdef FALLOC_FL_KEEP_SIZE
	uint64_t	from = Max(spool->allocated, spool->end);
	uint64_t	wanted = end + ALLOCATED_LEAST;

	if (spool->path == NULL || spool->giving_up || wanted <= spool->allocated)
		return true;
	if (fallocate(spool->fd, FALLOC_FL_KEEP_SIZE, (off_t) from,
				  (off_t) (wanted + ALLOCATED_AHEAD - from)) == 0)
		spool->allocated = wanted + ALLOCATED_AHEAD;
	else if (fallocate(spool->fd, FALLOC_FL_KEEP_SIZE, (off_t) from, (off_t) (wanted - from)) == 0)
		spool->allocated = wanted;
	else if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return false;
	else
		spool->allocated = UINT64_MAX;	/* it cannot be done here */
#endif
	return true;
}

/* Begin the next record. */
void
spool_begin_record(Spool *spool)
{
	spool->gathered.len = 0;
	spool->gathered_items = 0;
	buffer_reserve(&spool->gathered, SPOOL_RECORD_HEAD);
	spool->gathered.len = SPOOL_RECORD_HEAD;
}

/* Append a record, which begins with room for its head, to the file. */
bool
spool_write_record(Spool *spool, SpoolRecordType type, Buffer *record)
{
	uint32_t	len = (uint32_t) (record->len - SPOOL_RECORD_HEAD);
	uint32_t	type_word = (uint32_t) type;
	uint32_t	crc;

	memcpy(record->data, &len, 4);
	memset(record->data + 8, 0, 4);
	record->data[8] = (char) type_word;
	crc = spool_crc(spool->end, record->data, record->data + SPOOL_RECORD_HEAD, len);
	memcpy(record->data + 4, &crc, 4);
	if (type == SPOOL_RECORD_ITEMS && !allocate(spool, spool->end + record->len))
	{
		spool->write_error = errno;
		return false;
	}
	if (!spool_write_at(spool->fd, record->data, record->len, spool->end))
	{
		spool->write_error = errno;
		/* no half record, behind which others would be lost */
		if (ftruncate(spool->fd, (off_t) spool->end) < 0)
			return false;
		return false;
	}
	spool->write_error = 0;
	spool->end += record->len;
	if (type != SPOOL_RECORD_SEAL)
		spool->data_end = spool->end;
	spool->unsynced = true;
	return true;
}

/* Is there room for so many bytes? */
static bool
has_room(const Spool *spool, size_t len, uint64_t reserved)
{
	uint64_t	used = spool->end - Min(spool->punched, spool->end) + spool->gathered.len;

	/* where no holes can be made, the whole file counts */
	return used + len + reserved <= spool->limit &&
		spool->gathered.len + len + reserved <= MEMORY_MOST;
}

static void
add_item(Spool *spool, char kind, bool error_stream, LinePart part, int64_t time, const char *bytes,
		 size_t len)
{
	char		head[SPOOL_ITEM_HEAD] = {0};
	uint32_t	len32 = (uint32_t) len;

	head[0] = kind;
	head[1] = error_stream;
	head[2] = (char) part;
	memcpy(head + 4, &len32, 4);
	memcpy(head + 8, &time, 8);
	buffer_append(&spool->gathered, head, sizeof(head));
	buffer_append(&spool->gathered, bytes, len);
	spool->gathered_items++;
	if (spool->write_error == 0 &&
		(spool->gathered.len >= RECORD_BYTES || spool->gathered_items >= RECORD_ITEMS))
		spool_write(spool);
}

/* Say in the log how many lines found no room. */
static void
add_loss(Spool *spool, int64_t time)
{
	Buffer		text = {0};

	buffer_printf(&text, ",\"event_type\":\"step_output\",\"level\":\"WARNING\","
				  "\"data\":{\"lost_lines\":%llu},"
				  "\"message\":\"%llu lines are missing here: the spool was full\"",
				  (unsigned long long) spool->lost_lines, (unsigned long long) spool->lost_lines);
	spool->lost_lines = 0;
	add_item(spool, 'E', false, LINE_WHOLE, time, text.data, text.len);
	buffer_free(&text);
}

/* Add a line of the child's. */
void
spool_add_line(Spool *spool, int64_t time, bool error_stream, LinePart part, const char *text,
			   size_t len)
{
	if (!has_room(spool, len + SPOOL_ITEM_HEAD, RESERVED))
	{
		spool->lost_lines++;
		spool->lost_total++;
		return;
	}
	if (spool->lost_lines > 0)
		add_loss(spool, time);
	add_item(spool, 'L', error_stream, part, time, text, len);
}

/* Add an entry: JSON members, each with a comma in front. */
void
spool_add_entry(Spool *spool, int64_t time, bool of_workflow, const char *members, size_t len)
{
	if (!has_room(spool, len + SPOOL_ITEM_HEAD, 0))
	{
		spool->lost_lines++;
		spool->lost_total++;
		return;
	}
	if (spool->lost_lines > 0)
		add_loss(spool, time);
	add_item(spool, of_workflow ? 'W' : 'E', false, LINE_WHOLE, time, members, len);
}

/* Write a call behind everything that has gathered. */
static void
write_call(Spool *spool)
{
	if (spool->waiting_call.len > 0 &&
		spool_write_record(spool, SPOOL_RECORD_CALL, &spool->waiting_call))
	{
		spool->unsent_items++;
		spool->waiting_call.len = 0;
	}
}

/*
 * Add a call: the name of a function and its arguments, each with its NUL.
 * One that cannot be written waits; a second one would replace it.
 */
void
spool_add_call(Spool *spool, const char *strings, size_t len)
{
	Buffer	   *record = &spool->waiting_call;

	record->len = 0;
	buffer_reserve(record, SPOOL_RECORD_HEAD + len);
	record->len = SPOOL_RECORD_HEAD;
	buffer_append(record, strings, len);
	spool_write(spool);
}

/* Write the first items that have gathered, as many as make up a record. */
static bool
write_items(Spool *spool)
{
	Buffer	   *gathered = &spool->gathered;
	const char *end = gathered->data + gathered->len;
	const char *at = gathered->data + SPOOL_RECORD_HEAD;
	uint32_t	items = 0;
	Buffer		part = {0};
	SpoolItem	item;
	size_t		len;
	bool		written;

	while (at < end && at - gathered->data < RECORD_BYTES && spool_next_item(&at, end, &item))
		items++;
	if (at == end)
	{
		written = spool_write_record(spool, SPOOL_RECORD_ITEMS, gathered);
		if (written)
		{
			spool->unsent_items += spool->gathered_items;
			spool_begin_record(spool);
		}
		return written;
	}
	len = at - gathered->data;
	buffer_append(&part, gathered->data, len);
	written = spool_write_record(spool, SPOOL_RECORD_ITEMS, &part);
	buffer_free(&part);
	if (written)
	{
		spool->unsent_items += items;
		spool->gathered_items -= items;
		memmove(gathered->data + SPOOL_RECORD_HEAD, at, end - at);
		gathered->len -= len - SPOOL_RECORD_HEAD;
	}
	return written;
}

/*
 * Go on in memory: the disk is full, and the file has nothing that the
 * database does not have.
 */
static bool
move_to_memory(Spool *spool)
{
	int			fd = spool_memory_file();

	if (fd < 0)
		return false;
	unlink(spool->path);
	close(spool->fd);
	free(spool->path);
	spool->path = NULL;
	spool->fd = fd;
	spool->limit = Min(spool->limit, SPOOL_MEMORY_LIMIT);
	return spool_cut(spool);	/* numbers go on where they were */
}

/* Make room, if the database has everything that was written. */
static bool
make_room(Spool *spool)
{
	if (spool->done < spool->data_end)
		return false;
	if (spool->end > SPOOL_HEADER_SIZE)
		return spool_cut(spool);
	return spool->path != NULL && move_to_memory(spool);
}

/*
 * Write what has gathered.  If that fails, write_error tells, and it is tried
 * again the next time.
 */
void
spool_write(Spool *spool)
{
	while (spool->gathered_items > 0)
		if (!write_items(spool) && !make_room(spool))
			return;
	write_call(spool);
}

/*
 * Nothing more will be added, nor sent by us.  If there is no room for the
 * lines that have gathered they are lost; what tells how the step ended gets
 * the blocks that were kept for it.
 */
void
spool_give_up(Spool *spool)
{
	Buffer		old;
	const char *at;
	const char *end;
	SpoolItem	item = {0};
	bool		told = false;

	spool_write(spool);
	if (spool->gathered_items == 0)
		return;
	old = spool->gathered;
	memset(&spool->gathered, 0, sizeof(Buffer));
	spool_begin_record(spool);
	spool->giving_up = true;
	at = old.data + SPOOL_RECORD_HEAD;
	end = old.data + old.len;
	while (at < end && spool_next_item(&at, end, &item))
		if (item.kind == 'L')
		{
			spool->lost_lines++;
			spool->lost_total++;
		}
		else
		{
			if (spool->lost_lines > 0 && !told)
			{
				told = true;	/* where they begin to be missing */
				add_loss(spool, item.time);
			}
			add_item(spool, item.kind, false, LINE_WHOLE, item.time, item.bytes, item.len);
		}
	if (spool->lost_lines > 0 && !told)
		add_loss(spool, item.time);
	buffer_free(&old);
	spool_write(spool);
}

/* Have it on the disk itself. */
void
spool_sync(Spool *spool)
{
	if (spool->unsynced && spool->path && fdatasync(spool->fd) == 0)
	{
		spool->unsynced = false;
		spool->synced = true;
	}
}
