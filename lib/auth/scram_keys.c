#include "auth/scram_keys.h"

#include <string.h>

#include "auth/exchange.h"
#include "base/mem.h"
#include "base/secret.h"

/* A password has one salt at one server; some servers have one for each digest. */
#define MAX_KEPT 8

typedef struct entry_s {
  uvsmtp_auth_job_t job; /* first: done is given only this */
  uvsmtp__link_t link;   /* among the keys of the authenticator */
  uvsmtp__link_t waiters;
  uvsmtp_auth_t *auth; /* held while the job runs; NULL: the key is there */
  uvsmtp__scram_keys_t *keys;
  uvsmtp__scram_recipe_t recipe; /* its salt lies behind the struct */
  int err;
  uvsmtp__scram_key_t key;
  char salt[];
} entry_t;

static entry_t *entry_of(uvsmtp__link_t *link)
{
  return UVSMTP__CONTAINER(link, entry_t, link);
}

void uvsmtp__scram_keys_init(uvsmtp__scram_keys_t *keys, const uvsmtp_mem_t *mem)
{
  keys->mem = mem;
  uvsmtp__list_init(&keys->entries);
}

static void drop(entry_t *entry)
{
  const uvsmtp_mem_t *mem = entry->keys->mem;
  uvsmtp__list_remove(&entry->link);
  uvsmtp__wipe(entry, sizeof(*entry));
  uvsmtp__free(mem, entry);
}

/* No job runs any more: each holds the authenticator. */
void uvsmtp__scram_keys_free(uvsmtp__scram_keys_t *keys)
{
  while (!uvsmtp__list_empty(&keys->entries))
    drop(entry_of(keys->entries.next));
}

static int hmac_text(const uvsmtp__scram_recipe_t *recipe, const uint8_t *key, size_t len,
                     const char *text, uint8_t *out)
{
  return recipe->crypto->hmac(recipe->digest, key, len, text, strlen(text), out);
}

int uvsmtp__scram_derive(const uvsmtp__scram_recipe_t *recipe, uvsmtp__scram_key_t *key)
{
  uint8_t salted[UVSMTP_DIGEST_MAX];
  size_t len = recipe->crypto->digest_len(recipe->digest);
  int err =
      recipe->crypto->pbkdf2(recipe->digest, recipe->password, strlen(recipe->password),
                             recipe->salt.base, recipe->salt.len, recipe->iterations, salted, len);
  if (err == 0)
    err = hmac_text(recipe, salted, len, "Client Key", key->client_key);
  if (err == 0)
    err = hmac_text(recipe, salted, len, "Server Key", key->server_key);
  uvsmtp__wipe(salted, sizeof(salted));
  return err;
}

static bool matches(const entry_t *entry, const uvsmtp__scram_recipe_t *recipe)
{
  return entry->recipe.digest == recipe->digest && entry->recipe.iterations == recipe->iterations &&
         entry->recipe.salt.len == recipe->salt.len &&
         memcmp(entry->salt, recipe->salt.base, recipe->salt.len) == 0;
}

static entry_t *find(uvsmtp__scram_keys_t *keys, const uvsmtp__scram_recipe_t *recipe)
{
  UVSMTP__LIST_EACH (it, &keys->entries) {
    if (matches(entry_of(it), recipe))
      return entry_of(it);
  }
  return NULL;
}

/* Those that are being computed stay: they are bounded by the connections that wait. */
static void drop_oldest(uvsmtp__scram_keys_t *keys)
{
  size_t kept = 0;
  UVSMTP__LIST_EACH (it, &keys->entries) {
    if (entry_of(it)->auth == NULL && ++kept > MAX_KEPT)
      drop(entry_of(it));
  }
}

static void work(uvsmtp_auth_job_t *job)
{
  entry_t *entry = (entry_t *)job;
  entry->err = uvsmtp__scram_derive(&entry->recipe, &entry->key);
}

/* Those who wait may do anything when they are resumed; so the entry is settled first. */
static void done(uvsmtp_auth_job_t *job, int err)
{
  entry_t *entry = (entry_t *)job;
  uvsmtp__scram_keys_t *keys = entry->keys;
  uvsmtp_auth_t *auth = entry->auth;
  uvsmtp__link_t waiters;
  if (err == 0)
    err = entry->err;
  entry->auth = NULL;
  uvsmtp__list_move(&waiters, &entry->waiters);
  UVSMTP__LIST_EACH (it, &waiters) {
    uvsmtp__scram_waiter_t *waiter = UVSMTP__CONTAINER(it, uvsmtp__scram_waiter_t, link);
    if (err == 0)
      *waiter->key = entry->key;
  }
  if (err != 0)
    drop(entry);
  drop_oldest(keys);
  while (!uvsmtp__list_empty(&waiters)) {
    uvsmtp__scram_waiter_t *waiter = UVSMTP__CONTAINER(waiters.next, uvsmtp__scram_waiter_t, link);
    uvsmtp__list_remove(&waiter->link);
    uvsmtp_exchange_resume(waiter->exchange, err);
  }
  uvsmtp_auth_free(auth);
}

static entry_t *add(uvsmtp__scram_keys_t *keys, const uvsmtp__scram_recipe_t *recipe)
{
  entry_t *entry = uvsmtp__calloc(keys->mem, 1, sizeof(*entry) + recipe->salt.len);
  if (entry == NULL)
    return NULL;
  entry->job = (uvsmtp_auth_job_t){work, done};
  entry->keys = keys;
  entry->recipe = *recipe;
  memcpy(entry->salt, recipe->salt.base, recipe->salt.len);
  entry->recipe.salt.base = entry->salt;
  uvsmtp__list_init(&entry->waiters);
  uvsmtp__list_push_front(&keys->entries, &entry->link);
  entry->auth = uvsmtp_auth_acquire(keys->auth);
  return entry;
}

int uvsmtp__scram_keys_get(uvsmtp__scram_keys_t *keys, const uvsmtp__scram_recipe_t *recipe,
                           uvsmtp__scram_waiter_t *waiter)
{
  entry_t *entry = find(keys, recipe);
  bool is_new = entry == NULL;
  if (is_new)
    entry = add(keys, recipe);
  if (entry == NULL)
    return UVSMTP_ENOMEM;
  if (entry->auth == NULL) {
    uvsmtp__list_remove(&entry->link);
    uvsmtp__list_push_front(&keys->entries, &entry->link);
    *waiter->key = entry->key;
    return 0;
  }
  uvsmtp__list_push_back(&entry->waiters, &waiter->link);
  if (is_new)
    uvsmtp__exchange_run_job(waiter->exchange, &entry->job);
  return UVSMTP_PENDING;
}

void uvsmtp__scram_keys_leave(uvsmtp__scram_waiter_t *waiter)
{
  if (uvsmtp__link_in_list(&waiter->link))
    uvsmtp__list_remove(&waiter->link);
}
