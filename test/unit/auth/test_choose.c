/* Which mechanism runs, what follows a refusal, and when credentials rest. */
#include <stdio.h>

#include "peer.h"

#include "base/text.h"

/*
 * Plays a whole log-in: the server offers `offered` and replies to the mechanisms, in the order in
 * which they are expected, as `replies` says: "MECHANISM code text". Ends with `err`.
 */
typedef struct play_s {
  const char *offered;
  const char *replies[8];
  int err;
  bool clear, allow_plaintext, binding;
  const char *detail; /* part of it */
} play_t;

static uvsmtp_auth_choice_t choice_of(const play_t *play, uvsmtp_auth_t *const *auths, size_t count)
{
  uvsmtp_auth_choice_t choice = UVSMTP_AUTH_CHOICE_INIT;
  choice.auths = auths;
  choice.auth_count = count;
  choice.offered = play->offered;
  choice.host = "server.example.com";
  choice.port = 587;
  choice.tls = !play->clear;
  choice.allow_plaintext = play->allow_plaintext;
  choice.channel_binding = play->binding;
  return choice;
}

static void peer_for(peer_t *peer, const play_t *play)
{
  peer_init(peer);
  if (play->binding)
    peer_bind(peer, "tls-unique");
  peer->context.tls = !play->clear;
  peer->context.allow_plaintext = play->allow_plaintext;
}

/* Runs the chosen mechanism against one reply; "*" breaks off with a malformed challenge. */
static void run_choice(const uvsmtp_auth_choice_t *choice, peer_t *peer, const char *reply)
{
  char mechanism[32], word[8];
  int at = 0;
  assert_int_equal(sscanf(reply, "%31s %7s %n", mechanism, word, &at), 2);
  assert_non_null(choice->auth);
  assert_string_equal(choice->mechanism, mechanism);
  if (peer_start(peer, choice->auth, choice->mechanism) < 0)
    return; /* it fails by itself */
  if (strcmp(word, "*") == 0) {
    uvsmtp_exchange_fail(peer->exchange, UVSMTP_EAUTHCHALLENGE, "the challenge is not base64");
    peer_finish(peer, 501, "cancelled");
    return;
  }
  peer_finish(peer, atoi(word), reply + at);
}

static void play_at(const play_t *play, uvsmtp_auth_t *const *auths, size_t count, uint64_t now_ms)
{
  uvsmtp_auth_choice_t choice = choice_of(play, auths, count);
  peer_t peer;
  int err = uvsmtp_auth_choose(&choice, NULL, now_ms);
  peer_for(&peer, play);
  for (size_t i = 0; play->replies[i] != NULL; i++) {
    uvsmtp_exchange_t *last;
    assert_int_equal(err, 0);
    peer.now_ms = now_ms;
    run_choice(&choice, &peer, play->replies[i]);
    last = peer.exchange;
    err = uvsmtp_auth_choose(&choice, last, now_ms);
    /* Logged in: there is nothing more to choose. */
    if (strstr(play->replies[i], " 235") != NULL) {
      assert_int_equal(err, UVSMTP_ESTATE);
      err = 0;
    }
    peer_end(&peer);
  }
  assert_int_equal(err, play->err);
  if (play->detail != NULL && strstr(choice.detail, play->detail) == NULL)
    fail_msg("\"%s\" is not in \"%s\"", play->detail, choice.detail);
}

static uvsmtp_auth_t *password_auth(const char *mechanisms)
{
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  uvsmtp_auth_t *auth = NULL;
  options.mechanisms = mechanisms;
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  return auth;
}

static void play_rows(const play_t *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    uvsmtp_auth_t *auth = password_auth(NULL);
    play_at(&rows[i], &auth, 1, 0);
    uvsmtp_auth_free(auth);
  }
}

