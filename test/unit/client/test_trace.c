/* The trace of a client: whose each line is, and that none shows a secret, whatever the mechanism.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "sink/sink.h"
#include "uvsmtp/client.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define USER "ann"
#define PASSWORD "cafe-au-lait-1"
#define MAX_CONNECTIONS 4

typedef struct world_s {
  uv_loop_t loop;
  sink_t *sink;
  uvsmtp_client_t *client;
  uvsmtp_send_t sends[8];
  size_t due, accepted;
  /* What is known of each connection: its number, and its lines up to the login. */
  struct {
    uint64_t id;
    size_t lines;
    bool logging_in;
  } seen[MAX_CONNECTIONS];
  size_t logins;
  const char *mechanism;
  char encoded[64];
} world_t;

static void on_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  sink_close(w->sink, NULL);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  w->accepted += result->status == UVSMTP_ACCEPTED;
  if (--w->due == 0)
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
}

static bool has(const char *line, size_t len, const char *what)
{
  return memmem(line, len, what, strlen(what)) != NULL;
}

static bool is(const char *line, size_t len, const char *what)
{
  return len == strlen(what) && memcmp(line, what, len) == 0;
}

static size_t index_of(world_t *w, uint64_t id)
{
  size_t i = 0;
  while (w->seen[i].id != id && w->seen[i].id != 0)
    assert_true(++i < MAX_CONNECTIONS);
  w->seen[i].id = id;
  return i;
}

static void check_sent(world_t *w, size_t i, const char *line, size_t len)
{
  char with[64], without[64];
  snprintf(without, sizeof(without), "AUTH %s", w->mechanism);
  snprintf(with, sizeof(with), "AUTH %s [secret]", w->mechanism);
  if (has(line, len, "AUTH ")) {
    assert_true(is(line, len, with) || is(line, len, without));
    w->seen[i].logging_in = true;
    w->logins++;
  } else if (w->seen[i].logging_in) {
    assert_true(is(line, len, "[secret]") || len == 0);
  }
}

static void on_trace(void *data, uvsmtp_connection_t *connection, uvsmtp_trace_t kind,
                     const char *line, size_t len)
{
  world_t *w = data;
  size_t i = index_of(w, uvsmtp_connection_id(connection));
  /* Each connection's lines are a dialogue of their own. */
  if (w->seen[i].lines == 0)
    assert_true(kind == UVSMTP_TRACE_RECEIVED && has(line, len, "220 "));
  if (w->seen[i].lines == 1)
    assert_true(kind == UVSMTP_TRACE_SENT && has(line, len, "EHLO "));
  w->seen[i].lines++;
  assert_false(has(line, len, PASSWORD));
  assert_false(has(line, len, w->encoded));
  if (kind == UVSMTP_TRACE_SENT)
    check_sent(w, i, line, len);
  else if (w->seen[i].logging_in && (line[0] == '2' || line[0] == '5'))
    w->seen[i].logging_in = false;
}

static uvsmtp_auth_t *authenticator(const char *mechanism)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth;
  bool token = strcmp(mechanism, "XOAUTH2") == 0 || strcmp(mechanism, "OAUTHBEARER") == 0;
  options.user = USER;
  options.mechanisms = mechanism;
  *(token ? &options.token : &options.password) = PASSWORD;
  assert_int_equal((token ? uvsmtp_auth_oauth2_new : uvsmtp_auth_password_new)(&auth, &options), 0);
  return auth;
}

static void run(const char *mechanism, const char *script, size_t accepted)
{
  static const char text[] = "Subject: x\r\n\r\ny\r\n";
  world_t w = {.mechanism = mechanism};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  sink_options_t sink = {.script = script, .user = USER, .password = PASSWORD, .mechanisms = 255};
  uvsmtp_recipient_t to = {.address = "you@sink.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_source_t sources[COUNT(w.sends)];
  uvsmtp_auth_t *auth = authenticator(mechanism);
  signal(SIGPIPE, SIG_IGN);
  w.encoded[uvsmtp__base64_encoded_len(strlen(PASSWORD))] = '\0';
  uvsmtp__base64_encode(w.encoded, PASSWORD, strlen(PASSWORD));
  assert_int_equal(uv_loop_init(&w.loop), 0);
  assert_int_equal(sink_start(&w.sink, &w.loop, &sink, NULL, 0), 0);
  connection.host = "127.0.0.1";
  connection.port = sink_port(w.sink);
  connection.tls = UVSMTP_TLS_NONE;
  connection.allow_plaintext_auth = true;
  connection.auths = &auth;
  connection.auth_count = 1;
  connection.trace = on_trace;
  connection.trace_data = &w;
  options.connection = &connection;
  options.max_connections = 2;
  options.data = &w;
  assert_int_equal(uvsmtp_client_new(&w.client, &w.loop, &options, NULL, 0), 0);
  uvsmtp_auth_free(auth);
  envelope.sender = "me@client.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  for (size_t i = 0; i < COUNT(w.sends); i++, w.due++) {
    w.sends[i].data = &w;
    uvsmtp_source_memory(&sources[i], text, sizeof(text) - 1);
    assert_int_equal(uvsmtp_client_send(w.client, &w.sends[i], &envelope, &sources[i], on_sent), 0);
  }
  uv_run(&w.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&w.loop), 0);
  assert_int_equal(w.accepted, accepted);
  assert_true(w.logins >= 1);
}

static void no_mechanism_shows_its_secret(void **state)
{
  static const char *const mechanisms[] = {"PLAIN",       "LOGIN",         "CRAM-MD5",
                                           "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512",
                                           "XOAUTH2",     "OAUTHBEARER"};
  for (size_t i = 0; i < COUNT(mechanisms); i++) {
    print_message("%s\n", mechanisms[i]);
    run(mechanisms[i], NULL, 8);
  }
}

static void a_refused_login_shows_none_either(void **state)
{
  run("PLAIN", "auth : reply \"535 5.7.8 no\"", 0);
  run("LOGIN", "challenge : reply \"535 5.7.8 no\"", 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_mechanism_shows_its_secret),
      cmocka_unit_test(a_refused_login_shows_none_either),
  };
  return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
