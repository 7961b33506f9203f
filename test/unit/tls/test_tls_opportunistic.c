/* Opportunistic engines: no fault of a certificate ends them, and all of them are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"
#include "tls/compat.h"

/* Fresh engines under the contexts of a pair; the client's is opportunistic or not. */
static void renew(pair_t *pair, bool opportunistic)
{
  int (*make)(uvsmtp_tls_t **, uvsmtp_tls_context_t *, const char *) =
      opportunistic ? uvsmtp_tls_new_opportunistic : uvsmtp_tls_new;
  uvsmtp_tls_free(pair->client.tls);
  uvsmtp_tls_free(pair->server.tls);
  assert_int_equal(make(&pair->client.tls, pair->client.context, "mail.example.org"), 0);
  assert_int_equal(uvsmtp_tls_new(&pair->server.tls, pair->server.context, NULL), 0);
  pair->client.handshake = pair->server.handshake = UVSMTP_PENDING;
}

static void open_to(pair_t *pair, const uvsmtp_tls_options_t *client, const identity_t *server)
{
  uvsmtp_tls_options_t s = server_options();
  s.cert_pem = server->cert;
  s.key_pem = server->key;
  open_pair(pair, client, &s, "mail.example.org");
  renew(pair, true);
}

static void check(pair_t *pair, const char *what, const char *words, bool verified)
{
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  const char *overlooked = uvsmtp_tls_overlooked(pair->client.tls);
  if (pair->client.handshake != 0 || pair->server.handshake != 0)
    fail_msg("%s: %s", what, uvsmtp_tls_error_detail(pair->client.tls));
  assert_int_equal(uvsmtp_tls_info(pair->client.tls, &info), 0);
  assert_int_equal(info.verified, verified);
  assert_int_equal(uvsmtp_tls_verified(pair->client.tls), verified);
  assert_string_equal(info.overlooked, overlooked != NULL ? overlooked : "");
  if (words == NULL ? overlooked != NULL : overlooked == NULL || strstr(overlooked, words) == NULL)
    fail_msg("%s: \"%s\"", what, info.overlooked);
}

#define GOOD_NAMES "DNS:mail.example.org"

static const struct {
  const char *what;
  spec_t spec;
  const char *words; /* NULL: it is good */
} certificates[] = {
    {"good", {.names = GOOD_NAMES, .issuer = &world.ca}, NULL},
    {"self-signed", {.names = GOOD_NAMES}, "is self-signed by"},
    {"unknown issuer", {.names = GOOD_NAMES, .issuer = &world.other_ca}, "\"CN=Other CA\""},
    {"wrong name", {.names = "DNS:a.example", .issuer = &world.ca}, "is for a.example, not for"},
    {"expired", {.names = GOOD_NAMES, .issuer = &world.ca, .to = "20200101000000"}, "expired on"},
};

static void every_certificate_is_taken_and_its_faults_are_told(void **state)
{
  for (size_t i = 0; i < sizeof(certificates) / sizeof(certificates[0]); i++) {
    uvsmtp_slice_t slice = {"hello", 5};
    identity_t server;
    pair_t pair = {0};
    make_identity(&server, &certificates[i].spec);
    open_to(&pair, NULL, &server);
    assert_null(uvsmtp_tls_overlooked(pair.client.tls));
    shake(&pair);
    check(&pair, certificates[i].what, certificates[i].words, certificates[i].words == NULL);
    send_all(&pair, &pair.client, &pair.server, &slice, 1);
    assert_int_equal(pair.server.got_len, 5);
    renew(&pair, false);
    shake(&pair);
    if ((pair.client.handshake == 0) != (certificates[i].words == NULL))
      fail_msg("%s, strictly: %s", certificates[i].what, uvsmtp_tls_error_detail(pair.client.tls));
    assert_null(uvsmtp_tls_overlooked(pair.client.tls));
    close_pair(&pair);
    free_identity(&server);
  }
}

static void what_the_verify_mode_does_not_heed_is_not_overlooked(void **state)
{
  identity_t server;
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  make_identity(&server, &(spec_t){.names = "DNS:a.example", .to = "20200101000000"});
  o.verify = UVSMTP_TLS_VERIFY_NONE_INSECURE;
  open_to(&pair, &o, &server);
  shake(&pair);
  check(&pair, "no check", NULL, false);
  close_pair(&pair);
  free_identity(&server);
}

