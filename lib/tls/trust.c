/*
 * Certificates from files, folders and memory, and the place where this system keeps those that
 * it trusts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "tls/internal.h"

/* No list of certificates or key is longer; /dev/zero by mistake shall not fill the memory. */
#define MAX_FILE ((size_t)64 << 20)

#if defined(_WIN32)
#define LIST_SEPARATOR ';'
#else
#define LIST_SEPARATOR ':'
#endif

/* In the order of how common they are; the first that is there counts. */
static const char *const system_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Arch, Gentoo */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* newer RHEL */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/ssl/cert.pem",                                 /* Alpine, macOS, OpenBSD */
    "/usr/local/share/certs/ca-root-nss.crt",            /* FreeBSD */
    "/etc/openssl/certs/ca-certificates.crt",            /* NetBSD */
};
static const char *const system_dirs[] = {"/etc/ssl/certs", "/etc/pki/tls/certs",
                                          "/etc/openssl/certs"};

/* Grows by doubling: a pipe has no size to ask for. */
static int read_all(const uvsmtp_mem_t *mem, FILE *file, uvsmtp_slice_t *bytes)
{
  uvsmtp__buffer_t buffer;
  size_t n;
  int err;
  uvsmtp__buffer_init(&buffer, mem, MAX_FILE);
  do {
    char piece[4096];
    n = fread(piece, 1, sizeof(piece), file);
    err = uvsmtp__buffer_append(&buffer, piece, n);
    uvsmtp__wipe(piece, n);
  } while (err == 0 && n > 0);
  if (err == 0)
    err = ferror(file) ? UVSMTP_ETLSCONFIG : uvsmtp__buffer_append(&buffer, "", 1);
  if (err != 0) {
    uvsmtp__buffer_wipe(&buffer);
    return err;
  }
  *bytes = (uvsmtp_slice_t){buffer.base, uvsmtp__buffer_len(&buffer) - 1};
  return 0;
}

int uvsmtp__tls_read_file(const uvsmtp_mem_t *mem, const char *path, uvsmtp_slice_t *bytes,
                          uvsmtp__tls_say_t *say)
{
  FILE *file = fopen(path, "rb");
  int err;
  errno = file == NULL ? errno : 0;
  err = file == NULL ? UVSMTP_ETLSCONFIG : read_all(mem, file, bytes);
  if (err == UVSMTP_ETOOLONG) {
    uvsmtp__tls_say(say, "%s is too long", path);
    err = UVSMTP_ETLSCONFIG;
  } else if (err == UVSMTP_ETLSCONFIG) {
    uvsmtp__tls_say(say, "%s cannot be read: %s", path, strerror(errno));
  }
  if (file != NULL)
    fclose(file);
  return err;
}

void uvsmtp__tls_wipe_file(const uvsmtp_mem_t *mem, uvsmtp_slice_t *bytes)
{
  if (bytes->base != NULL)
    uvsmtp__wipe((char *)bytes->base, bytes->len);
  uvsmtp__free(mem, (char *)bytes->base);
  *bytes = (uvsmtp_slice_t){NULL, 0};
}

/*
 * mbedTLS returns how many certificates of a list it could not parse: harmless as long as there
 * are others, since a system's list may hold kinds that mbedTLS does not know. PEM needs its NUL
 * counted, DER must not have it.
 */
static int parse_certificates(mbedtls_x509_crt *list, const uvsmtp_slice_t *bytes)
{
  bool pem = strstr(bytes->base, "-----BEGIN CERTIFICATE-----") != NULL;
  int ret = mbedtls_x509_crt_parse(list, (const unsigned char *)bytes->base, bytes->len + pem);
  return ret > 0 && list->version != 0 ? 0 : ret;
}

int uvsmtp__tls_load_certificates(mbedtls_x509_crt *list, const uvsmtp_mem_t *mem, const char *what,
                                  const uvsmtp_slice_t *bytes, uvsmtp__tls_say_t *say)
{
  int ret = parse_certificates(list, bytes);
  if (ret == 0)
    return 0;
  if (uvsmtp__tls_is_no_memory(ret))
    return UVSMTP_ENOMEM;
  uvsmtp__tls_say(say, "%s holds no certificate that can be used", what);
  if (ret < 0)
    uvsmtp__tls_say_mbedtls(say, ret);
  return UVSMTP_ETLSCONFIG;
}

static int load_file(uvsmtp_tls_context_t *context, const char *path, uvsmtp__tls_say_t *say)
{
  uvsmtp_slice_t bytes = {NULL, 0};
  int err = uvsmtp__tls_read_file(&context->mem, path, &bytes, say);
  if (err == 0)
    err = uvsmtp__tls_load_certificates(&context->trusted, &context->mem, path, &bytes, say);
  uvsmtp__tls_wipe_file(&context->mem, &bytes);
  return err;
}

