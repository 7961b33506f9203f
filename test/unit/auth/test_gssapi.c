/*
 * GSSAPI without a Kerberos realm: that it fails cleanly, at once or from a job, whoever goes
 * first. With a realm it is tried against real servers.
 */
#include <stdio.h>

#include "peer.h"

/* NULL where it was not built in. */
static uvsmtp_auth_t *make(const char *user)
{
  uvsmtp_auth_options_t options = user_options(user, NULL);
  uvsmtp_auth_t *auth = NULL;
  int err = uvsmtp_auth_gssapi_new(&auth, &options);
  if (err == UVSMTP_EAUTHUNSUPPORTED) {
    assert_null(auth);
    skip();
  }
  assert_int_equal(err, 0);
  assert_string_equal(uvsmtp_auth_mechanism(auth, 0), "GSSAPI");
  return auth;
}

static void without_a_ticket_there_is_no_token_and_it_is_said_why(void **state)
{
  static const char *const users[] = {NULL, "somebody@EXAMPLE.COM"};
  for (size_t i = 0; i < COUNT(users); i++) {
    uvsmtp_auth_t *auth = make(users[i]);
    peer_t peer;
    const char *detail;
    peer_init(&peer);
    assert_int_equal(peer_start(&peer, auth, NULL), UVSMTP_EAUTHTOKEN);
    detail = uvsmtp_exchange_detail(peer.exchange);
    assert_memory_equal(detail, "no ticket can be had: ", 22);
    assert_true(strlen(detail) > 30);
    peer_end(&peer);
    uvsmtp_auth_free(auth);
  }
}

static void the_ticket_is_looked_for_on_another_thread(void **state)
{
  uvsmtp_auth_t *auth = make(NULL);
  peer_t peer;
  peer_init(&peer);
  peer_offload(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), UVSMTP_PENDING);
  assert_int_equal(peer.job_count, 1);
  peer_run_jobs(&peer);
  assert_int_equal(peer.wakes, 1);
  assert_int_equal(peer_continue(&peer), UVSMTP_EAUTHTOKEN);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void a_connection_may_go_while_the_job_runs(void **state)
{
  uvsmtp_auth_t *auth = make(NULL);
  peer_t peer;
  peer_init(&peer);
  peer_offload(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), UVSMTP_PENDING);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
  peer_run_jobs(&peer);
  assert_int_equal(peer.wakes, 0);
}

static void without_the_servers_name_it_cannot_run(void **state)
{
  uvsmtp_auth_t *auth = make(NULL);
  peer_t peer;
  peer_init(&peer);
  peer.context.host = NULL;
  assert_int_equal(peer_start(&peer, auth, NULL), UVSMTP_EINVAL);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void success_before_the_server_has_proven_itself_is_not_believed(void **state)
{
  uvsmtp_auth_t *auth = make(NULL);
  peer_t peer;
  peer_init(&peer);
  peer_offload(&peer);
  assert_int_equal(peer_start(&peer, auth, NULL), UVSMTP_PENDING);
  assert_int_equal(peer_finish(&peer, 235, "come in"), UVSMTP_EAUTHSERVER);
  peer_end(&peer);
  peer_run_jobs(&peer);
  uvsmtp_auth_free(auth);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_a_ticket_there_is_no_token_and_it_is_said_why),
      cmocka_unit_test(the_ticket_is_looked_for_on_another_thread),
      cmocka_unit_test(a_connection_may_go_while_the_job_runs),
      cmocka_unit_test(without_the_servers_name_it_cannot_run),
      cmocka_unit_test(success_before_the_server_has_proven_itself_is_not_believed),
  };
  /* No ticket, no configuration, no network. */
  setenv("KRB5CCNAME", "FILE:/nonexistent/uvsmtp", 1);
  setenv("KRB5_CONFIG", "/dev/null", 1);
  return cmocka_run_group_tests_name("auth/gssapi", tests, NULL, NULL);
}
