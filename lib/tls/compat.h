#ifndef UVSMTP_TLS_COMPAT_H
#define UVSMTP_TLS_COMPAT_H

/*
 * What differs between mbedTLS 2.28 and 3.6 stands in compat.c and nowhere else; the rest of this
 * folder uses what both have. Numbers that begin with -0x are mbedTLS's own errors.
 */
#include <stdbool.h>
#include <stdint.h>

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "uvsmtp/tls.h"

/* Makes the library ready; cheap when it is. 0 or an mbedTLS error. Any thread. */
int uvsmtp__tls_compat_init(void);

/* Private keys; `bytes` of PEM end with a NUL that `len` counts. */
int uvsmtp__tls_compat_parse_key(mbedtls_pk_context *key, const void *bytes, size_t len,
                                 const char *password);
int uvsmtp__tls_compat_check_pair(const mbedtls_pk_context *public_key,
                                  const mbedtls_pk_context *private_key);
int uvsmtp__tls_compat_sign(mbedtls_pk_context *key, mbedtls_md_type_t md, const void *digest,
                            size_t digest_len, uint8_t *out, size_t *out_len);
/* The digest that a certificate is signed with. */
mbedtls_md_type_t uvsmtp__tls_compat_signature_md(const mbedtls_x509_crt *crt);

/* The highest version that is linked. */
uvsmtp_tls_version_t uvsmtp__tls_compat_max_version(void);
void uvsmtp__tls_compat_conf_versions(mbedtls_ssl_config *conf, uvsmtp_tls_version_t min,
                                      uvsmtp_tls_version_t max);
/* Groups and signature algorithms, and whatever else a version needs to be told. */
void uvsmtp__tls_compat_conf_defaults(mbedtls_ssl_config *conf);
/* A cipher suite is one of TLS 1.3's. */
bool uvsmtp__tls_compat_suite_is_13(int suite);

/* The handshake's state (MBEDTLS_SSL_…), and whether that is past its end. */
int uvsmtp__tls_compat_state(const mbedtls_ssl_context *ssl);
bool uvsmtp__tls_compat_done(const mbedtls_ssl_context *ssl);
uvsmtp_tls_version_t uvsmtp__tls_compat_version(const mbedtls_ssl_context *ssl);
/*
 * The server has asked for the client's certificate, judging by whether the handshake step that
 * began in `state` sent a message: mbedTLS tells it in no other way.
 */
bool uvsmtp__tls_compat_cert_wanted(const mbedtls_ssl_context *ssl, int state, bool sent);
/* The number of the alert that MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE was just returned for. */
int uvsmtp__tls_compat_alert(const mbedtls_ssl_context *ssl);
/* `ret` says that a session ticket arrived, which is no error. */
bool uvsmtp__tls_compat_is_ticket(int ret);
/* `ret` says that both sides have no version or cipher suite in common. */
bool uvsmtp__tls_compat_is_version_error(int ret);
/*
 * `ret` came of a server that chose RSA-PSS for its signature in TLS 1.2: mbedTLS 3.6 has to offer
 * that for TLS 1.3, and cannot check it in TLS 1.2.
 */
bool uvsmtp__tls_compat_is_pss_in_12(const mbedtls_ssl_context *ssl, int ret);
/* `ret` says that the peer's certificate cannot be used, for a reason in the verify flags. */
bool uvsmtp__tls_compat_is_certificate_error(int ret);
/* A server can resume `session` by a ticket or its ID. */
bool uvsmtp__tls_compat_resumable(const mbedtls_ssl_session *session);

/*
 * Right after the step that wrote (`ours`) or read the ServerHello of TLS 1.2: whether it has an
 * extension. mbedTLS forgets what was agreed on with the handshake, and 3.6 does not show it.
 */
bool uvsmtp__tls_compat_hello_has(const mbedtls_ssl_context *ssl, bool ours, unsigned extension);
/*
 * The verify data of our (or the peer's) Finished message of TLS 1.2; its length is returned, 0
 * if it was not kept.
 */
size_t uvsmtp__tls_compat_finished(const mbedtls_ssl_context *ssl, bool ours, const void **bytes);
/* Keying material of TLS 1.3's exporter (RFC 8446 section 7.5) with an empty context. */
bool uvsmtp__tls_compat_export(mbedtls_ssl_context *ssl, const char *label, uint8_t *out,
                               size_t len);

#endif
