#include "message/raw.h"

/*
 * A raw message whose bytes cannot go as they are: 8-bit ones to a server without 8BITMIME (RFC
 * 6152 section 3), lines of over 998 octets, or binary parts, whose bare CR and LF would be taken
 * for line ends. Every part that has such is encoded anew, quoted-printable if it is text, else
 * base64; base64 in lines that are too long gets new ones; all other bytes stay where they are. The
 * result is a list of stretches: slices of the message, written fields, and contents that run
 * through an encoder while they are read.
 *
 * It is refused, with the reason,
 *   - in a header, which only SMTPUTF8 could carry;
 *   - where a signature would break: under DKIM, inside multipart/signed, and in what is encrypted;
 *   - where the message is not what its fields say: a content that is 8-bit though it is base64, a
 *     multipart without boundary, text outside its parts.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "message/arena.h"
#include "message/encode.h"
#include "message/scan.h"

#define MAX_DEPTH 50
#define UNDER_DKIM "under a DKIM signature, which a change would break"
#define CHUNK (256 * (UVSMTP__B64_LINE_OUT + 2))

typedef enum { AS_IT_IS, QUOTED, BASE64, REWRAPPED } encoding_t;

typedef struct {
  const char *bytes;
  size_t len;
  encoding_t encoding;
} stretch_t;

struct uvsmtp__recode_s {
  uvsmtp_raw_t *raw;
  unsigned why; /* bits of UVSMTP__RAW_… */
  uvsmtp__arena_t arena;
  stretch_t *stretches;
  size_t count, room, at;
  uint64_t length;
  bool is_signed;

  /* reading */
  bool begun;
  uvsmtp__qp_t qp;
  uvsmtp__b64_t b64;
  const unsigned char *in;
  size_t in_len, column;
  char chunk[CHUNK];
};

/* What the header of a part says of its content. */
typedef struct {
  const char *start, *body, *end; /* of the part; the header with its empty line up to `body` */
  char type[80];                  /* lower case; "text/plain" if unsaid */
  char boundary[80];
  char encoding[20]; /* lower case; "" if unsaid */
} entity_t;

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

/* Whether bytes, whole lines, cannot go as they are. */
static bool must_change(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return each_kept(rc, from, to, test_bytes) != 0;
}

/* Refuses to change bytes: says what they have, and where that is. */
static int refuse(uvsmtp__recode_t *rc, const char *from, const char *to, const char *where)
{
  bool eight = (rc->why & UVSMTP__RAW_8BIT) != 0 && each_kept(rc, from, to, test_8bit) != 0;
  bool line = !eight && must_change(rc, from, to);
  return uvsmtp__detail(rc->raw->detail, sizeof(rc->raw->detail),
                        line ? UVSMTP_ELINETOOLONG : UVSMTP_E8BIT, "%s %s",
                        line    ? "a line of over 998 octets"
                        : eight ? "8-bit bytes"
                                : "binary bytes",
                        where);
}

/* Whether there may be something in a range that cannot go as it is. */
static bool may_change(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return must_change(rc, from, to) || ((rc->why & UVSMTP__RAW_BINARY) != 0 &&
                                       uvsmtp__mentions_binary(from, (size_t)(to - from)));
}

/* ---- Stretches ---- */

static bool is_white(char c)
{
  return c == '\r' || c == '\n' || c == ' ' || c == '\t';
}

static uint64_t rewrapped_length(const stretch_t *s)
{
  uint64_t n = 0;
  for (size_t i = 0; i < s->len; i++)
    n += !is_white(s->bytes[i]);
  return n == 0 ? 0 : n + 2 * ((n - 1) / UVSMTP__B64_LINE_OUT);
}

static uint64_t stretch_length(const stretch_t *s)
{
  switch (s->encoding) {
  case QUOTED:
    return uvsmtp__qp_length(s->bytes, s->len);
  case BASE64:
    return uvsmtp__b64_length(s->len);
  case REWRAPPED:
    return rewrapped_length(s);
  default:
    return s->len;
  }
}

