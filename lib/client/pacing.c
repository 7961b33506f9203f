#include "client/pacing.h"

#include <string.h>

void uvsmtp__bucket_init(uvsmtp__bucket_t *bucket, const uvsmtp_rate_t *rate, uint64_t now)
{
  memset(bucket, 0, sizeof(*bucket));
  bucket->count = rate->count;
  bucket->per_ms = rate->per_ms != 0 ? rate->per_ms : 1000;
  bucket->burst = rate->burst != 0 ? rate->burst : 1;
  bucket->level = (int64_t)(bucket->burst * bucket->per_ms);
  bucket->at_ms = now;
}

/* The burst, and what comes in a millisecond: the clock has no finer steps, and without that a part
 * of each step would be lost, or most of it where several tokens come in one. */
static int64_t capacity(const uvsmtp__bucket_t *bucket)
{
  return (int64_t)(bucket->burst * bucket->per_ms + bucket->count);
}

static int64_t level_at(const uvsmtp__bucket_t *bucket, uint64_t now)
{
  int64_t full = capacity(bucket);
  uint64_t elapsed = now > bucket->at_ms ? now - bucket->at_ms : 0;
  uint64_t missing = (uint64_t)(full - bucket->level);
  if (elapsed > missing / bucket->count)
    return full;
  return bucket->level + (int64_t)(elapsed * bucket->count);
}

static uint64_t parts_of(const uvsmtp__bucket_t *bucket, uint64_t cost)
{
  return (cost < UVSMTP__RATE_MAX ? cost : UVSMTP__RATE_MAX) * bucket->per_ms;
}

uint64_t uvsmtp__bucket_ready(const uvsmtp__bucket_t *bucket, uint64_t cost, uint64_t now)
{
  if (bucket->count == 0)
    return now;
  int64_t need = (int64_t)parts_of(bucket, cost < bucket->burst ? cost : bucket->burst);
  int64_t level = level_at(bucket, now);
  if (level >= need)
    return now;
  return now + ((uint64_t)(need - level) + bucket->count - 1) / bucket->count;
}

void uvsmtp__bucket_take(uvsmtp__bucket_t *bucket, uint64_t cost, uint64_t now)
{
  if (bucket->count == 0)
    return;
  bucket->level = level_at(bucket, now) - (int64_t)parts_of(bucket, cost);
  bucket->at_ms = now;
}
