#include "tls/compat.h"

#include <string.h>

#include <mbedtls/version.h>

#include "tls/random.h"

/*
 * X25519 before P-256: a key agreement costs about the same (within a sixth, by both versions of
 * mbedTLS), it is easier to compute in constant time, and TLS 1.3 servers like it best, so that the
 * key which we send for the first group is hardly ever in vain. Then by speed. The NIST curves are
 * needed too because mbedTLS refuses certificates with keys on curves that are not listed.
 */
#if MBEDTLS_VERSION_MAJOR >= 3

#include <psa/crypto.h>

#define FIELD(name) MBEDTLS_PRIVATE(name)

static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

/*
 * The PKCS #1 entries stand before the PSS ones: OpenSSL takes the first that it can use, unless it
 * is told to follow its own order, and mbedTLS cannot check a PSS signature in TLS 1.2 though it
 * offers them there (TLS 1.3, which has no PKCS #1 in its handshake, skips those entries). Where
 * max_version is 1.2, mbedTLS does not offer them.
 */
static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,       MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_NONE,
};

int uvsmtp__tls_compat_init(void)
{
  return (int)psa_crypto_init();
}

int uvsmtp__tls_compat_parse_key(mbedtls_pk_context *key, const void *bytes, size_t len,
                                 const char *password)
{
  return mbedtls_pk_parse_key(key, bytes, len, (const unsigned char *)password,
                              password == NULL ? 0 : strlen(password), uvsmtp__tls_rng, NULL);
}

int uvsmtp__tls_compat_check_pair(const mbedtls_pk_context *public_key,
                                  const mbedtls_pk_context *private_key)
{
  return mbedtls_pk_check_pair(public_key, private_key, uvsmtp__tls_rng, NULL);
}

int uvsmtp__tls_compat_sign(mbedtls_pk_context *key, mbedtls_md_type_t md, const void *digest,
                            size_t digest_len, uint8_t *out, size_t *out_len)
{
  return mbedtls_pk_sign(key, md, digest, digest_len, out, *out_len, out_len, uvsmtp__tls_rng,
                         NULL);
}

uvsmtp_tls_version_t uvsmtp__tls_compat_max_version(void)
{
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
  return UVSMTP_TLS_1_3;
#else
  return UVSMTP_TLS_1_2;
#endif
}

void uvsmtp__tls_compat_conf_versions(mbedtls_ssl_config *conf, uvsmtp_tls_version_t min,
                                      uvsmtp_tls_version_t max)
{
  mbedtls_ssl_conf_min_tls_version(conf, (mbedtls_ssl_protocol_version)min);
  mbedtls_ssl_conf_max_tls_version(conf, (mbedtls_ssl_protocol_version)max);
}

void uvsmtp__tls_compat_conf_defaults(mbedtls_ssl_config *conf)
{
  mbedtls_ssl_conf_groups(conf, groups);
  mbedtls_ssl_conf_sig_algs(conf, signatures);
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
  /* Never a pure PSK: a resumed session has forward secrecy too. */
  mbedtls_ssl_conf_tls13_key_exchange_modes(conf,
                                            MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL);
#if defined(MBEDTLS_SSL_SESSION_TICKETS) && MBEDTLS_VERSION_NUMBER >= 0x03060100
  mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
      conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
#endif
}

uvsmtp_tls_version_t uvsmtp__tls_compat_version(const mbedtls_ssl_context *ssl)
{
  return (uvsmtp_tls_version_t)mbedtls_ssl_get_version_number(ssl);
}

/* TLS 1.3 holds each message back until the next step begins. */
bool uvsmtp__tls_compat_cert_wanted(const mbedtls_ssl_context *ssl, int state, bool sent)
{
  if (uvsmtp__tls_compat_version(ssl) == UVSMTP_TLS_1_2)
    return state == MBEDTLS_SSL_CLIENT_CERTIFICATE && sent;
  return state == MBEDTLS_SSL_CLIENT_CERTIFICATE_VERIFY ||
         (state == MBEDTLS_SSL_CLIENT_FINISHED && sent);
}

