#include "message/raw.h"

/*
 * A raw message as a source: slices around what is left out, or, for a server that takes no 8-bit
 * bytes, the message with its parts encoded anew (recode.c). And a filter that leaves the same
 * ranges out of another source.
 */
#include <string.h>

#include "base/text.h"

static int make_slices(uvsmtp_raw_t *raw)
{
  size_t from = 0, n = 0;
  if (raw->slices != NULL)
    return 0;
  raw->slices = uvsmtp__calloc(&raw->mem, raw->omitted_count + 1, sizeof(*raw->slices));
  if (raw->slices == NULL)
    return UVSMTP_ENOMEM;
  for (size_t i = 0; i < raw->omitted_count; i++) {
    size_t start = (size_t)raw->omitted[i].offset;
    raw->slices[n++] = (uvsmtp_slice_t){raw->bytes + from, start - from};
    from = start + (size_t)raw->omitted[i].len;
  }
  raw->slices[n++] = (uvsmtp_slice_t){raw->bytes + from, raw->len - from};
  raw->slice_count = n;
  return 0;
}

static bool has_8bit(const uvsmtp_raw_t *raw)
{
  for (size_t i = 0; i < raw->slice_count; i++)
    if (uvsmtp__has_8bit(raw->slices[i].base, raw->slices[i].len))
      return true;
  return false;
}

static int raw_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_raw_t *raw = source->data;
  /* The body of a message that was fed is not here: the sender judges it. */
  if (!raw->fed && (target & UVSMTP_TARGET_8BITMIME) == 0 && has_8bit(raw)) {
    int err = uvsmtp__recode_open((uvsmtp__recode_t **)&source->impl, raw, info);
    if (err != 0)
      return err;
  } else {
    uint64_t length = 0;
    for (size_t i = 0; i < raw->slice_count; i++)
      length += raw->slices[i].len;
    *info = (uvsmtp_source_info_t){.length = length, .content = UVSMTP_CONTENT_STABLE};
  }
  source->at = 0;
  return 0;
}

static int raw_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  uvsmtp_raw_t *raw = source->data;
  if (source->impl != NULL)
    return uvsmtp__recode_next(source->impl, piece);
  *piece = (uvsmtp_slice_t){NULL, 0};
  while (source->at < raw->slice_count && piece->len == 0)
    *piece = raw->slices[source->at++];
  return 0;
}

static void raw_close(uvsmtp_source_t *source)
{
  uvsmtp__recode_close(source->impl);
  source->impl = NULL;
}

static const char *raw_source_detail(uvsmtp_source_t *source)
{
  return uvsmtp_raw_detail(source->data);
}

static const uvsmtp_source_ops_t raw_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = raw_open,
    .next = raw_next,
    .close = raw_close,
    .detail = raw_source_detail,
};

int uvsmtp_raw_source(uvsmtp_raw_t *raw, uvsmtp_source_t *source)
{
  int err = raw->complete ? make_slices(raw) : UVSMTP_ESTATE;
  if (err != 0)
    return err;
  memset(source, 0, sizeof(*source));
  source->ops = &raw_ops;
  source->data = raw;
  return 0;
}

/* ---- The filter ---- */

static void filter_wake(void *reader)
{
  uvsmtp_source_wake(reader);
}

static int filter_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_raw_t *raw = source->data;
  uvsmtp_source_t *whole = source->impl;
  int err;
  whole->wake = filter_wake;
  whole->reader = source;
  err = whole->ops->open(whole, target, info);
  if (err != 0 && err != UVSMTP_PENDING)
    whole->wake = NULL;
  if (err != 0)
    return err;
  raw->filter_at = 0;
  raw->filter_range = 0;
  raw->filter_rest = (uvsmtp_slice_t){NULL, 0};
  if (raw->omitted_count > 0) /* what was left out may have been all that was 8-bit */
    info->content &= ~(unsigned)UVSMTP_CONTENT_KNOWN;
  for (size_t i = 0; i < raw->omitted_count && info->length != UVSMTP_LENGTH_UNKNOWN; i++) {
    if (raw->omitted[i].offset + raw->omitted[i].len > info->length) {
      whole->wake = NULL;
      whole->ops->close(whole);
      return UVSMTP_ESOURCE; /* not the message that was read */
    }
  }
  for (size_t i = 0; i < raw->omitted_count && info->length != UVSMTP_LENGTH_UNKNOWN; i++)
    info->length -= raw->omitted[i].len;
  return 0;
}

/* Cuts what may be sent from the front of `rest`; an empty slice if nothing of it may. */
static uvsmtp_slice_t filter_cut(uvsmtp_raw_t *raw)
{
  uvsmtp_slice_t *rest = &raw->filter_rest, kept;
  const uvsmtp_range_t *range = NULL;
  uint64_t take = rest->len;
  bool skip = false;
  if (raw->filter_range < raw->omitted_count)
    range = &raw->omitted[raw->filter_range];
  if (range != NULL) {
    uint64_t stop = raw->filter_at < range->offset ? range->offset : range->offset + range->len;
    skip = raw->filter_at >= range->offset;
    if (take >= stop - raw->filter_at) {
      take = stop - raw->filter_at;
      if (skip)
        raw->filter_range++;
    }
  }
  kept = (uvsmtp_slice_t){rest->base, skip ? 0 : (size_t)take};
  rest->base += take;
  rest->len -= (size_t)take;
  raw->filter_at += take;
  return kept;
}

static int filter_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  uvsmtp_raw_t *raw = source->data;
  uvsmtp_source_t *whole = source->impl;
  do {
    if (raw->filter_rest.len == 0) {
      int err = whole->ops->next(whole, &raw->filter_rest);
      if (err != 0 || raw->filter_rest.len == 0) {
        *piece = (uvsmtp_slice_t){NULL, 0};
        return err;
      }
    }
    *piece = filter_cut(raw);
  } while (piece->len == 0);
  return 0;
}

static void filter_close(uvsmtp_source_t *source)
{
  uvsmtp_source_t *whole = source->impl;
  whole->wake = NULL;
  whole->ops->close(whole);
}

static const uvsmtp_source_ops_t filter_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = filter_open,
    .next = filter_next,
    .close = filter_close,
};

int uvsmtp_raw_filter(uvsmtp_raw_t *raw, uvsmtp_source_t *source, uvsmtp_source_t *whole)
{
  if (!raw->complete)
    return UVSMTP_ESTATE;
  memset(source, 0, sizeof(*source));
  source->ops = &filter_ops;
  source->data = raw;
  source->impl = whole;
  return 0;
}
