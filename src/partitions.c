/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  The leaves of workflow_execution_logs_rows: their ranges, finding them,
 *	  and which ones are to be made.
 *
 * All bounds are UTC.  Nothing is locked here; see make_leaf.c.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "maintain.h"

/* ---- intervals ---- */

/* Midnight that begins the day of a Julian day number. */
static TimestampTz
julian_start(int julian_day)
{
	return (TimestampTz) (julian_day - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
}

/* The largest multiple of 'unit' above 'origin' that is not after 'time'. */
static TimestampTz
floor_time(TimestampTz time, TimestampTz origin, int64 unit)
{
	int64		rest = (time - origin) % unit;

	return time - rest - (rest < 0 ? unit : 0);
}

/* Start of the interval that 'time' is in, or of the one after it. */
static TimestampTz
interval_start(TimestampTz time, bool next)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int64		unit;

	switch (pg_tolower((unsigned char) wflog_partition_interval[0]))
	{
		case 'h':
			unit = USECS_PER_HOUR;
			break;
		case 'd':
			unit = USECS_PER_DAY;
			break;
		case 'w':
			unit = 7 * USECS_PER_DAY;
			break;
		default:
			if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						 errmsg("timestamp out of range")));
			if (next && ++tm.tm_mon > MONTHS_PER_YEAR)
			{
				tm.tm_mon = 1;
				tm.tm_year++;
			}
			return julian_start(date2j(tm.tm_year, tm.tm_mon, 1));
	}

	/* 2000-01-03 was a Monday. */
	return floor_time(time, unit == 7 * USECS_PER_DAY ? 2 * USECS_PER_DAY : 0, unit) +
		(next ? unit : 0);
}

/* A bound as text that reads the same whatever the session's settings. */
char *
wflog_bound(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fsec, false, 0, NULL, USE_ISO_DATES, text);
	return psprintf("'%s+00'", text);
}

/* ---- finding leaves ---- */

/* A bound of a partition; 'unbounded' where it has none. */
static TimestampTz
datum_bound(List *datums, TimestampTz unbounded)
{
	PartitionRangeDatum *datum = linitial_node(PartitionRangeDatum, datums);

	if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
		return datum->kind == PARTITION_RANGE_DATUM_MINVALUE ? DT_NOBEGIN : DT_NOEND;
	if (castNode(Const, datum->value)->constisnull)
		return unbounded;
	return DatumGetTimestampTz(castNode(Const, datum->value)->constvalue);
}

static int
compare_leaves(const ListCell *a, const ListCell *b)
{
	const WflogLeaf *left = lfirst(a);
	const WflogLeaf *right = lfirst(b);

	if (left->is_default != right->is_default)
		return left->is_default ? 1 : -1;
	return left->from < right->from ? -1 : left->from > right->from;
}

/*
 * All leaves, by their range, the default leaf last.  Allocated in the
 * current context.  Takes no lock: who works on one must check that it is
 * still there.
 */
List *
wflog_leaves(void)
{
	List	   *leaves = NIL;
	ListCell   *cell;

	foreach(cell, find_inheritance_children(wflog_table_oid(WFLOG_LOG_ROWS), NoLock))
	{
		Oid			relid = lfirst_oid(cell);
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
		Form_pg_class form;
		Datum		partbound;
		bool		isnull;

		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_class) GETSTRUCT(tuple);
		partbound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
		if (!isnull)
		{
			PartitionBoundSpec *spec = stringToNode(TextDatumGetCString(partbound));
			WflogLeaf  *leaf = palloc(sizeof(WflogLeaf));

			leaf->relid = relid;
			leaf->name = quote_qualified_identifier(get_namespace_name(form->relnamespace),
													NameStr(form->relname));
			leaf->is_default = spec->is_default;
			leaf->is_table = form->relkind == RELKIND_RELATION;
			leaf->from = spec->is_default ? DT_NOBEGIN : datum_bound(spec->lowerdatums, DT_NOBEGIN);
			leaf->to = spec->is_default ? DT_NOEND : datum_bound(spec->upperdatums, DT_NOEND);
			leaves = lappend(leaves, leaf);
		}
		ReleaseSysCache(tuple);
	}
	list_sort(leaves, compare_leaves);
	return leaves;
}

