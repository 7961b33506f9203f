/* The queue of commands that wait for replies: a ring that grows, whatever its place. */
#include "session.h"

#include "protocol/machine.h"

static void *tag_of(uintptr_t number)
{
  return (void *)number;
}

static void push(uvsmtp_protocol_t *p, uintptr_t number)
{
  assert_int_equal(uvsmtp__queue_reserve(p, 1), 0);
  uvsmtp__queue_push(p, UVSMTP_COMMAND_NOOP, tag_of(number), 0, p->issued);
}

static void pop(uvsmtp_protocol_t *p, uintptr_t number)
{
  assert_ptr_equal(uvsmtp__queue_front(p)->tag, tag_of(number));
  uvsmtp__queue_pop(p);
}

/* From every place of its head, and with every number in it, it grows and keeps the order. */
static void commands_keep_their_order_when_the_ring_grows(void **state)
{
  for (unsigned head = 0; head < 8; head++) {
    for (unsigned held = 0; held <= 8; held++) {
      session_t s;
      uintptr_t in = 1, out = 1;
      session_ready(&s, NULL, NULL);
      assert_null(uvsmtp__queue_front(s.protocol));
      assert_null(uvsmtp__queue_last(s.protocol));
      s.protocol->queue.head = head;
      while (in <= held)
        push(s.protocol, in++);
      if (held > 2) {
        pop(s.protocol, out++);
        pop(s.protocol, out++);
      }
      for (unsigned i = 0; i < 20; i++)
        push(s.protocol, in++);
      assert_ptr_equal(uvsmtp__queue_last(s.protocol)->tag, tag_of(in - 1));
      assert_int_equal(s.protocol->queue.count, in - out);
      while (out < in)
        pop(s.protocol, out++);
      assert_int_equal(s.protocol->queue.count, 0);
      session_free(&s);
    }
  }
}

static void a_command_that_gets_more_replies_goes_back_to_the_front(void **state)
{
  for (unsigned head = 0; head < 8; head++) {
    session_t s;
    expectation_t first;
    session_ready(&s, NULL, NULL);
    s.protocol->queue.head = head & (s.protocol->queue.size - 1);
    push(s.protocol, 1);
    push(s.protocol, 2);
    first = *uvsmtp__queue_front(s.protocol);
    pop(s.protocol, 1);
    first.replies = 7;
    uvsmtp__queue_put_back(s.protocol, &first);
    assert_int_equal(uvsmtp__queue_front(s.protocol)->replies, 7);
    pop(s.protocol, 1);
    pop(s.protocol, 2);
    session_free(&s);
  }
}

static void the_bound_is_kept_to_the_command(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  session_t s;
  options.max_outstanding = 11;
  session_ready(&s, &options, NULL);
  for (uintptr_t i = 0; i < 11; i++)
    push(s.protocol, i);
  assert_int_equal(uvsmtp__queue_reserve(s.protocol, 1), UVSMTP_EQUEUEFULL);
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), UVSMTP_EQUEUEFULL);
  pop(s.protocol, 0);
  assert_int_equal(uvsmtp__queue_reserve(s.protocol, 2), UVSMTP_EQUEUEFULL);
  assert_int_equal(uvsmtp__queue_reserve(s.protocol, 1), 0);
  session_free(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(commands_keep_their_order_when_the_ring_grows),
      cmocka_unit_test(a_command_that_gets_more_replies_goes_back_to_the_front),
      cmocka_unit_test(the_bound_is_kept_to_the_command),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
