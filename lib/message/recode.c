#include "message/recode.h"

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
 *   - in what must not be encoded: message/… but for whole messages and message/global;
 *   - where the message is not what its fields say: a content that is 8-bit though it is base64, a
 *     multipart without boundary, text outside its parts.
 *
 * This file walks through the parts; recode_header.c reads and writes their headers, and
 * recode_stretch.c keeps the result.
 */
#include <string.h>

#include "base/text.h"
#include "message/scan.h"

#define MAX_DEPTH 50

static bool type_is(const uvsmtp__entity_t *e, const char *prefix)
{
  return strncmp(e->type, prefix, strlen(prefix)) == 0;
}

/* Whether the bytes of a part are its content. */
static bool is_identity(const uvsmtp__entity_t *e)
{
  return e->encoding[0] == '\0' || strcmp(e->encoding, "7bit") == 0 ||
         strcmp(e->encoding, "8bit") == 0 || strcmp(e->encoding, "binary") == 0;
}

/* The content with CRLF as its line end, as the sender would have made it. */
static int canonical(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e, const char **bytes,
                     size_t *len)
{
  uvsmtp__scan_t scan;
  char *copy;
  *bytes = e->body;
  *len = (size_t)(e->end - e->body);
  uvsmtp__scan(&scan, *bytes, *len);
  if (scan.lines || strcmp(e->encoding, "binary") == 0)
    return 0;
  copy = uvsmtp__arena_alloc(&rc->arena, uvsmtp__to_crlf(NULL, *bytes, *len));
  if (copy == NULL)
    return UVSMTP_ENOMEM;
  *len = uvsmtp__to_crlf(copy, *bytes, *len);
  if (e->end[-1] != '\n' && e->end[-1] != '\r')
    *len -= 2; /* the line end behind the content is not part of it */
  *bytes = copy;
  return 0;
}

/* Gives base64 new lines. */
static int rewrap(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e, bool root)
{
  int err = uvsmtp__recode_keep(rc, e->start, e->body);
  if (err == 0)
    err = uvsmtp__recode_add(rc, e->body, (size_t)(e->end - e->body), UVSMTP__STRETCH_REWRAPPED);
  return err == 0 && root ? uvsmtp__recode_add(rc, "\r\n", 2, UVSMTP__STRETCH_AS_IT_IS) : err;
}

/* Whether only BINARYMIME would carry it as it is. */
static bool needs_binary(const uvsmtp__entity_t *e)
{
  if (type_is(e, "text/") || strcmp(e->encoding, "binary") != 0)
    return false;
  for (const char *at = e->body; at < e->end; at++)
    if (*at == '\0' || (*at == '\r' && (at + 1 == e->end || at[1] != '\n')) ||
        (*at == '\n' && (at == e->body || at[-1] != '\r')))
      return true;
  return false;
}

static int put_leaf(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e, bool root)
{
  const char *bytes;
  size_t len;
  bool text = type_is(e, "text/");
  int err;
  if (!uvsmtp__recode_must_change(rc, e->start, e->end)) {
    if (!needs_binary(e))
      return uvsmtp__recode_keep(rc, e->start, e->end);
    if (rc->is_signed)
      return uvsmtp__recode_refuse(rc, e->start, e->end, UVSMTP__UNDER_DKIM);
  }
  if (strcmp(e->encoding, "base64") == 0 && !uvsmtp__has_8bit(e->body, (size_t)(e->end - e->body)))
    return rewrap(rc, e, root);
  if (!is_identity(e))
    return uvsmtp__recode_refuse(rc, e->start, e->end, UVSMTP__ENCODED);
  if (type_is(e, "application/pkcs7-") || type_is(e, "application/x-pkcs7-") ||
      type_is(e, "application/pgp-"))
    return uvsmtp__recode_refuse(rc, e->start, e->end, "in a part that is signed or encrypted");
  if ((err = canonical(rc, e, &bytes, &len)) != 0)
    return err;
  if (text && !uvsmtp__prefer_q(uvsmtp__qp_length(bytes, len), uvsmtp__b64_length(len)))
    text = false;
  if ((err = uvsmtp__recode_put_header(rc, e, text ? "quoted-printable" : "base64")) != 0 ||
      (err = uvsmtp__recode_add(rc, bytes, len,
                                text ? UVSMTP__STRETCH_QUOTED : UVSMTP__STRETCH_BASE64)) != 0)
    return err;
  return root && !text ? uvsmtp__recode_add(rc, "\r\n", 2, UVSMTP__STRETCH_AS_IT_IS) : 0;
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

static int put_part(uvsmtp__recode_t *rc, const uvsmtp__entity_t *multipart, const char *start,
                    const char *end, bool outside, size_t depth)
{
  if (outside)
    return uvsmtp__recode_leave(rc, start, end, "outside the parts of a multipart");
  if (!uvsmtp__recode_may_change(rc, start, end))
    return uvsmtp__recode_keep(rc, start, end);
  return put_entity(rc, start, end, depth + 1, type_is(multipart, "multipart/digest"));
}

static int put_multipart(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e, size_t depth)
{
  const char *part = e->body, *part_end = e->body;
  bool outside = true, last = false;
  int err;
  if (type_is(e, "multipart/signed") || type_is(e, "multipart/encrypted"))
    return uvsmtp__recode_leave(rc, e->start, e->end, "in a part that is signed or encrypted");
  if (e->boundary[0] == '\0')
    return uvsmtp__recode_leave(rc, e->start, e->end,
                                "in a multipart without a boundary that can be read");
  if ((err = uvsmtp__recode_put_outer_header(rc, e)) != 0)
    return err;
  for (const char *at = e->body; at < e->end && !last;) {
    line_t line = read_line(at, e->end);
    if (is_boundary(&line, e->boundary, &last)) {
      /* the line end in front of it belongs to it */
      if ((err = put_part(rc, e, part, part_end, outside, depth)) != 0 ||
          (err = uvsmtp__recode_keep(rc, part_end, line.end)) != 0)
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

/* A part that is a message itself. */
static int put_message(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e, size_t depth)
{
  int err;
  if (!uvsmtp__holds_message(e->type))
    return uvsmtp__recode_leave(rc, e->start, e->end, UVSMTP__NOT_ENCODED);
  if (!is_identity(e))
    return uvsmtp__recode_leave(rc, e->start, e->end, UVSMTP__ENCODED);
  err = uvsmtp__recode_put_outer_header(rc, e);
  return err != 0 ? err : put_entity(rc, e->body, e->end, depth + 1, false);
}

/* A message, or a part of one. */
static int put_entity(uvsmtp__recode_t *rc, const char *start, const char *end, size_t depth,
                      bool in_digest)
{
  uvsmtp__entity_t e;
  int err;
  if (!uvsmtp__recode_may_change(rc, start, end))
    return uvsmtp__recode_keep(rc, start, end);
  if (depth > MAX_DEPTH)
    return uvsmtp__recode_leave(rc, start, end, "in a part that lies too deep in others");
  if ((err = uvsmtp__recode_read_entity(rc, &e, start, end, in_digest)) != 0)
    return err;
  if (type_is(&e, "multipart/"))
    return put_multipart(rc, &e, depth);
  if (type_is(&e, "message/") && !type_is(&e, "message/global"))
    return put_message(rc, &e, depth);
  return put_leaf(rc, &e, depth == 0);
}

/* ---- The whole ---- */

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