static int add(uvsmtp__recode_t *rc, const char *bytes, size_t len, encoding_t encoding)
{
  stretch_t *last = rc->count > 0 ? &rc->stretches[rc->count - 1] : NULL;
  if (len == 0)
    return 0;
  if (encoding == AS_IT_IS && last != NULL && last->encoding == AS_IT_IS &&
      last->bytes + last->len == bytes) {
    last->len += len;
    rc->length += len;
    return 0;
  }
  if (rc->count == rc->room) {
    size_t room = rc->room != 0 ? 2 * rc->room : 16;
    stretch_t *grown = uvsmtp__realloc_array(&rc->raw->mem, rc->stretches, room, sizeof(*grown));
    if (grown == NULL)
      return UVSMTP_ENOMEM;
    rc->stretches = grown;
    rc->room = room;
  }
  rc->stretches[rc->count++] = (stretch_t){bytes, len, encoding};
  rc->length += stretch_length(&rc->stretches[rc->count - 1]);
  return 0;
}

static int add_as_it_is(uvsmtp__recode_t *rc, const char *bytes, size_t len)
{
  return add(rc, bytes, len, AS_IT_IS);
}

/* Adds bytes of the message as they are, but for those that are left out of it. */
static int keep(uvsmtp__recode_t *rc, const char *from, const char *to)
{
  return each_kept(rc, from, to, add_as_it_is);
}

/* A range that must not be touched: refused if it cannot go so. */
static int leave(uvsmtp__recode_t *rc, const char *from, const char *to, const char *where)
{
  return must_change(rc, from, to) ? refuse(rc, from, to, where) : keep(rc, from, to);
}

/* ---- What the header says ---- */

/* Copies `s` in lower case, cut to what there is room for. */
static void copy_lower(char *out, size_t size, const char *s, size_t len)
{
  size_t n = len < size - 1 ? len : size - 1;
  for (size_t i = 0; i < n; i++)
    out[i] = uvsmtp__ascii_lower(s[i]);
  out[n] = '\0';
}

static size_t skip_blanks(const char *s, size_t len)
{
  size_t n = 0;
  while (n < len && (s[n] == ' ' || s[n] == '\t' || s[n] == '\r' || s[n] == '\n'))
    n++;
  return n;
}

static size_t word_len(const char *s, size_t len)
{
  size_t n = 0;
  while (n < len && s[n] > ' ' && s[n] < 127 && strchr(";=\"(", s[n]) == NULL)
    n++;
  return n;
}

/* Reads the value of a parameter, which may stand in quotes; returns how many bytes it takes. */
static size_t read_value(char *out, size_t size, const char *s, size_t len)
{
  size_t n = 0, i = 0;
  if (len == 0 || s[0] != '"') {
    i = word_len(s, len);
    n = i < size - 1 ? i : 0; /* too long: none */
    memcpy(out, s, n);
  } else {
    for (i = 1; i < len && s[i] != '"'; i++) {
      if (s[i] == '\\' && i + 1 < len)
        i++;
      if (n < size - 1)
        out[n++] = s[i];
    }
    i += i < len;
  }
  out[n] = '\0';
  return i;
}

/* Reads the type, and the boundary among its parameters. */
static void read_type(entity_t *e, const char *s, size_t len)
{
  size_t at = skip_blanks(s, len), n = word_len(s + at, len - at);
  copy_lower(e->type, sizeof(e->type), s + at, n);
  for (at += n; at < len;) {
    char value[sizeof(e->boundary)];
    const char *name;
    size_t name_len;
    at += skip_blanks(s + at, len - at);
    name = s + at;
    name_len = word_len(name, len - at);
    at += name_len;
    at += skip_blanks(s + at, len - at);
    if (at == len || s[at] != '=') {
      at += at < len; /* a semicolon, or what should not be there */
      continue;
    }
    at++;
    at += skip_blanks(s + at, len - at);
    at += read_value(value, sizeof(value), s + at, len - at);
    if (uvsmtp__ascii_equal(name, name_len, "boundary", 8))
      memcpy(e->boundary, value, sizeof(value));
  }
}

/* Whether a field is a signature over all of the message. */
static bool is_signature(const uvsmtp__recode_t *rc, const char *start,
                         const uvsmtp__field_t *field)
{
  return start == rc->raw->bytes && (rc->why & UVSMTP__RAW_ATTACHED) == 0 &&
         (uvsmtp__field_is(field, "DKIM-Signature") || uvsmtp__field_is(field, "ARC-Seal"));
}

