/*-------------------------------------------------------------------------
 *
 * maintain.c
 *	  Maintenance: the procedure maintain() and the frame its steps run in.
 *
 * A run goes through these steps, each idempotent:
 *
 *	1. mend.c: logs that were loaded with triggers disabled are stamped anew, and
 *	   leaves are listed that roll-ups can rely on;
 *	2. make_leaf.c: leaves that lack an index or row level security get it;
 *	3. retention.c: rows of the default leaf that are due are deleted;
 *	4. partitions.c: what is left there moves to leaves of its own, and leaves
 *	   are made ahead of time;
 *	5. retention.c: policies shorter than the others delete rows in leaves,
 *	   and old producer batches go;
 *	6. retention.c: leaves in which everything is due are emptied and dropped;
 *	7. rollup_leaves.c: roll-ups of leaves and executions that are gone go;
 *	8. audit_retention.c: old executions without logs and their trails go;
 *	9. the partitioned table is analyzed, which autovacuum never does.
 *
 * Locking.  No writer waits longer than wflog.maintenance_lock_timeout for
 * maintenance that waits itself: whatever takes a lock that conflicts with
 * writers does so under lock_timeout, in a subtransaction which is rolled
 * back, and tried again after a pause, when the lock is not to be had.  After
 * a few attempts the matter is left for the next run; that is reported and
 * not an error.  Outside a transaction block each step is a transaction of its
 * own, so that its locks are short; in a transaction block the locks stay
 * until the caller's end.  What is done under a lock takes milliseconds, but
 * for three cases: attaching a leaf while the default leaf is large (see
 * make_leaf.c), building an index that a leaf lacks, which stops that leaf's
 * writers, and reading the extents of a due leaf, which stops those who would
 * still write logs that old.
 *
 * Two runs never work at the same time: a lock on the extension keeps the
 * second out.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/vacuum.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "execution.h"
#include "maintain.h"
#include "rollup.h"

PG_FUNCTION_INFO_V1(wflog_maintain_procedure);

/*
 * Sub-object of the extension that stands for a run of maintenance.  Nothing
 * else has it, and no user can lock it, as with an advisory lock's key.
 */
#define LOCK_MAINTENANCE 1

/* Attempts at a step, and the pause after the first; it doubles each time. */
#define MAX_ATTEMPTS 4
#define FIRST_PAUSE_MS 50

/* Whether an error is one that a later attempt may well not meet. */
static bool
is_transient(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		sqlerrcode == ERRCODE_UNDEFINED_TABLE ||
		sqlerrcode == ERRCODE_UNDEFINED_OBJECT;
}

/* Whether an error concerns this one step alone and the run may go on. */
static bool
is_local(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST ||
		sqlerrcode == ERRCODE_OBJECT_IN_USE ||
		sqlerrcode == ERRCODE_CHECK_VIOLATION ||
		sqlerrcode == ERRCODE_INVALID_TABLE_DEFINITION ||
		sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED;
}

/* Set a setting until the caller is himself again. */
void
wflog_pin_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Work as the owner of the logs, with the settings that our SQL is written
 * for, until wflog_become_caller(); after an error the end of the
 * (sub)transaction restores everything.
 */
void
wflog_enter_owner(WflogCaller *caller)
{
	char		timeout[16];

	wflog_become_owner(caller);
	pg_snprintf(timeout, sizeof(timeout), "%d", wflog_maintenance_lock_timeout);
	wflog_pin_setting("lock_timeout", timeout);
	wflog_pin_setting("timezone", "UTC");
	wflog_pin_setting("datestyle", "ISO, YMD");
	wflog_pin_setting("default_tablespace", "");
	wflog_pin_setting("jit", "off");

	/*
	 * Our queries that order want the index that does.  Taking the columns of
	 * a key for independent, the planner expects too few rows to care.
	 */
	wflog_pin_setting("enable_sort", "off");
}

/* End the transaction and begin another, unless it is somebody else's. */
void
wflog_commit(WflogRun *run)
{
	if (!run->atomic && GetCurrentTransactionNestLevel() == 1)
		SPI_commit();
}

/* Sleep, but hear interrupts. */
static void
pause_for(long milliseconds)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);

	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/*
 * Run a step once in a subtransaction.  Returns NULL on success, else the
 * error, rolled back, if the run may go on after it; other errors are thrown.
 */