static void the_strongest_that_is_offered_and_safe_runs(void **state)
{
  static const play_t rows[] = {
      {.offered = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256",
       .replies = {"SCRAM-SHA-256 501"},
       .err = 0},
      {.offered = "LOGIN PLAIN", .replies = {"PLAIN 235"}},
      {.offered = "login plain LOGIN PLAIN", .replies = {"PLAIN 235"}},
      {.offered = "LOGIN", .replies = {"LOGIN 235"}},
      {.offered = " CRAM-MD5  PLAIN ", .replies = {"CRAM-MD5 235"}},
      {.offered = "PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-1-PLUS",
       .binding = true,
       .replies = {"SCRAM-SHA-1-PLUS 501"}},
      {.offered = "PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS", .replies = {"SCRAM-SHA-1 501"}},
      {.offered = "PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS",
       .binding = true,
       .clear = true,
       .replies = {"SCRAM-SHA-1 501"},
       .err = UVSMTP_EAUTH},
      {.offered = "PLAIN LOGIN", .clear = true, .allow_plaintext = true, .replies = {"PLAIN 235"}},
  };
  play_rows(rows, COUNT(rows));
}

static void it_is_said_why_nothing_can_run(void **state)
{
  static const play_t rows[] = {
      {.offered = "PLAIN LOGIN CRAM-MD5",
       .clear = true,
       .err = UVSMTP_EAUTHPLAINTEXT,
       .detail = "(PLAIN LOGIN CRAM-MD5) nothing is safe without TLS"},
      {.offered = "GSSAPI NTLM PLAINER",
       .err = UVSMTP_EMECHANISM,
       .detail = "CRAM-MD5 PLAIN LOGIN; the server offers GSSAPI NTLM PLAINER"},
      {.offered = "SCRAM-SHA-1-PLUS", .err = UVSMTP_EMECHANISM},
      {.offered = "", .err = UVSMTP_EMECHANISM, .detail = "offers no authentication"},
      {.offered = NULL, .err = UVSMTP_EMECHANISM, .detail = "offers no authentication"},
  };
  play_rows(rows, COUNT(rows));
}

#define ALL "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"

static void a_refused_mechanism_is_followed_by_the_next(void **state)
{
  static const play_t rows[] = {
      {.offered = ALL,
       .replies = {"SCRAM-SHA-256 534 5.7.9 too weak", "SCRAM-SHA-1 504 what?", "CRAM-MD5 *",
                   "PLAIN 535 5.7.11 not so", "LOGIN 235 ok"}},
      {.offered = "PLAIN LOGIN",
       .replies = {"PLAIN 501 syntax", "LOGIN 502 no"},
       .err = UVSMTP_EAUTH,
       .detail = "PLAIN: the server said: 501 syntax"},
      {.offered = "CRAM-MD5 PLAIN LOGIN",
       .replies = {"CRAM-MD5 *", "PLAIN 535 5.7.139 basic authentication is disabled",
                   "LOGIN 538 no"},
       .err = UVSMTP_EAUTH,
       .detail = "PLAIN: the server said: 535 5.7.139"},
      {.offered = "CRAM-MD5",
       .replies = {"CRAM-MD5 *"},
       .err = UVSMTP_EAUTHCHALLENGE,
       .detail = "CRAM-MD5: the challenge is not base64"},
      {.offered = "CRAM-MD5 PLAIN", .replies = {"CRAM-MD5 432 once more", "PLAIN 235 ok"}},
  };
  play_rows(rows, COUNT(rows));
}

static void a_refused_password_is_offered_once_more_at_most(void **state)
{
  static const play_t rows[] = {
      {.offered = ALL, .replies = {"SCRAM-SHA-256 535 5.7.8 no", "PLAIN 235 ok"}},
      {.offered = ALL,
       .replies = {"SCRAM-SHA-256 535 5.7.8 no", "PLAIN 535 5.7.8 still no"},
       .err = UVSMTP_EAUTH,
       .detail = "SCRAM-SHA-256: the server said: 535 5.7.8 no"},
      {.offered = ALL,
       .clear = true,
       .replies = {"SCRAM-SHA-256 535 no", "SCRAM-SHA-1 535 no"},
       .err = UVSMTP_EAUTH},
      {.offered = "PLAIN LOGIN", .replies = {"PLAIN 535 5.7.8 no"}, .err = UVSMTP_EAUTH},
      {.offered = "PLAIN LOGIN", .replies = {"PLAIN 550 no"}, .err = UVSMTP_EAUTH},
      {.offered = ALL,
       .replies = {"SCRAM-SHA-256 535 no", "PLAIN 534 not so", "LOGIN 535 no"},
       .err = UVSMTP_EAUTH},
  };
  play_rows(rows, COUNT(rows));
}

