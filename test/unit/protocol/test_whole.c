/* A flight that is answered at once, all of it well: what has to be so that it counts as that. */
#include "edge.h"
#include "session.h"

#include "protocol/machine.h"

#define KEYWORDS "250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 5000"

static const uvsmtp_slice_t content = {"Hi\r\nHo\r\n", 8};

/* Yes to all of a flight. */
static const char yes[] =
    "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 Ok: queued as 42\r\n";

/* Lines as long as those may be that are taken as a whole. */
static const char longest[] = "250 2.0.0 Ok for me\n250 2.1.0 Ok for me\n250 2.1.5 Ok for me\n";

static void feed_yes(session_t *s)
{
  uvsmtp_protocol_feed_bytes(s->protocol, yes, sizeof(yes) - 1, s->now);
}

static void read_out(session_t *s)
{
  uvsmtp_event_t event;
  while (uvsmtp_protocol_next_event(s->protocol, &event))
    assert_int_equal(event.type, UVSMTP_EVENT_REPLY);
}

static void fly(uvsmtp_protocol_t *p)
{
  static const uvsmtp_mail_needs_t needs = {.size = 8};
  uvsmtp_recipient_t recipient = {.address = "b@y.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_flight_t flight = {
      .envelope = &envelope, .needs = &needs, .slices = &content, .count = 1, .reset = true};
  envelope.sender = "a@x.example";
  envelope.recipients = &recipient;
  envelope.recipient_count = 1;
  assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
  assert_int_equal(uvsmtp_protocol_flight(p, &flight), 0);
}

static void a_flight_of_which_a_part_was_sent_cannot_have_gone_well(void **state)
{
  for (size_t missing = 0; missing <= 9; missing++) {
    uvsmtp_event_t event;
    session_t s;
    session_ready(&s, NULL, KEYWORDS);
    fly(s.protocol); /* the sender is not known yet */
    session_write(&s);
    feed_yes(&s);
    read_out(&s);
    fly(s.protocol);
    uvsmtp_protocol_sent(s.protocol, uvsmtp_protocol_output_len(s.protocol) - missing, s.now);
    feed_yes(&s);
    assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
    assert_int_equal(event.type, missing == 0  ? UVSMTP_EVENT_REPLY
                                 : missing < 9 ? UVSMTP_EVENT_ERROR
                                               : UVSMTP_EVENT_UNSOLICITED);
    session_free(&s);
  }
}

static void chunks_before_a_flight_are_forgotten(void **state)
{
  static const char accepted[] = "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 8 octets\r\n";
  uvsmtp_recipient_t recipient = {.address = "b@y.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_event_t event;
  session_t s;
  envelope.sender = "a@x.example";
  session_ready(&s, NULL, KEYWORDS);
  assert_int_equal(uvsmtp_protocol_mail(s.protocol, &envelope, NULL, NULL), 0);
  assert_int_equal(uvsmtp_protocol_recipient(s.protocol, &recipient, NULL), 0);
  assert_int_equal(uvsmtp_protocol_chunk(s.protocol, &content, 1, false, NULL), 0);
  fly(s.protocol);
  session_write(&s);
  uvsmtp_protocol_feed_bytes(s.protocol, accepted, sizeof(accepted) - 1, s.now);
  read_out(&s);
  feed_yes(&s);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(event.command, UVSMTP_COMMAND_BDAT_LAST);
  assert_false(s.protocol->chunks_begun);
  session_free(&s);
}

static void what_answers_no_flight_is_unsolicited(void **state)
{
  /* Places of the queue are used again, and given back. */
  for (size_t flights = 0; flights < 20; flights++) {
    uvsmtp_event_t event;
    session_t s;
    session_ready(&s, NULL, KEYWORDS);
    for (size_t i = 0; i < flights; i++) {
      fly(s.protocol);
      session_write(&s);
      feed_yes(&s);
      read_out(&s);
    }
    if (flights % 3 == 0)
      uvsmtp_protocol_trim(s.protocol);
    feed_yes(&s);
    assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
    assert_int_equal(event.type, UVSMTP_EVENT_UNSOLICITED);
    session_free(&s);
  }
}

static void after_its_end_a_session_reads_no_more(void **state)
{
  uvsmtp_event_t event;
  session_t s;
  session_ready(&s, NULL, KEYWORDS);
  for (size_t i = 0; i < 3; i++)
    fly(s.protocol);
  session_write(&s);
  feed_yes(&s);
  read_out(&s);
  feed_yes(&s);
  uvsmtp_protocol_expire(s.protocol, uvsmtp_protocol_deadline(s.protocol));
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(event.type, UVSMTP_EVENT_ERROR);
  assert_int_equal(event.err, UVSMTP_ETIMEOUT);
  session_free(&s);
}

/* A session in which one flight was answered, and another one has left. */
static void fly_twice(session_t *s)
{
  session_ready(s, NULL, KEYWORDS);
  fly(s->protocol);
  session_write(s);
  feed_yes(s);
  read_out(s);
  fly(s->protocol);
  session_write(s);
}

static void what_has_not_come_is_not_read(void **state)
{
  static const char *const ends[] = {"250 2.0.0 Ok\r\n", "250 2.0.0 Ok: queued as 42\r\n",
                                     "250 2.0.0 Ok: queued as 4242424242424242\r\n"};
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
    size_t len = sizeof(longest) - 1 + strlen(ends[i]);
    uvsmtp_event_t event;
    char text[128];
    session_t s;
    snprintf(text, sizeof(text), "%s%s", longest, ends[i]);
    fly_twice(&s);
    uvsmtp_protocol_feed_bytes(s.protocol, text, len - 1, s.now);
    assert_false(uvsmtp_protocol_next_event(s.protocol, &event));
    uvsmtp_protocol_feed_bytes(s.protocol, text + len - 1, 1, s.now);
    assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
    assert_int_equal(event.reply.raw.len, strlen(ends[i]));
    assert_false(uvsmtp_protocol_next_event(s.protocol, &event));
    session_free(&s);
  }
}

