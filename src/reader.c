/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  What the reading functions share: arguments and access.
 *
 * Access is checked once per call and not per row.  An execution that does
 * not exist and one the asker may not read are answered alike.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "reader.h"
#include "utils/builtins.h"

/* A text argument as a C string; NULL if it is null. */
char *
text_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* A boolean argument. */
bool
bool_arg(FunctionCallInfo fcinfo, int arg, bool unset)
{
	return PG_ARGISNULL(arg) ? unset : PG_GETARG_BOOL(arg);
}

/* The argument max_rows; unset if it is null. */
int
row_limit_arg(FunctionCallInfo fcinfo, int arg, int unset, int max)
{
	int32		value;

	if (PG_ARGISNULL(arg))
		return unset;
	value = PG_GETARG_INT32(arg);
	if (value < 1 || value > max)
	{
		if (max == PG_INT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max_rows must be at least 1, not %d", value)));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be between 1 and %d, not %d", max, value)));
	}
	return value;
}

/* The argument skip. */
int64
skip_arg(FunctionCallInfo fcinfo, int arg)
{
	int64		value = PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT64(arg);

	if (value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("skip must not be negative, but is " INT64_FORMAT, value)));
	return value;
}

/*
 * The execution named by an argument, if the asker may read it.  One that is
 * not registered can be read by who sees all.  22023 for an id that none can
 * have.
 */
bool
find_readable_execution(FunctionCallInfo fcinfo, int arg, ReadableExecution *execution)
{
	text	   *id;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("execution_id must not be null")));
	id = PG_GETARG_TEXT_PP(arg);
	wflog_check_execution_id(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	execution->key = execution_key(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	execution->registered = wflog_lookup_execution(execution->key.id, execution->key.len,
												   &execution->row);
	if (!execution->registered)
		return wflog_sees_all();
	return wflog_may_read_workflow(execution->row.workflow_id, strlen(execution->row.workflow_id));
}

/* Raise P0002. */
void
no_such_execution(const char *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("execution \"%s\" does not exist", id)));
}

/*
 * The same, but P0002 if the asker may not read it, or if there is neither a
 * registration nor a log of it.
 */
void
require_execution(FunctionCallInfo fcinfo, int arg, ReadableExecution *execution)
{
	LogScan    *scan;
	bool		has_logs;

	if (!find_readable_execution(fcinfo, arg, execution))
		no_such_execution(text_arg(fcinfo, arg));
	if (execution->registered)
		return;
	scan = log_scan_begin(&execution->key, log_filter_all(), ForwardScanDirection, NULL, NULL);
	has_logs = log_scan_next(scan) != NULL;
	log_scan_end(scan);
	if (!has_logs)
		no_such_execution(text_arg(fcinfo, arg));
}

/* The workflow named by an argument; P0002 if the asker may not read it. */
char *
require_workflow(FunctionCallInfo fcinfo, int arg)
{
	char	   *id = text_arg(fcinfo, arg);
	char	   *owner;

	if (id == NULL || id[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow_id must not be %s", id ? "empty" : "null")));
	if (!wflog_may_read_workflow(id, strlen(id)) ||
		!wflog_lookup_workflow_owner(id, strlen(id), &owner))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("workflow \"%s\" does not exist", id)));
	return id;
}
