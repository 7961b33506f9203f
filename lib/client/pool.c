#include "client/pool.h"

#include <string.h>

#define MAX_RETRY_DELAY_MS 60000
#define SERVICE_NOT_AVAILABLE 421 /* RFC 5321 section 3.8: the server ends the session */

void uvsmtp__pool_init(uvsmtp__pool_t *pool, const uvsmtp__pool_limits_t *limits,
                       uvsmtp__pool_takes_fn takes, void *ctx, uint64_t seed)
{
  memset(pool, 0, sizeof(*pool));
  pool->limits = *limits;
  pool->takes = takes;
  pool->ctx = ctx;
  pool->expiry_ms = UINT64_MAX;
  pool->random = seed | 1;
  for (int i = 0; i < UVSMTP__SLOT_STATES; i++)
    uvsmtp__list_init(&pool->lists[i]);
}

static uvsmtp__slot_t *first(const uvsmtp__pool_t *pool, uvsmtp__slot_state_t state)
{
  if (uvsmtp__list_empty(&pool->lists[state]))
    return NULL;
  return UVSMTP__CONTAINER(pool->lists[state].next, uvsmtp__slot_t, link);
}

static void leave(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  uvsmtp__list_remove(&slot->link);
  pool->counts[slot->state]--;
}

static void enter(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__slot_state_t state)
{
  slot->state = state;
  pool->counts[state]++;
  /* Idle ones are a stack, so that those not needed stay untouched and expire. */
  if (state == UVSMTP__SLOT_IDLE)
    uvsmtp__list_push_front(&pool->lists[state], &slot->link);
  else
    uvsmtp__list_push_back(&pool->lists[state], &slot->link);
}

static void move(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__slot_state_t state)
{
  leave(pool, slot);
  enter(pool, slot, state);
}

static void unreserve(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  if (slot->reserved)
    pool->reserved--;
  slot->reserved = false;
}

static uint64_t later(uint64_t from, uint64_t ms)
{
  return ms > UINT64_MAX - from ? UINT64_MAX : from + ms;
}

/* ---- age ---------------------------------------------------------------------------------- */

static bool is_old(const uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot, uint64_t now)
{
  return pool->limits.max_age_ms != 0 && now >= later(slot->opened_ms, pool->limits.max_age_ms);
}

static uint64_t expiry_of(const uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot)
{
  uint64_t at = later(slot->idle_ms, pool->limits.idle_timeout_ms);
  if (pool->limits.max_age_ms != 0) {
    uint64_t old = later(slot->opened_ms, pool->limits.max_age_ms);
    if (old < at)
      at = old;
  }
  return at;
}

/* Marks the idle slots whose time is over; looks at all of them only when one may be due. */
static void expire(uvsmtp__pool_t *pool, uint64_t now)
{
  if (now < pool->expiry_ms)
    return;
  pool->expiry_ms = UINT64_MAX;
  UVSMTP__LIST_EACH (it, &pool->lists[UVSMTP__SLOT_IDLE]) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    uint64_t at = expiry_of(pool, slot);
    if (at <= now) {
      slot->retiring = true;
      move(pool, slot, UVSMTP__SLOT_SPENT);
    } else if (at < pool->expiry_ms) {
      pool->expiry_ms = at;
    }
  }
}

/* Nothing is under way on it any more. */
static void settle(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  unreserve(pool, slot);
  slot->idle_ms = now;
  if (pool->limits.max_messages != 0 && slot->given >= pool->limits.max_messages)
    slot->retiring = true;
  if (is_old(pool, slot, now))
    slot->retiring = true;
  if (slot->dead || slot->retiring) {
    move(pool, slot, UVSMTP__SLOT_SPENT);
    return;
  }
  move(pool, slot, UVSMTP__SLOT_IDLE);
  uint64_t at = expiry_of(pool, slot);
  if (at < pool->expiry_ms)
    pool->expiry_ms = at;
}

/* ---- standing back ------------------------------------------------------------------------ */