static void a_temporary_failure_ends_the_attempts(void **state)
{
  static const play_t rows[] = {
      {.offered = ALL,
       .replies = {"SCRAM-SHA-256 454 4.7.0 later"},
       .err = UVSMTP_EAUTHTEMPORARY,
       .detail = "454 4.7.0 later"},
      {.offered = ALL, .replies = {"SCRAM-SHA-256 421 bye"}, .err = UVSMTP_EAUTHTEMPORARY},
      {.offered = ALL,
       .replies = {"SCRAM-SHA-256 534 no", "SCRAM-SHA-1 454 later"},
       .err = UVSMTP_EAUTHTEMPORARY,
       .detail = "SCRAM-SHA-1: the server said: 454 later"},
  };
  play_rows(rows, COUNT(rows));
}

static void an_unproven_server_is_not_shown_the_password(void **state)
{
  static const play_t play = {.offered = ALL};
  for (int early = 0; early < 2; early++) {
    uvsmtp_auth_t *auth = password_auth("SCRAM-SHA-1 PLAIN");
    uvsmtp_auth_choice_t choice = choice_of(&play, &auth, 1);
    peer_t peer;
    peer_for(&peer, &play);
    assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), 0);
    assert_int_equal(peer_start(&peer, choice.auth, choice.mechanism), 0);
    if (!early) {
      assert_int_equal(peer_challenge(&peer, "r=fyko+d2lbbFgONRv9qkxdawLx,s=AAAA,i=4096"), 0);
      assert_int_equal(peer_challenge(&peer, "v=AAAA"), UVSMTP_EAUTHSERVER);
    }
    assert_int_equal(peer_finish(&peer, early ? 235 : 501, "?"), UVSMTP_EAUTHSERVER);
    assert_int_equal(uvsmtp_auth_choose(&choice, peer.exchange, 0), UVSMTP_EAUTHSERVER);
    assert_null(choice.auth);
    assert_non_null(strstr(choice.detail, early ? "without proving" : "signature"));
    peer_end(&peer);
    uvsmtp_auth_free(auth);
  }
}

static void what_this_side_cannot_run_is_passed_over(void **state)
{
  uvsmtp_auth_options_t options = user_options("user", "pen\tcil");
  static const play_t play = {.offered = "SCRAM-SHA-1 PLAIN",
                              .replies = {"SCRAM-SHA-1 0", "PLAIN 235 ok"}};
  uvsmtp_auth_t *auth;
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  play_at(&play, &auth, 1, 0);
  uvsmtp_auth_free(auth);
}

static void authenticators_are_tried_in_order_of_preference(void **state)
{
  static const play_t rows[] = {
      {.offered = "PLAIN LOGIN", .replies = {"LOGIN 535 no", "PLAIN 235 ok"}},
      {.offered = "PLAIN", .replies = {"PLAIN 235 ok"}},
      {.offered = "PLAIN LOGIN",
       .replies = {"LOGIN 534 no", "PLAIN 535 no"},
       .err = UVSMTP_EAUTH,
       .detail = "LOGIN: the server said: 534 no"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_t *auths[] = {password_auth("LOGIN"), password_auth("PLAIN")};
    play_at(&rows[i], auths, 2, 0);
    uvsmtp_auth_free(auths[0]);
    uvsmtp_auth_free(auths[1]);
  }
}

/* ---- Servers that do not survive "*" ---- */

/* One connection: CRAM-MD5 is broken off, and then the server's next reply, 0: it just closes. */
static void break_off_and_lose(uvsmtp_auth_t *auth, int code, int err)
{
  static const play_t play = {.offered = "CRAM-MD5 PLAIN"};
  uvsmtp_auth_choice_t choice = choice_of(&play, &auth, 1);
  peer_t peer;
  peer_for(&peer, &play);
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), 0);
  run_choice(&choice, &peer, "CRAM-MD5 *");
  assert_int_equal(uvsmtp_auth_choose(&choice, peer.exchange, 0), 0);
  peer_end(&peer);
  run_choice(&choice, &peer, "PLAIN 521 bad protocol");
  if (code == 0)
    uvsmtp_auth_choice_lost(&choice, 0);
  else
    assert_int_equal(uvsmtp_auth_choose(&choice, peer.exchange, 0), err);
  peer_end(&peer);
}

