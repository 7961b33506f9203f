/*
 * What the engines of a context share: parsed certificates, the key, and mbedTLS's configuration.
 * All of it is set up here once and only read afterwards, so that engines in several threads need
 * no lock; the parts of mbedTLS that do change (a server's tickets and session cache, an RSA key's
 * blinding values) lock themselves where mbedTLS was built with threads, as Debian's is.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/options.h"
#include "base/secret.h"
#include "tls/ciphers.h"
#include "tls/compat.h"
#include "tls/internal.h"
#include "tls/random.h"

/* Four full records of 16 KiB with what they need around them. */
#define DEFAULT_OUTPUT ((size_t)4 * (16384 + 64))
/* A full record and more, so that each of them fits when the buffer is empty. */
#define LEAST_OUTPUT ((size_t)17 * 1024)
#define MOST_OUTPUT ((size_t)1 << 30) /* an engine counts in 32 bits */

/* How long a server lets sessions be resumed. */
#define SESSION_SECONDS (24 * 60 * 60)

static atomic_uint_fast64_t last_id;

static int refuse(uvsmtp__tls_say_t *say, int err, const char *sentence)
{
  uvsmtp__tls_say(say, "%s", sentence);
  return err;
}

static int check_options(const uvsmtp_tls_options_t *o, uvsmtp__tls_say_t *say)
{
  uvsmtp_tls_version_t highest = uvsmtp__tls_compat_max_version();
  if (o->cert_file != NULL && o->cert_pem != NULL)
    return refuse(say, UVSMTP_EINVAL, "cert_file and cert_pem are both given");
  if (o->key_file != NULL && o->key_pem != NULL)
    return refuse(say, UVSMTP_EINVAL, "key_file and key_pem are both given");
  if ((o->key_file != NULL || o->key_pem != NULL) && o->cert_file == NULL && o->cert_pem == NULL)
    return refuse(say, UVSMTP_EINVAL, "a key is given without its certificate");
  if (o->is_server && o->cert_file == NULL && o->cert_pem == NULL)
    return refuse(say, UVSMTP_EINVAL, "a server needs a certificate");
  if (!o->is_server && o->client_cert != UVSMTP_TLS_CLIENT_CERT_NONE)
    return refuse(say, UVSMTP_EINVAL, "client_cert is for servers");
  if (o->client_cert == UVSMTP_TLS_CLIENT_CERT_REQUIRE && o->ca_file == NULL && o->ca_dir == NULL &&
      o->ca_pem == NULL)
    return refuse(say, UVSMTP_EINVAL, "a server that demands certificates needs a ca_file");
  if ((unsigned)o->verify > UVSMTP_TLS_VERIFY_NONE_INSECURE)
    return refuse(say, UVSMTP_EINVAL, "verify is none of the modes");
  if (o->max_version != 0 && o->min_version > o->max_version)
    return refuse(say, UVSMTP_EINVAL, "min_version is higher than max_version");
  if ((o->min_version != 0 && o->min_version < UVSMTP_TLS_1_2) ||
      (o->max_version != 0 && o->max_version < UVSMTP_TLS_1_2))
    return refuse(say, UVSMTP_ETLSCONFIG, "TLS versions below 1.2 are not supported");
  if (o->min_version > highest)
    return refuse(say, UVSMTP_ETLSCONFIG, "min_version is higher than the linked mbedTLS has");
  return 0;
}

static int load_pins(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o, uvsmtp__tls_say_t *say)
{
  if (o->pin_count == 0)
    return 0;
  c->pins = uvsmtp__realloc_array(&c->mem, NULL, o->pin_count, sizeof(*c->pins));
  if (c->pins == NULL)
    return UVSMTP_ENOMEM;
  for (size_t i = 0; i < o->pin_count; i++) {
    const char *pin = o->pins[i];
    uint8_t digest[PIN_LEN + 1];
    size_t len;
    if (strlen(pin) != PIN_TEXT_SIZE - 1 || strncmp(pin, "sha256//", 8) != 0 ||
        uvsmtp__base64_decode(digest, &len, pin + 8, strlen(pin + 8)) != 0 || len != PIN_LEN) {
      uvsmtp__tls_say(say, "\"%s\" is no pin: it takes \"sha256//\" and 32 bytes in base64", pin);
      return UVSMTP_ETLSCONFIG;
    }
    memcpy(c->pins[i], digest, PIN_LEN);
  }
  c->pin_count = o->pin_count;
  return 0;
}

