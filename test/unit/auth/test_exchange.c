/* The coroutine: waiting, resuming, cancelling, and a mechanism of the user's own. */
#include "peer.h"

/*
 * A mechanism that asks a service in the middle of its dialogue:
 * C: hello, S: anything, (asks), C: the service's answer, S: final.
 */
typedef struct asking_s {
  char answer[16];
} asking_t;

/* What the service and the test see from outside. */
typedef struct service_s {
  uvsmtp_exchange_t *asked; /* held until the service answers */
  asking_t *state;
  int at_once;         /* answer inside of step: 1 */
  uint64_t timeout_ms; /* 0: as it is */
  unsigned cancels, cleanups, frees, steps;
  peer_t *closes;       /* ends this connection inside of step */
  int resume_in_cancel; /* what resume returned there; 1: not called */
} service_t;

static int ask(uvsmtp_exchange_t *exchange, asking_t *state)
{
  service_t *service = uvsmtp_exchange_data(exchange);
  service->asked = uvsmtp_exchange_acquire(exchange);
  service->state = state;
  if (service->timeout_ms != 0)
    uvsmtp_exchange_set_timeout(exchange, service->timeout_ms);
  if (service->closes != NULL)
    peer_end(service->closes);
  if (service->at_once) {
    strcpy(state->answer, "at once");
    assert_int_equal(uvsmtp_exchange_resume(exchange, 0), 0);
  }
  return UVSMTP_PENDING;
}

static int asking_step(uvsmtp_exchange_t *exchange, void *opaque, uvsmtp_slice_t challenge)
{
  asking_t *state = opaque;
  service_t *service = uvsmtp_exchange_data(exchange);
  int err;
  service->steps++;
  UVSMTP_CO_BEGIN(exchange);
  err = uvsmtp_exchange_respond(exchange, "hello", 5);
  if (err != 0)
    return err;
  UVSMTP_CO_SEND();
  UVSMTP_CO_AWAIT(err, ask(exchange, state));
  if (err != 0)
    return uvsmtp_exchange_fail(exchange, err, "nobody answered");
  /* The challenge is still there after the wait. */
  err = uvsmtp_exchange_respond(exchange, challenge.base, challenge.len);
  if (err == 0)
    err = uvsmtp_exchange_respond(exchange, state->answer, strlen(state->answer));
  if (err != 0)
    return err;
  UVSMTP_CO_END();
}

static void asking_cancel(uvsmtp_exchange_t *exchange, void *opaque)
{
  service_t *service = uvsmtp_exchange_data(exchange);
  service->cancels++;
  service->resume_in_cancel = uvsmtp_exchange_resume(exchange, UVSMTP_ECANCELED);
}

static void asking_cleanup(uvsmtp_exchange_t *exchange, void *opaque)
{
  ((service_t *)uvsmtp_exchange_data(exchange))->cleanups++;
}

static void service_free(void *data)
{
  ((service_t *)data)->frees++;
}

static const uvsmtp_mechanism_t asking = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "X-ASKING",
    .flags = UVSMTP_AUTH_CLIENT_FIRST,
    .state_size = sizeof(asking_t),
    .step = asking_step,
    .cancel = asking_cancel,
    .cleanup = asking_cleanup,
    .free_data = service_free,
};

typedef struct fixture_s {
  service_t service;
  uvsmtp_auth_t *auth;
  peer_t peer;
} fixture_t;

static void begin(fixture_t *f)
{
  *f = (fixture_t){.service = {.resume_in_cancel = 1}};
  peer_init(&f->peer);
  assert_int_equal(uvsmtp_auth_custom_new(&f->auth, &asking, &f->service, NULL), 0);
  assert_int_equal(peer_start(&f->peer, f->auth, "X-ASKING"), 0);
  assert_response_text(&f->peer, "hello");
}

static void begin_suspended(fixture_t *f)
{
  begin(f);
  assert_int_equal(peer_challenge(&f->peer, "ch-"), UVSMTP_PENDING);
  assert_null(f->peer.response.base);
}

/* The service answers, if it is still wanted. */
static int service_answers(service_t *service, int result)
{
  int err;
  strcpy(service->state->answer, "answer");
  err = uvsmtp_exchange_resume(service->asked, result);
  uvsmtp_exchange_release(service->asked);
  service->asked = NULL;
  return err;
}