static void a_wrong_pin_is_overlooked_too(void **state)
{
  char bad[64];
  const char *pins[] = {bad};
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  pin_of(&world.client, bad);
  o.pins = pins;
  o.pin_count = 1;
  open_to(&pair, &o, &world.server);
  shake(&pair);
  check(&pair, "wrong pin", "which is not one of those pinned", false);
  close_pair(&pair);
}

static const uvsmtp_tls_version_t versions[] = {UVSMTP_TLS_1_2, UVSMTP_TLS_1_3};

static void a_session_keeps_what_was_overlooked_and_is_not_for_strict_engines(void **state)
{
  for (size_t v = 0; v < 2 && versions[v] <= uvsmtp__tls_compat_max_version(); v++) {
    identity_t server;
    pair_t pair = {0};
    uvsmtp_tls_options_t o = client_options();
    uvsmtp_tls_session_t *session;
    make_identity(&server, &(spec_t){.names = GOOD_NAMES});
    o.min_version = o.max_version = versions[v];
    open_to(&pair, &o, &server);
    shake(&pair);
    assert_int_equal(uvsmtp_tls_session_get(pair.client.tls, &session), 0);
    renew(&pair, false);
    assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), UVSMTP_EINVAL);
    shake(&pair);
    assert_int_equal(pair.client.handshake, UVSMTP_ETLSCERT);
    renew(&pair, true);
    assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), 0);
    uvsmtp_tls_session_free(session);
    shake(&pair);
    assert_true(uvsmtp_tls_resumed(pair.client.tls));
    check(&pair, "resumed", "is self-signed by", false);
    uvsmtp_tls_idle(pair.client.tls);
    check(&pair, "idle", "is self-signed by", false);
    close_pair(&pair);
    free_identity(&server);
  }
}

static void without_anybody_to_trust_others_do_not_even_begin(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t o = UVSMTP_TLS_OPTIONS_INIT;
  uvsmtp_tls_context_t *context;
  uvsmtp_slice_t slice;
  setenv("SSL_CERT_FILE", "/nonexistent/uvsmtp", 1);
  assert_int_equal(uvsmtp_tls_context_new(&context, &o, NULL, 0), UVSMTP_ETLSCONFIG);
  o.trust_optional = 1;
  open_to(&pair, &o, &world.server);
  unsetenv("SSL_CERT_FILE");
  shake(&pair);
  check(&pair, "nobody is trusted", "which is not trusted", false);
  renew(&pair, false);
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_ETLSCONFIG);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "(named by SSL_CERT_FILE)"));
  uvsmtp_tls_output(pair.client.tls, &slice);
  assert_int_equal(slice.len, 0);
  close_pair(&pair);
  o.ca_file = "/nonexistent/uvsmtp"; /* what is named must be there */
  assert_int_equal(uvsmtp_tls_context_new(&context, &o, NULL, 0), UVSMTP_ETLSCONFIG);
}

static void servers_are_not_opportunistic(void **state)
{
  uvsmtp_tls_options_t s = server_options();
  uvsmtp_tls_context_t *context;
  uvsmtp_tls_t *engine;
  assert_int_equal(uvsmtp_tls_context_new(&context, &s, NULL, 0), 0);
  assert_int_equal(uvsmtp_tls_new_opportunistic(&engine, context, "mail.example.org"),
                   UVSMTP_EINVAL);
  assert_null(engine);
  uvsmtp_tls_context_free(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_certificate_is_taken_and_its_faults_are_told),
      cmocka_unit_test(what_the_verify_mode_does_not_heed_is_not_overlooked),
      cmocka_unit_test(a_wrong_pin_is_overlooked_too),
      cmocka_unit_test(a_session_keeps_what_was_overlooked_and_is_not_for_strict_engines),
      cmocka_unit_test(without_anybody_to_trust_others_do_not_even_begin),
      cmocka_unit_test(servers_are_not_opportunistic),
  };
  return cmocka_run_group_tests(tests, make_world, free_world);
}
