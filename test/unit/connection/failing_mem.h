#ifndef UVSMTP_TEST_FAILING_MEM_H
#define UVSMTP_TEST_FAILING_MEM_H

#include <stdlib.h>

#include "uvsmtp/base.h"

/* An allocator that counts what is out, and fails at the `fail_at`th call (0: never). */
typedef struct failing_mem_s {
  uvsmtp_mem_t mem;
  int calls, fail_at, live;
} failing_mem_t;

static inline void *failing_realloc(void *ctx, void *p, size_t size)
{
  failing_mem_t *m = ctx;
  void *to;
  if (++m->calls == m->fail_at)
    return NULL;
  to = realloc(p, size);
  if (p == NULL && to != NULL)
    m->live++;
  return to;
}

static inline void *failing_malloc(void *ctx, size_t size)
{
  return failing_realloc(ctx, NULL, size);
}

static inline void failing_free(void *ctx, void *p)
{
  failing_mem_t *m = ctx;
  if (p != NULL)
    m->live--;
  free(p);
}

static inline void failing_mem_init(failing_mem_t *m, int fail_at)
{
  *m = (failing_mem_t){{m, failing_malloc, failing_realloc, failing_free}, 0, fail_at, 0};
}

#endif
