#include "message/raw.h"

/*
 * A raw message as a source: slices around what is left out, or, for a server that cannot take them
 * as they are, the message with its parts encoded anew (recode.c).
 */
#include <string.h>

#include "base/text.h"
#include "message/scan.h"

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
  uvsmtp__recode_t *recode = NULL;
  unsigned why = raw->has;
  int err;
  raw->detail[0] = '\0';
  source->at = 0;
  if ((target & UVSMTP_TARGET_8BITMIME) != 0)
    why &= ~(unsigned)UVSMTP__RAW_8BIT;
  *info = (uvsmtp_source_info_t){.length = 0};
  /* The body of a message that was fed is not here: the sender judges it. */
  if (!raw->fed && why != 0) {
    err = uvsmtp__recode_open(&recode, raw, why, &info->length);
    source->impl = recode;
    return err;
  }
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
