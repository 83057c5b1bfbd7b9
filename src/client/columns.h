/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  The columns of a log, and what other programs call them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_COLUMNS_H
#define WFLOG_COLUMNS_H

#include "../ndjson.h"
#include "buffer.h"

typedef enum ColumnType
{
	COLUMN_TEXT,
	COLUMN_UUID,
	COLUMN_CATEGORY,
	COLUMN_EVENT,
	COLUMN_LEVEL,
	COLUMN_OBJECT,
	COLUMN_INTEGER,
	COLUMN_PERCENTAGE,
	COLUMN_BOOLEAN,
	COLUMN_TIME
} ColumnType;

typedef struct Column
{
	const char *name;
	ColumnType	type;
	int			min;			/* of an integer */
	int			max;			/* of an integer, or characters of a text; 0: none */
} Column;

#define COLUMN_COUNT 25
#define COLUMN_EXECUTION_ID 1
#define COLUMN_MESSAGE 5
#define COLUMN_DATA 6
#define COLUMN_CREATED_AT 20

extern const Column columns[COLUMN_COUNT];

extern int	column_named(const char *name, size_t len);
extern int	column_alias(const char *name, size_t len);
extern const char *column_problem(const Column *column, const NdjsonValue *value);
extern bool column_from_text(const Column *column, const char *text, size_t len, Buffer *json);
extern bool column_translate(const Column *column, const NdjsonValue *value, Buffer *json);
extern bool is_json_object(const char *text, size_t len);

#endif							/* WFLOG_COLUMNS_H */
