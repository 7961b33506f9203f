/*
 * Slots and their lists, and what happened to them.
 */
#include "client/pool.h"

#include <string.h>

static bool timer_before(const uvsmtp__heap_node_t *a, const uvsmtp__heap_node_t *b)
{
  const uvsmtp__slot_t *x = UVSMTP__CONTAINER((void *)(uintptr_t)a, uvsmtp__slot_t, timer);
  const uvsmtp__slot_t *y = UVSMTP__CONTAINER((void *)(uintptr_t)b, uvsmtp__slot_t, timer);
  return x->due_ms < y->due_ms;
}

void uvsmtp__pool_init(uvsmtp__pool_t *pool, const uvsmtp__pool_limits_t *limits,
                       uvsmtp__endpoint_t *const *endpoints, size_t endpoint_count,
                       uvsmtp__pool_room_fn room, void *ctx, uint64_t seed, uint64_t now)
{
  memset(pool, 0, sizeof(*pool));
  pool->limits = *limits;
  pool->endpoints = endpoints;
  pool->endpoint_count = endpoint_count;
  pool->room = room;
  pool->ctx = ctx;
  pool->paced = limits->message_rate.count != 0 || limits->recipient_rate.count != 0;
  pool->limited = limits->max_messages != 0 || limits->max_bytes != 0 || limits->max_age_ms != 0;
  pool->plain = !pool->paced && !pool->limited && endpoint_count == 1;
  pool->timers.before = timer_before;
  pool->due_ms = UINT64_MAX;
  pool->backoff = (uvsmtp__backoff_t){.first_ms = limits->retry_delay_ms,
                                      .most_ms = limits->max_retry_delay_ms,
                                      .random = seed | 1};
  uvsmtp__bucket_init(&pool->messages, &limits->message_rate, now);
  uvsmtp__bucket_init(&pool->recipients, &limits->recipient_rate, now);
  uvsmtp__bucket_init(&pool->connections, &limits->connection_rate, now);
  for (int i = 0; i < UVSMTP__SLOT_STATES; i++)
    uvsmtp__list_init(&pool->lists[i]);
}

/* ---- lists -------------------------------------------------------------------------------- */

static bool is_live(uvsmtp__slot_state_t state)
{
  const unsigned others =
      1u << UVSMTP__SLOT_OPENING | 1u << UVSMTP__SLOT_SPENT | 1u << UVSMTP__SLOT_CLOSING;
  return (others >> state & 1) == 0;
}

static void count(uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot, size_t n)
{
  pool->counts[slot->state] += n;
  slot->endpoint->opening += slot->state == UVSMTP__SLOT_OPENING ? n : 0;
  slot->endpoint->live += is_live(slot->state) ? n : 0;
}

static void leave(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  uvsmtp__list_remove(&slot->link);
  count(pool, slot, (size_t)-1);
  if (slot->stalled) {
    slot->endpoint->stalled--;
    pool->stalled--;
    slot->stalled = false;
  }
}

static void enter(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__slot_state_t state)
{
  slot->state = state;
  count(pool, slot, 1);
  uvsmtp__slot_link(pool, slot, state);
}

void uvsmtp__pool_move(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__slot_state_t state)
{
  if (is_live(slot->state) && is_live(state)) {
    uvsmtp__slot_pass(pool, slot, state);
    return;
  }
  leave(pool, slot);
  enter(pool, slot, state);
}

static void unreserve(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  if (!slot->reserved)
    return;
  pool->reserved--;
  slot->reserved = false;
}

/* Nothing is under way on it any more. `idle_ms`: since when it has been idle. */
static void settle(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t idle_ms, uint64_t now)
{
  unreserve(pool, slot);
  slot->idle_ms = idle_ms;
  slot->used_ms = now;
  if (pool->limited)
    uvsmtp__lifecycle_judge(pool, slot, now);
  if (slot->dead || slot->retiring) {
    uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_SPENT);
    return;
  }
  uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_IDLE);
  uvsmtp__lifecycle_note(pool, slot);
}

/* ---- opening ------------------------------------------------------------------------------ */

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

