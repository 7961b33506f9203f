#include "world.h"

static size_t index_of(const world_t *w, const uvsmtp__slot_t *slot)
{
  return (size_t)(slot - w->slots);
}

static size_t room(void *ctx, const uvsmtp__slot_t *slot)
{
  const world_t *w = ctx;
  size_t most = w->room[index_of(w, slot)];
  return slot->in_flight < most ? most - slot->in_flight : 0;
}

void world_start_with(world_t *w, const uvsmtp__pool_limits_t *limits, const char *ranks)
{
  size_t count = strlen(ranks);
  memset(w, 0, sizeof(*w));
  w->now = 1000;
  for (size_t i = 0; i < count; i++) {
    uvsmtp__endpoint_init(&w->endpoints[i], (unsigned)(ranks[i] - '0'), 1, SIZE_MAX);
    w->table[i] = &w->endpoints[i];
  }
  uvsmtp__pool_init(&w->pool, limits, w->table, count, room, w, 12345, w->now);
  for (size_t i = 0; i < SLOTS; i++)
    w->room[i] = 1;
}

void world_start(world_t *w, const uvsmtp__pool_limits_t *limits)
{
  world_start_with(w, limits, "0");
}

uvsmtp__pool_limits_t world_limits(void)
{
  return (uvsmtp__pool_limits_t){.max_connections = 3,
                                 .idle_timeout_ms = 100,
                                 .open_patience_ms = UINT64_MAX,
                                 .max_tries = 3,
                                 .max_connect_tries = 3,
                                 .retry_delay_ms = 1000,
                                 .max_retry_delay_ms = 60000};
}

static uvsmtp__step_t next_step(world_t *w)
{
  uvsmtp__step_t step = {.kind = UVSMTP__STEP_SEND};
  if (w->more > 0 && (step.slot = uvsmtp__pool_again(&w->pool, w->now)) != NULL) {
    w->more--;
    return step;
  }
  step = uvsmtp__pool_next(&w->pool, &w->waiting, w->now);
  w->more = step.kind == UVSMTP__STEP_SEND && !w->one_by_one ? step.more : 0;
  return step;
}

/* What is well can get no better by what is delivered. */
static void look_at_endpoints(const world_t *w)
{
  for (size_t i = 0; i < w->pool.endpoint_count; i++) {
    const uvsmtp__endpoint_t *e = w->table[i];
    assert_true(!e->well || (e->failures == 0 && e->allowed == SIZE_MAX && !e->hopeless &&
                             !e->made_room && e->served));
  }
}

char world_step(world_t *w, size_t *slot)
{
  uvsmtp__step_t step = next_step(w);
  size_t i = 0;
  look_at_endpoints(w);
  if (step.kind == UVSMTP__STEP_NONE)
    return '-';
  if (step.kind == UVSMTP__STEP_OPEN) {
    while (w->used[i])
      i++;
    w->used[i] = true;
    uvsmtp__pool_add(&w->pool, &w->slots[i], step.endpoint, w->now);
    *slot = i;
    return 'o';
  }
  if (step.kind == UVSMTP__STEP_GIVE_UP) {
    w->waiting.sends = w->waiting.borrows = 0;
    uvsmtp__pool_gave_up(&w->pool, w->now);
    return 'g';
  }
  *slot = index_of(w, step.slot);
  switch (step.kind) {
  case UVSMTP__STEP_SEND:
    assert_true(w->waiting.sends > 0);
    w->waiting.sends--;
    uvsmtp__pool_sent(&w->pool, step.slot, 1, w->waiting.recipients, w->waiting.bytes, w->now);
    return 's';
  case UVSMTP__STEP_LEND:
    assert_true(w->waiting.borrows > 0);
    w->waiting.borrows--;
    uvsmtp__pool_lent(&w->pool, step.slot);
    return 'l';
  case UVSMTP__STEP_CHECK:
    uvsmtp__pool_checking(&w->pool, step.slot);
    return 'n';
  default:
    uvsmtp__pool_closing(&w->pool, step.slot);
    return step.kind == UVSMTP__STEP_QUIT ? 'q' : 'c';
  }
}

