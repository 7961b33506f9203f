/* What has to be written: bounds, partial writes, counts, long replies, and the trace. */
#include "session.h"

static void output_is_counted_as_it_is_issued_and_sent(void **state)
{
  session_t s;
  session_ready(&s, NULL, NULL);
  uint64_t before = uvsmtp_protocol_issued(s.protocol);
  assert_int_equal(uvsmtp_protocol_total_sent(s.protocol), before);
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
  assert_int_equal(uvsmtp_protocol_issued(s.protocol), before + 6);
  uvsmtp_protocol_sent(s.protocol, 4, 2000);
  assert_int_equal(uvsmtp_protocol_total_sent(s.protocol), before + 4);
  assert_int_equal(uvsmtp_protocol_output_len(s.protocol), 2);
  session_written(&s, "\r\n");
  session_free(&s);
}

static void a_full_output_refuses_a_command_whole_and_takes_it_after_writing(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  session_t s;
  unsigned taken = 0;
  int err;
  options.max_output = 4096;
  session_ready(&s, &options, NULL);
  while ((err = uvsmtp_protocol_noop(s.protocol, NULL)) == 0)
    taken++;
  assert_int_equal(err, UVSMTP_EQUEUEFULL);
  assert_in_range(taken, 100, 4096 / 6);
  assert_int_equal(uvsmtp_protocol_output_len(s.protocol), taken * 6);
  assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), taken);
  session_write(&s);
  assert_int_equal(s.out_len, taken * 6);
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
  session_free(&s);
}

/* A content of dots needs room for each: it is taken in parts, and none is lost or doubled. */
static void a_full_output_takes_a_content_in_parts(void **state)
{
  enum { LINES = 20000 };
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  session_t s;
  char *body = malloc(LINES * 3), *want = malloc(LINES * 4);
  size_t at = 0, taken, parts = 0;
  for (size_t i = 0; i < LINES; i++) {
    memcpy(body + i * 3, ".\r\n", 3);
    memcpy(want + i * 4, "..\r\n", 4);
  }
  options.max_output = 4096;
  session_ready(&s, &options, NULL);
  session_to_content(&s);
  while (at < LINES * 3) {
    assert_int_equal(uvsmtp_protocol_data(s.protocol, body + at, LINES * 3 - at, 0, &taken), 0);
    assert_in_range(uvsmtp_protocol_output_len(s.protocol), 1, 4096);
    at += taken;
    parts++;
    session_write(&s);
  }
  assert_in_range(parts, 2, LINES);
  assert_int_equal(s.out_len, LINES * 4);
  assert_memory_equal(s.out, want, LINES * 4);
  free(body);
  free(want);
  session_free(&s);
}

static void slices_stay_in_place_until_sent(void **state)
{
  session_t s;
  uvsmtp_slice_t slice;
  session_ready(&s, NULL, NULL);
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
  assert_int_equal(uvsmtp_protocol_output(s.protocol, &slice, 1), 1);
  for (unsigned i = 0; i < 5000; i++)
    if (uvsmtp_protocol_noop(s.protocol, NULL) != 0)
      break;
  assert_int_equal(slice.len, 6);
  assert_memory_equal(slice.base, "NOOP\r\n", 6);
  session_free(&s);
}

static void a_line_that_is_too_long_is_refused_whole(void **state)
{
  session_t s;
  char address[5000];
  memset(address, 'a', sizeof(address));
  memcpy(address + sizeof(address) - 11, "@x.example", 11);
  session_ready(&s, NULL, NULL);
  int err = session_mail(&s, address);
  assert_true(err == UVSMTP_ETOOLONG || err == UVSMTP_EADDRESS);
  assert_int_equal(uvsmtp_protocol_output_len(s.protocol), 0);
  memset(address, 'x', sizeof(address));
  address[sizeof(address) - 1] = 0;
  assert_int_equal(uvsmtp_protocol_command(s.protocol, address, NULL), UVSMTP_ETOOLONG);
  assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), 0);
  session_free(&s);
}

