/*-------------------------------------------------------------------------
 *
 * spool_file.h
 *	  The bytes of a spool file; spool.c tells what they mean.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_SPOOL_FILE_H
#define WFLOG_SPOOL_FILE_H

#include "spool.h"

#define SPOOL_MAGIC "WFLOGSP1"
#define SPOOL_ORDER 0x01020304	/* tells a file of a machine with the other byte order */

/* At the front; "len" bytes of strings follow: producer key, target, and the
 * members of all logs, of the execution and of the node. */
typedef struct SpoolHead
{
	char		magic[8];
	uint32_t	order;
	uint32_t	len;
	uint32_t	crc;			/* of the strings */
} SpoolHead;

/* How far the database has it.  Two, written in turn, at the header's end. */
typedef struct SpoolSlot
{
	uint64_t	done;
	uint64_t	base;
	uint32_t	generation;
	uint32_t	crc;			/* of all before */
} SpoolSlot;

#define SPOOL_SLOT_AT(number) (SPOOL_HEADER_SIZE - 1024 + (number) * 512)

extern uint32_t spool_slot_crc(const SpoolSlot *slot);
extern bool spool_write_slot(Spool *spool);
extern bool spool_cut(Spool *spool);

/* spool_write.c, for spool.c */
extern bool spool_write_at(int fd, const void *bytes, size_t len, uint64_t at);
extern void spool_begin_record(Spool *spool);
extern bool spool_write_record(Spool *spool, SpoolRecordType type, Buffer *record);
extern int	spool_memory_file(void);

#endif							/* WFLOG_SPOOL_FILE_H */
