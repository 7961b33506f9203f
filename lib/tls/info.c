/* What can be told of a session: the info struct, the peer's certificate, channel bindings. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "tls/ciphers.h"
#include "tls/compat.h"
#include "tls/internal.h"

const char *uvsmtp_security_name(uvsmtp_security_t security)
{
  static const char *const names[] = {"none", "unverified", "verified"};
  return names[security];
}

bool uvsmtp_tls_resumed(const uvsmtp_tls_t *engine)
{
  return engine->done && !engine->full_handshake;
}

bool uvsmtp_tls_verified(const uvsmtp_tls_t *engine)
{
  if (engine->check != NULL)
    return engine->check->verified;
  return engine->done && mbedtls_ssl_get_peer_cert(&engine->ssl) != NULL &&
         engine->context->has_trusted && mbedtls_ssl_get_verify_result(&engine->ssl) == 0 &&
         engine->problems == 0;
}

const char *uvsmtp_tls_overlooked(const uvsmtp_tls_t *engine)
{
  if (!engine->done || !engine->opportunistic)
    return NULL;
  if (engine->check != NULL)
    return engine->check->overlooked;
  if (uvsmtp__tls_fatal_problems(engine, engine->problems) == 0)
    return NULL;
  return engine->reasons != NULL && engine->reasons->len != 0
             ? engine->reasons->text
             : "the server's certificate is not acceptable";
}

const mbedtls_x509_crt *uvsmtp__tls_peer(const uvsmtp_tls_t *engine, mbedtls_x509_crt *scratch,
                                         int *err)
{
  const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&engine->ssl);
  const uvsmtp__tls_check_t *earlier = engine->check;
  *err = 0;
  if (crt != NULL || earlier == NULL || earlier->peer == NULL)
    return crt;
  if (mbedtls_x509_crt_parse_der(scratch, (const unsigned char *)earlier->peer,
                                 earlier->peer_len) == 0)
    return scratch;
  *err = UVSMTP_ENOMEM; /* it was parsed before */
  return NULL;
}

