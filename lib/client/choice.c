/*
 * What is to be done next: end what is of no use, tell those who wait in vain, lend, send, open. If
 * there is nothing to do, the reasons met on the way say why sends wait, and the earliest of their
 * ends is when to ask again.
 */
#include "client/pool.h"

static uvsmtp__step_t step(uvsmtp__step_kind_t kind, uvsmtp__slot_t *slot)
{
  return (uvsmtp__step_t){.kind = kind, .slot = slot};
}

static uvsmtp__step_t no_step(void)
{
  return step(UVSMTP__STEP_NONE, NULL);
}

/* Notes that something has to wait, until a time if that is known; the first reason stands. */
static void wait_for(uvsmtp__pool_t *pool, uvsmtp_wait_t why, uint64_t until)
{
  if (pool->why == UVSMTP_WAIT_NONE) {
    pool->why = why;
    pool->why_until_ms = until;
  }
  if (until < pool->due_ms)
    pool->due_ms = until;
}

/* ---- ending ------------------------------------------------------------------------------- */

static uvsmtp__slot_t *any_idle(const uvsmtp__pool_t *pool)
{
  for (size_t i = 0; i < pool->endpoint_count; i++)
    if (!uvsmtp__list_empty(&pool->endpoints[i]->idle))
      return uvsmtp__pool_first(&pool->endpoints[i]->idle);
  return NULL;
}

static uvsmtp__step_t next_of_abort(const uvsmtp__pool_t *pool)
{
  uvsmtp__slot_t *slot = any_idle(pool);
  for (size_t i = 0; i < pool->endpoint_count && slot == NULL; i++)
    slot = uvsmtp__pool_first(&pool->endpoints[i]->busy);
  for (int state = 0; state < UVSMTP__SLOT_CLOSING && slot == NULL; state++)
    if (state != UVSMTP__SLOT_LENT)
      slot = uvsmtp__pool_first(&pool->lists[state]);
  return slot != NULL ? step(UVSMTP__STEP_CLOSE, slot) : no_step();
}

/* What is of no use, and, at the end of draining, what is needed no more. */
static uvsmtp__step_t next_to_end(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting)
{
  uvsmtp__slot_t *slot = uvsmtp__pool_first(&pool->lists[UVSMTP__SLOT_SPENT]);
  if (slot != NULL)
    return step(slot->dead ? UVSMTP__STEP_CLOSE : UVSMTP__STEP_QUIT, slot);
  if (!pool->draining || waiting->sends > 0 || waiting->borrows > 0)
    return no_step();
  slot = any_idle(pool);
  if (slot == NULL)
    slot = uvsmtp__pool_first(&pool->lists[UVSMTP__SLOT_CHECKED]);
  if (slot != NULL)
    return step(UVSMTP__STEP_QUIT, slot);
  slot = uvsmtp__pool_first(&pool->lists[UVSMTP__SLOT_OPENING]);
  return slot != NULL ? step(UVSMTP__STEP_CLOSE, slot) : no_step();
}

/* Nothing serves those who wait, and nothing is going to. */
static bool is_in_vain(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting)
{
  const size_t *counts = pool->counts;
  if (waiting->sends + waiting->borrows == 0 || !pool->endpoints[0]->hopeless ||
      counts[UVSMTP__SLOT_IDLE] + counts[UVSMTP__SLOT_BUSY] + counts[UVSMTP__SLOT_FULL] +
              counts[UVSMTP__SLOT_CHECKED] >
          0)
    return false;
  for (size_t i = 0; i < pool->endpoint_count; i++)
    if (!pool->endpoints[i]->hopeless)
      return false;
  return true;
}

/* ---- sending ------------------------------------------------------------------------------ */

static uint64_t later_of(uint64_t a, uint64_t b)
{
  return a > b ? a : b;
}

/* When the rates let the first send go. */
static uint64_t paced_until(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting,
                            uint64_t now)
{
  return later_of(uvsmtp__bucket_ready(&pool->messages, 1, now),
                  uvsmtp__bucket_ready(&pool->recipients, waiting->recipients, now));
}

/* A slot is asked once a decision; what it gets meanwhile is counted. */
static size_t room_of(const uvsmtp__pool_t *pool, uvsmtp__slot_t *slot)
{
  if (slot->asked != pool->decision) {
    slot->asked = pool->decision;
    slot->room = pool->room(pool->ctx, slot);
  }
  return slot->room;
}

/* A busy connection that takes one more; those that do not are put aside until a send ends. */
static uvsmtp__slot_t *with_room(uvsmtp__pool_t *pool, const uvsmtp__endpoint_t *endpoint)
{
  uvsmtp__slot_t *slot;
  while ((slot = uvsmtp__pool_first(&endpoint->busy)) != NULL) {
    if (room_of(pool, slot) > 0)
      return slot;
    uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_FULL);
  }
  return NULL;
}

