/*-------------------------------------------------------------------------
 *
 * export.h
 *	  wflog export: whole logs of executions, to be read by programs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_EXPORT_H
#define WFLOG_EXPORT_H

#include "client.h"

#include "logfilter.h"
#include "progress.h"

/* How far an execution has been written, as the cursor file says. */
typedef struct ExportPlace
{
	char	   *execution;
	char	   *cursor;			/* of the page that was written last; NULL: the first */
	int64_t		skip;			/* logs of that page */
	bool		complete;		/* it had ended, and all of it is written */
} ExportPlace;

typedef struct Export
{
	Connection *connection;
	LogFilter	filter;
	bool		csv;
	bool		quiet;
	const char *output_path;	/* NULL: stdout */
	const char *cursor_path;
	Progress	progress;

	FILE	   *cursor_file;	/* lines are appended to it */
	ExportPlace *places;
	int			place_count;
	int64_t		output_size;	/* of the file, when the last place was written down; -1: unknown */
	int			executions;
} Export;

extern void export_execution(Export *job, const char *execution);

/* export_place.c: the cursor file */
extern void places_read(Export *job);
extern ExportPlace *place_find(const Export *job, const char *execution);
extern void place_write(Export *job, const char *execution, const char *cursor, int64_t skip,
						bool complete);

#endif							/* WFLOG_EXPORT_H */
