/*-------------------------------------------------------------------------
 *
 * logs.h
 *	  Reading the logs of executions: pages of what there is, and the stream
 *	  of what comes.
 *
 * An execution is read in pages first (history.c), in the order of time, the
 * filters applied by the server; then, if it is followed, from the stream
 * (stream.c, follow.c, subscribe.c) with a cursor that the server gives.
 * history.c says why nothing is lost or shown twice where one changes into the
 * other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_LOGS_H
#define WFLOG_LOGS_H

#include "client.h"
#include "logfilter.h"

#define MAX_BATCH_TEXT 64
#define SEEN_ID 37				/* a uuid as text */
#define STREAM_ROWS 500			/* at once */

/* An execution whose logs are shown. */
typedef struct Subject
{
	char	   *id;
	char	   *status;			/* as last seen; NULL: not registered, or not asked yet */
	bool		terminal;

	/* history */
	char	   *page_cursor;	/* where the next page begins; NULL: at the start */
	PGresult   *page;			/* being shown */
	JsonWalk	walk;
	char	   *next_cursor;	/* of the page being shown; NULL: it is the last */
	bool		requested;		/* the next page is on its way */
	bool		history_begun;
	bool		history_done;
	int			page_rows;
	Position	edge;			/* the last log that a page has shown */

	/* stream */
	char	   *stream_cursor;	/* NULL: from the start */
	char	   *saved_cursor;	/* as of what has reached stdout */
	char	  (*seen)[SEEN_ID]; /* ids that the stream will give although pages showed them */
	int			seen_count;
	int			seen_size;
	char		covered[MAX_BATCH_TEXT];	/* batch up to which all has been shown; "": unknown */
	char		current[MAX_BATCH_TEXT];	/* batch that is coming in notifications */
	char		told[MAX_BATCH_TEXT];	/* last batch of which a notification has come */
	char	   *channel;
	bool		must_read;		/* notifications do not suffice: read the stream */
	bool		must_subscribe;
	bool		ended;
	bool		end_said;
	long long	shown;
} Subject;

/* Notifications of logs, as far as they are to be had. */
typedef struct Notifications
{
	bool		listening;		/* they can arrive */
	bool		trusted;		/* and somebody sends them, as far as we know */
	long long	doubt_since;	/* logs have come, and no notification of them; 0: no doubt */
	long long	ask_again;		/* when to see whether they are to be had now */
	char	   *workflow_channel;	/* NULL: not listened to */
} Notifications;

/* What "wflog logs" was asked for. */
typedef struct LogsJob
{
	Connection *connection;
	LogFilter	filter;
	LogStyle	style;
	Subject   **subjects;
	int			count;
	const char *workflow;		/* follow its executions; NULL: those named */
	char	   *newest;			/* of the workflow's executions that are known */
	bool		follow;
	bool		wait;
	bool		exact;			/* the history must lead on to the stream */
	long long	last;			/* only so many at the end; -1: all */
	const char *after_cursor;
	const char *cursor_file;
	bool		exit_status;
	Notifications notifications;
} LogsJob;

/* subject.c */
extern Subject *subject_add(LogsJob *job, const char *id);
extern void subject_remove(LogsJob *job, Subject *subject);
extern Subject *subject_find(LogsJob *job, const char *id);
extern bool status_is_terminal(const char *status);
extern int	status_exit_code(const char *status);
extern void set_text(char **variable, const char *value);
extern void load_cursors(LogsJob *job);
extern void save_cursors(LogsJob *job);
extern void flush_logs(LogsJob *job);

/* history.c */
extern void show_history(LogsJob *job);

/* stream.c */
extern int	stream_read(LogsJob *job, Subject *subject, bool stragglers_only);
extern void stream_read_to_end(LogsJob *job, Subject *subject, bool stragglers_only);
extern bool show_if_wanted(LogsJob *job, Subject *subject, const LogEntry *log);

/* follow.c */
extern void follow(LogsJob *job);

/* subscribe.c, listen.c */
#define POLL_MILLISECONDS 100	/* where there are no notifications */

extern void reconnect(LogsJob *job);
extern void subscribe(LogsJob *job);
extern void unsubscribe(LogsJob *job, Subject *subject);
extern void say_polling(const char *why);
extern char *listen_problem(Connection *connection);
extern long long milliseconds_now(void);

#endif							/* WFLOG_LOGS_H */