static void a_reply_of_a_thousand_lines_is_walked_line_by_line(void **state)
{
  session_t s;
  uvsmtp_event_t event;
  uvsmtp_slice_t text;
  char said[12 * 1000];
  size_t len = 0, at = 0, lines = 0;
  session_ready(&s, NULL, NULL);
  assert_int_equal(uvsmtp_protocol_help(s.protocol, NULL, &s), 0);
  session_written(&s, "HELP\r\n");
  for (unsigned i = 0; i < 1000; i++)
    len += (size_t)sprintf(said + len, "214%c%03u\r\n", i < 999 ? '-' : ' ', i);
  assert_int_equal(uvsmtp_protocol_feed_bytes(s.protocol, said, len, 1), 0);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_ptr_equal(event.tag, &s);
  assert_int_equal(event.reply.lines, 1000);
  while (uvsmtp_reply_next_line(&event.reply, &at, &text)) {
    assert_int_equal(text.len, 3);
    assert_int_equal(atoi(text.base), lines);
    lines++;
  }
  assert_int_equal(lines, 1000);
  char little[8];
  assert_int_equal(uvsmtp_reply_text(&event.reply, little, sizeof(little)), 7);
  assert_string_equal(little, "000\n001");
  assert_false(uvsmtp_protocol_next_event(s.protocol, &event));
  session_free(&s);
}

static void bytes_are_not_taken_before_those_before_are_read_out(void **state)
{
  session_t s;
  uvsmtp_event_t event;
  session_init(&s, NULL);
  assert_int_equal(uvsmtp_protocol_feed_bytes(s.protocol, "220 a\r\n250 b\r\n", 14, 1), 0);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(uvsmtp_protocol_feed_bytes(s.protocol, "250 c\r\n", 7, 1), UVSMTP_EBUSY);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(event.type, UVSMTP_EVENT_UNSOLICITED);
  assert_false(uvsmtp_protocol_next_event(s.protocol, &event));
  session_free(&s);
}

/* A command issued between two events is not answered by a reply that lay behind the first. */
static void a_command_issued_between_events_is_not_answered_by_what_came_before(void **state)
{
  session_t s;
  uvsmtp_event_t event;
  session_ready(&s, NULL, NULL);
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, &s), 0);
  session_write(&s);
  assert_int_equal(uvsmtp_protocol_feed_bytes(s.protocol, "250 a\r\n250 stale\r\n", 18, 1), 0);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, &event), 0);
  session_write(&s);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(event.type, UVSMTP_EVENT_UNSOLICITED);
  assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), 1);
  session_free(&s);
}

static bool contains(const char *text, size_t len, const char *what)
{
  return memmem(text, len, what, strlen(what)) != NULL;
}

static void the_trace_shows_the_dialogue_and_no_secret(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  session_t s;
  uvsmtp_trace_t kind;
  uvsmtp_slice_t line;
  unsigned sent = 0, received = 0;
  bool auth = false;
  options.trace = true;
  session_ready(&s, &options, "250 AUTH PLAIN LOGIN");
  assert_int_equal(uvsmtp_protocol_authenticate(s.protocol, "PLAIN", "\0user\0pass", 10, &s), 0);
  session_written(&s, "AUTH PLAIN AHVzZXIAcGFzcw==\r\n");
  session_say(&s, "535 no");
  assert_int_equal(uvsmtp_protocol_authenticate(s.protocol, "LOGIN", NULL, 0, &s), 0);
  session_write(&s);
  session_say(&s, "334 UGFzc3dvcmQ6");
  assert_int_equal(uvsmtp_protocol_send_authentication_data(s.protocol, "pass", 4), 0);
  session_write(&s);
  while (uvsmtp_protocol_next_trace(s.protocol, &kind, &line)) {
    assert_false(contains(line.base, line.len, "AHVzZXIAcGFzcw"));
    assert_false(contains(line.base, line.len, "cGFzcw"));
    assert_false(contains(line.base, line.len, "\n"));
    auth |= kind == UVSMTP_TRACE_SENT && contains(line.base, line.len, "AUTH PLAIN");
    sent += kind == UVSMTP_TRACE_SENT;
    received += kind == UVSMTP_TRACE_RECEIVED;
  }
  assert_true(auth);
  assert_int_equal(sent, 4);     /* EHLO, AUTH PLAIN, AUTH LOGIN, the response */
  assert_int_equal(received, 5); /* 220, two lines of 250, 535, 334 */
  session_free(&s);
}

