#include "message/raw.h"

/*
 * A filter that leaves out of another source what is not sent of a raw message.
 *
 * For a server that takes no 8-bit bytes the message is looked through first, while the filter is
 * being opened. One that has such, or lines that are too long, is then read into memory, and is
 * like one that was read (raw_source.c): its parts are encoded anew. One that can be read only once
 * is read into memory at once; if it is too long for that, what there is of it is given from there.
 */
#include <string.h>

#include "base/text.h"
#include "message/scan.h"
#include "message/source.h"

static void filter_wake(void *reader)
{
  uvsmtp_source_wake(reader);
}

static void close_whole(uvsmtp_raw_t *raw, uvsmtp_source_t *whole)
{
  if (!raw->filter.whole_open)
    return;
  raw->filter.whole_open = false;
  whole->wake = NULL;
  whole->ops->close(whole);
}

/* Ends a reading, wherever it stands. */
static void filter_stop(uvsmtp_raw_t *raw, uvsmtp_source_t *whole)
{
  uvsmtp__filter_t *f = &raw->filter;
  close_whole(raw, whole);
  if (f->held_open)
    f->held.ops->close(&f->held);
  uvsmtp_raw_free(f->held_raw);
  uvsmtp__buffer_free(&f->bytes);
  *f = (uvsmtp__filter_t){.phase = UVSMTP__FILTER_CLOSED};
}

/* Keeps what the whole message says of its failure. */
static int whole_failed(uvsmtp_raw_t *raw, uvsmtp_source_t *whole, int err)
{
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), err, "%s", uvsmtp__source_detail(whole));
}

/* Counts how long the lines of the next piece are; false if one is too long. */
static bool filter_fits(uvsmtp_raw_t *raw, uvsmtp_slice_t piece)
{
  uvsmtp__filter_t *f = &raw->filter;
  size_t first = 0, last = piece.len;
  if ((raw->flags & UVSMTP_RAW_LONG_LINES) != 0)
    return true;
  while (first < piece.len && first <= UVSMTP__RAW_LINE && piece.base[first] != '\r' &&
         piece.base[first] != '\n')
    first++;
  if (f->column + first > UVSMTP__RAW_LINE ||
      uvsmtp__long_line(piece.base + first, piece.len - first, UVSMTP__RAW_LINE) != 0)
    return false;
  while (last > first && piece.base[last - 1] != '\r' && piece.base[last - 1] != '\n')
    last--;
  f->column = piece.len - last + (first == piece.len ? f->column + first : 0);
  return true;
}

/* ---- Opening ---- */

static bool is_7bit(const uvsmtp_source_info_t *info)
{
  return (info->content & (UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_8BIT)) == UVSMTP_CONTENT_KNOWN;
}

/* Opens the whole message, for the first time to see what has to be done. */
static int open_whole(uvsmtp_source_t *source, unsigned target)
{
  uvsmtp_raw_t *raw = source->data;
  uvsmtp_source_t *whole = source->impl;
  uvsmtp__filter_t *f = &raw->filter;
  bool pass = (target & UVSMTP_TARGET_8BITMIME) != 0;
  int err;
  raw->detail[0] = '\0';
  whole->wake = filter_wake;
  whole->reader = source;
  err = whole->ops->open(whole, target, &f->info);
  f->whole_open = err == 0 || err == UVSMTP_PENDING;
  if (!f->whole_open) {
    whole->wake = NULL;
    return whole_failed(raw, whole, err);
  }
  if (err == UVSMTP_PENDING)
    return err;
  uvsmtp__buffer_init(&f->bytes, &raw->mem, raw->max_held);
  f->column = 0;
  f->phase = f->next != UVSMTP__FILTER_CLOSED               ? f->next
             : pass || is_7bit(&f->info)                    ? UVSMTP__FILTER_PASSING
             : (f->info.content & UVSMTP_CONTENT_ONCE) != 0 ? UVSMTP__FILTER_HOLDING
                                                            : UVSMTP__FILTER_LOOKING;
  return 0;
}

