/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Makes lines for append_lines() of lines and records of other programs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CONVERT_H
#define WFLOG_CONVERT_H

#include "columns.h"
#include "csv.h"

typedef enum RestMode
{
	REST_DATA,					/* what is no column goes into "data" */
	REST_DROP,
	REST_ERROR
} RestMode;

typedef struct Converter
{
	/* as the person wants it */
	const char *map[COLUMN_COUNT];	/* the name that column has in the input; NULL: the usual ones */
	char	   *set[COLUMN_COUNT];	/* JSON of its value in all logs, or NULL */
	RestMode	rest;
	bool		exported;		/* texts have the server's escapes, as "export" writes them */

	/* of CSV */
	char	  **names;			/* of the fields */
	int		   *targets;		/* their columns, or -1 */
	int			name_count;

	int64_t		last_time;		/* given to a log that had none */
	NdjsonReader reader;
	Buffer		fields;
	Buffer		data;
	Buffer		value;
	Buffer		line;
	Buffer		unescaped;
	Buffer		problem;		/* why the last one was refused */
} Converter;

extern bool convert_line(Converter *converter, const char *line, size_t len, Buffer *out);
extern bool convert_header(Converter *converter, const CsvRecord *record);
extern bool convert_record(Converter *converter, const CsvRecord *record, Buffer *out);
extern void convert_free(Converter *converter);

#endif							/* WFLOG_CONVERT_H */
