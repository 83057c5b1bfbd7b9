/*-------------------------------------------------------------------------
 *
 * wflog.c
 *	  Loading of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* Runs once per process, at preload or at the first call of a function. */
void
_PG_init(void)
{
	wflog_define_settings();
}