static int not_the_same(uvsmtp_raw_t *raw)
{
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), UVSMTP_ESOURCE,
                        "not the message whose header was read");
}

/* Whether what is held begins with the header that was read. */
static bool is_same(const uvsmtp_raw_t *raw)
{
  const uvsmtp__buffer_t *bytes = &raw->filter.bytes;
  return uvsmtp__buffer_len(bytes) >= raw->header_len &&
         (raw->header_len == 0 || memcmp(bytes->base, raw->bytes, raw->header_len) == 0);
}

/* All of it is held: it is a message in memory from now on. */
static int open_held(uvsmtp_raw_t *raw, unsigned target)
{
  uvsmtp__filter_t *f = &raw->filter;
  uvsmtp_raw_options_t o = UVSMTP_RAW_OPTIONS_INIT;
  unsigned once = f->info.content & UVSMTP_CONTENT_ONCE;
  int err;
  if (!is_same(raw))
    return not_the_same(raw);
  o.mem = &raw->mem;
  o.flags = raw->flags;
  o.max_header_bytes = raw->max;
  if ((err = uvsmtp_raw_new(&f->held_raw, &o)) != 0)
    return err;
  err = uvsmtp_raw_read(f->held_raw, f->bytes.base, uvsmtp__buffer_len(&f->bytes));
  if (err == 0 && (err = uvsmtp_raw_source(f->held_raw, &f->held)) == 0 &&
      (err = f->held.ops->open(&f->held, target, &f->info)) == 0)
    f->held_open = true;
  if (err != 0)
    return uvsmtp__detail(raw->detail, sizeof(raw->detail), err, "%s",
                          uvsmtp_raw_detail(f->held_raw));
  f->info.content |= once;
  f->phase = UVSMTP__FILTER_HELD;
  return 0;
}

/* It is too long to be held: goes on as it stands if it can, with what there is of it in front. */
static int give_up_holding(uvsmtp_raw_t *raw, uvsmtp_slice_t piece)
{
  uvsmtp__filter_t *f = &raw->filter;
  uvsmtp_slice_t held = {f->bytes.base, uvsmtp__buffer_len(&f->bytes)};
  if (uvsmtp__has_8bit(held.base, held.len) || uvsmtp__has_8bit(piece.base, piece.len))
    f->fault = UVSMTP_E8BIT;
  if (f->fault != 0)
    return uvsmtp__detail(raw->detail, sizeof(raw->detail), f->fault,
                          "%s in a message of over %zu octets, which is too long to be held and "
                          "encoded anew",
                          f->fault == UVSMTP_E8BIT ? "8-bit bytes" : "a line of over 998 octets",
                          raw->max_held);
  f->rest = held;
  f->after = piece;
  f->phase = UVSMTP__FILTER_PASSING;
  return 0;
}

/* Looks whether it can go as it stands, and has it opened anew for what is to be done then. */
static int look_on(uvsmtp_raw_t *raw, uvsmtp_source_t *whole)
{
  uvsmtp__filter_t *f = &raw->filter;
  while (f->fault == 0) {
    uvsmtp_slice_t piece;
    int err = whole->ops->next(whole, &piece);
    if (err != 0)
      return err == UVSMTP_PENDING ? err : whole_failed(raw, whole, err);
    if (piece.len == 0)
      break;
    if (uvsmtp__has_8bit(piece.base, piece.len))
      f->fault = UVSMTP_E8BIT;
    else if (!filter_fits(raw, piece))
      f->fault = UVSMTP_ELINETOOLONG;
  }
  close_whole(raw, whole);
  f->next = f->fault != 0 ? UVSMTP__FILTER_HOLDING : UVSMTP__FILTER_PASSING;
  f->phase = UVSMTP__FILTER_CLOSED;
  return 0;
}

