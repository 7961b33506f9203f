#include "auth/authenticator.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"

#define DEFAULT_BACKOFF_MS 30000
/* The back-off doubles so many times. */
#define MAX_DOUBLINGS 6
/* A server that breaks down when an exchange is broken off is not likely to be mended sooner. */
#define AVOID_MS ((uint64_t)3600 * 1000)
/* RFC 4422 section 3.1. */
#define MAX_NAME 20

int uvsmtp__auth_new(uvsmtp_auth_t **out, const uvsmtp_mem_t *mem, uint64_t backoff_ms, void *data,
                     void (*free_data)(void *data))
{
  uvsmtp_auth_t *auth = uvsmtp__calloc(mem, 1, sizeof(*auth));
  if (auth == NULL)
    return UVSMTP_ENOMEM;
  auth->mem = *uvsmtp__mem(mem);
  auth->refs = 1;
  auth->backoff_ms = backoff_ms != 0 ? backoff_ms : DEFAULT_BACKOFF_MS;
  auth->data = data;
  auth->free_data = free_data;
  *out = auth;
  return 0;
}

void uvsmtp__auth_add(uvsmtp_auth_t *auth, const uvsmtp_mechanism_t *mechanism)
{
  assert(auth->mechanism_count < UVSMTP_AUTH_CHOICE_MAX);
  auth->mechanisms[auth->mechanism_count++] = mechanism;
}

static bool has_mechanism(const uvsmtp_auth_t *auth, const uvsmtp_mechanism_t *mechanism)
{
  for (size_t i = 0; i < auth->mechanism_count; i++)
    if (auth->mechanisms[i] == mechanism)
      return true;
  return false;
}

static const uvsmtp_mechanism_t *find_mechanism(const uvsmtp_mechanism_t *const *table,
                                                size_t count, uvsmtp_slice_t name)
{
  for (size_t i = 0; i < count; i++)
    if (uvsmtp__ascii_equal(table[i]->name, strlen(table[i]->name), name.base, name.len))
      return table[i];
  return NULL;
}

static void add_if(uvsmtp_auth_t *auth, const uvsmtp_mechanism_t *mechanism, unsigned required)
{
  if ((mechanism->flags & required) == required && !has_mechanism(auth, mechanism))
    uvsmtp__auth_add(auth, mechanism);
}

int uvsmtp__auth_add_named(uvsmtp_auth_t *auth, const uvsmtp_mechanism_t *const *table,
                           size_t count, const char *names, unsigned required)
{
  uvsmtp_slice_t name;
  for (size_t i = 0; names == NULL && i < count; i++)
    add_if(auth, table[i], required);
  while (uvsmtp__auth_next_word(&names, &name)) {
    const uvsmtp_mechanism_t *mechanism = find_mechanism(table, count, name);
    if (mechanism == NULL)
      return UVSMTP_EINVAL;
    add_if(auth, mechanism, required);
  }
  return auth->mechanism_count != 0 ? 0 : UVSMTP_EINVAL;
}

/* sasl-mech of RFC 4422 section 3.1. */
static bool is_mechanism_name(const char *name)
{
  size_t len = strlen(name);
  for (size_t i = 0; i < len; i++)
    if (!((name[i] >= 'A' && name[i] <= 'Z') || uvsmtp__ascii_digit(name[i]) || name[i] == '-' ||
          name[i] == '_'))
      return false;
  return len >= 1 && len <= MAX_NAME;
}

int uvsmtp_auth_custom_new(uvsmtp_auth_t **out, const uvsmtp_mechanism_t *mechanism, void *data,
                           const uvsmtp_mem_t *mem)
{
  uvsmtp_mechanism_t own;
  uvsmtp_auth_t *auth;
  int err = uvsmtp__options_copy(&own, sizeof(own), mechanism);
  if (err != 0)
    return err;
  if (own.step == NULL || own.name == NULL || !is_mechanism_name(own.name))
    return UVSMTP_EINVAL;
  err = uvsmtp__auth_new(&auth, mem, 0, data, NULL);
  if (err != 0)
    return err;
  auth->own = own;
  auth->own_name = uvsmtp__strdup(&auth->mem, own.name);
  if (auth->own_name == NULL) {
    uvsmtp_auth_free(auth);
    return UVSMTP_ENOMEM;
  }
  auth->own.name = auth->own_name;
  auth->free_data = own.free_data;
  uvsmtp__auth_add(auth, &auth->own);
  *out = auth;
  return 0;
}

uvsmtp_auth_t *uvsmtp_auth_acquire(uvsmtp_auth_t *auth)
{
  atomic_fetch_add(&auth->refs, 1);
  return auth;
}

void uvsmtp_auth_free(uvsmtp_auth_t *auth)
{
  uvsmtp_mem_t mem;
  if (auth == NULL || atomic_fetch_sub(&auth->refs, 1) != 1)
    return;
  if (auth->free_data != NULL)
    auth->free_data(auth->data);
  mem = auth->mem;
  uvsmtp__free(&mem, auth->own_name);
  uvsmtp__free(&mem, auth);
}

const void *uvsmtp__auth_thread(void)
{
  static _Thread_local char here;
  return &here;
}

