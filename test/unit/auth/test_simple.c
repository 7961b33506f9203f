/* PLAIN, LOGIN, CRAM-MD5, EXTERNAL, ANONYMOUS; and what constructors refuse. */
#include "peer.h"

static uvsmtp_auth_t *make(int (*constructor)(uvsmtp_auth_t **, const uvsmtp_auth_options_t *),
                           const char *user, const char *password, const char *authzid)
{
  uvsmtp_auth_options_t options = user_options(user, password);
  uvsmtp_auth_t *auth = NULL;
  options.authzid = authzid;
  assert_int_equal(constructor(&auth, &options), 0);
  return auth;
}

static void plain_sends_the_examples_of_rfc_4616(void **state)
{
  static const struct {
    const char *authzid, *user, *password, *wire;
    size_t len;
  } rows[] = {{NULL, "tim", "tanstaaftanstaaf", "\0tim\0tanstaaftanstaaf", 21},
              {"Ursel", "Kurt", "xipj3plmq", "Ursel\0Kurt\0xipj3plmq", 20}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_t *auth =
        make(uvsmtp_auth_plain_new, rows[i].user, rows[i].password, rows[i].authzid);
    peer_t peer;
    peer_init(&peer);
    assert_int_equal(peer_start(&peer, auth, "PLAIN"), 0);
    assert_response(&peer, rows[i].wire, rows[i].len);
    assert_int_equal(peer_finish(&peer, 235, "ok"), 0);
    peer_end(&peer);
    uvsmtp_auth_free(auth);
  }
}