static ErrorData *
attempt_once(WflogRun *run, WflogStep step, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		WflogCaller caller;

		wflog_enter_owner(&caller);
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");

		/* a statement of somebody's has a snapshot, a background worker none */
		if (ActivePortal == NULL)
			PushActiveSnapshot(GetTransactionSnapshot());
		step(run, arg);
		if (ActivePortal == NULL)
			PopActiveSnapshot();
		if (SPI_finish() != SPI_OK_FINISH)
			elog(ERROR, "SPI_finish failed");
		wflog_become_caller(&caller);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(run->memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!is_transient(error->sqlerrcode) && !is_local(error->sqlerrcode))
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Run a step as the owner of the logs and under the lock timeout, several
 * times if need be.  Returns NULL, or the error that the last attempt met;
 * then nothing of the step has happened.
 */
ErrorData *
wflog_retry(WflogRun *run, WflogStep step, void *arg)
{
	long		pause = FIRST_PAUSE_MS;

	for (int attempt = 1;; attempt++)
	{
		ErrorData  *error = attempt_once(run, step, arg);

		if (error == NULL || !is_transient(error->sqlerrcode) || attempt == MAX_ATTEMPTS)
			return error;
		FreeErrorData(error);
		wflog_commit(run);
		pause_for(pause);
		pause *= 2;
	}
}

/*
 * Run a step like wflog_retry() and commit.  Returns false, having said why,
 * if it could not be done: 'what' completes "could not ...".
 */
bool
wflog_attempt(WflogRun *run, WflogStep step, void *arg, const char *what)
{
	ErrorData  *error = wflog_retry(run, step, arg);

	if (error != NULL)
	{
		run->left++;
		ereport(run->report_level,
				(errcode(error->sqlerrcode),
				 errmsg("could not %s", what),
				 errdetail_internal("%s", error->message),
				 errhint("It is left for the next run of maintenance.")));
		FreeErrorData(error);
	}
	wflog_commit(run);
	return error == NULL;
}

/*
 * Run a prepared statement within a step.  It sees all that is committed
 * whatever the isolation level, as what it must see may have been committed
 * while we waited for a lock.  Returns the number of rows; the rows are in
 * SPI_tuptable.
 */
uint64
wflog_run_plan(SPIPlanPtr plan, Datum *values)
{
	int			result = SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(),
											  InvalidSnapshot, false, true, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* Run one statement within a step, as wflog_run_plan() does. */
uint64
wflog_query(const char *sql, int nargs, Oid *types, Datum *values)
{
	SPIPlanPtr	plan;
	uint64		rows;

	PushActiveSnapshot(GetLatestSnapshot());
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	rows = wflog_run_plan(plan, values);
	SPI_freeplan(plan);
	PopActiveSnapshot();
	return rows;
}

/* Run one statement without parameters, built like sprintf() does. */
uint64
wflog_command(const char *format,...)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&sql, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&sql, needed);
	}
	return wflog_query(sql.data, 0, NULL, NULL);
}

/* A column of a row that the last wflog_query() returned, from 1. */
Datum
wflog_result(uint64 row, int column, bool *isnull)
{
	bool		null;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &null);

	if (isnull != NULL)
		*isnull = null;
	return value;
}

/*
 * Collect statistics for the partitioned table.  Given the OID, vacuum()
 * samples the tree as a whole and leaves the leaves to autovacuum.  That is
 * some 30,000 pages with the usual default_statistics_target: seconds, if they
 * come from a disk, so a run at somebody's request does it only if there are
 * new leaves, of which the planner would know nothing.  It waits for nobody.
 */
static void
analyze_parent(WflogRun *run, void *arg)
{
	VacuumRelation *relation = makeVacuumRelation(NULL, wflog_table_oid(WFLOG_LOGS), NIL);
	VacuumParams params;

	memset(&params, 0, sizeof(params));
	params.options = VACOPT_ANALYZE | VACOPT_SKIP_LOCKED;
	params.freeze_min_age = -1;
	params.freeze_table_age = -1;
	params.multixact_freeze_min_age = -1;
	params.multixact_freeze_table_age = -1;
	params.log_min_duration = -1;

	PushActiveSnapshot(GetLatestSnapshot());
	wflog_vacuum(list_make1(relation), &params);
	PopActiveSnapshot();
}

