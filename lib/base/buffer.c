#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

#define FIRST_SIZE 256

void uvsmtp__buffer_init(uvsmtp__buffer_t *b, const uvsmtp_mem_t *mem, size_t max)
{
  *b = (uvsmtp__buffer_t){.mem = mem, .max = max};
}

void uvsmtp__buffer_free(uvsmtp__buffer_t *b)
{
  uvsmtp__free(b->mem, b->base);
  uvsmtp__buffer_init(b, b->mem, b->max);
}

void uvsmtp__buffer_wipe(uvsmtp__buffer_t *b)
{
  if (b->base != NULL)
    uvsmtp__wipe(b->base, b->size);
  uvsmtp__buffer_free(b);
}

/* Doubles, so that appending costs constant time each; moves by copy, so that wipe can follow. */
static int grow(uvsmtp__buffer_t *b, size_t need)
{
  size_t size = b->size != 0 ? b->size : FIRST_SIZE < b->max ? FIRST_SIZE : b->max;
  char *base;
  while (size < need)
    size = size > b->max / 2 ? b->max : size * 2;
  base = uvsmtp__malloc(b->mem, size);
  if (base == NULL)
    return UVSMTP_ENOMEM;
  if (b->base != NULL) {
    memcpy(base, b->base + b->start, uvsmtp__buffer_len(b));
    uvsmtp__wipe(b->base, b->size);
    uvsmtp__free(b->mem, b->base);
  }
  b->end -= b->start;
  b->start = 0;
  b->base = base;
  b->size = size;
  return 0;
}

int uvsmtp__buffer_reserve(uvsmtp__buffer_t *b, size_t len)
{
  size_t held = uvsmtp__buffer_len(b);
  if (len > b->max - held)
    return UVSMTP_ETOOLONG;
  if (len <= b->size - b->end)
    return 0;
  if (held + len <= b->size && b->start >= b->size / 2) {
    memmove(b->base, b->base + b->start, held);
    b->start = 0;
    b->end = held;
    return 0;
  }
  return grow(b, held + len);
}

int uvsmtp__buffer_append_slowly(uvsmtp__buffer_t *b, const void *bytes, size_t len)
{
  int err = uvsmtp__buffer_reserve(b, len);
  if (err != 0 || len == 0)
    return err;
  memcpy(b->base + b->end, bytes, len);
  b->end += len;
  return 0;
}

int uvsmtp__buffer_printf(uvsmtp__buffer_t *b, const char *format, ...)
{
  va_list args;
  int len, err;
  va_start(args, format);
  len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (len < 0)
    return UVSMTP_EINVAL;
  err = uvsmtp__buffer_reserve(b, (size_t)len + 1);
  if (err != 0)
    return err;
  va_start(args, format);
  vsnprintf(b->base + b->end, (size_t)len + 1, format, args);
  va_end(args);
  b->end += (size_t)len;
  return 0;
}

void uvsmtp__buffer_consume(uvsmtp__buffer_t *b, size_t len)
{
  assert(len <= uvsmtp__buffer_len(b));
  b->start += len;
  if (b->start == b->end)
    b->start = b->end = 0;
}