static void plain_answers_no_challenge(void **state)
{
  uvsmtp_auth_t *auth = make(uvsmtp_auth_plain_new, "u", "p", NULL);
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), 0);
  assert_int_equal(peer_challenge(&peer, ""), UVSMTP_EAUTHCHALLENGE);
  assert_null(peer.response.base);
  assert_int_equal(peer_challenge(&peer, ""), UVSMTP_EAUTHCHALLENGE);
  assert_int_equal(peer_finish(&peer, 501, "cancelled"), UVSMTP_EAUTHCHALLENGE);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void login_answers_by_order_whatever_the_prompts(void **state)
{
  static const char *const prompts[][2] = {{"Username:", "Password:"},
                                           {"User Name", "Password"},
                                           {"", ""},
                                           {"Password:", "Username:"},
                                           {"Benutzername", "Kennwort"}};
  uvsmtp_auth_t *auth = make(uvsmtp_auth_login_new, "tim", "secret", NULL);
  for (size_t i = 0; i < COUNT(prompts); i++) {
    peer_t peer;
    peer_init(&peer);
    assert_int_equal(peer_start(&peer, auth, "login"), 0);
    assert_null(peer.response.base);
    assert_int_equal(peer_challenge(&peer, prompts[i][0]), 0);
    assert_response_text(&peer, "tim");
    assert_int_equal(peer_challenge(&peer, prompts[i][1]), 0);
    assert_response_text(&peer, "secret");
    assert_int_equal(peer_challenge(&peer, "One more:"), UVSMTP_EAUTHCHALLENGE);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void cram_md5_answers_the_example_of_rfc_2195(void **state)
{
  uvsmtp_auth_t *auth = make(uvsmtp_auth_cram_md5_new, "tim", "tanstaaftanstaaf", NULL);
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), 0);
  assert_null(peer.response.base);
  assert_int_equal(peer_challenge(&peer, "<1896.697170952@postoffice.reston.mci.net>"), 0);
  assert_response_text(&peer, "tim b913a602c7eda7a495b4e6e7334d3890");
  assert_int_equal(peer_challenge(&peer, "again"), UVSMTP_EAUTHCHALLENGE);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static size_t no_digest(uvsmtp_digest_t digest)
{
  return 0;
}

static void cram_md5_needs_a_challenge_and_md5(void **state)
{
  uvsmtp_auth_t *auth = make(uvsmtp_auth_cram_md5_new, "tim", "tanstaaftanstaaf", NULL);
  uvsmtp_crypto_t without_md5;
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), 0);
  assert_int_equal(peer_challenge(&peer, ""), UVSMTP_EAUTHCHALLENGE);
  peer_end(&peer);
  without_md5 = *peer.context.crypto;
  without_md5.digest_len = no_digest;
  for (int i = 0; i < 2; i++) {
    peer.context.crypto = i == 0 ? &without_md5 : NULL;
    assert_int_equal(peer_start(&peer, auth, NULL), 0);
    assert_int_equal(peer_challenge(&peer, "<1@x>"), UVSMTP_EAUTHUNSUPPORTED);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void external_and_anonymous_send_one_word_or_an_empty_response(void **state)
{
  static const struct {
    int (*constructor)(uvsmtp_auth_t **, const uvsmtp_auth_options_t *);
    const char *user, *authzid, *wire;
  } rows[] = {{uvsmtp_auth_external_new, NULL, NULL, ""},
              {uvsmtp_auth_external_new, NULL, "fred@example.com", "fred@example.com"},
              {uvsmtp_auth_anonymous_new, NULL, NULL, ""},
              {uvsmtp_auth_anonymous_new, "sirhc", NULL, "sirhc"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_t *auth = make(rows[i].constructor, rows[i].user, NULL, rows[i].authzid);
    peer_t peer;
    peer_init(&peer);
    peer.context.tls = false;
    assert_int_equal(peer_start(&peer, auth, NULL), 0);
    assert_response_text(&peer, rows[i].wire);
    assert_int_equal(peer_challenge(&peer, ""), UVSMTP_EAUTHCHALLENGE);
    peer_end(&peer);
    uvsmtp_auth_free(auth);
  }
}

static void secrets_do_not_go_without_tls_unless_allowed_by_name(void **state)
{
  static const char *const weak[] = {"PLAIN", "LOGIN", "CRAM-MD5"};
  uvsmtp_auth_t *auth = make(uvsmtp_auth_password_new, "u", "p", NULL);
  for (size_t i = 0; i < COUNT(weak); i++) {
    peer_t peer;
    peer_init(&peer);
    peer.context.tls = false;
    assert_int_equal(peer_start(&peer, auth, weak[i]), UVSMTP_EAUTHPLAINTEXT);
    assert_null(peer.exchange);
    peer.context.allow_plaintext = true;
    assert_int_equal(peer_start(&peer, auth, weak[i]), 0);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void an_authenticator_runs_only_its_own_mechanisms(void **state)
{
  uvsmtp_auth_t *auth = make(uvsmtp_auth_plain_new, "u", "p", NULL);
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, "LOGIN"), UVSMTP_EMECHANISM);
  assert_int_equal(peer_start(&peer, auth, "PLAINER"), UVSMTP_EMECHANISM);
  assert_string_equal(uvsmtp_auth_mechanism(auth, 0), "PLAIN");
  assert_null(uvsmtp_auth_mechanism(auth, 1));
  uvsmtp_auth_free(auth);
}

static void mechanisms_come_strongest_first_or_as_named(void **state)
{
  static const char *const strongest[] = {"SCRAM-SHA-512-PLUS",
                                          "SCRAM-SHA-256-PLUS",
                                          "SCRAM-SHA-1-PLUS",
                                          "SCRAM-SHA-512",
                                          "SCRAM-SHA-256",
                                          "SCRAM-SHA-1",
                                          "CRAM-MD5",
                                          "PLAIN",
                                          "LOGIN"};
  uvsmtp_auth_options_t options = user_options("u", "p");
  uvsmtp_auth_t *auth;
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  for (size_t i = 0; i < COUNT(strongest); i++)
    assert_string_equal(uvsmtp_auth_mechanism(auth, i), strongest[i]);
  assert_null(uvsmtp_auth_mechanism(auth, COUNT(strongest)));
  uvsmtp_auth_free(auth);
  options.mechanisms = " login  Scram-Sha-1 LOGIN ";
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  assert_string_equal(uvsmtp_auth_mechanism(auth, 0), "LOGIN");
  assert_string_equal(uvsmtp_auth_mechanism(auth, 1), "SCRAM-SHA-1");
  assert_null(uvsmtp_auth_mechanism(auth, 2));
  uvsmtp_auth_free(auth);
  options.mechanisms = NULL;
  options.flags = UVSMTP_AUTH_REQUIRE_BINDING;
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  assert_string_equal(uvsmtp_auth_mechanism(auth, 2), "SCRAM-SHA-1-PLUS");
  assert_null(uvsmtp_auth_mechanism(auth, 3));
  uvsmtp_auth_free(auth);
}

static void with_an_authorization_identity_only_those_run_that_can_say_it(void **state)
{
  static const char *const names[] = {"SCRAM-SHA-1", "PLAIN"};
  uvsmtp_auth_options_t options = user_options("u", "p");
  uvsmtp_auth_t *auth;
  size_t found = 0;
  options.authzid = "z";
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  for (size_t i = 0; uvsmtp_auth_mechanism(auth, i) != NULL; i++) {
    assert_string_not_equal(uvsmtp_auth_mechanism(auth, i), "LOGIN");
    assert_string_not_equal(uvsmtp_auth_mechanism(auth, i), "CRAM-MD5");
    if (found < COUNT(names) && strcmp(uvsmtp_auth_mechanism(auth, i), names[found]) == 0)
      found++;
  }
  assert_int_equal(found, COUNT(names));
  uvsmtp_auth_free(auth);
  options.mechanisms = "PLAIN LOGIN";
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), UVSMTP_EINVAL);
}

