/*
 * The script's reader and the choice of a rule, the glob and the hash: what needs no socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/script.h"
#include "sink/sink.h"

static void mistakes_are_told_with_their_line(void **state)
{
  static const struct {
    const char *text, *detail;
  } rows[] = {
      {"foo : close", "line 1: \"foo\" is no point"},
      {"# fine\n\nrcpt close", "line 3: \"close\" is no condition here"},
      {"rcpt", "line 1: a colon and an action are missing"},
      {"rcpt : ", "line 1: \"\" is no action"},
      {"rcpt : closes", "line 1: \"closes\" is no action"},
      {"rcpt : close reset", "line 1: unexpected \"reset\""},
      {"rcpt : close,", "line 1: \"\" is no action"},
      {"rcpt : reply \"a", "line 1: unexpected \"a\""},
      {"rcpt : reply \"\\q\"", "line 1: unknown escape \\q"},
      {"rcpt : reply \"\\x4\"", "line 1: unknown escape \\x"},
      {"rcpt : raw", "line 1: raw takes a string"},
      {"rcpt : delay", "line 1: a number from 0 on is missing"},
      {"rcpt nth 0 : close", "line 1: a number from 1 on is missing"},
      {"rcpt nth x : close", "line 1: a number from 1 on is missing"},
      {"rcpt nth 5-4 : close", "line 1: the range ends before it begins"},
      {"rcpt nth 99999999999999999999 : close", "line 1: a number from 1 on is missing"},
      {"rcpt every 0 : close", "line 1: a number from 1 on is missing"},
      {"rcpt match b : close", "line 1: match takes one string"},
      {"rcpt match \"a\" match \"b\" : close", "line 1: match takes one string"},
      {"rcpt after 5 : close", "line 1: \"after\" is no condition here"},
      {"received : close", "line 1: a number from 0 on is missing"},
      {"sent 5 : reply \"x\"", "line 1: only close and reset are possible at sent"},
  };

  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    sink_script_t script;
    char detail[200] = "";
    assert_int_equal(sink__script_parse(&script, rows[i].text, detail, sizeof detail), -1);
    assert_string_equal(detail, rows[i].detail);
    assert_null(script.rules);
  }
}

static void actions_are_read_in_their_order(void **state)
{
  static const char text[] = "rcpt : delay 20, raw \"a\\r\\n\\0\\x42\\\\\\\"\", reply \"550-x\" "
                             "\"550 y\", deaf, deaf 7, split,"
                             " split 3, garbage 4, refuse, notify, drop, stall, close, reset, "
                             "reply # and no more, close\r\n";
  static const sink_action_kind_t kinds[] = {
      SINK_DO_DELAY, SINK_DO_RAW,   SINK_DO_REPLY,   SINK_DO_DEAF,   SINK_DO_DEAF,
      SINK_DO_SPLIT, SINK_DO_SPLIT, SINK_DO_GARBAGE, SINK_DO_REFUSE, SINK_DO_NOTIFY,
      SINK_DO_DROP,  SINK_DO_STALL, SINK_DO_CLOSE,   SINK_DO_RESET,  SINK_DO_REPLY};
  sink_script_t script;
  char detail[200] = "";
  const sink_action_t *a;

  assert_int_equal(sink__script_parse(&script, text, detail, sizeof detail), 0);
  assert_int_equal(script.count, 1);
  assert_int_equal(script.rules[0].action_count, sizeof kinds / sizeof kinds[0]);
  a = script.rules[0].actions;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    assert_int_equal(a[i].kind, kinds[i]);
  assert_int_equal(a[0].number, 20);
  assert_int_equal(a[1].len, 7);
  assert_memory_equal(a[1].bytes, "a\r\n\0B\\\"", 7);
  assert_string_equal(a[2].bytes, "550-x\r\n550 y\r\n");
  assert_int_equal(a[2].last, 7);
  assert_true(a[3].number == UINT64_MAX);
  assert_int_equal(a[4].number, 7);
  assert_int_equal(a[5].number, 1);
  assert_int_equal(a[6].number, 3);
  assert_null(a[14].bytes);
  assert_true(script.rules[0].answers);
  assert_true(sink__script_has(&script, SINK_AT_RCPT));
  assert_false(sink__script_has(&script, SINK_AT_MAIL));
  sink__script_free(&script);
}

static bool is_bob(const char *pattern, const void *ctx)
{
  return sink__glob(pattern, ctx, strlen(ctx));
}

static void first_rule_of_which_all_conditions_hold_applies(void **state)
{
  static const char text[] = "rcpt conn 2 nth 3-4 : close\n"
                             "rcpt match \"b?b@*\" times 1 : close\n"
                             "rcpt every 5 : close\n"
                             "rcpt tls total 7- : close\n"
                             "body after 10 : close\n"
                             "rcpt plain total 20 : close\n";
  static const struct {
    sink_where_t where;
    size_t line; /* 0: none */
  } rows[] = {
      {{SINK_AT_RCPT, 2, 3, 3, 0, false, NULL, NULL}, 1},
      {{SINK_AT_RCPT, 2, 4, 4, 0, false, NULL, NULL}, 1},
      {{SINK_AT_RCPT, 2, 5, 6, 0, false, NULL, NULL}, 0},
      {{SINK_AT_RCPT, 1, 3, 3, 0, false, NULL, NULL}, 0},
      {{SINK_AT_RCPT, 1, 1, 1, 0, false, is_bob, "Bob@y.example"}, 2},
      {{SINK_AT_RCPT, 1, 1, 1, 0, false, is_bob, "bob@y.example"}, 0}, /* was once */
      {{SINK_AT_RCPT, 1, 1, 10, 0, false, NULL, NULL}, 3},
      {{SINK_AT_RCPT, 1, 1, 8, 0, true, NULL, NULL}, 4},
      {{SINK_AT_RCPT, 1, 1, 8, 0, false, NULL, NULL}, 0},
      {{SINK_AT_RCPT, 1, 1, 6, 0, true, NULL, NULL}, 0},
      {{SINK_AT_BODY, 1, 1, 1, 10, false, NULL, NULL}, 5},
      {{SINK_AT_BODY, 1, 1, 1, 0, false, NULL, NULL}, 0},
      {{SINK_AT_MAIL, 2, 3, 3, 0, false, NULL, NULL}, 0},
  };
  sink_script_t script;
  char detail[200] = "";

  assert_int_equal(sink__script_parse(&script, text, detail, sizeof detail), 0);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const sink_rule_t *rule = sink__script_find(&script, &rows[i].where);
    assert_int_equal(rule == NULL ? 0 : rule->line, rows[i].line);
  }
  sink__script_free(&script);
}

