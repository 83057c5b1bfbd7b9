/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Places where tests can make things go slowly or wrong.
 *
 * What is between two steps of a commit, or of the worker's round, takes
 * microseconds, and what happens in between hardly ever meets a test.  With
 * make FAULTS=1 there is a setting that makes it last:
 *
 *	  wflog.fault = 'place=5, other=20%10, third=error%1'
 *
 * sleeps 5 ms whenever "place" is passed, 20 ms at "other" in 10 of 100 cases,
 * and raises an error at "third" in 1 of 100.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "fault.h"

#ifdef WFLOG_FAULTS

#include "common/pg_prng.h"
#include "utils/guc.h"

#define MAX_FAULTS 32
#define FAULT_ERROR (-1)

typedef struct Fault
{
	char		place[32];
	int			sleep;			/* ms, or FAULT_ERROR */
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
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("fault at \"%s\"", place)));
		pg_usleep(faults[i].sleep * 1000L);
		return true;
	}
	return false;
}

#endif							/* WFLOG_FAULTS */
