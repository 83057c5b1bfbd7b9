/*-------------------------------------------------------------------------
 *
 * launcher_parts.h
 *	  What the parts of the launcher know together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LAUNCHER_PARTS_H
#define WFLOG_LAUNCHER_PARTS_H

#include "launcher.h"
#include "utils/hsearch.h"

/* Does a database have the extension? */
typedef enum HasExtension
{
	HAS_UNKNOWN,				/* to be probed */
	HAS_NOT,
	HAS
} HasExtension;

/* What is known of a database. */
typedef struct Database
{
	Oid			oid;			/* key */
	NameData	name;
	HasExtension has;
	bool		void_slot;		/* its slot must be taken back first */
	bool		told_no_slot;
	uint64		notices;		/* told of when something was last heard of it */
	uint32		scan;			/* in which it was last found */
	TimestampTz not_before;		/* of the next probe */
	int			failures;		/* of probes */
} Database;

/* ---- launcher.c ---- */

extern TimestampTz launcher_now;			/* of the turn at hand */

extern void launcher_wake_by(TimestampTz time);

/* ---- launcher_databases.c ---- */

extern HTAB *launcher_databases;			/* by OID */
extern uint32 launcher_scans;			/* of the list of databases so far */

extern void launcher_databases_init(void);
extern Database *know_database(Oid oid);
extern void scan_databases(void);
extern bool hear_notices(void);
extern void give_slots(void);

/* ---- launcher_processes.c ---- */

extern void launcher_processes_init(void);
extern void stop_processes(DatabaseSlot *slot, bool start_again_at_once);
extern void forget_failures(DatabaseSlot *slot);
extern void tend_slot(int number);
extern void tend_probe(void);
extern void tell_lack(void);

#endif							/* WFLOG_LAUNCHER_PARTS_H */
