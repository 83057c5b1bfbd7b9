/*-------------------------------------------------------------------------
 *
 * spool.c
 *	  What "run" has captured and the database does not have yet, on disk.
 *
 * The file:
 *
 *	  header, 16 kB: magic, producer key, target, members of all logs; two slots
 *	  records: length, checksum, type, payload; only ever appended
 *		  I		items: lines with time, stream and part; entries ready as JSON
 *		  C		a call: start_execution or set_execution_status
 *		  S		a seal: where a batch ends
 *
 * Everything read from the child is written here before anything else is done
 * with it, so that SIGKILL loses nothing that was read.  A batch is sealed
 * before it is sent: whoever sends it again, this process after a lost
 * connection or another one after its death, takes the same records and so
 * the same number, the place where they end, with the same producer key,
 * which makes it a no-op if the first was committed.  A crash at any byte
 * leaves one of these: a torn record at the end, which is cut off; a seal
 * without answer, which is sent again; or a torn slot, in whose place the
 * other one holds, which only makes more batches be sent again.  Calls have
 * no number, as they can be repeated.
 *
 * When power fails, a seal may be lost and its records not.  Were those sent
 * in another cut, they would come twice, but never be taken for done.  What
 * has been synced is sealed durably, so that this needs a second failure.
 *
 * When all is done the file is cut back to its header; when much is done,
 * but not all, what lies before is given back to the file system as a hole.
 * The file is locked while it is in use, and removed when it is empty at the
 * end.  Without a directory the same goes into memory, and dies with us.
 *
 * Written data reaches the disk when spool_sync() is called, which is done
 * about every second while the database is away.  spool_write.c has what is
 * done about a disk that is full.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "encode.h"
#include "port/pg_crc32c.h"
#include "spool_file.h"

#define HOLE_BYTES (4 * 1024 * 1024)	/* done, to be worth a hole */
#define CUT_BYTES (1024 * 1024) /* done, to be worth cutting the file back */
#define BATCH_BYTES (1024 * 1024)	/* a batch ends when it has so many */

uint32_t
spool_slot_crc(const SpoolSlot *slot)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, slot, offsetof(SpoolSlot, crc));
	FIN_CRC32C(crc);
	return crc;
}

/* Write down how far the database has it. */
bool
spool_write_slot(Spool *spool)
{
	SpoolSlot	slot = {
		.done = spool->done,
		.base = spool->base,
		.generation = ++spool->generation,
	};

	slot.crc = spool_slot_crc(&slot);
	return spool_write_at(spool->fd, &slot, sizeof(slot), SPOOL_SLOT_AT(spool->generation & 1));
}

/* ---- opening and closing ---- */

static Spool *
new_spool(int fd, const char *path)
{
	Spool	   *spool = xmalloc(sizeof(Spool));

	memset(spool, 0, sizeof(Spool));
	spool->fd = fd;
	spool->path = path ? xstrdup(path) : NULL;
	spool->limit = UINT64_MAX;
	spool->done = spool->sealed = spool->end = SPOOL_HEADER_SIZE;
	spool->done_before = spool->punched = spool->data_end = SPOOL_HEADER_SIZE;
	spool_begin_record(spool);
	return spool;
}

/*
 * Make a spool, in memory if directory is NULL.  NULL with errno on failure.
 */
