/*-------------------------------------------------------------------------
 *
 * wflog.c
 *	  Loading of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "wflog.h"

#include "launcher.h"
#include "miscadmin.h"
#include "notify.h"
#include "shared.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* Runs once per process, at preload or at the first call of a function. */
void
_PG_init(void)
{
	wflog_define_settings();
	if (process_shared_preload_libraries_in_progress)
	{
		wflog_shmem_init();
		wflog_park_init();
		wflog_ddl_hooks_init();
		wflog_launcher_register();
	}
	wflog_notify_init();
	wflog_queue_init();
}