/* ---- which leaves to make ---- */

/* Intervals that the default leaf has rows of. */
typedef struct Wanted
{
	TimestampTz limit;			/* later ones stay where they are */
	TimestampTz *starts;
	uint64		count;
} Wanted;

typedef struct Range
{
	TimestampTz from;
	TimestampTz to;
	bool		has_rows;		/* the default leaf has rows of it */
} Range;

/* List the intervals that the default leaf has rows of. */
static void
find_stray_intervals(WflogRun *run, void *arg)
{
	Wanted	   *wanted = arg;
	Oid			types[] = {TEXTOID, TIMESTAMPTZOID};
	Datum		values[] = {CStringGetTextDatum(wflog_partition_interval),
	TimestampTzGetDatum(wanted->limit)};

	wanted->count = wflog_query(
		"SELECT DISTINCT date_trunc($1, created_at, 'UTC') FROM wflog.workflow_execution_logs_default "
		"WHERE isfinite(created_at) AND created_at < $2 ORDER BY 1", 2, types, values);
	wanted->starts = MemoryContextAlloc(run->memory, sizeof(TimestampTz) * (wanted->count + 1));
	for (uint64 i = 0; i < wanted->count; i++)
		wanted->starts[i] = DatumGetTimestampTz(wflog_result(i, 1, NULL));
}

/* Whether the default leaf has rows of a range. */
static void
probe_range(WflogRun *run, void *arg)
{
	Range	   *range = arg;
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(range->from), TimestampTzGetDatum(range->to)};

	range->has_rows = wflog_query(
		"SELECT FROM wflog.workflow_execution_logs_default "
		"WHERE created_at >= $1 AND created_at < $2 LIMIT 1", 2, types, values) > 0;
}

/*
 * Make the leaves of one interval: what of it no leaf has yet, in as many
 * pieces as leaves of another interval setting leave.  Of a past interval,
 * only pieces that rows are waiting for.  Returns false if that failed.
 */
static bool
fill_interval(WflogRun *run, TimestampTz from, TimestampTz to, bool only_with_rows)
{
	List	   *leaves = wflog_leaves();
	ListCell   *cell;

	foreach(cell, leaves)
	{
		WflogLeaf  *leaf = lfirst(cell);
		Range		range = {from, Min(leaf->from, to), true};
		WflogNewLeaf new_leaf = {0};

		/* The default leaf comes last and stands for the end. */
		if (leaf->is_default)
			range.to = to;
		if (range.from < range.to && only_with_rows &&
			!wflog_attempt(run, probe_range, &range, "read the default partition"))
			return false;
		if (range.from < range.to && range.has_rows)
		{
			new_leaf.from = range.from;
			new_leaf.to = range.to;
			if (!wflog_attempt(run, wflog_make_leaf, &new_leaf,
							   psprintf("make the partition from %s", wflog_bound(range.from))))
				return false;
			run->leaves_made = true;
		}
		from = Max(from, range.to);
		if (!leaf->is_default)
			from = Max(from, leaf->to);
	}
	return true;
}

/*
 * Give the rows of the default leaf leaves of their own, and make leaves from
 * now to wflog.partitions_ahead intervals ahead.  Rows farther in the future
 * stay in the default leaf.
 *
 * Each leaf is a transaction.  When one cannot be attached because writers of
 * the default leaf do not end, the others could not either: returns false.
 */
bool
wflog_create_leaves(WflogRun *run)
{
	TimestampTz present = interval_start(run->now, false);
	TimestampTz end = present;
	Wanted		wanted = {0};

	for (int i = 0; i <= wflog_partitions_ahead; i++)
		end = interval_start(end, true);
	wanted.limit = end;

	/* Rows of the present first: their writers are the ones at work. */
	for (TimestampTz from = present; from < end; from = interval_start(from, true))
		if (!fill_interval(run, from, interval_start(from, true), false))
			return false;

	if (!wflog_attempt(run, find_stray_intervals, &wanted, "read the default partition"))
		return false;
	for (uint64 i = 0; i < wanted.count; i++)
		if (!fill_interval(run, wanted.starts[i], interval_start(wanted.starts[i], true), true))
			return false;
	return true;
}
