/*
 * Opportunistic TLS: whatever the certificate, what is sent is encrypted, and is said to be so and
 * no more; nothing goes that a certificate is needed for.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tls/certs.h"
#include "sink/sink.h"
#include "uvsmtp.h"

enum { MAILS = 3 };

static identity_t identity, other;
static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";

static int set_up_group(void **state)
{
  spec_t spec = {.subject = "CN=localhost", .names = "IP:127.0.0.1", .is_ca = 1};
  signal(SIGPIPE, SIG_IGN);
  make_identity(&identity, &spec);
  make_identity(&other, &spec);
  write_identity(&identity, cert_file, key_file);
  return 0;
}

static int tear_down_group(void **state)
{
  free_identity(&identity);
  free_identity(&other);
  unlink(cert_file);
  unlink(key_file);
  return 0;
}

typedef struct case_s {
  const char *name, *script;
  uvsmtp_tls_mode_t mode;
  bool trusted, insecure, in_clear, login, allowed;
  unsigned flags; /* of the envelope */
  /* what becomes of it */
  int err;
  uvsmtp_security_t security;
  unsigned handshakes, logins; /* at least, exactly */
  const char *words;           /* of the error */
} case_t;

typedef struct world_s {
  const case_t *row;
  uv_loop_t loop;
  sink_t *sink;
  uvsmtp_tls_context_t *context;
  uvsmtp_client_t *client;
  sink_counters_t seen;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipient;
  uvsmtp_source_t sources[MAILS];
  uvsmtp_send_t sends[MAILS];
  size_t told, encrypted, opened, auths;
} world_t;

static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  world_t *w = data;
  w->encrypted += message->tls;
}

static void on_sink_trace(sink_t *sink, uint64_t connection, char direction, const char *text,
                          size_t len, void *data)
{
  world_t *w = data;
  w->auths += direction == 'C' && len >= 4 && memcmp(text, "AUTH", 4) == 0;
}

static void start(world_t *w, const case_t *row)
{
  sink_options_t sink = {.script = row->script, .data = w, .on_message = on_message};
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;
  const char *line = "REQUIRETLS";
  char detail[256] = "";
  memset(w, 0, sizeof(*w));
  w->row = row;
  assert_int_equal(uv_loop_init(&w->loop), 0);
  sink.tls_cert = row->in_clear ? NULL : cert_file;
  sink.tls_key = row->in_clear ? NULL : key_file;
  sink.ehlo = &line;
  sink.ehlo_count = 1;
  sink.user = row->login ? "ann" : NULL;
  sink.password = row->login ? "sesame" : NULL;
  sink.mechanisms = SINK_PLAIN;
  sink.on_trace = on_sink_trace;
  if (sink_start(&w->sink, &w->loop, &sink, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  tls.ca_pem = row->trusted ? identity.cert : other.cert;
  tls.verify = row->insecure ? UVSMTP_TLS_VERIFY_NONE_INSECURE : UVSMTP_TLS_VERIFY_FULL;
  assert_int_equal(uvsmtp_tls_context_new(&w->context, &tls, NULL, 0), 0);
}

static void on_sink_closed(sink_t *sink, void *data)
{
  world_t *w = data;
  w->seen = *sink_counters(sink);
}

static void on_client_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  sink_close(w->sink, on_sink_closed);
}

static void on_event(uvsmtp_client_t *client, const uvsmtp_client_event_t *event)
{
  world_t *w = uvsmtp_client_data(client);
  bool overlooked = w->row->security == UVSMTP_SECURITY_UNVERIFIED && !w->row->insecure;
  if (event->type != UVSMTP_CLIENT_OPENED)
    return;
  w->opened++;
  assert_int_equal(event->security, w->row->security);
  assert_true(overlooked ? strstr(event->text, "not trusted") != NULL : event->text[0] == '\0');
}

static void send_next(world_t *w);

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  const case_t *row = w->row;
  if (result->err != row->err || result->security != row->security ||
      strstr(result->error_text, row->words != NULL ? row->words : "") == NULL)
    fail_msg("%s: %s, %s, %s", row->name, uvsmtp_err_name(result->err),
             uvsmtp_security_name(result->security), result->error_text);
  if (++w->told == MAILS)
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_client_closed);
  else
    send_next(w);
}

/* One after the other, each on a connection of its own: sessions are resumed. */
static void send_next(world_t *w)
{
  static const char text[] = "Subject: x\r\n\r\nHi\r\n";
  size_t i = w->told;
  uvsmtp_source_memory(&w->sources[i], text, sizeof(text) - 1);
  w->sends[i].data = w;
  assert_int_equal(
      uvsmtp_client_send(w->client, &w->sends[i], &w->envelope, &w->sources[i], on_sent), 0);
}

static void make_client(world_t *w)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_auth_options_t who = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;
  connection.host = "127.0.0.1";
  connection.port = sink_port(w->sink);
  connection.tls = w->row->mode;
  connection.tls_context = w->context;
  connection.ehlo_domain = "client.example";
  connection.allow_plaintext_auth = w->row->allowed;
  if (w->row->login) {
    who.user = "ann";
    who.password = "sesame";
    assert_int_equal(uvsmtp_auth_password_new(&auth, &who), 0);
    connection.auths = &auth;
    connection.auth_count = 1;
  }
  options.connection = &connection;
  options.max_connections = 1;
  options.max_messages = 1;
  options.max_tries = 1;
  options.on_event = on_event;
  options.data = w;
  assert_int_equal(uvsmtp_client_new(&w->client, &w->loop, &options, NULL, 0), 0);
  uvsmtp_auth_free(auth);
}