static void finish_fixture(fixture_t *f)
{
  peer_end(&f->peer);
  uvsmtp_exchange_release(f->service.asked);
  uvsmtp_auth_free(f->auth);
  assert_int_equal(f->service.cleanups, 1);
  assert_int_equal(f->service.frees, 1);
}

static void a_suspended_step_goes_on_after_resume(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  assert_int_equal(peer_continue(&f.peer), UVSMTP_PENDING);
  assert_int_equal(f.service.steps, 2);
  assert_int_equal(service_answers(&f.service, 0), 0);
  assert_int_equal(f.peer.wakes, 1);
  assert_int_equal(peer_continue(&f.peer), 0);
  assert_response_text(&f.peer, "ch-answer");
  assert_int_equal(peer_challenge(&f.peer, "more"), UVSMTP_EAUTHCHALLENGE);
  assert_int_equal(f.service.cancels, 0);
  finish_fixture(&f);
}

static void an_answer_inside_of_step_needs_no_wake(void **state)
{
  fixture_t f;
  begin(&f);
  f.service.at_once = 1;
  assert_int_equal(peer_challenge(&f.peer, ""), 0);
  assert_response_text(&f.peer, "at once");
  assert_int_equal(f.peer.wakes, 0);
  finish_fixture(&f);
}

static void a_second_resume_has_no_effect(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  assert_int_equal(uvsmtp_exchange_resume(f.service.asked, 0), 0);
  assert_int_equal(uvsmtp_exchange_resume(f.service.asked, UVSMTP_EAUTHTOKEN), UVSMTP_ESTATE);
  assert_int_equal(f.peer.wakes, 1);
  assert_int_equal(peer_continue(&f.peer), 0);
  assert_int_equal(uvsmtp_exchange_resume(f.service.asked, 0), UVSMTP_ESTATE);
  assert_int_equal(f.peer.wakes, 1);
  finish_fixture(&f);
}

static void a_resume_with_an_error_reaches_the_step(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  assert_int_equal(service_answers(&f.service, UVSMTP_ECONNECT), 0);
  assert_int_equal(peer_continue(&f.peer), UVSMTP_ECONNECT);
  assert_string_equal(uvsmtp_exchange_detail(f.peer.exchange), "nobody answered");
  assert_int_equal(peer_continue(&f.peer), UVSMTP_ECONNECT);
  assert_int_equal(peer_finish(&f.peer, 501, "cancelled"), UVSMTP_ECONNECT);
  finish_fixture(&f);
}

static void a_service_may_fail_the_exchange_itself(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  assert_int_equal(uvsmtp_exchange_fail(f.service.asked, UVSMTP_ERESOLVE, "no such service"),
                   UVSMTP_ERESOLVE);
  assert_int_equal(f.peer.wakes, 1);
  assert_int_equal(peer_continue(&f.peer), UVSMTP_ERESOLVE);
  assert_string_equal(uvsmtp_exchange_detail(f.peer.exchange), "no such service");
  assert_int_equal(f.service.steps, 2);
  assert_int_equal(service_answers(&f.service, 0), UVSMTP_ECANCELED);
  assert_int_equal(f.peer.wakes, 1);
  finish_fixture(&f);
}

static void cancelling_tells_the_mechanism_and_a_late_resume_is_harmless(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  uvsmtp_exchange_cancel(f.peer.exchange);
  uvsmtp_exchange_cancel(f.peer.exchange);
  assert_int_equal(f.service.cancels, 1);
  assert_int_equal(f.service.resume_in_cancel, UVSMTP_ECANCELED);
  assert_int_equal(peer_continue(&f.peer), UVSMTP_ECANCELED);
  assert_int_equal(service_answers(&f.service, 0), UVSMTP_ECANCELED);
  assert_int_equal(f.peer.wakes, 0);
  assert_int_equal(peer_finish(&f.peer, 501, NULL), UVSMTP_ECANCELED);
  finish_fixture(&f);
}

static void a_connection_lost_while_suspended_leaves_the_state_to_the_service(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  peer_end(&f.peer);
  assert_int_equal(f.service.cancels, 1);
  assert_int_equal(f.service.cleanups, 0);
  uvsmtp_auth_free(f.auth);
  assert_int_equal(f.service.frees, 0);
  assert_int_equal(service_answers(&f.service, 0), UVSMTP_ECANCELED);
  assert_int_equal(f.service.cleanups, 1);
  assert_int_equal(f.service.frees, 1);
  assert_int_equal(f.peer.wakes, 0);
}

