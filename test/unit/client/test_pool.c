#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <uv.h>

#include "client/pool.h"

/*
 * The policy against a world of numbers: slots in an array, room in an array, the time in a
 * variable. Most tests are tables of what happens and of what is to be done then.
 */
#define SLOTS 64

typedef struct world_s {
  uvsmtp__pool_t pool;
  uvsmtp__slot_t slots[SLOTS];
  size_t room[SLOTS]; /* sends that it takes at a time */
  bool used[SLOTS];
  uvsmtp__waiting_t waiting;
  uint64_t now;
} world_t;

static size_t index_of(const world_t *w, const uvsmtp__slot_t *slot)
{
  return (size_t)(slot - w->slots);
}

static bool takes(void *ctx, const uvsmtp__slot_t *slot)
{
  world_t *w = ctx;
  return slot->in_flight < w->room[index_of(w, slot)];
}

static void start(world_t *w, const uvsmtp__pool_limits_t *limits)
{
  memset(w, 0, sizeof(*w));
  uvsmtp__pool_init(&w->pool, limits, takes, w, 12345);
  w->now = 1000;
  for (size_t i = 0; i < SLOTS; i++)
    w->room[i] = 1;
}

static uvsmtp__pool_limits_t usual(void)
{
  return (uvsmtp__pool_limits_t){
      .max_connections = 3, .idle_timeout_ms = 100, .max_tries = 3, .retry_delay_ms = 1000};
}

/* Does the next step and says it: 'o'pen, 's'end, 'l'end, 'q'uit, 'c'lose, '-'; and the slot. */
static char do_step(world_t *w, size_t *slot)
{
  uvsmtp__step_t step = uvsmtp__pool_next(&w->pool, &w->waiting, w->now);
  size_t i = 0;
  if (step.kind == UVSMTP__STEP_NONE)
    return '-';
  if (step.kind == UVSMTP__STEP_OPEN) {
    while (w->used[i])
      i++;
    w->used[i] = true;
    uvsmtp__pool_add(&w->pool, &w->slots[i]);
    *slot = i;
    return 'o';
  }
  *slot = index_of(w, step.slot);
  switch (step.kind) {
  case UVSMTP__STEP_SEND:
    assert_true(w->waiting.sends > 0);
    w->waiting.sends--;
    uvsmtp__pool_sent(&w->pool, step.slot, w->now);
    return 's';
  case UVSMTP__STEP_LEND:
    assert_true(w->waiting.borrows > 0);
    w->waiting.borrows--;
    uvsmtp__pool_lent(&w->pool, step.slot);
    return 'l';
  default:
    uvsmtp__pool_closing(&w->pool, step.slot);
    return step.kind == UVSMTP__STEP_QUIT ? 'q' : 'c';
  }
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
  while ((kind = do_step(w, &slot)) != '-') {
    if (len > 0)
      out[len++] = ' ';
    out[len++] = kind;
    assert_true(slot < 10);
    out[len++] = (char)('0' + slot);
    out[len] = '\0';
    assert_true(len < 200);
    assert_true(w->pool.count <= w->pool.limits.max_connections);
  }
}

/*
 * A row is what happens, then the steps that must follow. Events: "+N" N sends come, "bN" N
 * borrowers come first, "BN" behind the sends, "ON" slot N has opened, "FN" failed to (network),
 * "XN" (certificate), "DN" a send on it is done, "KN" done with the connection dead, "LN" lost,
 * "GN" given back, "UN" given back unusable, "EN" closed, "TN" N ms later, "R" retire all: drain,
 * "N" others log in: renew.
 */
typedef struct row_s {
  const char *events, *steps;
} row_t;

static bool give_up;

