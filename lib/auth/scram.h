#ifndef UVSMTP_AUTH_SCRAM_H
#define UVSMTP_AUTH_SCRAM_H

#include "auth/scram_keys.h"

/* What the server says first (RFC 5802 section 7); slices of its message. */
typedef struct uvsmtp__scram_first_s {
  uvsmtp_slice_t nonce;
  uvsmtp_slice_t salt; /* base64 still */
  uint32_t iterations;
} uvsmtp__scram_first_t;

/*
 * Reads "r=NONCE,s=SALT,i=COUNT[,extensions]". NULL, or what is wrong with it. The nonce must begin
 * with `our_nonce` and go on.
 */
const char *uvsmtp__scram_read_first(uvsmtp__scram_first_t *first, uvsmtp_slice_t message,
                                     const char *our_nonce);

/*
 * ClientProof and ServerSignature of RFC 5802 section 3 over an AuthMessage; each as long as the
 * digest.
 */
int uvsmtp__scram_sign(const uvsmtp_crypto_t *crypto, uvsmtp_digest_t digest,
                       const uvsmtp__scram_key_t *key, uvsmtp_slice_t message, uint8_t *proof,
                       uint8_t *server_signature);

#endif
