/*-------------------------------------------------------------------------
 *
 * ingest.h
 *	  wflog ingest: logs from files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_INGEST_H
#define WFLOG_INGEST_H

#include "client.h"

#include "convert.h"
#include "ingest_state.h"
#include "input.h"
#include "progress.h"
#include "reject.h"

#define MOST_LANES 16

typedef struct IngestOptions
{
	ConnectOptions where;
	char	  **files;			/* "-" is stdin */
	int			file_count;
	bool		csv;
	char		delimiter;
	const char *columns;		/* names of the fields of CSV that has no header, or NULL */
	bool		follow;
	bool		from_end;
	const char *state_path;
	const char *producer_key;
	int			jobs;
	int			retry_seconds;
	bool		quiet;
} IngestOptions;

/* A line of a batch. */
typedef struct BatchLine
{
	int64_t		number;			/* in its file */
	const char *file;
	size_t		raw_at;			/* as it was read */
	size_t		raw_len;
	size_t		len;			/* as it is sent */
} BatchLine;

typedef struct Batch
{
	Buffer		lines;
	Buffer		raw;
	BatchLine  *items;
	int			count;
	int			room;
	int64_t		sequence;		/* bytes of the input in front of it */
	int64_t		end;			/* bytes of the input up to its end */
	dev_t		device;			/* the file it ends in, and where */
	ino_t		inode;
	int64_t		offset;
	int64_t		line;
	int64_t		begun_at;		/* monotonic microseconds */
} Batch;

/* A connection, and the batch it is about. */
typedef struct Lane
{
	Connection *connection;
	Batch	   *batch;			/* NULL: free */
	PGresult   *answer;
} Lane;

typedef struct Ingest
{
	const IngestOptions *options;
	Converter	converter;
	CsvRecord	record;
	Rejects		rejects;
	Progress	progress;
	IngestState *state;			/* NULL: none is kept */

	Input		input;
	int			file;			/* number of the one that is read */
	int64_t		line;			/* of it */
	int64_t		position;		/* bytes taken of all files */
	int64_t		must_end;		/* the batch ends there, as it did before; 0: anywhere */
	bool		header_read;
	bool		skipping;		/* the rest of a line that is too long */
	bool		input_done;

	Batch	   *filling;
	Batch	   *spare[MOST_LANES + 1];
	int			spare_count;
	Lane		lanes[MOST_LANES];
	int			lane_count;
	int64_t		trouble_since;	/* 0: the database takes what it is given */
} Ingest;

extern int	ingest(Ingest *ingest);
extern int	ingest_spools(const IngestOptions *options);

/* ingest_read.c: from the input into a batch */
extern void ingest_open(Ingest *ingest);
extern bool ingest_read(Ingest *ingest);
extern bool batch_is_full(const Ingest *ingest, const Batch *batch);

/* ingest_lane.c: from a batch into the database */
extern void lane_send(Ingest *ingest, Lane *lane, Batch *batch);
extern bool lane_advance(Ingest *ingest, Lane *lane);

#endif							/* WFLOG_INGEST_H */
