#ifndef UVSMTP_TLS_ED25519_H
#define UVSMTP_TLS_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Ed25519 signatures (RFC 8032), which mbedTLS has not got: made by libsodium where the library was
 * built with it.
 */
#define UVSMTP__ED25519_SECRET 64 /* the seed, and the public key behind it */
#define UVSMTP__ED25519_SIGNATURE 64

/* Whether a PEM holds an Ed25519 key that is not encrypted. */
bool uvsmtp__ed25519_is_key(const char *pem);
/* Reads the key: 0; UVSMTP_EKEY with the reason in `*fault`. */
int uvsmtp__ed25519_read(uint8_t secret[UVSMTP__ED25519_SECRET], const char *pem,
                         const char **fault);
/* Writes 64 bytes. 0 or UVSMTP_EKEY. */
int uvsmtp__ed25519_sign(const uint8_t secret[UVSMTP__ED25519_SECRET], const void *bytes,
                         size_t len, uint8_t *out);

#endif
