#include "message/source.h"

/*
 * The two sources that lie in memory. They give their buffers as they are, so that a body is sent
 * from where it lies; what the bytes contain is left to the sender, which scans them anyway.
 */
#include <stddef.h>
#include <string.h>

/* A source in one piece is a list of one that lies in the source itself, which may be moved before
 * it is used: so its address is taken late. */
static const uvsmtp_slice_t *slices_of(const uvsmtp_source_t *source)
{
  return source->slices != NULL ? source->slices : &source->one;
}

static uint64_t memory_length(const uvsmtp_source_t *source)
{
  const uvsmtp_slice_t *slices = slices_of(source);
  uint64_t length = 0;
  for (size_t i = 0; i < source->count; i++)
    length += slices[i].len;
  return length;
}

static int memory_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  *info = (uvsmtp_source_info_t){.length = memory_length(source), .content = UVSMTP_CONTENT_STABLE};
  source->at = 0;
  return 0;
}

static int memory_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  const uvsmtp_slice_t *slices = slices_of(source);
  *piece = (uvsmtp_slice_t){NULL, 0};
  while (source->at < source->count && piece->len == 0)
    *piece = slices[source->at++];
  return 0;
}

static void memory_close(uvsmtp_source_t *source)
{
  source->at = 0;
}

static bool memory_whole(const uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  if (source->count != 1)
    return false;
  *piece = *slices_of(source);
  return true;
}

static const uvsmtp_source_ops_t memory_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = memory_open,
    .next = memory_next,
    .close = memory_close,
    .length = memory_length,
    .whole = memory_whole,
};

void uvsmtp_source_memory(uvsmtp_source_t *source, const void *bytes, size_t len)
{
  memset(source, 0, sizeof(*source));
  source->ops = &memory_ops;
  source->one = (uvsmtp_slice_t){bytes, len};
  source->count = 1;
}

void uvsmtp_source_buffers(uvsmtp_source_t *source, const uvsmtp_slice_t *slices, size_t count)
{
  memset(source, 0, sizeof(*source));
  source->ops = &memory_ops;
  source->slices = slices;
  source->count = slices != NULL ? count : 0;
}

/* A table made by an older header ends before what was added since. */
#define HAS_OP(ops, op)                                                                            \
  ((ops)->size >= offsetof(uvsmtp_source_ops_t, op) + sizeof((ops)->op) && (ops)->op != NULL)

uint64_t uvsmtp_source_length(const uvsmtp_source_t *source)
{
  return HAS_OP(source->ops, length) ? source->ops->length(source) : UVSMTP_LENGTH_UNKNOWN;
}

const char *uvsmtp__source_detail(uvsmtp_source_t *source)
{
  return HAS_OP(source->ops, detail) ? source->ops->detail(source) : "";
}

void uvsmtp_source_wake(uvsmtp_source_t *source)
{
  if (source->wake != NULL)
    source->wake(source->reader);
}