/* Whatever the length of the lines, and wherever they are cut. */
static void no_octet_behind_what_was_fed_is_looked_at(void **state)
{
  edge_t edge = edge_new();
  for (size_t at = 0; at < 24 * 24; at++) {
    uvsmtp_event_t event;
    char text[128];
    session_t s;
    size_t width = 9 + at / 24, len;
    len = (size_t)snprintf(text, sizeof(text), "250 %0*d\n250 %0*d\n250 %0*d\n250 Ok\n",
                           (int)width - 5, 0, (int)width - 5, 0, (int)width - 5, 0);
    len = 3 * width < len - at % 24 ? len - at % 24 : 3 * width;
    fly_twice(&s);
    uvsmtp_protocol_feed_bytes(s.protocol, edge_put(&edge, text, len), len, s.now);
    while (uvsmtp_protocol_next_event(s.protocol, &event))
      assert_int_equal(event.command, UVSMTP_COMMAND_BDAT_LAST);
    session_free(&s);
  }
  edge_free(&edge);
}

static void lines_that_are_too_long_are_that_here_too(void **state)
{
  for (size_t max = 13; max <= 22; max++) {
    uvsmtp_event_t event;
    char text[128];
    session_t s;
    int len = snprintf(text, sizeof(text), "%s250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n", longest);
    session_ready(&s, NULL, KEYWORDS);
    fly(s.protocol);
    session_write(&s);
    feed_yes(&s);
    read_out(&s);
    s.protocol->shared->options.max_reply_line = s.protocol->talk->reader.max_single = max;
    fly(s.protocol);
    assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
    session_write(&s);
    uvsmtp_protocol_feed_bytes(s.protocol, text, (size_t)len, s.now);
    assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
    assert_int_equal(event.type, max < 20 ? UVSMTP_EVENT_ERROR : UVSMTP_EVENT_REPLY);
    session_free(&s);
  }
}

static void a_reply_that_had_begun_is_ended_first(void **state)
{
  static const char first[] = "250-2.0.0 Ok\r\n", last[] = "250 2.0.0 Ok\r\n";
  uvsmtp_event_t event;
  session_t s;
  session_ready(&s, NULL, KEYWORDS);
  for (size_t i = 0; i < 2; i++) {
    fly(s.protocol);
    session_write(&s);
    uvsmtp_protocol_feed_bytes(s.protocol, first, i * (sizeof(first) - 1), s.now);
    assert_false(uvsmtp_protocol_next_event(s.protocol, &event));
    feed_yes(&s);
    read_out(&s);
  }
  assert_int_equal(uvsmtp_protocol_noop(s.protocol, NULL), 0);
  session_write(&s);
  uvsmtp_protocol_feed_bytes(s.protocol, last, sizeof(last) - 1, s.now);
  assert_true(uvsmtp_protocol_next_event(s.protocol, &event));
  assert_int_equal(event.reply.lines, 1);
  session_free(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_flight_of_which_a_part_was_sent_cannot_have_gone_well),
      cmocka_unit_test(chunks_before_a_flight_are_forgotten),
      cmocka_unit_test(what_answers_no_flight_is_unsolicited),
      cmocka_unit_test(what_has_not_come_is_not_read),
      cmocka_unit_test(no_octet_behind_what_was_fed_is_looked_at),
      cmocka_unit_test(lines_that_are_too_long_are_that_here_too),
      cmocka_unit_test(a_reply_that_had_begun_is_ended_first),
      cmocka_unit_test(after_its_end_a_session_reads_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