static void happen(world_t *w, char kind, unsigned n)
{
  uvsmtp__slot_t *slot = n < SLOTS ? &w->slots[n] : NULL;
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
    give_up = uvsmtp__pool_failed(&w->pool, slot, UVSMTP_ECONNECT, w->now);
    break;
  case 'X':
    give_up = uvsmtp__pool_failed(&w->pool, slot, UVSMTP_ETLSCERT, w->now);
    break;
  case 'D':
  case 'K':
    uvsmtp__pool_done(&w->pool, slot, kind == 'K', w->now);
    break;
  case 'L':
    uvsmtp__pool_lost(&w->pool, slot);
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
  case 'R':
    w->pool.draining = true;
    break;
  case 'N':
    uvsmtp__pool_renew(&w->pool);
    break;
  default:
    fail_msg("no such event: %c", kind);
  }
}

static void play(world_t *w, const row_t *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    char got[256];
    for (const char *at = rows[i].events; *at != '\0';) {
      char *end;
      char kind = *at++;
      unsigned n = (unsigned)strtoul(at, &end, 10);
      happen(w, kind, n);
      at = end;
      while (*at == ' ')
        at++;
    }
    run(w, got);
    if (strcmp(got, rows[i].steps) != 0)
      fail_msg("row %zu (%s): \"%s\" instead of \"%s\"", i, rows[i].events, got, rows[i].steps);
  }
}

#define PLAY(w, rows) play(w, rows, sizeof(rows) / sizeof((rows)[0]))

