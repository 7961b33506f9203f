#include "message/signer.h"

/*
 * The signature field of a message.
 *
 * It is written with an empty b=, hashed behind the chosen fields of the message, and gets its
 * signature at the end: so what a verifier removes before hashing is just what was added.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/text.h"
#include "message/address.h"
#include "message/canon.h"

#define MAX_LINE 77 /* and what is glued to its end */

/*
 * What is signed by default: fields that people see, that answers go to, that say how to read the
 * body, and those of lists. Not those that servers on the way add or change (RFC 6376 section
 * 5.4.1). The first ones are oversigned (section 8.15): a second field of that name, which a
 * reader might show instead, breaks the signature.
 */
static const struct {
  const char *name;
  bool oversigned;
} chosen[] = {
    {"From", true},
    {"Reply-To", true},
    {"Subject", true},
    {"Date", true},
    {"To", true},
    {"Cc", true},
    {"Message-ID", true},
    {"In-Reply-To", true},
    {"References", true},
    {"MIME-Version", true},
    {"Content-Type", true},
    {"Content-Transfer-Encoding", true},
    {"Sender", false},
    {"Content-ID", false},
    {"Content-Description", false},
    {"Content-Disposition", false},
    {"Resent-Date", false},
    {"Resent-From", false},
    {"Resent-Sender", false},
    {"Resent-To", false},
    {"Resent-Cc", false},
    {"Resent-Message-ID", false},
    {"List-Id", false},
    {"List-Help", false},
    {"List-Unsubscribe", true},
    {"List-Unsubscribe-Post", true},
    {"List-Subscribe", false},
    {"List-Post", false},
    {"List-Owner", false},
    {"List-Archive", false},
};

size_t uvsmtp__dkim_next_name(const char **list, const char **name)
{
  size_t len;
  *list += strspn(*list, ": \t");
  len = strcspn(*list, ": \t");
  *name = *list;
  *list += len;
  return len;
}

/* Writes text with folds where a line would be too long; a fold is allowed before each piece. */
typedef struct {
  uvsmtp__buffer_t *out;
  size_t column;
  int err;
} folder_t;

static void put(folder_t *f, const char *text, size_t len)
{
  if (f->err == 0)
    f->err = uvsmtp__buffer_append(f->out, text, len);
  f->column += len;
}

/* `glue` stays behind the piece before; a blank at its end gives way to a fold. */
static void put_piece(folder_t *f, const char *glue, const char *piece, size_t len)
{
  size_t n = strlen(glue);
  if (f->column + n + len <= MAX_LINE) {
    put(f, glue, n);
  } else {
    put(f, glue, n > 0 && glue[n - 1] == ' ' ? n - 1 : n);
    put(f, "\r\n ", 3);
    f->column = 1;
  }
  put(f, piece, len);
}

static void put_tag(folder_t *f, const char *name, const char *value)
{
  char tag[UVSMTP_DOMAIN_SIZE + UVSMTP_ADDRESS_SIZE];
  int n = snprintf(tag, sizeof(tag), "%s=%s", name, value);
  put_piece(f, "; ", tag, n < (int)sizeof(tag) ? (size_t)n : sizeof(tag) - 1);
}

static void put_number(folder_t *f, const char *name, int64_t number)
{
  char digits[24];
  snprintf(digits, sizeof(digits), "%lld", (long long)number);
  put_tag(f, name, digits);
}

/* The state of writing h= and hashing what it names. */
typedef struct {
  const uvsmtp_dkim_t *signer;
  const uvsmtp__signed_t *message;
  uvsmtp__field_t *fields;
  bool *used;
  size_t count;
  folder_t folder;
  uvsmtp__buffer_t canon; /* what is hashed */
  bool first;
  char *detail;
} choosing_t;