bool uvsmtp__tls_compat_is_ticket(int ret)
{
  return ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
}

bool uvsmtp__tls_compat_is_version_error(int ret)
{
  return ret == MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION || ret == MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
}

bool uvsmtp__tls_compat_is_pss_in_12(const mbedtls_ssl_context *ssl, int ret)
{
  return ret == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER &&
         uvsmtp__tls_compat_version(ssl) == UVSMTP_TLS_1_2 &&
         uvsmtp__tls_compat_state(ssl) == MBEDTLS_SSL_SERVER_KEY_EXCHANGE;
}

bool uvsmtp__tls_compat_is_certificate_error(int ret)
{
  return ret == MBEDTLS_ERR_SSL_BAD_CERTIFICATE;
}

#if defined(MBEDTLS_SSL_KEYING_MATERIAL_EXPORT)
bool uvsmtp__tls_compat_export(mbedtls_ssl_context *ssl, const char *label, uint8_t *out,
                               size_t len)
{
  return uvsmtp__tls_compat_version(ssl) == UVSMTP_TLS_1_3 &&
         mbedtls_ssl_export_keying_material(ssl, out, len, label, strlen(label), NULL, 0, 1) == 0;
}
#else
bool uvsmtp__tls_compat_export(mbedtls_ssl_context *ssl, const char *label, uint8_t *out,
                               size_t len)
{
  return false;
}
#endif

#else /* 2.28 */

#define FIELD(name) name

static const mbedtls_ecp_group_id groups[] = {MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1,
                                              MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_SECP521R1,
                                              MBEDTLS_ECP_DP_NONE};

static const int signatures[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512,
                                 MBEDTLS_MD_NONE};

int uvsmtp__tls_compat_init(void)
{
  return 0;
}

int uvsmtp__tls_compat_parse_key(mbedtls_pk_context *key, const void *bytes, size_t len,
                                 const char *password)
{
  return mbedtls_pk_parse_key(key, bytes, len, (const unsigned char *)password,
                              password == NULL ? 0 : strlen(password));
}

int uvsmtp__tls_compat_check_pair(const mbedtls_pk_context *public_key,
                                  const mbedtls_pk_context *private_key)
{
  return mbedtls_pk_check_pair(public_key, private_key);
}

int uvsmtp__tls_compat_sign(mbedtls_pk_context *key, mbedtls_md_type_t md, const void *digest,
                            size_t digest_len, uint8_t *out, size_t *out_len)
{
  if (mbedtls_pk_get_len(key) > *out_len)
    return MBEDTLS_ERR_PK_BAD_INPUT_DATA;
  return mbedtls_pk_sign(key, md, digest, digest_len, out, out_len, uvsmtp__tls_rng, NULL);
}

uvsmtp_tls_version_t uvsmtp__tls_compat_max_version(void)
{
  return UVSMTP_TLS_1_2;
}

void uvsmtp__tls_compat_conf_versions(mbedtls_ssl_config *conf, uvsmtp_tls_version_t min,
                                      uvsmtp_tls_version_t max)
{
  mbedtls_ssl_conf_min_version(conf, (int)min >> 8, (int)min & 0xff);
  mbedtls_ssl_conf_max_version(conf, (int)max >> 8, (int)max & 0xff);
}

void uvsmtp__tls_compat_conf_defaults(mbedtls_ssl_config *conf)
{
  mbedtls_ssl_conf_curves(conf, groups);
  mbedtls_ssl_conf_sig_hashes(conf, signatures);
}

uvsmtp_tls_version_t uvsmtp__tls_compat_version(const mbedtls_ssl_context *ssl)
{
  return (uvsmtp_tls_version_t)(ssl->major_ver << 8 | ssl->minor_ver);
}

