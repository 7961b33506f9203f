/*
 * The table of digests, random bytes and signatures, filled from mbedTLS.
 *
 * mbedTLS's generic digests keep their state on the heap, so a running digest of ours is no more
 * than a handle. PBKDF2 is written here on top of them: it keeps the two hash states that begin
 * each HMAC (RFC 2104) and copies them, which halves the work of every iteration.
 */
#include <stdio.h>
#include <string.h>

#include <mbedtls/md.h>
#include <mbedtls/pk.h>

#include "base/mem.h"
#include "base/secret.h"
#include "tls/compat.h"
#include "tls/ed25519.h"
#include "tls/internal.h"
#include "tls/random.h"
#include "uvsmtp/crypto.h"

/* The longest block of a hash, that of SHA-512. */
#define MAX_BLOCK 128

struct uvsmtp_key_s {
  uvsmtp_key_type_t type;
  mbedtls_pk_context pk;                  /* RSA */
  uint8_t secret[UVSMTP__ED25519_SECRET]; /* Ed25519 */
};

_Static_assert(sizeof(mbedtls_md_context_t) <= sizeof(uvsmtp_digest_ctx_t), "a digest's room");

static const mbedtls_md_info_t *md_of(uvsmtp_digest_t digest)
{
  switch (digest) {
  case UVSMTP_DIGEST_MD5:
    return mbedtls_md_info_from_type(MBEDTLS_MD_MD5);
  case UVSMTP_DIGEST_SHA1:
    return mbedtls_md_info_from_type(MBEDTLS_MD_SHA1);
  case UVSMTP_DIGEST_SHA256:
    return mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
  case UVSMTP_DIGEST_SHA512:
    return mbedtls_md_info_from_type(MBEDTLS_MD_SHA512);
  }
  return NULL;
}

static int error_of(int ret)
{
  if (ret == 0)
    return 0;
  return uvsmtp__tls_is_no_memory(ret) ? UVSMTP_ENOMEM : UVSMTP_EINVAL;
}

static size_t digest_len(uvsmtp_digest_t digest)
{
  const mbedtls_md_info_t *md = md_of(digest);
  return md != NULL ? mbedtls_md_get_size(md) : 0;
}

static mbedtls_md_context_t *md_context(uvsmtp_digest_ctx_t *ctx)
{
  return (mbedtls_md_context_t *)(void *)ctx->u.bytes;
}

static int digest_start(uvsmtp_digest_ctx_t *ctx, uvsmtp_digest_t digest)
{
  const mbedtls_md_info_t *md = md_of(digest);
  int ret;
  mbedtls_md_init(md_context(ctx));
  if (md == NULL)
    return UVSMTP_EINVAL;
  ret = mbedtls_md_setup(md_context(ctx), md, 0);
  if (ret == 0)
    ret = mbedtls_md_starts(md_context(ctx));
  if (ret != 0)
    mbedtls_md_free(md_context(ctx));
  return error_of(ret);
}

static int digest_update(uvsmtp_digest_ctx_t *ctx, const void *bytes, size_t len)
{
  return error_of(mbedtls_md_update(md_context(ctx), bytes, len));
}

static void digest_abort(uvsmtp_digest_ctx_t *ctx)
{
  mbedtls_md_free(md_context(ctx)); /* wipes, and leaves a context that can be freed again */
}

static int digest_finish(uvsmtp_digest_ctx_t *ctx, uint8_t *out)
{
  int ret = mbedtls_md_finish(md_context(ctx), out);
  digest_abort(ctx);
  return error_of(ret);
}

/* A hash that has begun with the key's block, for the inside and the outside of an HMAC. */
typedef struct hmac_s {
  mbedtls_md_context_t inner, outer, work;
  size_t len;
} hmac_t;

static void hmac_free(hmac_t *h)
{
  mbedtls_md_free(&h->inner);
  mbedtls_md_free(&h->outer);
  mbedtls_md_free(&h->work);
}

static int start_with(mbedtls_md_context_t *ctx, const uint8_t *block, size_t len, uint8_t pad)
{
  uint8_t padded[MAX_BLOCK];
  int ret = mbedtls_md_starts(ctx);
  for (size_t i = 0; i < len; i++)
    padded[i] = block[i] ^ pad;
  if (ret == 0)
    ret = mbedtls_md_update(ctx, padded, len);
  uvsmtp__wipe(padded, sizeof(padded));
  return ret;
}

