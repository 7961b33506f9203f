#include "bare_tls.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

struct bare_tls_s {
  int fd;
  mbedtls_ssl_context ssl;
};

static const int suites[] = {
#if defined(MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256)
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0};

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_bytes;
static mbedtls_x509_crt trusted;
static mbedtls_ssl_config config;

static void configure_groups(void)
{
#if MBEDTLS_VERSION_MAJOR >= 3
  static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                    MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
  psa_crypto_init();
  mbedtls_ssl_conf_groups(&config, groups);
#else
  static const mbedtls_ecp_group_id groups[] = {MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1,
                                                MBEDTLS_ECP_DP_NONE};
  mbedtls_ssl_conf_curves(&config, groups);
#endif
}

static bool configure(const char *ca_file)
{
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&trusted);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random_bytes);
  if (mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy, NULL, 0) != 0 ||
      mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                  MBEDTLS_SSL_PRESET_DEFAULT) != 0 ||
      (ca_file != NULL && mbedtls_x509_crt_parse_file(&trusted, ca_file) != 0))
    return false;
  configure_groups();
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_bytes);
  mbedtls_ssl_conf_ciphersuites(&config, suites);
  mbedtls_ssl_conf_ca_chain(&config, &trusted, NULL);
  mbedtls_ssl_conf_authmode(&config, ca_file != NULL ? MBEDTLS_SSL_VERIFY_REQUIRED
                                                     : MBEDTLS_SSL_VERIFY_NONE);
  return true;
}

static int on_send(void *arg, const unsigned char *bytes, size_t len)
{
  ssize_t n = write(((bare_tls_t *)arg)->fd, bytes, len);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_SEND_FAILED;
}

static int on_receive(void *arg, unsigned char *bytes, size_t size)
{
  ssize_t n = read(((bare_tls_t *)arg)->fd, bytes, size);
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_RECV_FAILED;
}

bare_tls_t *bare_tls_open(int fd, const char *ca_file)
{
  static bool configured;
  bare_tls_t *tls = calloc(1, sizeof(*tls));
  configured = configured || configure(ca_file);
  if (tls == NULL)
    return NULL;
  tls->fd = fd;
  mbedtls_ssl_init(&tls->ssl);
  if (configured && mbedtls_ssl_setup(&tls->ssl, &config) == 0 &&
      mbedtls_ssl_set_hostname(&tls->ssl, "localhost") == 0) {
    mbedtls_ssl_set_bio(&tls->ssl, tls, on_send, on_receive, NULL);
    if (mbedtls_ssl_handshake(&tls->ssl) == 0)
      return tls;
  }
  bare_tls_free(tls);
  return NULL;
}

void bare_tls_free(bare_tls_t *tls)
{
  if (tls != NULL)
    mbedtls_ssl_free(&tls->ssl);
  free(tls);
}

static ssize_t result_of(int n)
{
  if (n >= 0)
    return n;
  errno = n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE ? EAGAIN : EPROTO;
  return -1;
}

/* TLS 1.3 tells of tickets as if they were errors. */
static bool is_ticket(int n)
{
#if defined(MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
  return n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
#else
  return false;
#endif
}

ssize_t bare_tls_read(bare_tls_t *tls, void *bytes, size_t size)
{
  int n;
  do
    n = mbedtls_ssl_read(&tls->ssl, bytes, size);
  while (is_ticket(n));
  return result_of(n);
}

ssize_t bare_tls_write(bare_tls_t *tls, const void *bytes, size_t len)
{
  return result_of(mbedtls_ssl_write(&tls->ssl, bytes, len));
}
