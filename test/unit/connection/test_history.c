/*
 * What connections to one server leave for the next, with real TLS engines and no loop: who
 * resumes, who waits, who is woken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../tls/pair.h"
#include "connection/history.h"
#include "tls/internal.h"

static uvsmtp_tls_context_t *client_context, *server_context;
static uvsmtp_history_t *history;

static uvsmtp_tls_context_t *make_context(const uvsmtp_tls_options_t *options)
{
  uvsmtp_tls_context_t *context;
  assert_int_equal(uvsmtp_tls_context_new(&context, options, NULL, 0), 0);
  return context;
}

static int set_up(void **state)
{
  uvsmtp_tls_options_t client = client_options(), server = server_options();
  client_context = make_context(&client);
  server_context = make_context(&server);
  return uvsmtp_history_new(&history, NULL);
}

static int tear_down(void **state)
{
  uvsmtp_history_free(history);
  uvsmtp_tls_context_free(client_context);
  uvsmtp_tls_context_free(server_context);
  return 0;
}

typedef struct guest_s {
  uvsmtp__visit_t visit;
  pair_t pair;
  int woken;
  bool may_go, resumed;
} guest_t;

static void on_wake(uvsmtp__visit_t *visit)
{
  guest_t *g = UVSMTP__CONTAINER(visit, guest_t, visit);
  g->woken++;
  g->may_go = uvsmtp__history_begin(visit, g->pair.client.tls, true);
}

static void arrive_with(guest_t *g, uvsmtp_tls_context_t *context, bool patient)
{
  memset(g, 0, sizeof(*g));
  assert_int_equal(uvsmtp_tls_new(&g->pair.client.tls, context, "mail.example.org"), 0);
  assert_int_equal(uvsmtp_tls_new(&g->pair.server.tls, server_context, NULL), 0);
  g->pair.client.handshake = g->pair.server.handshake = UVSMTP_PENDING;
  g->visit = (uvsmtp__visit_t){.history = history, .resumes = true, .wake = on_wake};
  g->may_go = uvsmtp__history_begin(&g->visit, g->pair.client.tls, patient);
}

static void arrive(guest_t *g)
{
  arrive_with(g, client_context, true);
}

/* The handshake, and the server's first words. */
static void shake_hands(guest_t *g)
{
  assert_true(g->may_go);
  shake(&g->pair);
  assert_int_equal(g->pair.client.handshake, 0);
  g->resumed = uvsmtp_tls_resumed(g->pair.client.tls);
  uvsmtp__history_shaken(&g->visit, g->pair.client.tls);
  send_all(&g->pair, &g->pair.server, &g->pair.client, &(uvsmtp_slice_t){"220 hello\r\n", 11}, 1);
  uvsmtp__history_learn(&g->visit, g->pair.client.tls, true);
}

static void leave(guest_t *g, bool tls_failed)
{
  uvsmtp__history_leave(&g->visit, tls_failed);
  uvsmtp_tls_free(g->pair.client.tls);
  uvsmtp_tls_free(g->pair.server.tls);
  free(g->pair.client.got);
  free(g->pair.server.got);
}

/* A whole visit; true if it resumed. */
static bool visit_with(uvsmtp_tls_context_t *context)
{
  guest_t g;
  arrive_with(&g, context, true);
  shake_hands(&g);
  leave(&g, false);
  return g.resumed;
}

static uvsmtp_history_info_t info(void)
{
  uvsmtp_history_info_t i = UVSMTP_HISTORY_INFO_INIT;
  assert_int_equal(uvsmtp_history_info(history, &i), 0);
  return i;
}

static void all_but_the_first_resume(void **state)
{
  assert_false(visit_with(client_context));
  for (int i = 0; i < 20; i++)
    assert_true(visit_with(client_context));
  assert_int_equal(info().tls_handshakes, 21);
  assert_int_equal(info().tls_resumptions, 20);
  assert_in_range(info().tls_sessions, 1, 8);
}

