/*-------------------------------------------------------------------------
 *
 * csv.h
 *	  Records of comma-separated values.
 *
 * Needs nothing but the C library, so that it can be tested and fuzzed by
 * itself (test/fuzz/).
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_CSV_H
#define WFLOG_CSV_H

#include "buffer.h"

typedef struct CsvField
{
	size_t		at;				/* in the record's text */
	size_t		len;
	bool		quoted;			/* so that it is a text even if it is empty */
} CsvField;

typedef struct CsvRecord
{
	Buffer		text;			/* of all fields, without quotes */
	CsvField   *fields;
	int			count;
	int			room;
	int			lines;			/* line feeds it took */
	const char *error;			/* what is wrong with it, or NULL */
} CsvRecord;

extern size_t csv_read(CsvRecord *record, const char *bytes, size_t len, bool at_end, char delimiter);
extern void csv_free(CsvRecord *record);

#endif							/* WFLOG_CSV_H */
