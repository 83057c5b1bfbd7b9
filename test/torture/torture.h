/*-------------------------------------------------------------------------
 *
 * torture.h
 *	  A client program that checks exactly-once delivery while the server is
 *	  being maltreated by somebody else (test/perl/Torture.pm).
 *
 * Each writer and each subscriber is a thread with connections of its own.
 * Every log says in its message who wrote it and as his how manieth; the model
 * knows what became of it.  What subscribers were delivered is compared with
 * the model, at barriers and at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>

#include <libpq-fe.h>

#define MAX_WRITERS 64
#define MAX_SUBSCRIBERS 128
#define MAX_EXECUTIONS 128
#define BATCH_LEN 64
#define lengthof(array) ((int) (sizeof(array) / sizeof((array)[0])))

/* ---- what everybody is to do ---- */

typedef enum Phase
{
	PHASE_RUN,
	PHASE_CALM,					/* nobody drops a connection of his own accord */
	PHASE_PAUSE,				/* nor begins a transaction */
	PHASE_DRAIN,				/* writers leave */
	PHASE_END					/* subscribers too */
} Phase;

typedef struct Options
{
	const char *conninfo;
	const char *gateway_user;	/* NULL: no gateway */
	uint64_t	seed;
	int			writers;
	int			subscribers;
	int			executions;		/* shared ones; each writer has one of its own besides */
	int			think_ms;		/* between a writer's transactions, at most */
	int			patience_s;		/* how long a barrier waits */
	bool		channels;		/* the server notifies */
	int			sabotage;		/* test of the test: subscribers lose every n-th log */
	int			sabotage_kind;	/* 'l'ose, 't'wice, 's'wap */
} Options;

extern Options options;
extern _Atomic Phase phase;

/* Totals; main.c prints them all. */
typedef enum Total
{
	T_TRANSACTIONS, T_COMMITTED, T_ABORTED, T_UNKNOWN, T_ASYNC, T_PREPARED, T_COPIES, T_LONG,
	T_SAVEPOINTS, T_STATUS, T_SHORT, T_WRITER_LOST, T_DELIVERED, T_BY_NOTIFICATION, T_BY_TAIL,
	T_REFERENCES, T_DROPPED_BATCHES, T_BROKEN_PREV, T_TAILS, T_SUBSCRIBER_LOST, T_DROPS, T_RESTARTS,
	T_ENDS, T_ENDS_POLLED, T_STATUS_EVENTS, T_MOVED, T_BARRIERS, T_VIOLATIONS, TOTALS
} Total;

extern _Atomic long totals[TOTALS];
extern const char *const total_names[TOTALS];

extern void count(Total what, long n);
extern void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern int64_t now_ms(void);
extern void sleep_ms(int ms);
extern void *grow(void *array, int used, int *room, size_t size);

/* ---- random numbers, a sequence per thread ---- */

typedef struct Random
{
	uint64_t	state;
} Random;

extern Random random_for(const char *who, int number);
extern int	between(Random *r, int from, int to);
extern bool chance(Random *r, int percent);

/* ---- connections (conn.c) ---- */

typedef struct Conn
{
	PGconn	   *pg;				/* NULL: not connected */
	char		name[64];		/* application_name */
	const char *user;			/* NULL: as in conninfo */
	Phase		until;			/* gives up trying to connect; 0: PHASE_END */
	bool		lost;			/* the last query has lost the connection */
	char		sqlstate[6];	/* of the last query; empty: none */
	char		message[512];
} Conn;

extern bool conn_open(Conn *conn);
extern bool conn_open_until(Conn *conn, int64_t deadline_ms);
extern void conn_close(Conn *conn);
extern PGresult *query(Conn *conn, const char *sql, int count, ...);
extern bool command(Conn *conn, const char *sql, int count, ...);
extern char *value(Conn *conn, const char *sql, int count, ...);

/* ---- the model (model.c) ---- */

typedef enum LogState
{
	LOG_OPEN,					/* its transaction has not ended */
	LOG_ABORTED,
	LOG_UNKNOWN,				/* to be looked for in the table */
	LOG_COMMITTED
} LogState;

#define NO_EXECUTION 0xFF		/* a short one, or one nobody follows */

typedef struct LogRecord
{
	uint8_t		execution;
	uint8_t		state;
	uint16_t	stream;			/* of the writer; order is kept within it */
	uint32_t	digest;			/* of its JSON, as first delivered; 0: unknown */
} LogRecord;

extern char execution_names[MAX_EXECUTIONS][32];
extern int	execution_count;

extern void model_init(void);
extern int	log_new(int writer, int execution, int stream);	/* returns its number */
extern void log_set(int writer, const int *numbers, int count, LogState state);
extern LogRecord log_get(int writer, int number);
extern int	log_count(int writer);
extern bool log_digest(int writer, int number, uint32_t digest);	/* false: another than before */
extern long committed_logs(int execution);
extern int	new_stream(int writer);
extern bool settle(Conn *conn);
extern void compare_with_table(Conn *conn);