static void of_many_at_once_one_makes_the_full_handshake(void **state)
{
  enum { COUNT = 100 };
  guest_t *guests = calloc(COUNT, sizeof(*guests));
  for (int i = 0; i < COUNT; i++) {
    arrive(&guests[i]);
    assert_int_equal(guests[i].may_go, i == 0);
  }
  shake_hands(&guests[0]);
  for (int i = 1; i < COUNT; i++) {
    assert_int_equal(guests[i].woken, 1);
    shake_hands(&guests[i]);
    assert_true(guests[i].resumed);
  }
  for (int i = 0; i < COUNT; i++)
    leave(&guests[i], false);
  assert_int_equal(info().tls_resumptions, COUNT - 1);
  free(guests);
}

static void when_the_leader_fails_the_next_leads(void **state)
{
  guest_t first, second, third, fourth;
  arrive(&first);
  arrive(&second);
  arrive(&third);
  arrive(&fourth);
  leave(&third, false); /* gives up while it waits */
  leave(&first, true);
  assert_true(second.may_go);
  assert_int_equal(third.woken, 0);
  assert_false(fourth.may_go);
  shake_hands(&second);
  assert_true(fourth.may_go);
  shake_hands(&fourth);
  assert_true(fourth.resumed);
  leave(&second, false);
  leave(&fourth, false);
}

static void who_cannot_wait_any_longer_makes_a_full_handshake_too(void **state)
{
  guest_t first, second, third;
  arrive(&first);
  arrive(&third);
  arrive_with(&second, client_context, false);
  shake_hands(&second);
  assert_false(second.resumed);
  assert_true(third.may_go);
  leave(&first, true);
  shake_hands(&third);
  assert_true(third.resumed);
  leave(&second, false);
  leave(&third, false);
}

static void a_server_that_gives_no_session_is_not_waited_for(void **state)
{
  guest_t first, second, third;
  mbedtls_ssl_conf_session_tickets_cb(&server_context->conf, NULL, NULL, NULL);
  mbedtls_ssl_conf_session_cache(&server_context->conf, NULL, NULL, NULL);
  arrive(&first);
  arrive(&second);
  assert_false(second.may_go);
  shake_hands(&first);
  arrive(&third);
  if (info().tls_sessions == 0) { /* mbedTLS 2.28 gives session IDs that nobody keeps */
    assert_true(second.may_go);
    assert_true(third.may_go);
  }
  shake_hands(&second);
  shake_hands(&third);
  assert_false(second.resumed || third.resumed);
  leave(&first, false);
  leave(&second, false);
  leave(&third, false);
}

static void a_session_is_not_resumed_under_another_policy(void **state)
{
  uvsmtp_tls_options_t options = client_options();
  char pin[64];
  const char *pins[] = {pin};
  uvsmtp_tls_context_t *pinning;
  pin_of(&world.server, pin);
  options.pins = pins;
  options.pin_count = 1;
  pinning = make_context(&options);
  assert_false(visit_with(client_context));
  assert_false(visit_with(pinning));
  assert_true(visit_with(pinning));
  assert_false(visit_with(client_context));
  uvsmtp_tls_context_free(pinning);
}

static void a_connection_that_must_not_resume_is_only_counted(void **state)
{
  guest_t g;
  assert_false(visit_with(client_context));
  memset(&g, 0, sizeof(g));
  assert_int_equal(uvsmtp_tls_new(&g.pair.client.tls, client_context, "mail.example.org"), 0);
  assert_int_equal(uvsmtp_tls_new(&g.pair.server.tls, server_context, NULL), 0);
  g.pair.client.handshake = g.pair.server.handshake = UVSMTP_PENDING;
  g.visit = (uvsmtp__visit_t){.history = history, .resumes = false, .wake = on_wake};
  g.may_go = uvsmtp__history_begin(&g.visit, g.pair.client.tls, true);
  shake_hands(&g);
  assert_false(g.resumed);
  leave(&g, false);
  assert_int_equal(info().tls_handshakes, 2);
  assert_int_equal(info().tls_sessions, 1);
}

