#include <limits.h>

#include "world.h"

/* Who gets which connection, when one is opened, when it ends: with one endpoint. */

static void connections_are_opened_as_the_queue_grows_and_never_beyond_the_cap(void **state)
{
  static const row_t rows[] = {
      {"", ""},           {"+1", "o0"}, {"+1", "o1"},       {"+4", "o2"},     {"O1", "s1"},
      {"O0 O2", "s2 s0"}, {"D1", "s1"}, {"D0 D1", "s1 s0"}, {"D2 D0 D1", ""}, {"+1", "s1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void closing_connections_count_against_the_cap(void **state)
{
  static const row_t rows[] = {
      {"+2", "o0"}, {"O0", "s0"}, {"K0", "c0"}, {"T5000", ""}, {"E0", "o0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 1;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void sends_go_round_the_busy_ones_that_take_more_before_another_is_opened(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"}, {"O0 O1", "s1 s0"}, {"+3", "s1 s0 s1"},
                               {"+2", "s0 o2"}, {"D1", "s1"},       {"D1 D0", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  w.room[0] = w.room[1] = 3;
  PLAY(&w, rows);
}

static void one_whose_sends_have_ended_goes_on_unless_another_is_idle(void **state)
{
  static const row_t both_busy[] = {{"+2", "o0 o1"}, {"O0 O1", "s1 s0"}, {"+4", "s1 s0 s1 s0"}},
                     more[] = {{"", "s1 s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 2;
  world_start(&w, &limits);
  w.room[0] = w.room[1] = 3;
  PLAY(&w, both_busy);
  assert_int_equal(world_go_on(&w, 0), 0); /* nothing has ended, nothing waits */
  world_happen(&w, '+', 5);
  assert_int_equal(world_go_on(&w, 0), 0); /* it is full */
  world_happen(&w, 'D', 0);
  world_happen(&w, 'D', 0);
  world_happen(&w, 'D', 1);
  assert_int_equal(world_go_on(&w, 0), 2); /* all that fits, though the other takes one, too */
  world_happen(&w, 'D', 1);
  world_happen(&w, 'D', 1);
  world_happen(&w, 'D', 0);
  w.waiting.sends = 2;
  assert_int_equal(world_go_on(&w, 0), 0); /* the other is idle */
  PLAY(&w, more);
}

static void one_that_takes_no_more_or_rests_does_not_go_on(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 1;
  limits.max_messages = 4;
  world_start(&w, &limits);
  w.room[0] = 3;
  PLAY(&w, rows);
  world_happen(&w, 'D', 0);
  world_happen(&w, '+', 9);
  assert_int_equal(world_go_on(&w, 0), 3);
  world_happen(&w, 'D', 0);
  assert_int_equal(world_go_on(&w, 0), 0); /* it has had its messages */
  limits.max_messages = 0;
  world_start(&w, &limits);
  w.room[0] = 3;
  PLAY(&w, rows);
  world_happen(&w, '+', 9);
  world_happen(&w, 'S', 0);
  assert_int_equal(world_go_on(&w, 0), 0); /* the server wants to be left alone */
}

static void the_idle_one_used_last_is_used_next_and_the_others_time_out(void **state)
{
  static const row_t rows[] = {{"+3", "o0 o1 o2"}, {"O0 O1 O2", "s2 s1 s0"}, {"D0 D1 D2", ""},
                               {"T60 +1", "s2"},   {"D2 T50", "q0 q1"},      {"E0 E1 T49", ""},
                               {"T1", "q2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void a_connection_retires_after_its_messages_and_its_age(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"},    {"D0", ""},        {"+2", "s0 o1"},
                               {"D0", "q0"}, {"O1", "s1"},    {"T500 D1", "q1"}, {"E0 E1 +1", "o0"},
                               {"O0", "s0"}, {"T449 D0", ""}, {"T51", "q0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_messages = 2;
  limits.max_age_ms = 500;
  limits.idle_timeout_ms = UINT64_MAX;
  world_start(&w, &limits);
  w.room[0] = 5;
  PLAY(&w, rows);
  assert_true(w.pool.due_ms == UINT64_MAX);
}

static void those_opened_together_become_old_one_by_one_within_a_tenth_of_the_age(void **state)
{
  static const struct {
    uint64_t age_ms, least;
  } rows[] = {
      {0, UINT64_MAX}, {5, 5}, {1000, 900}, {3600000, 3240000}, {UINT64_MAX, UINT64_MAX / 10 * 9}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    world_t w;
    uint64_t first = UINT64_MAX, last = 0;
    uvsmtp__pool_limits_t limits = world_limits();
    limits.max_age_ms = rows[i].age_ms;
    limits.max_connections = SLOTS;
    world_start(&w, &limits);
    for (unsigned n = 0; n < SLOTS; n++) {
      uvsmtp__pool_add(&w.pool, &w.slots[n], &w.endpoints[0], w.now);
      uvsmtp__pool_opened(&w.pool, &w.slots[n], w.now);
      first = w.slots[n].old_ms < first ? w.slots[n].old_ms : first;
      last = w.slots[n].old_ms > last ? w.slots[n].old_ms : last;
    }
    if (rows[i].age_ms == 0) {
      assert_true(first == UINT64_MAX);
      continue;
    }
    assert_true(first - w.now >= rows[i].least);
    assert_true(last <= uvsmtp__later(w.now, rows[i].age_ms));
    if (rows[i].age_ms >= 1000)
      assert_true(last - first > (rows[i].age_ms - rows[i].least) / 2);
  }
}

/* Two that went to nobody, whatever lies between them; what is under way is finished. */
static void a_connection_on_which_much_was_refused_is_followed_by_another(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"}, {"M0 +1", "s0"}, {"D0 +2", "s0 o1"},
                               {"O1", "s1"}, {"M0", "q0"}, {"+1", "o2"},    {"D1", "s1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_refused = 2;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void a_connection_retires_after_its_bytes(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"}, {"D0", ""},  {"+1", "s0"},
                               {"D0", ""},   {"+1", "s0"}, {"D0", "q0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_bytes = 1000;
  world_start(&w, &limits);
  w.waiting.bytes = 400;
  PLAY(&w, rows);
}

static void the_idle_minimum_is_opened_at_once_kept_and_made_up_for(void **state)
{
  static const row_t rows[] = {{"", "o0 o1"}, {"O0 O1", ""}, {"T5000", ""},  {"+1", "s1 o2"},
                               {"O2", ""},    {"D1", ""},    {"T100", "q0"}, {"E0 L1", "c1 o0"},
                               {"E1 O0", ""}, {"T100", ""},  {"R0", "q0 q2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.min_idle = 2;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void
a_minimum_that_the_server_ends_again_and_again_is_opened_more_and_more_seldom(void **state)
{
  world_t w;
  uint64_t last = 0;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.min_idle = 1;
  world_start(&w, &limits);
  for (int i = 0; i < 5; i++) {
    static const row_t rows[] = {{"", "o0"}, {"O0", ""}, {"L0", "c0"}, {"E0", ""}};
    PLAY(&w, rows);
    assert_true(w.pool.due_ms - w.now > last);
    last = (w.pool.due_ms - w.now) * 2 / 3;
    w.now = w.pool.due_ms;
  }
}

static void noop_is_said_on_what_is_idle_for_long_and_is_no_use_of_it(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"},  {"O0 O1", "s1 s0"}, {"D0 D1", ""},
                               {"T30", "n0 n1"}, {"N0 +1", "s0"},    {"N1 D0", ""},
                               {"T29", ""},      {"T1", "n0 n1"},    {"L0 N1", "c0"},
                               {"T30", "n1"},    {"N1 T10", "q1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.keepalive_ms = 30;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void a_parked_connection_found_dead_costs_no_try_and_another_does(void **state)
{
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"}, {"D0 +2", "s0 s0"}};
  world_start(&w, &limits);
  w.room[0] = 2;
  PLAY(&w, rows);
  /* Parked, and the server has not said a word since: both sends met a dead connection. */
  assert_true(uvsmtp__pool_done(&w.pool, &w.slots[0], UVSMTP__ENDING_DEAD, w.now));
  assert_true(uvsmtp__pool_done(&w.pool, &w.slots[0], UVSMTP__ENDING_DEAD, w.now));
  assert_int_equal(w.endpoints[0].failures, 0);
  world_start(&w, &limits);
  w.room[0] = 3;
  PLAY(&w, rows);
  static const row_t third[] = {{"+1", "s0"}};
  PLAY(&w, third);
  assert_false(uvsmtp__pool_done(&w.pool, &w.slots[0], UVSMTP__ENDING_FINE, w.now));
  /* Not parked any more: the oldest has had its try, the one behind it has not. */
  assert_false(uvsmtp__pool_done(&w.pool, &w.slots[0], UVSMTP__ENDING_DEAD, w.now));
  assert_true(uvsmtp__pool_done(&w.pool, &w.slots[0], UVSMTP__ENDING_DEAD, w.now));
  /* A new one is no parked one. */
  static const row_t fresh[] = {{"+1", "o0"}, {"O0", "s0"}};
  world_start(&w, &limits);
  PLAY(&w, fresh);
  assert_false(uvsmtp__pool_done(&w.pool, &w.slots[0], UVSMTP__ENDING_DEAD, w.now));
  assert_int_equal(w.endpoints[0].failures, 1);
}

static void after_renewal_nothing_old_is_used_and_nothing_new_is_held_back(void **state)
{
  static const row_t rows[] = {
      {"+1", "o0"},    {"O0", "s0"}, {"D0", ""},         /* idle: goes */
      {"I0", "q0"},    {"+1", "o1"}, {"O1", "s1"},       /* busy: finishes, then goes */
      {"+1 I0", "o2"}, {"D1", "q1"},                     /* opening: is given up */
      {"I0", "c2"},    {"E0", "o0"}, {"E1 E2 O0", "s0"}, /* lent: goes when it is back */
      {"D0 b1", "l0"}, {"I0", ""},   {"G0", "q0"},       /* failures: are forgotten */
      {"E0 +1", "o0"}, {"F0", "c0"}, {"E0", ""},         {"I0", "o0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void credentials_that_nobody_has_accepted_are_tried_by_one_connection(void **state)
{
  static const row_t rows[] = {{"+5", "o0"}, {"", ""}, {"O0", "s0 o1 o2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  w.endpoints[0].untried = true;
  PLAY(&w, rows);
}

static void a_lost_connection_meets_no_message_any_more(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"},    {"D0", ""},   {"L0 +1", "c0 o1"},
                               {"O1", "s1"}, {"L1 +1", "o2"}, {"D1", "c1"}, {"O2", "s2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  w.room[1] = 5;
  PLAY(&w, rows);
}

static void borrowers_and_sends_are_served_in_their_order(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"O0", "s0"}, {"b1", ""},   {"+2", ""},
                               {"D0", "l0"}, {"T200", ""}, {"G0", "s0"}, {"B1 D0", "s0"},
                               {"D0", "l0"}, {"U0", "c0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 1;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void a_waiting_borrower_reserves_one_connection_and_the_others_go_on(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"},    {"O0 O1", "s1 s0"}, {"b1", ""},
                               {"+3", "s0 s0 s0"}, {"D1", "l1"},       {"G1 +1", "s1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 2;
  world_start(&w, &limits);
  w.room[0] = w.room[1] = 5;
  PLAY(&w, rows);
}

static void after_failed_connects_it_stands_back_longer_each_time_and_then_gives_up(void **state)
{
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  uint64_t longest = limits.retry_delay_ms;
  limits.max_connect_tries = 8;
  world_start(&w, &limits);
  w.waiting.sends = 4;
  static const row_t all[] = {{"", "o0 o1 o2"}};
  /* They failed together, and count once. */
  static const row_t three[] = {{"F0 F1 F2", "c0 c1 c2"}, {"E0 E1 E2", ""}};
  static const row_t one[] = {{"F0", "c0"}, {"E0", ""}};
  static const row_t last[] = {{"F0", "c0 g"}, {"E0", ""}, {"+1", ""}};
  static const row_t not_yet[] = {{"", ""}};
  static const row_t probe[] = {{"", "o0"}}; /* one, to feel the way */
  PLAY(&w, all);
  for (unsigned round = 1; round <= 8; round++, longest *= 2) {
    if (longest > limits.max_retry_delay_ms)
      longest = limits.max_retry_delay_ms;
    if (round == 1)
      PLAY(&w, three);
    else if (round < 8)
      PLAY(&w, one);
    else
      PLAY(&w, last);
    uint64_t due = w.pool.due_ms, bound = round < 8 ? longest : limits.retry_delay_ms;
    assert_int_equal(w.pool.why, UVSMTP_WAIT_BACKOFF);
    assert_in_range(due, w.now + bound / 2, w.now + bound);
    assert_true(w.pool.why_until_ms == due);
    w.now = due - 1;
    PLAY(&w, not_yet);
    w.now = due;
    PLAY(&w, probe);
  }
}

static void a_session_that_delivers_ends_the_standing_back(void **state)
{
  static const row_t rows[] = {{"+3", "o0 o1 o2"}, {"F0", "c0"}, {"E0", ""}, {"O1", "s1"},
                               {"O2", "s2 o0"},    {"D1", "s1"}, {"+2", ""}, {"O0", "s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, rows);
  assert_int_equal(w.endpoints[0].failures, 0);
}

static void a_final_error_tells_those_who_wait_at_once_unless_somebody_serves_them(void **state)
{
  static const row_t rows[] = {{"+2", "o0 o1"}, {"X0", "c0 g"}};
  static const row_t served[] = {{"+2", "o0 o1"}, {"O1", "s1"}, {"X0", "c0"}};
  static const struct {
    int err;
    bool final;
  } errors[] = {
      {UVSMTP_ETLSCERT, true},    {UVSMTP_EAUTH, true},      {UVSMTP_EPROTOCOL, true},
      {UVSMTP_EPERMANENT, true},  {UVSMTP_ETLSCONFIG, true}, {UVSMTP_EAUTHTEMPORARY, false},
      {UVSMTP_ETEMPORARY, false}, {UVSMTP_ECONNECT, false},  {UVSMTP_ETIMEOUT, false},
      {UVSMTP_ENOMEM, false},     {UV_EMFILE, false}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, rows);
  world_start(&w, &limits);
  PLAY(&w, served);
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    size_t slot;
    world_start(&w, &limits);
    w.waiting.sends = 1;
    assert_int_equal(world_step(&w, &slot), 'o');
    uvsmtp__pool_failed(&w.pool, &w.slots[0], errors[i].err, w.now);
    assert_int_equal(world_step(&w, &slot), 'c');
    if ((world_step(&w, &slot) == 'g') != errors[i].final)
      fail_msg("%s", uvsmtp_err_name(errors[i].err));
  }
}

static void a_server_that_ends_sessions_before_it_took_anything_is_left_alone_a_while(void **state)
{
  static const row_t barren[] = {{"+1", "o0"}, {"O0", "s0"}, {"K0 +1", "c0"},
                                 {"E0", ""},   {"T499", ""}, {"T501", "o0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, barren);
}

static void draining_serves_those_who_wait_and_then_says_quit(void **state)
{
  static const row_t rows[] = {{"+4", "o0 o1 o2"}, {"O0 R0", "s0"},       {"O1", "s1"},
                               {"D0", "s0"},       {"D0 D1", "s1 q0 c2"}, {"D1", "q1"},
                               {"E0 E1 E2", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  PLAY(&w, rows);
  assert_int_equal(w.pool.count, 0);
}

static void aborting_closes_everything_but_what_is_lent(void **state)
{
  static const row_t rows[] = {{"b1", "o0"}, {"O0", "l0"}, {"+2", "o1 o2"}, {"O1", "s1"}};
  static const row_t after[] = {{"", "c2 c1"}, {"K1 E1 E2", ""}, {"G0", "c0"}, {"E0", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
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
    bool retry;
    uvsmtp__ending_t ending;
  } rows[] = {
#define ENDS(name, e, c, n, else_where, gone, up, again, how)                                      \
  {name,                                                                                           \
   {.err = e, .code = c, .tries = n, .elsewhere = else_where, .cancelled = gone, .open = up},      \
   again,                                                                                          \
   UVSMTP__ENDING_##how}
      ENDS("cut before it was sent", UVSMTP_ECONNLOST, 0, 1, true, false, false, true, DEAD),
      ENDS("a reset", UV_ECONNRESET, 0, 1, true, false, false, true, DEAD),
      ENDS("421", UVSMTP_ETEMPORARY, 421, 2, true, false, false, true, DEAD),
      ENDS("the connection was closing", UVSMTP_ECLOSING, 0, 1, true, false, false, true, DEAD),
      ENDS("another was cancelled", UVSMTP_ECANCELED, 0, 1, true, false, false, true, CUT),
      ENDS("the server takes no more in a session", UVSMTP_ELIMIT, 0, 1, true, false, true, true,
           FINE),
      ENDS("the last try", UVSMTP_ECONNLOST, 0, 3, true, false, false, false, DEAD),
      ENDS("unknown, or nobody is left", UVSMTP_ECONNLOST, 0, 1, false, false, false, false, DEAD),
      ENDS("cancelled", UVSMTP_ECANCELED, 0, 1, true, true, false, false, CUT),
      ENDS("cancelled when the connection had broken", UVSMTP_ECONNLOST, 0, 1, true, true, false,
           false, DEAD),
      ENDS("its source failed", UVSMTP_ESOURCE, 0, 1, false, false, false, false, CUT),
      ENDS("another's source failed", UVSMTP_ESOURCE, 0, 1, true, false, false, true, CUT),
      ENDS("another was refused before its end", UVSMTP_EPERMANENT, 0, 1, true, false, false, true,
           DEAD),
      ENDS("the server took no more and is gone", UVSMTP_ELIMIT, 0, 1, true, false, false, true,
           FINE),
      ENDS("greylisted", UVSMTP_ETEMPORARY, 451, 1, false, false, true, false, FINE),
      ENDS("refused", UVSMTP_EPERMANENT, 550, 1, false, false, true, false, FINE),
      ENDS("not an address", UVSMTP_EADDRESS, 0, 1, false, false, true, false, FINE),
      ENDS("accepted", 0, 250, 1, false, false, true, false, FINE)
#undef ENDS
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    if (uvsmtp__attempt_again(&rows[i].attempt, 3) != rows[i].retry ||
        uvsmtp__attempt_ending(&rows[i].attempt) != rows[i].ending)
      fail_msg("%s", rows[i].what);
  }
}

static void
replies_about_the_server_ask_to_slow_down_and_those_about_the_message_do_not(void **state)
{
  static const struct {
    int code;
    uint16_t enhanced[3];
    bool slow;
  } rows[] = {{452, {4, 3, 1}, true},  {451, {4, 3, 2}, true},  {450, {4, 4, 5}, true},
              {450, {4, 7, 28}, true}, {450, {4, 2, 0}, false}, {451, {4, 7, 1}, false},
              {452, {4, 2, 2}, false}, {451, {0, 0, 0}, false}, {552, {5, 3, 1}, false},
              {250, {2, 0, 0}, false}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp__attempt_t attempt = {.err = rows[i].code < 400 ? 0 : UVSMTP_ETEMPORARY,
                                 .code = rows[i].code};
    memcpy(attempt.enhanced, rows[i].enhanced, sizeof(attempt.enhanced));
    if ((uvsmtp__attempt_ending(&attempt) == UVSMTP__ENDING_SLOW) != rows[i].slow)
      fail_msg("row %zu", i);
  }
}

static void check_stalled(const world_t *w)
{
  size_t stalled = 0;
  for (size_t i = 0; i < SLOTS; i++)
    stalled += w->used[i] && w->slots[i].stalled;
  assert_int_equal(w->pool.stalled, stalled);
  for (size_t i = 0; i < w->pool.endpoint_count; i++)
    stalled -= w->endpoints[i].stalled;
  assert_int_equal(stalled, 0);
}

/* A long random life: the cap holds, nobody is forgotten, and all comes to an end; with one server,
 * and with three of which the first mostly hangs. */
static void a_random_life_keeps_the_cap_and_serves_everybody(void **state)
{
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 5;
  limits.max_messages = 7;
  limits.max_age_ms = 5000;
  limits.max_connect_tries = UINT_MAX;
  limits.retry_delay_ms = 10;
  limits.max_retry_delay_ms = 100;
  limits.open_patience_ms = 200;
  for (unsigned seed = 1; seed <= 50; seed++) {
    world_t w;
    uint64_t came = 0, done = 0;
    size_t slot;
    srand(seed);
    world_start_with(&w, &limits, seed % 2 == 0 ? "0" : "001");
    for (size_t i = 0; i < SLOTS; i++)
      w.room[i] = 1 + i % 4;
    for (int turn = 0; turn < 4000; turn++) {
      if (turn < 3000 && rand() % 3 == 0) {
        w.waiting.sends++;
        came++;
      }
      if (turn == 3000)
        w.pool.draining = true;
      while (world_step(&w, &slot) != '-')
        assert_true(w.pool.count <= limits.max_connections);
      size_t i = (size_t)rand() % limits.max_connections;
      uvsmtp__slot_t *s = &w.slots[i];
      w.now += (uint64_t)rand() % 40;
      if (!w.used[i])
        continue;
      bool fails = turn < 3000 && rand() % 10 == 0;
      check_stalled(&w);
      if (s->state == UVSMTP__SLOT_OPENING && seed % 2 != 0 && s->endpoint == &w.endpoints[0] &&
          turn < 3000 && rand() % 100 != 0)
        continue;
      if (s->state == UVSMTP__SLOT_OPENING && fails)
        uvsmtp__pool_failed(&w.pool, s, UVSMTP_ECONNECT, w.now);
      else if (s->state == UVSMTP__SLOT_OPENING)
        uvsmtp__pool_opened(&w.pool, s, w.now);
      else if (s->state == UVSMTP__SLOT_CLOSING && s->in_flight == 0)
        world_happen(&w, 'E', (unsigned)i);
      else if (s->state == UVSMTP__SLOT_IDLE && fails)
        uvsmtp__pool_lost(&w.pool, s, w.now);
      else if (s->in_flight > 0) {
        uvsmtp__pool_done(&w.pool, s, fails ? UVSMTP__ENDING_DEAD : UVSMTP__ENDING_FINE, w.now);
        w.waiting.sends += fails;
        done += !fails;
        if (rand() % 2 == 0)
          world_go_on(&w, i);
      }
    }
    if (came != done || w.pool.count != 0)
      fail_msg("seed %u: %d came, %d done, %d connections left", seed, (int)came, (int)done,
               (int)w.pool.count);
  }
}

/* What may happen to a slot, by its state; 0: nothing. */
static char something(const uvsmtp__slot_t *slot)
{
  static const char endings[] = "DDDDDDDMSK", *const kinds[] = {[UVSMTP__SLOT_OPENING] = "OOOF",
                                                                [UVSMTP__SLOT_IDLE] = "L",
                                                                [UVSMTP__SLOT_CHECKED] = "NNL",
                                                                [UVSMTP__SLOT_LENT] = "GGU"};
  if (slot->in_flight > 0)
    return endings[(size_t)rand() % (sizeof(endings) - 1)];
  if (slot->state == UVSMTP__SLOT_CLOSING)
    return 'E';
  const char *kind = slot->state <= UVSMTP__SLOT_LENT ? kinds[slot->state] : NULL;
  return kind != NULL ? kind[(size_t)rand() % strlen(kind)] : 0;
}

/* The same happens in a world where each send is decided by itself. */
static void one_decision_for_many_sends_is_what_many_would_be(void **state)
{
  static const char *const ranks[] = {"0", "00", "0011"};
  static world_t w[2];
  for (unsigned seed = 1; seed <= 300; seed++) {
    uvsmtp__pool_limits_t limits = world_limits();
    size_t slots[2] = {0, 0}, many = 0;
    srand(seed);
    limits.max_connections = 1 + (size_t)rand() % 8;
    limits.max_connect_tries = UINT_MAX;
    limits.retry_delay_ms = 10;
    limits.max_retry_delay_ms = 100;
    limits.max_messages = rand() % 3 == 0 ? 9 : 0;
    limits.max_refused = 3;
    limits.keepalive_ms = rand() % 3 == 0 ? 30 : 0;
    limits.message_rate.count = rand() % 5 == 0 ? 100 : 0;
    for (size_t k = 0; k < 2; k++) {
      world_start_with(&w[k], &limits, ranks[seed % 3]);
      w[k].one_by_one = k == 0;
      for (size_t i = 0; i < SLOTS; i++)
        w[k].room[i] = 1 + (i * seed) % 7;
    }
    for (int turn = 0; turn < 400; turn++) {
      char kinds[2];
      unsigned i = (unsigned)rand() % (unsigned)limits.max_connections;
      unsigned come = rand() % 4 == 0 ? (unsigned)rand() % 20 : 0, borrow = rand() % 40 == 0;
      char kind = w[0].used[i] ? something(&w[0].slots[i]) : 0;
      for (size_t k = 0; k < 2; k++) {
        world_happen(&w[k], '+', come);
        world_happen(&w[k], 'T', turn % 3 == 0 ? 7 : 0);
        if (borrow)
          world_happen(&w[k], 'b', 1);
        if (kind != 0)
          world_happen(&w[k], kind, i);
      }
      do {
        for (size_t k = 0; k < 2; k++)
          kinds[k] = world_step(&w[k], &slots[k]);
        if (kinds[0] != kinds[1] || slots[0] != slots[1])
          fail_msg("seed %u, turn %d: %c%zu, but %c%zu one by one", seed, turn, kinds[1], slots[1],
                   kinds[0], slots[0]);
        many += w[1].more > 0;
      } while (kinds[0] != '-');
      assert_true(w[0].pool.due_ms == w[1].pool.due_ms && w[0].pool.why == w[1].pool.why);
    }
    assert_true(many > 0 || limits.message_rate.count != 0);
  }
}

/* `waiting` sends go out in runs: how many each slot has got. */
static void send_in_runs(world_t *w, size_t waiting)
{
  uvsmtp__waiting_t all = {.sends = waiting};
  uvsmtp__step_t next;
  while (all.sends > 0 &&
         (next = uvsmtp__pool_next(&w->pool, &all, w->now)).kind == UVSMTP__STEP_SEND) {
    assert_int_equal(next.more, all.sends - 1);
    for (uvsmtp__slot_t *slot = next.slot; all.sends > 0 && slot != NULL;
         slot = uvsmtp__pool_again(&w->pool, w->now)) {
      size_t run = uvsmtp__pool_run(&w->pool, slot, all.sends);
      assert_in_range(run, 1, slot->room < UVSMTP__RUN_MAX ? slot->room : UVSMTP__RUN_MAX);
      uvsmtp__pool_sent(&w->pool, slot, run, 0, 0, w->now);
      all.sends -= run;
    }
  }
}

static void in_runs_each_connection_gets_its_share(void **state)
{
  static const struct {
    size_t waiting, slots, room[3], got[3], off; /* by so many at most */
  } rows[] = {{7, 3, {40, 40, 40}, {2, 2, 3}, 0},
              {100, 1, {100}, {100}, 0},
              {100, 1, {33}, {33}, 0},
              {90, 3, {40, 40, 40}, {30, 30, 30}, 8},
              {90, 3, {40, 10, 70}, {40, 10, 40}, 8},
              {1, 3, {4, 4, 4}, {0, 0, 1}, 0},
              {500, 2, {64, 200}, {64, 200}, 0}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp__pool_limits_t limits = world_limits();
    world_t w;
    world_start(&w, &limits);
    for (size_t k = 0; k < rows[i].slots; k++) {
      w.room[k] = rows[i].room[k];
      w.used[k] = true;
      uvsmtp__pool_add(&w.pool, &w.slots[k], &w.endpoints[0], w.now);
      uvsmtp__pool_opened(&w.pool, &w.slots[k], w.now);
    }
    send_in_runs(&w, rows[i].waiting);
    for (size_t k = 0; k < rows[i].slots; k++)
      if (w.slots[k].in_flight + rows[i].off < rows[i].got[k] ||
          w.slots[k].in_flight > rows[i].got[k] + rows[i].off)
        fail_msg("row %zu: slot %zu has %zu instead of %zu", i, k, w.slots[k].in_flight,
                 rows[i].got[k]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections_are_opened_as_the_queue_grows_and_never_beyond_the_cap),
      cmocka_unit_test(closing_connections_count_against_the_cap),
      cmocka_unit_test(sends_go_round_the_busy_ones_that_take_more_before_another_is_opened),
      cmocka_unit_test(one_whose_sends_have_ended_goes_on_unless_another_is_idle),
      cmocka_unit_test(one_that_takes_no_more_or_rests_does_not_go_on),
      cmocka_unit_test(the_idle_one_used_last_is_used_next_and_the_others_time_out),
      cmocka_unit_test(a_connection_retires_after_its_messages_and_its_age),
      cmocka_unit_test(those_opened_together_become_old_one_by_one_within_a_tenth_of_the_age),
      cmocka_unit_test(a_connection_on_which_much_was_refused_is_followed_by_another),
      cmocka_unit_test(a_connection_retires_after_its_bytes),
      cmocka_unit_test(the_idle_minimum_is_opened_at_once_kept_and_made_up_for),
      cmocka_unit_test(
          a_minimum_that_the_server_ends_again_and_again_is_opened_more_and_more_seldom),
      cmocka_unit_test(noop_is_said_on_what_is_idle_for_long_and_is_no_use_of_it),
      cmocka_unit_test(a_parked_connection_found_dead_costs_no_try_and_another_does),
      cmocka_unit_test(after_renewal_nothing_old_is_used_and_nothing_new_is_held_back),
      cmocka_unit_test(credentials_that_nobody_has_accepted_are_tried_by_one_connection),
      cmocka_unit_test(a_lost_connection_meets_no_message_any_more),
      cmocka_unit_test(borrowers_and_sends_are_served_in_their_order),
      cmocka_unit_test(a_waiting_borrower_reserves_one_connection_and_the_others_go_on),
      cmocka_unit_test(after_failed_connects_it_stands_back_longer_each_time_and_then_gives_up),
      cmocka_unit_test(a_session_that_delivers_ends_the_standing_back),
      cmocka_unit_test(a_final_error_tells_those_who_wait_at_once_unless_somebody_serves_them),
      cmocka_unit_test(a_server_that_ends_sessions_before_it_took_anything_is_left_alone_a_while),
      cmocka_unit_test(draining_serves_those_who_wait_and_then_says_quit),
      cmocka_unit_test(aborting_closes_everything_but_what_is_lent),
      cmocka_unit_test(only_what_cannot_have_been_delivered_is_tried_again),
      cmocka_unit_test(
          replies_about_the_server_ask_to_slow_down_and_those_about_the_message_do_not),
      cmocka_unit_test(a_random_life_keeps_the_cap_and_serves_everybody),
      cmocka_unit_test(one_decision_for_many_sends_is_what_many_would_be),
      cmocka_unit_test(in_runs_each_connection_gets_its_share)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