/* Reads all fields of the header. */
static int read_fields(choosing_t *c)
{
  const uvsmtp_mem_t *mem = &c->signer->mem;
  uvsmtp__fields_t place = {.bytes = c->message->header, .len = c->message->header_len};
  uvsmtp__field_t field;
  int found;
  size_t count = 0;
  while ((found = uvsmtp__fields_next(&place, &field, c->detail, UVSMTP__DETAIL_SIZE)) > 0)
    count++;
  if (found < 0)
    return found;
  c->fields = uvsmtp__calloc(mem, count + 1, sizeof(*c->fields));
  c->used = uvsmtp__calloc(mem, count + 1, sizeof(*c->used));
  if (c->fields == NULL || c->used == NULL)
    return UVSMTP_ENOMEM;
  place = (uvsmtp__fields_t){.bytes = c->message->header, .len = c->message->header_len};
  for (c->count = 0; c->count < count; c->count++)
    uvsmtp__fields_next(&place, &c->fields[c->count], NULL, 0);
  return 0;
}

/* Adds a name to h=. */
static void put_name(choosing_t *c, const char *name, size_t len)
{
  char piece[UVSMTP__SIGNED_NAME_MAX + 2] = "h=";
  size_t n = c->first ? 2 : 0;
  for (size_t k = 0; k < len; k++)
    piece[n + k] = uvsmtp__ascii_lower(name[k]);
  put_piece(&c->folder, c->first ? "; " : ":", piece, n + len);
  c->first = false;
}

static bool has_name(const uvsmtp__field_t *field, const char *name, size_t len)
{
  return uvsmtp__ascii_equal(field->name, field->name_len, name, len);
}

/* Hashes field number `i`. */
static void sign_field(choosing_t *c, size_t i)
{
  bool relaxed = (c->signer->flags & UVSMTP_DKIM_SIMPLE_HEADER) == 0;
  if (c->folder.err == 0)
    c->folder.err = uvsmtp__canon_field(&c->canon, c->message->header, &c->fields[i], relaxed);
}

/* All fields of a name, from the lowest up (RFC 6376 section 5.4.2), and then its absence. */
static void sign_all(choosing_t *c, const char *name, bool oversigned)
{
  size_t len = strlen(name);
  for (size_t i = c->count; i > 0 && c->folder.err == 0; i--) {
    if (!has_name(&c->fields[i - 1], name, len))
      continue;
    put_name(c, name, len);
    sign_field(c, i - 1);
  }
  if (oversigned)
    put_name(c, name, len);
}

static void sign_chosen(choosing_t *c)
{
  bool over = (c->signer->flags & UVSMTP_DKIM_NO_OVERSIGNING) == 0;
  for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++)
    sign_all(c, chosen[i].name, over && chosen[i].oversigned);
}

/* One more field of each name that the caller lists, or its absence. */
static void sign_listed(choosing_t *c)
{
  const char *list = c->signer->headers, *name;
  size_t len;
  while ((len = uvsmtp__dkim_next_name(&list, &name)) > 0) {
    size_t i = c->count;
    while (i > 0 && (c->used[i - 1] || !has_name(&c->fields[i - 1], name, len)))
      i--;
    put_name(c, name, len);
    if (i == 0)
      continue;
    c->used[i - 1] = true;
    sign_field(c, i - 1);
  }
}

static bool has_from(const choosing_t *c)
{
  for (size_t i = 0; i < c->count; i++)
    if (has_name(&c->fields[i], "From", 4))
      return true;
  return false;
}

static void put_tags(choosing_t *c, const char *algorithm)
{
  const uvsmtp_dkim_t *s = c->signer;
  folder_t *f = &c->folder;
  int64_t now = s->signed_at != 0 ? s->signed_at : (int64_t)time(NULL);
  char canon[20], hash[48];
  bool simple_header = (s->flags & UVSMTP_DKIM_SIMPLE_HEADER) != 0;
  bool simple_body = (s->flags & UVSMTP_DKIM_SIMPLE_BODY) != 0;
  snprintf(canon, sizeof(canon), "%s/%s", simple_header ? "simple" : "relaxed",
           simple_body ? "simple" : "relaxed");
  put_piece(f, "", "DKIM-Signature: v=1", 19);
  put_tag(f, "a", algorithm);
  put_tag(f, "c", canon);
  put_tag(f, "d", s->domain);
  put_tag(f, "s", s->selector);
  if (s->identity != NULL)
    put_tag(f, "i", s->identity);
  put_number(f, "t", now);
  if (s->expire != 0)
    put_number(f, "x", now + (int64_t)s->expire);
  c->first = true;
  if (s->headers != NULL)
    sign_listed(c);
  else
    sign_chosen(c);
  uvsmtp__base64_encode(hash, c->message->body_digests[simple_body ? 0 : 1], 32);
  hash[uvsmtp__base64_encoded_len(32)] = '\0';
  put_tag(f, "bh", hash);
  put_piece(f, "; ", "b=", 2);
}

