#ifndef UVSMTP_AUTH_SCRAM_KEYS_H
#define UVSMTP_AUTH_SCRAM_KEYS_H

#include "base/list.h"
#include "uvsmtp/auth.h"

/*
 * The keys that SCRAM makes of a password (RFC 5802 section 3). Making them takes long by design,
 * and depends only on digest, salt and iteration count; so each is computed once for all exchanges
 * of an authenticator, away from the loop's thread, and kept.
 */
typedef struct uvsmtp__scram_key_s {
  uint8_t client_key[UVSMTP_DIGEST_MAX];
  uint8_t server_key[UVSMTP_DIGEST_MAX];
} uvsmtp__scram_key_t;

typedef struct uvsmtp__scram_keys_s {
  const uvsmtp_mem_t *mem;
  uvsmtp_auth_t *auth;    /* whose part this is */
  uvsmtp__link_t entries; /* the last used one first */
} uvsmtp__scram_keys_t;

/* What a key is made of; borrowed for the call, but for `crypto` and `password`. */
typedef struct uvsmtp__scram_recipe_s {
  const uvsmtp_crypto_t *crypto;
  uvsmtp_digest_t digest;
  const char *password; /* belongs to the authenticator */
  uvsmtp_slice_t salt;
  uint32_t iterations;
} uvsmtp__scram_recipe_t;

/* An exchange that waits for a key; part of its state. */
typedef struct uvsmtp__scram_waiter_s {
  uvsmtp__link_t link;
  uvsmtp_exchange_t *exchange;
  uvsmtp__scram_key_t *key; /* where it goes */
} uvsmtp__scram_waiter_t;

void uvsmtp__scram_keys_init(uvsmtp__scram_keys_t *keys, const uvsmtp_mem_t *mem);
void uvsmtp__scram_keys_free(uvsmtp__scram_keys_t *keys);

/*
 * Fetches a key into waiter->key: 0, an error, or UVSMTP_PENDING; then the exchange is resumed when
 * it is there, unless uvsmtp__scram_keys_leave has been called.
 */
int uvsmtp__scram_keys_get(uvsmtp__scram_keys_t *keys, const uvsmtp__scram_recipe_t *recipe,
                           uvsmtp__scram_waiter_t *waiter);
void uvsmtp__scram_keys_leave(uvsmtp__scram_waiter_t *waiter);

/* Computes a key, which takes long. */
int uvsmtp__scram_derive(const uvsmtp__scram_recipe_t *recipe, uvsmtp__scram_key_t *key);

#endif
