#include "message/signer.h"

/*
 * Signers: their settings, and the signature field that they make for a message.
 *
 * The field is written with an empty b=, hashed behind the chosen fields of the message, and gets
 * its signature at the end: so what a verifier removes before hashing is just what was added.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"
#include "message/address.h"
#include "message/canon.h"

#define MAX_LINE 77       /* and what is glued to its end */
#define MAX_NAME 70       /* of a field that is signed */
#define MIN_RSA_BITS 1024 /* RFC 8301 section 3.2 */
#define MAX_KEY_FILE (64 * 1024)

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

/* ---- Settings ---- */

typedef struct {
  uvsmtp_dkim_t *signer;
  char *detail;
  size_t detail_size;
} making_t;

static int refuse(const making_t *mk, int err, const char *sentence)
{
  return uvsmtp__detail(mk->detail, mk->detail_size, err, "%s", sentence);
}

static int keep(const making_t *mk, char **copy, const char *s)
{
  if (s != NULL && (*copy = uvsmtp__strdup(&mk->signer->mem, s)) == NULL)
    return UVSMTP_ENOMEM;
  return 0;
}

static int take_domain(const making_t *mk, const char *domain)
{
  char ascii[UVSMTP_DOMAIN_SIZE];
  int err;
  if (domain == NULL)
    return refuse(mk, UVSMTP_EINVAL, "no domain (d=)");
  err = uvsmtp_domain_to_ascii(ascii, sizeof(ascii), domain, mk->detail, mk->detail_size);
  return err != 0 ? err : keep(mk, &mk->signer->domain, ascii);
}

static int take_selector(const making_t *mk, const char *selector)
{
  size_t len = selector != NULL ? strlen(selector) : 0;
  if (uvsmtp__breaks_line(selector, len))
    return refuse(mk, UVSMTP_EINJECTION, "CR or LF in the selector (s=)");
  if (len == 0 || uvsmtp__has_8bit(selector, len) || selector[0] == '[' ||
      uvsmtp__domain_fault(selector, len) != NULL)
    return refuse(mk, UVSMTP_EINVAL, "the selector (s=) is not a name in a domain");
  return keep(mk, &mk->signer->selector, selector);
}

/* RFC 6376 section 3.5: i= lies in the signing domain or below. */
static int take_identity(const making_t *mk, const char *identity)
{
  const char *domain = mk->signer->domain, *at;
  size_t len = identity != NULL ? strlen(identity) : 0, n = strlen(domain);
  if (identity == NULL)
    return 0;
  if (uvsmtp__breaks_line(identity, len))
    return refuse(mk, UVSMTP_EINJECTION, "CR or LF in the identity (i=)");
  for (size_t i = 0; i < len; i++) /* what needs no quoting there, section 2.11 */
    if (identity[i] <= ' ' || identity[i] > '~' || identity[i] == ';' || identity[i] == '=')
      len = 0;
  at = strrchr(identity, '@');
  if (len == 0 || at == NULL || strlen(at + 1) < n ||
      !uvsmtp__ascii_equal(identity + len - n, n, domain, n) ||
      (identity[len - n - 1] != '@' && identity[len - n - 1] != '.'))
    return refuse(mk, UVSMTP_EINVAL, "the identity (i=) is not in the signing domain");
  return keep(mk, &mk->signer->identity, identity);
}

/* The next name of a list with colons between; 0 at the end. */
static size_t next_name(const char **list, const char **name)
{
  size_t len;
  *list += strspn(*list, ": \t");
  len = strcspn(*list, ": \t");
  *name = *list;
  *list += len;
  return len;
}

static int take_headers(const making_t *mk, const char *headers)
{
  const char *list = headers, *name;
  bool from = false;
  size_t len;
  if (headers == NULL)
    return 0;
  while ((len = next_name(&list, &name)) > 0) {
    for (size_t i = 0; i < len; i++)
      if (name[i] < '!' || name[i] > '~' || name[i] == ';' || len > MAX_NAME)
        return refuse(mk, UVSMTP_EINVAL, "a header to be signed is not the name of a field");
    from = from || uvsmtp__ascii_equal(name, len, "From", 4);
  }
  if (!from)
    return refuse(mk, UVSMTP_EINVAL, "the headers to be signed lack From");
  return keep(mk, &mk->signer->headers, headers);
}

/* ---- The key ---- */