/* xorshift64: spreads clients that failed together; nothing depends on its quality. */
static uint64_t draw(uvsmtp__pool_t *pool)
{
  pool->random ^= pool->random << 13;
  pool->random ^= pool->random >> 7;
  pool->random ^= pool->random << 17;
  return pool->random;
}

/* Between half and all of retry_delay_ms, doubled for each failure before this one. */
static void stand_back(uvsmtp__pool_t *pool, uint64_t now)
{
  uint64_t delay = pool->limits.retry_delay_ms;
  for (unsigned i = 1; i < pool->failures && delay < MAX_RETRY_DELAY_MS; i++)
    delay *= 2;
  if (delay > MAX_RETRY_DELAY_MS)
    delay = MAX_RETRY_DELAY_MS;
  pool->retry_at_ms = now + delay - draw(pool) % (delay / 2 + 1);
}

/* Connects that were under way together fail together: they count once. */
static void note_failure(uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot, uint64_t now)
{
  if (slot->round != pool->failures)
    return;
  pool->failures++;
  stand_back(pool, now);
}

/* Whether the same opening would go wrong in the same way. */
static bool is_final(int err)
{
  switch (uvsmtp_err_class(err)) {
  case UVSMTP_CLASS_USAGE:
  case UVSMTP_CLASS_TLS:
  case UVSMTP_CLASS_PROTOCOL:
  case UVSMTP_CLASS_PERMANENT:
    return true;
  case UVSMTP_CLASS_AUTH:
    return err != UVSMTP_EAUTHTEMPORARY;
  default:
    return false;
  }
}

/* ---- what happened ------------------------------------------------------------------------ */

void uvsmtp__pool_add(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  memset(slot, 0, sizeof(*slot));
  slot->round = pool->failures;
  pool->count++;
  enter(pool, slot, UVSMTP__SLOT_OPENING);
}

void uvsmtp__pool_opened(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  if (slot->state != UVSMTP__SLOT_OPENING)
    return;
  pool->failures = 0;
  pool->retry_at_ms = 0;
  pool->unproven = false;
  slot->round = 0;
  slot->opened_ms = now;
  settle(pool, slot, now);
}

bool uvsmtp__pool_failed(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, int err, uint64_t now)
{
  if (slot->state != UVSMTP__SLOT_OPENING)
    return false;
  slot->dead = true;
  move(pool, slot, UVSMTP__SLOT_SPENT);
  note_failure(pool, slot, now);
  if (err == UVSMTP_EAUTH)
    pool->unproven = true;
  if (pool->counts[UVSMTP__SLOT_IDLE] + pool->counts[UVSMTP__SLOT_BUSY] +
          pool->counts[UVSMTP__SLOT_FULL] >
      0)
    return false;
  if (!is_final(err) && pool->failures < pool->limits.max_tries)
    return false;
  /* Those who come later have their tries again, but after one delay. */
  pool->failures = 1;
  stand_back(pool, now);
  pool->failures = 0;
  return true;
}

void uvsmtp__pool_sent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  slot->given++;
  slot->in_flight++;
  if (pool->limits.max_messages != 0 && slot->given >= pool->limits.max_messages)
    slot->retiring = true;
  if (is_old(pool, slot, now))
    slot->retiring = true;
  /* To the end, so that the load goes round. */
  move(pool, slot, slot->retiring ? UVSMTP__SLOT_FULL : UVSMTP__SLOT_BUSY);
}

void uvsmtp__pool_done(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool dead, uint64_t now)
{
  slot->in_flight--;
  if (slot->state == UVSMTP__SLOT_CLOSING)
    return;
  if (!dead) {
    slot->delivered++;
  } else if (!slot->dead) {
    slot->dead = true;
    /* A server that ends sessions before it has taken anything wants to be left alone a while. */
    if (slot->delivered == 0)
      note_failure(pool, slot, now);
  }
  if (slot->in_flight == 0)
    settle(pool, slot, now);
  else if (slot->state == UVSMTP__SLOT_FULL && !slot->dead && !slot->retiring && !slot->reserved)
    move(pool, slot, UVSMTP__SLOT_BUSY);
}

void uvsmtp__pool_lent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  slot->given++;
  move(pool, slot, UVSMTP__SLOT_LENT);
}