/* Executions that begin and end while the program runs. */
typedef struct ShortExecution
{
	char		id[48];
	int			writer;
	int			logs;			/* committed */
	enum {SHORT_OPEN, SHORT_ENDED, SHORT_UNKNOWN} state;
} ShortExecution;

extern int	short_new(int writer, const char *id);
extern void short_logs(int number, int logs);
extern void short_state(int number, int state);
extern ShortExecution short_get(int number);
extern int	short_latest(void);	/* -1: none */

/* ---- writers (writer.c, insert.c), prepared transactions (prepared.c) ---- */

/* The logs of a transaction under way. */
typedef struct Transaction
{
	int			writer;
	int			stream;
	int		   *numbers;
	int			count;
	int			room;
} Transaction;

/* A writer's thread. */
typedef struct Writer
{
	Conn		conn;
	Random		random;
	int			number;
	bool		async;			/* synchronous_commit is off */
	Transaction transaction;
} Writer;

extern void *writer_main(void *number);
extern bool writers_are_quiet(void);
extern bool writer_expected(Writer *w);

extern void transaction_begin(Writer *w, int stream);
extern void transaction_end(Transaction *t, LogState state);
extern void transaction_back_to(Transaction *t, int count);
extern bool transaction_commit(Writer *w, bool block, bool worked);

extern bool insert_rows(Writer *w, int execution, const char *id, int rows);
extern bool insert_function(Writer *w, int execution, const char *id, int rows);
extern bool insert_copy(Writer *w, int execution, const char *id, int rows);
extern bool insert_conflict(Writer *w, int execution, const char *id);
extern bool insert_subtransactions(Writer *w, int execution, const char *id, int rows);
extern bool insert_any(Writer *w, int execution, const char *id, int rows);

extern void prepared_add(Transaction *t, const char *gid, bool unknown, int64_t not_before);
extern bool prepared_full(void);
extern bool prepared_resolve(Conn *conn, Random *r, bool all);
extern bool prepared_settle(Conn *conn);
extern int	prepared_count(void);

/* ---- subscribers (subscriber.c), how each follows an execution (stream.c) ---- */

typedef enum How
{
	BY_NOTIFICATION,
	BY_TAIL
} How;

/* A delivered log. */
typedef struct Delivery
{
	uint32_t	number;
	uint8_t		writer;
	uint8_t		how;
	uint16_t	connection;		/* the subscriber's how manieth */
	uint32_t	at;				/* ms since the program's start */
	uint32_t	batch;			/* low bits of its number; 0: unknown */
} Delivery;

typedef struct Stream
{
	char		owner[64];		/* for messages */
	int			execution;		/* NO_EXECUTION: a short one */
	char		id[48];
	char		channel[80];
	char	   *cursor;			/* of the log delivered last */
	char		covered[BATCH_LEN]; /* everything up to this batch is here; "": unknown */
	bool		uncertain;		/* and perhaps something of later ones */
	char		last[BATCH_LEN];	/* batch of the notification taken last; "": none */
	int			connection;
	Delivery   *deliveries;
	int			count;
	int			room;
	uint8_t    *got[MAX_WRITERS];	/* bitmaps by number */
	int			got_bits[MAX_WRITERS];
	pthread_mutex_t lock;		/* what has been delivered is looked at by others */
} Stream;

/*
 * A notification, or an event within one.  A gateway's batch comes as an event
 * of kind batch, then each of its events, all with the batch's batch and prev.
 */
typedef struct Event
{
	char		kind[16];
	char		execution[64];
	char		batch[BATCH_LEN];
	char		prev[BATCH_LEN];	/* "": null or none */
	const char *cursor;			/* NULL: none */
	int			writer;			/* of the log, or -1 */
	int			number;
	uint32_t	digest;
	char		status[32];
	char		previous[32];
	long		total_logs;		/* -1: none */
	int			events;			/* of kind batch: how many follow */
} Event;

extern void stream_begin(Stream *stream, const char *owner, int execution, const char *id);
extern void stream_free(Stream *stream);
extern void stream_forget(Stream *stream);
extern void stream_connected(Stream *stream);
extern int	stream_page(Stream *stream, Conn *conn, int max_rows);
extern bool stream_tail(Stream *stream, Conn *conn, Random *r);
extern bool stream_event(Stream *stream, const Event *event, Conn *tail, Random *r);
extern bool stream_follows(Stream *stream, const Event *event);
extern bool stream_catch_up(Stream *stream, const Event *event, Conn *tail, Random *r);
extern bool stream_complete(Stream *stream);
extern void stream_missing(Stream *stream);
extern void stream_check(Stream *stream);

extern void *subscriber_main(void *number);
extern bool subscribers_are_connected(void);
extern long subscribers_progress(void);
extern bool subscribers_are_complete(bool report);
extern void subscribers_check(void);

extern void *follower_main(void *number);	/* of short executions (ends.c) */

/* ---- JSON (payload.c) ---- */

typedef void (*EventCallback) (void *arg, const Event *event);

extern bool payload_events(const char *payload, EventCallback callback, void *arg);
extern bool log_key(const char *log, int *writer, int *number, uint32_t *digest);

#endif							/* TORTURE_H */