static void a_session_with_which_a_handshake_failed_is_not_offered_again(void **state)
{
  guest_t g;
  assert_false(visit_with(client_context));
  arrive(&g);
  assert_non_null(g.visit.offered);
  leave(&g, true);
  assert_int_equal(info().tls_sessions, 0);
  assert_false(visit_with(client_context));
}

static void a_refused_session_makes_way_for_the_new_one(void **state)
{
  uvsmtp_tls_options_t server = server_options();
  assert_false(visit_with(client_context));
  uvsmtp_tls_context_free(server_context);
  server_context = make_context(&server); /* a server that was restarted */
  assert_false(visit_with(client_context));
  assert_true(visit_with(client_context));
}

/* Whether what an engine was given can be offered `age` seconds later. */
static int offer_at_age(int64_t age, int64_t valid_for)
{
  guest_t g;
  uvsmtp_tls_session_t *session;
  uvsmtp_tls_t *next;
  int err;
  arrive_with(&g, client_context, false);
  g.visit.resumes = false;
  shake_hands(&g);
  assert_int_equal(uvsmtp_tls_session_get(g.pair.client.tls, &session), 0);
  session->check->checked_at -= age;
  session->check->not_after = (int64_t)time(NULL) + valid_for;
  assert_int_equal(uvsmtp_tls_new(&next, client_context, "mail.example.org"), 0);
  err = uvsmtp_tls_session_set(next, session);
  uvsmtp_tls_free(next);
  uvsmtp_tls_session_free(session);
  leave(&g, false);
  return err;
}

static void a_certificate_is_checked_anew_each_day_and_when_it_expires(void **state)
{
  enum { HOUR = 3600 };
  assert_int_equal(offer_at_age(0, HOUR), 0);
  assert_int_equal(offer_at_age(23 * HOUR, HOUR), 0);
  assert_int_equal(offer_at_age(25 * HOUR, HOUR), UVSMTP_EINVAL);
  assert_int_equal(offer_at_age(-HOUR, HOUR), UVSMTP_EINVAL); /* the clock was set back */
  assert_int_equal(offer_at_age(0, -1), UVSMTP_EINVAL);
}

static void resuming_does_not_make_a_check_any_younger(void **state)
{
  guest_t g;
  uvsmtp_tls_session_t *session;
  int64_t first;
  assert_false(visit_with(client_context));
  arrive(&g);
  assert_non_null(g.visit.offered);
  first = g.visit.offered->check->checked_at -= 1000;
  g.visit.resumes = false;
  shake_hands(&g);
  assert_true(g.resumed);
  assert_int_equal(uvsmtp_tls_session_get(g.pair.client.tls, &session), 0);
  assert_true(session->check->checked_at == first);
  uvsmtp_tls_session_free(session);
  leave(&g, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(all_but_the_first_resume),
      TEST(of_many_at_once_one_makes_the_full_handshake),
      TEST(when_the_leader_fails_the_next_leads),
      TEST(who_cannot_wait_any_longer_makes_a_full_handshake_too),
      TEST(a_server_that_gives_no_session_is_not_waited_for),
      TEST(a_session_is_not_resumed_under_another_policy),
      TEST(a_connection_that_must_not_resume_is_only_counted),
      TEST(a_session_with_which_a_handshake_failed_is_not_offered_again),
      TEST(a_refused_session_makes_way_for_the_new_one),
      TEST(a_certificate_is_checked_anew_each_day_and_when_it_expires),
      TEST(resuming_does_not_make_a_check_any_younger),
  };
  return cmocka_run_group_tests(tests, make_world, free_world);
}