static void constructors_refuse_what_cannot_be_sent(void **state)
{
  static const struct {
    const char *user, *password, *authzid, *mechanisms;
    int err;
  } rows[] = {
      {NULL, "p", NULL, NULL, UVSMTP_EINVAL},      {"u", NULL, NULL, NULL, UVSMTP_EINVAL},
      {"", "p", NULL, NULL, UVSMTP_EINVAL},        {"u", "", NULL, NULL, UVSMTP_EINVAL},
      {"u\n", "p", NULL, NULL, UVSMTP_EINJECTION}, {"u", "p\r\n", NULL, NULL, UVSMTP_EINJECTION},
      {"u", "p", "a\rb", NULL, UVSMTP_EINJECTION}, {"\xff", "p", NULL, NULL, UVSMTP_ECHARSET},
      {"u", "\xc3", NULL, NULL, UVSMTP_ECHARSET},  {"u", "p", NULL, "PLAIN NTLM", UVSMTP_EINVAL},
      {"u", "p", NULL, " ", UVSMTP_EINVAL},        {"u", "p", "z", "PLAIN", 0}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_options_t options = user_options(rows[i].user, rows[i].password);
    uvsmtp_auth_t *auth = NULL;
    options.authzid = rows[i].authzid;
    options.mechanisms = rows[i].mechanisms;
    assert_int_equal(uvsmtp_auth_password_new(&auth, &options), rows[i].err);
    uvsmtp_auth_free(auth);
  }
}

static void what_has_no_authorization_identity_refuses_one(void **state)
{
  uvsmtp_auth_options_t options = user_options("u", "p");
  uvsmtp_auth_t *auth;
  options.authzid = "z";
  assert_int_equal(uvsmtp_auth_login_new(&auth, &options), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_auth_cram_md5_new(&auth, &options), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_auth_scram_new(&auth, UVSMTP_DIGEST_MD5, &options), UVSMTP_EINVAL);
  options.size = 0;
  assert_int_equal(uvsmtp_auth_plain_new(&auth, &options), UVSMTP_EINVAL);
}

/* RFC 4505 section 2: a token of 1 to 255 characters, or a mail address. */
static void a_trace_is_at_most_255_characters(void **state)
{
  char trace[2 * 256 + 1] = "";
  uvsmtp_auth_options_t options = user_options(trace, NULL);
  uvsmtp_auth_t *auth;
  for (size_t i = 0; i < 256; i++)
    memcpy(trace + 2 * i, "\xc3\xa9", 2);
  trace[2 * 256] = '\0';
  assert_int_equal(uvsmtp_auth_anonymous_new(&auth, &options), UVSMTP_ETOOLONG);
  trace[2 * 255] = '\0';
  assert_int_equal(uvsmtp_auth_anonymous_new(&auth, &options), 0);
  uvsmtp_auth_free(auth);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_sends_the_examples_of_rfc_4616),
      cmocka_unit_test(plain_answers_no_challenge),
      cmocka_unit_test(login_answers_by_order_whatever_the_prompts),
      cmocka_unit_test(cram_md5_answers_the_example_of_rfc_2195),
      cmocka_unit_test(cram_md5_needs_a_challenge_and_md5),
      cmocka_unit_test(external_and_anonymous_send_one_word_or_an_empty_response),
      cmocka_unit_test(secrets_do_not_go_without_tls_unless_allowed_by_name),
      cmocka_unit_test(an_authenticator_runs_only_its_own_mechanisms),
      cmocka_unit_test(mechanisms_come_strongest_first_or_as_named),
      cmocka_unit_test(with_an_authorization_identity_only_those_run_that_can_say_it),
      cmocka_unit_test(constructors_refuse_what_cannot_be_sent),
      cmocka_unit_test(what_has_no_authorization_identity_refuses_one),
      cmocka_unit_test(a_trace_is_at_most_255_characters),
  };
  return cmocka_run_group_tests_name("auth/simple", tests, NULL, NULL);
}
