#include "message/recode.h"

/*
 * The header of a part, when a message is encoded anew: what it says of the content, and how it is
 * written with another Content-Transfer-Encoding.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "message/scan.h"

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

bool uvsmtp__holds_message(const char *type)
{
  return uvsmtp__ascii_equal(type, strlen(type), "message/rfc822", 14) ||
         uvsmtp__ascii_equal(type, strlen(type), "message/news", 12);
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
static void read_type(uvsmtp__entity_t *e, const char *s, size_t len)
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

int uvsmtp__recode_read_entity(uvsmtp__recode_t *rc, uvsmtp__entity_t *e, const char *start,
                               const char *end, bool in_digest)
{
  uvsmtp__header_end_t state = {false, false, false};
  uvsmtp__fields_t place = {.bytes = start, .len = (size_t)(end - start)};
  uvsmtp__field_t field;
  int found;
  *e = (uvsmtp__entity_t){.start = start, .end = end, .type = "text/plain"};
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
      if (uvsmtp__recode_must_change(rc, start, end))
        return uvsmtp__recode_refuse(rc, start, end, UVSMTP__UNDER_DKIM);
    }
  }
  if (found < 0 && uvsmtp__recode_must_change(rc, start, end))
    return uvsmtp__recode_refuse(rc, start, end, "in a part whose header cannot be read");
  if (found < 0) /* nor is there any saying where its content begins */
    e->encoding[0] = '\0';
  if (uvsmtp__recode_must_change(rc, e->start, e->body))
    return uvsmtp__recode_refuse(rc, e->start, e->body, "in a header");
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
  return text != NULL ? uvsmtp__recode_add(rc, text, (size_t)n, UVSMTP__STRETCH_AS_IT_IS)
                      : UVSMTP_ENOMEM;
}

int uvsmtp__recode_put_header(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e, const char *encoding)
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
    err = uvsmtp__recode_keep(rc, from, e->start + field.start);
    from = e->start + field.end;
  }
  if (err == 0)
    err = uvsmtp__recode_keep(rc, from, e->start + place.at);
  if (err == 0)
    err = put_encoding(rc, encoding, version);
  return err != 0 ? err : uvsmtp__recode_keep(rc, e->start + place.at, e->body);
}

int uvsmtp__recode_put_outer_header(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e)
{
  bool eight = (rc->why & UVSMTP__RAW_8BIT) == 0 && uvsmtp__recode_has_8bit(rc, e->body, e->end);
  if (rc->is_signed) /* nothing in it will be encoded, or it is refused */
    return uvsmtp__recode_keep(rc, e->start, e->body);
  return uvsmtp__recode_put_header(rc, e, eight ? "8bit" : "7bit");
}