/* One allocation: the pointers, then the names. */
static int copy_alpn(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o)
{
  size_t bytes = (o->alpn_count + 1) * sizeof(*c->alpn);
  char *at;
  if (o->alpn_count == 0)
    return 0;
  for (size_t i = 0; i < o->alpn_count; i++)
    bytes += strlen(o->alpn[i]) + 1;
  c->alpn = uvsmtp__malloc(&c->mem, bytes);
  if (c->alpn == NULL)
    return UVSMTP_ENOMEM;
  at = (char *)(c->alpn + o->alpn_count + 1);
  for (size_t i = 0; i < o->alpn_count; i++) {
    size_t size = strlen(o->alpn[i]) + 1;
    c->alpn[i] = memcpy(at, o->alpn[i], size);
    at += size;
  }
  c->alpn[o->alpn_count] = NULL;
  return 0;
}

/* A file's bytes, or a copy of those in memory, either with a NUL behind them. */
static int get_bytes(const uvsmtp_tls_context_t *c, const char *file, const char *pem, size_t len,
                     uvsmtp_slice_t *bytes, uvsmtp__tls_say_t *say)
{
  if (file != NULL)
    return uvsmtp__tls_read_file(&c->mem, file, bytes, say);
  bytes->len = len != 0 ? len : strlen(pem);
  bytes->base = uvsmtp__memdup(&c->mem, pem, bytes->len);
  return bytes->base != NULL ? 0 : UVSMTP_ENOMEM;
}

static int parse_key(uvsmtp_tls_context_t *c, const char *what, const uvsmtp_slice_t *bytes,
                     const char *password, uvsmtp__tls_say_t *say)
{
  bool pem = strstr(bytes->base, "-----BEGIN ") != NULL;
  int ret = uvsmtp__tls_compat_parse_key(&c->key, bytes->base, bytes->len + pem, password);
  if (ret == 0)
    ret = uvsmtp__tls_compat_check_pair(&c->own.pk, &c->key);
  else if (!uvsmtp__tls_is_no_memory(ret))
    uvsmtp__tls_say(say, "%s holds no private key that can be used", what);
  if (ret == 0)
    return 0;
  if (uvsmtp__tls_is_no_memory(ret))
    return UVSMTP_ENOMEM;
  if (say->len == 0)
    uvsmtp__tls_say(say, "the private key of %s does not belong to the certificate", what);
  uvsmtp__tls_say_mbedtls(say, ret);
  return UVSMTP_ETLSCONFIG;
}

static int load_key(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o,
                    const uvsmtp_slice_t *beside, uvsmtp__tls_say_t *say)
{
  const char *what = o->key_file != NULL    ? o->key_file
                     : o->key_pem != NULL   ? "key_pem"
                     : o->cert_file != NULL ? o->cert_file
                                            : "cert_pem";
  uvsmtp_slice_t bytes = {NULL, 0};
  int err;
  if (o->key_file == NULL && o->key_pem == NULL)
    return parse_key(c, what, beside, o->key_password, say);
  err = get_bytes(c, o->key_file, o->key_pem, o->key_pem_len, &bytes, say);
  if (err == 0)
    err = parse_key(c, what, &bytes, o->key_password, say);
  uvsmtp__tls_wipe_file(&c->mem, &bytes);
  return err;
}

static int load_own(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o, uvsmtp__tls_say_t *say)
{
  const char *what = o->cert_file != NULL ? o->cert_file : "cert_pem";
  uvsmtp_slice_t bytes = {NULL, 0};
  int err;
  if (o->cert_file == NULL && o->cert_pem == NULL)
    return 0;
  err = get_bytes(c, o->cert_file, o->cert_pem, o->cert_pem_len, &bytes, say);
  if (err == 0)
    err = uvsmtp__tls_load_certificates(&c->own, &c->mem, what, &bytes, say);
  if (err == 0)
    err = load_key(c, o, &bytes, say);
  c->has_own = err == 0;
  uvsmtp__tls_wipe_file(&c->mem, &bytes);
  return err;
}