static void a_connection_closed_inside_of_step_is_cancelled(void **state)
{
  fixture_t f;
  uvsmtp_exchange_t *exchange;
  uvsmtp_slice_t challenge = uvsmtp_slice("x"), response;
  begin(&f);
  exchange = f.peer.exchange;
  f.service.closes = &f.peer;
  assert_int_equal(uvsmtp_exchange_step(exchange, 0, &challenge, &response), UVSMTP_ECANCELED);
  assert_null(response.base);
  assert_int_equal(f.service.cancels, 1);
  assert_int_equal(service_answers(&f.service, 0), UVSMTP_ECANCELED);
  finish_fixture(&f);
}

static void a_suspension_ends_at_its_deadline_with_a_timeout(void **state)
{
  static const struct {
    uint64_t timeout_ms, want_ms;
  } rows[] = {{0, 61000}, {5000, 6000}, {120000, 121000}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    fixture_t f;
    begin(&f);
    f.service.timeout_ms = rows[i].timeout_ms;
    assert_int_equal(uvsmtp_exchange_deadline(f.peer.exchange), UINT64_MAX);
    f.peer.now_ms = 1000;
    assert_int_equal(peer_challenge(&f.peer, "x"), UVSMTP_PENDING);
    assert_int_equal(uvsmtp_exchange_deadline(f.peer.exchange), rows[i].want_ms);
    f.peer.now_ms = rows[i].want_ms - 1;
    assert_int_equal(peer_continue(&f.peer), UVSMTP_PENDING);
    f.peer.now_ms = rows[i].want_ms;
    assert_int_equal(peer_continue(&f.peer), UVSMTP_ETIMEOUT);
    assert_int_equal(f.service.cancels, 1);
    assert_int_equal(f.service.resume_in_cancel, UVSMTP_ESTATE);
    assert_string_equal(uvsmtp_exchange_detail(f.peer.exchange), "nobody answered");
    assert_int_equal(service_answers(&f.service, 0), UVSMTP_ECANCELED);
    finish_fixture(&f);
  }
}

static void a_suspension_may_last_for_ever(void **state)
{
  fixture_t f;
  begin(&f);
  f.service.timeout_ms = UINT64_MAX;
  f.peer.now_ms = 5;
  assert_int_equal(peer_challenge(&f.peer, "x"), UVSMTP_PENDING);
  assert_int_equal(uvsmtp_exchange_deadline(f.peer.exchange), UINT64_MAX);
  f.peer.now_ms = UINT64_MAX - 1;
  assert_int_equal(peer_continue(&f.peer), UVSMTP_PENDING);
  finish_fixture(&f);
}

static void steps_out_of_order_change_nothing(void **state)
{
  fixture_t f;
  uvsmtp_auth_t *auth;
  uvsmtp_exchange_t *exchange;
  uvsmtp_slice_t challenge = uvsmtp_slice("x"), response;
  uvsmtp_auth_options_t options = user_options("u", "p");
  begin(&f);
  assert_int_equal(peer_continue(&f.peer), UVSMTP_ESTATE);
  assert_int_equal(peer_challenge(&f.peer, "ch-"), UVSMTP_PENDING);
  assert_int_equal(peer_challenge(&f.peer, "other"), UVSMTP_ESTATE);
  assert_int_equal(service_answers(&f.service, 0), 0);
  assert_int_equal(peer_challenge(&f.peer, "other"), UVSMTP_ESTATE);
  assert_int_equal(peer_continue(&f.peer), 0);
  assert_response_text(&f.peer, "ch-answer");
  assert_int_equal(peer_finish(&f.peer, 235, NULL), 0);
  assert_int_equal(peer_finish(&f.peer, 235, NULL), UVSMTP_ESTATE);
  assert_int_equal(peer_challenge(&f.peer, "x"), UVSMTP_ESTATE);
  finish_fixture(&f);
  assert_int_equal(uvsmtp_auth_login_new(&auth, &options), 0);
  assert_int_equal(uvsmtp_exchange_new(&exchange, auth, &f.peer.context), UVSMTP_EMECHANISM);
  f.peer.context.mechanism = NULL;
  assert_int_equal(uvsmtp_exchange_new(&exchange, auth, &f.peer.context), 0);
  assert_int_equal(uvsmtp_exchange_step(exchange, 0, &challenge, &response), UVSMTP_ESTATE);
  uvsmtp_exchange_free(exchange);
  uvsmtp_auth_free(auth);
}

