/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  What the launcher, its workers and the hooks on DDL tell each other.
 *
 * Everything in here is under control->lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LAUNCHER_H
#define WFLOG_LAUNCHER_H

#include "postmaster/bgworker.h"
#include "shared.h"

/* A database that none of our processes may be in, until the transaction ends. */
typedef struct Park
{
	Oid			database;
	pid_t		pid;			/* of the backend that needs it so */
} Park;

#define MAX_PARKS 128

/* A session that restores a dump, until it ends. */
typedef struct Restore
{
	Oid			database;
	pid_t		pid;
} Restore;

#define MAX_RESTORES 32

/* What has been committed in a database that the launcher should know. */
typedef struct Notice
{
	Oid			database;
	bool		dropped;		/* the extension: what its slot knows is void */
	bool		created;		/* after that, if both */
	bool		restart;		/* settings of the database have changed */
} Notice;

#define MAX_NOTICES 128

/* How a worker, a keeper or a probe has ended. */
typedef enum WorkerExit
{
	EXIT_FAILED,				/* did not come to say anything else */
	EXIT_STOPPED,				/* was asked to, by a signal */
	EXIT_PARKED,				/* its database is parked, or its slot not for it */
	EXIT_GONE,					/* the extension is not there */
	EXIT_FOUND					/* a probe's: the extension is there */
} WorkerExit;

typedef struct WorkerReport
{
	WorkerExit	exit;
	bool		at_once;		/* was stopped for a short time only */
	uint64		notices;		/* told of before it looked for the extension */
} WorkerReport;

typedef struct LauncherArea
{
	ConditionVariable left;		/* somebody has left a database */

	int			park_count;
	Park		parks[MAX_PARKS];

	int			restore_count;
	Restore		restores[MAX_RESTORES];

	uint64		notices;		/* told of so far */
	bool		notices_lost;
	bool		scan;			/* databases have come, gone or been renamed */
	int			notice_count;
	Notice		pending[MAX_NOTICES];

	bool		no_processes;	/* max_worker_processes does not suffice */

	Oid			probe_database;
	pid_t		probe_pid;
	WorkerReport probe;

	WorkerReport reports[FLEXIBLE_ARRAY_MEMBER];	/* by slot and WorkerKind */
} LauncherArea;

/* What a process of ours is started with, in bgw_extra. */
typedef struct WorkerOrder
{
	int			slot;			/* -1: a probe */
	uint32		generation;		/* of the slot */
	Oid			database;
} WorkerOrder;

StaticAssertDecl(sizeof(WorkerOrder) <= BGW_EXTRALEN, "an order fits");

/* ---- park.c ---- */

extern LauncherArea *launcher_area; /* NULL: not preloaded */

extern void wflog_park_init(void);	/* from _PG_init, when preloading */
extern WorkerReport *launcher_report(int slot, WorkerKind kind);
extern bool is_parked(Oid database);
extern void park_database(Oid database);
extern bool holds_parks(void);
extern void release_parks(void);
extern void note_restore(void);
extern bool restore_runs(Oid database);
extern void notify_launcher(const Notice *notice, bool scan);

/* ---- ddl_hooks.c ---- */

extern void wflog_ddl_hooks_init(void); /* from _PG_init, when preloading */

/* ---- launcher.c ---- */

extern void wflog_launcher_register(void);	/* from _PG_init, when preloading */

#endif							/* WFLOG_LAUNCHER_H */