static void connections_are_opened_as_the_queue_grows_and_never_beyond_the_cap(void **state)
{
  static const row_t rows[] = {
      {"", ""},           {"+1", "o0"}, {"+1", "o1"},       {"+4", "o2"},     {"O1", "s1"},
      {"O0 O2", "s2 s0"}, {"D1", "s1"}, {"D0 D1", "s1 s0"}, {"D2 D0 D1", ""}, {"+1", "s1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
}

static void closing_connections_count_against_the_cap(void **state)
{
  static const row_t rows[] = {
      {"+2", "o0"}, {"O0", "s0"}, {"K0", "c0"}, {"T5000", ""}, {"E0", "o0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  limits.max_connections = 1;
  start(&w, &limits);
  PLAY(&w, rows);
}

static void sends_go_round_the_busy_ones_that_take_more_before_another_is_opened(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"}, {"O0 O1", "s1 s0"}, {"+3", "s1 s0 s1"},
                               {"+2", "s0 o2"}, {"D1", "s1"},       {"D1 D0", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  w.room[0] = w.room[1] = 3;
  PLAY(&w, rows);
}

static void the_idle_one_used_last_is_used_next_and_the_others_time_out(void **state)
{
  static const row_t rows[] = {{"+3", "o0 o1 o2"}, {"O0 O1 O2", "s2 s1 s0"}, {"D0 D1 D2", ""},
                               {"T60 +1", "s2"},   {"D2 T50", "q1 q0"},      {"E0 E1 T49", ""},
                               {"T1", "q2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
}

static void after_renewal_nothing_old_is_used_and_nothing_new_is_held_back(void **state)
{
  static const row_t rows[] = {
      {"+1", "o0"},    {"O0", "s0"}, {"D0", ""},         /* idle: goes */
      {"N", "q0"},     {"+1", "o1"}, {"O1", "s1"},       /* busy: finishes, then goes */
      {"+1 N", "o2"},  {"D1", "q1"},                     /* opening: is given up */
      {"N", "c2"},     {"E0", "o0"}, {"E1 E2 O0", "s0"}, /* lent: goes when it is back */
      {"D0 b1", "l0"}, {"N", ""},    {"G0", "q0"},       /* failures: are forgotten */
      {"E0 +1", "o0"}, {"F0", "c0"}, {"E0", ""},         {"N", "o0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
}

static void credentials_that_nobody_has_accepted_are_tried_by_one_connection(void **state)
{
  static const row_t rows[] = {{"+5", "o0"}, {"", ""}, {"O0", "s0 o1 o2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  w.pool.unproven = true;
  PLAY(&w, rows);
}

static void a_connection_retires_after_its_messages_and_its_age(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"},    {"D0", ""},        {"+2", "s0 o1"},
                               {"D0", "q0"}, {"O1", "s1"},    {"T500 D1", "q1"}, {"E0 E1 +1", "o0"},
                               {"O0", "s0"}, {"T499 D0", ""}, {"T1", "q0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  limits.max_messages = 2;
  limits.max_age_ms = 500;
  limits.idle_timeout_ms = UINT64_MAX;
  start(&w, &limits);
  w.room[0] = 5;
  PLAY(&w, rows);
  assert_true(uvsmtp__pool_due(&w.pool, &w.waiting) == UINT64_MAX);
}

static void a_lost_connection_meets_no_message_any_more(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"},    {"D0", ""},   {"L0 +1", "c0 o1"},
                               {"O1", "s1"}, {"L1 +1", "o2"}, {"D1", "c1"}, {"O2", "s2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  w.room[1] = 5;
  PLAY(&w, rows);
}

static void borrowers_and_sends_are_served_in_their_order(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"}, {"b1", ""},   {"+2", ""},
                               {"D0", "l0"}, {"T200", ""}, {"G0", "s0"}, {"B1 D0", "s0"},
                               {"D0", "l0"}, {"U0", "c0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  limits.max_connections = 1;
  start(&w, &limits);
  PLAY(&w, rows);
}

static void a_waiting_borrower_reserves_one_connection_and_the_others_go_on(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"},    {"O0 O1", "s1 s0"}, {"b1", ""},
                               {"+3", "s0 s0 s0"}, {"D1", "l1"},       {"G1 +1", "s1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  limits.max_connections = 2;
  start(&w, &limits);
  w.room[0] = w.room[1] = 5;
  PLAY(&w, rows);
}

static void after_failed_connects_it_stands_back_longer_each_time_and_then_gives_up(void **state)
{
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  uint64_t longest = limits.retry_delay_ms;
  limits.max_tries = 8;
  start(&w, &limits);
  w.waiting.sends = 4;
  static const row_t all[] = {{"", "o0 o1 o2"}};
  PLAY(&w, all);
  for (unsigned round = 1; round <= 8; round++, longest *= 2) {
    if (longest > 60000)
      longest = 60000;
    give_up = false;
    happen(&w, 'F', 0);
    assert_int_equal(w.pool.failures, round < 8 ? round : 0);
    assert_int_equal(give_up, round == 8);
    if (round == 1) { /* they failed together, and count once */
      happen(&w, 'F', 1);
      happen(&w, 'F', 2);
      assert_int_equal(w.pool.failures, 1);
      static const row_t three[] = {{"", "c0 c1 c2"}, {"E0 E1 E2", ""}};
      PLAY(&w, three);
    } else {
      static const row_t one[] = {{"", "c0"}, {"E0", ""}};
      PLAY(&w, one);
    }
    uint64_t due = uvsmtp__pool_due(&w.pool, &w.waiting);
    uint64_t bound = round < 8 ? longest : limits.retry_delay_ms;
    assert_in_range(due, w.now + bound / 2, w.now + bound);
    w.now = due - 1;
    static const row_t not_yet[] = {{"", ""}};
    PLAY(&w, not_yet);
    w.now = due;
    static const row_t probe[] = {{"", "o0"}}; /* one, to feel the way */
    static const row_t anew[] = {{"", "o0 o1 o2"}};
    if (round < 8)
      PLAY(&w, probe);
    else
      PLAY(&w, anew);
  }
}

static void success_ends_the_standing_back(void **state)
{
  static const row_t rows[] = {
      {"+3", "o0 o1 o2"}, {"F0", "c0"}, {"O1", "s1"}, {"E0", "o0"}, {"O2 O0", "s0 s2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
  assert_int_equal(w.pool.failures, 0);
}

static void a_final_error_tells_those_who_wait_at_once_unless_somebody_serves_them(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"}, {"X0", "c0"}};
  static const row_t served[] = {{"+2", "o0 o1"}, {"O1", "s1"}, {"X0", "c0"}};
  static const struct {
    int err;
    bool final;
  } errors[] = {{UVSMTP_ETLSCERT, true},    {UVSMTP_EAUTH, true},
                {UVSMTP_EPROTOCOL, true},   {UVSMTP_EPERMANENT, true},
                {UVSMTP_ETLSCONFIG, true},  {UVSMTP_EAUTHTEMPORARY, false},
                {UVSMTP_ETEMPORARY, false}, {UVSMTP_ECONNECT, false},
                {UVSMTP_ETIMEOUT, false},   {UVSMTP_ENOMEM, false}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
  assert_true(give_up);
  start(&w, &limits);
  PLAY(&w, served);
  assert_false(give_up);
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    size_t slot;
    start(&w, &limits);
    w.waiting.sends = 1;
    assert_int_equal(do_step(&w, &slot), 'o');
    bool told = uvsmtp__pool_failed(&w.pool, &w.slots[0], errors[i].err, w.now);
    if (told != errors[i].final)
      fail_msg("%s", uvsmtp_err_name(errors[i].err));
  }
}

static void a_server_that_ends_sessions_before_it_took_anything_is_left_alone_a_while(void **state)
{
  static const row_t barren[] = {{"+1", "o0"}, {"O0", "s0"}, {"K0 +1", "c0"},
                                 {"E0", ""},   {"T499", ""}, {"T501", "o0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, barren);
}

static void draining_serves_those_who_wait_and_then_says_quit(void **state)
{
  static const row_t rows[] = {{"+4", "o0 o1 o2"}, {"O0 R0", "s0"},       {"O1", "s1"},
                               {"D0", "s0"},       {"D0 D1", "s1 q0 c2"}, {"D1", "q1"},
                               {"E0 E1 E2", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
  assert_int_equal(w.pool.count, 0);
}

static void aborting_closes_everything_but_what_is_lent(void **state)
{
  static const row_t rows[] = {{"b1", "o0"}, {"O0", "l0"}, {"+2", "o1 o2"}, {"O1", "s1"}};
  static const row_t after[] = {{"", "c2 c1"}, {"K1 E1 E2", ""}, {"G0", "c0"}, {"E0", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  PLAY(&w, rows);
  w.pool.aborting = true;
  PLAY(&w, after);
  assert_int_equal(w.pool.count, 0);
}

static void only_what_cannot_have_been_delivered_is_tried_again(void **state)
{
  static const struct {
    const char *what;
    uvsmtp__attempt_t attempt;
    bool retry, dead;
  } rows[] = {
      {"cut before it was sent", {UVSMTP_ECONNLOST, 0, 1, true, true, false}, true, true},
      {"a reset", {UV_ECONNRESET, 0, 1, true, true, false}, true, true},
      {"421", {UVSMTP_ETEMPORARY, 421, 2, true, true, false}, true, true},
      {"the connection was closing", {UVSMTP_ECLOSING, 0, 1, true, true, false}, true, true},
      {"another was cancelled", {UVSMTP_ECANCELED, 0, 1, true, true, false}, true, true},
      {"the last try", {UVSMTP_ECONNLOST, 0, 3, true, true, false}, false, true},
      {"unknown", {UVSMTP_ECONNLOST, 0, 1, false, false, false}, false, true},
      {"one recipient decided", {UVSMTP_ECONNLOST, 0, 1, false, true, false}, false, true},
      {"not safe", {UVSMTP_ETIMEOUT, 0, 1, true, false, false}, false, true},
      {"cancelled", {UVSMTP_ECONNLOST, 0, 1, true, true, true}, false, true},
      {"greylisted", {UVSMTP_ETEMPORARY, 451, 1, true, true, false}, false, false},
      {"refused", {UVSMTP_EPERMANENT, 550, 1, false, true, false}, false, false},
      {"not an address", {UVSMTP_EADDRESS, 0, 1, true, true, false}, false, false},
      {"accepted", {0, 250, 1, false, false, false}, false, false}};
  world_t w;
  uvsmtp__pool_limits_t limits = usual();
  start(&w, &limits);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    if (uvsmtp__pool_may_retry(&w.pool, &rows[i].attempt) != rows[i].retry ||
        uvsmtp__pool_is_dead(&rows[i].attempt) != rows[i].dead)
      fail_msg("%s", rows[i].what);
  }
  w.pool.aborting = true;
  assert_false(uvsmtp__pool_may_retry(&w.pool, &rows[0].attempt));
}

/* A long random life: the cap holds, nobody is forgotten, and all comes to an end. */
static void a_random_life_keeps_the_cap_and_serves_everybody(void **state)
{
  uvsmtp__pool_limits_t limits = usual();
  limits.max_connections = 5;
  limits.max_messages = 7;
  limits.max_age_ms = 5000;
  for (unsigned seed = 1; seed <= 50; seed++) {
    world_t w;
    uint64_t came = 0, done = 0;
    size_t slot;
    srand(seed);
    start(&w, &limits);
    for (size_t i = 0; i < SLOTS; i++)
      w.room[i] = 1 + i % 4;
    for (int turn = 0; turn < 4000; turn++) {
      if (turn < 3000 && rand() % 3 == 0) {
        w.waiting.sends++;
        came++;
      }
      if (turn == 3000)
        w.pool.draining = true;
      while (do_step(&w, &slot) != '-')
        assert_true(w.pool.count <= limits.max_connections);
      size_t i = (size_t)rand() % limits.max_connections;
      uvsmtp__slot_t *s = &w.slots[i];
      w.now += (uint64_t)rand() % 40;
      if (!w.used[i])
        continue;
      bool fails = turn < 3000 && rand() % 10 == 0;
      if (s->state == UVSMTP__SLOT_OPENING && fails)
        uvsmtp__pool_failed(&w.pool, s, UVSMTP_ECONNECT, w.now);
      else if (s->state == UVSMTP__SLOT_OPENING)
        uvsmtp__pool_opened(&w.pool, s, w.now);
      else if (s->state == UVSMTP__SLOT_CLOSING && s->in_flight == 0)
        gone(&w, i);
      else if (s->state == UVSMTP__SLOT_IDLE && fails)
        uvsmtp__pool_lost(&w.pool, s);
      else if (s->in_flight > 0) {
        uvsmtp__pool_done(&w.pool, s, fails, w.now);
        w.waiting.sends += fails;
        done += !fails;
      }
    }
    if (came != done || w.pool.count != 0)
      fail_msg("seed %u: %d came, %d done, %d connections left", seed, (int)came, (int)done,
               (int)w.pool.count);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections_are_opened_as_the_queue_grows_and_never_beyond_the_cap),
      cmocka_unit_test(closing_connections_count_against_the_cap),
      cmocka_unit_test(sends_go_round_the_busy_ones_that_take_more_before_another_is_opened),
      cmocka_unit_test(the_idle_one_used_last_is_used_next_and_the_others_time_out),
      cmocka_unit_test(after_renewal_nothing_old_is_used_and_nothing_new_is_held_back),
      cmocka_unit_test(credentials_that_nobody_has_accepted_are_tried_by_one_connection),
      cmocka_unit_test(a_connection_retires_after_its_messages_and_its_age),
      cmocka_unit_test(a_lost_connection_meets_no_message_any_more),
      cmocka_unit_test(borrowers_and_sends_are_served_in_their_order),
      cmocka_unit_test(a_waiting_borrower_reserves_one_connection_and_the_others_go_on),
      cmocka_unit_test(after_failed_connects_it_stands_back_longer_each_time_and_then_gives_up),
      cmocka_unit_test(success_ends_the_standing_back),
      cmocka_unit_test(a_final_error_tells_those_who_wait_at_once_unless_somebody_serves_them),
      cmocka_unit_test(a_server_that_ends_sessions_before_it_took_anything_is_left_alone_a_while),
      cmocka_unit_test(draining_serves_those_who_wait_and_then_says_quit),
      cmocka_unit_test(aborting_closes_everything_but_what_is_lent),
      cmocka_unit_test(only_what_cannot_have_been_delivered_is_tried_again),
      cmocka_unit_test(a_random_life_keeps_the_cap_and_serves_everybody)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