/* An idle connection before a busy one; among equal endpoints the one whose turn it is. */
static bool is_better(const uvsmtp__slot_t *slot, const uvsmtp__slot_t *than)
{
  if (than == NULL)
    return true;
  if (slot->state != than->state)
    return slot->state == UVSMTP__SLOT_IDLE;
  return slot->endpoint->share < than->endpoint->share;
}

/* The connection of one endpoint for the next send. An idle one says what it takes, too; its owner
 * sees to it if that is nothing. */
static uvsmtp__slot_t *slot_at(uvsmtp__pool_t *pool, const uvsmtp__endpoint_t *endpoint,
                               bool idle_too)
{
  uvsmtp__slot_t *slot = idle_too ? uvsmtp__pool_first(&endpoint->idle) : NULL;
  if (slot == NULL)
    return with_room(pool, endpoint);
  room_of(pool, slot);
  return slot;
}

/* The connection for the next send, of the best endpoints that have one. */
static uvsmtp__slot_t *ready_slot(uvsmtp__pool_t *pool, bool idle_too, uint64_t now)
{
  uvsmtp__slot_t *best = NULL;
  for (size_t i = 0; i < pool->endpoint_count; i++) {
    uvsmtp__endpoint_t *endpoint = pool->endpoints[i];
    if (best != NULL && endpoint->priority > best->endpoint->priority)
      break;
    if (now < endpoint->rest_until_ms) {
      if (endpoint->live > 0)
        wait_for(pool, UVSMTP_WAIT_SLOWDOWN, endpoint->rest_until_ms);
      continue;
    }
    uvsmtp__slot_t *slot = slot_at(pool, endpoint, idle_too);
    if (slot != NULL && is_better(slot, best))
      best = slot;
  }
  return best;
}

/* ---- opening ------------------------------------------------------------------------------ */

static uvsmtp__step_t open_step(uvsmtp__endpoint_t *endpoint)
{
  return (uvsmtp__step_t){.kind = UVSMTP__STEP_OPEN, .endpoint = endpoint};
}

/* Why one more cannot be opened there. */
static void note_refusal(uvsmtp__pool_t *pool, const uvsmtp__endpoint_t *endpoint, uint64_t now)
{
  if (now < endpoint->retry_at_ms)
    wait_for(pool, now < endpoint->rest_until_ms ? UVSMTP_WAIT_SLOWDOWN : UVSMTP_WAIT_BACKOFF,
             endpoint->retry_at_ms);
  else if (endpoint->count >= endpoint->max_connections || endpoint->count >= endpoint->allowed)
    wait_for(pool, UVSMTP_WAIT_SERVER, UINT64_MAX);
  else
    wait_for(pool, UVSMTP_WAIT_OPENING, UINT64_MAX);
}

/* The endpoint that is to get one more connection: of the best that are not all out of reach, or
 * silent, the one with the fewest for its weight. */
static uvsmtp__endpoint_t *endpoint_to_open(uvsmtp__pool_t *pool, uint64_t now)
{
  uvsmtp__endpoint_t *best = NULL;
  bool all_down = true;
  for (size_t i = 0; i < pool->endpoint_count; i++) {
    uvsmtp__endpoint_t *endpoint = pool->endpoints[i];
    bool next_rank = i > 0 && endpoint->priority > pool->endpoints[i - 1]->priority;
    if (next_rank && (best != NULL || !all_down))
      break;
    all_down =
        all_down && (uvsmtp__endpoint_is_down(endpoint) || uvsmtp__endpoint_is_stalled(endpoint));
    if (!uvsmtp__endpoint_may_open(endpoint, now))
      note_refusal(pool, endpoint, now);
    else if (best == NULL ||
             (uint64_t)endpoint->count * best->weight < (uint64_t)best->count * endpoint->weight)
      best = endpoint;
  }
  return best;
}

static bool may_open(uvsmtp__pool_t *pool, uint64_t now)
{
  if (pool->count >= pool->limits.max_connections) {
    wait_for(pool, UVSMTP_WAIT_CONNECTIONS, UINT64_MAX);
    return false;
  }
  uint64_t at = uvsmtp__bucket_ready(&pool->connections, 1, now);
  if (at > now)
    wait_for(pool, UVSMTP_WAIT_PACING, at);
  return at <= now;
}

