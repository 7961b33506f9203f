#include "message/signer.h"

/* Signers: their settings and their key. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"
#include "message/address.h"

#define MIN_RSA_BITS 1024 /* RFC 8301 section 3.2 */
#define MAX_KEY_FILE (64 * 1024)
#define MAX_TIME INT64_C(999999999999) /* RFC 6376 section 3.5 asks no more of a verifier */

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
  if (len >= UVSMTP_ADDRESS_SIZE)
    return refuse(mk, UVSMTP_EINVAL, "the identity (i=) has over 320 octets");
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

static int take_times(const making_t *mk, const uvsmtp_dkim_options_t *o)
{
  int64_t from = o->signed_at != 0 ? o->signed_at : (int64_t)time(NULL);
  if (from < 0 || from > MAX_TIME || o->expire_seconds > (uint64_t)(MAX_TIME - from))
    return refuse(mk, UVSMTP_EINVAL, "the times (t=, x=) have more than twelve digits");
  mk->signer->expire = o->expire_seconds;
  mk->signer->signed_at = o->signed_at;
  return 0;
}

static int take_headers(const making_t *mk, const char *headers)
{
  const char *list = headers, *name;
  bool from = false;
  size_t len;
  if (headers == NULL)
    return 0;
  while ((len = uvsmtp__dkim_next_name(&list, &name)) > 0) {
    for (size_t i = 0; i < len; i++)
      if (name[i] < '!' || name[i] > '~' || name[i] == ';' || len > UVSMTP__SIGNED_NAME_MAX)
        return refuse(mk, UVSMTP_EINVAL, "a header to be signed is not the name of a field");
    from = from || uvsmtp__ascii_equal(name, len, "From", 4);
  }
  if (!from)
    return refuse(mk, UVSMTP_EINVAL, "the headers to be signed lack From");
  return keep(mk, &mk->signer->headers, headers);
}

/* ---- The key ---- */

/* Reads the key as many times as signatures may be made at once: no library promises that two
 * threads may use one key. */
static int parse_key(const making_t *mk, const char *pem, size_t len, const char *password)
{
  uvsmtp_dkim_t *s = mk->signer;
  size_t count = s->work != NULL ? UVSMTP__SIGNER_KEYS : 1;
  while (s->key_count < count) {
    int err =
        s->crypto->key_new(&s->keys[s->key_count], pem, len, password, mk->detail, mk->detail_size);
    if (err != 0)
      return err;
    s->key_count++;
  }
  if (s->crypto->key_type(s->keys[0]) == UVSMTP_KEY_RSA &&
      s->crypto->key_bits(s->keys[0]) < MIN_RSA_BITS)
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
    return uvsmtp__detail(mk->detail, mk->detail_size, UVSMTP_EKEY, "%s: %s", path,
                          strerror(errno));
  setvbuf(file, NULL, _IONBF, 0); /* leaves no copy of the key in a buffer of the C library */
  pem = uvsmtp__malloc(&mk->signer->mem, MAX_KEY_FILE);
  if (pem == NULL) {
    fclose(file);
    return UVSMTP_ENOMEM;
  }
  len = fread(pem, 1, MAX_KEY_FILE, file);
  if (ferror(file) || len == MAX_KEY_FILE) {
    err = uvsmtp__detail(mk->detail, mk->detail_size, UVSMTP_EKEY,
                         "%s: cannot be read, or is too long for a key", path);
  } else {
    pem[len] = '\0';
    err = parse_key(mk, pem, len, password);
  }
  fclose(file);
  uvsmtp__wipe(pem, MAX_KEY_FILE);
  uvsmtp__free(&mk->signer->mem, pem);
  return err;
}

void uvsmtp__signer_free(uvsmtp_dkim_t *s)
{
  uvsmtp_mem_t mem = s->mem;
  while (s->key_count > 0)
    s->crypto->key_free(s->keys[--s->key_count]);
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
      (err = take_identity(mk, o->identity)) != 0 || (err = take_headers(mk, o->headers)) != 0 ||
      (err = take_times(mk, o)) != 0)
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
  s->flags = o.flags;
  s->work = o.work;
  s->work_ctx = o.work_ctx;
  mk.signer = s;
  if ((err = fill_signer(&mk, &o)) != 0) {
    uvsmtp__signer_free(s);
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
  if (s->jobs == 0)
    uvsmtp__signer_free(s);
}
