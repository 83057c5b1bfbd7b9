/*-------------------------------------------------------------------------
 *
 * spool.h
 *	  What "run" has captured and the database does not have yet, on disk.
 *
 * docs/command.md tells users of it; spool.c begins with the format.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_SPOOL_H
#define WFLOG_SPOOL_H

#include "buffer.h"
#include "lines.h"

#define SPOOL_SUFFIX ".spool"
#define SPOOL_BATCH_LINES 100	/* so many are worth a batch */
#define SPOOL_MEMORY_LIMIT (64 * 1024 * 1024)	/* of one that is in memory */

typedef struct Spool
{
	int			fd;
	char	   *path;			/* NULL: in memory only */
	char	   *producer_key;
	char	   *target;			/* which database it is for */
	char	   *execution;		/* JSON member that all its logs have */
	char	   *node;			/* those that all but the workflow's own have, a comma in front */

	/* writing */
	uint64_t	limit;			/* most bytes on disk that the database does not have */
	uint64_t	end;			/* of what is written */
	Buffer		gathered;		/* the next record, which begins with room for its head */
	uint32_t	gathered_items;
	Buffer		waiting_call;	/* a record, to come behind what has gathered */
	uint64_t	allocated;		/* the disk has blocks up to there */
	bool		giving_up;		/* whatever blocks there are may be used */
	uint64_t	lost_lines;		/* since the last one that found room */
	uint64_t	lost_total;
	int			write_error;	/* errno of the last write, 0 if it succeeded */

	/* sending; a batch's number is base + the place where it ends */
	uint64_t	done;			/* the database has everything before */
	uint64_t	sealed;			/* end of the batch that was given a number, or "done" */
	uint64_t	data_end;		/* of the last record that is no seal */
	uint64_t	base;			/* bytes that were cut off in all */
	Buffer		seals;			/* found at opening: ends of the batches behind "sealed" */
	size_t		seals_taken;	/* bytes of them */
	uint32_t	generation;		/* of the slot written last */
	uint64_t	done_before;	/* what the slot before that one says */
	uint64_t	punched;		/* given back to the file system before */
	uint64_t	unsent_items;	/* written, and not done; of a spool that was opened, at least */
	uint64_t	damaged_at;		/* a record that cannot be read and is not just torn; 0: none */
	bool		unsynced;
	bool		synced;			/* spool_sync() has been at work */

	Buffer		block;			/* what was read of the file last */
	uint64_t	block_at;
} Spool;

/* What the database is to be given next. */
typedef struct SpoolWork
{
	bool		is_call;
	Buffer		bytes;			/* JSON lines; or strings that end in NUL: a function, its arguments */
	int			lines;
	int64_t		number;			/* of a batch, for the producer key */
	uint64_t	end;
} SpoolWork;

/* Opening and closing; NULL with errno if it cannot be, or is in use. */
extern Spool *spool_create(const char *directory, const char *name, const char *producer_key,
						   const char *target, const char *execution, const char *node,
						   uint64_t limit);
extern Spool *spool_open(const char *path);
extern void spool_close(Spool *spool, bool remove);

/* Writing. */
extern void spool_add_line(Spool *spool, int64_t time, bool is_error_stream, LinePart part,
						   const char *text, size_t len);
extern void spool_add_entry(Spool *spool, int64_t time, bool of_workflow, const char *members,
							size_t len);
extern void spool_add_call(Spool *spool, const char *strings, size_t len);
extern void spool_write(Spool *spool);
extern void spool_give_up(Spool *spool);
extern void spool_sync(Spool *spool);

/* Sending. */
extern bool spool_is_empty(const Spool *spool);
extern bool spool_take(Spool *spool, SpoolWork *work, uint32_t most_lines);
extern void spool_done(Spool *spool, const SpoolWork *work);

/* spool_read.c, for spool.c: what the file holds */
typedef enum SpoolRecordType
{
	SPOOL_RECORD_ITEMS = 'I',
	SPOOL_RECORD_CALL = 'C',
	SPOOL_RECORD_SEAL = 'S'
} SpoolRecordType;

typedef struct SpoolRecord
{
	SpoolRecordType type;
	const char *payload;		/* until the next read */
	uint32_t	len;
	uint64_t	next;
} SpoolRecord;

typedef struct SpoolItem
{
	char		kind;			/* 'L': a line; 'E': members of an entry, 'W' of the workflow's */
	uint8_t		error_stream;
	uint8_t		part;
	int64_t		time;
	const char *bytes;
	uint32_t	len;
} SpoolItem;

#define SPOOL_HEADER_SIZE 16384
#define SPOOL_RECORD_HEAD 12
#define SPOOL_ITEM_HEAD 16
#define SPOOL_RECORD_MOST (16 * 1024 * 1024)

extern uint32_t spool_crc(uint64_t at, const char *head, const char *payload, uint32_t len);
extern bool spool_read_header(Spool *spool);
extern bool spool_read_record(Spool *spool, uint64_t at, SpoolRecord *record);
extern bool spool_next_item(const char **at, const char *end, SpoolItem *item);
extern void spool_item_json(const Spool *spool, const SpoolItem *item, Buffer *out);
extern bool spool_tail_is_torn(Spool *spool, uint64_t at);

#endif							/* WFLOG_SPOOL_H */