static bool any_live(const uvsmtp__pool_t *pool)
{
  const size_t *counts = pool->counts;
  return pool->count >
         counts[UVSMTP__SLOT_OPENING] + counts[UVSMTP__SLOT_SPENT] + counts[UVSMTP__SLOT_CLOSING];
}

/* Worth ending a slow opening for: it has not failed itself, or two slow servers would end one
 * another's openings for ever; and at first one connection feels the way. */
static bool is_worth_a_place(const uvsmtp__endpoint_t *endpoint)
{
  return endpoint != NULL && endpoint->failures == 0 &&
         (endpoint->live > 0 || endpoint->opening == 0);
}

/* At the cap an opening that takes long makes room for another endpoint. */
static void end_stalled(uvsmtp__pool_t *pool, uint64_t now)
{
  bool room_comes = pool->counts[UVSMTP__SLOT_SPENT] + pool->counts[UVSMTP__SLOT_CLOSING] > 0;
  if (pool->stalled == 0 || room_comes || uvsmtp__bucket_ready(&pool->connections, 1, now) > now ||
      !is_worth_a_place(endpoint_to_open(pool, now)))
    return;
  UVSMTP__LIST_EACH (it, &pool->lists[UVSMTP__SLOT_OPENING]) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    if (!slot->stalled)
      continue;
    slot->given_up = true;
    uvsmtp__pool_failed(pool, slot, UVSMTP_ETIMEOUT, now);
    return;
  }
}

/* Where to open one more, if more are wanted than there are or are coming. */
static uvsmtp__endpoint_t *next_to_open(uvsmtp__pool_t *pool, size_t wanted, uint64_t now)
{
  size_t coming = pool->counts[UVSMTP__SLOT_OPENING] - pool->stalled,
         there = pool->counts[UVSMTP__SLOT_IDLE] + pool->counts[UVSMTP__SLOT_CHECKED];
  wanted += pool->draining ? 0 : pool->limits.min_idle;
  if (wanted <= coming + there) {
    if (coming > 0)
      wait_for(pool, UVSMTP_WAIT_OPENING, UINT64_MAX);
    return NULL;
  }
  if (coming > 0 && !any_live(pool))
    wait_for(pool, UVSMTP_WAIT_OPENING, UINT64_MAX);
  if (!may_open(pool, now)) {
    end_stalled(pool, now);
    return NULL;
  }
  return endpoint_to_open(pool, now);
}

/* ---- coming back -------------------------------------------------------------------------- */

/* Takes a connection from those that stand in for `endpoint`, so that it can be tried; but not
 * before it has been of use. */
static void make_room(uvsmtp__pool_t *pool, uvsmtp__endpoint_t *endpoint)
{
  if (endpoint->made_room)
    return;
  for (size_t i = pool->endpoint_count; i-- > 0;) {
    uvsmtp__endpoint_t *other = pool->endpoints[i];
    if (other == endpoint || other->live == 0 || !other->served ||
        other->priority < endpoint->priority)
      continue;
    other->served = other->well = false;
    uvsmtp__pool_retire(pool, other, other->live + other->opening - 1);
    endpoint->made_room = true;
    endpoint->well = false;
    return;
  }
}

/* While others are sent to, one that was out of reach is tried when its time has come. */
static uvsmtp__endpoint_t *next_probe(uvsmtp__pool_t *pool, uint64_t now)
{
  if (pool->endpoint_count == 1 || pool->draining)
    return NULL;
  for (size_t i = 0; i < pool->endpoint_count; i++) {
    uvsmtp__endpoint_t *endpoint = pool->endpoints[i];
    if (!uvsmtp__endpoint_is_down(endpoint) || endpoint->opening > 0 ||
        !uvsmtp__endpoint_may_open(endpoint, now))
      continue;
    if (pool->count < pool->limits.max_connections &&
        uvsmtp__bucket_ready(&pool->connections, 1, now) <= now)
      return endpoint;
    if (pool->count >= pool->limits.max_connections)
      make_room(pool, endpoint);
  }
  return NULL;
}

/* ---- borrowing ---------------------------------------------------------------------------- */

static void reserve_of(uvsmtp__pool_t *pool, const uvsmtp__link_t *list, size_t borrows)
{
  UVSMTP__LIST_EACH (it, list) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    if (pool->reserved >= borrows)
      return;
    if (slot->reserved || slot->dead || slot->retiring)
      continue;
    slot->reserved = true;
    pool->reserved++;
    if (slot->state == UVSMTP__SLOT_BUSY)
      uvsmtp__pool_move(pool, slot, UVSMTP__SLOT_FULL);
  }
}