/* Cuts a part into header and body, and reads what matters here. */
static int read_entity(uvsmtp__recode_t *rc, entity_t *e, const char *start, const char *end,
                       bool in_digest)
{
  uvsmtp__header_end_t state = {false, false, false};
  uvsmtp__fields_t place = {.bytes = start, .len = (size_t)(end - start)};
  uvsmtp__field_t field;
  int found;
  *e = (entity_t){.start = start, .end = end, .type = "text/plain"};
  if (in_digest) /* RFC 2046 section 5.1.5 */
    memcpy(e->type, "message/rfc822", 15);
  uvsmtp__header_end(&state, start, &place.len);
  e->body = start + place.len;
  if (start == rc->raw->bytes)
    place = uvsmtp__raw_fields(rc->raw);
  while ((found = uvsmtp__fields_next(&place, &field, NULL, 0)) > 0) {
    if (uvsmtp__field_is(&field, "Content-Type")) {
      read_type(e, field.value, field.value_len);
    } else if (uvsmtp__field_is(&field, "Content-Transfer-Encoding")) {
      size_t at = skip_blanks(field.value, field.value_len);
      copy_lower(e->encoding, sizeof(e->encoding), field.value + at,
                 word_len(field.value + at, field.value_len - at));
    } else if (is_signature(rc, start, &field)) {
      rc->is_signed = true;
      if (must_change(rc, start, end))
        return refuse(rc, start, end, UNDER_DKIM);
    }
  }
  if (found < 0 && must_change(rc, start, end))
    return refuse(rc, start, end, "in a part whose header cannot be read");
  if (must_change(rc, e->start, e->body))
    return refuse(rc, e->start, e->body, "in a header");
  return 0;
}

/* The field that goes into the header; without MIME-Version it would mean nothing (RFC 2045 section
 * 4). */
static int put_encoding(uvsmtp__recode_t *rc, const char *encoding, bool version)
{
  char lines[80];
  int n = snprintf(lines, sizeof(lines), "%sContent-Transfer-Encoding: %s\r\n",
                   version ? "MIME-Version: 1.0\r\n" : "", encoding);
  char *text = uvsmtp__arena_dup(&rc->arena, lines, (size_t)n);
  return text != NULL ? add(rc, text, (size_t)n, AS_IT_IS) : UVSMTP_ENOMEM;
}

/* Keeps the header of a part, with another Content-Transfer-Encoding. */
static int put_header(uvsmtp__recode_t *rc, const entity_t *e, const char *encoding)
{
  uvsmtp__fields_t place = {.bytes = e->start, .len = (size_t)(e->body - e->start)};
  uvsmtp__field_t field;
  const char *from = e->start;
  bool root = e->start == rc->raw->bytes, version = root;
  int err = 0;
  if (root)
    place = uvsmtp__raw_fields(rc->raw);
  while (err == 0 && uvsmtp__fields_next(&place, &field, NULL, 0) > 0) {
    version = version && !uvsmtp__field_is(&field, "MIME-Version");
    if (!uvsmtp__field_is(&field, "Content-Transfer-Encoding"))
      continue;
    err = keep(rc, from, e->start + field.start);
    from = e->start + field.end;
  }
  if (err == 0)
    err = keep(rc, from, e->start + place.at);
  if (err == 0)
    err = put_encoding(rc, encoding, version);
  return err != 0 ? err : keep(rc, e->start + place.at, e->body);
}

/* The same for what is made of parts, which stay 8-bit where the server takes that. */
static int put_outer_header(uvsmtp__recode_t *rc, const entity_t *e)
{
  bool eight = (rc->why & UVSMTP__RAW_8BIT) == 0 && each_kept(rc, e->body, e->end, test_8bit) != 0;
  return put_header(rc, e, eight ? "8bit" : "7bit");
}

/* ---- Parts ---- */

static bool type_is(const entity_t *e, const char *prefix)
{
  return strncmp(e->type, prefix, strlen(prefix)) == 0;
}

/* The content with CRLF as its line end, as the sender would have made it. */
static int canonical(uvsmtp__recode_t *rc, const entity_t *e, const char **bytes, size_t *len)
{
  uvsmtp__scan_t scan;
  char *copy;
  *bytes = e->body;
  *len = (size_t)(e->end - e->body);
  uvsmtp__scan(&scan, *bytes, *len);
  if (scan.lines || strcmp(e->encoding, "binary") == 0)
    return 0;
  if (*len > SIZE_MAX / 2 - 2 || (copy = uvsmtp__arena_alloc(&rc->arena, 2 * *len + 2)) == NULL)
    return UVSMTP_ENOMEM;
  *len = uvsmtp__to_crlf(copy, *bytes, *len);
  if (e->end[-1] != '\n' && e->end[-1] != '\r')
    *len -= 2; /* the line end behind the content is not part of it */
  *bytes = copy;
  return 0;
}

