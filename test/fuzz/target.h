/*
 * What a target of libFuzzer has for its driver; see driver.c.
 */
#ifndef WFLOG_FUZZ_TARGET_H
#define WFLOG_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern long fuzz_accepted;		/* inputs that were good */
extern const char *const fuzz_likely;	/* bytes that matter */

#endif							/* WFLOG_FUZZ_TARGET_H */