int uvsmtp_auth_claim(uvsmtp_auth_t *auth)
{
  const void *owner = NULL, *self = uvsmtp__auth_thread();
  if (atomic_compare_exchange_strong(&auth->thread, &owner, self) || owner == self)
    return 0;
  return UVSMTP_EAUTHTHREAD;
}

int uvsmtp_auth_check_thread(const uvsmtp_auth_t *auth)
{
  const void *owner = atomic_load(&auth->thread);
  return owner == NULL || owner == uvsmtp__auth_thread() ? 0 : UVSMTP_EAUTHTHREAD;
}

const char *uvsmtp_auth_mechanism(const uvsmtp_auth_t *auth, size_t i)
{
  return i < auth->mechanism_count ? auth->mechanisms[i]->name : NULL;
}

/* FNV-1a over the lower-case host and the port; never 0. */
static uint64_t server_hash(const char *host, uint16_t port)
{
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char *c = host != NULL ? host : ""; *c != '\0'; c++)
    hash = (hash ^ (unsigned char)uvsmtp__ascii_lower(*c)) * 0x100000001b3u;
  hash = (hash ^ (port & 0xff)) * 0x100000001b3u;
  hash = (hash ^ (port >> 8)) * 0x100000001b3u;
  return hash != 0 ? hash : 1;
}

static const uvsmtp__refusal_t *find_refusal(const uvsmtp_auth_t *auth, const char *host,
                                             uint16_t port)
{
  static const uvsmtp__refusal_t none;
  uint64_t server = server_hash(host, port);
  for (size_t i = 0; i < UVSMTP__AUTH_REFUSALS; i++)
    if (auth->refusals[i].server == server)
      return &auth->refusals[i];
  return &none;
}

static uint64_t last_needed(const uvsmtp__refusal_t *refusal)
{
  return refusal->until_ms > refusal->avoided_until_ms ? refusal->until_ms
                                                       : refusal->avoided_until_ms;
}

/* The one of this server; the one that is needed least long gives way to a new one. */
static uvsmtp__refusal_t *take_refusal(uvsmtp_auth_t *auth, const char *host, uint16_t port)
{
  uint64_t server = server_hash(host, port);
  uvsmtp__refusal_t *oldest = &auth->refusals[0];
  for (size_t i = 0; i < UVSMTP__AUTH_REFUSALS; i++) {
    if (auth->refusals[i].server == server)
      return &auth->refusals[i];
    if (last_needed(&auth->refusals[i]) < last_needed(oldest))
      oldest = &auth->refusals[i];
  }
  *oldest = (uvsmtp__refusal_t){.server = server};
  return oldest;
}

void uvsmtp__auth_refused(uvsmtp_auth_t *auth, const char *host, uint16_t port, uint64_t now_ms)
{
  uvsmtp__refusal_t *refusal;
  unsigned doublings;
  if (auth->backoff_ms == UINT64_MAX)
    return;
  refusal = take_refusal(auth, host, port);
  doublings = refusal->count < MAX_DOUBLINGS ? refusal->count : MAX_DOUBLINGS;
  refusal->count++;
  refusal->until_ms = auth->backoff_ms > UINT64_MAX >> doublings
                          ? UINT64_MAX
                          : uvsmtp__later(now_ms, auth->backoff_ms << doublings);
}

void uvsmtp__auth_accepted(uvsmtp_auth_t *auth, const char *host, uint16_t port)
{
  if (find_refusal(auth, host, port)->count != 0) {
    uvsmtp__refusal_t *refusal = take_refusal(auth, host, port);
    refusal->count = 0;
    refusal->until_ms = 0;
  }
}

uint64_t uvsmtp_auth_rest_ms(const uvsmtp_auth_t *auth, const char *host, uint16_t port,
                             uint64_t now_ms)
{
  uint64_t until_ms = find_refusal(auth, host, port)->until_ms;
  if (until_ms == UINT64_MAX)
    return UINT64_MAX;
  return until_ms > now_ms ? until_ms - now_ms : 0;
}

void uvsmtp__auth_avoid(uvsmtp_auth_t *auth, const char *host, uint16_t port, uint16_t mechanisms,
                        uint64_t now_ms)
{
  uvsmtp__refusal_t *refusal = take_refusal(auth, host, port);
  refusal->avoided = (uint16_t)(uvsmtp__auth_avoided(auth, host, port, now_ms) | mechanisms);
  refusal->avoided_until_ms = uvsmtp__later(now_ms, AVOID_MS);
}

uint16_t uvsmtp__auth_avoided(const uvsmtp_auth_t *auth, const char *host, uint16_t port,
                              uint64_t now_ms)
{
  const uvsmtp__refusal_t *refusal = find_refusal(auth, host, port);
  return now_ms < refusal->avoided_until_ms ? refusal->avoided : 0;
}

bool uvsmtp__auth_next_word(const char **list, uvsmtp_slice_t *word)
{
  const char *at = *list;
  if (at == NULL)
    return false;
  at += strspn(at, " \t");
  word->base = at;
  word->len = strcspn(at, " \t");
  *list = at + word->len;
  return word->len != 0;
}

bool uvsmtp__auth_list_has(const char *list, const char *name)
{
  uvsmtp_slice_t word;
  while (uvsmtp__auth_next_word(&list, &word))
    if (uvsmtp__ascii_equal(word.base, word.len, name, strlen(name)))
      return true;
  return false;
}
