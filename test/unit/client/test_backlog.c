#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/backlog.h"

/* The queue of sends: who is next, whatever comes, goes and comes back. */

#define MANY 2000

static uvsmtp_send_t sends[MANY];
static uvsmtp__backlog_t queue;

static void start(void)
{
  memset(sends, 0, sizeof(sends));
  for (size_t i = 0; i < MANY; i++) {
    sends[i].client_ticket = i;
    sends[i].client_deadline_ms = UINT64_MAX;
  }
  uvsmtp__backlog_init(&queue);
}

static size_t number_of(const uvsmtp_send_t *send)
{
  return (size_t)(send - sends);
}

static void push(size_t i, uvsmtp_priority_t priority)
{
  sends[i].client_priority = (unsigned char)priority;
  uvsmtp__backlog_push(&queue, &sends[i]);
}

static size_t take(void)
{
  uvsmtp_send_t *first = uvsmtp__backlog_first(&queue);
  assert_ptr_equal(uvsmtp__backlog_take(&queue), first);
  first->client_again = true;
  return number_of(first);
}

static void each_priority_is_first_come_first_served(void **state)
{
  size_t last[3] = {0, 0, 0};
  start();
  for (size_t i = 0; i < MANY; i++)
    push(i, (uvsmtp_priority_t)(i * 7 % 3));
  for (size_t n = 0; n < MANY; n++) {
    size_t i = take();
    unsigned priority = sends[i].client_priority;
    assert_true(i >= last[priority]);
    last[priority] = i;
  }
  assert_null(uvsmtp__backlog_first(&queue));
}

static void while_all_wait_each_priority_gets_its_turns(void **state)
{
  static const size_t turns[] = {
      [UVSMTP_PRIORITY_HIGH] = 16, [UVSMTP_PRIORITY_NORMAL] = 4, [UVSMTP_PRIORITY_LOW] = 1};
  start();
  for (size_t i = 0; i < MANY; i++)
    push(i, (uvsmtp_priority_t)(i % 3));
  for (int round = 0; round < 20; round++) {
    size_t got[3] = {0, 0, 0};
    for (int turn = 0; turn < 21; turn++)
      got[sends[take()].client_priority]++;
    assert_memory_equal(got, turns, sizeof(got));
  }
}

static void a_lone_priority_waits_for_no_other_and_owes_nothing_afterwards(void **state)
{
  start();
  for (size_t i = 0; i < 500; i++)
    push(i, UVSMTP_PRIORITY_LOW);
  for (size_t i = 0; i < 400; i++)
    assert_int_equal(take(), i);
  for (size_t i = 500; i < 600; i++)
    push(i, UVSMTP_PRIORITY_HIGH);
  assert_int_equal(take(), 500);
  size_t low = 0;
  for (int turn = 0; turn < 34; turn++)
    low += sends[take()].client_priority == UVSMTP_PRIORITY_LOW;
  assert_int_equal(low, 2); /* two rounds of 17 */
}

static void what_comes_back_stands_before_all_that_came_after_it(void **state)
{
  static const size_t back[] = {5, 3, 4, 0}, order[] = {0, 3, 4, 5, 6, 7};
  start();
  for (size_t i = 0; i < 8; i++)
    push(i, UVSMTP_PRIORITY_NORMAL);
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(take(), i);
  for (size_t i = 0; i < 4; i++)
    push(back[i], UVSMTP_PRIORITY_NORMAL);
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(take(), order[i]);
}

/* With priorities, deadlines and some that have come back, or with none of these. */
static void mix(bool plain)
{
  start();
  for (size_t i = 0; i < MANY; i++) {
    sends[i].client_bytes = i;
    if (!plain)
      sends[i].client_deadline_ms = i % 5 == 0 ? 5000 - i : UINT64_MAX;
    sends[i].client_again = !plain && i % 7 == 0;
    push(i, (uvsmtp_priority_t)(plain ? UVSMTP_PRIORITY_LOW : i % 3));
  }
}

static void a_run_is_what_would_be_taken_one_by_one(void **state)
{
  for (int plain = 0; plain < 2; plain++) {
    uvsmtp_send_t *one[MANY], *run[MANY];
    mix(plain);
    for (size_t i = 0; i < MANY; i++)
      one[i] = uvsmtp__backlog_take(&queue);
    uint64_t pass = queue.pass;
    mix(plain);
    for (size_t at = 0, n = 1; at < MANY; at += n, n = n % 37 + 1) {
      n = n < MANY - at ? n : MANY - at;
      uvsmtp__backlog_take_run(&queue, run + at, n);
      assert_int_equal(queue.count, MANY - at - n);
    }
    assert_memory_equal(one, run, sizeof(one));
    assert_int_equal(queue.pass, pass);
    assert_int_equal(queue.bytes, 0);
    assert_null(queue.deadlines.root);
    assert_null(uvsmtp__backlog_first(&queue));
  }
}

static void any_can_be_removed_and_count_and_bytes_are_right(void **state)
{
  start();
  for (size_t i = 0; i < 100; i++) {
    sends[i].client_bytes = i;
    sends[i].client_deadline_ms = i % 3 == 0 ? 1000 - i : UINT64_MAX;
    push(i, (uvsmtp_priority_t)(i % 3));
  }
  for (int n = 0; n < 30; n++)
    take();
  size_t left = queue.count;
  uint64_t bytes = 0;
  for (size_t i = 0; i < 100; i++) {
    if (sends[i].client_again && i % 2 == 0) { /* some of those taken come back */
      uvsmtp__backlog_push(&queue, &sends[i]);
      left++;
    } else if (sends[i].client_again) {
      continue;
    } else if (i % 5 == 0) {
      uvsmtp__backlog_remove(&queue, &sends[i]);
      left--;
      continue;
    }
    bytes += i;
  }
  assert_int_equal(queue.count, left);
  assert_int_equal(queue.bytes, bytes);
  while (queue.count > 0)
    take();
  assert_int_equal(queue.bytes, 0);
  assert_null(queue.deadlines.root);
}

static void deadlines_pass_in_their_order_whoever_is_served_meanwhile(void **state)
{
  uint64_t last = 0;
  start();
  srand(1);
  for (size_t i = 0; i < MANY; i++) {
    sends[i].client_deadline_ms = i % 4 == 0 ? UINT64_MAX : (uint64_t)rand() % 10000;
    push(i, (uvsmtp_priority_t)(i % 3));
  }
  for (int n = 0; n < 700; n++)
    take();
  for (uint64_t now = 0; now <= 10000; now++) {
    uvsmtp_send_t *late;
    assert_true(uvsmtp__backlog_due(&queue) >= last);
    while ((late = uvsmtp__backlog_late(&queue, now)) != NULL) {
      assert_int_equal(late->client_deadline_ms, now);
      uvsmtp__backlog_remove(&queue, late);
      last = now;
    }
  }
  assert_true(uvsmtp__backlog_due(&queue) == UINT64_MAX);
  while (queue.count > 0)
    assert_true(sends[take()].client_deadline_ms == UINT64_MAX);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_priority_is_first_come_first_served),
      cmocka_unit_test(while_all_wait_each_priority_gets_its_turns),
      cmocka_unit_test(a_lone_priority_waits_for_no_other_and_owes_nothing_afterwards),
      cmocka_unit_test(what_comes_back_stands_before_all_that_came_after_it),
      cmocka_unit_test(a_run_is_what_would_be_taken_one_by_one),
      cmocka_unit_test(any_can_be_removed_and_count_and_bytes_are_right),
      cmocka_unit_test(deadlines_pass_in_their_order_whoever_is_served_meanwhile)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
