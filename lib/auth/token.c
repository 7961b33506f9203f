/*
 * The life of a token:
 *
 *     started              renew_ms          end_ms
 *        |------ cached ------|---- grace -----|
 *
 * A token's lifetime is counted from the start of its fetch, which is the latest time that is
 * certainly not after its birth. In the grace period a fresh one is fetched; while that fails the
 * old one still serves.
 *
 * A request outlives everything but its answer: when nobody wants the answer any more (the fetch is
 * overdue, or the authenticator is gone) it is cut loose, and the answer frees it.
 */
#include "auth/token.h"

#include <string.h>

#include "auth/authenticator.h"
#include "auth/exchange.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"

#define DEFAULT_TIMEOUT_MS 30000
#define DEFAULT_GRACE_S 600
#define FIRST_RETRY_MS 1000
#define LAST_RETRY_MS 60000

struct uvsmtp_token_request_s {
  uvsmtp_mem_t mem;
  uvsmtp__token_cache_t *cache; /* NULL: cut loose */
  const void *thread;           /* where the answer is awaited */
  bool *answered;               /* while fetch runs, which may answer at once; else NULL */
  uint64_t started_ms, overdue_ms;
};

static uint64_t seconds(uint64_t s)
{
  return s > UINT64_MAX / 1000 ? UINT64_MAX : s * 1000;
}

/* ---- Tokens ---- */

/* What could add a field to the response, or a line to a dialogue, is refused. */
bool uvsmtp__token_is_valid(const char *text)
{
  const char *c = text;
  for (; *c != '\0'; c++)
    if (*c <= 0x20 || *c >= 0x7f)
      return false;
  return c != text;
}

static uvsmtp__token_t *token_new(const uvsmtp_mem_t *mem, const char *text)
{
  size_t size = strlen(text) + 1;
  uvsmtp__token_t *token = uvsmtp__malloc(mem, sizeof(*token) + size);
  if (token == NULL)
    return NULL;
  token->refs = 1;
  token->mem = *mem;
  memcpy(token->text, text, size);
  return token;
}

static uvsmtp__token_t *token_acquire(uvsmtp__token_t *token)
{
  token->refs++;
  return token;
}

void uvsmtp__token_release(uvsmtp__token_t *token)
{
  uvsmtp_mem_t mem;
  if (token == NULL || --token->refs != 0)
    return;
  mem = token->mem;
  uvsmtp__wipe(token->text, strlen(token->text));
  uvsmtp__free(&mem, token);
}

/* ---- The cache ---- */

int uvsmtp__token_cache_init(uvsmtp__token_cache_t *cache, const uvsmtp_auth_options_t *options)
{
  uint64_t grace_s = options->token_grace_s != 0 ? options->token_grace_s : DEFAULT_GRACE_S;
  *cache = (uvsmtp__token_cache_t){
      .mem = *uvsmtp__mem(options->mem),
      .fetch = options->fetch,
      .cancel_fetch = options->cancel_fetch,
      .data = options->data,
      .timeout_ms = options->token_timeout_ms != 0 ? options->token_timeout_ms : DEFAULT_TIMEOUT_MS,
      .grace_ms = grace_s == UINT64_MAX ? 0 : seconds(grace_s),
      .renew_ms = UINT64_MAX,
      .end_ms = UINT64_MAX,
  };
  uvsmtp__list_init(&cache->waiters);
  if (options->token == NULL)
    return 0;
  cache->token = token_new(&cache->mem, options->token);
  return cache->token != NULL ? 0 : UVSMTP_ENOMEM;
}

/* Cuts the running request loose and tells the one who works at it. */
static void abandon(uvsmtp__token_cache_t *cache)
{
  uvsmtp_token_request_t *request = cache->request;
  uvsmtp_token_cancel_cb cancel = cache->cancel_fetch;
  void *data = cache->data;
  if (request == NULL)
    return;
  cache->request = NULL;
  request->cache = NULL;
  if (cancel != NULL)
    cancel(request, data);
}

void uvsmtp__token_cache_free(uvsmtp__token_cache_t *cache)
{
  abandon(cache);
  uvsmtp__token_release(cache->token);
}

