/* OAUTHBEARER, XOAUTH2, and the life of tokens on a virtual clock. */
#include <stdio.h>

#include "peer.h"

#include "base/base64.h"

#define ERROR_JSON "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}"

/* ---- Formats ---- */

static uvsmtp_auth_t *fixed_token(const char *user, const char *token)
{
  uvsmtp_auth_options_t options = user_options(user, NULL);
  uvsmtp_auth_t *auth = NULL;
  options.token = token;
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), 0);
  return auth;
}

static void assert_response_base64(const peer_t *peer, const char *want)
{
  char got[1024];
  size_t len = uvsmtp__base64_encoded_len(peer->response.len);
  assert_true(len < sizeof(got));
  uvsmtp__base64_encode(got, peer->response.base, peer->response.len);
  got[len] = '\0';
  assert_string_equal(got, want);
}

static void xoauth2_sends_the_published_example(void **state)
{
  uvsmtp_auth_t *auth =
      fixed_token("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, "XOAUTH2"), 0);
  assert_response_base64(&peer,
                         "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRj"
                         "Mk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==");
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void oauthbearer_sends_the_example_of_rfc_7628(void **state)
{
  uvsmtp_auth_t *auth =
      fixed_token("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, "OAUTHBEARER"), 0);
  assert_response_base64(&peer,
                         "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3"
                         "AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9"
                         "PQEB");
  peer_end(&peer);
  peer.context.host = NULL;
  peer.context.port = 0;
  assert_int_equal(peer_start(&peer, auth, "OAUTHBEARER"), 0);
  assert_response_text(&peer, "n,a=user@example.com,\1auth=Bearer "
                              "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1");
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void oauthbearer_escapes_the_identity(void **state)
{
  uvsmtp_auth_options_t options = user_options("u", NULL);
  uvsmtp_auth_t *auth;
  peer_t peer;
  options.token = "t";
  options.authzid = "a=b,c";
  assert_int_equal(uvsmtp_auth_oauthbearer_new(&auth, &options), 0);
  peer_init(&peer);
  peer.context.host = NULL;
  peer.context.port = 0;
  assert_int_equal(peer_start(&peer, auth, NULL), 0);
  assert_response_text(&peer, "n,a=a=3Db=2Cc,\1auth=Bearer t\1\1");
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void an_error_challenge_is_answered_and_kept(void **state)
{
  static const char *const rows[][2] = {{"XOAUTH2", ""}, {"OAUTHBEARER", "\1"}};
  uvsmtp_auth_t *auth = fixed_token("u", "t");
  for (size_t i = 0; i < COUNT(rows); i++) {
    peer_t peer;
    peer_init(&peer);
    assert_int_equal(peer_start(&peer, auth, rows[i][0]), 0);
    assert_int_equal(peer_challenge(&peer, ERROR_JSON), 0);
    assert_response_text(&peer, rows[i][1]);
    assert_int_equal(peer_finish(&peer, 535, "5.7.8 no"), UVSMTP_EAUTH);
    assert_string_equal(uvsmtp_exchange_detail(peer.exchange),
                        "the token was refused: " ERROR_JSON "; the server said: 535 5.7.8 no");
    peer_end(&peer);
    assert_int_equal(peer_start(&peer, auth, rows[i][0]), 0);
    assert_int_equal(peer_challenge(&peer, ""), 0);
    assert_int_equal(peer_challenge(&peer, ""), UVSMTP_EAUTHCHALLENGE);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

/* ---- Fetching ---- */

/* An OAuth server: fetches wait in `request` until the test answers them. */
typedef struct issuer_s {
  uvsmtp_token_request_t *request;
  unsigned fetches, cancels;
  int refuse;          /* fetch returns this */
  const char *at_once; /* answers inside of fetch */
} issuer_t;

static int fetch(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  issuer_t *issuer = data;
  assert_non_null(auth);
  issuer->fetches++;
  if (issuer->refuse != 0)
    return issuer->refuse;
  if (issuer->at_once != NULL)
    return uvsmtp_auth_token_set(request, 0, issuer->at_once, 3600);
  assert_null(issuer->request);
  issuer->request = request;
  return 0;
}

static void cancel_fetch(uvsmtp_token_request_t *request, void *data)
{
  issuer_t *issuer = data;
  assert_ptr_equal(issuer->request, request);
  issuer->cancels++;
}

static int issue(issuer_t *issuer, int err, const char *token, uint64_t lifetime_s)
{
  uvsmtp_token_request_t *request = issuer->request;
  assert_non_null(request);
  issuer->request = NULL;
  return uvsmtp_auth_token_set(request, err, token, lifetime_s);
}

static uvsmtp_auth_t *fetching(issuer_t *issuer, uint64_t grace_s)
{
  uvsmtp_auth_options_t options = user_options("u", NULL);
  uvsmtp_auth_t *auth = NULL;
  *issuer = (issuer_t){0};
  options.fetch = fetch;
  options.cancel_fetch = cancel_fetch;
  options.data = issuer;
  options.token_grace_s = grace_s;
  assert_int_equal(uvsmtp_auth_xoauth2_new(&auth, &options), 0);
  return auth;
}

static int start_at(peer_t *peer, uvsmtp_auth_t *auth, uint64_t now_ms)
{
  peer_init(peer);
  peer->now_ms = now_ms;
  return peer_start(peer, auth, NULL);
}

static void assert_token(const peer_t *peer, const char *token)
{
  char want[100];
  snprintf(want, sizeof(want), "user=u\1auth=Bearer %s\1\1", token);
  assert_response_text(peer, want);
}

/* A connection that logs in at `now_ms` with the cached token. */
static void assert_cached(uvsmtp_auth_t *auth, uint64_t now_ms, const char *token)
{
  peer_t peer;
  assert_int_equal(start_at(&peer, auth, now_ms), 0);
  assert_token(&peer, token);
  assert_int_equal(peer_finish(&peer, 235, NULL), 0);
  peer_end(&peer);
}

/* A connection that fetches at `now_ms` and gets what the issuer gives. */
static void fetch_token(uvsmtp_auth_t *auth, issuer_t *issuer, uint64_t now_ms, const char *token,
                        uint64_t lifetime_s)
{
  peer_t peer;
  assert_int_equal(start_at(&peer, auth, now_ms), UVSMTP_PENDING);
  assert_int_equal(issue(issuer, 0, token, lifetime_s), 0);
  assert_int_equal(peer_continue(&peer), 0);
  assert_token(&peer, token);
  peer_end(&peer);
}

static void one_fetch_serves_all_who_wait_and_those_who_come_later(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peers[4];
  for (size_t i = 0; i < COUNT(peers); i++)
    assert_int_equal(start_at(&peers[i], auth, 1000 + i), UVSMTP_PENDING);
  assert_int_equal(issuer.fetches, 1);
  peer_end(&peers[1]);
  assert_int_equal(issue(&issuer, 0, "one", 3600), 0);
  for (size_t i = 0; i < COUNT(peers); i++) {
    if (i == 1)
      continue;
    assert_int_equal(peers[i].wakes, 1);
    assert_int_equal(peer_continue(&peers[i]), 0);
    assert_token(&peers[i], "one");
    peer_end(&peers[i]);
  }
  assert_int_equal(peers[1].wakes, 0);
  assert_cached(auth, 2000, "one");
  assert_int_equal(issuer.fetches, 1);
  uvsmtp_auth_free(auth);
}

static void a_token_at_once_needs_no_wait(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  issuer.at_once = "quick";
  assert_cached(auth, 0, "quick");
  assert_cached(auth, 0, "quick");
  assert_int_equal(issuer.fetches, 1);
  uvsmtp_auth_free(auth);
}

static void a_token_is_renewed_before_its_end(void **state)
{
  static const struct {
    uint64_t grace_s, lifetime_s, last_ms, renew_ms;
  } rows[] = {
      {0, 3600, 2999999, 3000000},
      {100, 3600, 3499999, 3500000},
      {0, 1000, 499999, 500000},
      {0, 1, 499, 500},
      {UINT64_MAX, 10, 9999, 10000},
      {0, UVSMTP_TOKEN_UNTIL_REFUSED, UINT64_MAX - 1, 0},
      {0, UINT64_MAX / 2, UINT64_MAX - 1, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    issuer_t issuer;
    uvsmtp_auth_t *auth = fetching(&issuer, rows[i].grace_s);
    fetch_token(auth, &issuer, 0, "old", rows[i].lifetime_s);
    assert_cached(auth, rows[i].last_ms, "old");
    assert_int_equal(issuer.fetches, 1);
    if (rows[i].renew_ms != 0)
      fetch_token(auth, &issuer, rows[i].renew_ms, "new", 3600);
    uvsmtp_auth_free(auth);
  }
}

static void a_lifetime_counts_from_the_start_of_the_fetch(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, UINT64_MAX);
  peer_t peer;
  assert_int_equal(start_at(&peer, auth, 1000), UVSMTP_PENDING);
  peer.now_ms = 21000;
  assert_int_equal(issue(&issuer, 0, "slow", 30), 0);
  assert_int_equal(peer_continue(&peer), 0);
  peer_end(&peer);
  assert_cached(auth, 30999, "slow");
  fetch_token(auth, &issuer, 31000, "next", 30);
  uvsmtp_auth_free(auth);
}

static void a_token_without_lifetime_serves_only_those_who_wait(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  fetch_token(auth, &issuer, 0, "once", 0);
  fetch_token(auth, &issuer, 0, "again", 0);
  assert_int_equal(issuer.fetches, 2);
  uvsmtp_auth_free(auth);
}

static void clearing_the_cache_fetches_a_fresh_token(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0), *fixed = fixed_token("u", "t");
  fetch_token(auth, &issuer, 0, "old", 3600);
  uvsmtp_auth_clear_cached_token(auth);
  fetch_token(auth, &issuer, 1, "new", 3600);
  uvsmtp_auth_free(auth);
  uvsmtp_auth_clear_cached_token(fixed);
  uvsmtp_auth_free(fixed);
}

static void a_failed_fetch_fails_those_who_wait_with_its_own_error(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peers[2];
  for (size_t i = 0; i < 2; i++)
    assert_int_equal(start_at(&peers[i], auth, 0), UVSMTP_PENDING);
  assert_int_equal(issue(&issuer, UVSMTP_ECONNECT, NULL, 0), 0);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(peer_continue(&peers[i]), UVSMTP_ECONNECT);
    assert_non_null(strstr(uvsmtp_exchange_detail(peers[i].exchange), "could not be fetched"));
    peer_end(&peers[i]);
  }
  uvsmtp_auth_free(auth);
}

static void a_failed_fetch_says_why_to_those_who_wait_and_those_who_come(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peer;
  assert_int_equal(start_at(&peer, auth, 0), UVSMTP_PENDING);
  assert_int_equal(issue(&issuer, UVSMTP_EAUTHTOKEN, "the vault\nis closed", 0), 0);
  for (int i = 0; i < 2; i++) {
    if (i == 0)
      assert_int_equal(peer_continue(&peer), UVSMTP_EAUTHTOKEN);
    else
      assert_int_equal(start_at(&peer, auth, 1), UVSMTP_EAUTHTOKEN);
    assert_string_equal(uvsmtp_exchange_detail(peer.exchange),
                        "the access token could not be fetched: the vault?is closed");
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void after_failures_fetches_back_off(void **state)
{
  static const uint64_t delays[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peer;
  uint64_t now = 5000;
  for (size_t i = 0; i < COUNT(delays); i++) {
    assert_int_equal(start_at(&peer, auth, now), UVSMTP_PENDING);
    assert_int_equal(issue(&issuer, UVSMTP_ECONNECT, NULL, 0), 0);
    /* The fetch took five seconds. */
    peer.now_ms = now += 5000;
    assert_int_equal(peer_continue(&peer), UVSMTP_ECONNECT);
    peer_end(&peer);
    assert_int_equal(start_at(&peer, auth, now + delays[i] - 1), UVSMTP_EAUTHTOKEN);
    assert_non_null(
        strstr(uvsmtp_exchange_detail(peer.exchange), uvsmtp_strerror(UVSMTP_ECONNECT)));
    peer_end(&peer);
    now += delays[i];
  }
  fetch_token(auth, &issuer, now, "good", 3600);
  assert_int_equal(issuer.fetches, COUNT(delays) + 1);
  uvsmtp_auth_free(auth);
}

static void a_fetch_that_cannot_start_is_a_failed_one(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peer;
  issuer.refuse = UVSMTP_ERESOLVE;
  assert_int_equal(start_at(&peer, auth, 0), UVSMTP_ERESOLVE);
  peer_end(&peer);
  assert_int_equal(start_at(&peer, auth, 999), UVSMTP_EAUTHTOKEN);
  peer_end(&peer);
  issuer.refuse = 0;
  fetch_token(auth, &issuer, 1000, "good", 3600);
  uvsmtp_auth_free(auth);
}

/* An answer is an answer, whatever fetch returns after it. */
static void a_fetch_that_answers_what_is_no_token_has_answered(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peer;
  issuer.at_once = "no token"; /* so that fetch returns the refusal of it */
  assert_int_equal(start_at(&peer, auth, 0), UVSMTP_EAUTHTOKEN);
  peer_end(&peer);
  issuer.at_once = NULL;
  fetch_token(auth, &issuer, 1000, "good", 3600);
  uvsmtp_auth_free(auth);
}

static void what_is_no_token_is_refused(void **state)
{
  static const char *const rows[] = {"", "a b", "a\1b", "a\r\nb", "t\xc3\xa9", "a\x7f"};
  for (size_t i = 0; i <= COUNT(rows); i++) {
    issuer_t issuer;
    uvsmtp_auth_t *auth = fetching(&issuer, 0);
    uvsmtp_auth_options_t options = user_options("u", NULL);
    peer_t peer;
    assert_int_equal(start_at(&peer, auth, 0), UVSMTP_PENDING);
    assert_int_equal(issue(&issuer, 0, i < COUNT(rows) ? rows[i] : NULL, 60), UVSMTP_EAUTHTOKEN);
    assert_int_equal(peer_continue(&peer), UVSMTP_EAUTHTOKEN);
    peer_end(&peer);
    uvsmtp_auth_free(auth);
    options.token = i < COUNT(rows) ? rows[i] : NULL;
    assert_int_equal(uvsmtp_auth_xoauth2_new(&auth, &options), UVSMTP_EINVAL);
  }
}

static void identities_cannot_add_a_field(void **state)
{
  uvsmtp_auth_options_t options = user_options("u\1auth=Bearer other", NULL);
  issuer_t issuer;
  uvsmtp_auth_t *auth;
  options.token = "t";
  assert_int_equal(uvsmtp_auth_xoauth2_new(&auth, &options), UVSMTP_EINJECTION);
  options.user = "u";
  options.authzid = "\1";
  assert_int_equal(uvsmtp_auth_oauthbearer_new(&auth, &options), UVSMTP_EINJECTION);
  options.authzid = NULL;
  options.fetch = fetch;
  options.data = &issuer;
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), UVSMTP_EINVAL);
  options.token = NULL;
  options.mechanisms = "PLAIN";
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), UVSMTP_EINVAL);
}

static void an_overdue_fetch_is_given_up(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  uvsmtp_token_request_t *late;
  peer_t first, second;
  assert_int_equal(start_at(&first, auth, 1000), UVSMTP_PENDING);
  assert_int_equal(start_at(&second, auth, 20000), UVSMTP_PENDING);
  assert_int_equal(uvsmtp_exchange_deadline(first.exchange), 31000);
  assert_int_equal(uvsmtp_exchange_deadline(second.exchange), 31000);
  first.now_ms = second.now_ms = 31000;
  assert_int_equal(peer_continue(&first), UVSMTP_EAUTHTOKEN);
  assert_non_null(strstr(uvsmtp_exchange_detail(first.exchange), "takes too long"));
  assert_int_equal(issuer.cancels, 1);
  assert_int_equal(second.wakes, 1);
  assert_int_equal(peer_continue(&second), UVSMTP_EAUTHTOKEN);
  late = issuer.request;
  issuer.request = NULL;
  peer_end(&first);
  peer_end(&second);
  fetch_token(auth, &issuer, 32000, "fresh", 3600);
  assert_int_equal(uvsmtp_auth_token_set(late, 0, "late", 3600), UVSMTP_ECANCELED);
  assert_cached(auth, 33000, "fresh");
  uvsmtp_auth_free(auth);
}

static void a_fetch_that_nobody_waits_for_goes_on_but_not_for_ever(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  uvsmtp_token_request_t *late;
  peer_t peer;
  assert_int_equal(start_at(&peer, auth, 0), UVSMTP_PENDING);
  peer_end(&peer);
  assert_int_equal(issuer.cancels, 0);
  assert_int_equal(issue(&issuer, 0, "kept", 3600), 0);
  assert_cached(auth, 1, "kept");
  uvsmtp_auth_clear_cached_token(auth);
  assert_int_equal(start_at(&peer, auth, 100), UVSMTP_PENDING);
  peer_end(&peer);
  late = issuer.request;
  assert_int_equal(start_at(&peer, auth, 30100), UVSMTP_EAUTHTOKEN);
  assert_int_equal(issuer.cancels, 1);
  peer_end(&peer);
  assert_int_equal(uvsmtp_auth_token_set(late, 0, "late", 60), UVSMTP_ECANCELED);
  uvsmtp_auth_free(auth);
}

static void a_failed_renewal_leaves_the_old_token_to_its_end(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  uvsmtp_token_request_t *late;
  peer_t peer;
  fetch_token(auth, &issuer, 0, "old", 3600);
  assert_int_equal(start_at(&peer, auth, 3000000), UVSMTP_PENDING);
  assert_int_equal(issue(&issuer, UVSMTP_ECONNECT, NULL, 0), 0);
  assert_int_equal(peer_continue(&peer), 0);
  assert_token(&peer, "old");
  peer_end(&peer);
  assert_cached(auth, 3000999, "old");
  /* So does one that takes too long. */
  assert_int_equal(start_at(&peer, auth, 3001000), UVSMTP_PENDING);
  late = issuer.request;
  issuer.request = NULL;
  peer.now_ms = 3031000;
  issuer.request = late;
  assert_int_equal(peer_continue(&peer), 0);
  assert_token(&peer, "old");
  peer_end(&peer);
  issuer.request = NULL;
  assert_int_equal(uvsmtp_auth_token_set(late, 0, "late", 60), UVSMTP_ECANCELED);
  /* But not beyond its end. */
  assert_int_equal(start_at(&peer, auth, 3600000), UVSMTP_PENDING);
  assert_int_equal(issue(&issuer, UVSMTP_ECONNECT, NULL, 0), 0);
  assert_int_equal(peer_continue(&peer), UVSMTP_ECONNECT);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void an_authenticator_that_goes_cancels_its_fetch(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peer;
  assert_int_equal(start_at(&peer, auth, 0), UVSMTP_PENDING);
  uvsmtp_auth_free(auth);
  assert_int_equal(issuer.cancels, 0);
  peer_end(&peer);
  assert_int_equal(issuer.cancels, 1);
  assert_int_equal(issue(&issuer, 0, "late", 60), UVSMTP_ECANCELED);
}

/* ---- Refusal ---- */

static void a_refused_token_is_dropped_but_a_newer_one_is_not(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t first, second;
  fetch_token(auth, &issuer, 0, "stale", 3600);
  assert_int_equal(start_at(&first, auth, 1), 0);
  assert_int_equal(start_at(&second, auth, 1), 0);
  assert_int_equal(peer_challenge(&first, ERROR_JSON), 0);
  assert_int_equal(peer_finish(&first, 535, "no"), UVSMTP_EAUTH);
  fetch_token(auth, &issuer, 2, "fresh", 3600);
  assert_int_equal(peer_finish(&second, 535, "no"), UVSMTP_EAUTH);
  assert_cached(auth, 3, "fresh");
  peer_end(&first);
  peer_end(&second);
  uvsmtp_auth_free(auth);
}

static void only_a_refusal_of_the_token_drops_it(void **state)
{
  static const struct {
    int code;
    bool error_challenge, kept;
  } rows[] = {{504, false, true},  {534, false, true},  {538, false, true}, {521, false, true},
              {535, false, false}, {550, false, false}, {501, true, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    issuer_t issuer;
    uvsmtp_auth_t *auth = fetching(&issuer, 0);
    peer_t peer;
    fetch_token(auth, &issuer, 0, "token", 3600);
    assert_int_equal(start_at(&peer, auth, 1), 0);
    if (rows[i].error_challenge)
      assert_int_equal(peer_challenge(&peer, ERROR_JSON), 0);
    assert_int_equal(peer_finish(&peer, rows[i].code, "no"), UVSMTP_EAUTH);
    peer_end(&peer);
    if (rows[i].kept)
      assert_cached(auth, 2, "token");
    else
      fetch_token(auth, &issuer, 2, "fresh", 3600);
    uvsmtp_auth_free(auth);
  }
}

static void a_temporary_failure_keeps_the_token(void **state)
{
  issuer_t issuer;
  uvsmtp_auth_t *auth = fetching(&issuer, 0);
  peer_t peer;
  fetch_token(auth, &issuer, 0, "good", 3600);
  assert_int_equal(start_at(&peer, auth, 1), 0);
  assert_int_equal(peer_finish(&peer, 454, "later"), UVSMTP_EAUTHTEMPORARY);
  peer_end(&peer);
  assert_cached(auth, 2, "good");
  uvsmtp_auth_free(auth);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(xoauth2_sends_the_published_example),
      cmocka_unit_test(oauthbearer_sends_the_example_of_rfc_7628),
      cmocka_unit_test(oauthbearer_escapes_the_identity),
      cmocka_unit_test(an_error_challenge_is_answered_and_kept),
      cmocka_unit_test(one_fetch_serves_all_who_wait_and_those_who_come_later),
      cmocka_unit_test(a_token_at_once_needs_no_wait),
      cmocka_unit_test(a_token_is_renewed_before_its_end),
      cmocka_unit_test(a_lifetime_counts_from_the_start_of_the_fetch),
      cmocka_unit_test(a_token_without_lifetime_serves_only_those_who_wait),
      cmocka_unit_test(clearing_the_cache_fetches_a_fresh_token),
      cmocka_unit_test(a_failed_fetch_fails_those_who_wait_with_its_own_error),
      cmocka_unit_test(a_failed_fetch_says_why_to_those_who_wait_and_those_who_come),
      cmocka_unit_test(after_failures_fetches_back_off),
      cmocka_unit_test(a_fetch_that_cannot_start_is_a_failed_one),
      cmocka_unit_test(a_fetch_that_answers_what_is_no_token_has_answered),
      cmocka_unit_test(what_is_no_token_is_refused),
      cmocka_unit_test(identities_cannot_add_a_field),
      cmocka_unit_test(an_overdue_fetch_is_given_up),
      cmocka_unit_test(a_fetch_that_nobody_waits_for_goes_on_but_not_for_ever),
      cmocka_unit_test(a_failed_renewal_leaves_the_old_token_to_its_end),
      cmocka_unit_test(an_authenticator_that_goes_cancels_its_fetch),
      cmocka_unit_test(a_refused_token_is_dropped_but_a_newer_one_is_not),
      cmocka_unit_test(only_a_refusal_of_the_token_drops_it),
      cmocka_unit_test(a_temporary_failure_keeps_the_token),
  };
  return cmocka_run_group_tests_name("auth/token", tests, NULL, NULL);
}