/* Days since 1970 of a date of the Gregorian calendar, counted in years that begin in March. */
static int64_t days(int year, int month, int day)
{
  int64_t y = month > 2 ? year : year - 1;
  int64_t m = month > 2 ? month - 3 : month + 9;
  return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

int64_t uvsmtp__tls_seconds(const mbedtls_x509_time *t)
{
  return ((days(t->year, t->mon, t->day) * 24 + t->hour) * 60 + t->min) * 60 + t->sec;
}

/* The strings of the info, one after another with their NULs. */
typedef struct strings_s {
  uvsmtp__buffer_t text;
  int err;
} strings_t;

/* Where a string begins: an offset, since the buffer may move. */
static size_t add_string(strings_t *s, const char *text)
{
  size_t at = uvsmtp__buffer_len(&s->text);
  if (s->err == 0)
    s->err = uvsmtp__buffer_append(&s->text, text, strlen(text) + 1);
  return at;
}

static size_t add_dn(strings_t *s, const mbedtls_x509_name *name)
{
  uvsmtp__tls_say_t say = {0};
  char text[sizeof(say.text)];
  int len = mbedtls_x509_dn_gets(text, sizeof(text), name);
  if (len > 0)
    uvsmtp__tls_say_bytes(&say, text, (size_t)len);
  return add_string(s, say.text);
}

static size_t add_names(strings_t *s, const mbedtls_x509_crt *crt)
{
  uvsmtp__tls_say_t say = {0};
  uvsmtp__tls_say_names(&say, crt);
  return add_string(s, say.text);
}

/* Offsets of the strings, in the order of the struct. */
struct offsets {
  size_t version, cipher, alpn, server_name, subject, issuer, names;
};

static void add_strings(strings_t *s, struct offsets *at, const uvsmtp_tls_t *engine,
                        const mbedtls_x509_crt *crt)
{
  const char *alpn = mbedtls_ssl_get_alpn_protocol(&engine->ssl);
  const char *name = uvsmtp__tls_name_of(engine);
  char cipher[96];
  uvsmtp__tls_iana_name(cipher, sizeof(cipher), mbedtls_ssl_get_ciphersuite(&engine->ssl));
  at->version = add_string(s, mbedtls_ssl_get_version(&engine->ssl));
  at->cipher = add_string(s, cipher);
  at->alpn = add_string(s, alpn != NULL ? alpn : "");
  at->server_name = add_string(s, name != NULL ? name : "");
  at->subject = crt != NULL ? add_dn(s, &crt->subject) : add_string(s, "");
  at->issuer = crt != NULL ? add_dn(s, &crt->issuer) : add_string(s, "");
  at->names = crt != NULL ? add_names(s, crt) : add_string(s, "");
}

static int fill_strings(uvsmtp_tls_info_t *info, uvsmtp_tls_t *engine, const mbedtls_x509_crt *crt)
{
  strings_t s = {.err = 0};
  struct offsets at;
  uvsmtp__buffer_init(&s.text, uvsmtp__tls_mem(engine), 8192);
  add_strings(&s, &at, engine, crt);
  if (s.err != 0) {
    uvsmtp__buffer_free(&s.text);
    return s.err;
  }
  uvsmtp__free(uvsmtp__tls_mem(engine), engine->info);
  engine->info = s.text.base;
  info->version = engine->info + at.version;
  info->cipher = engine->info + at.cipher;
  info->alpn = engine->info + at.alpn;
  info->server_name = engine->info + at.server_name;
  info->subject = engine->info + at.subject;
  info->issuer = engine->info + at.issuer;
  info->names = engine->info + at.names;
  return 0;
}

static void fill_peer(uvsmtp_tls_info_t *info, const mbedtls_x509_crt *crt)
{
  const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
  uint8_t digest[PIN_LEN];
  info->has_peer = 1;
  info->not_before = uvsmtp__tls_seconds(&crt->valid_from);
  info->not_after = uvsmtp__tls_seconds(&crt->valid_to);
  mbedtls_md(sha256, crt->raw.p, crt->raw.len, info->fingerprint);
  if (uvsmtp__tls_pin(crt, digest) == 0)
    uvsmtp__tls_pin_text(digest, info->pin);
}

static int fill_info(uvsmtp_tls_info_t *info, uvsmtp_tls_t *engine)
{
  mbedtls_x509_crt scratch;
  const mbedtls_x509_crt *crt;
  int err;
  mbedtls_x509_crt_init(&scratch);
  crt = uvsmtp__tls_peer(engine, &scratch, &err);
  if (err == 0)
    err = fill_strings(info, engine, crt);
  if (err == 0 && crt != NULL)
    fill_peer(info, crt);
  info->resumed = uvsmtp_tls_resumed(engine);
  info->verified = uvsmtp_tls_verified(engine);
  info->overlooked = uvsmtp_tls_overlooked(engine);
  if (info->overlooked == NULL)
    info->overlooked = "";
  info->client_cert_wanted = engine->cert_wanted;
  mbedtls_x509_crt_free(&scratch);
  return err;
}

int uvsmtp_tls_info(uvsmtp_tls_t *engine, uvsmtp_tls_info_t *info)
{
  uvsmtp_tls_info_t full = {.size = sizeof(full)};
  size_t size = info->size;
  int err;
  if (size < sizeof(size))
    return UVSMTP_EINVAL;
  if (!engine->done)
    return UVSMTP_ESTATE;
  err = fill_info(&full, engine);
  if (err != 0)
    return err;
  memcpy(info, &full, size < sizeof(full) ? size : sizeof(full));
  info->size = size;
  return 0;
}

/*
 * RFC 5929 section 4.1: the digest of the server's certificate by the algorithm of its signature,
 * or SHA-256 where that is MD5 or SHA-1.
 */
static int server_end_point(const uvsmtp_tls_t *engine, uint8_t *out, size_t *len)
{
  const mbedtls_md_info_t *md;
  const mbedtls_x509_crt *crt;
  mbedtls_x509_crt scratch;
  mbedtls_md_type_t type;
  int err = 0;
  mbedtls_x509_crt_init(&scratch);
  crt =
      engine->context->is_server ? &engine->context->own : uvsmtp__tls_peer(engine, &scratch, &err);
  type = crt != NULL ? uvsmtp__tls_compat_signature_md(crt) : MBEDTLS_MD_NONE;
  if (type == MBEDTLS_MD_MD5 || type == MBEDTLS_MD_SHA1)
    type = MBEDTLS_MD_SHA256;
  md = mbedtls_md_info_from_type(type);
  if (err == 0 && (crt == NULL || md == NULL))
    err = UVSMTP_EEXTENSION;
  if (err == 0 && *len < mbedtls_md_get_size(md))
    err = UVSMTP_EINVAL;
  if (err == 0) {
    *len = mbedtls_md_get_size(md);
    err = mbedtls_md(md, crt->raw.p, crt->raw.len, out) == 0 ? 0 : UVSMTP_ETLS;
  }
  mbedtls_x509_crt_free(&scratch);
  return err;
}

/*
 * RFC 5929 section 3.1: the first Finished message of the handshake, which is the client's, or the
 * server's where a session was resumed. Without an extended master secret somebody in the middle
 * can bring about the same one on both sides (RFC 7627 section 5.4).
 */
static int unique(const uvsmtp_tls_t *engine, uint8_t *out, size_t *len)
{
  bool from_client = !uvsmtp_tls_resumed(engine);
  const void *bytes = NULL;
  size_t n =
      uvsmtp__tls_compat_finished(&engine->ssl, from_client != engine->context->is_server, &bytes);
  if (n == 0 || !engine->extended_master)
    return UVSMTP_EEXTENSION;
  if (*len < n)
    return UVSMTP_EINVAL;
  memcpy(out, bytes, n);
  *len = n;
  return 0;
}

/* RFC 9266 section 2. */
static int exporter(uvsmtp_tls_t *engine, uint8_t *out, size_t *len)
{
  if (*len < 32)
    return UVSMTP_EINVAL;
  if (!uvsmtp__tls_compat_export(&engine->ssl, "EXPORTER-Channel-Binding", out, 32))
    return UVSMTP_EEXTENSION;
  *len = 32;
  return 0;
}

int uvsmtp_tls_channel_binding(uvsmtp_tls_t *engine, const char *type, uint8_t *out, size_t *len)
{
  if (!engine->done)
    return UVSMTP_ESTATE;
  if (strcmp(type, "tls-server-end-point") == 0)
    return server_end_point(engine, out, len);
  if (strcmp(type, "tls-unique") == 0)
    return unique(engine, out, len);
  return strcmp(type, "tls-exporter") == 0 ? exporter(engine, out, len) : UVSMTP_EINVAL;
}
