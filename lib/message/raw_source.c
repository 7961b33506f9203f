#include "message/raw.h"

/*
 * A raw message as a source: slices around what is left out, or, for a server that takes no 8-bit
 * bytes, the message with its parts encoded anew (recode.c). And a filter that leaves the same
 * ranges out of another source.
 */
#include <string.h>

#include "base/text.h"
#include "message/scan.h"
#include "message/source.h"

bool uvsmtp__mentions_binary(const char *bytes, size_t len)
{
  static const char name[] = "content-transfer-encoding", value[] = "binary";
  const char *at = bytes, *end = bytes + len;
  while (at != NULL) {
    const char *from = at;
    if ((size_t)(end - at) > sizeof(name) - 1 &&
        uvsmtp__ascii_equal(at, sizeof(name) - 1, name, sizeof(name) - 1)) {
      for (at += sizeof(name) - 1; at < end && strchr(": \t\r\n", *at) != NULL && *at != '\0';)
        at++;
      if ((size_t)(end - at) >= sizeof(value) - 1 &&
          uvsmtp__ascii_equal(at, sizeof(value) - 1, value, sizeof(value) - 1))
        return true;
    }
    at = memchr(from, '\n', (size_t)(end - from));
    at = at != NULL ? at + 1 : NULL;
  }
  return false;
}

/* Looks once at what will be sent. */
static void look(uvsmtp_raw_t *raw)
{
  for (size_t i = 0; i < raw->slice_count; i++) {
    const uvsmtp_slice_t *s = &raw->slices[i];
    if (uvsmtp__has_8bit(s->base, s->len))
      raw->has |= UVSMTP__RAW_8BIT;
    if ((raw->flags & UVSMTP_RAW_LONG_LINES) == 0 &&
        uvsmtp__long_line(s->base, s->len, UVSMTP__RAW_LINE) != 0)
      raw->has |= UVSMTP__RAW_LONG;
    if (uvsmtp__mentions_binary(s->base, s->len))
      raw->has |= UVSMTP__RAW_BINARY;
  }
}

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
  look(raw);
  return 0;
}

static uint64_t raw_length(const uvsmtp_source_t *source)
{
  const uvsmtp_raw_t *raw = source->data;
  uint64_t length = 0;
  for (size_t i = 0; i < raw->slice_count; i++)
    length += raw->slices[i].len;
  return length;
}

static int raw_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_raw_t *raw = source->data;
  unsigned why = raw->has;
  raw->detail[0] = '\0';
  source->at = 0;
  if ((target & UVSMTP_TARGET_8BITMIME) != 0)
    why &= ~(unsigned)UVSMTP__RAW_8BIT;
  *info = (uvsmtp_source_info_t){.length = 0};
  /* The body of a message that was fed is not here: the sender judges it. */
  if (!raw->fed && why != 0)
    return uvsmtp__recode_open((uvsmtp__recode_t **)&source->impl, raw, why, &info->length);
  info->content = UVSMTP_CONTENT_STABLE;
  info->length = raw_length(source);
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
    .length = raw_length,
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

/* Keeps what the whole message says of its failure. */
static int whole_failed(uvsmtp_raw_t *raw, uvsmtp_source_t *whole, int err)
{
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), err, "%s", uvsmtp__source_detail(whole));
}

static int filter_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_raw_t *raw = source->data;
  uvsmtp_source_t *whole = source->impl;
  int err;
  raw->detail[0] = '\0';
  whole->wake = filter_wake;
  whole->reader = source;
  err = whole->ops->open(whole, target, info);
  if (err == UVSMTP_PENDING)
    return err;
  if (err != 0) {
    whole->wake = NULL;
    return whole_failed(raw, whole, err);
  }
  raw->filter_at = 0;
  raw->filter_range = 0;
  raw->filter_rest = (uvsmtp_slice_t){NULL, 0};
  raw->filter_column = 0;
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

/* Counts how long the lines of the next piece are; false if one is too long. */
static bool filter_fits(uvsmtp_raw_t *raw, uvsmtp_slice_t piece)
{
  size_t first = 0, last = piece.len;
  if ((raw->flags & UVSMTP_RAW_LONG_LINES) != 0)
    return true;
  while (first < piece.len && first <= UVSMTP__RAW_LINE && piece.base[first] != '\r' &&
         piece.base[first] != '\n')
    first++;
  if (raw->filter_column + first > UVSMTP__RAW_LINE ||
      uvsmtp__long_line(piece.base + first, piece.len - first, UVSMTP__RAW_LINE) != 0)
    return false;
  while (last > first && piece.base[last - 1] != '\r' && piece.base[last - 1] != '\n')
    last--;
  raw->filter_column = piece.len - last + (first == piece.len ? raw->filter_column + first : 0);
  return true;
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
        return err == 0 || err == UVSMTP_PENDING ? err : whole_failed(raw, whole, err);
      }
    }
    *piece = filter_cut(raw);
  } while (piece->len == 0);
  if (filter_fits(raw, *piece))
    return 0;
  *piece = (uvsmtp_slice_t){NULL, 0};
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), UVSMTP_ELINETOOLONG,
                        "a line has over %d octets", UVSMTP__RAW_LINE);
}

static void filter_close(uvsmtp_source_t *source)
{
  uvsmtp_source_t *whole = source->impl;
  whole->wake = NULL;
  whole->ops->close(whole);
}

/* With what is left out, which is little. */
static uint64_t filter_length(const uvsmtp_source_t *source)
{
  return uvsmtp_source_length(source->impl);
}

static const uvsmtp_source_ops_t filter_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = filter_open,
    .next = filter_next,
    .close = filter_close,
    .detail = raw_source_detail,
    .length = filter_length,
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
