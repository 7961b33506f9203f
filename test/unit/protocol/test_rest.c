/* Protocols that share settings, and those that are parked. */
#include "scarce.h"
#include "session.h"

/* A session like those before it; the reply to EHLO offers `keywords`. */
static void join(session_t *s, uvsmtp_protocol_settings_t *settings, const char *keywords)
{
  *s = (session_t){.now = 1000};
  assert_int_equal(uvsmtp_protocol_new_with(&s->protocol, settings, s->now), 0);
  session_greet(s, keywords);
}

static const uvsmtp_capabilities_t *offered(const session_t *s)
{
  return uvsmtp_protocol_capabilities(s->protocol);
}

static void what_servers_offer_alike_stands_once(void **state)
{
  uvsmtp_protocol_settings_t *settings;
  session_t a, b, other, last;
  assert_int_equal(uvsmtp_protocol_settings_new(&settings, NULL), 0);
  join(&a, settings, "250-SIZE 1000\r\n250 AUTH PLAIN");
  join(&b, settings, "250-SIZE 1000\r\n250 AUTH PLAIN");
  join(&other, settings, "250-SIZE 2000\r\n250 AUTH PLAIN");
  assert_ptr_equal(offered(&a), offered(&b));
  assert_ptr_not_equal(offered(&a), offered(&other));
  session_free(&a);
  assert_int_equal(offered(&b)->max_message_size, 1000);
  assert_int_equal(offered(&other)->max_message_size, 2000);
  session_free(&b);
  join(&last, settings, "250-SIZE 2000\r\n250 AUTH PLAIN");
  uvsmtp_protocol_settings_free(settings);
  assert_ptr_equal(offered(&last), offered(&other));
  session_free(&other);
  assert_string_equal(offered(&last)->auth_mechanisms, "PLAIN");
  assert_string_equal(uvsmtp_capabilities_find(offered(&last), "SIZE"), "2000");
  session_free(&last);
}

/* What is offered in the clear and what is offered with TLS are not taken for one another. */
static void an_offer_with_tls_is_another_one(void **state)
{
  const char *line = "250-mx.example\r\n250 STARTTLS";
  const uvsmtp_capabilities_t *clear[2], *secure[2];
  uvsmtp_protocol_settings_t *settings;
  session_t s[2];
  assert_int_equal(uvsmtp_protocol_settings_new(&settings, NULL), 0);
  for (int i = 0; i < 2; i++) {
    join(&s[i], settings, "250 STARTTLS");
    clear[i] = offered(&s[i]);
    assert_int_equal(clear[i]->extensions, UVSMTP_EXT_STARTTLS);
    assert_int_equal(uvsmtp_protocol_start_tls(s[i].protocol, NULL), 0);
    session_write(&s[i]);
    session_say(&s[i], "220 go");
    assert_int_equal(uvsmtp_protocol_tls_started(s[i].protocol), 0);
    assert_int_equal(offered(&s[i])->extensions, 0);
    assert_int_equal(uvsmtp_protocol_send_greeting(s[i].protocol, "c.example", false, NULL), 0);
    session_write(&s[i]);
    session_say(&s[i], line);
    secure[i] = offered(&s[i]);
    assert_int_equal(secure[i]->extensions, 0); /* STARTTLS again means nothing */
  }
  assert_ptr_equal(clear[0], clear[1]);
  assert_ptr_equal(secure[0], secure[1]);
  for (int i = 0; i < 2; i++)
    session_free(&s[i]);
  uvsmtp_protocol_settings_free(settings);
}