void uvsmtp__token_clear(uvsmtp__token_cache_t *cache)
{
  if (cache->fetch == NULL)
    return;
  uvsmtp__token_release(cache->token);
  cache->token = NULL;
}

bool uvsmtp__token_refused(uvsmtp__token_cache_t *cache, const uvsmtp__token_t *token)
{
  /* Others may have fetched another one meanwhile. */
  if (cache->token == token)
    uvsmtp__token_clear(cache);
  return cache->fetch != NULL;
}

static void keep(uvsmtp__token_cache_t *cache, uvsmtp__token_t *token, uint64_t started_ms,
                 uint64_t lifetime_s)
{
  uint64_t lifetime_ms = seconds(lifetime_s), grace_ms = cache->grace_ms;
  if (grace_ms > lifetime_ms / 2)
    grace_ms = lifetime_ms / 2;
  uvsmtp__token_clear(cache);
  if (lifetime_ms == 0)
    return;
  cache->token = token_acquire(token);
  cache->end_ms = uvsmtp__later(started_ms, lifetime_ms);
  cache->renew_ms = cache->end_ms == UINT64_MAX ? UINT64_MAX : cache->end_ms - grace_ms;
}

/* ---- Failures ---- */

static uint64_t retry_delay(const uvsmtp__token_cache_t *cache)
{
  unsigned doublings = cache->failures < 7 ? cache->failures - 1 : 6;
  uint64_t delay_ms = (uint64_t)FIRST_RETRY_MS << doublings;
  return delay_ms < LAST_RETRY_MS ? delay_ms : LAST_RETRY_MS;
}

static void note_failure(uvsmtp__token_cache_t *cache, int err, const char *why, uint64_t now_ms)
{
  cache->failures++;
  cache->err = err;
  cache->why[0] = '\0';
  if (why != NULL)
    uvsmtp__auth_quote(cache->why, sizeof(cache->why), why, strlen(why));
  cache->retry_ms = uvsmtp__later(now_ms, retry_delay(cache));
}

/* ---- Waiting ---- */

/*
 * Gives all who wait the token, or the error where it is NULL. They may do anything when they are
 * resumed, even let the authenticator go: so it is held, and what changes has changed before.
 */
static void answer(uvsmtp__token_cache_t *cache, uvsmtp__token_t *token, int err)
{
  uvsmtp_auth_t *auth = uvsmtp_auth_acquire(cache->auth);
  uvsmtp__link_t waiters;
  uvsmtp__list_move(&waiters, &cache->waiters);
  while (!uvsmtp__list_empty(&waiters)) {
    uvsmtp__token_waiter_t *waiter = UVSMTP__CONTAINER(waiters.next, uvsmtp__token_waiter_t, link);
    uvsmtp__list_remove(&waiter->link);
    if (token != NULL)
      waiter->token = token_acquire(token);
    uvsmtp_exchange_resume(waiter->exchange, token != NULL ? 0 : err);
  }
  uvsmtp_auth_free(auth);
}

static void expire(uvsmtp__token_cache_t *cache, uint64_t now_ms)
{
  abandon(cache);
  note_failure(cache, UVSMTP_ETIMEOUT, "it takes too long", now_ms);
  answer(cache, NULL, UVSMTP_EAUTHTOKEN);
}

static int start_fetch(uvsmtp__token_cache_t *cache, uint64_t now_ms)
{
  uvsmtp_token_request_t *request = uvsmtp__malloc(&cache->mem, sizeof(*request));
  bool answered = false;
  int err;
  if (request == NULL)
    return UVSMTP_ENOMEM;
  request->mem = cache->mem;
  request->cache = cache;
  request->thread = uvsmtp__auth_thread();
  request->started_ms = now_ms;
  request->overdue_ms = uvsmtp__later(now_ms, cache->timeout_ms);
  request->answered = &answered;
  cache->request = request;
  err = cache->fetch(cache->auth, request, cache->data);
  if (answered) /* whatever it returns: that of uvsmtp_auth_token_set, as a rule */
    return 0;
  request->answered = NULL;
  if (err >= 0)
    return 0;
  cache->request = NULL;
  uvsmtp__free(&cache->mem, request);
  note_failure(cache, err, NULL, now_ms);
  return err;
}