static void what_a_server_did_not_survive_comes_last_on_the_next_connection(void **state)
{
  static const play_t next = {.offered = "CRAM-MD5 PLAIN", .replies = {"PLAIN 235 ok"}};
  static const play_t only = {.offered = "CRAM-MD5", .replies = {"CRAM-MD5 235 ok"}};
  static const play_t later = {.offered = "CRAM-MD5 PLAIN", .replies = {"CRAM-MD5 235 ok"}};
  for (int code = 0; code <= 521; code += 521) {
    uvsmtp_auth_t *auth = password_auth(NULL);
    uvsmtp_auth_choice_t choice;
    break_off_and_lose(auth, code, UVSMTP_EAUTHTEMPORARY);
    play_at(&next, &auth, 1, 1);
    play_at(&only, &auth, 1, 2);
    choice = choice_of(&next, &auth, 1);
    choice.host = "other.example.com";
    assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 3), 0);
    assert_string_equal(choice.mechanism, "CRAM-MD5");
    play_at(&later, &auth, 1, 3600000);
    uvsmtp_auth_free(auth);
  }
}

static void a_521_without_reason_refuses_but_not_the_credentials(void **state)
{
  static const play_t rows[] = {
      {.offered = "PLAIN", .replies = {"PLAIN 521 bye"}, .err = UVSMTP_EAUTH},
      {.offered = "PLAIN", .replies = {"PLAIN 235 ok"}},
  };
  uvsmtp_auth_t *auth = password_auth(NULL);
  for (size_t i = 0; i < COUNT(rows); i++)
    play_at(&rows[i], &auth, 1, 0);
  uvsmtp_auth_free(auth);
}

/* ---- Rest ---- */

static const play_t refused = {
    .offered = "PLAIN", .replies = {"PLAIN 535 no"}, .err = UVSMTP_EAUTH};
static const play_t resting = {
    .offered = "PLAIN", .err = UVSMTP_EAUTHBACKOFF, .detail = "a short while ago"};
static const play_t accepted = {.offered = "PLAIN", .replies = {"PLAIN 235 ok"}};

static void refused_credentials_rest_longer_each_time(void **state)
{
  static const uint64_t rests_s[] = {30, 60, 120, 240, 480, 960, 1920, 1920, 1920};
  uvsmtp_auth_t *auth = password_auth(NULL);
  uint64_t now = 1000;
  for (size_t i = 0; i < COUNT(rests_s); i++) {
    play_at(&refused, &auth, 1, now);
    play_at(&resting, &auth, 1, now);
    play_at(&resting, &auth, 1, now + rests_s[i] * 1000 - 1);
    now += rests_s[i] * 1000;
  }
  play_at(&accepted, &auth, 1, now);
  play_at(&refused, &auth, 1, now);
  play_at(&accepted, &auth, 1, now + 30000);
  uvsmtp_auth_free(auth);
}

static void both_attempts_with_one_password_count_as_one_refusal(void **state)
{
  static const play_t twice = {.offered = "CRAM-MD5 PLAIN",
                               .replies = {"CRAM-MD5 535 no", "PLAIN 535 no"},
                               .err = UVSMTP_EAUTH};
  uvsmtp_auth_t *auth = password_auth(NULL);
  play_at(&twice, &auth, 1, 0);
  play_at(&resting, &auth, 1, 29999);
  play_at(&accepted, &auth, 1, 30000);
  uvsmtp_auth_free(auth);
}

static void one_attempt_without_a_second_counts_too(void **state)
{
  static const play_t once = {
      .offered = "CRAM-MD5", .replies = {"CRAM-MD5 535 no"}, .err = UVSMTP_EAUTH};
  uvsmtp_auth_t *auth = password_auth(NULL);
  play_at(&once, &auth, 1, 0);
  play_at(&resting, &auth, 1, 29999);
  play_at(&accepted, &auth, 1, 30000);
  uvsmtp_auth_free(auth);
}

