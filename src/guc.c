/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings, in alphabetical order.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <limits.h>

#include "fault.h"
#include "miscadmin.h"
#include "utils/guc.h"

int			wflog_audit_retention_days = 0;
int			wflog_maintenance_interval = 86400;
int			wflog_maintenance_lock_timeout = 50;
int			wflog_max_databases = 8;
int			wflog_max_entry_size = 10240;
int			wflog_notify = WFLOG_NOTIFY_ON;
int			wflog_notify_payload = WFLOG_PAYLOAD_FULL;
int			wflog_notify_scope = WFLOG_SCOPE_ASKED;
char	   *wflog_partition_interval = NULL;
int			wflog_partitions_ahead = 3;
int			wflog_queue_size = 2048;
int			wflog_retention_days = 30;

static const struct config_enum_entry notify_options[] = {
	{"off", WFLOG_NOTIFY_OFF, false},
	{"on", WFLOG_NOTIFY_ON, false},
	{"transaction", WFLOG_NOTIFY_TRANSACTION, false},
	{"false", WFLOG_NOTIFY_OFF, true},
	{"true", WFLOG_NOTIFY_ON, true},
	{"no", WFLOG_NOTIFY_OFF, true},
	{"yes", WFLOG_NOTIFY_ON, true},
	{"0", WFLOG_NOTIFY_OFF, true},
	{"1", WFLOG_NOTIFY_ON, true},
	{NULL, 0, false}
};

static const struct config_enum_entry notify_payload_options[] = {
	{"full", WFLOG_PAYLOAD_FULL, false},
	{"reference", WFLOG_PAYLOAD_REFERENCE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry notify_scope_options[] = {
	{"asked", WFLOG_SCOPE_ASKED, false},
	{"all", WFLOG_SCOPE_ALL, false},
	{NULL, 0, false}
};

/* Allow only the intervals that src/partitions.c can align. */
static bool
check_partition_interval(char **newval, void **extra, GucSource source)
{
	static const char *const allowed[] = {"hour", "day", "week", "month"};

	for (int i = 0; i < lengthof(allowed); i++)
		if (pg_strcasecmp(*newval, allowed[i]) == 0)
			return true;
	GUC_check_errdetail("Allowed are \"hour\", \"day\", \"week\" and \"month\".");
	return false;
}

/* Define the settings; a misspelt one under our prefix is an error after it. */
void
wflog_define_settings(void)
{
	/*
	 * What sizes shared memory is fixed at server start.  Where the library is
	 * not preloaded such settings cannot be defined as what they are, but they
	 * may stand in the configuration all the same.
	 */
	GucContext	at_start = process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;

	DefineCustomIntVariable("wflog.audit_retention_days",
							"How many days an ended execution and its audit trail are kept.",
							"0 keeps them for ever.",
							&wflog_audit_retention_days, 0, 0, 365000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.maintenance_interval",
							"How often maintenance runs in the background.",
							"0 leaves it to CALL wflog.maintain().",
							&wflog_maintenance_interval, 86400, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.maintenance_lock_timeout",
							"How long maintenance waits for a lock, and so may hold up a writer.",
							NULL,
							&wflog_maintenance_lock_timeout, 50, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.max_databases",
							"How many databases can have live notifications and roll-ups.",
							NULL,
							&wflog_max_databases, 8, 1, 1024,
							at_start, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.max_entry_size",
							"Largest size of a log's variable fields together; longer ones are cut.",
							NULL,
							&wflog_max_entry_size, 10240, 1024, 256 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomEnumVariable("wflog.notify",
							 "Whether logs are notified, and whether by the worker or by the writing transaction.",
							 NULL,
							 &wflog_notify, WFLOG_NOTIFY_ON, notify_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("wflog.notify_payload",
							 "Whether a notification carries the log or a reference to it.",
							 NULL,
							 &wflog_notify_payload, WFLOG_PAYLOAD_FULL, notify_payload_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("wflog.notify_scope",
							 "Which executions are notified: those whose channel has been asked for, or all.",
							 NULL,
							 &wflog_notify_scope, WFLOG_SCOPE_ASKED, notify_scope_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("wflog.partition_interval",
							   "Time span of a partition: hour, day, week or month.",
							   NULL,
							   &wflog_partition_interval, "day",
							   PGC_SUSET, 0, check_partition_interval, NULL, NULL);
	DefineCustomIntVariable("wflog.partitions_ahead",
							"How many partitions are made ahead of the present one.",
							NULL,
							&wflog_partitions_ahead, 3, 1, 100,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.queue_size",
							"Size of a database's commit queue.",
							"When it is full, the worker reads the table instead.",
							&wflog_queue_size, 2048, 16, 1024 * 1024,
							at_start, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.retention_days",
							"How many days logs are kept where no policy says otherwise.",
							NULL,
							&wflog_retention_days, 30, 1, 365000,
							PGC_SUSET, 0, NULL, NULL, NULL);
#ifdef WFLOG_FAULTS
	wflog_define_fault_setting();
#endif
	MarkGUCPrefixReserved("wflog");
}
