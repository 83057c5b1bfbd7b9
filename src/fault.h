/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  Places where tests can make things go slowly or wrong.
 *
 * Compiled only with -DWFLOG_FAULTS (make FAULTS=1); otherwise nothing is left
 * of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_FAULT_H
#define WFLOG_FAULT_H

#ifdef WFLOG_FAULTS

extern void wflog_define_fault_setting(void);
extern bool wflog_fault(const char *place);

/* Sleep or fail here, if wflog.fault says so. */
#define FAULT_POINT(place) ((void) wflog_fault(place))

/* Is something to be taken for so that is not? */
#define FAULT_TRUE(place) wflog_fault(place)

#else

#define FAULT_POINT(place) ((void) 0)
#define FAULT_TRUE(place) false

#endif

#endif							/* WFLOG_FAULT_H */
