/*-------------------------------------------------------------------------
 *
 * append.c
 *	  wflog.append(), wflog.append_lines() and wflog.unescape().
 *
 * Both take all logs or none.  An error names the log's place, the field, the
 * value and the rule: "logs[3].step_number must be ..." counts from 0 as JSON
 * paths do, "line 4: step_number must be ..." from 1 as editors do.
 *
 *-------------------------------------------------------------------------
 */
#include "writer.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "ndjson.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(wflog_append);
PG_FUNCTION_INFO_V1(wflog_append_lines);
PG_FUNCTION_INFO_V1(wflog_unescape);

#define KEY_EXCERPT_BYTES 64

/* The logs of a JSON array. */
typedef struct ArrayBatch
{
	WflogBatch	base;
	JsonbIterator *elements;
} ArrayBatch;

/* The logs of a text of lines. */
typedef struct LinesBatch
{
	WflogBatch	base;
	const char *at;
	const char *end;
	int64		line;			/* number of the line before "at" */
	NdjsonReader reader;
} LinesBatch;

/* Refuse a key that names no column. */
static void
unknown_key(const char *key, size_t len)
{
	size_t		shown = len <= KEY_EXCERPT_BYTES ? len : pg_mbcliplen(key, len, KEY_EXCERPT_BYTES);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%.*s%s\" is no field of a log", (int) shown, key, shown < len ? "..." : ""),
			 errhint("Fields are the columns of workflow_execution_logs up to span_id; "
					 "anything else belongs in \"data\".")));
}

/* ---- a JSON array ---- */

static void
describe_element(WflogBatch *batch, StringInfo where, bool with_field)
{
	appendStringInfo(where, "logs[" INT64_FORMAT "]%s", batch->position, with_field ? "." : ": ");
}

/* Set a field from a value of the element's object. */
static void
set_element_field(WflogRow *row, const WflogField *field, JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			wflog_row_set_null(row, field);
			break;
		case jbvString:
			wflog_row_set_string(row, field, value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			wflog_row_set_numeric(row, field, value->val.numeric);
			break;
		case jbvBool:
			wflog_row_set_boolean(row, field, value->val.boolean);
			break;
		case jbvBinary:
			wflog_row_set_object(row, field, JsonbValueToJsonb(value));
			break;
		default:
			elog(ERROR, "unexpected type of a value in jsonb: %d", (int) value->type);
	}
}

/* Make a row of the next element. */
static bool
next_element(WflogBatch *base, WflogRow *row)
{
	ArrayBatch *batch = (ArrayBatch *) base;
	JsonbValue	element;
	JsonbValue	key;
	JsonbValue	value;
	JsonbIterator *pairs;
	JsonbIteratorToken token;

	if (JsonbIteratorNext(&batch->elements, &element, true) != WJB_ELEM)
		return false;
	if (element.type != jbvBinary || !JsonContainerIsObject(element.val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a log must be a JSON object")));

	pairs = JsonbIteratorInit(element.val.binary.data);
	while ((token = JsonbIteratorNext(&pairs, &key, true)) != WJB_DONE)
	{
		const WflogField *field;

		if (token != WJB_KEY)
			continue;			/* the object's begin and end */
		field = wflog_find_field(key.val.string.val, key.val.string.len);
		row->field = NULL;
		if (field == NULL)
			unknown_key(key.val.string.val, key.val.string.len);
		(void) JsonbIteratorNext(&pairs, &value, true);
		set_element_field(row, field, &value);
	}
	return true;
}

/* SQL: wflog.append(logs, producer_key, sequence) */
Datum
wflog_append(PG_FUNCTION_ARGS)
{
	WflogProducer producer;
	ArrayBatch	batch = {0};
	JsonbValue	start;
	Jsonb	   *logs;
	int64		result;

	wflog_producer_init(&producer, fcinfo, 1);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("logs must not be null")));
	logs = PG_GETARG_JSONB_P(0);
	if (!JB_ROOT_IS_ARRAY(logs) || JB_ROOT_IS_SCALAR(logs))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("logs must be a JSON array of objects")));

	SPI_connect();
	if (wflog_producer_claim(&producer, JB_ROOT_COUNT(logs), &result))
	{
		batch.base.next = next_element;
		batch.base.describe = describe_element;
		batch.elements = JsonbIteratorInit(&logs->root);
		(void) JsonbIteratorNext(&batch.elements, &start, true);	/* WJB_BEGIN_ARRAY */
		result = wflog_insert_batch(&batch.base);
		wflog_producer_settle(&producer, result);
	}
	SPI_finish();
	PG_RETURN_INT64(result);
}

/* ---- lines ---- */

/*
 * What the reader of lines asks for: more room in a buffer, in the memory
 * context where start_buffer() put it.
 */