Spool *
spool_create(const char *directory, const char *name, const char *producer_key,
			 const char *target, const char *execution, const char *node, uint64_t limit)
{
	Buffer		path = {0};
	Buffer		strings = {0};
	SpoolHead	head = {0};
	Spool	   *spool;
	int			fd;
	int			problem;

	if (directory)
	{
		buffer_printf(&path, "%s/%s" SPOOL_SUFFIX, directory, name);
		fd = open(path.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	else
		fd = spool_memory_file();
	if (fd < 0)
		return NULL;
	spool = new_spool(fd, path.data);
	buffer_free(&path);
	spool->limit = limit;
	spool->producer_key = xstrdup(producer_key);
	spool->target = xstrdup(target);
	spool->execution = xstrdup(execution);
	spool->node = xstrdup(node);

	buffer_append(&strings, producer_key, strlen(producer_key) + 1);
	buffer_append(&strings, target, strlen(target) + 1);
	buffer_append(&strings, execution, strlen(execution) + 1);
	buffer_append(&strings, node, strlen(node) + 1);
	memcpy(head.magic, SPOOL_MAGIC, sizeof(head.magic));
	head.order = SPOOL_ORDER;
	head.len = (uint32_t) strings.len;
	INIT_CRC32C(head.crc);
	COMP_CRC32C(head.crc, strings.data, strings.len);
	FIN_CRC32C(head.crc);
	if (strings.len > SPOOL_SLOT_AT(0) - sizeof(head))
		errno = E2BIG;
	else if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
			 ftruncate(fd, SPOOL_HEADER_SIZE) == 0 &&
			 spool_write_slot(spool) &&
			 spool_write_at(fd, strings.data, strings.len, sizeof(head)) &&
			 spool_write_at(fd, &head, sizeof(head), 0))
	{
		buffer_free(&strings);
		return spool;
	}
	problem = errno;
	buffer_free(&strings);
	spool_close(spool, true);
	errno = problem;
	return NULL;
}

/* The next batch is one that was sealed before, if there is any. */
static void
next_seal(Spool *spool)
{
	spool->sealed = spool->done;
	while (spool->sealed <= spool->done && spool->seals_taken < spool->seals.len)
	{
		memcpy(&spool->sealed, spool->seals.data + spool->seals_taken, 8);
		spool->seals_taken += 8;
	}
	spool->sealed = Max(spool->sealed, spool->done);
}

/* Take up what records there are behind "done". */
static void
find_end(Spool *spool)
{
	uint64_t	at = spool->done;
	SpoolRecord record;

	spool->data_end = spool->done;
	while (spool_read_record(spool, at, &record))
	{
		if (record.type == SPOOL_RECORD_SEAL && record.len == 8)
		{
			uint64_t	end;

			memcpy(&end, record.payload, 8);
			if (end > spool->done && end <= spool->data_end)
				buffer_append(&spool->seals, &end, 8);
		}
		else if (record.type != SPOOL_RECORD_SEAL)
		{
			spool->unsent_items++;
			spool->data_end = record.next;
		}
		at = record.next;
	}
	spool->end = at;
	next_seal(spool);
	if (!spool_tail_is_torn(spool, at))
		spool->damaged_at = at;
}

/*
 * Open a spool that somebody has left.  NULL with errno: EWOULDBLOCK if it is
 * in use, EINVAL if it is no spool.
 */
Spool *
spool_open(const char *path)
{
	int			fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;
	Spool	   *spool;
	int			problem;

	if (fd < 0)
		return NULL;
	spool = new_spool(fd, path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0)
	{
		if (status.st_nlink == 0)
			errno = ENOENT;		/* its owner has finished with it meanwhile */
		else if (!spool_read_header(spool))
			errno = EINVAL;
		else
		{
			find_end(spool);
			/*
			 * What is torn is cut off, for seals to come behind the rest; else the
			 * blocks that were allocated for them stay.
			 */
			if (spool->damaged_at != 0 || (uint64_t) status.st_size == spool->end ||
				ftruncate(fd, (off_t) spool->end) == 0)
			{
				spool->block.len = 0;
				return spool;
			}
		}
	}
	problem = errno;
	spool_close(spool, false);
	errno = problem;
	return NULL;
}

/* Close it, and remove the file if it is no longer needed. */
void
spool_close(Spool *spool, bool remove)
{
	if (spool->path && remove)
		unlink(spool->path);
	close(spool->fd);
	free(spool->path);
	free(spool->producer_key);
	free(spool->target);
	free(spool->execution);
	free(spool->node);
	buffer_free(&spool->gathered);
	buffer_free(&spool->waiting_call);
	buffer_free(&spool->block);
	buffer_free(&spool->seals);
	free(spool);
}

/* ---- sending ---- */

/* Does the database have everything? */
bool
spool_is_empty(const Spool *spool)
{
	return spool->done >= spool->data_end && spool->gathered_items == 0 &&
		spool->waiting_call.len == 0;
}

/* Number the batch that ends there, before it is sent. */
static bool
seal(Spool *spool, uint64_t end)
{
	Buffer		record = {0};
	bool		written;

	buffer_reserve(&record, SPOOL_RECORD_HEAD + 8);
	record.len = SPOOL_RECORD_HEAD;
	buffer_append(&record, &end, 8);
	written = spool_write_record(spool, SPOOL_RECORD_SEAL, &record);
	buffer_free(&record);
	if (written)
		spool->sealed = end;
	if (written && spool->synced)
		spool_sync(spool);
	return written;
}

/*
 * Give what is to be sent next: a call, or a batch of at least one record and
 * as many more as make up the lines that are asked for.  False if there is
 * nothing, or it cannot be numbered now.  What spool_done() was not called
 * for is given again.
 */
bool
spool_take(Spool *spool, SpoolWork *work, uint32_t most_lines)
{
	bool		sealed = spool->sealed > spool->done;
	uint64_t	at = spool->done;
	SpoolRecord record;

	work->is_call = false;
	work->bytes.len = 0;
	work->lines = 0;
	work->end = spool->done;
	while (at < (sealed ? spool->sealed : spool->end) && spool_read_record(spool, at, &record))
	{
		const char *next = record.payload;
		SpoolItem	item;

		at = record.next;
		if (record.type == SPOOL_RECORD_CALL)
		{
			if (work->lines > 0)
				break;
			work->is_call = true;
			buffer_append(&work->bytes, record.payload, record.len);
			work->end = at;
			return true;
		}
		if (record.type == SPOOL_RECORD_SEAL)
			continue;
		work->end = at;
		while (spool_next_item(&next, record.payload + record.len, &item))
		{
			spool_item_json(spool, &item, &work->bytes);
			work->lines++;
		}
		if (!sealed && (work->lines >= most_lines || work->bytes.len >= BATCH_BYTES))
			break;
	}
	if (work->lines == 0)
	{
		/* nothing but seals; or the file was changed beneath us */
		if (at < spool->data_end)
			spool->damaged_at = at;
		spool->data_end = spool->sealed = spool->done;
		spool->unsent_items = 0;
		return false;
	}
	if (!sealed && !seal(spool, work->end))
		return false;
	work->end = spool->sealed;
	work->number = (int64_t) (spool->base + spool->sealed);
	return true;
}

/* Cut the file back to its header; the database must have all that is in it. */
bool
spool_cut(Spool *spool)
{
	if (ftruncate(spool->fd, SPOOL_HEADER_SIZE) < 0)
		return false;
	spool->base += spool->end - SPOOL_HEADER_SIZE;
	spool->synced = false;
	spool->allocated = 0;
	spool->done = spool->sealed = spool->end = SPOOL_HEADER_SIZE;
	spool->done_before = spool->punched = spool->data_end = SPOOL_HEADER_SIZE;
	spool->block.len = 0;
	return spool_write_slot(spool);
}

/* Give what is done back to the file system. */
static void
give_back(Spool *spool)
{
	if (spool_is_empty(spool) && spool->end - SPOOL_HEADER_SIZE >= CUT_BYTES)
	{
		spool_cut(spool);
		return;
	}
#ifdef FALLOC_FL_PUNCH_HOLE
	/* only what both slots call done */
	if (spool->done_before - spool->punched >= HOLE_BYTES &&
		fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) spool->punched,
				  (off_t) (spool->done_before - spool->punched)) == 0)
		spool->punched = spool->done_before;
#endif
}

/* The database has it. */
void
spool_done(Spool *spool, const SpoolWork *work)
{
	uint64_t	items = work->is_call ? 1 : (uint64_t) work->lines;

	spool->unsent_items -= Min(items, spool->unsent_items);
	spool->done_before = spool->done;
	spool->done = work->end;
	next_seal(spool);
	if (spool->done >= spool->data_end)
		spool->unsent_items = 0;
	spool_write_slot(spool);
	give_back(spool);
}