/* Suites of one version only mean that version only: it would be offered in vain else. */
static void set_versions(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o, const int *suites)
{
  uvsmtp_tls_version_t min = o->min_version != 0 ? o->min_version : UVSMTP_TLS_1_2;
  uvsmtp_tls_version_t max = o->max_version != 0 ? o->max_version : UVSMTP_TLS_1_3;
  bool any_12 = false, any_13 = false;
  for (; *suites != 0; suites++) {
    any_13 = any_13 || uvsmtp__tls_compat_suite_is_13(*suites);
    any_12 = any_12 || !uvsmtp__tls_compat_suite_is_13(*suites);
  }
  if (max > uvsmtp__tls_compat_max_version())
    max = uvsmtp__tls_compat_max_version();
  if (max == UVSMTP_TLS_1_3 && min == UVSMTP_TLS_1_2 && any_12 != any_13) {
    max = any_12 ? UVSMTP_TLS_1_2 : max;
    min = any_13 ? UVSMTP_TLS_1_3 : min;
  }
  uvsmtp__tls_compat_conf_versions(&c->conf, min, max);
}

static int set_suites(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o,
                      uvsmtp__tls_say_t *say)
{
  const int *suites = uvsmtp__tls_default_suites;
  if (o->ciphers != NULL && *o->ciphers != '\0') {
    int err = uvsmtp__tls_parse_suites(&c->suites, &c->mem, o->ciphers, say);
    if (err != 0)
      return err;
    suites = c->suites;
  }
  mbedtls_ssl_conf_ciphersuites(&c->conf, suites);
  set_versions(c, o, suites);
  return 0;
}

/*
 * Without any check mbedTLS still has to call us for the pins and for what the info says, so the
 * check runs and its result is not heeded.
 */
static int auth_mode(const uvsmtp_tls_options_t *o)
{
  if (!o->is_server)
    return o->verify == UVSMTP_TLS_VERIFY_NONE_INSECURE ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                                        : MBEDTLS_SSL_VERIFY_REQUIRED;
  if (o->client_cert == UVSMTP_TLS_CLIENT_CERT_REQUIRE)
    return MBEDTLS_SSL_VERIFY_REQUIRED;
  return o->client_cert == UVSMTP_TLS_CLIENT_CERT_REQUEST ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                                          : MBEDTLS_SSL_VERIFY_NONE;
}

