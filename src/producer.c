/*-------------------------------------------------------------------------
 *
 * producer.c
 *	  Makes a producer's repeated batch a no-op.
 *
 * A producer that numbers its batches can send one again when it does not
 * know whether the first try was committed.  The batch's row in
 * producer_batches goes in before the logs and in their transaction, so a
 * second try waits on the primary key while the first is under way: if that
 * commits, its result is the answer, and if it is rolled back, the second
 * goes on.  In REPEATABLE READ and above, a first try that commits behind the
 * second's snapshot is answered with 40001, as any such conflict.
 *
 * Numbers need not come in order, and none is refused for being old: the rows
 * stay as long as logs do.
 *
 *-------------------------------------------------------------------------
 */
#include "writer.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define MAX_PRODUCER_KEY 255	/* characters */

static const char claim_query[] =
"INSERT INTO wflog.producer_batches (producer_key, sequence, result) VALUES ($1, $2, $3) "
"ON CONFLICT DO NOTHING";
static const char result_query[] =
"SELECT result FROM wflog.producer_batches "
"WHERE producer_key OPERATOR(pg_catalog.=) $1 AND sequence OPERATOR(pg_catalog.=) $2";
static const char settle_query[] =
"UPDATE wflog.producer_batches SET result = $3 "
"WHERE producer_key OPERATOR(pg_catalog.=) $1 AND sequence OPERATOR(pg_catalog.=) $2";

/* Run one of the queries, whose plan is kept, and return SPI's answer. */
static int
run(SPIPlanPtr *plan, const char *query, const WflogProducer *producer, int64 result)
{
	Oid			types[3] = {TEXTOID, INT8OID, INT8OID};
	Datum		values[3] = {producer->key, Int64GetDatum(producer->sequence), Int64GetDatum(result)};

	if (*plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(query, 3, types);

		if (prepared == NULL)
			elog(ERROR, "could not prepare a query on producers' batches: %s",
				 SPI_result_code_string(SPI_result));
		SPI_keepplan(prepared);
		*plan = prepared;
	}
	return SPI_execute_plan(*plan, values, NULL, false, 0);
}

/*
 * Take producer_key and sequence from a function's arguments, the first of
 * which has the given number.  22023 if only one is there or out of range.
 */
void
wflog_producer_init(WflogProducer *producer, FunctionCallInfo fcinfo, int argument)
{
	text	   *key;
	int			chars;

	if (PG_ARGISNULL(argument) != PG_ARGISNULL(argument + 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is missing", PG_ARGISNULL(argument) ? "producer_key" : "sequence"),
				 errhint("Give both producer_key and sequence, or neither.")));
	producer->given = !PG_ARGISNULL(argument);
	if (!producer->given)
		return;

	key = PG_GETARG_TEXT_PP(argument);
	chars = pg_mbstrlen_with_len(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	if (chars < 1 || chars > MAX_PRODUCER_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("producer_key must have 1 to %d characters, not %d", MAX_PRODUCER_KEY, chars)));
	producer->key = PointerGetDatum(key);
	producer->sequence = PG_GETARG_INT64(argument + 1);
	if (producer->sequence < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sequence must be at least 0, not " INT64_FORMAT, producer->sequence)));
}

/*
 * Put the batch on record with the result it should have.  False if it is on
 * record already: *result is then what it was answered with.  Waits while
 * another transaction is about the same batch.  The caller has connected to
 * SPI.
 */
bool
wflog_producer_claim(WflogProducer *producer, int64 expected, int64 *result)
{
	static SPIPlanPtr claim_plan = NULL;
	static SPIPlanPtr result_plan = NULL;

	if (!producer->given)
		return true;
	producer->expected = expected;
	for (;;)
	{
		bool		isnull;

		if (run(&claim_plan, claim_query, producer, expected) == SPI_OK_INSERT && SPI_processed == 1)
			return true;
		if (run(&result_plan, result_query, producer, expected) == SPI_OK_SELECT && SPI_processed == 1)
		{
			*result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
			return false;
		}
		/* retention removed it in between */
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Record the result if it is not the expected one, as when a trigger of the
 * user's leaves out rows.
 */
void
wflog_producer_settle(WflogProducer *producer, int64 result)
{
	static SPIPlanPtr plan = NULL;

	if (!producer->given || result == producer->expected)
		return;
	if (run(&plan, settle_query, producer, result) != SPI_OK_UPDATE || SPI_processed != 1)
		elog(ERROR, "could not record the result of a producer's batch");
}