static void a_refused_mechanism_is_no_refusal_of_the_credentials(void **state)
{
  static const play_t rows[] = {
      {.offered = "PLAIN", .replies = {"PLAIN 534 no"}, .err = UVSMTP_EAUTH},
      {.offered = "PLAIN", .replies = {"PLAIN 454 no"}, .err = UVSMTP_EAUTHTEMPORARY},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_t *auth = password_auth(NULL);
    play_at(&rows[i], &auth, 1, 0);
    play_at(&accepted, &auth, 1, 0);
    uvsmtp_auth_free(auth);
  }
}

static void a_refusal_counts_for_the_server_that_made_it(void **state)
{
  uvsmtp_auth_t *auth = password_auth(NULL);
  uvsmtp_auth_choice_t choice;
  play_at(&refused, &auth, 1, 0);
  choice = choice_of(&refused, &auth, 1);
  choice.host = "other.example.com";
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), 0);
  choice.host = "SERVER.example.com";
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), UVSMTP_EAUTHBACKOFF);
  choice.port = 588;
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), 0);
  uvsmtp_auth_free(auth);
}

static void resting_credentials_leave_the_turn_to_others(void **state)
{
  static const play_t first = {.offered = "PLAIN LOGIN",
                               .replies = {"LOGIN 535 no", "PLAIN 235 ok"}};
  static const play_t second = {.offered = "PLAIN LOGIN", .replies = {"PLAIN 235 ok"}};
  uvsmtp_auth_t *auths[] = {password_auth("LOGIN"), password_auth("PLAIN")};
  play_at(&first, auths, 2, 0);
  play_at(&second, auths, 2, 1);
  uvsmtp_auth_free(auths[0]);
  uvsmtp_auth_free(auths[1]);
}

static void the_rest_can_be_set_and_switched_off(void **state)
{
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  uvsmtp_auth_t *auth;
  options.backoff_ms = 10;
  assert_int_equal(uvsmtp_auth_plain_new(&auth, &options), 0);
  play_at(&refused, &auth, 1, 0);
  play_at(&resting, &auth, 1, 9);
  play_at(&refused, &auth, 1, 10);
  play_at(&resting, &auth, 1, 29);
  play_at(&accepted, &auth, 1, 30);
  uvsmtp_auth_free(auth);
  options.backoff_ms = UINT64_MAX;
  assert_int_equal(uvsmtp_auth_plain_new(&auth, &options), 0);
  play_at(&refused, &auth, 1, 0);
  play_at(&accepted, &auth, 1, 0);
  uvsmtp_auth_free(auth);
}

/* ---- Tokens ---- */

static unsigned fetches;

static int fetch_at_once(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  char token[16];
  snprintf(token, sizeof(token), "token%u", ++fetches);
  return uvsmtp_auth_token_set(request, 0, token, 3600);
}

static int fetch_fails(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  fetches++;
  return UVSMTP_ECONNECT;
}

static uvsmtp_auth_t *oauth(uvsmtp_token_fetch_cb fetch)
{
  uvsmtp_auth_options_t options = user_options("user", NULL);
  uvsmtp_auth_t *auth = NULL;
  fetches = 0;
  options.fetch = fetch;
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), 0);
  return auth;
}

static void a_refused_token_gets_one_more_try_with_a_fresh_one(void **state)
{
  static const play_t good = {.offered = "XOAUTH2",
                              .replies = {"XOAUTH2 535 no", "XOAUTH2 235 ok"}};
  static const play_t bad = {.offered = "OAUTHBEARER XOAUTH2",
                             .replies = {"OAUTHBEARER 535 no", "OAUTHBEARER 535 no"},
                             .err = UVSMTP_EAUTH};
  static const play_t rest = {.offered = "XOAUTH2", .err = UVSMTP_EAUTHBACKOFF};
  uvsmtp_auth_t *auth = oauth(fetch_at_once);
  play_at(&good, &auth, 1, 0);
  assert_int_equal(fetches, 2);
  play_at(&bad, &auth, 1, 0);
  assert_int_equal(fetches, 3);
  play_at(&rest, &auth, 1, 0);
  uvsmtp_auth_free(auth);
}

