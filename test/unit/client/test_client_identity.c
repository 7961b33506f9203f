/*
 * Who a client logs in as: that refused credentials are not taken to the server again and again,
 * and what becomes of sends, connections and exchanges when they are replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink/sink.h"
#include "uvsmtp/client.h"

#define MAX_MAILS 8

typedef struct mail_s {
  uvsmtp_send_t send;
  bool done;
  uvsmtp_status_t status;
  int err, code; /* `code` and `phase` of the recipient */
  uvsmtp_command_t phase;
  char text[512];
} mail_t;

typedef struct stage_s {
  uv_loop_t loop;
  sink_t *sink;
  uvsmtp_client_t *client;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipient;
  uvsmtp_source_t source;
  mail_t mails[MAX_MAILS];
  size_t sent, done;
  sink_counters_t counters;
  /* What a token service is to answer. */
  uvsmtp_token_request_t *request;
  unsigned cancels, fetches;
  uv_timer_t service; /* one that answers soon */
} stage_t;

/* ---- The stage ---- */

static void start_sink(stage_t *stage, const char *script)
{
  static const char text[] = "Subject: x\r\n\r\nbody\r\n";
  sink_options_t options = {.user = "ada",
                            .password = "right",
                            .auth_required = true,
                            .script = script,
                            .mechanisms = SINK_PLAIN | SINK_SCRAM_SHA_256 | SINK_XOAUTH2};
  memset(stage, 0, sizeof(*stage));
  assert_int_equal(uv_loop_init(&stage->loop), 0);
  assert_int_equal(sink_start(&stage->sink, &stage->loop, &options, NULL, 0), 0);
  stage->recipient.address = "bob@sink.example";
  stage->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  stage->envelope.sender = "ada@client.example";
  stage->envelope.recipients = &stage->recipient;
  stage->envelope.recipient_count = 1;
  uvsmtp_source_memory(&stage->source, text, sizeof(text) - 1);
}

static void start_client_on(stage_t *stage, uv_loop_t *loop, uvsmtp_auth_t *auth, const char *url)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  char detail[256];
  connection.host = "127.0.0.1";
  connection.port = sink_port(stage->sink);
  connection.url = url;
  connection.tls = UVSMTP_TLS_NONE;
  connection.ehlo_domain = "client.example";
  connection.allow_plaintext_auth = true;
  connection.auths = &auth;
  connection.auth_count = auth != NULL ? 1 : 0;
  options.connection = &connection;
  options.max_connections = 3;
  options.retry_delay_ms = 1;
  if (uvsmtp_client_new(&stage->client, loop, &options, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  uvsmtp_auth_free(auth);
}

static void start_client(stage_t *stage, uvsmtp_auth_t *auth, const char *url)
{
  start_client_on(stage, &stage->loop, auth, url);
}

static uvsmtp_auth_t *credentials(const char *password)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;
  options.user = "ada";
  options.password = password;
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  return auth;
}

static int never_answer(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  ((stage_t *)data)->request = request;
  return 0;
}

static void no_answer_wanted(uvsmtp_token_request_t *request, void *data)
{
  stage_t *stage = data;
  assert_ptr_equal(request, stage->request);
  stage->cancels++;
  assert_int_equal(uvsmtp_auth_token_set(request, 0, "late", 60), UVSMTP_ECANCELED);
}

/* Whose exchanges stay suspended. */
static uvsmtp_auth_t *hanging(stage_t *stage)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;
  options.user = "ada";
  options.fetch = never_answer;
  options.cancel_fetch = no_answer_wanted;
  options.data = stage;
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), 0);
  return auth;
}

static void log_in_with(stage_t *stage, const char *password)
{
  uvsmtp_auth_t *auth = credentials(password);
  assert_int_equal(uvsmtp_client_set_authenticator(stage->client, auth), 0);
  uvsmtp_auth_free(auth);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  stage_t *stage = send->data;
  mail_t *mail = (mail_t *)(void *)send;
  assert_false(mail->done);
  mail->done = true;
  mail->status = result->status;
  mail->err = result->err;
  mail->code = result->recipients[0].code;
  mail->phase = result->recipients[0].phase;
  snprintf(mail->text, sizeof(mail->text), "%s", result->error_text);
  stage->done++;
}

