#include "world.h"

/* Several servers, servers that bear less than the cap, rates: which gets what, and why one waits.
 */

static void while_the_best_is_out_of_reach_the_next_stands_in_and_gives_way_again(void **state)
{
  static const row_t rows[] = {{"+1", "o0a"},
                               {"F0", "c0 o1b"},
                               {"O1 E0", "s1"},
                               {"D1 +1", "s1"},
                               {"D1 T1000 +1", "o0a s1"}, /* tried in the background */
                               {"D1 +1 F0", "c0 s1"},
                               {"E0 D1 T1000 +1", "s1"}, /* the delay is longer now */
                               {"D1 T1000 +1", "o0a s1"},
                               {"O0 D1 +1", "s0"}, /* it answers */
                               {"D0", "q1"},       /* it delivers */
                               {"E1 +2", "s0 o1a"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.idle_timeout_ms = UINT64_MAX;
  world_start_with(&w, &limits, "01");
  PLAY(&w, rows);
}

static void one_that_answers_and_takes_nothing_does_not_take_over(void **state)
{
  static const row_t rows[] = {
      {"+1", "o0a"},      {"F0", "c0 o1b"},   {"O1 E0", "s1"},         {"D1 T1000 +1", "o0a s1"},
      {"O0 D1 +1", "s0"}, {"K0 +1", "c0 s1"}, {"E0 T1000 D1 +1", "s1"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.idle_timeout_ms = UINT64_MAX;
  world_start_with(&w, &limits, "01");
  PLAY(&w, rows);
  assert_int_equal(w.endpoints[0].failures, 2);
}

static void at_the_cap_room_is_made_for_trying_the_best_again(void **state)
{
  static const row_t rows[] = {{"+1", "o0a"}, {"F0", "c0"},       {"E0", "o0b"}, {"O0", "s0"},
                               {"D0", ""},    {"T1000 +1", "q0"}, {"E0", "o0a"}, {"O0", "s0"}};
  static const row_t busy[] = {{"+1", "o0a"},    {"F0", "c0"}, {"E0", "o0b"}, {"O0", "s0"},
                               {"T1000 +5", ""}, {"D0", "q0"}, {"E0", "o0a"}, {"F0", "c0"},
                               {"E0", "o0b"},    {"O0", "s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 1;
  limits.idle_timeout_ms = UINT64_MAX;
  world_start_with(&w, &limits, "01");
  PLAY(&w, rows);
  world_start_with(&w, &limits, "01");
  w.room[0] = 1;
  PLAY(&w, busy);
}

static void the_next_rank_is_used_only_when_all_of_the_better_one_are_down(void **state)
{
  static const row_t rows[] = {{"+4", "o0a o1b o2a"},
                               {"F0 F2", "c0 c2"},
                               {"E0 E2", "o0b o2b"},
                               {"F1 F0 F2", "c1 c0 c2"},
                               {"E1", "o1c"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start_with(&w, &limits, "001");
  PLAY(&w, rows);
}

static void one_that_neither_opens_nor_fails_is_not_waited_for_if_there_is_another(void **state)
{
  static const row_t next_rank[] = {{"+1", "o0a"},       {"T99", ""},  {"T1", "o1b"},  {"O1", "s1"},
                                    {"D1 +2", "s1 o2b"}, {"O0", "s0"}, {"D0 +1", "s0"}};
  static const row_t equals[] = {
      {"+1", "o0a"}, {"T100", "o1b"}, {"T100", ""}, {"F1", "c1"}, {"O0", "s0"}};
  static const row_t at_the_cap[] = {{"+3", "o0a o1a o2a"}, {"T100", "c0"},  {"T500", ""},
                                     {"E0", "o0b"},         {"O0", "s0 c1"}, {"E1", "o1b c2"},
                                     {"O1 E2", "s1 o2b"},   {"D0", "s0"}};
  static const row_t both_slow[] = {
      {"+1", "o0a"}, {"T100", "c0"}, {"E0", "o0b"}, {"T5000", ""}, {"O0", "s0"}};
  static const row_t one_of_many[] = {{"+2", "o0a o1b"}, {"O0 O1", "s0 s1"}, {"+1", "o2a"},
                                      {"T100", "c2"},    {"E2", "o2b"},      {"O2", "s2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.open_patience_ms = 100;
  limits.idle_timeout_ms = UINT64_MAX;
  world_start_with(&w, &limits, "01");
  PLAY(&w, next_rank);
  world_start_with(&w, &limits, "00");
  PLAY(&w, equals);
  world_start_with(&w, &limits, "01");
  PLAY(&w, at_the_cap);
  world_start_with(&w, &limits, "00");
  PLAY(&w, one_of_many);
  limits.max_connections = 1;
  world_start_with(&w, &limits, "01");
  PLAY(&w, both_slow);
}

static void a_single_server_is_waited_for(void **state)
{
  static const row_t rows[] = {{"+1", "o0"}, {"T1000000", ""}, {"O0", "s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.open_patience_ms = 100;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void connections_and_sends_are_shared_by_weight(void **state)
{
  size_t opened[2] = {0, 0}, sent[2] = {0, 0}, slot;
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 12;
  world_start_with(&w, &limits, "00");
  w.endpoints[0].weight = 3;
  w.waiting.sends = 12;
  for (size_t i = 0; i < SLOTS; i++)
    w.room[i] = 1000;
  while (world_step(&w, &slot) == 'o')
    opened[w.slots[slot].endpoint - w.endpoints]++;
  assert_int_equal(opened[0], 9);
  assert_int_equal(opened[1], 3);
  for (unsigned i = 0; i < 12; i++)
    world_happen(&w, 'O', i);
  w.waiting.sends = 400;
  while (world_step(&w, &slot) == 's')
    sent[w.slots[slot].endpoint - w.endpoints]++;
  assert_int_equal(sent[0], 300);
  assert_int_equal(sent[1], 100);
}

static void one_that_comes_back_gets_its_share_of_equals(void **state)
{
  static const row_t rows[] = {{"+9", "o0a o1b o2a o3b"},
                               {"F0 F2", "c0 c2"},
                               {"E0 E2", "o0b o2b"},
                               {"O0 O1 O2 O3", "s3 s2 s1 s0"},
                               {"T1000", ""},
                               {"D3", "q3"}, /* room is made */
                               {"E3", "o3a"},
                               {"O3", "s3"},
                               {"D3", "s3"}, /* it delivers: the other keeps two of the four */
                               {"D0 D1 D2", "q2 s1 s0"},
                               {"E2", "o2a"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 4;
  limits.idle_timeout_ms = UINT64_MAX;
  world_start_with(&w, &limits, "00");
  PLAY(&w, rows);
}

static void those_who_wait_are_told_when_no_endpoint_is_left(void **state)
{
  static const row_t rows[] = {{"+2", "o0a o1a"},
                               {"X0 X1", "c0 c1 o2b"},
                               {"X2", "c2 g"},
                               {"E0 E1 E2 +1", ""},
                               {"T1000", "o0a"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start_with(&w, &limits, "01");
  PLAY(&w, rows);
}

static void one_that_has_answered_since_is_not_given_up(void **state)
{
  static const row_t rows[] = {{"", "o0"}, {"X0", "c0"}, {"E0 T1000", "o0"},
                               {"O0", ""}, {"L0", "c0"}, {"E0 +1", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.min_idle = 1;
  world_start(&w, &limits);
  PLAY(&w, rows);
  assert_int_equal(w.waiting.sends, 1);
  assert_int_equal(w.pool.why, UVSMTP_WAIT_BACKOFF);
}

/* ---- what a server bears ------------------------------------------------------------------ */

static void a_server_that_refuses_at_n_gets_n_and_later_one_more_is_tried(void **state)
{
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 5;
  limits.idle_timeout_ms = UINT64_MAX;
  static const row_t refused[] = {{"+9", "o0 o1 o2 o3 o4"},
                                  {"O0 O1", "s1 s0"},
                                  {"F2 F3 F4", "c2 c3 c4"},
                                  {"E2 E3 E4", ""},
                                  {"T1000 D0 D1", "s1 s0"}}; /* two is what it bears */
  world_start(&w, &limits);
  PLAY(&w, refused);
  assert_int_equal(w.endpoints[0].allowed, 2);
  assert_int_equal(w.pool.why, UVSMTP_WAIT_SERVER);
  static const row_t one_more[] = {{"T8999 D0", "s0"}, {"T1 D1", "s1 o2"}, {"F2", "c2"}};
  PLAY(&w, one_more);
  assert_int_equal(w.endpoints[0].allowed, 2);
  /* After a second refusal it takes twice as long. */
  static const row_t longer[] = {{"E2 T19999 D0", "s0"}, {"T1 D1 +9", "s1 o2"}, {"O2 D0", "s0 s2"}};
  PLAY(&w, longer);
  assert_int_equal(w.endpoints[0].allowed, 3);
  assert_int_equal(w.endpoints[0].refusals, 0);
}

static void what_it_bears_is_not_learned_where_the_number_is_fixed(void **state)
{
  static const row_t rows[] = {
      {"+9", "o0 o1 o2"}, {"O0 O1", "s1 s0"}, {"F2", "c2"}, {"E2", ""}, {"T1000", "o2"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.fixed_connections = true;
  world_start(&w, &limits);
  PLAY(&w, rows);
}

static void an_endpoint_has_a_cap_of_its_own(void **state)
{
  static const row_t rows[] = {{"+9", "o0a o1b o2b"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start_with(&w, &limits, "00");
  w.endpoints[0].max_connections = 1;
  PLAY(&w, rows);
}

static void one_that_asks_to_slow_down_gets_nothing_for_a_while(void **state)
{
  static const row_t rows[] = {{"+4", "o0a o1b o2a"}, {"O0 O1 O2", "s2 s1 s0"}, {"S0 +2", ""},
                               {"D1", "s1"},          {"D2 D1", "s1"},          {"D1", "s1"},
                               {"T1000 +2", "s2 s0"}};
  static const row_t alone[] = {{"+2", "o0 o1"}, {"O0 O1", "s1 s0"}, {"S0 S1 +1", ""}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.idle_timeout_ms = UINT64_MAX;
  world_start_with(&w, &limits, "00");
  PLAY(&w, rows);
  world_start(&w, &limits);
  PLAY(&w, alone);
  assert_int_equal(w.endpoints[0].failures, 1); /* both were under way, and count once */
  assert_int_equal(w.pool.why, UVSMTP_WAIT_SLOWDOWN);
  assert_in_range(w.pool.due_ms, w.now + 500, w.now + 1000);
}

/* ---- rates -------------------------------------------------------------------------------- */

static void rates_hold_back_sends_and_connections_before_they_are_begun(void **state)
{
  static const row_t messages[] = {
      {"+9", "o0 o1"}, {"O0 O1", "s1 s0"}, {"D0 D1", ""}, {"T499", ""}, {"T1", "s1"}};
  static const row_t connections[] = {{"+9", "o0"}, {"T199", ""}, {"T1", "o1"}, {"O0 O1", "s1 s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.idle_timeout_ms = UINT64_MAX;
  limits.message_rate = (uvsmtp_rate_t){.count = 2, .burst = 2};
  limits.max_connections = 2;
  world_start(&w, &limits);
  PLAY(&w, messages);
  assert_int_equal(w.pool.why, UVSMTP_WAIT_PACING);
  assert_int_equal(w.pool.due_ms, w.now + 500);
  limits.message_rate = (uvsmtp_rate_t){0};
  limits.connection_rate = (uvsmtp_rate_t){.count = 5};
  world_start(&w, &limits);
  PLAY(&w, connections);
}

static void recipients_have_a_rate_of_their_own(void **state)
{
  static const row_t rows[] = {{"+3", "o0 o1"}, {"O0", "s0"}, {"D0 T999", ""}, {"T1", "s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.max_connections = 2;
  limits.idle_timeout_ms = UINT64_MAX;
  limits.recipient_rate = (uvsmtp_rate_t){.count = 100, .burst = 100};
  world_start(&w, &limits);
  w.waiting.recipients = 100;
  PLAY(&w, rows);
}

static void while_rates_hold_sends_back_no_more_connections_are_opened(void **state)
{
  static const row_t rows[] = {{"+50", "o0 o1 o2"}, {"O0", "s0"},  {"O1 O2 D0", ""},
                               {"L1 L2", "c1 c2"},  {"E1 E2", ""}, {"T1000", "s0"}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  limits.idle_timeout_ms = UINT64_MAX;
  limits.message_rate = (uvsmtp_rate_t){.count = 1};
  world_start(&w, &limits);
  PLAY(&w, rows);
}

/* ---- why ---------------------------------------------------------------------------------- */

static void the_reason_why_sends_wait_is_known(void **state)
{
  static const struct {
    row_t row;
    uvsmtp_wait_t why;
  } rows[] = {{{"", ""}, UVSMTP_WAIT_NONE},
              {{"+1", "o0"}, UVSMTP_WAIT_OPENING},
              {{"O0", "s0"}, UVSMTP_WAIT_NONE},
              {{"+3", "o1 o2"}, UVSMTP_WAIT_CONNECTIONS},
              {{"F1", "c1"}, UVSMTP_WAIT_CONNECTIONS}, /* the one that closes counts */
              {{"E1", ""}, UVSMTP_WAIT_BACKOFF},
              {{"T1000", ""}, UVSMTP_WAIT_SERVER},
              {{"O2 D0", "s0 s2"}, UVSMTP_WAIT_SERVER}};
  world_t w;
  uvsmtp__pool_limits_t limits = world_limits();
  world_start(&w, &limits);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    world_play(&w, &rows[i].row, 1);
    if (w.pool.why != rows[i].why)
      fail_msg("row %zu (%s): %d", i, rows[i].row.events, (int)w.pool.why);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(while_the_best_is_out_of_reach_the_next_stands_in_and_gives_way_again),
      cmocka_unit_test(one_that_answers_and_takes_nothing_does_not_take_over),
      cmocka_unit_test(at_the_cap_room_is_made_for_trying_the_best_again),
      cmocka_unit_test(the_next_rank_is_used_only_when_all_of_the_better_one_are_down),
      cmocka_unit_test(one_that_neither_opens_nor_fails_is_not_waited_for_if_there_is_another),
      cmocka_unit_test(a_single_server_is_waited_for),
      cmocka_unit_test(connections_and_sends_are_shared_by_weight),
      cmocka_unit_test(one_that_comes_back_gets_its_share_of_equals),
      cmocka_unit_test(those_who_wait_are_told_when_no_endpoint_is_left),
      cmocka_unit_test(one_that_has_answered_since_is_not_given_up),
      cmocka_unit_test(a_server_that_refuses_at_n_gets_n_and_later_one_more_is_tried),
      cmocka_unit_test(what_it_bears_is_not_learned_where_the_number_is_fixed),
      cmocka_unit_test(an_endpoint_has_a_cap_of_its_own),
      cmocka_unit_test(one_that_asks_to_slow_down_gets_nothing_for_a_while),
      cmocka_unit_test(rates_hold_back_sends_and_connections_before_they_are_begun),
      cmocka_unit_test(recipients_have_a_rate_of_their_own),
      cmocka_unit_test(while_rates_hold_sends_back_no_more_connections_are_opened),
      cmocka_unit_test(the_reason_why_sends_wait_is_known)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
