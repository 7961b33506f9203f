/*
 * How an engine ends: one error code that a program can act on, and one sentence for people. The
 * code comes from mbedTLS's number, from the flags of the certificate check, or from the alert that
 * the peer sent; the first of these that says more wins.
 */
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/bignum.h>
#include <mbedtls/cipher.h>
#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/pem.h>

#include "tls/compat.h"
#include "tls/internal.h"

bool uvsmtp__tls_is_no_memory(int ret)
{
  /* A number is the sum of a high part (what was done) and a low part (why it failed). */
  static const int high[] = {MBEDTLS_ERR_SSL_ALLOC_FAILED, MBEDTLS_ERR_X509_ALLOC_FAILED,
                             MBEDTLS_ERR_PK_ALLOC_FAILED,  MBEDTLS_ERR_MD_ALLOC_FAILED,
                             MBEDTLS_ERR_ECP_ALLOC_FAILED, MBEDTLS_ERR_CIPHER_ALLOC_FAILED,
                             MBEDTLS_ERR_PEM_ALLOC_FAILED};
  int low = -(-ret & 0x7f);
  if (low == MBEDTLS_ERR_MPI_ALLOC_FAILED || low == MBEDTLS_ERR_ASN1_ALLOC_FAILED)
    return true;
  for (size_t i = 0; i < sizeof(high) / sizeof(high[0]); i++)
    if (ret - low == high[i])
      return true;
  return false;
}

void uvsmtp__tls_say_mbedtls(uvsmtp__tls_say_t *say, int ret)
{
  uvsmtp__tls_say(say, " (mbedTLS -0x%04X", (unsigned)-ret);
#if defined(MBEDTLS_ERROR_C)
  char text[160];
  mbedtls_strerror(ret, text, sizeof(text));
  uvsmtp__tls_say(say, ": %s", text);
#endif
  uvsmtp__tls_say(say, ")");
}

int uvsmtp__tls_fail(uvsmtp_tls_t *engine, int err, const char *sentence)
{
  engine->err = err;
  engine->fed.len = 0;
  uvsmtp__tls_forget_kept(engine);
  if (engine->detail == NULL)
    engine->detail = uvsmtp__strdup(uvsmtp__tls_mem(engine), sentence);
  return err;
}

/* Alerts of RFC 8446 section 6.2 and their predecessors. */
static const struct alert {
  int number;
  enum { PLAIN, ABOUT_OUR_CERT, ABOUT_VERSION, HANDSHAKE_FAILURE } kind;
  const char *name;
} alerts[] = {
    {10, PLAIN, "unexpected message"},
    {20, PLAIN, "bad record MAC"},
    {22, PLAIN, "record overflow"},
    {40, HANDSHAKE_FAILURE, "handshake failure"},
    {41, ABOUT_OUR_CERT, "no certificate"},
    {42, ABOUT_OUR_CERT, "bad certificate"},
    {43, ABOUT_OUR_CERT, "unsupported certificate"},
    {44, ABOUT_OUR_CERT, "certificate revoked"},
    {45, ABOUT_OUR_CERT, "certificate expired"},
    {46, ABOUT_OUR_CERT, "certificate unknown"},
    {47, PLAIN, "illegal parameter"},
    {48, ABOUT_OUR_CERT, "unknown certificate authority"},
    {49, PLAIN, "access denied"},
    {50, PLAIN, "decode error"},
    {51, PLAIN, "decrypt error"},
    {70, ABOUT_VERSION, "protocol version"},
    {71, ABOUT_VERSION, "insufficient security"},
    {80, PLAIN, "internal error"},
    {86, PLAIN, "inappropriate fallback"},
    {90, PLAIN, "user cancelled"},
    {109, PLAIN, "missing extension"},
    {110, PLAIN, "unsupported extension"},
    {112, PLAIN, "unrecognized name"},
    {113, ABOUT_OUR_CERT, "bad certificate status response"},
    {115, PLAIN, "unknown PSK identity"},
    {116, ABOUT_OUR_CERT, "certificate required"},
    {120, PLAIN, "no application protocol"},
};

/* OpenSSL's TLS 1.2 says "handshake failure" where it misses our certificate. */
static int alert_error(const uvsmtp_tls_t *engine, const struct alert *alert)
{
  switch (alert->kind) {
  case ABOUT_OUR_CERT:
    return engine->context->is_server ? UVSMTP_ETLSCERT : UVSMTP_ETLSCLIENTCERT;
  case HANDSHAKE_FAILURE:
    return engine->cert_wanted ? UVSMTP_ETLSCLIENTCERT : UVSMTP_ETLSVERSION;
  case ABOUT_VERSION:
    return UVSMTP_ETLSVERSION;
  default:
    return UVSMTP_ETLS;
  }
}

static void say_our_cert_refused(const uvsmtp_tls_t *engine, uvsmtp__tls_say_t *say)
{
  uvsmtp__tls_say(say, engine->context->has_own
                           ? ": it does not accept our certificate"
                           : ": it wants a client certificate, and none is configured");
}

