#ifndef UVSMTP_BASE_BUFFER_H
#define UVSMTP_BASE_BUFFER_H

#include <string.h>

#include "uvsmtp/base.h"

/*
 * A byte buffer that grows up to a maximum and never beyond: no buffer without a bound can be
 * declared. Bytes are appended at the end and taken from the front.
 */
typedef struct uvsmtp__buffer_s {
  const uvsmtp_mem_t *mem; /* borrowed */
  char *base;              /* NULL until the first byte */
  size_t start, end;       /* what is held lies in [start, end) */
  size_t size;             /* allocated */
  size_t max;              /* never more than this is held */
} uvsmtp__buffer_t;

void uvsmtp__buffer_init(uvsmtp__buffer_t *b, const uvsmtp_mem_t *mem, size_t max);
/* Releases the memory; the buffer is empty and can be used again. */
void uvsmtp__buffer_free(uvsmtp__buffer_t *b);
/* The same, overwriting what it held. */
void uvsmtp__buffer_wipe(uvsmtp__buffer_t *b);

/* Makes room for `len` more bytes: 0, UVSMTP_ETOOLONG beyond the maximum, UVSMTP_ENOMEM. */
int uvsmtp__buffer_reserve(uvsmtp__buffer_t *b, size_t len);
/* Appends, or fails as reserve does with nothing appended. */
int uvsmtp__buffer_append_slowly(uvsmtp__buffer_t *b, const void *bytes, size_t len);
static inline int uvsmtp__buffer_append(uvsmtp__buffer_t *b, const void *bytes, size_t len)
{
  if (len == 0 || len > b->size - b->end)
    return uvsmtp__buffer_append_slowly(b, bytes, len);
  memcpy(b->base + b->end, bytes, len);
  b->end += len;
  return 0;
}
static inline int uvsmtp__buffer_append_str(uvsmtp__buffer_t *b, const char *s)
{
  return uvsmtp__buffer_append(b, s, strlen(s));
}
/* Formats at the end, as printf; for cold paths. */
int uvsmtp__buffer_printf(uvsmtp__buffer_t *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline char *uvsmtp__buffer_data(const uvsmtp__buffer_t *b)
{
  return b->base + b->start;
}

static inline size_t uvsmtp__buffer_len(const uvsmtp__buffer_t *b)
{
  return b->end - b->start;
}

/* Takes `len` bytes from the front. */
void uvsmtp__buffer_consume(uvsmtp__buffer_t *b, size_t len);
static inline void uvsmtp__buffer_clear(uvsmtp__buffer_t *b)
{
  b->start = b->end = 0;
}

#endif