void
ndjson_enlarge(NdjsonBuffer *buffer, size_t size)
{
	size = Max(size, Min(buffer->size * 2, MaxAllocSize));
	if (size > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a value is too large once its bytes are escaped")));
	buffer->data = repalloc(buffer->data, size);
	buffer->size = size;
}

static void
start_buffer(NdjsonBuffer *buffer)
{
	buffer->size = 1024;
	buffer->data = palloc(buffer->size);
}

static void
describe_line(WflogBatch *base, StringInfo where, bool with_field)
{
	appendStringInfo(where, "line " INT64_FORMAT ": ", ((LinesBatch *) base)->line);
}

/*
 * Find the next line that is not blank, without its newline.  Carriage
 * returns before newlines are white space to JSON.
 */
static bool
next_line(LinesBatch *batch, const char **line, size_t *len)
{
	while (batch->at < batch->end)
	{
		const char *newline = memchr(batch->at, '\n', batch->end - batch->at);

		*line = batch->at;
		*len = (newline ? newline : batch->end) - batch->at;
		batch->at += *len + (newline != NULL);
		batch->line++;
		if (!ndjson_is_blank(*line, *len))
			return true;
	}
	return false;
}

/* Count what is to be inserted if all is well. */
static int64
count_lines(const LinesBatch *batch)
{
	LinesBatch	copy = *batch;
	const char *line;
	size_t		len;
	int64		count = 0;

	while (next_line(&copy, &line, &len))
		count++;
	return count;
}

/* A string from a line in the database's encoding. */
static void
to_server(NdjsonValue *value)
{
	char	   *converted;

	if (GetDatabaseEncoding() == PG_UTF8)
		return;
	converted = pg_any_to_server(value->text, value->len, PG_UTF8);
	if (converted != value->text)
	{
		value->text = converted;
		value->len = strlen(converted);
	}
}

/* Set a field from a value of the line's object. */
static void
set_line_field(WflogRow *row, const WflogField *field, NdjsonValue *value)
{
	row->field = field;
	switch (value->kind)
	{
		case NDJSON_NULL:
			wflog_row_set_null(row, field);
			break;
		case NDJSON_FALSE:
		case NDJSON_TRUE:
			wflog_row_set_boolean(row, field, value->kind == NDJSON_TRUE);
			break;
		case NDJSON_NUMBER:
			wflog_row_set_number_text(row, field, value->text, value->len);
			break;
		case NDJSON_STRING:
			to_server(value);
			wflog_row_set_string(row, field, value->text, value->len);
			break;
		case NDJSON_OBJECT:
		case NDJSON_ARRAY:
			to_server(value);
			if (field->type != FIELD_OBJECT || value->kind == NDJSON_ARRAY)
				wflog_row_wrong_type(field, value->text, value->len);
			wflog_row_set_object(row, field,
								 DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
																	CStringGetDatum(pnstrdup(value->text, value->len)))));
			break;
	}
}

/* Refuse a line that is not JSON. */
static void
bad_line(const NdjsonReader *reader)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", reader->error),
			 errdetail("This is at byte %d of the line.", (int) (reader->at - reader->line) + 1)));
}

/* Make a row of the next line. */
static bool
next_line_row(WflogBatch *base, WflogRow *row)
{
	LinesBatch *batch = (LinesBatch *) base;
	NdjsonReader *reader = &batch->reader;
	const char *line;
	size_t		len;
	NdjsonValue key;
	NdjsonValue value;
	NdjsonResult result;

	if (!next_line(batch, &line, &len))
		return false;
	base->bytes += len;

	if (!ndjson_open(reader, line, len))
		bad_line(reader);
	while ((result = ndjson_next(reader, &key, &value)) == NDJSON_PAIR)
	{
		const WflogField *field = wflog_find_field(key.text, key.len);

		row->field = NULL;
		if (field == NULL)
		{
			to_server(&key);
			unknown_key(key.text, key.len);
		}
		set_line_field(row, field, &value);
	}
	row->field = NULL;
	if (result == NDJSON_ERROR)
		bad_line(reader);
	return true;
}

/* SQL: wflog.append_lines(lines, producer_key, sequence) */
Datum
wflog_append_lines(PG_FUNCTION_ARGS)
{
	WflogProducer producer;
	LinesBatch	batch = {0};
	bytea	   *lines;
	int64		result;

	wflog_producer_init(&producer, fcinfo, 1);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("lines must not be null")));
	lines = PG_GETARG_BYTEA_PP(0);
	batch.base.next = next_line_row;
	batch.base.describe = describe_line;
	batch.at = VARDATA_ANY(lines);
	batch.end = batch.at + VARSIZE_ANY_EXHDR(lines);
	if (batch.end - batch.at >= 3 && memcmp(batch.at, "\xEF\xBB\xBF", 3) == 0)
		batch.at += 3;			/* a byte order mark */

	SPI_connect();
	if (wflog_producer_claim(&producer, producer.given ? count_lines(&batch) : 0, &result))
	{
		start_buffer(&batch.reader.key);
		start_buffer(&batch.reader.value);
		start_buffer(&batch.reader.string);
		result = wflog_insert_batch(&batch.base);
		wflog_producer_settle(&producer, result);
	}
	SPI_finish();
	PG_RETURN_INT64(result);
}

/* SQL: wflog.unescape(text) */
Datum
wflog_unescape(PG_FUNCTION_ARGS)
{
	text	   *escaped = PG_GETARG_TEXT_PP(0);
	bytea	   *bytes = palloc(VARHDRSZ + VARSIZE_ANY_EXHDR(escaped));
	size_t		len = ndjson_unescape(VARDATA_ANY(escaped), VARSIZE_ANY_EXHDR(escaped),
									  (unsigned char *) VARDATA(bytes));

	SET_VARSIZE(bytes, VARHDRSZ + len);
	PG_RETURN_BYTEA_P(bytes);
}