static int parse_key(const making_t *mk, const char *pem, size_t len, const char *password)
{
  uvsmtp_dkim_t *s = mk->signer;
  int err = s->crypto->key_new(&s->key, pem, len, password, mk->detail, mk->detail_size);
  if (err != 0)
    return err;
  if (s->crypto->key_type(s->key) == UVSMTP_KEY_RSA && s->crypto->key_bits(s->key) < MIN_RSA_BITS)
    return refuse(mk, UVSMTP_EKEY, "an RSA key of under 1024 bits");
  return 0;
}

static int read_key(const making_t *mk, const char *path, const char *password)
{
  FILE *file = fopen(path, "rb");
  char *pem;
  size_t len;
  int err;
  if (file == NULL)
    return refuse(mk, UVSMTP_EKEY, "the file of the key cannot be opened");
  setvbuf(file, NULL, _IONBF, 0); /* leaves no copy of the key in a buffer of the C library */
  pem = uvsmtp__malloc(&mk->signer->mem, MAX_KEY_FILE);
  if (pem == NULL) {
    fclose(file);
    return UVSMTP_ENOMEM;
  }
  len = fread(pem, 1, MAX_KEY_FILE, file);
  if (ferror(file) || len == MAX_KEY_FILE) {
    err = refuse(mk, UVSMTP_EKEY, "the file of the key cannot be read, or is too long");
  } else {
    pem[len] = '\0';
    err = parse_key(mk, pem, len, password);
  }
  fclose(file);
  uvsmtp__wipe(pem, MAX_KEY_FILE);
  uvsmtp__free(&mk->signer->mem, pem);
  return err;
}

static void signer_free(uvsmtp_dkim_t *s)
{
  uvsmtp_mem_t mem = s->mem;
  if (s->key != NULL)
    s->crypto->key_free(s->key);
  uvsmtp__free(&mem, s->domain);
  uvsmtp__free(&mem, s->selector);
  uvsmtp__free(&mem, s->identity);
  uvsmtp__free(&mem, s->headers);
  uvsmtp__free(&mem, s);
}

static int fill_signer(const making_t *mk, const uvsmtp_dkim_options_t *o)
{
  int err;
  if ((o->key != NULL) + (o->key_file != NULL) != 1)
    return refuse(mk, UVSMTP_EINVAL, "either a key or the file of one is needed");
  if ((err = take_domain(mk, o->domain)) != 0 || (err = take_selector(mk, o->selector)) != 0 ||
      (err = take_identity(mk, o->identity)) != 0 || (err = take_headers(mk, o->headers)) != 0)
    return err;
  return o->key != NULL ? parse_key(mk, o->key, strlen(o->key), o->key_password)
                        : read_key(mk, o->key_file, o->key_password);
}

int uvsmtp_dkim_new(uvsmtp_dkim_t **out, const uvsmtp_dkim_options_t *options, char *detail,
                    size_t detail_size)
{
  making_t mk = {.detail = detail, .detail_size = detail_size};
  uvsmtp_dkim_options_t o;
  uvsmtp_dkim_t *s;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  *out = NULL;
  if (err != 0)
    return err;
  if (o.crypto == NULL)
    return refuse(&mk, UVSMTP_EINVAL, "no cryptographic functions");
  if ((s = uvsmtp__calloc(o.mem, 1, sizeof(*s))) == NULL)
    return UVSMTP_ENOMEM;
  s->mem = *uvsmtp__mem(o.mem);
  s->crypto = o.crypto;
  s->expire = o.expire_seconds;
  s->signed_at = o.signed_at;
  s->flags = o.flags;
  s->work = o.work;
  s->work_ctx = o.work_ctx;
  mk.signer = s;
  if ((err = fill_signer(&mk, &o)) != 0) {
    signer_free(s);
    return err;
  }
  *out = s;
  return 0;
}

void uvsmtp_dkim_free(uvsmtp_dkim_t *s)
{
  if (s == NULL)
    return;
  s->freed = true;
  if (s->running == NULL)
    signer_free(s);
}

/* ---- Jobs ---- */

static void run_job(void *arg)
{
  uvsmtp__job_t *job = arg;
  uvsmtp_dkim_t *s = job->signer;
  if (job->pause)
    return;
  job->signature_len = sizeof(job->signature);
  job->err = s->crypto->sign(s->key, job->digest, sizeof(job->digest), job->signature,
                             &job->signature_len);
}