/* Hashes the signed fields, and then the new one without a line end (RFC 6376 section 3.7). */
static int digest_fields(choosing_t *c, const char *own, size_t own_len, uint8_t digest[32])
{
  const uvsmtp_crypto_t *crypto = c->signer->crypto;
  bool relaxed = (c->signer->flags & UVSMTP_DKIM_SIMPLE_HEADER) == 0;
  uvsmtp__fields_t place = {.bytes = own, .len = own_len};
  uvsmtp__field_t field;
  uvsmtp_digest_ctx_t ctx;
  int err;
  if (uvsmtp__fields_next(&place, &field, c->detail, UVSMTP__DETAIL_SIZE) != 1)
    return UVSMTP_EHEADER;
  if ((err = uvsmtp__canon_field(&c->canon, own, &field, relaxed)) != 0 ||
      (err = crypto->digest_start(&ctx, UVSMTP_DIGEST_SHA256)) != 0)
    return err;
  err = crypto->digest_update(&ctx, uvsmtp__buffer_data(&c->canon),
                              uvsmtp__buffer_len(&c->canon) - 2);
  if (err == 0)
    return crypto->digest_finish(&ctx, digest);
  crypto->digest_abort(&ctx);
  return err;
}

int uvsmtp__dkim_field(const uvsmtp_dkim_t *s, const uvsmtp__signed_t *message,
                       uvsmtp__buffer_t *out, uint8_t digest[32], char *detail)
{
  bool ed25519 = s->crypto->key_type(s->keys[0]) == UVSMTP_KEY_ED25519;
  choosing_t c = {.signer = s, .message = message, .detail = detail, .folder = {.out = out}};
  size_t start = uvsmtp__buffer_len(out);
  int err;
  uvsmtp__buffer_init(&c.canon, &s->mem, 2 * message->header_len + 64 * 1024);
  err = read_fields(&c);
  if (err == 0 && !has_from(&c))
    err = uvsmtp__detail(detail, UVSMTP__DETAIL_SIZE, UVSMTP_EHEADER,
                         "From: missing, and must be signed");
  if (err == 0) {
    put_tags(&c, ed25519 ? "ed25519-sha256" : "rsa-sha256");
    err = c.folder.err;
    if (err == UVSMTP_ETOOLONG)
      err = uvsmtp__detail(detail, UVSMTP__DETAIL_SIZE, UVSMTP_EHEADER,
                           "the header has too many fields to be signed");
  }
  if (err == 0)
    err = digest_fields(&c, uvsmtp__buffer_data(out) + start, uvsmtp__buffer_len(out) - start,
                        digest);
  uvsmtp__buffer_free(&c.canon);
  uvsmtp__free(&s->mem, c.fields);
  uvsmtp__free(&s->mem, c.used);
  return err;
}

int uvsmtp__dkim_append(uvsmtp__buffer_t *out, const uint8_t *signature, size_t len)
{
  char text[UVSMTP__SIGNATURE_MAX / 3 * 4 + 8];
  size_t n = uvsmtp__base64_encoded_len(len), part;
  int err = 0;
  uvsmtp__base64_encode(text, signature, len);
  for (size_t at = 0; at < n && err == 0; at += part) {
    part = n - at < MAX_LINE - 1 ? n - at : MAX_LINE - 1;
    if ((err = uvsmtp__buffer_append(out, "\r\n ", 3)) == 0)
      err = uvsmtp__buffer_append(out, text + at, part);
  }
  return err != 0 ? err : uvsmtp__buffer_append(out, "\r\n", 2);
}

size_t uvsmtp__dkim_signature_len(const uvsmtp_dkim_t *s)
{
  return s->crypto->key_type(s->keys[0]) == UVSMTP_KEY_ED25519
             ? 64
             : (s->crypto->key_bits(s->keys[0]) + 7) / 8;
}