static int hmac_init(hmac_t *h, uvsmtp_digest_t digest, const void *key, size_t key_len)
{
  const mbedtls_md_info_t *md = md_of(digest);
  size_t block_len = digest == UVSMTP_DIGEST_SHA512 ? 128 : 64;
  uint8_t block[MAX_BLOCK] = {0};
  int ret = 0;
  mbedtls_md_init(&h->inner);
  mbedtls_md_init(&h->outer);
  mbedtls_md_init(&h->work);
  if (md == NULL)
    return UVSMTP_EINVAL;
  h->len = mbedtls_md_get_size(md);
  if (key_len > block_len)
    ret = mbedtls_md(md, key, key_len, block);
  else if (key_len != 0)
    memcpy(block, key, key_len);
  if (ret == 0 && (ret = mbedtls_md_setup(&h->inner, md, 0)) == 0 &&
      (ret = mbedtls_md_setup(&h->outer, md, 0)) == 0 &&
      (ret = mbedtls_md_setup(&h->work, md, 0)) == 0 &&
      (ret = start_with(&h->inner, block, block_len, 0x36)) == 0)
    ret = start_with(&h->outer, block, block_len, 0x5c);
  uvsmtp__wipe(block, sizeof(block));
  return error_of(ret);
}

/* HMAC of two pieces; `out` may be one of them. */
static int hmac_run(hmac_t *h, const void *a, size_t a_len, const void *b, size_t b_len,
                    uint8_t *out)
{
  int ret = mbedtls_md_clone(&h->work, &h->inner);
  if (ret == 0 && a_len != 0)
    ret = mbedtls_md_update(&h->work, a, a_len);
  if (ret == 0 && b_len != 0)
    ret = mbedtls_md_update(&h->work, b, b_len);
  if (ret == 0)
    ret = mbedtls_md_finish(&h->work, out);
  if (ret == 0)
    ret = mbedtls_md_clone(&h->work, &h->outer);
  if (ret == 0)
    ret = mbedtls_md_update(&h->work, out, h->len);
  if (ret == 0)
    ret = mbedtls_md_finish(&h->work, out);
  return error_of(ret);
}

static int hmac(uvsmtp_digest_t digest, const void *key, size_t key_len, const void *bytes,
                size_t len, uint8_t *out)
{
  hmac_t h;
  int err = hmac_init(&h, digest, key, key_len);
  if (err == 0)
    err = hmac_run(&h, bytes, len, NULL, 0, out);
  hmac_free(&h);
  return err;
}

/* F of RFC 8018 section 5.2: the block number `index` of the derived key. */
static int pbkdf2_block(hmac_t *h, const void *salt, size_t salt_len, uint32_t iterations,
                        uint32_t index, uint8_t *sum)
{
  uint8_t number[4] = {(uint8_t)(index >> 24), (uint8_t)(index >> 16), (uint8_t)(index >> 8),
                       (uint8_t)index};
  uint8_t u[UVSMTP_DIGEST_MAX];
  int err = hmac_run(h, salt, salt_len, number, sizeof(number), u);
  memcpy(sum, u, h->len);
  for (uint32_t i = 1; err == 0 && i < iterations; i++) {
    err = hmac_run(h, u, h->len, NULL, 0, u);
    for (size_t j = 0; j < h->len; j++)
      sum[j] ^= u[j];
  }
  uvsmtp__wipe(u, sizeof(u));
  return err;
}

static int pbkdf2(uvsmtp_digest_t digest, const void *password, size_t password_len,
                  const void *salt, size_t salt_len, uint32_t iterations, uint8_t *out,
                  size_t out_len)
{
  uint8_t sum[UVSMTP_DIGEST_MAX] = {0};
  hmac_t h;
  int err = hmac_init(&h, digest, password, password_len);
  if (err == 0 && iterations == 0)
    err = UVSMTP_EINVAL;
  for (uint32_t index = 1; err == 0 && out_len > 0; index++) {
    size_t n = out_len < h.len ? out_len : h.len;
    err = pbkdf2_block(&h, salt, salt_len, iterations, index, sum);
    memcpy(out, sum, n);
    out += n;
    out_len -= n;
  }
  uvsmtp__wipe(sum, sizeof(sum));
  hmac_free(&h);
  return err;
}

static int refuse_key(char *detail, size_t detail_size, const uvsmtp__tls_say_t *say)
{
  if (detail != NULL && detail_size > 0)
    snprintf(detail, detail_size, "%s", say->text);
  return UVSMTP_EKEY;
}