/* Gives base64 new lines. */
static int rewrap(uvsmtp__recode_t *rc, const entity_t *e, bool root)
{
  int err = keep(rc, e->start, e->body);
  if (err == 0)
    err = add(rc, e->body, (size_t)(e->end - e->body), REWRAPPED);
  return err == 0 && root ? add(rc, "\r\n", 2, AS_IT_IS) : err;
}

/* Whether only BINARYMIME would carry it as it is. */
static bool needs_binary(const entity_t *e)
{
  if (type_is(e, "text/") || strcmp(e->encoding, "binary") != 0)
    return false;
  for (const char *at = e->body; at < e->end; at++)
    if (*at == '\0' || (*at == '\r' && (at + 1 == e->end || at[1] != '\n')) ||
        (*at == '\n' && (at == e->body || at[-1] != '\r')))
      return true;
  return false;
}

static int put_leaf(uvsmtp__recode_t *rc, const entity_t *e, bool root)
{
  const char *bytes;
  size_t len;
  bool text = type_is(e, "text/");
  int err;
  if (!must_change(rc, e->start, e->end)) {
    if (!needs_binary(e))
      return keep(rc, e->start, e->end);
    if (rc->is_signed)
      return refuse(rc, e->start, e->end, UNDER_DKIM);
  }
  if (strcmp(e->encoding, "base64") == 0 && !uvsmtp__has_8bit(e->body, (size_t)(e->end - e->body)))
    return rewrap(rc, e, root);
  if (e->encoding[0] != '\0' && strcmp(e->encoding, "7bit") != 0 &&
      strcmp(e->encoding, "8bit") != 0 && strcmp(e->encoding, "binary") != 0)
    return refuse(rc, e->start, e->end, "in a part that is encoded, as its header says");
  if (type_is(e, "application/pkcs7-") || type_is(e, "application/x-pkcs7-") ||
      type_is(e, "application/pgp-"))
    return refuse(rc, e->start, e->end, "in a part that is signed or encrypted");
  if ((err = canonical(rc, e, &bytes, &len)) != 0)
    return err;
  if (text && !uvsmtp__prefer_q(uvsmtp__qp_length(bytes, len), uvsmtp__b64_length(len)))
    text = false;
  if ((err = put_header(rc, e, text ? "quoted-printable" : "base64")) != 0 ||
      (err = add(rc, bytes, len, text ? QUOTED : BASE64)) != 0)
    return err;
  return root && !text ? add(rc, "\r\n", 2, AS_IT_IS) : 0;
}

static int put_entity(uvsmtp__recode_t *rc, const char *start, const char *end, size_t depth,
                      bool in_digest);

/* A line of the body of a multipart. */
typedef struct {
  const char *start, *text_end, *end; /* without and with its line end */
} line_t;

static line_t read_line(const char *s, const char *end)
{
  line_t line = {.start = s};
  while (s < end && *s != '\r' && *s != '\n')
    s++;
  line.text_end = s;
  if (s < end && *s == '\r')
    s++;
  if (s < end && *s == '\n')
    s++;
  line.end = s;
  return line;
}

/* Whether a line is the boundary; `*last` if it is the one that ends the multipart. */
static bool is_boundary(const line_t *line, const char *boundary, bool *last)
{
  size_t len = (size_t)(line->text_end - line->start), n = strlen(boundary);
  if (len < n + 2 || memcmp(line->start, "--", 2) != 0 || memcmp(line->start + 2, boundary, n) != 0)
    return false;
  *last = len >= n + 4 && memcmp(line->start + 2 + n, "--", 2) == 0;
  for (size_t i = n + (*last ? 4 : 2); i < len; i++) /* blanks may follow */
    if (line->start[i] != ' ' && line->start[i] != '\t')
      return false;
  return true;
}

static int put_part(uvsmtp__recode_t *rc, const entity_t *multipart, const char *start,
                    const char *end, bool outside, size_t depth)
{
  if (outside)
    return leave(rc, start, end, "outside the parts of a multipart");
  if (!may_change(rc, start, end))
    return keep(rc, start, end);
  return put_entity(rc, start, end, depth + 1, type_is(multipart, "multipart/digest"));
}

