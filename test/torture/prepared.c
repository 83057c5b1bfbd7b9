/*-------------------------------------------------------------------------
 *
 * prepared.c
 *	  Prepared transactions, which some other session ends some other time.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define ENOUGH 12
#define MAX_PREPARED (ENOUGH + MAX_WRITERS)	/* all may add one at once */

typedef struct Prepared
{
	char		gid[48];
	enum {PREPARED_FREE, PREPARED_THERE, PREPARED_TAKEN, PREPARED_UNKNOWN, PREPARED_ENDING} state;
	bool		commit;			/* PREPARED_ENDING: what had been asked for */
	int64_t		not_before;		/* ms */
	Transaction transaction;
} Prepared;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Prepared prepared[MAX_PREPARED];

/* Are there enough of them? */
bool
prepared_full(void)
{
	return prepared_count() >= ENOUGH;
}

int
prepared_count(void)
{
	int			n = 0;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX_PREPARED; i++)
		n += prepared[i].state != PREPARED_FREE;
	pthread_mutex_unlock(&lock);
	return n;
}

/*
 * Add one, whose logs are now ours to tell about.  unknown: the connection was
 * lost, so it may not have been prepared.  There is room, for writers ask
 * before and there are fewer of them than places left.
 */
void
prepared_add(Transaction *t, const char *gid, bool unknown, int64_t not_before)
{
	bool		added = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX_PREPARED && !added; i++)
	{
		Prepared   *p = &prepared[i];

		if (p->state != PREPARED_FREE)
			continue;
		snprintf(p->gid, sizeof(p->gid), "%s", gid);
		p->state = unknown ? PREPARED_UNKNOWN : PREPARED_THERE;
		p->not_before = not_before;
		p->transaction = *t;
		memset(t, 0, sizeof(*t));
		added = true;
	}
	pthread_mutex_unlock(&lock);
	if (!added)
	{
		fprintf(stderr, "no room for prepared transactions\n");
		abort();
	}
}

/* It has ended in this way; forget it. */
static void
ended(Prepared *p, LogState state)
{
	transaction_end(&p->transaction, state);
	pthread_mutex_lock(&lock);
	p->state = PREPARED_FREE;
	pthread_mutex_unlock(&lock);
}

static void
set_state(Prepared *p, int state)
{
	pthread_mutex_lock(&lock);
	p->state = state;
	pthread_mutex_unlock(&lock);
}

/*
 * Commit or roll back one that is due, or all there are.  Returns false if
 * there was nothing to do or the connection was lost.
 */
bool
prepared_resolve(Conn *conn, Random *r, bool all)
{
	bool		done = false;
	int			start = between(r, 0, MAX_PREPARED - 1);

	for (int i = 0; i < MAX_PREPARED && (all || !done); i++)
	{
		Prepared   *p = &prepared[(start + i) % MAX_PREPARED];
		bool		mine = false;
		char		sql[96];

		pthread_mutex_lock(&lock);
		if (p->state == PREPARED_THERE && (all || now_ms() >= p->not_before))
		{
			p->state = PREPARED_TAKEN;
			mine = true;
		}
		pthread_mutex_unlock(&lock);
		if (!mine)
			continue;
		p->commit = chance(r, 70);
		snprintf(sql, sizeof(sql), "%s PREPARED '%s'", p->commit ? "COMMIT" : "ROLLBACK", p->gid);
		if (command(conn, sql, 0))
		{
			ended(p, p->commit ? LOG_COMMITTED : LOG_ABORTED);
			done = true;
		}
		else if (conn->lost)
		{
			set_state(p, PREPARED_ENDING);
			return false;
		}
		else
		{
			/* 55000: its session has not let go of it yet */
			if (strcmp(conn->sqlstate, "55000") != 0)
				violation("%s: %s", sql, conn->message);
			set_state(p, PREPARED_THERE);
		}
	}
	return done;
}

/* Find out about those of which it is not known whether they are there. */
bool
prepared_settle(Conn *conn)
{
	for (int i = 0; i < MAX_PREPARED; i++)
	{
		Prepared   *p = &prepared[i];
		int			state;
		char	   *there;

		pthread_mutex_lock(&lock);
		state = p->state;
		pthread_mutex_unlock(&lock);
		if (state != PREPARED_UNKNOWN && state != PREPARED_ENDING)
			continue;
		there = value(conn, "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE gid = $1)", 1, p->gid);
		if (!there)
			return false;
		if (there[0] == 't')
			set_state(p, PREPARED_THERE);
		else if (state == PREPARED_UNKNOWN)
			ended(p, LOG_ABORTED);
		else
			ended(p, p->commit ? LOG_COMMITTED : LOG_ABORTED);
		free(there);
	}
	return true;
}
