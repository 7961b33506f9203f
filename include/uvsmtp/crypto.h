#ifndef UVSMTP_CRYPTO_H
#define UVSMTP_CRYPTO_H

/*
 * The digests, random bytes and signatures that authenticators and messages need, as a table of
 * functions, so that those layers know no cryptographic library. uvsmtp_tls_crypto() of
 * uvsmtp/tls.h gives the table that is made of mbedTLS.
 */
#include "uvsmtp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum uvsmtp_digest_e {
  UVSMTP_DIGEST_MD5 = 1,
  UVSMTP_DIGEST_SHA1,
  UVSMTP_DIGEST_SHA256,
  UVSMTP_DIGEST_SHA512
} uvsmtp_digest_t;

/** The longest digest, in bytes. */
#define UVSMTP_DIGEST_MAX 64

/** A private key for signatures. */
typedef struct uvsmtp_key_s uvsmtp_key_t;

typedef enum uvsmtp_key_type_e { UVSMTP_KEY_RSA = 1, UVSMTP_KEY_ED25519 } uvsmtp_key_type_t;

/** A running digest: caller-owned, aligned memory that an implementation uses as it likes. */
typedef struct uvsmtp_digest_ctx_s {
  union {
    uint64_t align;
    void *p;
    unsigned char bytes[256];
  } u;
} uvsmtp_digest_ctx_t;

/**
 * Each function returns 0 or an error of uvsmtp/errors.h. All of them may be called from any
 * thread at the same time, on different contexts.   Since 0.1
 */
typedef struct uvsmtp_crypto_s {
  /** Bytes of a digest; 0 where the library has not got it. */
  size_t (*digest_len)(uvsmtp_digest_t digest);
  int (*digest_start)(uvsmtp_digest_ctx_t *ctx, uvsmtp_digest_t digest);
  int (*digest_update)(uvsmtp_digest_ctx_t *ctx, const void *bytes, size_t len);
  /** Writes the digest, and releases and wipes `ctx`. */
  int (*digest_finish)(uvsmtp_digest_ctx_t *ctx, uint8_t *out);
  /** Releases `ctx` without a result; harmless after finish. */
  void (*digest_abort)(uvsmtp_digest_ctx_t *ctx);
  int (*hmac)(uvsmtp_digest_t digest, const void *key, size_t key_len, const void *bytes,
              size_t len, uint8_t *out);
  /** RFC 8018 PBKDF2 with HMAC; takes long by design: keep it off the loop's thread. */
  int (*pbkdf2)(uvsmtp_digest_t digest, const void *password, size_t password_len,
                const void *salt, size_t salt_len, uint32_t iterations, uint8_t *out,
                size_t out_len);
  /** Unpredictable bytes. */
  int (*random)(void *out, size_t len);
  /**
   * Reads a private key from PEM (`pem` ends with a NUL that `len` does not count). `password`
   * may be NULL. UVSMTP_EKEY with a sentence in `detail` (of `detail_size` bytes) if it cannot be
   * used.
   */
  int (*key_new)(uvsmtp_key_t **key, const char *pem, size_t len, const char *password,
                 char *detail, size_t detail_size);
  void (*key_free)(uvsmtp_key_t *key);
  uvsmtp_key_type_t (*key_type)(const uvsmtp_key_t *key);
  /** Length of the key in bits. */
  size_t (*key_bits)(const uvsmtp_key_t *key);
  /**
   * Signs a digest (RSA: PKCS #1 v1.5 over SHA-256) or the bytes themselves (Ed25519); `*out_len`
   * holds the room at `out` before, and the signature's length after.
   */
  int (*sign)(uvsmtp_key_t *key, const void *bytes, size_t len, uint8_t *out, size_t *out_len);
} uvsmtp_crypto_t;

#ifdef __cplusplus
}
#endif
#endif