void uvsmtp__pool_add(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__endpoint_t *endpoint,
                      uint64_t now)
{
  memset(slot, 0, sizeof(*slot));
  slot->endpoint = endpoint;
  slot->round = endpoint->failures;
  endpoint->made_room = false;
  endpoint->count++;
  pool->count++;
  uvsmtp__bucket_take(&pool->connections, 1, now);
  enter(pool, slot, UVSMTP__SLOT_OPENING);
  uvsmtp__lifecycle_watch(pool, slot, now);
}

/* One that was away does not make up for the time that it was. */
static void catch_up(uvsmtp__pool_t *pool, uvsmtp__endpoint_t *endpoint)
{
  uint64_t least = UINT64_MAX;
  for (size_t i = 0; i < pool->endpoint_count; i++) {
    const uvsmtp__endpoint_t *other = pool->endpoints[i];
    if (other != endpoint && other->live > 0 && other->priority == endpoint->priority &&
        other->share < least)
      least = other->share;
  }
  if (least != UINT64_MAX && endpoint->share < least)
    endpoint->share = least;
}

void uvsmtp__pool_opened(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  uvsmtp__endpoint_t *endpoint = slot->endpoint;
  if (slot->state != UVSMTP__SLOT_OPENING)
    return;
  if (endpoint->live == 0)
    catch_up(pool, endpoint);
  uvsmtp__lifecycle_begin(pool, slot, now);
  settle(pool, slot, now, now);
  uvsmtp__endpoint_opened(endpoint, now);
}

static void note_failure(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool final, uint64_t now)
{
  uvsmtp__endpoint_t *endpoint = slot->endpoint;
  uvsmtp__endpoint_failed(endpoint, slot->round, &pool->backoff, now);
  endpoint->well = false;
  if (final || endpoint->failures >= pool->limits.max_connect_tries)
    endpoint->hopeless = true;
}

void uvsmtp__pool_failed(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, int err, uint64_t now)
{
  if (slot->state != UVSMTP__SLOT_OPENING)
    return;
  slot->dead = true;
  uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_SPENT);
  if (err == UVSMTP_EAUTH)
    slot->endpoint->untried = true;
  if (slot->endpoint->live > 0)
    uvsmtp__endpoint_refused(slot->endpoint, !pool->limits.fixed_connections, &pool->backoff, now);
  else
    note_failure(pool, slot, is_final(err), now);
}

void uvsmtp__pool_dropped(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  slot->dead = true;
  uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_SPENT);
}

void uvsmtp__pool_gave_up(uvsmtp__pool_t *pool, uint64_t now)
{
  for (size_t i = 0; i < pool->endpoint_count; i++) {
    uvsmtp__endpoint_t *endpoint = pool->endpoints[i];
    endpoint->hopeless = false;
    endpoint->failures = 0;
    endpoint->retry_at_ms = uvsmtp__later(now, uvsmtp__backoff_delay(&pool->backoff, 1));
  }
}

/* ---- use ---------------------------------------------------------------------------------- */

/* One step of an endpoint of weight 1. */
#define SHARE_UNIT ((uint64_t)1 << 32)

/* What it counts where it is not all plain. */
static __attribute__((noinline)) void account(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot,
                                              uint64_t recipients, uint64_t bytes, uint64_t now)
{
  slot->bytes += bytes;
  slot->endpoint->share += SHARE_UNIT / slot->endpoint->weight;
  if (pool->limited)
    uvsmtp__lifecycle_judge(pool, slot, now);
  if (pool->paced) {
    uvsmtp__bucket_take(&pool->messages, 1, now);
    uvsmtp__bucket_take(&pool->recipients, recipients, now);
  }
}

void uvsmtp__pool_sent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, size_t count,
                       uint64_t recipients, uint64_t bytes, uint64_t now)
{
  uvsmtp__link_t *busy = &slot->endpoint->busy;
  bool idle = slot->state == UVSMTP__SLOT_IDLE;
  slot->unproven = slot->unproven || (idle && slot->given > 0);
  slot->given += count;
  slot->in_flight += count;
  slot->room -= count;
  if (!pool->plain)
    account(pool, slot, recipients, bytes, now);
  if (slot->room == 0 || slot->retiring) {
    uvsmtp__slot_pass(pool, slot, UVSMTP__SLOT_FULL);
  } else if (idle) {
    uvsmtp__slot_pass(pool, slot, UVSMTP__SLOT_BUSY);
  } else if (busy->prev != &slot->link) { /* to the end, so that the load goes round */
    uvsmtp__list_remove(&slot->link);
    uvsmtp__list_push_back(busy, &slot->link);
  }
}

