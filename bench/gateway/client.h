/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What the parts of the gateway's bench share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_GATEWAY_CLIENT_H
#define BENCH_GATEWAY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a message looks like, so that its log can be told: @number@ */
#define MARK '@'

/* ---- main.c ---- */

extern void fail(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));
extern int64_t now_us(void);
extern void sleep_until(int64_t when);
extern void *allocate(size_t count, size_t size);

/* Measured times, in microseconds; {0} has none. */
typedef struct Samples
{
	int64_t    *values;
	size_t		count;
	size_t		room;
} Samples;

extern void samples_add(Samples *samples, int64_t value);
extern void samples_print(const char *name, Samples *samples);
extern int64_t samples_median(Samples *samples);

/* ---- http.c ---- */

/* The gateway, on 127.0.0.1, and who asks it. */
typedef struct Gateway
{
	int			port;
	const char *token;
} Gateway;

extern int	http_connect(const Gateway *gateway, int number);
extern size_t http_request(const Gateway *gateway, const char *path, char **request);

/* A response being read. */
typedef struct Response
{
	char		head[4096];
	size_t		head_len;
	bool		head_is_whole;
	int			status;
	size_t		body_left;
	size_t		body_len;
} Response;

extern void response_begin(Response *response);
extern size_t response_take(Response *response, const char *bytes, size_t len);
extern bool response_is_whole(const Response *response);

/* ---- writers.c ---- */

/* Executions of a kind: how many, how much is written into each, who follows it. */
typedef struct Group
{
	int			executions;
	int			streams;		/* that follow each of them */
	int			deaf;			/* and that do so without ever reading */
	double		rate;			/* logs a second into each */
	int			bytes;			/* of a message */
	int			first;			/* number of the first of them */
} Group;

extern Group *groups_parse(int count, char **texts, int *executions);

/* What is written.  The times are those of the reply to the commit; 0: not yet. */
typedef struct Logs
{
	int			count;
	int			warm_up;		/* logs before that number are not measured */
	int		   *execution;
	_Atomic int64_t *committed;
	_Atomic int written;
	int64_t		begun;
	_Atomic int64_t ended;		/* the last commit so far */
} Logs;

extern Logs *writers_start(const char *conninfo, const char *statement, const char *prefix,
						   const Group *groups, int group_count, int seconds, int writers);
extern void logs_print(const Logs *logs);

/* ---- the modes ---- */

extern int	run_streams(const Gateway *gateway, int argc, char **argv);
extern int	run_requests(const Gateway *gateway, int argc, char **argv);
extern int	run_page(const Gateway *gateway, int argc, char **argv);
extern int	run_poll(int argc, char **argv);

#endif							/* BENCH_GATEWAY_CLIENT_H */
