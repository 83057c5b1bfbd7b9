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

/* What a name that has been met at some place of a line means. */
typedef struct KnownName
{
	char		name[24];
	size_t		len;			/* 0: none has been met */
	int			target;			/* the column, or -1 */
	bool		own;			/* it is the column's own name */
} KnownName;

#define KNOWN_NAMES 32

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

	KnownName	known[KNOWN_NAMES]; /* by place: lines are much like each other */
	int			place;			/* of the next name in the line */
	bool		as_is_failed;	/* the last line could not stay as it was */
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