static void a_parked_protocol_is_one_block(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  uvsmtp_protocol_settings_t *settings;
  session_t first, second;
  scarce_t scarce;
  size_t held;
  scarce_init(&scarce, 0);
  options.mem = &scarce.mem;
  assert_int_equal(uvsmtp_protocol_settings_new(&settings, &options), 0);
  join(&first, settings, "250 PIPELINING");
  session_to_content(&first);
  assert_int_equal(uvsmtp_protocol_end_data(first.protocol, NULL), 0);
  session_write(&first);
  session_say(&first, "250 queued");
  uvsmtp_protocol_trim(first.protocol);
  held = scarce.held;
  join(&second, settings, "250 PIPELINING");
  uvsmtp_protocol_trim(second.protocol);
  assert_int_equal(scarce.held, held + 1);
  session_free(&first);
  session_free(&second);
  uvsmtp_protocol_settings_free(settings);
  assert_int_equal(scarce.held, 0);
}

static void a_parked_protocol_knows_what_it_knew(void **state)
{
  uvsmtp_last_reply_t last;
  uint64_t issued;
  session_t s;
  session_ready(&s, NULL, NULL);
  assert_int_equal(session_mail(&s, "a@x.example"), 0);
  session_written(&s, "MAIL FROM:<a@x.example>\r\n");
  session_say(&s, "450 4.2.1 later");
  issued = uvsmtp_protocol_issued(s.protocol);
  uvsmtp_protocol_trim(s.protocol);
  last = uvsmtp_protocol_last_reply(s.protocol);
  assert_int_equal(last.command, UVSMTP_COMMAND_MAIL);
  assert_int_equal(last.code, 450);
  assert_int_equal(last.enhanced[1], 2);
  assert_true(uvsmtp_protocol_issued(s.protocol) == issued);
  assert_true(uvsmtp_protocol_total_sent(s.protocol) == issued);
  uvsmtp_protocol_sent(s.protocol, 0, s.now);
  session_say(&s, "421 bye");
  assert_true(uvsmtp_protocol_is_closing(s.protocol));
  session_free(&s);
}

/* What was begun is not forgotten. */
static void a_content_and_a_reply_that_were_begun_go_on_after_a_trim(void **state)
{
  size_t taken;
  session_t s;
  session_ready(&s, NULL, NULL);
  session_to_content(&s);
  s.out_len = 0;
  uvsmtp_protocol_trim(s.protocol);
  assert_int_equal(uvsmtp_protocol_data(s.protocol, ".\r", 2, 0, &taken), 0);
  session_write(&s);
  uvsmtp_protocol_trim(s.protocol);
  assert_int_equal(uvsmtp_protocol_end_data(s.protocol, NULL), 0);
  session_written(&s, "..\r\n.\r\n");
  session_say(&s, "250 queued");
  session_feed(&s, "421 b", 5);
  uvsmtp_protocol_trim(s.protocol);
  session_say(&s, "ye");
  assert_int_equal(s.code, 421);
  assert_int_equal(s.errors, 0);
  session_free(&s);
}

static void a_reply_that_memory_refused_can_be_fed_again(void **state)
{
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  scarce_t scarce;
  session_t s;
  scarce_init(&scarce, 0);
  options.mem = &scarce.mem;
  session_ready(&s, &options, NULL);
  uvsmtp_protocol_trim(s.protocol);
  scarce.fail_at = scarce.count + 1;
  assert_int_equal(uvsmtp_protocol_feed_bytes(s.protocol, "421 bye\r\n", 9, s.now), UVSMTP_ENOMEM);
  assert_false(uvsmtp_protocol_is_closing(s.protocol));
  session_say(&s, "421 bye");
  assert_int_equal(s.code, 421);
  assert_true(uvsmtp_protocol_is_closing(s.protocol));
  session_free(&s);
  assert_int_equal(scarce.held, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_servers_offer_alike_stands_once),
      cmocka_unit_test(an_offer_with_tls_is_another_one),
      cmocka_unit_test(a_parked_protocol_is_one_block),
      cmocka_unit_test(a_parked_protocol_knows_what_it_knew),
      cmocka_unit_test(a_content_and_a_reply_that_were_begun_go_on_after_a_trim),
      cmocka_unit_test(a_reply_that_memory_refused_can_be_fed_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
