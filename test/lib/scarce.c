#include "scarce.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Whoever looks for secrets in a block that was never filled means it. */
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_DEFINED
#define VALGRIND_MAKE_MEM_DEFINED(block, size) ((void)(block), (void)(size))
#endif

/* What stands before each block. */
typedef union header_u {
  size_t size;
  max_align_t align;
} header_t;

static int refuses(scarce_t *scarce)
{
  scarce->count++;
  if (scarce->fail_at == 0)
    return 0;
  return scarce->for_good ? scarce->count >= scarce->fail_at : scarce->count == scarce->fail_at;
}

static int is_secret(const scarce_t *scarce, const void *block, size_t size)
{
  for (size_t i = 0; i < scarce->secret_count; i++)
    if (memmem(block, size, scarce->secrets[i].base, scarce->secrets[i].len) != NULL)
      return 1;
  return 0;
}

static void give_back(scarce_t *scarce, void *p)
{
  header_t *header = (header_t *)p - 1;
  scarce->held--;
  VALGRIND_MAKE_MEM_DEFINED(p, header->size);
  scarce->leaks += is_secret(scarce, p, header->size);
  free(header);
}

static void *take(scarce_t *scarce, size_t size)
{
  header_t *header = malloc(sizeof(*header) + size);
  if (header == NULL)
    return NULL;
  header->size = size;
  scarce->held++;
  return header + 1;
}

static void *scarce_malloc(void *ctx, size_t size)
{
  return refuses(ctx) ? NULL : take(ctx, size);
}

/* Always moves, as far as those can tell who use it. */
static void *scarce_realloc(void *ctx, void *old, size_t size)
{
  void *p = refuses(ctx) ? NULL : take(ctx, size);
  if (p != NULL && old != NULL) {
    size_t had = ((header_t *)old - 1)->size;
    memcpy(p, old, had < size ? had : size);
    give_back(ctx, old);
  }
  return p;
}

static void scarce_free(void *ctx, void *p)
{
  if (p != NULL)
    give_back(ctx, p);
}

void scarce_init(scarce_t *scarce, size_t fail_at)
{
  *scarce = (scarce_t){.fail_at = fail_at};
  scarce->mem = (uvsmtp_mem_t){scarce, scarce_malloc, scarce_realloc, scarce_free};
}

void scarce_watch(scarce_t *scarce, const void *secret, size_t len)
{
  assert(scarce->secret_count < SCARCE_SECRETS);
  scarce->secrets[scarce->secret_count++] = (uvsmtp_slice_t){secret, len};
}