static void a_token_mechanism_that_is_refused_gives_way_to_the_other(void **state)
{
  static const play_t play = {.offered = "OAUTHBEARER XOAUTH2",
                              .replies = {"OAUTHBEARER 504 no", "XOAUTH2 235 ok"}};
  uvsmtp_auth_t *auth = oauth(fetch_at_once);
  play_at(&play, &auth, 1, 0);
  uvsmtp_auth_free(auth);
}

static void without_a_token_the_next_authenticator_is_tried(void **state)
{
  static const play_t play = {.offered = "OAUTHBEARER XOAUTH2 PLAIN",
                              .replies = {"OAUTHBEARER 0", "XOAUTH2 0", "PLAIN 235 ok"}};
  static const play_t again = {.offered = "OAUTHBEARER XOAUTH2 PLAIN",
                               .replies = {"OAUTHBEARER 0", "PLAIN 235 ok"}};
  static const play_t alone = {
      .offered = "XOAUTH2", .replies = {"XOAUTH2 0"}, .err = UVSMTP_ECONNECT};
  uvsmtp_auth_t *auths[] = {oauth(fetch_fails), password_auth("PLAIN")};
  play_at(&play, auths, 2, 0);
  play_at(&again, auths, 2, 999);
  assert_int_equal(fetches, 1);
  play_at(&alone, auths, 1, 1000);
  uvsmtp_auth_free(auths[0]);
  uvsmtp_auth_free(auths[1]);
}

static void a_choice_needs_authenticators_and_its_own_size(void **state)
{
  uvsmtp_auth_t *auths[UVSMTP_AUTH_CHOICE_MAX + 1] = {NULL};
  uvsmtp_auth_choice_t choice = choice_of(&refused, auths, 0);
  for (size_t i = 0; i < COUNT(auths); i++)
    auths[i] = password_auth("PLAIN");
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), UVSMTP_EINVAL);
  choice.auth_count = COUNT(auths);
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), UVSMTP_EINVAL);
  choice.auth_count--;
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), 0);
  choice.size--;
  assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), UVSMTP_EINVAL);
  for (size_t i = 0; i < COUNT(auths); i++)
    uvsmtp_auth_free(auths[i]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_strongest_that_is_offered_and_safe_runs),
      cmocka_unit_test(it_is_said_why_nothing_can_run),
      cmocka_unit_test(a_refused_mechanism_is_followed_by_the_next),
      cmocka_unit_test(a_refused_password_is_offered_once_more_at_most),
      cmocka_unit_test(a_temporary_failure_ends_the_attempts),
      cmocka_unit_test(an_unproven_server_is_not_shown_the_password),
      cmocka_unit_test(what_this_side_cannot_run_is_passed_over),
      cmocka_unit_test(authenticators_are_tried_in_order_of_preference),
      cmocka_unit_test(what_a_server_did_not_survive_comes_last_on_the_next_connection),
      cmocka_unit_test(a_521_without_reason_refuses_but_not_the_credentials),
      cmocka_unit_test(refused_credentials_rest_longer_each_time),
      cmocka_unit_test(both_attempts_with_one_password_count_as_one_refusal),
      cmocka_unit_test(one_attempt_without_a_second_counts_too),
      cmocka_unit_test(a_refused_mechanism_is_no_refusal_of_the_credentials),
      cmocka_unit_test(a_refusal_counts_for_the_server_that_made_it),
      cmocka_unit_test(resting_credentials_leave_the_turn_to_others),
      cmocka_unit_test(the_rest_can_be_set_and_switched_off),
      cmocka_unit_test(a_refused_token_gets_one_more_try_with_a_fresh_one),
      cmocka_unit_test(a_token_mechanism_that_is_refused_gives_way_to_the_other),
      cmocka_unit_test(without_a_token_the_next_authenticator_is_tried),
      cmocka_unit_test(a_choice_needs_authenticators_and_its_own_size),
  };
  return cmocka_run_group_tests_name("auth/choose", tests, NULL, NULL);
}
