#ifndef TEST_LIB_SCARCE_H
#define TEST_LIB_SCARCE_H

#include "uvsmtp/base.h"

#define SCARCE_SECRETS 8

/*
 * An allocator that runs out: allocation number `fail_at`, counted from 1, fails, and so do all
 * behind it if `for_good`. 0 never fails. `held` counts blocks that were not given back, and
 * `leaks` those that were given back with a secret in them.
 */
typedef struct scarce_s {
  uvsmtp_mem_t mem;
  size_t count, fail_at, held, leaks;
  int for_good;
  uvsmtp_slice_t secrets[SCARCE_SECRETS];
  size_t secret_count;
} scarce_t;

void scarce_init(scarce_t *scarce, size_t fail_at);

/* From now on these bytes must have been wiped when a block is given back. */
void scarce_watch(scarce_t *scarce, const void *secret, size_t len);

#endif
