#include "server_tls.h"

uint64_t server_tls_handshakes, server_tls_resumed;

#if UVSMTP__OPENSSL

#include <stdio.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define KEY_BITS 2048 /* RSA: what most mail servers have */
#define DAY (24L * 60 * 60)

static SSL_CTX *context;

/* ---- the certificate ---------------------------------------------------------------------- */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
  X509V3_CTX about;
  X509_EXTENSION *extension;
  bool added;
  X509V3_set_ctx(&about, certificate, certificate, NULL, NULL, 0);
  extension = X509V3_EXT_conf_nid(NULL, &about, nid, value);
  added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

static bool fill(X509 *certificate, EVP_PKEY *key)
{
  X509_NAME *name = X509_get_subject_name(certificate);
  return X509_set_version(certificate, 2) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY) != NULL &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), 30 * DAY) != NULL &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"bench", -1,
                                    -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
         add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost") &&
         X509_sign(certificate, key, EVP_sha256()) != 0;
}

static bool write_certificate(X509 *certificate, const char *name)
{
  FILE *file = fopen(name, "w");
  bool written = file != NULL && PEM_write_X509(file, certificate) == 1;
  return file != NULL && fclose(file) == 0 && written;
}

bool server_tls_begin(const char *certificate_file)
{
  EVP_PKEY *key = EVP_RSA_gen(KEY_BITS);
  X509 *certificate = X509_new();
  bool ready = key != NULL && certificate != NULL && fill(certificate, key) &&
               write_certificate(certificate, certificate_file);
  context = SSL_CTX_new(TLS_server_method());
  ready = ready && context != NULL && SSL_CTX_use_certificate(context, certificate) == 1 &&
          SSL_CTX_use_PrivateKey(context, key) == 1;
  X509_free(certificate);
  EVP_PKEY_free(key);
  return ready;
}

/* ---- a connection ------------------------------------------------------------------------- */

static void on_state(const SSL *tls, int where, int result)
{
  if ((where & SSL_CB_HANDSHAKE_DONE) == 0)
    return;
  server_tls_handshakes++;
  server_tls_resumed += SSL_session_reused(tls) != 0;
}

server_tls_t *server_tls_new(void)
{
  SSL *tls = SSL_new(context);
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  if (tls == NULL || in == NULL || out == NULL) {
    BIO_free(in);
    BIO_free(out);
    SSL_free(tls);
    return NULL;
  }
  SSL_set_bio(tls, in, out);
  SSL_set_info_callback(tls, on_state);
  SSL_set_accept_state(tls);
  return tls;
}

void server_tls_free(server_tls_t *tls)
{
  SSL_free(tls);
}

bool server_tls_feed(server_tls_t *tls, const char *bytes, size_t len)
{
  return BIO_write(SSL_get_rbio(tls), bytes, (int)len) == (int)len;
}

int server_tls_read(server_tls_t *tls, char *bytes, size_t size)
{
  int n = SSL_read(tls, bytes, (int)size);
  return n > 0 ? n : SSL_get_error(tls, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool server_tls_write(server_tls_t *tls, const char *bytes, size_t len)
{
  return SSL_write(tls, bytes, (int)len) == (int)len;
}

size_t server_tls_output(server_tls_t *tls, char *bytes, size_t size)
{
  int n = BIO_read(SSL_get_wbio(tls), bytes, (int)size);
  return n > 0 ? (size_t)n : 0;
}

#else /* without OpenSSL there is no TLS, and none of these is called but the first */

bool server_tls_begin(const char *certificate_file)
{
  return false;
}

server_tls_t *server_tls_new(void)
{
  return NULL;
}

void server_tls_free(server_tls_t *tls)
{
}

bool server_tls_feed(server_tls_t *tls, const char *bytes, size_t len)
{
  return false;
}

int server_tls_read(server_tls_t *tls, char *bytes, size_t size)
{
  return -1;
}

bool server_tls_write(server_tls_t *tls, const char *bytes, size_t len)
{
  return false;
}

size_t server_tls_output(server_tls_t *tls, char *bytes, size_t size)
{
  return 0;
}

#endif