static mail_t *post(stage_t *stage)
{
  mail_t *mail = &stage->mails[stage->sent++];
  mail->send.data = stage;
  assert_int_equal(
      uvsmtp_client_send(stage->client, &mail->send, &stage->envelope, &stage->source, on_sent), 0);
  return mail;
}

static void run_until_told(stage_t *stage)
{
  while (stage->done < stage->sent)
    uv_run(&stage->loop, UV_RUN_ONCE);
}

static mail_t *send_one(stage_t *stage)
{
  mail_t *mail = post(stage);
  run_until_told(stage);
  return mail;
}

static int open_err(const stage_t *stage)
{
  uvsmtp_client_stats_t stats;
  uvsmtp_client_stats(stage->client, &stats);
  return stats.open_err;
}

static void on_closed(uvsmtp_client_t *client)
{
}

static void finish(stage_t *stage)
{
  uvsmtp_client_close(stage->client, UVSMTP_CLOSE_DRAIN, on_closed);
  while (sink_counters(stage->sink)->open != 0)
    uv_run(&stage->loop, UV_RUN_ONCE);
  stage->counters = *sink_counters(stage->sink);
  sink_close(stage->sink, NULL);
  uv_run(&stage->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&stage->loop), 0);
  assert_int_equal(stage->done, stage->sent);
  assert_int_equal(sink_violations(&stage->counters), 0);
}

/* ---- Refused ---- */

static void refused_credentials_are_not_taken_to_the_server_again(void **state)
{
  /* Once as SCRAM and once as PLAIN, which servers may take where they do not take the other. */
  static const char *const urls[] = {NULL, "smtp://ada:wrong@127.0.0.1"};
  for (size_t i = 0; i < 2; i++) {
    stage_t stage;
    const mail_t *first;
    start_sink(&stage, NULL);
    start_client(&stage, urls[i] == NULL ? credentials("wrong") : NULL, urls[i]);
    assert_int_equal(open_err(&stage), 0);
    first = send_one(&stage);
    assert_int_equal(first->err, UVSMTP_EAUTH);
    assert_int_equal(first->code, 535);
    assert_int_equal(first->phase, UVSMTP_COMMAND_AUTH);
    assert_int_equal(open_err(&stage), UVSMTP_EAUTH);
    for (int later = 0; later < 3; later++) {
      const mail_t *mail = send_one(&stage);
      assert_int_equal(mail->err, UVSMTP_EAUTHBACKOFF);
      assert_int_equal(mail->status, UVSMTP_DEFERRED);
      assert_non_null(strstr(mail->text, "refused the credentials; they are tried again in"));
      assert_non_null(strstr(mail->text, "give the new ones"));
      assert_int_equal(open_err(&stage), UVSMTP_EAUTHBACKOFF);
    }
    finish(&stage);
    assert_int_equal(stage.counters.auth_failed, 2);
    assert_int_equal(stage.counters.connections, 1);
  }
}

static void a_burst_shows_wrong_credentials_once(void **state)
{
  stage_t stage;
  start_sink(&stage, NULL);
  start_client(&stage, credentials("wrong"), NULL);
  for (int i = 0; i < MAX_MAILS; i++)
    post(&stage);
  run_until_told(&stage);
  for (int i = 0; i < MAX_MAILS; i++)
    assert_int_equal(stage.mails[i].err, UVSMTP_EAUTH);
  finish(&stage);
  assert_int_equal(stage.counters.auth_failed, 2);
}

static void new_credentials_are_tried_at_once(void **state)
{
  stage_t stage;
  start_sink(&stage, NULL);
  start_client(&stage, credentials("wrong"), NULL);
  assert_int_equal(send_one(&stage)->err, UVSMTP_EAUTH);
  assert_int_equal(send_one(&stage)->err, UVSMTP_EAUTHBACKOFF);
  log_in_with(&stage, "right");
  assert_int_equal(open_err(&stage), 0);
  assert_int_equal(send_one(&stage)->status, UVSMTP_ACCEPTED);
  assert_int_equal(open_err(&stage), 0);
  finish(&stage);
}

/* ---- Shared ---- */

static void service_answers(uv_timer_t *timer)
{
  stage_t *stage = timer->data;
  assert_int_equal(uvsmtp_auth_token_set(stage->request, 0, "right", 3600), 0);
}

static int fetch_soon(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  stage_t *stage = data;
  stage->fetches++;
  stage->request = request;
  uv_timer_start(&stage->service, service_answers, 5, 0);
  return 0;
}

