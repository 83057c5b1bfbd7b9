/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings, in alphabetical order.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include <limits.h>

#include "utils/guc.h"

int			wflog_audit_retention_days = 0;
int			wflog_maintenance_lock_timeout = 50;
int			wflog_max_entry_size = 10240;
char	   *wflog_partition_interval = NULL;
int			wflog_partitions_ahead = 3;
int			wflog_retention_days = 30;

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
	DefineCustomIntVariable("wflog.audit_retention_days",
							"How many days an ended execution and its audit trail are kept.",
							"0 keeps them for ever.",
							&wflog_audit_retention_days, 0, 0, 365000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.maintenance_lock_timeout",
							"How long maintenance waits for a lock, and so may hold up a writer.",
							NULL,
							&wflog_maintenance_lock_timeout, 50, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("wflog.max_entry_size",
							"Largest size of a log's variable fields together; longer ones are cut.",
							NULL,
							&wflog_max_entry_size, 10240, 1024, 256 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
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
	DefineCustomIntVariable("wflog.retention_days",
							"How many days logs are kept where no policy says otherwise.",
							NULL,
							&wflog_retention_days, 30, 1, 365000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("wflog");
}