void uvsmtp__pool_given_back(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool usable, uint64_t now)
{
  if (!usable)
    slot->dead = true;
  settle(pool, slot, now);
}

void uvsmtp__pool_lost(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  slot->dead = true;
  if (slot->state == UVSMTP__SLOT_IDLE)
    move(pool, slot, UVSMTP__SLOT_SPENT);
}

static void retire_all(uvsmtp__pool_t *pool, uvsmtp__slot_state_t from, uvsmtp__slot_state_t to)
{
  UVSMTP__LIST_EACH (it, &pool->lists[from]) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    slot->retiring = true;
    slot->dead = slot->dead || from == UVSMTP__SLOT_OPENING;
    if (to != from)
      move(pool, slot, to);
  }
}

void uvsmtp__pool_renew(uvsmtp__pool_t *pool)
{
  retire_all(pool, UVSMTP__SLOT_OPENING, UVSMTP__SLOT_SPENT);
  retire_all(pool, UVSMTP__SLOT_IDLE, UVSMTP__SLOT_SPENT);
  retire_all(pool, UVSMTP__SLOT_FULL, UVSMTP__SLOT_FULL);
  retire_all(pool, UVSMTP__SLOT_BUSY, UVSMTP__SLOT_FULL);
  retire_all(pool, UVSMTP__SLOT_LENT, UVSMTP__SLOT_LENT);
  pool->failures = 0;
  pool->retry_at_ms = 0;
}

void uvsmtp__pool_closing(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  unreserve(pool, slot);
  move(pool, slot, UVSMTP__SLOT_CLOSING);
}

void uvsmtp__pool_gone(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  unreserve(pool, slot);
  leave(pool, slot);
  pool->count--;
}

/* ---- what is to be done ------------------------------------------------------------------- */

static uvsmtp__step_t step(uvsmtp__step_kind_t kind, uvsmtp__slot_t *slot)
{
  return (uvsmtp__step_t){.kind = kind, .slot = slot};
}

static uvsmtp__step_t next_of_abort(const uvsmtp__pool_t *pool)
{
  for (int state = 0; state < UVSMTP__SLOT_CLOSING; state++)
    if (state != UVSMTP__SLOT_LENT && first(pool, (uvsmtp__slot_state_t)state) != NULL)
      return step(UVSMTP__STEP_CLOSE, first(pool, (uvsmtp__slot_state_t)state));
  return step(UVSMTP__STEP_NONE, NULL);
}

/* What is of no use, and, at the end of draining, what is needed no more. */
static uvsmtp__step_t next_to_end(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting)
{
  bool leaving = pool->draining && waiting->sends == 0 && waiting->borrows == 0;
  uvsmtp__slot_t *slot = first(pool, UVSMTP__SLOT_SPENT);
  if (slot != NULL)
    return step(slot->dead ? UVSMTP__STEP_CLOSE : UVSMTP__STEP_QUIT, slot);
  slot = first(pool, UVSMTP__SLOT_IDLE);
  if (slot != NULL && leaving)
    return step(UVSMTP__STEP_QUIT, slot);
  slot = first(pool, UVSMTP__SLOT_OPENING);
  if (slot != NULL && leaving)
    return step(UVSMTP__STEP_CLOSE, slot);
  return step(UVSMTP__STEP_NONE, NULL);
}

/* A busy connection that takes one more; those that do not are put aside until a send ends. */
static uvsmtp__slot_t *with_room(uvsmtp__pool_t *pool)
{
  uvsmtp__slot_t *slot;
  while ((slot = first(pool, UVSMTP__SLOT_BUSY)) != NULL) {
    if (!slot->dead && !slot->reserved && pool->takes(pool->ctx, slot))
      return slot;
    move(pool, slot, UVSMTP__SLOT_FULL);
  }
  return NULL;
}

/* After a failure one feels the way; and wrong credentials are shown once, not fifty times. */
static bool waits_for_scout(const uvsmtp__pool_t *pool)
{
  return (pool->failures != 0 || pool->unproven) && pool->counts[UVSMTP__SLOT_OPENING] != 0;
}