/* Keeps the next borrowers connections whose sends shall run out. */
static void reserve(uvsmtp__pool_t *pool, size_t borrows)
{
  for (size_t i = 0; i < pool->endpoint_count && pool->reserved < borrows; i++)
    reserve_of(pool, &pool->endpoints[i]->busy, borrows);
  if (pool->reserved < borrows)
    reserve_of(pool, &pool->lists[UVSMTP__SLOT_FULL], borrows);
}

/* ---- all together ------------------------------------------------------------------------- */

/* Do the rates keep the first send back? */
static bool is_held(uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting, uint64_t now)
{
  if (!pool->paced)
    return false;
  uint64_t at = paced_until(pool, waiting, now);
  if (at > now)
    wait_for(pool, UVSMTP_WAIT_PACING, at);
  return at > now;
}

static uvsmtp__step_t send_step(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting,
                                uvsmtp__slot_t *slot)
{
  /* Borrowers and rates are asked about each send, and what was retired to make room goes next. */
  bool one = pool->paced || waiting->borrows > 0 || pool->counts[UVSMTP__SLOT_SPENT] > 0;
  return (uvsmtp__step_t){
      .kind = UVSMTP__STEP_SEND, .slot = slot, .more = one ? 0 : waiting->sends - 1};
}

uvsmtp__slot_t *uvsmtp__pool_look_again(uvsmtp__pool_t *pool, uint64_t now)
{
  return pool->endpoint_count == 1 ? slot_at(pool, pool->endpoints[0], true)
                                   : ready_slot(pool, true, now);
}

/* Others may be tried, or be owed a share, where there are several endpoints: that takes a step. */
size_t uvsmtp__pool_goes_on(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, size_t waiting,
                            uint64_t now)
{
  size_t idle = pool->counts[UVSMTP__SLOT_IDLE] - (slot->state == UVSMTP__SLOT_IDLE);
  size_t most = pool->plain ? UVSMTP__RUN_MAX : 1;
  if (waiting == 0 || pool->endpoint_count > 1 || pool->paced || pool->aborting || idle > 0 ||
      (slot->state != UVSMTP__SLOT_IDLE && slot->state != UVSMTP__SLOT_BUSY) ||
      now < slot->endpoint->rest_until_ms)
    return 0;
  slot->room = pool->room(pool->ctx, slot);
  most = waiting < most ? waiting : most;
  return slot->room < most ? slot->room : most;
}

static uvsmtp__step_t choose(uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting, uint64_t now)
{
  bool borrow = waiting->borrows > 0 && (waiting->borrow_first || waiting->sends == 0);
  bool held = waiting->sends > 0 && is_held(pool, waiting, now);
  uvsmtp__endpoint_t *endpoint;
  uvsmtp__slot_t *slot;
  if (borrow && (slot = any_idle(pool)) != NULL)
    return step(UVSMTP__STEP_LEND, slot);
  if (waiting->sends > 0 && !held) {
    if ((endpoint = next_probe(pool, now)) != NULL)
      return open_step(endpoint);
    if ((slot = ready_slot(pool, !borrow, now)) != NULL)
      return send_step(pool, waiting, slot);
  }
  endpoint = next_to_open(pool, waiting->borrows + (held ? 0 : waiting->sends), now);
  if (endpoint != NULL)
    return open_step(endpoint);
  if (borrow && pool->counts[UVSMTP__SLOT_OPENING] < waiting->borrows)
    reserve(pool, waiting->borrows);
  return no_step();
}

uvsmtp__step_t uvsmtp__pool_next(uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting,
                                 uint64_t now)
{
  pool->decision++;
  pool->why = UVSMTP_WAIT_NONE;
  pool->why_until_ms = pool->due_ms = UINT64_MAX;
  if (pool->aborting)
    return next_of_abort(pool);
  uvsmtp__slot_t *due =
      uvsmtp__lifecycle_due(pool) <= now ? uvsmtp__lifecycle_expire(pool, now) : NULL;
  if (due != NULL)
    return step(UVSMTP__STEP_CHECK, due);
  uvsmtp__step_t next = next_to_end(pool, waiting);
  if (next.kind == UVSMTP__STEP_NONE && is_in_vain(pool, waiting))
    next = step(UVSMTP__STEP_GIVE_UP, NULL);
  if (next.kind == UVSMTP__STEP_NONE)
    next = choose(pool, waiting, now);
  if (next.kind == UVSMTP__STEP_NONE) /* what was retired to make room, or is idle at the end */
    next = next_to_end(pool, waiting);
  uint64_t at = uvsmtp__lifecycle_due(pool);
  pool->due_ms = at < pool->due_ms ? at : pool->due_ms;
  if (waiting->sends + waiting->borrows == 0)
    pool->why = UVSMTP_WAIT_NONE;
  return next;
}