static void a_final_reply_while_suspended_tells_the_mechanism(void **state)
{
  fixture_t f;
  begin_suspended(&f);
  assert_int_equal(peer_finish(&f.peer, 421, "bye"), UVSMTP_EAUTHTEMPORARY);
  assert_int_equal(f.service.cancels, 1);
  assert_int_equal(service_answers(&f.service, 0), UVSMTP_ECANCELED);
  finish_fixture(&f);
}

/* ---- Endless servers ---- */

static int parrot_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  return uvsmtp_exchange_respond(exchange, challenge.base, challenge.len);
}

static uvsmtp_auth_t *parrot_new(void)
{
  const uvsmtp_mechanism_t parrot = {
      .size = sizeof(uvsmtp_mechanism_t), .name = "PARROT", .step = parrot_step};
  uvsmtp_auth_t *auth = NULL;
  assert_int_equal(uvsmtp_auth_custom_new(&auth, &parrot, NULL, NULL), 0);
  return auth;
}

static void the_number_of_challenges_is_bounded(void **state)
{
  static const unsigned bounds[] = {0, 3};
  uvsmtp_auth_t *auth = parrot_new();
  for (size_t i = 0; i < COUNT(bounds); i++) {
    peer_t peer;
    peer_init(&peer);
    peer.context.max_challenges = bounds[i];
    assert_int_equal(peer_start(&peer, auth, NULL), 0);
    for (unsigned n = 0; n < (bounds[i] != 0 ? bounds[i] : 10); n++)
      assert_int_equal(peer_challenge(&peer, "polly"), 0);
    assert_int_equal(peer_challenge(&peer, "polly"), UVSMTP_EAUTHCHALLENGE);
    assert_non_null(strstr(uvsmtp_exchange_detail(peer.exchange), "does not stop"));
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void a_challenge_of_64_kib_is_the_longest(void **state)
{
  static char bytes[65537];
  uvsmtp_auth_t *auth = parrot_new();
  peer_t peer;
  uvsmtp_slice_t challenge = {bytes, 65536};
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), 0);
  assert_int_equal(uvsmtp_exchange_step(peer.exchange, 0, &challenge, &peer.response), 0);
  assert_int_equal(peer.response.len, 65536);
  challenge.len++;
  assert_int_equal(uvsmtp_exchange_step(peer.exchange, 0, &challenge, &peer.response),
                   UVSMTP_EAUTHCHALLENGE);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void whoever_drives_may_report_a_challenge_that_is_not_base64(void **state)
{
  uvsmtp_auth_t *auth = parrot_new();
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), 0);
  assert_int_equal(
      uvsmtp_exchange_fail(peer.exchange, UVSMTP_EAUTHCHALLENGE, "the challenge is not base64"),
      UVSMTP_EAUTHCHALLENGE);
  assert_int_equal(peer_challenge(&peer, "x"), UVSMTP_EAUTHCHALLENGE);
  assert_int_equal(peer_finish(&peer, 501, "cancelled"), UVSMTP_EAUTHCHALLENGE);
  assert_string_equal(uvsmtp_exchange_detail(peer.exchange), "the challenge is not base64");
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

/* ---- Replies and details ---- */

