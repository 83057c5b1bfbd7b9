/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Places where tests can make things go slowly or wrong.
 *
 * What is between two steps of a commit, or of the worker's round, takes
 * microseconds, and what happens in between hardly ever meets a test.  With
 * make FAULTS=1 there is a setting that makes it last:
 *
 *	  wflog.fault = 'place=5, other=20%10, third=error%1, fourth=file'
 *
 * sleeps 5 ms whenever "place" is passed, 20 ms at "other" in 10 of 100 cases,
 * and raises an error at "third" in 1 of 100.
 *
 * With "file", a test says step by step what happens at the place, by a file
 * "wflog.fault.PLACE" in the data directory: if that says "error", it is
 * removed and an error raised; if it says "wait", whoever comes there waits,
 * and says so by another file that ends in ".waits", until the first is gone.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "fault.h"

#ifdef WFLOG_FAULTS

#include <unistd.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/pmsignal.h"
#include "utils/guc.h"

#define MAX_FAULTS 32

/* Instead of a time to sleep. */
#define FAULT_ERROR (-1)
#define FAULT_FILE (-2)

typedef struct Fault
{
	char		place[32];
	int			sleep;			/* ms, or one of the above */
	int			percent;
} Fault;

static char *fault_setting;
static Fault faults[MAX_FAULTS];
static int	fault_count;

/* Read one fault of the setting, up to a comma; NULL if it is none. */
static const char *
read_fault(const char *text, Fault *fault)
{
	int			len = 0;

	memset(fault, 0, sizeof(*fault));
	fault->percent = 100;
	if (sscanf(text, " %31[a-z-]=error%n", fault->place, &len) == 1 && len > 0)
		fault->sleep = FAULT_ERROR;
	else if (sscanf(text, " %31[a-z-]=file%n", fault->place, &len) == 1 && len > 0)
		fault->sleep = FAULT_FILE;
	else if (sscanf(text, " %31[a-z-]=%d%n", fault->place, &fault->sleep, &len) != 2 ||
			 fault->sleep < 0)
		return NULL;
	text += len;
	if (*text == '%')
	{
		char	   *end;

		fault->percent = strtol(text + 1, &end, 10);
		text = end;
	}
	return text + strspn(text, ", ");
}

/* Is it a list of faults? */
static bool
check_faults(char **value, void **extra, GucSource source)
{
	const char *text = *value;
	Fault		fault;
	int			count = 0;

	while (text != NULL && *text != '\0')
	{
		text = read_fault(text, &fault);
		count++;
	}
	return text != NULL && count <= MAX_FAULTS;
}

/* Take it. */
static void
assign_faults(const char *value, void *extra)
{
	fault_count = 0;
	while (*value != '\0')
		value = read_fault(value, &faults[fault_count++]);
}

void
wflog_define_fault_setting(void)
{
	DefineCustomStringVariable("wflog.fault",
							   "Where things are to go slowly or wrong, for tests.",
							   NULL,
							   &fault_setting, "",
							   PGC_SUSET, 0, check_faults, assign_faults, NULL);
}

/* Raise the error of a place. */
pg_noreturn static void
fail(const char *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("fault at \"%s\"", place)));
}

/*
 * Wait until a file is gone, or our process is to go.  Nobody is let in
 * meanwhile, for there are places where no interrupt may be served.
 */
static void
wait_for_removal(const char *path)
{
	char		waits[MAXPGPATH];
	FILE	   *file;

	snprintf(waits, sizeof(waits), "%s.waits", path);
	file = fopen(waits, "w");
	if (file != NULL)
		fclose(file);
	while (access(path, F_OK) == 0 && !ProcDiePending && !QueryCancelPending && PostmasterIsAlive())
		pg_usleep(1000);
	(void) unlink(waits);
}

/* Do what the file of a place says; false if there is none. */
static bool
obey_file(const char *place)
{
	char		path[MAXPGPATH];
	char		order[16] = "";
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/wflog.fault.%s", DataDir, place);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fscanf(file, "%15s", order) != 1)
		order[0] = '\0';
	fclose(file);
	if (strcmp(order, "error") == 0)
	{
		(void) unlink(path);
		fail(place);
	}
	if (strcmp(order, "wait") == 0)
		wait_for_removal(path);
	return true;
}

/*
 * A place is passed.  Returns whether a fault has struck there; it may be
 * called where nothing may fail, as long as the setting asks for no error.
 */
bool
wflog_fault(const char *place)
{
	for (int i = 0; i < fault_count; i++)
	{
		if (strcmp(faults[i].place, place) != 0 ||
			pg_prng_uint64_range(&pg_global_prng_state, 1, 100) > faults[i].percent)
			continue;
		if (faults[i].sleep == FAULT_ERROR)
			fail(place);
		if (faults[i].sleep == FAULT_FILE)
			return obey_file(place);
		pg_usleep(faults[i].sleep * 1000L);
		return true;
	}
	return false;
}

#endif							/* WFLOG_FAULTS */
