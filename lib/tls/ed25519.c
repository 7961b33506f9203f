#include "tls/ed25519.h"

#include <string.h>

#include "base/base64.h"
#include "base/secret.h"
#include "uvsmtp/errors.h"

/*
 * The algorithm's OID 1.3.101.112 as an unencrypted key has it in base64 (RFC 8410 section 7): in
 * the short and the long form alike it lies at a border of three bytes.
 */
bool uvsmtp__ed25519_is_key(const char *pem)
{
  return strstr(pem, "BQYDK2Vw") != NULL;
}

#if UVSMTP__SODIUM
#include <sodium.h>

#define MAX_DER 256

/* Copies the base64 between the lines of a PEM; its length, or 0 if it is none or too long. */
static size_t pem_body(char *out, size_t size, const char *pem)
{
  const char *at = strstr(pem, "-----BEGIN PRIVATE KEY-----");
  const char *end = at != NULL ? strstr(at, "-----END PRIVATE KEY-----") : NULL;
  size_t n = 0;
  if (end == NULL)
    return 0;
  for (at += strlen("-----BEGIN PRIVATE KEY-----"); at < end; at++) {
    if (*at == '\r' || *at == '\n' || *at == ' ')
      continue;
    if (n == size)
      return 0;
    out[n++] = *at;
  }
  return n;
}

/* The seed in a PrivateKeyInfo: version 0, or 1 with the public key behind (RFC 5958, 8410). */
static const uint8_t *find_seed(const uint8_t *der, size_t len)
{
  static const uint8_t middle[] = {0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20};
  if (len < 48 || der[0] != 0x30 || der[1] != len - 2 || der[2] != 2 || der[3] != 1 || der[4] > 1 ||
      memcmp(der + 5, middle, sizeof(middle)) != 0)
    return NULL;
  return der + 16;
}

int uvsmtp__ed25519_read(uint8_t secret[UVSMTP__ED25519_SECRET], const char *pem,
                         const char **fault)
{
  char text[MAX_DER / 3 * 4];
  uint8_t der[MAX_DER], public_key[crypto_sign_PUBLICKEYBYTES];
  size_t n = pem_body(text, sizeof(text), pem), len = 0;
  const uint8_t *seed = NULL;
  *fault = "it is no Ed25519 key that can be read";
  if (n > 0 && uvsmtp__base64_decode(der, &len, text, n) == 0)
    seed = find_seed(der, len);
  if (seed != NULL && sodium_init() < 0) {
    *fault = "libsodium does not work here";
    seed = NULL;
  }
  if (seed != NULL)
    crypto_sign_seed_keypair(public_key, secret, seed);
  uvsmtp__wipe(text, sizeof(text));
  uvsmtp__wipe(der, sizeof(der));
  return seed != NULL ? 0 : UVSMTP_EKEY;
}

int uvsmtp__ed25519_sign(const uint8_t secret[UVSMTP__ED25519_SECRET], const void *bytes,
                         size_t len, uint8_t *out)
{
  return crypto_sign_detached(out, NULL, bytes, len, secret) == 0 ? 0 : UVSMTP_EKEY;
}

#else

int uvsmtp__ed25519_read(uint8_t secret[UVSMTP__ED25519_SECRET], const char *pem,
                         const char **fault)
{
  (void)secret;
  (void)pem;
  *fault = "it is an Ed25519 key, and this library was built without libsodium";
  return UVSMTP_EKEY;
}

int uvsmtp__ed25519_sign(const uint8_t secret[UVSMTP__ED25519_SECRET], const void *bytes,
                         size_t len, uint8_t *out)
{
  (void)secret;
  (void)bytes;
  (void)len;
  (void)out;
  return UVSMTP_EKEY;
}
#endif