static int put_multipart(uvsmtp__recode_t *rc, const entity_t *e, size_t depth)
{
  const char *part = e->body, *part_end = e->body;
  bool outside = true, last = false;
  int err;
  if (type_is(e, "multipart/signed") || type_is(e, "multipart/encrypted"))
    return leave(rc, e->start, e->end, "in a part that is signed or encrypted");
  if (e->boundary[0] == '\0')
    return leave(rc, e->start, e->end, "in a multipart without a boundary that can be read");
  if ((err = put_outer_header(rc, e)) != 0)
    return err;
  for (const char *at = e->body; at < e->end && !last;) {
    line_t line = read_line(at, e->end);
    if (is_boundary(&line, e->boundary, &last)) {
      /* the line end in front of it belongs to it */
      if ((err = put_part(rc, e, part, part_end, outside, depth)) != 0 ||
          (err = keep(rc, part_end, line.end)) != 0)
        return err;
      outside = last;
      part = part_end = line.end;
    } else {
      part_end = line.text_end;
    }
    at = line.end;
  }
  return put_part(rc, e, part, e->end, outside, depth);
}

/* A message, or a part of one. */
static int put_entity(uvsmtp__recode_t *rc, const char *start, const char *end, size_t depth,
                      bool in_digest)
{
  entity_t e;
  int err;
  if (!may_change(rc, start, end))
    return keep(rc, start, end);
  if (depth > MAX_DEPTH)
    return leave(rc, start, end, "in a part that lies too deep in others");
  if ((err = read_entity(rc, &e, start, end, in_digest)) != 0)
    return err;
  if (type_is(&e, "multipart/"))
    return put_multipart(rc, &e, depth);
  if (!type_is(&e, "message/"))
    return put_leaf(rc, &e, depth == 0);
  if ((err = put_outer_header(rc, &e)) != 0)
    return err;
  return put_entity(rc, e.body, e.end, depth + 1, false);
}

/* ---- Reading ---- */

int uvsmtp__recode_open(uvsmtp__recode_t **out, uvsmtp_raw_t *raw, unsigned why, uint64_t *length)
{
  uvsmtp__recode_t *rc = uvsmtp__calloc(&raw->mem, 1, sizeof(*rc));
  int err;
  if (rc == NULL)
    return UVSMTP_ENOMEM;
  rc->raw = raw;
  rc->why = why;
  rc->arena.mem = &raw->mem;
  if ((err = put_entity(rc, raw->bytes, raw->bytes + raw->len, 0, false)) != 0) {
    uvsmtp__recode_close(rc);
    return err;
  }
  *length = rc->length;
  *out = rc;
  return 0;
}

void uvsmtp__recode_close(uvsmtp__recode_t *rc)
{
  const uvsmtp_mem_t *mem;
  if (rc == NULL)
    return;
  mem = &rc->raw->mem;
  uvsmtp__arena_free(&rc->arena);
  uvsmtp__free(mem, rc->stretches);
  uvsmtp__free(mem, rc);
}

/* Fills the chunk with base64 of other lines. */
static size_t rewrap_on(uvsmtp__recode_t *rc)
{
  size_t n = 0;
  for (; rc->in_len > 0 && CHUNK - n >= 3; rc->in++, rc->in_len--) {
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

static size_t encode(uvsmtp__recode_t *rc, const stretch_t *s)
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
  if (s->encoding == REWRAPPED)
    return rewrap_on(rc);
  if (s->encoding == QUOTED)
    return uvsmtp__qp_encode(&rc->qp, rc->chunk, CHUNK);
  n = rc->in_len > 0 ? uvsmtp__b64_update(&rc->b64, &rc->in, &rc->in_len, rc->chunk, CHUNK) : 0;
  return n > 0 ? n : uvsmtp__b64_finish(&rc->b64, rc->chunk);
}

int uvsmtp__recode_next(uvsmtp__recode_t *rc, uvsmtp_slice_t *piece)
{
  *piece = (uvsmtp_slice_t){NULL, 0};
  while (rc->at < rc->count && piece->len == 0) {
    const stretch_t *s = &rc->stretches[rc->at];
    if (s->encoding == AS_IT_IS)
      *piece = (uvsmtp_slice_t){s->bytes, s->len};
    else
      *piece = (uvsmtp_slice_t){rc->chunk, encode(rc, s)};
    if (s->encoding != AS_IT_IS && piece->len > 0)
      return 0;
    rc->begun = false;
    rc->at++;
  }
  return 0;
}
