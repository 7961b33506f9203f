#ifndef TEST_MESSAGE_SUPPORT_H
#define TEST_MESSAGE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uvsmtp/message.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An allocator that fails once, at allocation number `fail_at` (0: never), and counts. */
typedef struct {
  size_t fail_at, calls, live;
} failing_t;

static inline int failing_now(failing_t *f)
{
  return ++f->calls == f->fail_at;
}

static inline void *failing_malloc(void *ctx, size_t size)
{
  failing_t *f = ctx;
  if (failing_now(f))
    return NULL;
  f->live++;
  return malloc(size);
}

static inline void *failing_realloc(void *ctx, void *p, size_t size)
{
  failing_t *f = ctx;
  if (failing_now(f))
    return NULL;
  if (p == NULL)
    f->live++;
  return realloc(p, size != 0 ? size : 1);
}

static inline void failing_free(void *ctx, void *p)
{
  failing_t *f = ctx;
  if (p != NULL)
    f->live--;
  free(p);
}

#define FAILING_MEM(f)                                                                             \
  {                                                                                                \
    .ctx = (f), .malloc = failing_malloc, .realloc = failing_realloc, .free = failing_free         \
  }

/* A source that cannot be opened, or else not be read, and says why. `data` is which: 0 or 1. */
static inline int torn_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  return *(int *)source->data == 0 ? UVSMTP_ESOURCE : 0;
}

static inline int torn_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  return UVSMTP_ESOURCE;
}

static inline void torn_close(uvsmtp_source_t *source)
{
}

static inline const char *torn_detail(uvsmtp_source_t *source)
{
  return "the tape is torn";
}

static const uvsmtp_source_ops_t torn_ops = {
    .size = sizeof(torn_ops),
    .open = torn_open,
    .next = torn_next,
    .close = torn_close,
    .detail = torn_detail,
};

/* What a source gives from open to close, as a string that the caller frees. */
static inline char *slurp(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info,
                          size_t *len)
{
  uvsmtp_source_info_t unused;
  char *all = malloc(1);
  *len = 0;
  assert_int_equal(source->ops->open(source, target, info != NULL ? info : &unused), 0);
  for (;;) {
    uvsmtp_slice_t piece;
    assert_int_equal(source->ops->next(source, &piece), 0);
    if (piece.len == 0)
      break;
    all = realloc(all, *len + piece.len + 1);
    memcpy(all + *len, piece.base, piece.len);
    *len += piece.len;
  }
  source->ops->close(source);
  all[*len] = '\0';
  return all;
}

#endif