static void final_replies_are_told_apart(void **state)
{
  static const struct {
    int code;
    const char *enhanced, *text;
    int err;
    const char *detail;
  } rows[] = {
      {235, NULL, "2.7.0 ok", 0, ""},
      {250, NULL, NULL, 0, ""},
      {535, NULL, "5.7.8 bad", UVSMTP_EAUTH, "the server said: 535 5.7.8 bad"},
      {535, "5.7.8", "bad", UVSMTP_EAUTH, "the server said: 535 5.7.8 bad"},
      {535, "5.7.8", "5.7.8 bad", UVSMTP_EAUTH, "the server said: 535 5.7.8 bad"},
      {535, NULL, "b\x1b[2Jad\r\n\xff", UVSMTP_EAUTH, "the server said: 535 b?[2Jad???"},
      {534, NULL, NULL, UVSMTP_EAUTH, "the server said: 534"},
      {432, NULL, "", UVSMTP_EAUTH, "the server said: 432"},
      {454, NULL, "later", UVSMTP_EAUTHTEMPORARY, "the server said: 454 later"},
      {421, NULL, "bye", UVSMTP_EAUTHTEMPORARY, "the server said: 421 bye"},
      {354, NULL, "go", UVSMTP_EAUTHCHALLENGE, "the server said: 354 go"},
  };
  uvsmtp_auth_t *auth = parrot_new();
  for (size_t i = 0; i < COUNT(rows); i++) {
    peer_t peer;
    peer_init(&peer);
    assert_int_equal(peer_start(&peer, auth, NULL), 0);
    assert_int_equal(
        uvsmtp_exchange_finish(peer.exchange, 0, rows[i].code, rows[i].enhanced, rows[i].text),
        rows[i].err);
    assert_string_equal(uvsmtp_exchange_detail(peer.exchange), rows[i].detail);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void a_long_detail_is_cut_between_characters(void **state)
{
  char text[600];
  uvsmtp_auth_t *auth = parrot_new();
  peer_t peer;
  peer_init(&peer);
  for (size_t ascii = 0; ascii < 3; ascii++) {
    const char *detail;
    memset(text, 'x', ascii);
    for (size_t i = ascii; i + 4 <= sizeof(text); i += 3)
      memcpy(text + i, "\xe2\x82\xac", 4);
    assert_int_equal(peer_start(&peer, auth, NULL), 0);
    assert_int_equal(peer_finish(&peer, 535, text), UVSMTP_EAUTH);
    detail = uvsmtp_exchange_detail(peer.exchange);
    assert_in_range(strlen(detail), 253, 255);
    assert_int_equal((strlen(detail) - strlen("the server said: 535 ") - ascii) % 3, 0);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void custom_mechanisms_are_checked_and_copied(void **state)
{
  static const char *const bad[] = {"", "lower", "WITH SPACE", "A-NAME-OF-21-LETTERS-", "D.O.T"};
  char name[] = "X-MINE_1";
  uvsmtp_mechanism_t mechanism = {.size = sizeof(mechanism), .name = name, .step = parrot_step};
  uvsmtp_auth_t *auth;
  assert_int_equal(uvsmtp_auth_custom_new(&auth, &mechanism, NULL, NULL), 0);
  name[0] = '?';
  mechanism.step = NULL;
  assert_string_equal(uvsmtp_auth_mechanism(auth, 0), "X-MINE_1");
  uvsmtp_auth_free(auth);
  name[0] = 'X';
  assert_int_equal(uvsmtp_auth_custom_new(&auth, &mechanism, NULL, NULL), UVSMTP_EINVAL);
  mechanism.step = parrot_step;
  for (size_t i = 0; i < COUNT(bad); i++) {
    mechanism.name = bad[i];
    assert_int_equal(uvsmtp_auth_custom_new(&auth, &mechanism, NULL, NULL), UVSMTP_EINVAL);
  }
  mechanism.name = NULL;
  assert_int_equal(uvsmtp_auth_custom_new(&auth, &mechanism, NULL, NULL), UVSMTP_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_suspended_step_goes_on_after_resume),
      cmocka_unit_test(an_answer_inside_of_step_needs_no_wake),
      cmocka_unit_test(a_second_resume_has_no_effect),
      cmocka_unit_test(a_resume_with_an_error_reaches_the_step),
      cmocka_unit_test(a_service_may_fail_the_exchange_itself),
      cmocka_unit_test(cancelling_tells_the_mechanism_and_a_late_resume_is_harmless),
      cmocka_unit_test(a_connection_lost_while_suspended_leaves_the_state_to_the_service),
      cmocka_unit_test(a_connection_closed_inside_of_step_is_cancelled),
      cmocka_unit_test(a_suspension_ends_at_its_deadline_with_a_timeout),
      cmocka_unit_test(a_suspension_may_last_for_ever),
      cmocka_unit_test(steps_out_of_order_change_nothing),
      cmocka_unit_test(a_final_reply_while_suspended_tells_the_mechanism),
      cmocka_unit_test(the_number_of_challenges_is_bounded),
      cmocka_unit_test(a_challenge_of_64_kib_is_the_longest),
      cmocka_unit_test(whoever_drives_may_report_a_challenge_that_is_not_base64),
      cmocka_unit_test(final_replies_are_told_apart),
      cmocka_unit_test(a_long_detail_is_cut_between_characters),
      cmocka_unit_test(custom_mechanisms_are_checked_and_copied),
  };
  return cmocka_run_group_tests_name("auth/exchange", tests, NULL, NULL);
}
