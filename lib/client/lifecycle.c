/*
 * What expires: idle connections, old ones, those that had their share; keep-alive; and patience
 * with what opens. A slot's timer is not moved each time that it is used: it is looked at when it
 * goes off, and set anew if that was too early.
 */
#include "client/pool.h"

/* Connections that were opened together shall not all be replaced together. */
#define AGE_SPREAD 10 /* of the age, one part in so many */

void uvsmtp__lifecycle_forget(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  if (uvsmtp__heap_has(&slot->timer))
    uvsmtp__heap_remove(&pool->timers, &slot->timer);
}

void uvsmtp__lifecycle_begin(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  uint64_t age = pool->limits.max_age_ms;
  uvsmtp__lifecycle_forget(pool, slot); /* opening was watched */
  slot->old_ms = UINT64_MAX;
  if (age != 0)
    slot->old_ms =
        uvsmtp__later(now, uvsmtp__backoff_shorten(&pool->backoff, age, age / AGE_SPREAD));
}

static void retire(uvsmtp__slot_t *slot, uvsmtp_retire_t cause)
{
  slot->retiring = true;
  uvsmtp__slot_blame(slot, cause);
}

void uvsmtp__lifecycle_judge(const uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  const uvsmtp__pool_limits_t *limits = &pool->limits;
  if ((limits->max_messages != 0 && slot->given >= limits->max_messages) ||
      (limits->max_bytes != 0 && slot->bytes >= limits->max_bytes))
    retire(slot, UVSMTP_RETIRE_USED);
  else if (limits->max_refused != 0 && slot->refused >= limits->max_refused)
    retire(slot, UVSMTP_RETIRE_REFUSED);
  else if (now >= slot->old_ms)
    retire(slot, UVSMTP_RETIRE_AGE);
}

static uint64_t expiry_of(const uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot)
{
  uint64_t at = uvsmtp__later(slot->idle_ms, pool->limits.idle_timeout_ms);
  return slot->old_ms < at ? slot->old_ms : at;
}

static uint64_t due_of(const uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot)
{
  uint64_t at = expiry_of(pool, slot);
  if (pool->limits.keepalive_ms != 0) {
    uint64_t check = uvsmtp__later(slot->used_ms, pool->limits.keepalive_ms);
    at = check < at ? check : at;
  }
  return at;
}

static void look_at_from(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t due)
{
  if (due == UINT64_MAX)
    return;
  slot->due_ms = due;
  uvsmtp__heap_add(&pool->timers, &slot->timer);
}

void uvsmtp__lifecycle_watch(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  if (pool->endpoint_count > 1)
    look_at_from(pool, slot, uvsmtp__later(now, pool->limits.open_patience_ms));
}

void uvsmtp__lifecycle_note(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  if (uvsmtp__heap_has(&slot->timer))
    return; /* use only puts it off */
  uint64_t due = due_of(pool, slot);
  look_at_from(pool, slot, due);
}

/* Enough others are idle, or none needs to be. */
static bool may_go(const uvsmtp__pool_t *pool)
{
  return pool->draining || pool->counts[UVSMTP__SLOT_IDLE] + pool->counts[UVSMTP__SLOT_CHECKED] >
                               pool->limits.min_idle;
}

/* Its timer has gone off. True if it is due for NOOP. */
static bool look_at(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  if (slot->state == UVSMTP__SLOT_OPENING) {
    slot->stalled = true;
    slot->endpoint->stalled++;
    pool->stalled++;
  }
  if (slot->state != UVSMTP__SLOT_IDLE)
    return false; /* it is noted again when it becomes idle */
  if (now >= expiry_of(pool, slot)) {
    if (now >= slot->old_ms || may_go(pool)) {
      retire(slot, now >= slot->old_ms ? UVSMTP_RETIRE_AGE : UVSMTP_RETIRE_IDLE);
      uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_SPENT);
      return false;
    }
    slot->idle_ms = now;
  }
  bool check = pool->limits.keepalive_ms != 0 &&
               now >= uvsmtp__later(slot->used_ms, pool->limits.keepalive_ms);
  if (!check)
    uvsmtp__lifecycle_note(pool, slot);
  return check;
}

uvsmtp__slot_t *uvsmtp__lifecycle_expire(uvsmtp__pool_t *pool, uint64_t now)
{
  while (pool->timers.root != NULL) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(pool->timers.root, uvsmtp__slot_t, timer);
    if (slot->due_ms > now)
      return NULL;
    uvsmtp__heap_remove(&pool->timers, &slot->timer);
    if (look_at(pool, slot, now))
      return slot;
  }
  return NULL;
}