/* How many sessions of those that `endpoint` shares its rank with are its own. */
static size_t fair_share(const uvsmtp__pool_t *pool, const uvsmtp__endpoint_t *endpoint)
{
  uint64_t weights = 0;
  for (size_t i = 0; i < pool->endpoint_count; i++)
    if (pool->endpoints[i]->priority == endpoint->priority &&
        !uvsmtp__endpoint_is_down(pool->endpoints[i]))
      weights += pool->endpoints[i]->weight;
  uint64_t share = pool->limits.max_connections * endpoint->weight / (weights > 0 ? weights : 1);
  return share > 0 ? (size_t)share : 1;
}

/* It is back: those that stood in for it go, and its equals give it its share of the cap. */
static UVSMTP__RARE void take_over(uvsmtp__pool_t *pool, const uvsmtp__endpoint_t *endpoint)
{
  for (size_t i = 0; i < pool->endpoint_count; i++) {
    uvsmtp__endpoint_t *other = pool->endpoints[i];
    if (other->priority > endpoint->priority)
      uvsmtp__pool_retire(pool, other, 0);
    else if (other->priority == endpoint->priority && other != endpoint)
      uvsmtp__pool_retire(pool, other, fair_share(pool, other));
  }
}

static void prove(uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot, uint64_t now)
{
  if (!slot->endpoint->well && uvsmtp__endpoint_proved(slot->endpoint, &pool->backoff, now))
    take_over(pool, slot->endpoint);
}

/* One less is under way on it. */
static void note_done(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  bool takes = !slot->dead && !slot->retiring && !slot->reserved;
  if (slot->in_flight == 0)
    settle(pool, slot, now, now);
  else if (takes && slot->state != UVSMTP__SLOT_BUSY)
    uvsmtp__slot_pass(pool, slot, UVSMTP__SLOT_BUSY);
  else if (!takes && slot->state == UVSMTP__SLOT_BUSY)
    uvsmtp__slot_pass(pool, slot, UVSMTP__SLOT_FULL);
}

void uvsmtp__pool_delivered(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  if (slot->state == UVSMTP__SLOT_CLOSING)
    return;
  prove(pool, slot, now);
  note_done(pool, slot, now);
}

/* The session ended with a send, or because one was cancelled. */
static void note_dead(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__ending_t ending,
                      uint64_t now)
{
  bool was_dead = slot->dead;
  slot->dead = true;
  if (ending == UVSMTP__ENDING_CUT) {
    uvsmtp__slot_blame(slot, UVSMTP_RETIRE_CANCELLED);
  } else if (!was_dead) {
    uvsmtp__slot_blame(slot, UVSMTP_RETIRE_FAILED);
    /* A server that ends sessions before it has taken anything wants to be left alone a while. */
    if (slot->delivered == 0)
      note_failure(pool, slot, false, now);
  }
}

bool uvsmtp__pool_done(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__ending_t ending,
                       uint64_t now)
{
  /* The server was busy with the oldest; those behind it are not to blame, and nobody is for what
   * we did ourselves. */
  bool innocent = ending == UVSMTP__ENDING_CUT ||
                  (ending == UVSMTP__ENDING_DEAD && (slot->unproven || slot->dead));
  bool taken = ending == UVSMTP__ENDING_FINE || ending == UVSMTP__ENDING_REFUSED;
  slot->in_flight--;
  if (slot->state == UVSMTP__SLOT_CLOSING)
    return innocent;
  if (taken || ending == UVSMTP__ENDING_SLOW)
    uvsmtp__slot_prove(slot);
  if (taken) {
    prove(pool, slot, now);
  } else if (ending == UVSMTP__ENDING_SLOW) {
    uvsmtp__endpoint_rest(slot->endpoint, &pool->backoff, now);
  } else if (ending != UVSMTP__ENDING_NONE) {
    note_dead(pool, slot, ending, now);
  }
  if (ending == UVSMTP__ENDING_REFUSED) {
    slot->refused++;
    uvsmtp__lifecycle_judge(pool, slot, now);
  }
  note_done(pool, slot, now);
  return innocent;
}

