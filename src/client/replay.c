/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Spools that others have left: where they are, and one after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include "replay.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port.h"

/*
 * The directory of spools, made if it is not there, readable for its owner
 * alone: the option, or WFLOG_SPOOL_DIR, or where programs keep their state.
 * NULL, with what is wrong, if there can be none.
 */
char *
spool_directory(const char *option, const char **problem)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	const char *given = option ? option : getenv("WFLOG_SPOOL_DIR");
	Buffer		path = {0};
	struct stat status;

	if (given && given[0])
		buffer_string(&path, given);
	else if (state && state[0] == '/')
		buffer_printf(&path, "%s/wflog/spool", state);
	else if (home && home[0] == '/')
		buffer_printf(&path, "%s/.local/state/wflog/spool", home);
	else
		buffer_printf(&path, "/var/tmp/wflog-%ld", (long) geteuid());

	/* pg_mkdir_p() takes an existing directory as it is */
	if (pg_mkdir_p(buffer_text(&path), 0700) < 0 || stat(path.data, &status) < 0)
		*problem = strerror(errno);
	else if (!S_ISDIR(status.st_mode))
		*problem = "it is no directory";
	else if (status.st_uid != geteuid())
		*problem = "it belongs to another user";
	else if (access(path.data, W_OK | X_OK) < 0)
		*problem = strerror(errno);
	else
		return path.data;
	return NULL;
}

/* Begin to look for spools; with a target, only for those of that database. */
Replay *
replay_begin(const char *target)
{
	Replay	   *replay = xmalloc(sizeof(Replay));

	memset(replay, 0, sizeof(Replay));
	replay->target = target ? xstrdup(target) : NULL;
	return replay;
}

void
replay_add_file(Replay *replay, const char *path)
{
	replay->paths = xrealloc(replay->paths, (replay->count + 1) * sizeof(char *));
	replay->paths[replay->count++] = xstrdup(path);
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Add all spools of a directory, the oldest first, as their names tell the time. */
void
replay_add_directory(Replay *replay, const char *directory)
{
	DIR		   *dir = opendir(directory);
	struct dirent *entry;
	int			before = replay->count;
	size_t		suffix = strlen(SPOOL_SUFFIX);

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
	{
		size_t		len = strlen(entry->d_name);
		Buffer		path = {0};

		if (len <= suffix || strcmp(entry->d_name + len - suffix, SPOOL_SUFFIX) != 0)
			continue;
		buffer_printf(&path, "%s/%s", directory, entry->d_name);
		replay_add_file(replay, buffer_text(&path));
		buffer_free(&path);
	}
	closedir(dir);
	if (replay->count > before)
		qsort(replay->paths + before, replay->count - before, sizeof(char *), compare_paths);
}

/* Open the next one; false if it is not for us. */
static bool
open_next(Replay *replay)
{
	const char *path = replay->paths[replay->next++];
	Spool	   *spool = spool_open(path);

	if (spool == NULL)
	{
		if (errno == EWOULDBLOCK)
			replay->in_use++;
		else if (errno != ENOENT)
		{
			replay->failed++;
			warn("%s: %s", path, errno == EINVAL ? "this is no spool" : strerror(errno));
		}
		return false;
	}
	if (replay->target && strcmp(replay->target, spool->target) != 0)
	{
		replay->elsewhere++;
		spool_close(spool, false);
		return false;
	}
	replay->current = spool;
	return true;
}

/*
 * The spool that is at hand; one that has nothing more to send is put away,
 * and the next one opened.  NULL if there are no more.
 */
Spool *
replay_current(Replay *replay)
{
	for (;;)
	{
		Spool	   *spool = replay->current;

		if (spool && !spool_is_empty(spool))
			return spool;
		if (spool)
		{
			if (spool->damaged_at)
			{
				warn("%s: damaged at byte %llu; what is behind cannot be read, and the file is kept",
					 spool->path, (unsigned long long) spool->damaged_at);
				replay->failed++;
			}
			else
				replay->finished++;
			spool_close(spool, spool->damaged_at == 0);
			replay->current = NULL;
		}
		if (replay->next >= replay->count)
			return NULL;
		open_next(replay);
	}
}

/* Leave the rest where it is. */
void
replay_end(Replay *replay)
{
	if (replay->current)
		spool_close(replay->current, false);
	for (int i = 0; i < replay->count; i++)
		free(replay->paths[i]);
	free(replay->paths);
	free(replay->target);
	free(replay);
}
