#include "message/recode.h"

/*
 * The result of encoding anew: stretches, which grow from front to back and are then read. And what
 * asks whether bytes can go as they are.
 */
#include "base/text.h"
#include "message/scan.h"

/* The first omitted range that ends behind `from`. */
static size_t first_omitted(const uvsmtp_raw_t *raw, const char *from)
{
  size_t low = 0, high = raw->omitted_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const uvsmtp_range_t *range = &raw->omitted[middle];
    if (raw->bytes + range->offset + range->len <= from)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Calls `take` with what is left of a range when the omitted parts of the message are gone. */
static int each_kept(uvsmtp__recode_t *rc, const char *from, const char *to,
                     int (*take)(uvsmtp__recode_t *rc, const char *bytes, size_t len))
{
  const uvsmtp_raw_t *raw = rc->raw;
  int err = 0;
  for (size_t i = first_omitted(raw, from); i < raw->omitted_count && err == 0 && from < to; i++) {
    const char *start = raw->bytes + raw->omitted[i].offset;
    const char *end = start + raw->omitted[i].len;
    if (start >= to)
      break;
    if (start > from)
      err = take(rc, from, (size_t)(start - from));
    from = end < to ? end : to;
  }
  return err != 0 ? err : take(rc, from, (size_t)(to - from));
}

static int test_bytes(uvsmtp__recode_t *rc, const char *bytes, size_t len)
{
  return ((rc->why & UVSMTP__RAW_8BIT) != 0 && uvsmtp__has_8bit(bytes, len)) ||
         ((rc->why & UVSMTP__RAW_LONG) != 0 &&
          uvsmtp__long_line(bytes, len, UVSMTP__RAW_LINE) != 0);
}

static int test_8bit(uvsmtp__recode_t *rc, const char *bytes, size_t len)
{
  return uvsmtp__has_8bit(bytes, len);
}

bool uvsmtp__recode_must_change(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return each_kept(rc, from, to, test_bytes) != 0;
}

bool uvsmtp__recode_has_8bit(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return each_kept(rc, from, to, test_8bit) != 0;
}

int uvsmtp__recode_refuse(uvsmtp__recode_t *rc, const char *from, const char *to, const char *where)
{
  bool eight = (rc->why & UVSMTP__RAW_8BIT) != 0 && uvsmtp__recode_has_8bit(rc, from, to);
  bool line = !eight && uvsmtp__recode_must_change(rc, from, to);
  return uvsmtp__detail(rc->raw->detail, sizeof(rc->raw->detail),
                        line ? UVSMTP_ELINETOOLONG : UVSMTP_E8BIT, "%s %s",
                        line    ? "a line of over 998 octets"
                        : eight ? "8-bit bytes"
                                : "binary bytes",
                        where);
}

bool uvsmtp__recode_may_change(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return uvsmtp__recode_must_change(rc, from, to) ||
         ((rc->why & UVSMTP__RAW_BINARY) != 0 &&
          uvsmtp__mentions_binary(from, (size_t)(to - from)));
}

/* ---- writing ---- */

static bool is_white(char c)
{
  return c == '\r' || c == '\n' || c == ' ' || c == '\t';
}

static uint64_t rewrapped_length(const uvsmtp__stretch_t *s)
{
  uint64_t n = 0;
  for (size_t i = 0; i < s->len; i++)
    n += !is_white(s->bytes[i]);
  return n == 0 ? 0 : n + 2 * ((n - 1) / UVSMTP__B64_LINE_OUT);
}

static uint64_t stretch_length(const uvsmtp__stretch_t *s)
{
  switch (s->encoding) {
  case UVSMTP__STRETCH_QUOTED:
    return uvsmtp__qp_length(s->bytes, s->len);
  case UVSMTP__STRETCH_BASE64:
    return uvsmtp__b64_length(s->len);
  case UVSMTP__STRETCH_REWRAPPED:
    return rewrapped_length(s);
  default:
    return s->len;
  }
}

int uvsmtp__recode_add(uvsmtp__recode_t *rc, const char *bytes, size_t len,
                       uvsmtp__encoding_t encoding)
{
  uvsmtp__stretch_t *last = rc->count > 0 ? &rc->stretches[rc->count - 1] : NULL;
  if (len == 0)
    return 0;
  if (encoding == UVSMTP__STRETCH_AS_IT_IS && last != NULL &&
      last->encoding == UVSMTP__STRETCH_AS_IT_IS && last->bytes + last->len == bytes) {
    last->len += len;
    rc->length += len;
    return 0;
  }
  if (rc->count == rc->room) {
    size_t room = rc->room != 0 ? 2 * rc->room : 16;
    uvsmtp__stretch_t *grown =
        uvsmtp__realloc_array(&rc->raw->mem, rc->stretches, room, sizeof(*grown));
    if (grown == NULL)
      return UVSMTP_ENOMEM;
    rc->stretches = grown;
    rc->room = room;
  }
  rc->stretches[rc->count++] = (uvsmtp__stretch_t){bytes, len, encoding};
  rc->length += stretch_length(&rc->stretches[rc->count - 1]);
  return 0;
}

static int add_as_it_is(uvsmtp__recode_t *rc, const char *bytes, size_t len)
{
  return uvsmtp__recode_add(rc, bytes, len, UVSMTP__STRETCH_AS_IT_IS);
}

int uvsmtp__recode_keep(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return each_kept(rc, from, to, add_as_it_is);
}

int uvsmtp__recode_leave(uvsmtp__recode_t *rc, const char *from, const char *to, const char *where)
{
  return uvsmtp__recode_must_change(rc, from, to) ? uvsmtp__recode_refuse(rc, from, to, where)
                                                  : uvsmtp__recode_keep(rc, from, to);
}

/* ---- reading ---- */

/* Fills the chunk with base64 of other lines. */
static size_t rewrap_on(uvsmtp__recode_t *rc)
{
  size_t n = 0;
  for (; rc->in_len > 0 && UVSMTP__RECODE_CHUNK - n >= 3; rc->in++, rc->in_len--) {
    if (is_white((char)*rc->in))
      continue;
    if (rc->column == UVSMTP__B64_LINE_OUT) {
      memcpy(rc->chunk + n, "\r\n", 2);
      n += 2;
      rc->column = 0;
    }
    rc->chunk[n++] = (char)*rc->in;
    rc->column++;
  }
  return n;
}

static size_t encode(uvsmtp__recode_t *rc, const uvsmtp__stretch_t *s)
{
  size_t n;
  if (!rc->begun) {
    rc->begun = true;
    rc->qp = (uvsmtp__qp_t){.text = s->bytes, .len = s->len};
    rc->b64 = (uvsmtp__b64_t){.carried = 0};
    rc->in = (const unsigned char *)s->bytes;
    rc->in_len = s->len;
    rc->column = 0;
  }
  if (s->encoding == UVSMTP__STRETCH_REWRAPPED)
    return rewrap_on(rc);
  if (s->encoding == UVSMTP__STRETCH_QUOTED)
    return uvsmtp__qp_encode(&rc->qp, rc->chunk, UVSMTP__RECODE_CHUNK);
  n = rc->in_len > 0
          ? uvsmtp__b64_update(&rc->b64, &rc->in, &rc->in_len, rc->chunk, UVSMTP__RECODE_CHUNK)
          : 0;
  return n > 0 ? n : uvsmtp__b64_finish(&rc->b64, rc->chunk);
}

int uvsmtp__recode_next(uvsmtp__recode_t *rc, uvsmtp_slice_t *piece)
{
  *piece = (uvsmtp_slice_t){NULL, 0};
  while (rc->at < rc->count && piece->len == 0) {
    const uvsmtp__stretch_t *s = &rc->stretches[rc->at];
    if (s->encoding == UVSMTP__STRETCH_AS_IT_IS)
      *piece = (uvsmtp_slice_t){s->bytes, s->len};
    else
      *piece = (uvsmtp_slice_t){rc->chunk, encode(rc, s)};
    if (s->encoding != UVSMTP__STRETCH_AS_IT_IS && piece->len > 0)
      return 0;
    rc->begun = false;
    rc->at++;
  }
  return 0;
}