/* Tickets, and a cache for clients that know session IDs only. */
static int remember_sessions(uvsmtp_tls_context_t *c)
{
  int ret = mbedtls_ssl_ticket_setup(&c->tickets, uvsmtp__tls_rng, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                     SESSION_SECONDS);
  if (ret != 0)
    return ret;
  mbedtls_ssl_conf_session_tickets_cb(&c->conf, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                      &c->tickets);
  mbedtls_ssl_cache_set_timeout(&c->cache, SESSION_SECONDS);
  mbedtls_ssl_conf_session_cache(&c->conf, &c->cache, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
  return 0;
}

/* The name that a client sends (SNI): kept for the info; every name gets the one certificate. */
static int note_server_name(void *unused, mbedtls_ssl_context *ssl, const unsigned char *name,
                            size_t len)
{
  uvsmtp_tls_t *engine = (uvsmtp_tls_t *)((char *)ssl - offsetof(uvsmtp_tls_t, ssl));
  if (engine->name == NULL)
    engine->name = uvsmtp__memdup(uvsmtp__tls_mem(engine), name, len);
  if (engine->name != NULL)
    return 0;
  engine->no_memory = true;
  return MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

static int configure(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o)
{
  int ret = mbedtls_ssl_config_defaults(
      &c->conf, o->is_server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
      MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
  if (ret != 0)
    return ret;
  mbedtls_ssl_conf_rng(&c->conf, uvsmtp__tls_rng, NULL);
  mbedtls_ssl_conf_authmode(&c->conf, auth_mode(o));
  uvsmtp__tls_compat_conf_defaults(&c->conf);
#if defined(MBEDTLS_DHM_C)
  if (!o->is_server)
    mbedtls_ssl_conf_dhm_min_bitlen(&c->conf, 2048); /* Logjam */
#endif
  if (c->has_trusted)
    mbedtls_ssl_conf_ca_chain(&c->conf, &c->trusted, NULL);
  if (c->has_own)
    ret = mbedtls_ssl_conf_own_cert(&c->conf, &c->own, &c->key);
  if (ret == 0 && c->alpn != NULL)
    ret = mbedtls_ssl_conf_alpn_protocols(&c->conf, c->alpn);
  if (ret == 0 && o->is_server) {
    mbedtls_ssl_conf_sni(&c->conf, note_server_name, NULL);
    ret = remember_sessions(c);
  }
  return ret;
}

static int load_all(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o, uvsmtp__tls_say_t *say)
{
  int err = uvsmtp__tls_load_trusted(c, o, say);
  if (err == 0)
    err = load_own(c, o, say);
  if (err == 0)
    err = load_pins(c, o, say);
  if (err == 0)
    err = copy_alpn(c, o);
  return err;
}

static int set_up(uvsmtp_tls_context_t *c, const uvsmtp_tls_options_t *o, uvsmtp__tls_say_t *say)
{
  int ret = uvsmtp__tls_compat_init(), err;
  if (ret == 0) {
    err = load_all(c, o, say);
    if (err != 0)
      return err;
    ret = configure(c, o);
  }
  if (ret == 0) {
    err = set_suites(c, o, say);
    c->lenient = c->conf;
    mbedtls_ssl_conf_authmode(&c->lenient, MBEDTLS_SSL_VERIFY_OPTIONAL);
    return err;
  }
  if (uvsmtp__tls_is_no_memory(ret))
    return UVSMTP_ENOMEM;
  uvsmtp__tls_say(say, "the TLS settings cannot be used");
  uvsmtp__tls_say_mbedtls(say, ret);
  return UVSMTP_ETLSCONFIG;
}

static uvsmtp_tls_context_t *allocate(const uvsmtp_tls_options_t *o)
{
  const uvsmtp_mem_t *mem = uvsmtp__mem(o->mem);
  uvsmtp_tls_context_t *c = uvsmtp__calloc(mem, 1, sizeof(*c));
  if (c == NULL)
    return NULL;
  c->mem = *mem;
  atomic_init(&c->refs, 1);
  c->id = atomic_fetch_add(&last_id, 1) + 1;
  c->verify = o->verify;
  c->is_server = o->is_server != 0;
  c->max_output = o->max_output_bytes == 0             ? DEFAULT_OUTPUT
                  : o->max_output_bytes < LEAST_OUTPUT ? LEAST_OUTPUT
                  : o->max_output_bytes > MOST_OUTPUT  ? MOST_OUTPUT
                                                       : o->max_output_bytes;
  mbedtls_ssl_config_init(&c->conf);
  mbedtls_x509_crt_init(&c->trusted);
  mbedtls_x509_crt_init(&c->own);
  mbedtls_pk_init(&c->key);
  mbedtls_ssl_ticket_init(&c->tickets);
  mbedtls_ssl_cache_init(&c->cache);
  return c;
}

int uvsmtp_tls_context_new(uvsmtp_tls_context_t **context, const uvsmtp_tls_options_t *options,
                           char *detail, size_t detail_size)
{
  uvsmtp_tls_options_t o;
  uvsmtp__tls_say_t say = {0};
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  *context = NULL;
  if (err == 0)
    err = check_options(&o, &say);
  if (err == 0 && (*context = allocate(&o)) == NULL)
    err = UVSMTP_ENOMEM;
  if (err == 0)
    err = set_up(*context, &o, &say);
  if (err != 0) {
    uvsmtp_tls_context_free(*context);
    *context = NULL;
  }
  if (detail != NULL && detail_size > 0)
    snprintf(detail, detail_size, "%s", err != 0 && say.len == 0 ? uvsmtp_strerror(err) : say.text);
  return err;
}

void uvsmtp__tls_context_unref(uvsmtp_tls_context_t *c)
{
  uvsmtp_mem_t mem = c->mem;
  if (atomic_fetch_sub(&c->refs, 1) != 1)
    return;
  mbedtls_ssl_config_free(&c->conf);
  mbedtls_ssl_ticket_free(&c->tickets);
  mbedtls_ssl_cache_free(&c->cache);
  mbedtls_x509_crt_free(&c->trusted);
  mbedtls_x509_crt_free(&c->own);
  mbedtls_pk_free(&c->key);
  uvsmtp__free(&mem, c->suites);
  uvsmtp__free(&mem, c->alpn);
  uvsmtp__free(&mem, c->pins);
  uvsmtp__free(&mem, c->no_trust);
  uvsmtp__free(&mem, c);
}

void uvsmtp_tls_context_free(uvsmtp_tls_context_t *context)
{
  if (context != NULL)
    uvsmtp__tls_context_unref(context);
}