static uvsmtp_auth_t *fetching(stage_t *stage)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;
  uv_timer_init(&stage->loop, &stage->service);
  stage->service.data = stage;
  options.user = "ada";
  options.fetch = fetch_soon;
  options.data = stage;
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), 0);
  return auth;
}

/* One of them fetches; the other waits for the same token, and has connections of its own. */
static void clients_that_share_an_authenticator_share_its_token(void **state)
{
  uvsmtp_client_t *first;
  uvsmtp_auth_t *auth;
  stage_t stage;
  start_sink(&stage, NULL);
  auth = fetching(&stage);
  start_client(&stage, uvsmtp_auth_acquire(auth), NULL);
  post(&stage);
  first = stage.client;
  start_client(&stage, auth, NULL);
  post(&stage);
  post(&stage);
  run_until_told(&stage);
  for (size_t i = 0; i < stage.sent; i++)
    assert_int_equal(stage.mails[i].status, UVSMTP_ACCEPTED);
  assert_int_equal(stage.fetches, 1);
  uvsmtp_client_close(first, UVSMTP_CLOSE_DRAIN, NULL);
  uv_close((uv_handle_t *)&stage.service, NULL);
  finish(&stage);
  assert_true(stage.counters.auth_ok >= 2);
}

/* What one loop has fetched goes to those who wait on another of the same thread. */
static void loops_of_a_thread_share_a_token(void **state)
{
  uvsmtp_client_t *first;
  uvsmtp_auth_t *auth;
  uv_loop_t other;
  stage_t stage;
  start_sink(&stage, NULL);
  assert_int_equal(uv_loop_init(&other), 0);
  auth = fetching(&stage);
  start_client(&stage, uvsmtp_auth_acquire(auth), NULL);
  post(&stage);
  first = stage.client;
  start_client_on(&stage, &other, auth, NULL);
  post(&stage);
  while (stage.done < stage.sent) {
    uv_run(&other, UV_RUN_NOWAIT);
    uv_run(&stage.loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(stage.mails[0].status, UVSMTP_ACCEPTED);
  assert_int_equal(stage.mails[1].status, UVSMTP_ACCEPTED);
  assert_int_equal(stage.fetches, 1);
  uvsmtp_client_close(stage.client, UVSMTP_CLOSE_ABORT, NULL);
  uv_run(&other, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&other), 0);
  stage.client = first;
  uv_close((uv_handle_t *)&stage.service, NULL);
  finish(&stage);
}

/* ---- Replaced ---- */

static void an_idle_connection_of_the_old_identity_is_retired(void **state)
{
  stage_t stage;
  start_sink(&stage, NULL);
  start_client(&stage, credentials("right"), NULL);
  assert_int_equal(send_one(&stage)->status, UVSMTP_ACCEPTED);
  log_in_with(&stage, "right");
  while (sink_counters(stage.sink)->open != 0)
    uv_run(&stage.loop, UV_RUN_ONCE);
  assert_int_equal(send_one(&stage)->status, UVSMTP_ACCEPTED);
  finish(&stage);
  assert_int_equal(stage.counters.connections, 2);
  assert_int_equal(stage.counters.auth_ok, 2);
}

static void what_is_under_way_is_finished_by_the_old_identity(void **state)
{
  stage_t stage;
  mail_t *mail;
  start_sink(&stage, "eod nth 1 conn 1 : delay 20\n");
  start_client(&stage, credentials("right"), NULL);
  mail = post(&stage);
  while (sink_counters(stage.sink)->scripted == 0)
    uv_run(&stage.loop, UV_RUN_ONCE);
  log_in_with(&stage, "wrong");
  run_until_told(&stage);
  assert_int_equal(mail->status, UVSMTP_ACCEPTED);
  assert_int_equal(send_one(&stage)->err, UVSMTP_EAUTH);
  finish(&stage);
  assert_int_equal(stage.counters.messages, 1);
}

static void sends_that_wait_go_out_under_the_new_identity(void **state)
{
  stage_t stage;
  start_sink(&stage, NULL);
  start_client(&stage, hanging(&stage), NULL);
  post(&stage);
  post(&stage);
  while (stage.request == NULL)
    uv_run(&stage.loop, UV_RUN_ONCE);
  assert_int_equal(stage.done, 0);
  log_in_with(&stage, "right");
  run_until_told(&stage);
  assert_int_equal(stage.mails[0].status, UVSMTP_ACCEPTED);
  assert_int_equal(stage.mails[1].status, UVSMTP_ACCEPTED);
  /* The exchanges that ran were cancelled, and with the last of them the fetch. */
  assert_int_equal(stage.cancels, 1);
  finish(&stage);
  assert_int_equal(stage.counters.auth_failed, 0);
}

static void what_cannot_be_set_changes_nothing(void **state)
{
  stage_t stage;
  uvsmtp_auth_t *auth = credentials("wrong"), *many[UVSMTP_AUTH_CHOICE_MAX + 1];
  for (size_t i = 0; i < UVSMTP_AUTH_CHOICE_MAX + 1; i++)
    many[i] = auth;
  start_sink(&stage, NULL);
  start_client(&stage, credentials("right"), NULL);
  assert_int_equal(uvsmtp_client_set_authenticator(stage.client, NULL), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_client_set_authenticators(stage.client, NULL, 1), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_client_set_authenticators(stage.client, many, UVSMTP_AUTH_CHOICE_MAX + 1),
                   UVSMTP_EINVAL);
  assert_int_equal(send_one(&stage)->status, UVSMTP_ACCEPTED);
  uvsmtp_client_close(stage.client, UVSMTP_CLOSE_DRAIN, NULL);
  assert_int_equal(uvsmtp_client_set_authenticator(stage.client, auth), UVSMTP_ECLOSING);
  uvsmtp_auth_free(auth);
  finish(&stage);
}

static void claim(void *auth)
{
  assert_int_equal(uvsmtp_auth_claim(auth), 0);
}

static void an_authenticator_of_another_thread_is_refused(void **state)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_auth_t *theirs = credentials("right");
  uvsmtp_client_t *client;
  uv_thread_t thread;
  char detail[256];
  stage_t stage;
  assert_int_equal(uv_thread_create(&thread, claim, theirs), 0);
  assert_int_equal(uv_thread_join(&thread), 0);
  start_sink(&stage, NULL);
  start_client(&stage, credentials("right"), NULL);
  assert_int_equal(uvsmtp_client_set_authenticator(stage.client, theirs), UVSMTP_EAUTHTHREAD);
  assert_int_equal(send_one(&stage)->status, UVSMTP_ACCEPTED);
  connection.host = "127.0.0.1";
  connection.auths = &theirs;
  connection.auth_count = 1;
  options.connection = &connection;
  assert_int_equal(uvsmtp_client_new(&client, &stage.loop, &options, detail, sizeof(detail)),
                   UVSMTP_EAUTHTHREAD);
  assert_non_null(strstr(detail, "belongs to another thread"));
  uvsmtp_auth_free(theirs);
  finish(&stage);
}