static bool may_open(const uvsmtp__pool_t *pool, uint64_t now)
{
  return pool->count < pool->limits.max_connections && now >= pool->retry_at_ms &&
         !waits_for_scout(pool);
}

/* Keeps the next borrower a connection whose sends shall run out. */
static void reserve(uvsmtp__pool_t *pool, size_t borrows)
{
  static const uvsmtp__slot_state_t states[] = {UVSMTP__SLOT_BUSY, UVSMTP__SLOT_FULL};
  for (int i = 0; i < 2 && pool->reserved < borrows; i++)
    UVSMTP__LIST_EACH (it, &pool->lists[states[i]]) {
      uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
      if (pool->reserved >= borrows)
        break;
      if (slot->reserved || slot->dead || slot->retiring)
        continue;
      slot->reserved = true;
      pool->reserved++;
      if (slot->state == UVSMTP__SLOT_BUSY)
        move(pool, slot, UVSMTP__SLOT_FULL);
    }
}

uvsmtp__step_t uvsmtp__pool_next(uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting,
                                 uint64_t now)
{
  if (pool->aborting)
    return next_of_abort(pool);
  expire(pool, now);
  uvsmtp__step_t end = next_to_end(pool, waiting);
  if (end.kind != UVSMTP__STEP_NONE)
    return end;

  uvsmtp__slot_t *idle = first(pool, UVSMTP__SLOT_IDLE), *busy;
  bool borrow = waiting->borrows > 0 && (waiting->borrow_first || waiting->sends == 0);
  if (idle != NULL && borrow)
    return step(UVSMTP__STEP_LEND, idle);
  if (waiting->sends > 0 && idle != NULL)
    return step(UVSMTP__STEP_SEND, idle);
  if (waiting->sends > 0 && (busy = with_room(pool)) != NULL)
    return step(UVSMTP__STEP_SEND, busy);
  if (waiting->sends + waiting->borrows > pool->counts[UVSMTP__SLOT_OPENING] && may_open(pool, now))
    return step(UVSMTP__STEP_OPEN, NULL);
  if (borrow && pool->count >= pool->limits.max_connections)
    reserve(pool, waiting->borrows);
  return step(UVSMTP__STEP_NONE, NULL);
}

uint64_t uvsmtp__pool_due(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting)
{
  uint64_t at = pool->expiry_ms;
  if (pool->aborting)
    return UINT64_MAX;
  if (waiting->sends + waiting->borrows > pool->counts[UVSMTP__SLOT_OPENING] &&
      pool->retry_at_ms != 0 && pool->count < pool->limits.max_connections &&
      pool->retry_at_ms < at && !waits_for_scout(pool))
    at = pool->retry_at_ms;
  return at;
}

/* ---- trying again ------------------------------------------------------------------------- */

bool uvsmtp__pool_is_dead(const uvsmtp__attempt_t *attempt)
{
  uvsmtp_err_class_t klass = uvsmtp_err_class(attempt->err);
  return attempt->cancelled || attempt->code == SERVICE_NOT_AVAILABLE ||
         klass == UVSMTP_CLASS_NETWORK || klass == UVSMTP_CLASS_TLS ||
         attempt->err == UVSMTP_ECLOSING || attempt->err == UVSMTP_ECANCELED ||
         attempt->err == UVSMTP_EPROTOCOL || attempt->err == UVSMTP_EREPLYTOOLONG;
}

bool uvsmtp__pool_may_retry(const uvsmtp__pool_t *pool, const uvsmtp__attempt_t *attempt)
{
  /* ECANCELED without `cancelled`: another send was given up, and the connection with it. */
  bool session = attempt->code == SERVICE_NOT_AVAILABLE || attempt->err == UVSMTP_ECLOSING ||
                 attempt->err == UVSMTP_ECANCELED ||
                 uvsmtp_err_class(attempt->err) == UVSMTP_CLASS_NETWORK;
  return session && attempt->all_deferred && attempt->retry_is_safe && !attempt->cancelled &&
         attempt->tries < pool->limits.max_tries && !pool->aborting;
}
