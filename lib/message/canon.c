#include "message/canon.h"

#include <string.h>

#include "base/text.h"

/* ---- Bodies ---- */

int uvsmtp__body_hash_start(uvsmtp__body_hash_t *h, const uvsmtp_crypto_t *crypto, bool relaxed)
{
  memset(h, 0, sizeof(*h));
  h->crypto = crypto;
  h->relaxed = relaxed;
  h->err = crypto->digest_start(&h->ctx, UVSMTP_DIGEST_SHA256);
  h->begun = h->err == 0;
  return h->err;
}

void uvsmtp__body_hash_abort(uvsmtp__body_hash_t *h)
{
  if (h->begun)
    h->crypto->digest_abort(&h->ctx);
  h->begun = false;
}

static void hash(uvsmtp__body_hash_t *h, const char *bytes, size_t len)
{
  if (h->err == 0 && len > 0)
    h->err = h->crypto->digest_update(&h->ctx, bytes, len);
}

static void flush(uvsmtp__body_hash_t *h)
{
  hash(h, h->stage, h->staged);
  h->staged = 0;
}

/* Collects short pieces, since a call for every word costs more than the hash. */
static void put(uvsmtp__body_hash_t *h, const char *bytes, size_t len)
{
  h->any = true;
  if (len > sizeof(h->stage) - h->staged)
    flush(h);
  if (len > sizeof(h->stage)) {
    hash(h, bytes, len);
    return;
  }
  memcpy(h->stage + h->staged, bytes, len);
  h->staged += len;
}

static void line_end(uvsmtp__body_hash_t *h)
{
  h->blank = false; /* blanks at the end of a line do not count */
  h->line_ends++;
}

/* Hashes what has waited: it turned out not to stand at the end of a line or of the body. */
static void put_waiting(uvsmtp__body_hash_t *h)
{
  for (; h->line_ends > 0; h->line_ends--)
    put(h, "\r\n", 2);
  if (h->blank)
    put(h, " ", 1);
  h->blank = false;
}

/* How many bytes from `s` on are no line end, and in the relaxed form no blank either. */
static size_t run_len(const char *s, size_t len, bool relaxed)
{
  size_t n = 0;
  if (relaxed)
    while (n < len && s[n] != '\r' && s[n] != '\n' && s[n] != ' ' && s[n] != '\t')
      n++;
  else
    while (n < len && s[n] != '\r' && s[n] != '\n')
      n++;
  return n;
}

void uvsmtp__body_hash_update(uvsmtp__body_hash_t *h, const char *bytes, size_t len)
{
  for (size_t i = 0; i < len;) {
    size_t run = run_len(bytes + i, len - i, h->relaxed);
    if (run > 0) {
      put_waiting(h);
      put(h, bytes + i, run);
      h->cr = false;
      i += run;
      continue;
    }
    if (bytes[i] == ' ' || bytes[i] == '\t')
      h->blank = true;
    else if (bytes[i] == '\r' || !h->cr) /* the LF of a CRLF was counted with its CR */
      line_end(h);
    h->cr = bytes[i] == '\r';
    i++;
  }
}

int uvsmtp__body_hash_finish(uvsmtp__body_hash_t *h, uint8_t digest[32])
{
  /* One line end stays at the end of a body; an empty one is CRLF in the simple form only. */
  if (h->any || !h->relaxed)
    put(h, "\r\n", 2);
  flush(h);
  if (h->err == 0) {
    h->begun = false;
    h->err = h->crypto->digest_finish(&h->ctx, digest);
  }
  uvsmtp__body_hash_abort(h);
  return h->err;
}

/* ---- Fields ---- */

/* The bytes as they are, line ends as CRLF. */
static int simple_field(uvsmtp__buffer_t *out, const char *s, size_t len)
{
  int err = 0;
  for (size_t i = 0; err == 0 && i < len;) {
    size_t run = run_len(s + i, len - i, false);
    err = uvsmtp__buffer_append(out, s + i, run);
    i += run;
    if (i < len && s[i] == '\r')
      i++;
    if (i < len && s[i] == '\n')
      i++;
    if (err == 0 && i < len)
      err = uvsmtp__buffer_append(out, "\r\n", 2);
  }
  return err;
}

/* Lower-case name, one line, one blank where there were blanks or folds, none at the ends. */
static int relaxed_field(uvsmtp__buffer_t *out, const uvsmtp__field_t *field)
{
  bool blank = false, any = false;
  int err = 0;
  for (size_t i = 0; err == 0 && i < field->name_len; i++) {
    char c = uvsmtp__ascii_lower(field->name[i]);
    err = uvsmtp__buffer_append(out, &c, 1);
  }
  if (err == 0)
    err = uvsmtp__buffer_append(out, ":", 1);
  for (size_t i = 0; err == 0 && i < field->value_len;) {
    size_t run = run_len(field->value + i, field->value_len - i, true);
    if (run == 0) {
      blank = any;
      i++;
      continue;
    }
    if (blank)
      err = uvsmtp__buffer_append(out, " ", 1);
    if (err == 0)
      err = uvsmtp__buffer_append(out, field->value + i, run);
    blank = false;
    any = true;
    i += run;
  }
  return err;
}

int uvsmtp__canon_field(uvsmtp__buffer_t *out, const char *bytes, const uvsmtp__field_t *field,
                        bool relaxed)
{
  size_t end = (size_t)(field->value - bytes) + field->value_len;
  int err = relaxed ? relaxed_field(out, field)
                    : simple_field(out, bytes + field->start, end - field->start);
  return err != 0 ? err : uvsmtp__buffer_append(out, "\r\n", 2);
}
