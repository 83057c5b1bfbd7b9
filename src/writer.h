/*-------------------------------------------------------------------------
 *
 * writer.h
 *	  Declarations shared by the modules that write logs.
 *
 * fields.c turns what a caller names into a row, batch.c brings rows into the
 * table, and append.c and log.c are the two sources of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_WRITER_H
#define WFLOG_WRITER_H

#include "wflog.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

/* ---- fields.c ---- */

typedef enum WflogFieldType
{
	FIELD_TEXT,
	FIELD_UUID,
	FIELD_LEVEL,
	FIELD_EVENT_TYPE,
	FIELD_INTEGER,
	FIELD_PERCENTAGE,
	FIELD_BOOLEAN,
	FIELD_OBJECT,
	FIELD_TIME
} WflogFieldType;

/* A column that a writer may name. */
typedef struct WflogField
{
	const char *name;
	WflogLogColumn column;
	WflogFieldType type;
	int			max_chars;		/* 0 means no limit */
} WflogField;

/* One log in the making; its values live in the current memory context. */
typedef struct WflogRow
{
	const WflogField *field;	/* being set, for errors */
	Datum		values[WFLOG_LOG_COLUMNS];
	bool		nulls[WFLOG_LOG_COLUMNS];
} WflogRow;

extern const WflogField *wflog_find_field(const char *name, size_t len);
extern const WflogField *wflog_field_of(WflogLogColumn column);
extern void wflog_row_begin(WflogRow *row);
extern void wflog_row_set_null(WflogRow *row, const WflogField *field);
extern void wflog_row_set_string(WflogRow *row, const WflogField *field, const char *text, size_t len);
extern void wflog_row_set_number_text(WflogRow *row, const WflogField *field, const char *text, size_t len);
extern void wflog_row_set_numeric(WflogRow *row, const WflogField *field, Numeric number);
extern void wflog_row_set_boolean(WflogRow *row, const WflogField *field, bool value);
extern void wflog_row_set_object(WflogRow *row, const WflogField *field, Jsonb *object);
extern void wflog_row_set_datum(WflogRow *row, const WflogField *field, Datum value);
pg_noreturn extern void wflog_row_wrong_type(const WflogField *field, const char *text, size_t len);
extern void wflog_row_finish(WflogRow *row);

/* ---- batch.c ---- */

/* A source of rows. */
typedef struct WflogBatch
{
	/* Makes the next row, in a context of its own; false if there is none. */
	bool		(*next) (struct WflogBatch *batch, WflogRow *row);
	/* Says where that row is, for messages: "logs[3]." or "line 4: ". */
	void		(*describe) (struct WflogBatch *batch, StringInfo where, bool with_field);
	int64		position;		/* of the row being made, from 0 */
	int64		chunk_start;	/* position of the chunk's first row */
	int64		bytes;			/* that the chunk's rows have taken, roughly */
	bool		done;
	MemoryContext row_context;
	struct ErrorContextCallback *caller;	/* contexts of whoever called us */
} WflogBatch;

extern int64 wflog_insert_batch(WflogBatch *batch);

/* ---- producer.c ---- */

/* A producer's name for a batch. */
typedef struct WflogProducer
{
	bool		given;
	Datum		key;
	int64		sequence;
	int64		expected;		/* the result that is on record */
} WflogProducer;

extern void wflog_producer_init(WflogProducer *producer, FunctionCallInfo fcinfo, int argument);
extern bool wflog_producer_claim(WflogProducer *producer, int64 expected, int64 *result);
extern void wflog_producer_settle(WflogProducer *producer, int64 result);

#endif							/* WFLOG_WRITER_H */