static void finish_job(uvsmtp__job_t *job)
{
  job->done = true;
  if (job->finished != NULL)
    job->finished(job->who);
  else
    uvsmtp__free(&job->mem, job);
}

static void job_done(void *arg);

/* Runs the job that is next, elsewhere if possible. While its callback runs the key counts as
 * busy, so that whatever is called from there comes back to this loop. */
static void run_next(uvsmtp_dkim_t *s)
{
  while (s->running == NULL && s->waiting != NULL) {
    uvsmtp__job_t *job = s->waiting;
    s->waiting = job->next;
    s->running = job;
    if (s->work != NULL && s->work(s->work_ctx, run_job, job_done, job) == 0)
      return;
    run_job(job);
    finish_job(job);
    s->running = NULL;
  }
  if (s->freed && s->running == NULL)
    signer_free(s);
}

static void job_done(void *arg)
{
  uvsmtp__job_t *job = arg;
  uvsmtp_dkim_t *s = job->signer;
  finish_job(job);
  s->running = NULL;
  run_next(s);
}

void uvsmtp__job_start(uvsmtp__job_t *job)
{
  uvsmtp__job_t **last = &job->signer->waiting;
  while (*last != NULL)
    last = &(*last)->next;
  job->next = NULL;
  *last = job;
  run_next(job->signer);
}

void uvsmtp__job_release(uvsmtp__job_t *job)
{
  if (job == NULL)
    return;
  job->finished = NULL;
  if (job->done)
    uvsmtp__free(&job->mem, job);
}

/* ---- The field ---- */

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

/* Signs one more field of a name, the lowest that is not signed yet (RFC 6376 section 5.4.2), or
 * its absence. */
static void sign_field(choosing_t *c, const char *name, size_t len)
{
  bool relaxed = (c->signer->flags & UVSMTP_DKIM_SIMPLE_HEADER) == 0;
  char piece[MAX_NAME + 2] = "h=";
  size_t i = c->count, n = c->first ? 2 : 0;
  for (size_t k = 0; k < len; k++)
    piece[n + k] = uvsmtp__ascii_lower(name[k]);
  put_piece(&c->folder, c->first ? "; " : ":", piece, n + len);
  c->first = false;
  while (i > 0 && (c->used[i - 1] || !uvsmtp__ascii_equal(c->fields[i - 1].name,
                                                          c->fields[i - 1].name_len, name, len)))
    i--;
  if (i == 0)
    return;
  c->used[i - 1] = true;
  if (c->folder.err == 0)
    c->folder.err = uvsmtp__canon_field(&c->canon, c->message->header, &c->fields[i - 1], relaxed);
}

static size_t count_fields(const choosing_t *c, const char *name)
{
  size_t n = 0;
  for (size_t i = 0; i < c->count; i++)
    n += uvsmtp__field_is(&c->fields[i], name);
  return n;
}

static void sign_chosen(choosing_t *c)
{
  bool over = (c->signer->flags & UVSMTP_DKIM_NO_OVERSIGNING) == 0;
  for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
    size_t n = count_fields(c, chosen[i].name) + (over && chosen[i].oversigned);
    for (; n > 0; n--)
      sign_field(c, chosen[i].name, strlen(chosen[i].name));
  }
}

static void sign_listed(choosing_t *c)
{
  const char *list = c->signer->headers, *name;
  size_t len;
  while ((len = next_name(&list, &name)) > 0)
    sign_field(c, name, len);
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
  bool ed25519 = s->crypto->key_type(s->key) == UVSMTP_KEY_ED25519;
  choosing_t c = {.signer = s, .message = message, .detail = detail, .folder = {.out = out}};
  size_t start = uvsmtp__buffer_len(out);
  int err;
  uvsmtp__buffer_init(&c.canon, &s->mem, 2 * message->header_len + 64 * 1024);
  err = read_fields(&c);
  if (err == 0 && count_fields(&c, "From") == 0)
    err = uvsmtp__detail(detail, UVSMTP__DETAIL_SIZE, UVSMTP_EHEADER,
                         "From: missing, and must be signed");
  if (err == 0) {
    put_tags(&c, ed25519 ? "ed25519-sha256" : "rsa-sha256");
    err = c.folder.err;
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
  return s->crypto->key_type(s->key) == UVSMTP_KEY_ED25519 ? 64
                                                           : (s->crypto->key_bits(s->key) + 7) / 8;
}