static int load_dir(uvsmtp_tls_context_t *context, const char *path, uvsmtp__tls_say_t *say)
{
  int ret = mbedtls_x509_crt_parse_path(&context->trusted, path);
  if (ret == 0 || (ret > 0 && context->trusted.version != 0))
    return 0;
  if (uvsmtp__tls_is_no_memory(ret))
    return UVSMTP_ENOMEM;
  uvsmtp__tls_say(say, "the folder %s holds no certificate that can be used", path);
  if (ret < 0)
    uvsmtp__tls_say_mbedtls(say, ret);
  return UVSMTP_ETLSCONFIG;
}

/* SSL_CERT_DIR is a list; folders that are not there do not count. */
static int load_dirs(uvsmtp_tls_context_t *context, const char *list)
{
  while (*list != '\0') {
    const char *end = strchr(list, LIST_SEPARATOR);
    size_t len = end != NULL ? (size_t)(end - list) : strlen(list);
    uvsmtp__tls_say_t ignored = {0};
    char *path = uvsmtp__memdup(&context->mem, list, len);
    int err = path == NULL ? UVSMTP_ENOMEM : len == 0 ? 0 : load_dir(context, path, &ignored);
    uvsmtp__free(&context->mem, path);
    if (err == UVSMTP_ENOMEM)
      return err;
    list += end != NULL ? len + 1 : len;
  }
  return 0;
}

static int load_usual_places(uvsmtp_tls_context_t *context)
{
  for (size_t i = 0; i < sizeof(system_files) / sizeof(system_files[0]); i++) {
    uvsmtp__tls_say_t ignored = {0};
    int err = load_file(context, system_files[i], &ignored);
    if (err != UVSMTP_ETLSCONFIG)
      return err;
  }
  for (size_t i = 0; i < sizeof(system_dirs) / sizeof(system_dirs[0]); i++) {
    uvsmtp__tls_say_t ignored = {0};
    int err = load_dir(context, system_dirs[i], &ignored);
    if (err != UVSMTP_ETLSCONFIG)
      return err;
  }
  return 0;
}

/* A variable of the environment; NULL if it is empty too. */
static const char *variable(const char *name)
{
  const char *value = getenv(name);
  return value != NULL && *value != '\0' ? value : NULL;
}

static int load_system(uvsmtp_tls_context_t *context, uvsmtp__tls_say_t *say)
{
  const char *file = variable("SSL_CERT_FILE"), *dir = variable("SSL_CERT_DIR");
  int err = 0;
  if (file != NULL) {
    err = load_file(context, file, say);
    if (err == UVSMTP_ETLSCONFIG)
      uvsmtp__tls_say(say, " (named by SSL_CERT_FILE)");
  }
  if (err == 0 && dir != NULL)
    err = load_dirs(context, dir);
  if (err == 0 && file == NULL && dir == NULL)
    err = load_usual_places(context);
  if (err == 0 && context->trusted.version == 0) {
    uvsmtp__tls_say(say, "no trusted certificates: %s, and no ca_file is given",
                    dir != NULL ? "SSL_CERT_DIR names no folder that holds any"
                                : "this system keeps none in the usual places");
    err = UVSMTP_ETLSCONFIG;
  }
  return err;
}

int uvsmtp__tls_load_trusted(uvsmtp_tls_context_t *context, const uvsmtp_tls_options_t *options,
                             uvsmtp__tls_say_t *say)
{
  bool given = options->ca_file != NULL || options->ca_dir != NULL || options->ca_pem != NULL;
  bool needed = !options->is_server && options->verify != UVSMTP_TLS_VERIFY_NONE_INSECURE;
  int err = 0;
  if (options->ca_file != NULL)
    err = load_file(context, options->ca_file, say);
  if (err == 0 && options->ca_dir != NULL)
    err = load_dir(context, options->ca_dir, say);
  if (err == 0 && options->ca_pem != NULL) {
    size_t len = options->ca_pem_len != 0 ? options->ca_pem_len : strlen(options->ca_pem);
    uvsmtp_slice_t bytes = {uvsmtp__memdup(&context->mem, options->ca_pem, len), len};
    err = bytes.base == NULL ? UVSMTP_ENOMEM
                             : uvsmtp__tls_load_certificates(&context->trusted, &context->mem,
                                                             "ca_pem", &bytes, say);
    uvsmtp__tls_wipe_file(&context->mem, &bytes);
  }
  if (err == 0 && !given && needed)
    err = load_system(context, say);
  if (err == UVSMTP_ETLSCONFIG && !given && options->trust_optional) {
    context->no_trust = uvsmtp__strdup(&context->mem, say->text);
    err = context->no_trust == NULL ? UVSMTP_ENOMEM : 0;
    *say = (uvsmtp__tls_say_t){0};
  }
  context->has_trusted = context->trusted.version != 0;
  return err;
}