size_t world_go_on(world_t *w, size_t slot)
{
  uvsmtp__slot_t *s = &w->slots[slot];
  size_t n, all = 0;
  while (w->waiting.borrows == 0 &&
         (n = uvsmtp__pool_goes_on(&w->pool, s, w->waiting.sends, w->now)) > 0) {
    w->waiting.sends -= n;
    uvsmtp__pool_sent(&w->pool, s, n, w->waiting.recipients, w->waiting.bytes, w->now);
    all += n;
  }
  return all;
}

static void gone(world_t *w, size_t i)
{
  uvsmtp__pool_gone(&w->pool, &w->slots[i]);
  w->used[i] = false;
}

/* All steps as text: "o0 o1 s0". */
static void run(world_t *w, char *out)
{
  size_t slot = 0, len = 0;
  char kind;
  out[0] = '\0';
  while ((kind = world_step(w, &slot)) != '-') {
    if (len > 0)
      out[len++] = ' ';
    out[len++] = kind;
    assert_true(slot < 10);
    if (kind != 'g')
      out[len++] = (char)('0' + slot);
    if (kind == 'o' && w->pool.endpoint_count > 1)
      out[len++] = (char)('a' + (w->slots[slot].endpoint - w->endpoints));
    out[len] = '\0';
    assert_true(len < 200);
    assert_true(w->pool.count <= w->pool.limits.max_connections);
  }
}

void world_happen(world_t *w, char kind, unsigned n)
{
  uvsmtp__slot_t *slot = n < SLOTS ? &w->slots[n] : NULL;
  w->more = 0;
  switch (kind) {
  case '+':
    w->waiting.sends += n;
    break;
  case 'b':
  case 'B':
    w->waiting.borrows += n;
    w->waiting.borrow_first = kind == 'b';
    break;
  case 'O':
    uvsmtp__pool_opened(&w->pool, slot, w->now);
    break;
  case 'F':
    uvsmtp__pool_failed(&w->pool, slot, UVSMTP_ECONNECT, w->now);
    break;
  case 'X':
    uvsmtp__pool_failed(&w->pool, slot, UVSMTP_ETLSCERT, w->now);
    break;
  case 'D':
  case 'K':
  case 'S':
  case 'M':
    uvsmtp__pool_done(&w->pool, slot,
                      kind == 'K'   ? UVSMTP__ENDING_DEAD
                      : kind == 'S' ? UVSMTP__ENDING_SLOW
                      : kind == 'M' ? UVSMTP__ENDING_REFUSED
                                    : UVSMTP__ENDING_FINE,
                      w->now);
    break;
  case 'N':
    uvsmtp__pool_checked(&w->pool, slot, true, w->now);
    break;
  case 'L':
    uvsmtp__pool_lost(&w->pool, slot, w->now);
    break;
  case 'G':
  case 'U':
    uvsmtp__pool_given_back(&w->pool, slot, kind == 'G', w->now);
    break;
  case 'E':
    gone(w, n);
    break;
  case 'T':
    w->now += n;
    break;
  case 'I':
    uvsmtp__pool_renew(&w->pool, &w->endpoints[n]);
    break;
  case 'R':
    w->pool.draining = true;
    break;
  default:
    fail_msg("no such event: %c", kind);
  }
}

void world_play(world_t *w, const row_t *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    char got[256];
    for (const char *at = rows[i].events; *at != '\0';) {
      char *end;
      char kind = *at++;
      unsigned n = (unsigned)strtoul(at, &end, 10);
      world_happen(w, kind, n);
      at = end;
      while (*at == ' ')
        at++;
    }
    run(w, got);
    if (strcmp(got, rows[i].steps) != 0)
      fail_msg("row %zu (%s): \"%s\" instead of \"%s\"", i, rows[i].events, got, rows[i].steps);
  }
}
