#include "client/endpoint.h"

#include <string.h>

/* A refused number of sessions is tried again after so many first delays. */
#define GROW_DELAYS 10

static uint64_t later(uint64_t from, uint64_t ms)
{
  return ms > UINT64_MAX - from ? UINT64_MAX : from + ms;
}

/* xorshift64: spreads clients that failed together; nothing depends on its quality. */
static uint64_t draw(uvsmtp__backoff_t *backoff)
{
  backoff->random ^= backoff->random << 13;
  backoff->random ^= backoff->random >> 7;
  backoff->random ^= backoff->random << 17;
  return backoff->random;
}

static uint64_t doubled(uint64_t delay, unsigned times, uint64_t most)
{
  for (; times > 0 && delay < most; times--)
    delay = delay > most / 2 ? most : delay * 2;
  return delay < most ? delay : most;
}

uint64_t uvsmtp__backoff_shorten(uvsmtp__backoff_t *backoff, uint64_t ms, uint64_t part)
{
  return ms - draw(backoff) % (part + 1);
}

uint64_t uvsmtp__backoff_delay(uvsmtp__backoff_t *backoff, unsigned nth)
{
  uint64_t delay = doubled(backoff->first_ms, nth - 1, backoff->most_ms);
  return uvsmtp__backoff_shorten(backoff, delay, delay / 2);
}

void uvsmtp__endpoint_init(uvsmtp__endpoint_t *endpoint, unsigned priority, unsigned weight,
                           size_t max_connections)
{
  memset(endpoint, 0, sizeof(*endpoint));
  endpoint->priority = priority;
  endpoint->weight = weight;
  endpoint->max_connections = max_connections;
  endpoint->allowed = SIZE_MAX;
  uvsmtp__list_init(&endpoint->idle);
  uvsmtp__list_init(&endpoint->busy);
}

bool uvsmtp__endpoint_is_down(const uvsmtp__endpoint_t *endpoint)
{
  return endpoint->failures > 0 && endpoint->live == 0;
}

bool uvsmtp__endpoint_is_stalled(const uvsmtp__endpoint_t *endpoint)
{
  return endpoint->stalled > 0 && endpoint->live == 0;
}

bool uvsmtp__endpoint_may_open(const uvsmtp__endpoint_t *endpoint, uint64_t now)
{
  if (endpoint->count >= endpoint->max_connections || endpoint->count >= endpoint->allowed ||
      endpoint->stalled > 0 || now < endpoint->retry_at_ms)
    return false;
  /* After a failure one feels the way; where `allowed` is known it does that. And wrong credentials
   * are shown once, not fifty times. */
  bool carefully = endpoint->failures > 0 || endpoint->untried ||
                   (endpoint->refusals > 0 && endpoint->allowed == SIZE_MAX);
  return !carefully || endpoint->opening == 0;
}

void uvsmtp__endpoint_failed(uvsmtp__endpoint_t *endpoint, unsigned round,
                             uvsmtp__backoff_t *backoff, uint64_t now)
{
  if (round != endpoint->failures)
    return;
  endpoint->well = false;
  endpoint->failures++;
  endpoint->retry_at_ms = later(now, uvsmtp__backoff_delay(backoff, endpoint->failures));
}

void uvsmtp__endpoint_refused(uvsmtp__endpoint_t *endpoint, bool adapt, uvsmtp__backoff_t *backoff,
                              uint64_t now)
{
  /* Several that were under way together count once. */
  if (now < endpoint->retry_at_ms)
    return;
  endpoint->refusals++;
  endpoint->refused_at = endpoint->live;
  endpoint->retry_at_ms = later(now, uvsmtp__backoff_delay(backoff, endpoint->refusals));
  if (!adapt)
    return;
  endpoint->well = false;
  endpoint->allowed = endpoint->live;
  uint64_t wait = doubled(backoff->first_ms, endpoint->refusals - 1, backoff->most_ms);
  endpoint->grow_at_ms = later(now, wait * GROW_DELAYS);
}

void uvsmtp__endpoint_rest(uvsmtp__endpoint_t *endpoint, uvsmtp__backoff_t *backoff, uint64_t now)
{
  /* What was under way when it first asked says so too. */
  if (now < endpoint->rest_until_ms)
    return;
  uvsmtp__endpoint_failed(endpoint, endpoint->failures, backoff, now);
  endpoint->rest_until_ms = endpoint->retry_at_ms;
}

void uvsmtp__endpoint_opened(uvsmtp__endpoint_t *endpoint, uint64_t now)
{
  endpoint->untried = endpoint->hopeless = false;
  /* It answers; whether it takes anything is seen later. */
  if (now >= endpoint->rest_until_ms)
    endpoint->retry_at_ms = 0;
  if (endpoint->live > endpoint->refused_at)
    endpoint->refusals = 0;
}

bool uvsmtp__endpoint_proved(uvsmtp__endpoint_t *endpoint, uvsmtp__backoff_t *backoff, uint64_t now)
{
  bool was_down = endpoint->failures > 0;
  endpoint->served = true;
  if (was_down) {
    endpoint->failures = 0;
    endpoint->retry_at_ms = 0;
  }
  endpoint->hopeless = endpoint->made_room = false;
  endpoint->well = endpoint->allowed == SIZE_MAX;
  if (endpoint->allowed == SIZE_MAX || endpoint->live < endpoint->allowed ||
      now < endpoint->grow_at_ms)
    return was_down;
  /* As many as it bore are in use, and long enough. */
  endpoint->allowed++;
  uint64_t wait = doubled(backoff->first_ms, endpoint->refusals, backoff->most_ms);
  endpoint->grow_at_ms = later(now, wait * GROW_DELAYS);
  return was_down;
}
