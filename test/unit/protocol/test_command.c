/* Lines of the dialogue: their bounds, and the trace of both sides. */
#include "session.h"

static void next_trace_is(session_t *s, char kind, const char *line)
{
  uvsmtp_trace_t got;
  uvsmtp_slice_t text;
  assert_true(uvsmtp_protocol_next_trace(s->protocol, &got, &text));
  if ((char)got != kind || text.len != strlen(line) || memcmp(text.base, line, text.len) != 0)
    fail_msg("%c \"%.*s\", not %c \"%s\"", (char)got, (int)text.len, text.base, kind, line);
}

static void the_trace_has_each_line_without_its_end(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  uvsmtp_trace_t kind;
  uvsmtp_slice_t line;
  session_t s;
  options.trace = true;
  session_ready(&s, &options, "250-DSN\r\n250 AUTH LOGIN PLAIN");
  while (uvsmtp_protocol_next_trace(s.protocol, &kind, &line)) {
  }
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
  assert_int_equal(uvsmtp_protocol_vrfy(s.protocol, "ann", NULL), 0);
  session_write(&s);
  session_feed(&s, "250-one\r\n250-\n250 x\r\r\n252\n", 26);
  next_trace_is(&s, UVSMTP_TRACE_SENT, "NOOP");
  next_trace_is(&s, UVSMTP_TRACE_SENT, "VRFY ann");
  next_trace_is(&s, UVSMTP_TRACE_RECEIVED, "250-one");
  next_trace_is(&s, UVSMTP_TRACE_RECEIVED, "250-");
  next_trace_is(&s, UVSMTP_TRACE_RECEIVED, "250 x\r");
  next_trace_is(&s, UVSMTP_TRACE_RECEIVED, "252");
  assert_false(uvsmtp_protocol_next_trace(s.protocol, &kind, &line));
  session_free(&s);
}

static void only_what_is_secret_is_blanked(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  uvsmtp_trace_t kind;
  uvsmtp_slice_t line;
  session_t s;
  options.trace = true;
  session_ready(&s, &options, "250 AUTH LOGIN PLAIN");
  while (uvsmtp_protocol_next_trace(s.protocol, &kind, &line)) {
  }
  assert_int_equal(uvsmtp_protocol_authenticate(s.protocol, "LOGIN", NULL, 0, NULL), 0);
  next_trace_is(&s, UVSMTP_TRACE_SENT, "AUTH LOGIN");
  session_write(&s);
  session_say(&s, "334 VXNlcm5hbWU6");
  next_trace_is(&s, UVSMTP_TRACE_RECEIVED, "334 VXNlcm5hbWU6");
  assert_int_equal(uvsmtp_protocol_send_authentication_data(s.protocol, "ann", 3), 0);
  next_trace_is(&s, UVSMTP_TRACE_SENT, "[secret]");
  session_free(&s);
}

/* Who does not read the trace is told that some of it is missing. */
static void a_trace_that_nobody_reads_is_bounded_and_says_what_is_missing(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  uvsmtp_trace_t kind;
  uvsmtp_slice_t line;
  session_t s;
  size_t lines = 0;
  bool told = false;
  options.trace = true;
  session_ready(&s, &options, NULL);
  for (unsigned i = 0; i < 60000; i++) {
    assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
    if (i % 100 == 99)
      session_write(&s);
  }
  while (uvsmtp_protocol_next_trace(s.protocol, &kind, &line)) {
    lines++;
    told |= line.len > 10 && memcmp(line.base, "[some lines", 11) == 0;
  }
  assert_true(told);
  assert_in_range(lines, 100, 59999);
  session_free(&s);
}

static void a_mechanism_has_a_name_of_one_to_twenty_characters(void **state)
{
  static const struct {
    const char *name;
    int err;
  } rows[] = {{"", UVSMTP_EINVAL},
              {"A2345678901234567890", UVSMTP_EMECHANISM},
              {"A23456789012345678901", UVSMTP_EINVAL}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    session_t s;
    int err;
    session_ready(&s, NULL, "250 AUTH PLAIN");
    err = uvsmtp_protocol_authenticate(s.protocol, rows[i].name, NULL, 0, NULL);
    if (err != rows[i].err)
      fail_msg("\"%s\": %d", rows[i].name, err);
    session_free(&s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_trace_has_each_line_without_its_end),
      cmocka_unit_test(only_what_is_secret_is_blanked),
      cmocka_unit_test(a_trace_that_nobody_reads_is_bounded_and_says_what_is_missing),
      cmocka_unit_test(a_mechanism_has_a_name_of_one_to_twenty_characters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