/* Remove one batch of audit trails that are past their time. */
static void
purge_audit(WflogRun *run, void *arg)
{
	*(int64 *) arg = wflog_purge_audit(wflog_audit_retention_days, WFLOG_DELETE_BATCH);
}

/* The steps, in their order. */
static void
run_steps(WflogRun *run)
{
	wflog_mend_loaded(run);
	wflog_complete_leaves(run);
	wflog_delete_due(run, true);
	wflog_create_leaves(run);
	wflog_delete_due(run, false);
	wflog_expire_batches(run);
	wflog_drop_due(run);
	(void) wflog_attempt(run, rollup_sweep, NULL, "clear up after roll-ups");

	/* Trails stay as long as there are logs, so these come after the logs. */
	if (wflog_audit_retention_days > 0)
	{
		int64		purged = 0;

		while (wflog_attempt(run, purge_audit, &purged, "remove old audit trails") &&
			   purged >= WFLOG_DELETE_BATCH)
			CHECK_FOR_INTERRUPTS();
	}

	/* in the background always: nobody else does it */
	if ((run->leaves_made || run->report_level == LOG) && !run->atomic)
		(void) wflog_attempt(run, analyze_parent, NULL, "analyze the logs");
}

/*
 * Prepare a run: who works, since when, and what is kept for how long.
 * retention_days is what to put in place of the default policy and of
 * wflog.retention_days, or 0.  The run's memory is a child of the current
 * context, which must outlive the transactions of the run.
 */
void
wflog_begin_run(WflogRun *run, int retention_days, bool atomic, int report_level)
{
	memset(run, 0, sizeof(WflogRun));
	run->atomic = atomic;
	run->report_level = report_level;
	run->now = GetCurrentTimestamp();
	run->memory = AllocSetContextCreate(CurrentMemoryContext, "wflog maintenance",
										ALLOCSET_DEFAULT_SIZES);
	wflog_read_policies(run, retention_days);
}

/*
 * Do all that is to be done now.  SPI must be connected, with
 * SPI_OPT_NONATOMIC unless 'atomic'.
 *
 * Returns how many steps are left for the next run.  If another run is active,
 * says so and returns -1.
 */
int
wflog_maintain(int retention_days, bool atomic, int report_level)
{
	WflogRun	run;
	LOCKTAG		tag;

	/* Of the session, as transactions end in between, or of the transaction. */
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, get_extension_oid("wflog", false),
					   LOCK_MAINTENANCE);
	if (LockAcquire(&tag, ExclusiveLock, !atomic, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		ereport(report_level,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another maintenance run is active")));
		return -1;
	}

	PG_TRY();
	{
		wflog_begin_run(&run, retention_days, atomic, report_level);
		run_steps(&run);
		MemoryContextDelete(run.memory);
	}
	PG_FINALLY();
	{
		if (!atomic)
			LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
	return run.left;
}

/*
 * Check who asks for maintenance or its preview, and return the argument
 * retention_days, 0 for NULL.
 */
int
wflog_maintenance_argument(FunctionCallInfo fcinfo)
{
	if (!wflog_may_administer())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for maintenance"),
				 errdetail("Only members of wflog_admin may run or preview it.")));
	if (PG_ARGISNULL(0))
		return 0;
	if (PG_GETARG_INT32(0) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retention_days %d is out of range", PG_GETARG_INT32(0)),
				 errdetail("It must be at least 1.")));
	return PG_GETARG_INT32(0);
}

/*
 * maintain(retention_days): all maintenance, at once.
 *
 * Errors: 42501 without wflog_admin, 22023 for a retention_days below 1,
 * 25006 on a standby and in a read-only transaction.
 */
Datum
wflog_maintain_procedure(PG_FUNCTION_ARGS)
{
	bool		atomic = !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic;
	int			retention_days;

	PreventCommandDuringRecovery("CALL wflog.maintain()");
	PreventCommandIfReadOnly("CALL wflog.maintain()");
	retention_days = wflog_maintenance_argument(fcinfo);
	if (creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("maintenance cannot run in an extension's script"),
				 errdetail("The partitions would become members of that extension.")));

	if (SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	wflog_maintain(retention_days, atomic, NOTICE);
	SPI_finish();
	PG_RETURN_VOID();
}
