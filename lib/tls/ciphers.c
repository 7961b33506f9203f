#include "tls/ciphers.h"

#include <stdio.h>
#include <string.h>

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>

#include "base/mem.h"
#include "base/text.h"

#if !defined(MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256) /* 2.28 has no TLS 1.3 */
#define TLS_1_3_SUITES
#else
#define TLS_1_3_SUITES                                                                             \
  MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, MBEDTLS_TLS1_3_AES_128_GCM_SHA256,                      \
      MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#endif

/*
 * Forward secrecy and authenticated encryption only. ChaCha20-Poly1305 stands first because
 * mbedTLS computes it faster than AES-GCM, also where the processor helps with AES; DHE stands last
 * because its handshake costs some ten times that of an elliptic curve. RSA stands before ECDSA for
 * servers that have both, since its signatures are checked in a fraction of the time.
 */
const int uvsmtp__tls_default_suites[] = {
    TLS_1_3_SUITES MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

/* mbedTLS writes '-' where IANA writes '_', and begins those of TLS 1.3 with "TLS1-3-". */
static int find_suite(const char *name, size_t len)
{
  char text[96] = "TLS1-3-";
  const size_t room = sizeof(text) - 4;
  int suite;
  if (len < 4 || len >= room)
    return 0;
  for (size_t i = 0; i < len; i++)
    text[3 + i] = name[i] == '_' ? '-' : uvsmtp__ascii_upper(name[i]);
  text[3 + len] = '\0';
  suite = mbedtls_ssl_get_ciphersuite_id(text + 3);
  if (suite != 0 || strncmp(text + 3, "TLS-", 4) != 0)
    return suite;
  memcpy(text, "TLS1-3-", 7);
  return mbedtls_ssl_get_ciphersuite_id(text);
}

int uvsmtp__tls_parse_suites(int **suites, const uvsmtp_mem_t *mem, const char *names,
                             uvsmtp__tls_say_t *say)
{
  size_t count = 0, most = strlen(names) + 1;
  int *list = uvsmtp__realloc_array(mem, NULL, most, sizeof(*list));
  if (list == NULL)
    return UVSMTP_ENOMEM;
  while (*names != '\0') {
    size_t len = strcspn(names, ":");
    list[count] = find_suite(names, len);
    if (list[count++] == 0) {
      uvsmtp__tls_say(say, "no cipher suite of the name \"%.*s\" is known", (int)len, names);
      uvsmtp__free(mem, list);
      return UVSMTP_ETLSCONFIG;
    }
    names += len + (names[len] == ':');
  }
  list[count] = 0;
  *suites = list;
  return 0;
}

void uvsmtp__tls_iana_name(char *out, size_t size, const char *name)
{
  if (strncmp(name, "TLS1-3-", 7) == 0)
    snprintf(out, size, "TLS-%s", name + 7);
  else
    snprintf(out, size, "%s", name);
  for (; *out != '\0'; out++)
    if (*out == '-')
      *out = '_';
}