static bool is_usable(const uvsmtp__token_cache_t *cache, uint64_t now_ms)
{
  if (cache->token == NULL)
    return false;
  /* While a renewal fails, the old one is used to its end. */
  return now_ms < cache->renew_ms || (now_ms < cache->end_ms && now_ms < cache->retry_ms);
}

/* Waits for the fetch, which is started if none runs. */
static int wait(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter, uint64_t now_ms)
{
  int err = 0;
  uvsmtp__list_push_back(&cache->waiters, &waiter->link);
  if (cache->request == NULL)
    err = start_fetch(cache, now_ms);
  if (err == 0) {
    if (cache->request != NULL)
      uvsmtp_exchange_set_timeout(waiter->exchange, cache->request->overdue_ms - now_ms);
    return UVSMTP_PENDING;
  }
  /* Others may have come while fetch ran. */
  answer(cache, NULL, err);
  return UVSMTP_PENDING;
}

int uvsmtp__token_get(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter)
{
  uint64_t now_ms = uvsmtp_exchange_now(waiter->exchange);
  cache->undated = false;
  if (cache->request != NULL && now_ms >= cache->request->overdue_ms)
    expire(cache, now_ms);
  if (is_usable(cache, now_ms)) {
    waiter->token = token_acquire(cache->token);
    return 0;
  }
  if (cache->request == NULL && cache->failures != 0 && now_ms < cache->retry_ms)
    return UVSMTP_EAUTHTOKEN;
  return wait(cache, waiter, now_ms);
}

int uvsmtp__token_fall_back(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter, int err)
{
  uint64_t now_ms = uvsmtp_exchange_now(waiter->exchange);
  if (cache->undated)
    cache->retry_ms = uvsmtp__later(now_ms, retry_delay(cache));
  cache->undated = false;
  if (!is_usable(cache, now_ms))
    return err == UVSMTP_ETIMEOUT ? UVSMTP_EAUTHTOKEN : err;
  waiter->token = token_acquire(cache->token);
  return 0;
}

void uvsmtp__token_leave(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter)
{
  uint64_t now_ms = uvsmtp_exchange_now(waiter->exchange);
  if (uvsmtp__link_in_list(&waiter->link))
    uvsmtp__list_remove(&waiter->link);
  if (cache->request != NULL && now_ms >= cache->request->overdue_ms)
    expire(cache, now_ms);
}

/* ---- The answer ---- */

static int settle_request(uvsmtp__token_cache_t *cache, const uvsmtp_token_request_t *request,
                          int err, const char *text, uint64_t lifetime_s)
{
  uvsmtp__token_t *token = NULL;
  const char *why = err != 0 ? text : NULL;
  if (err == 0 && (text == NULL || !uvsmtp__token_is_valid(text)))
    err = UVSMTP_EAUTHTOKEN;
  if (err == 0 && (token = token_new(&cache->mem, text)) == NULL)
    err = UVSMTP_ENOMEM;
  if (err != 0) {
    note_failure(cache, err, why, request->started_ms);
    cache->undated = true;
    answer(cache, NULL, err);
    return err;
  }
  cache->failures = 0;
  cache->retry_ms = 0;
  keep(cache, token, request->started_ms, lifetime_s);
  answer(cache, token, 0);
  uvsmtp__token_release(token);
  return 0;
}

int uvsmtp_auth_token_set(uvsmtp_token_request_t *request, int err, const char *token,
                          uint64_t lifetime_s)
{
  uvsmtp_token_request_t answered;
  int rc;
  if (request->thread != uvsmtp__auth_thread())
    return UVSMTP_EAUTHTHREAD;
  answered = *request;
  if (answered.answered != NULL)
    *answered.answered = true;
  if (err > 0)
    err = UVSMTP_EAUTHTOKEN;
  uvsmtp__free(&answered.mem, request);
  if (answered.cache == NULL)
    return UVSMTP_ECANCELED;
  answered.cache->request = NULL;
  rc = settle_request(answered.cache, &answered, err, token, lifetime_s);
  return err != 0 ? 0 : rc;
}