void uvsmtp__pool_lent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  slot->given++;
  uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_LENT);
}

void uvsmtp__pool_given_back(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool usable, uint64_t now)
{
  if (usable) {
    uvsmtp__slot_prove(slot);
    prove(pool, slot, now);
  } else {
    uvsmtp__slot_blame(slot, UVSMTP_RETIRE_RETURNED);
  }
  slot->dead = slot->dead || !usable;
  settle(pool, slot, now, now);
}

void uvsmtp__pool_checking(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_CHECKED);
}

void uvsmtp__pool_checked(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool fine, uint64_t now)
{
  if (slot->state != UVSMTP__SLOT_CHECKED)
    return;
  slot->dead = slot->dead || !fine;
  if (!fine)
    uvsmtp__slot_blame(slot, UVSMTP_RETIRE_LOST);
  settle(pool, slot, slot->idle_ms, now); /* a NOOP is no use of it */
}

/* ---- the end ------------------------------------------------------------------------------ */

void uvsmtp__pool_lost(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now)
{
  if (!slot->dead && slot->given == 0 && slot->state == UVSMTP__SLOT_IDLE)
    note_failure(pool, slot, false, now);
  slot->dead = true;
  uvsmtp__slot_blame(slot, UVSMTP_RETIRE_LOST);
  if (slot->state == UVSMTP__SLOT_IDLE || slot->state == UVSMTP__SLOT_CHECKED)
    uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_SPENT);
  else if (slot->state == UVSMTP__SLOT_BUSY)
    uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_FULL);
}

void uvsmtp__pool_closing(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  unreserve(pool, slot);
  uvsmtp__lifecycle_forget(pool, slot);
  uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_CLOSING);
}

void uvsmtp__pool_gone(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  unreserve(pool, slot);
  uvsmtp__lifecycle_forget(pool, slot);
  leave(pool, slot);
  slot->endpoint->count--;
  pool->count--;
}

/* Retires those of a list that are the endpoint's, up to `most` of them; returns how many. */
static size_t retire_list(uvsmtp__pool_t *pool, const uvsmtp__link_t *list,
                          const uvsmtp__endpoint_t *endpoint, size_t most)
{
  size_t count = 0;
  UVSMTP__LIST_EACH (it, list) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    if (count == most)
      break;
    if (slot->endpoint != endpoint || slot->retiring || slot->dead)
      continue;
    count++;
    slot->retiring = true;
    uvsmtp__slot_blame(slot, UVSMTP_RETIRE_REPLACED);
    if (slot->state == UVSMTP__SLOT_IDLE)
      uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_SPENT);
    else if (slot->state == UVSMTP__SLOT_BUSY)
      uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_FULL);
  }
  return count;
}

void uvsmtp__pool_retire(uvsmtp__pool_t *pool, uvsmtp__endpoint_t *endpoint, size_t keep)
{
  static const uvsmtp__slot_state_t states[] = {UVSMTP__SLOT_OPENING, UVSMTP__SLOT_FULL,
                                                UVSMTP__SLOT_CHECKED, UVSMTP__SLOT_LENT};
  size_t have = endpoint->live + endpoint->opening, most = have > keep ? have - keep : 0;
  most -= retire_list(pool, &endpoint->idle, endpoint, most);
  most -= retire_list(pool, &endpoint->busy, endpoint, most);
  for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
    most -= retire_list(pool, &pool->lists[states[i]], endpoint, most);
}

void uvsmtp__pool_renew(uvsmtp__pool_t *pool, uvsmtp__endpoint_t *endpoint)
{
  UVSMTP__LIST_EACH (it, &pool->lists[UVSMTP__SLOT_OPENING]) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    if (slot->endpoint != endpoint)
      continue;
    uvsmtp__pool_dropped(pool, slot);
  }
  uvsmtp__pool_retire(pool, endpoint, 0);
  endpoint->failures = 0;
  endpoint->retry_at_ms = 0;
  endpoint->hopeless = false;
  endpoint->untried = true;
}