static int hold_on(uvsmtp_raw_t *raw, uvsmtp_source_t *whole, unsigned target)
{
  uvsmtp__filter_t *f = &raw->filter;
  while (f->phase == UVSMTP__FILTER_HOLDING) {
    uvsmtp_slice_t piece;
    int err = whole->ops->next(whole, &piece);
    if (err != 0)
      return err == UVSMTP_PENDING ? err : whole_failed(raw, whole, err);
    if (piece.len == 0)
      return open_held(raw, target);
    err = uvsmtp__buffer_append(&f->bytes, piece.base, piece.len);
    if (err == UVSMTP_ETOOLONG)
      err = give_up_holding(raw, piece);
    if (err != 0)
      return err;
  }
  return 0;
}

/* What the bytes that pass will be, without those that are left out. */
static int fill_info(uvsmtp_raw_t *raw, uvsmtp_source_info_t *info)
{
  *info = raw->filter.info;
  if (raw->filter.phase == UVSMTP__FILTER_HELD)
    return 0;
  if (raw->omitted_count > 0) /* what was left out may have been all that was 8-bit */
    info->content &= ~(unsigned)UVSMTP_CONTENT_KNOWN;
  for (size_t i = 0; i < raw->omitted_count && info->length != UVSMTP_LENGTH_UNKNOWN; i++)
    if (raw->omitted[i].offset + raw->omitted[i].len > raw->filter.info.length)
      return not_the_same(raw);
    else
      info->length -= raw->omitted[i].len;
  return 0;
}

static int filter_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_raw_t *raw = source->data;
  int err = 0;
  while (err == 0 && raw->filter.phase < UVSMTP__FILTER_HELD)
    err = raw->filter.phase == UVSMTP__FILTER_CLOSED    ? open_whole(source, target)
          : raw->filter.phase == UVSMTP__FILTER_LOOKING ? look_on(raw, source->impl)
                                                        : hold_on(raw, source->impl, target);
  if (err == 0)
    err = fill_info(raw, info);
  if (err != 0 && err != UVSMTP_PENDING)
    filter_stop(raw, source->impl);
  return err;
}

/* ---- Reading ---- */

/* Cuts what may be sent from the front of `rest`; an empty slice if nothing of it may. */
static uvsmtp_slice_t filter_cut(uvsmtp_raw_t *raw)
{
  uvsmtp__filter_t *f = &raw->filter;
  uvsmtp_slice_t *rest = &f->rest, kept;
  const uvsmtp_range_t *range = NULL;
  uint64_t take = rest->len;
  bool skip = false;
  if (f->range < raw->omitted_count)
    range = &raw->omitted[f->range];
  if (range != NULL) {
    uint64_t stop = f->at < range->offset ? range->offset : range->offset + range->len;
    skip = f->at >= range->offset;
    if (take >= stop - f->at) {
      take = stop - f->at;
      if (skip)
        f->range++;
    }
  }
  kept = (uvsmtp_slice_t){rest->base, skip ? 0 : (size_t)take};
  rest->base += take;
  rest->len -= (size_t)take;
  f->at += take;
  return kept;
}

/* The next piece of the whole message: perhaps one that was too much to be held. */
static int next_rest(uvsmtp_raw_t *raw, uvsmtp_source_t *whole)
{
  uvsmtp__filter_t *f = &raw->filter;
  int err;
  if (f->after.len > 0) {
    f->rest = f->after;
    f->after.len = 0;
    return 0;
  }
  err = whole->ops->next(whole, &f->rest);
  return err == 0 || err == UVSMTP_PENDING ? err : whole_failed(raw, whole, err);
}

static int filter_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  uvsmtp_raw_t *raw = source->data;
  uvsmtp__filter_t *f = &raw->filter;
  if (f->phase == UVSMTP__FILTER_HELD)
    return f->held.ops->next(&f->held, piece);
  *piece = (uvsmtp_slice_t){NULL, 0};
  do {
    int err = f->rest.len == 0 ? next_rest(raw, source->impl) : 0;
    if (err != 0 || f->rest.len == 0)
      return err;
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
  filter_stop(source->data, source->impl);
}

static const char *filter_detail(uvsmtp_source_t *source)
{
  return uvsmtp_raw_detail(source->data);
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
    .detail = filter_detail,
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
