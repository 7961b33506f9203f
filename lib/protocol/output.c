/*
 * What has to be written: a list of segments. Commands and short pieces of contents are copied into
 * one bounded buffer; longer pieces stay where the caller has them. While slices are in the
 * caller's hands the buffer does not move, so it may be full for that while.
 */
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "protocol/machine.h"

#define FIRST_BYTES 1024
#define FIRST_SEGMENTS 16

/* The segments that lie in the buffer go with it. */
static void move_segments(output_t *out, const char *to)
{
  for (size_t i = out->first; i < out->count; i++) {
    uintptr_t at = (uintptr_t)out->segments[i].base - (uintptr_t)out->bytes;
    if (out->bytes != NULL && at < out->used)
      out->segments[i].base = to + at;
  }
}

static int grow_bytes(uvsmtp_protocol_t *p, size_t octets)
{
  output_t *out = &p->talk->out;
  size_t size = out->size != 0 ? out->size : FIRST_BYTES;
  char *bytes;
  if (octets <= out->size - out->used)
    return 0;
  if (out->lent || out->used + octets > p->shared->options.max_output)
    return UVSMTP_EQUEUEFULL;
  while (size < out->used + octets)
    size *= 2;
  bytes = uvsmtp__malloc(&p->shared->mem, size);
  if (bytes == NULL)
    return UVSMTP_ENOMEM;
  if (out->used > 0)
    memcpy(bytes, out->bytes, out->used);
  move_segments(out, bytes);
  if (out->secret)
    uvsmtp__wipe(out->bytes, out->used);
  uvsmtp__free(&p->shared->mem, out->bytes);
  out->bytes = bytes;
  out->size = size;
  return 0;
}

static int grow_segments(uvsmtp_protocol_t *p, size_t more)
{
  output_t *out = &p->talk->out;
  size_t capacity = out->capacity != 0 ? out->capacity : FIRST_SEGMENTS;
  uvsmtp_slice_t *segments;
  if (more <= out->capacity - out->count)
    return 0;
  if (out->first > 0) {
    memmove(out->segments, out->segments + out->first,
            (out->count - out->first) * sizeof(*out->segments));
    out->count -= out->first;
    out->first = 0;
    if (more <= out->capacity - out->count)
      return 0;
  }
  while (capacity < out->count + more)
    capacity *= 2;
  if (capacity > p->shared->options.max_output / 16)
    return UVSMTP_EQUEUEFULL;
  segments = uvsmtp__realloc_array(&p->shared->mem, out->segments, capacity, sizeof(*segments));
  if (segments == NULL)
    return UVSMTP_ENOMEM;
  out->segments = segments;
  out->capacity = capacity;
  return 0;
}

int uvsmtp__out_grow(uvsmtp_protocol_t *p, size_t octets, size_t segments)
{
  int err = uvsmtp__talk_wake(p);
  if (err == 0)
    err = grow_segments(p, segments);
  return err != 0 ? err : grow_bytes(p, octets);
}

void uvsmtp__out_bytes(uvsmtp_protocol_t *p, const char *bytes, size_t len)
{
  assert(len <= p->talk->out.size - p->talk->out.used);
  if (len == 0)
    return;
  memcpy(uvsmtp__out_room(p), bytes, len);
  uvsmtp__out_filled(p, len);
}

static void forget_bytes(output_t *out)
{
  if (out->secret)
    uvsmtp__wipe(out->bytes, out->used);
  out->secret = false;
  out->used = 0;
}

void uvsmtp__out_free(uvsmtp_protocol_t *p)
{
  output_t *out = &p->talk->out;
  forget_bytes(out);
  uvsmtp__free(&p->shared->mem, out->bytes);
  uvsmtp__free(&p->shared->mem, out->segments);
  out->bytes = NULL;
  out->segments = NULL;
  out->size = out->capacity = out->first = out->count = 0;
}

size_t uvsmtp_protocol_output(uvsmtp_protocol_t *p, uvsmtp_slice_t *slices, size_t max)
{
  output_t *out = &p->talk->out;
  size_t n = out->count - out->first;
  if (n == 0) /* the output may be at rest */
    return 0;
  if (n > max)
    n = max;
  for (size_t i = 0; i < n; i++)
    slices[i] = out->segments[out->first + i];
  out->lent = n > 0;
  return n;
}

size_t uvsmtp_protocol_output_len(const uvsmtp_protocol_t *p)
{
  return p->issued - p->sent;
}

/* The first `len` octets, and not all, have left. */
static void take_segments(output_t *out, size_t len)
{
  uvsmtp_slice_t *s = &out->segments[out->first];
  while (len >= s->len)
    len -= s++->len;
  s->base += len;
  s->len -= len;
  out->first = (size_t)(s - out->segments);
}

void uvsmtp_protocol_sent(uvsmtp_protocol_t *p, size_t len, uint64_t now_ms)
{
  output_t *out = &p->talk->out;
  assert(len <= p->issued - p->sent);
  p->now_ms = now_ms;
  if (out->lent)
    out->lent = false;
  if (len == 0)
    return;
  p->progress_ms = now_ms;
  p->fresh = false;
  p->sent += len;
  if (p->sent == p->issued) {
    out->first = out->count = 0;
    forget_bytes(out);
  } else {
    take_segments(out, len);
  }
}

uint64_t uvsmtp_protocol_issued(const uvsmtp_protocol_t *p)
{
  return p->issued;
}

uint64_t uvsmtp_protocol_total_sent(const uvsmtp_protocol_t *p)
{
  return p->sent;
}