static void play(const case_t *row)
{
  world_t w;
  start(&w, row);
  make_client(&w);
  w.recipient.address = "b@x.example";
  w.envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  w.envelope.sender = "a@x.example";
  w.envelope.recipients = &w.recipient;
  w.envelope.recipient_count = 1;
  w.envelope.flags = row->flags;
  send_next(&w);
  uv_run(&w.loop, UV_RUN_DEFAULT);
  uvsmtp_tls_context_free(w.context);
  assert_int_equal(uv_loop_close(&w.loop), 0);
  if (w.told != MAILS || w.seen.handshakes < row->handshakes || w.auths != row->logins ||
      w.seen.messages != (row->err == 0 ? MAILS : 0) ||
      w.encrypted != (row->security != UVSMTP_SECURITY_NONE ? w.seen.messages : 0))
    fail_msg("%s: %u messages, %u encrypted, %u handshakes, %u AUTH", row->name,
             (unsigned)w.seen.messages, (unsigned)w.encrypted, (unsigned)w.seen.handshakes,
             (unsigned)w.auths);
  if (w.opened == 0 && row->security != UVSMTP_SECURITY_NONE)
    fail_msg("%s: no event", row->name);
  if (row->security != UVSMTP_SECURITY_NONE && w.seen.handshakes_resumed == 0)
    fail_msg("%s: nothing resumed", row->name);
  if (row->err != 0 && w.seen.handshakes_resumed > 0 && row->security == UVSMTP_SECURITY_NONE)
    fail_msg("%s: resumed, and what is wrong with the certificate not seen again", row->name);
}

#define OPPORTUNISTIC .mode = UVSMTP_TLS_OPPORTUNISTIC

static const case_t cases[] = {
    {.name = "a trusted certificate",
     OPPORTUNISTIC,
     .trusted = true,
     .security = UVSMTP_SECURITY_VERIFIED,
     .handshakes = MAILS},
    {.name = "an untrusted one",
     OPPORTUNISTIC,
     .security = UVSMTP_SECURITY_UNVERIFIED,
     .handshakes = MAILS},
    {.name = "no check was asked for",
     OPPORTUNISTIC,
     .insecure = true,
     .security = UVSMTP_SECURITY_UNVERIFIED,
     .handshakes = MAILS},
    {.name = "no STARTTLS", OPPORTUNISTIC, .in_clear = true},
    {.name = "a handshake that fails",
     OPPORTUNISTIC,
     .script = "starttls : reply \"220 go\", close"},
    {.name = "STARTTLS that is refused",
     OPPORTUNISTIC,
     .script = "starttls : reply \"454 4.7.0 no\""},
    {.name = "credentials, and a trusted certificate",
     OPPORTUNISTIC,
     .trusted = true,
     .login = true,
     .security = UVSMTP_SECURITY_VERIFIED,
     .handshakes = MAILS,
     .logins = MAILS},
    {.name = "credentials stay here",
     OPPORTUNISTIC,
     .login = true,
     .err = UVSMTP_EAUTHPLAINTEXT,
     .handshakes = MAILS,
     .words = "who the server is, is not known, and of what the server offers (PLAIN) nothing is "
              "safe so: the server's certificate is "},
    {.name = "credentials that may go in the clear",
     OPPORTUNISTIC,
     .login = true,
     .allowed = true,
     .security = UVSMTP_SECURITY_UNVERIFIED,
     .handshakes = MAILS,
     .logins = MAILS},
    {.name = "credentials, and no check was asked for",
     OPPORTUNISTIC,
     .login = true,
     .insecure = true,
     .security = UVSMTP_SECURITY_UNVERIFIED,
     .handshakes = MAILS,
     .logins = MAILS},
    {.name = "REQUIRETLS with a trusted certificate",
     OPPORTUNISTIC,
     .trusted = true,
     .flags = UVSMTP_ENVELOPE_REQUIRETLS,
     .security = UVSMTP_SECURITY_VERIFIED,
     .handshakes = MAILS},
    {.name = "required TLS is checked",
     .mode = UVSMTP_TLS_REQUIRED,
     .err = UVSMTP_ETLSCERT,
     .words = "not trusted"},
};

static void what_becomes_of_opportunistic_tls(void **state)
{
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    play(&cases[i]);
}

static void requiretls_is_not_asked_of_just_anybody(void **state)
{
  const case_t row = {.name = "REQUIRETLS",
                      OPPORTUNISTIC,
                      .flags = UVSMTP_ENVELOPE_REQUIRETLS,
                      .err = UVSMTP_ETLSREQUIRED,
                      .security = UVSMTP_SECURITY_UNVERIFIED,
                      .words = "requiretls is for a server that has shown who it is"};
  play(&row);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_becomes_of_opportunistic_tls),
      cmocka_unit_test(requiretls_is_not_asked_of_just_anybody),
  };
  return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