static int parse_rsa(uvsmtp_key_t *key, const char *pem, size_t len, const char *password,
                     uvsmtp__tls_say_t *say)
{
  int ret = uvsmtp__tls_compat_parse_key(&key->pk, pem, len + 1, password);
  if (uvsmtp__tls_is_no_memory(ret))
    return UVSMTP_ENOMEM;
  if (ret != 0) {
    uvsmtp__tls_say(say, "it is no private key in PEM that can be read");
    uvsmtp__tls_say_mbedtls(say, ret);
  } else if (mbedtls_pk_get_type(&key->pk) != MBEDTLS_PK_RSA) {
    uvsmtp__tls_say(say, "it is a key of type %s, not RSA", mbedtls_pk_get_name(&key->pk));
  } else {
    return 0;
  }
  return UVSMTP_EKEY;
}

static void key_free(uvsmtp_key_t *key)
{
  if (key == NULL)
    return;
  mbedtls_pk_free(&key->pk);
  uvsmtp__wipe(key->secret, sizeof(key->secret));
  uvsmtp__free(NULL, key);
}

static int parse_ed25519(uvsmtp_key_t *key, const char *pem, uvsmtp__tls_say_t *say)
{
  const char *fault;
  int err = uvsmtp__ed25519_read(key->secret, pem, &fault);
  if (err != 0)
    uvsmtp__tls_say(say, "%s", fault);
  return err;
}

static int key_new(uvsmtp_key_t **key, const char *pem, size_t len, const char *password,
                   char *detail, size_t detail_size)
{
  uvsmtp__tls_say_t say = {0};
  int err;
  *key = uvsmtp__calloc(NULL, 1, sizeof(**key));
  if (*key == NULL)
    return UVSMTP_ENOMEM;
  mbedtls_pk_init(&(*key)->pk);
  (*key)->type = uvsmtp__ed25519_is_key(pem) ? UVSMTP_KEY_ED25519 : UVSMTP_KEY_RSA;
  err = (*key)->type == UVSMTP_KEY_ED25519 ? parse_ed25519(*key, pem, &say)
                                           : parse_rsa(*key, pem, len, password, &say);
  if (err == 0)
    return 0;
  key_free(*key);
  *key = NULL;
  return err == UVSMTP_EKEY ? refuse_key(detail, detail_size, &say) : err;
}

static uvsmtp_key_type_t key_type(const uvsmtp_key_t *key)
{
  return key->type;
}

static size_t key_bits(const uvsmtp_key_t *key)
{
  return key->type == UVSMTP_KEY_ED25519 ? 256 : mbedtls_pk_get_bitlen(&key->pk);
}

static int sign_ed25519(const uvsmtp_key_t *key, const void *bytes, size_t len, uint8_t *out,
                        size_t *out_len)
{
  if (*out_len < UVSMTP__ED25519_SIGNATURE)
    return UVSMTP_EINVAL;
  *out_len = UVSMTP__ED25519_SIGNATURE;
  return uvsmtp__ed25519_sign(key->secret, bytes, len, out);
}

static int sign(uvsmtp_key_t *key, const void *bytes, size_t len, uint8_t *out, size_t *out_len)
{
  int ret;
  if (key->type == UVSMTP_KEY_ED25519)
    return sign_ed25519(key, bytes, len, out, out_len);
  if (len != 32 || *out_len < mbedtls_pk_get_len(&key->pk))
    return UVSMTP_EINVAL;
  ret = uvsmtp__tls_compat_sign(&key->pk, MBEDTLS_MD_SHA256, bytes, len, out, out_len);
  if (ret == 0)
    return 0;
  return uvsmtp__tls_is_no_memory(ret) ? UVSMTP_ENOMEM : UVSMTP_EKEY;
}

const uvsmtp_crypto_t *uvsmtp_tls_crypto(void)
{
  static const uvsmtp_crypto_t table = {
      .digest_len = digest_len,
      .digest_start = digest_start,
      .digest_update = digest_update,
      .digest_finish = digest_finish,
      .digest_abort = digest_abort,
      .hmac = hmac,
      .pbkdf2 = pbkdf2,
      .random = uvsmtp__tls_random,
      .key_new = key_new,
      .key_free = key_free,
      .key_type = key_type,
      .key_bits = key_bits,
      .sign = sign,
  };
  return uvsmtp__tls_compat_init() == 0 ? &table : NULL;
}