bool uvsmtp__tls_compat_cert_wanted(const mbedtls_ssl_context *ssl, int state, bool sent)
{
  return state == MBEDTLS_SSL_CLIENT_CERTIFICATE && sent;
}

bool uvsmtp__tls_compat_is_ticket(int ret)
{
  return false;
}

bool uvsmtp__tls_compat_is_version_error(int ret)
{
  return ret == MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION ||
         ret == MBEDTLS_ERR_SSL_NO_CIPHER_CHOSEN || ret == MBEDTLS_ERR_SSL_NO_USABLE_CIPHERSUITE;
}

bool uvsmtp__tls_compat_is_pss_in_12(const mbedtls_ssl_context *ssl, int ret)
{
  return false;
}

bool uvsmtp__tls_compat_is_certificate_error(int ret)
{
  return ret == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE;
}

bool uvsmtp__tls_compat_export(mbedtls_ssl_context *ssl, const char *label, uint8_t *out,
                               size_t len)
{
  return false;
}

#endif

/* The same words for both, by way of FIELD: members that 3.6 hides and keeps. */

mbedtls_md_type_t uvsmtp__tls_compat_signature_md(const mbedtls_x509_crt *crt)
{
  return crt->FIELD(sig_md);
}

bool uvsmtp__tls_compat_suite_is_13(int suite)
{
  return suite >> 8 == 0x13; /* RFC 8446 appendix B.4 */
}

int uvsmtp__tls_compat_state(const mbedtls_ssl_context *ssl)
{
  return ssl->FIELD(state);
}

/* Not 3.6's mbedtls_ssl_is_handshake_over: it is true before a server has sent its tickets. */
bool uvsmtp__tls_compat_done(const mbedtls_ssl_context *ssl)
{
  return ssl->FIELD(state) == MBEDTLS_SSL_HANDSHAKE_OVER;
}

int uvsmtp__tls_compat_alert(const mbedtls_ssl_context *ssl)
{
  return ssl->FIELD(in_msg)[1]; /* level, description (RFC 5246 section 7.2) */
}

bool uvsmtp__tls_compat_resumable(const mbedtls_ssl_session *session)
{
  return session->FIELD(id_len) != 0 || session->FIELD(ticket_len) != 0;
}

size_t uvsmtp__tls_compat_finished(const mbedtls_ssl_context *ssl, bool ours, const void **bytes)
{
#if defined(MBEDTLS_SSL_RENEGOTIATION)
  if (uvsmtp__tls_compat_version(ssl) != UVSMTP_TLS_1_2)
    return 0;
  *bytes = ours ? ssl->FIELD(own_verify_data) : ssl->FIELD(peer_verify_data);
  return ssl->FIELD(verify_data_len);
#else
  return 0;
#endif
}

/* The offset of a ServerHello's extensions, or 0 (RFC 5246 section 7.4.1.3). */
static size_t hello_extensions(const unsigned char *hello, size_t len)
{
  size_t at = 4 + 2 + 32; /* type and length, version, random */
  if (len <= at || hello[0] != MBEDTLS_SSL_HS_SERVER_HELLO)
    return 0;
  at += 1 + (size_t)hello[at] + 2 + 1 + 2; /* session ID, suite, compression, their length */
  return at < len ? at : 0;
}

bool uvsmtp__tls_compat_hello_has(const mbedtls_ssl_context *ssl, bool ours, unsigned extension)
{
  const unsigned char *hello = ours ? ssl->FIELD(out_msg) : ssl->FIELD(in_msg);
  size_t len = ours ? ssl->FIELD(out_msglen) : ssl->FIELD(in_hslen);
  size_t at = hello_extensions(hello, len);
  while (at != 0 && len - at >= 4) {
    size_t size = (size_t)hello[at + 2] << 8 | hello[at + 3];
    if (((unsigned)hello[at] << 8 | hello[at + 1]) == extension)
      return true;
    if (size > len - at - 4)
      return false;
    at += 4 + size;
  }
  return false;
}
