#ifndef TEST_LIB_SCARCE_H
#define TEST_LIB_SCARCE_H

#include "uvsmtp/base.h"

/*
 * An allocator that runs out: allocation number `fail_at`, counted from 1, fails, and so do all
 * behind it if `for_good`. 0 never fails. `held` counts blocks that were not given back.
 */
typedef struct scarce_s {
  uvsmtp_mem_t mem;
  size_t count, fail_at, held;
  int for_good;
} scarce_t;

void scarce_init(scarce_t *scarce, size_t fail_at);

#endif
