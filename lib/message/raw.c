#include "uvsmtp/message.h"

/*
 * Raw messages: the header of a message that comes as bytes.
 *
 * Reading finds where the header ends, checks that it consists of fields, and notes the ranges
 * that are not to be sent; addresses are looked at only when an envelope is asked for. The bytes
 * are the caller's (uvsmtp_raw_read) or, after uvsmtp_raw_feed, a copy of the header alone, so
 * that a message of any size costs no more than its header.
 *
 * A field can be malformed in two ways: it is none (found while reading), or its addresses cannot
 * be read (found by uvsmtp_raw_envelope, in raw_envelope.c).
 */
#include <string.h>

#include "base/options.h"
#include "message/raw.h"

#define MAX_HEADER (1024 * 1024)
#define MAX_HELD (32 * 1024 * 1024)

int uvsmtp_raw_new(uvsmtp_raw_t **out, const uvsmtp_raw_options_t *options)
{
  uvsmtp_raw_options_t o;
  uvsmtp_raw_t *raw;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  *out = NULL;
  if (err != 0)
    return err;
  raw = uvsmtp__calloc(o.mem, 1, sizeof(*raw));
  if (raw == NULL)
    return UVSMTP_ENOMEM;
  raw->mem = *uvsmtp__mem(o.mem);
  raw->flags = o.flags;
  raw->max = o.max_header_bytes != 0 ? o.max_header_bytes : MAX_HEADER;
  raw->max_held = o.max_held_bytes != 0 ? o.max_held_bytes : MAX_HELD;
  uvsmtp__buffer_init(&raw->header, &raw->mem, raw->max);
  *out = raw;
  return 0;
}

void uvsmtp_raw_free(uvsmtp_raw_t *raw)
{
  uvsmtp_mem_t mem;
  if (raw == NULL)
    return;
  mem = raw->mem;
  uvsmtp__raw_drop_envelope(raw);
  uvsmtp__buffer_free(&raw->header);
  uvsmtp__free(&mem, raw->omitted);
  uvsmtp__free(&mem, raw->slices);
  uvsmtp__free(&mem, raw);
}

/* ---- Reading ---- */

/* "From ann@here.example Thu Jan …", and not the field "From : ann@here.example". */
static bool is_mbox_line(const char *bytes, size_t len)
{
  size_t at = 5;
  if (len < 5 || memcmp(bytes, "From ", 5) != 0)
    return false;
  while (at < len && (bytes[at] == ' ' || bytes[at] == '\t'))
    at++;
  return at == len || bytes[at] != ':';
}

/* Adds a range to those left out, or lengthens the last one if it reaches this. */
static int omit(uvsmtp_raw_t *raw, size_t start, size_t end)
{
  uvsmtp_range_t *last = raw->omitted_count > 0 ? &raw->omitted[raw->omitted_count - 1] : NULL;
  uvsmtp_range_t *grown;
  if (last != NULL && last->offset + last->len == start) {
    last->len = end - last->offset;
    return 0;
  }
  if ((raw->omitted_count & (raw->omitted_count - 1)) == 0) { /* a power of two is full */
    size_t room = raw->omitted_count != 0 ? 2 * raw->omitted_count : 1;
    grown = uvsmtp__realloc_array(&raw->mem, raw->omitted, room, sizeof(*grown));
    if (grown == NULL)
      return UVSMTP_ENOMEM;
    raw->omitted = grown;
  }
  raw->omitted[raw->omitted_count++] = (uvsmtp_range_t){start, end - start};
  return 0;
}

/* UTF-8's byte order mark, which some editors put in front of every text. */
static bool has_mark(const char *bytes, size_t len)
{
  return len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0;
}

/* A place at the first field, behind a byte order mark, or the From_ line of an mbox. */
uvsmtp__fields_t uvsmtp__raw_fields(const uvsmtp_raw_t *raw)
{
  uvsmtp__fields_t fields = {.bytes = raw->bytes, .len = raw->header_len};
  if (has_mark(raw->bytes, raw->header_len))
    fields.at = 3;
  if (is_mbox_line(raw->bytes, raw->header_len)) {
    while (fields.at < fields.len && raw->bytes[fields.at] != '\r' && raw->bytes[fields.at] != '\n')
      fields.at++;
    if (fields.at < fields.len && raw->bytes[fields.at++] == '\r' && fields.at < fields.len &&
        raw->bytes[fields.at] == '\n')
      fields.at++;
    fields.line = 1;
  }
  return fields;
}

/* The whole header is there: checks its fields and notes what is left out. */
static int complete(uvsmtp_raw_t *raw)
{
  uvsmtp__fields_t fields = uvsmtp__raw_fields(raw);
  uvsmtp__field_t field;
  int found, err = fields.at > 0 ? omit(raw, 0, fields.at) : 0;
  if (err != 0)
    return err;
  while ((found = uvsmtp__fields_next(&fields, &field, raw->detail, sizeof(raw->detail))) > 0) {
    if ((raw->flags & UVSMTP_RAW_KEEP_BCC) != 0 ||
        (!uvsmtp__field_is(&field, "Bcc") && !uvsmtp__field_is(&field, "Resent-Bcc")))
      continue;
    if ((err = omit(raw, field.start, field.end)) != 0)
      return err;
  }
  if (found < 0)
    return found;
  raw->complete = true;
  return 0;
}

static int too_long(uvsmtp_raw_t *raw)
{
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), UVSMTP_EHEADER,
                        "the header has over %zu bytes without the empty line that ends it",
                        raw->max);
}

int uvsmtp_raw_read(uvsmtp_raw_t *raw, const void *bytes, size_t len)
{
  size_t part = len < raw->max ? len : raw->max;
  if (raw->begun)
    return UVSMTP_ESTATE;
  raw->begun = true;
  raw->detail[0] = '\0';
  raw->bytes = bytes != NULL ? bytes : "";
  raw->len = len;
  if (!uvsmtp__header_end(&raw->end, raw->bytes, &part) && part < len)
    return too_long(raw);
  raw->header_len = part;
  return complete(raw);
}

int uvsmtp_raw_feed(uvsmtp_raw_t *raw, const void *bytes, size_t len, size_t *used)
{
  bool whole = len == 0;
  size_t part = len;
  int err;
  if (used != NULL)
    *used = 0;
  if (raw->complete || raw->failed || (raw->begun && !raw->fed))
    return UVSMTP_ESTATE;
  raw->begun = raw->fed = true;
  raw->detail[0] = '\0';
  if (!whole)
    whole = uvsmtp__header_end(&raw->end, bytes, &part);
  err = uvsmtp__buffer_append(&raw->header, bytes, part);
  if (err == UVSMTP_ETOOLONG)
    err = too_long(raw);
  if (err == 0) {
    if (used != NULL)
      *used = part;
    if (!whole)
      return UVSMTP_PENDING;
    raw->bytes = raw->header.base != NULL ? raw->header.base : "";
    raw->len = raw->header_len = uvsmtp__buffer_len(&raw->header);
    err = complete(raw);
  }
  raw->failed = err != 0;
  return err;
}

uint64_t uvsmtp_raw_body_offset(const uvsmtp_raw_t *raw)
{
  return raw->complete ? raw->header_len : 0;
}

const uvsmtp_range_t *uvsmtp_raw_omitted(const uvsmtp_raw_t *raw, size_t *count)
{
  *count = raw->omitted_count;
  return raw->omitted;
}

const char *uvsmtp_raw_detail(const uvsmtp_raw_t *raw)
{
  return raw->detail;
}