static void run_the_loop(void *stage)
{
  run_until_told(stage);
}

static void a_client_may_be_made_before_its_loop_runs_elsewhere(void **state)
{
  uv_thread_t thread;
  stage_t stage;
  start_sink(&stage, NULL);
  start_client(&stage, credentials("right"), NULL);
  post(&stage);
  assert_int_equal(uv_thread_create(&thread, run_the_loop, &stage), 0);
  assert_int_equal(uv_thread_join(&thread), 0);
  assert_int_equal(stage.mails[0].status, UVSMTP_ACCEPTED);
  finish(&stage);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refused_credentials_are_not_taken_to_the_server_again),
      cmocka_unit_test(a_burst_shows_wrong_credentials_once),
      cmocka_unit_test(new_credentials_are_tried_at_once),
      cmocka_unit_test(clients_that_share_an_authenticator_share_its_token),
      cmocka_unit_test(loops_of_a_thread_share_a_token),
      cmocka_unit_test(an_idle_connection_of_the_old_identity_is_retired),
      cmocka_unit_test(what_is_under_way_is_finished_by_the_old_identity),
      cmocka_unit_test(sends_that_wait_go_out_under_the_new_identity),
      cmocka_unit_test(what_cannot_be_set_changes_nothing),
      cmocka_unit_test(an_authenticator_of_another_thread_is_refused),
      cmocka_unit_test(a_client_may_be_made_before_its_loop_runs_elsewhere),
  };
  return cmocka_run_group_tests_name("client/identity", tests, NULL, NULL);
}
