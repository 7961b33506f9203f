#ifndef SCARCE_H
#define SCARCE_H

#include <stdlib.h>

#include "uvsmtp/base.h"

/* An allocator that fails once, at the allocation with the number `fail_at`, and counts. */
typedef struct scarce_s {
  size_t count, fail_at;
  long held; /* allocations that were not freed */
} scarce_t;

static inline void *scarce_realloc(void *ctx, void *p, size_t size)
{
  scarce_t *scarce = ctx;
  if (++scarce->count == scarce->fail_at)
    return NULL;
  scarce->held += p == NULL;
  return realloc(p, size);
}

static inline void *scarce_malloc(void *ctx, size_t size)
{
  return scarce_realloc(ctx, NULL, size);
}

static inline void scarce_free(void *ctx, void *p)
{
  scarce_t *scarce = ctx;
  scarce->held -= p != NULL;
  free(p);
}

#endif