static void next_stop_is_the_least_that_can_come(void **state)
{
  sink_script_t script;
  char detail[200] = "";

  assert_int_equal(sink__script_parse(&script,
                                      "received 30 : close\nreceived 10 conn 2 : close\n"
                                      "received 20 : drop\nsent 5 : close\n",
                                      detail, sizeof detail),
                   0);
  assert_int_equal(sink__script_next(&script, SINK_AT_RECEIVED, 1, 0), 20);
  assert_int_equal(sink__script_next(&script, SINK_AT_RECEIVED, 2, 0), 10);
  assert_int_equal(sink__script_next(&script, SINK_AT_RECEIVED, 2, 11), 20);
  assert_int_equal(sink__script_next(&script, SINK_AT_RECEIVED, 1, 21), 30);
  assert_true(sink__script_next(&script, SINK_AT_RECEIVED, 1, 31) == UINT64_MAX);
  sink__script_free(&script);
}

static void globs_match_as_in_a_shell(void **state)
{
  static const struct {
    const char *pattern, *text;
    bool matches;
  } rows[] = {
      {"", "", true},          {"", "a", false},
      {"*", "", true},         {"*", "abc", true},
      {"a*c", "abbc", true},   {"a*c", "abcb", false},
      {"?", "", false},        {"?", "x", true},
      {"*b*b*", "abab", true}, {"*b*b*", "aba", false},
      {"A@X", "a@x", true},    {"a**", "a", true},
      {"a?c", "abc", true},    {"*.example", "a.b.example", true},
  };

  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (sink__glob(rows[i].pattern, rows[i].text, strlen(rows[i].text)) != rows[i].matches)
      fail_msg("%s against %s", rows[i].pattern, rows[i].text);
  }
}

static void hash_does_not_depend_on_the_cuts(void **state)
{
  char bytes[200];
  uint64_t whole;

  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)(i * 7);
  whole = sink_hash(bytes, sizeof bytes);
  for (size_t cut = 0; cut <= sizeof bytes; cut++) {
    sink_hash_t hash;
    sink_hash_start(&hash);
    sink_hash_update(&hash, bytes, cut);
    sink_hash_update(&hash, bytes + cut, sizeof bytes - cut);
    assert_true(sink_hash_finish(&hash) == whole);
  }
}

static void hash_sees_each_bit_and_the_length(void **state)
{
  char bytes[100] = {0};
  uint64_t seen[901];
  size_t count = 0;

  for (size_t len = 0; len <= sizeof bytes; len++)
    seen[count++] = sink_hash(bytes, len);
  for (size_t i = 0; i < sizeof bytes * 8; i++) {
    bytes[i / 8] ^= (char)(1 << i % 8);
    seen[count++] = sink_hash(bytes, sizeof bytes);
    bytes[i / 8] ^= (char)(1 << i % 8);
  }
  assert_int_equal(count, 901);
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < i; j++)
      assert_true(seen[i] != seen[j]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes_are_told_with_their_line),
      cmocka_unit_test(actions_are_read_in_their_order),
      cmocka_unit_test(first_rule_of_which_all_conditions_hold_applies),
      cmocka_unit_test(next_stop_is_the_least_that_can_come),
      cmocka_unit_test(globs_match_as_in_a_shell),
      cmocka_unit_test(hash_does_not_depend_on_the_cuts),
      cmocka_unit_test(hash_sees_each_bit_and_the_length),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
