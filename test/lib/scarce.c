#include "scarce.h"

#include <stdlib.h>

static int refuses(scarce_t *scarce)
{
  scarce->count++;
  if (scarce->fail_at == 0)
    return 0;
  return scarce->for_good ? scarce->count >= scarce->fail_at : scarce->count == scarce->fail_at;
}

static void *scarce_malloc(void *ctx, size_t size)
{
  scarce_t *scarce = ctx;
  void *p = refuses(scarce) ? NULL : malloc(size);
  scarce->held += p != NULL;
  return p;
}

static void *scarce_realloc(void *ctx, void *old, size_t size)
{
  scarce_t *scarce = ctx;
  void *p = refuses(scarce) ? NULL : realloc(old, size);
  scarce->held += p != NULL && old == NULL;
  return p;
}

static void scarce_free(void *ctx, void *p)
{
  scarce_t *scarce = ctx;
  scarce->held -= p != NULL;
  free(p);
}

void scarce_init(scarce_t *scarce, size_t fail_at)
{
  *scarce = (scarce_t){.fail_at = fail_at};
  scarce->mem = (uvsmtp_mem_t){scarce, scarce_malloc, scarce_realloc, scarce_free};
}