/* Sendmail and others repeat the line that they do not understand. */
static void a_secret_that_the_server_repeats_is_hidden(void **state)
{
  static const char *const replies[] = {
      "500 5.5.1 Command unrecognized: \"AUTH PLAIN AHVzZXIAcGFzcw==\"",
      "501 AHVzZXIAcGFzcw== and again AHVzZXIAcGFzcw==",
      "500 cut: AHVzZXIAcG",
  };
  for (size_t i = 0; i < 3; i++) {
    uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
    session_t s;
    uvsmtp_trace_t kind;
    uvsmtp_slice_t line;
    uvsmtp_event_t event;
    char line_of_reply[100], words[80];
    unsigned stars = 0;
    options.trace = true;
    session_ready(&s, &options, "250 AUTH PLAIN");
    assert_int_equal(uvsmtp_protocol_authenticate(s.protocol, "PLAIN", "\0user\0pass", 10, &s), 0);
    session_write(&s);
    snprintf(line_of_reply, sizeof(line_of_reply), "%s\r\n", replies[i]);
    uvsmtp_protocol_feed_bytes(s.protocol, line_of_reply, strlen(line_of_reply), s.now);
    assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
    uvsmtp_reply_text(&event.reply, words, sizeof(words));
    assert_null(strstr(words, "AHVzZXIA"));
    assert_null(strstr(words, "cGFzcw"));
    assert_non_null(strstr(words, "**********"));
    while (uvsmtp_protocol_next_trace(s.protocol, &kind, &line)) {
      assert_false(contains(line.base, line.len, "AHVzZXIA"));
      assert_false(contains(line.base, line.len, "cGFzcw"));
      stars += contains(line.base, line.len, "**********");
    }
    assert_int_equal(stars, 1);
    session_free(&s);
  }
}

static void credentials_are_wiped_from_the_output_once_sent(void **state)
{
  session_t s;
  uvsmtp_slice_t slice;
  session_ready(&s, NULL, "250 AUTH PLAIN");
  assert_int_equal(uvsmtp_protocol_authenticate(s.protocol, "PLAIN", "\0user\0pass", 10, &s), 0);
  assert_int_equal(uvsmtp_protocol_output(s.protocol, &slice, 1), 1);
  assert_true(contains(slice.base, slice.len, "AHVzZXIAcGFzcw"));
  uvsmtp_protocol_sent(s.protocol, slice.len, 1);
  /* The buffer is still the protocol's own, so its memory may be looked at. */
  assert_false(contains(slice.base, slice.len, "AHVzZXIAcGFzcw"));
  session_free(&s);
}

static void options_of_another_size_are_judged(void **state)
{
  uvsmtp_protocol_t *p;
  struct {
    uvsmtp_protocol_options_t known;
    uint64_t unknown;
  } newer = {.known = {.size = sizeof(newer)}, .unknown = 1};
  assert_int_equal(uvsmtp_protocol_new(&p, &newer.known, 0), UVSMTP_EOPTIONSIZE);
  newer.unknown = 0;
  assert_int_equal(uvsmtp_protocol_new(&p, &newer.known, 0), 0);
  uvsmtp_protocol_free(p);
  uvsmtp_protocol_free(NULL);
}

static void timeouts_can_be_changed_and_switched_off(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  session_t s;
  options.timeouts.greeting_ms = 10;
  options.timeouts.command_ms = UINT64_MAX;
  session_init(&s, &options);
  assert_int_equal(uvsmtp_protocol_deadline(s.protocol), 1010);
  session_free(&s);
  session_ready(&s, &options, NULL);
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
  session_write(&s);
  assert_int_equal(uvsmtp_protocol_deadline(s.protocol), UINT64_MAX);
  uvsmtp_protocol_expire(s.protocol, UINT64_MAX - 1);
  assert_int_equal(uvsmtp_protocol_state(s.protocol), UVSMTP_STATE_READY);
  session_free(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(output_is_counted_as_it_is_issued_and_sent),
      cmocka_unit_test(a_full_output_refuses_a_command_whole_and_takes_it_after_writing),
      cmocka_unit_test(a_full_output_takes_a_content_in_parts),
      cmocka_unit_test(slices_stay_in_place_until_sent),
      cmocka_unit_test(a_line_that_is_too_long_is_refused_whole),
      cmocka_unit_test(a_reply_of_a_thousand_lines_is_walked_line_by_line),
      cmocka_unit_test(bytes_are_not_taken_before_those_before_are_read_out),
      cmocka_unit_test(a_command_issued_between_events_is_not_answered_by_what_came_before),
      cmocka_unit_test(the_trace_shows_the_dialogue_and_no_secret),
      cmocka_unit_test(a_secret_that_the_server_repeats_is_hidden),
      cmocka_unit_test(credentials_are_wiped_from_the_output_once_sent),
      cmocka_unit_test(options_of_another_size_are_judged),
      cmocka_unit_test(timeouts_can_be_changed_and_switched_off),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