static int explain_alert(uvsmtp_tls_t *engine, uvsmtp__tls_say_t *say)
{
  const char *peer = engine->context->is_server ? "client" : "server";
  int number = uvsmtp__tls_compat_alert(&engine->ssl), err = UVSMTP_ETLS;
  uvsmtp__tls_say(say, "the %s ended the session with alert %d", peer, number);
  for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
    if (alerts[i].number == number) {
      uvsmtp__tls_say(say, " (%s)", alerts[i].name);
      err = alert_error(engine, &alerts[i]);
    }
  if (err == UVSMTP_ETLSCLIENTCERT)
    say_our_cert_refused(engine, say);
  else if (err == UVSMTP_ETLSVERSION)
    uvsmtp__tls_say(say, ": no TLS version or cipher suite in common");
  return err;
}

/* What matters most comes first: a forged certificate may well carry the right dates. */
static int problems_error(uint32_t problems)
{
  const uint32_t time = MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE;
  if ((problems & ~(time | MBEDTLS_X509_BADCERT_CN_MISMATCH | PROBLEM_PIN)) != 0)
    return UVSMTP_ETLSCERT;
  if ((problems & time) != 0)
    return UVSMTP_ETLSEXPIRED;
  return (problems & PROBLEM_PIN) != 0 ? UVSMTP_ETLSPIN : UVSMTP_ETLSNAME;
}

static int explain_certificate(uvsmtp_tls_t *engine, uvsmtp__tls_say_t *say)
{
  const char *peer = engine->context->is_server ? "client" : "server";
  uint32_t problems = uvsmtp__tls_fatal_problems(engine, engine->problems);
  if (engine->reasons != NULL && engine->reasons->len != 0)
    uvsmtp__tls_say(say, "%s", engine->reasons->text);
  else
    uvsmtp__tls_say(say, "the %s's certificate cannot be used", peer);
  return problems != 0 ? problems_error(problems) : UVSMTP_ETLSCERT;
}

/* TLS records begin with their type, 20 to 24 (RFC 8446 section 5.1). */
static bool is_no_tls(const uvsmtp_tls_t *engine)
{
  return engine->any_input && (engine->first_byte < 20 || engine->first_byte > 24);
}

/*
 * A TLS 1.3 server made of mbedTLS 3.6 encrypts the alert about our certificate with the keys of
 * the handshake, which are gone here by then.
 */
static bool is_unreadable_refusal(const uvsmtp_tls_t *engine, int ret)
{
  return ret == MBEDTLS_ERR_SSL_INVALID_MAC && engine->done && engine->cert_wanted &&
         !engine->heard;
}

static int explain_rest(uvsmtp_tls_t *engine, int ret, uvsmtp__tls_say_t *say)
{
  const char *peer = engine->context->is_server ? "client" : "server";
  if (uvsmtp__tls_compat_is_version_error(ret)) {
    uvsmtp__tls_say(say, "no TLS version or cipher suite in common with the %s", peer);
    return UVSMTP_ETLSVERSION;
  }
  if (uvsmtp__tls_compat_is_pss_in_12(&engine->ssl, ret)) {
    uvsmtp__tls_say(say, "the server signs with RSA-PSS in TLS 1.2, which mbedTLS cannot check: "
                         "setting the maximum version to TLS 1.2 keeps it from that");
    return UVSMTP_ETLSVERSION;
  }
  if (ret == MBEDTLS_ERR_SSL_CONN_EOF) {
    uvsmtp__tls_say(say, "the %s closed the connection during the TLS handshake", peer);
    if (!engine->cert_wanted || engine->context->has_own)
      return UVSMTP_ETLSTRUNCATED;
    say_our_cert_refused(engine, say);
    return UVSMTP_ETLSCLIENTCERT;
  }
  if (is_unreadable_refusal(engine, ret)) {
    uvsmtp__tls_say(say, "the server ended the session with an alert that cannot be decrypted");
    say_our_cert_refused(engine, say);
    return UVSMTP_ETLSCLIENTCERT;
  }
  if (!engine->done && is_no_tls(engine))
    uvsmtp__tls_say(say, "the %s does not speak TLS here%s", peer,
                    engine->first_byte == '2' ? ", but greets in the clear: STARTTLS follows that"
                                              : "");
  else if (!engine->done)
    uvsmtp__tls_say(say, "the TLS handshake failed");
  else
    uvsmtp__tls_say(say, "the TLS session failed");
  return UVSMTP_ETLS;
}

int uvsmtp__tls_fail_mbedtls(uvsmtp_tls_t *engine, int ret)
{
  uvsmtp__tls_say_t say = {0};
  int err;
  if (engine->no_memory || uvsmtp__tls_is_no_memory(ret))
    return uvsmtp__tls_fail(engine, UVSMTP_ENOMEM, "out of memory");
  if (ret == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
    err = explain_alert(engine, &say);
  else if (ret == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || ret == MBEDTLS_ERR_X509_FATAL_ERROR ||
           uvsmtp__tls_compat_is_certificate_error(ret))
    err = explain_certificate(engine, &say);
  else
    err = explain_rest(engine, ret, &say);
  uvsmtp__tls_say_mbedtls(&say, ret);
  return uvsmtp__tls_fail(engine, err, say.text);
}
