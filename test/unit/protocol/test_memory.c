/* Memory that runs out at each allocation of a whole session: an error, never a leak or a crash. */
#include "scarce.h"
#include "session.h"

/* The whole session; stops at the first refusal. True if it came to its end. */
static bool live(uvsmtp_protocol_t *p, int *err)
{
  static char big[3000], body[] = "Hi\r\n.\r\n", token[600];
  static const uvsmtp_slice_t chunk = {big, sizeof(big)};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_recipient_t recipient = {.address = "b@y.example", .orcpt = "rfc822;b@y.example"};
  const char *const said[] = {
      "220 mx.example\r\n",
      "250-mx.example\r\n250-AUTH XOAUTH2\r\n250-CHUNKING\r\n250-DSN\r\n250 PIPELINING\r\n",
      "334 \r\n",
      "334 ZXJyb3I=\r\n",
      "235 ok\r\n",
      "250 ok\r\n250 ok\r\n354 go\r\n",
      "250 queued\r\n",
      "250 ok\r\n250 ok\r\n250 queued\r\n",
      "421 and what I say is broken\r\nin two\r\n"};
  uvsmtp_event_t event;
  uvsmtp_slice_t slices[32];
  size_t taken, count;
  envelope.sender = "a@x.example";
  envelope.envid = "a+b";
  for (size_t step = 0; step < COUNT(said); step++) {
    const char *cut = said[step] + strlen(said[step]) / 2;
    if ((*err = uvsmtp_protocol_feed_bytes(p, said[step], (size_t)(cut - said[step]), 1)) != 0)
      return false;
    while (uvsmtp_protocol_next_event(p, &event))
      if (event.type == UVSMTP_EVENT_ERROR)
        return *err = event.err, event.err != UVSMTP_ENOMEM;
    uvsmtp_protocol_feed_bytes(p, cut, strlen(cut), 1);
    while (uvsmtp_protocol_next_event(p, &event))
      if (event.type == UVSMTP_EVENT_ERROR)
        return *err = event.err, event.err != UVSMTP_ENOMEM;
    switch (step) {
    case 0:
      *err = uvsmtp_protocol_send_greeting(p, "client.example", false, p);
      break;
    case 1:
      *err = uvsmtp_protocol_authenticate(p, "XOAUTH2", token, sizeof(token), p);
      break;
    case 3:
      *err = uvsmtp_protocol_send_authentication_data(p, "", 0);
      break;
    case 4:
    case 6:
      (void)((*err = uvsmtp_protocol_mail(p, &envelope, NULL, p)) != 0 ||
             (*err = uvsmtp_protocol_recipient(p, &recipient, p)) != 0 ||
             (*err = step == 4 ? uvsmtp_protocol_start_data(p, p)
                               : uvsmtp_protocol_chunk(p, &chunk, 1, true, p)) != 0);
      break;
    case 5:
      (void)((*err = uvsmtp_protocol_data(p, body, strlen(body), 0, &taken)) != 0 ||
             (*err = uvsmtp_protocol_end_data(p, p)) != 0);
      break;
    default:
      break;
    }
    if (*err != 0)
      return false;
    while ((count = uvsmtp_protocol_output(p, slices, COUNT(slices))) > 0)
      uvsmtp_protocol_sent(p, slices[0].len, 1);
    if (step == 7)
      uvsmtp_protocol_trim(p);
  }
  return true;
}

static void running_out_of_memory_is_an_error_wherever_it_happens(void **state)
{
  bool done = false;
  size_t fail_at;
  for (fail_at = 1; !done && fail_at < 1000; fail_at++) {
    scarce_t scarce;
    uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
    uvsmtp_protocol_t *p;
    int err;
    scarce_init(&scarce, fail_at);
    options.mem = &scarce.mem;
    options.trace = true;
    err = uvsmtp_protocol_new(&p, &options, 1);
    if (err == 0)
      done = live(p, &err) && scarce.count < fail_at;
    if (!done && err != UVSMTP_ENOMEM && scarce.count >= fail_at && err != 0)
      fail_msg("allocation %zu: %s instead of ENOMEM", fail_at, uvsmtp_err_name(err));
    uvsmtp_protocol_free(p);
    assert_int_equal(scarce.held, 0);
  }
  assert_true(done);
  assert_in_range(fail_at, 8, 999);
}

/* A command that failed for want of memory is not half there: it can be issued again. */
static void a_command_that_memory_refused_can_be_issued_again(void **state)
{
  for (size_t fail_at = 1; fail_at < 20; fail_at++) {
    scarce_t scarce;
    uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
    session_t s;
    scarce_init(&scarce, 0);
    options.mem = &scarce.mem;
    session_ready(&s, &options, NULL);
    uvsmtp_protocol_trim(s.protocol);
    scarce.fail_at = scarce.count + fail_at;
    int err = session_mail(&s, "a@x.example");
    if (err != 0) {
      assert_int_equal(err, UVSMTP_ENOMEM);
      assert_int_equal(uvsmtp_protocol_output_len(s.protocol), 0);
      assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), 0);
      assert_int_equal(session_mail(&s, "a@x.example"), 0);
    }
    session_written(&s, "MAIL FROM:<a@x.example>\r\n");
    session_free(&s);
    assert_int_equal(scarce.held, 0);
  }
}

/* A flight that failed for want of memory leaves nothing behind, and can be issued again. */
static void a_flight_that_memory_refused_can_be_issued_again(void **state)
{
  static const uvsmtp_slice_t chunk = {"Hi\r\n", 4};
  static const uvsmtp_recipient_t recipient = {.address = "b@y.example"};
  static const uvsmtp_mail_needs_t needs = {.size = 4};
  unsigned refused = 0;
  for (size_t fail_at = 1; fail_at < 20; fail_at++) {
    scarce_t scarce;
    uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_flight_t flight = {&envelope, &needs, &chunk, 1, false, NULL, NULL, 0};
    session_t s;
    scarce_init(&scarce, 0);
    options.mem = &scarce.mem;
    envelope.sender = "a@x.example";
    envelope.recipients = &recipient;
    envelope.recipient_count = 1;
    session_ready(&s, &options, "250-PIPELINING\r\n250 CHUNKING");
    /* More than can ever fly: they are not to wait for room. */
    envelope.recipient_count = 70000;
    assert_int_equal(uvsmtp_protocol_flight(s.protocol, &flight), UVSMTP_ETOOLONG);
    envelope.recipient_count = 1;
    uvsmtp_protocol_trim(s.protocol);
    scarce.fail_at = scarce.count + fail_at;
    int err = uvsmtp_protocol_flight(s.protocol, &flight);
    if (err != 0) {
      refused++;
      assert_int_equal(err, UVSMTP_ENOMEM);
      assert_int_equal(uvsmtp_protocol_output_len(s.protocol), 0);
      assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), 0);
      assert_int_equal(uvsmtp_protocol_flight(s.protocol, &flight), 0);
    }
    session_written(&s,
                    "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nBDAT 4 LAST\r\nHi\r\n");
    session_free(&s);
    assert_int_equal(scarce.held, 0);
  }
  assert_in_range(refused, 3, 10);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(running_out_of_memory_is_an_error_wherever_it_happens),
      cmocka_unit_test(a_command_that_memory_refused_can_be_issued_again),
      cmocka_unit_test(a_flight_that_memory_refused_can_be_issued_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
