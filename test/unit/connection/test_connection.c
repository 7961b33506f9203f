/*
 * Connections against the fake server, on one loop: what opens, what is refused and with which
 * words, and that every callback runs exactly once wherever it is closed.
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
#include "connection/connection.h"
#include "sink/internal.h"
#include "tls/internal.h"
#include "uvsmtp.h"

/* ---- what the tests share ---- */

static identity_t identity;
static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";
static uvsmtp_tls_context_t *trusting, *strict;

static int set_up_group(void **state)
{
  spec_t spec = {.subject = "CN=localhost", .names = "DNS:localhost IP:127.0.0.1", .is_ca = 1};
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
  identity_t other;
  signal(SIGPIPE, SIG_IGN);
  make_identity(&identity, &spec);
  write_identity(&identity, cert_file, key_file);
  options.ca_pem = identity.cert;
  assert_int_equal(uvsmtp_tls_context_new(&trusting, &options, NULL, 0), 0);
  make_identity(&other, &spec);
  options.ca_pem = other.cert;
  assert_int_equal(uvsmtp_tls_context_new(&strict, &options, NULL, 0), 0);
  free_identity(&other);
  return 0;
}

static int tear_down_group(void **state)
{
  uvsmtp_tls_context_free(trusting);
  uvsmtp_tls_context_free(strict);
  free_identity(&identity);
  unlink(cert_file);
  unlink(key_file);
  return 0;
}

typedef struct world_s {
  uv_loop_t loop;
  sink_options_t sink_options;
  uvsmtp_connection_options_t options;
  sink_t *sink;
  sink_counters_t seen; /* when the sink was closed */
  uvsmtp_connection_t *connection;
  int opened, closed, lost, replies;
  int err, code, lost_err;
  char text[1024];
  char order[64]; /* a letter for each callback */
  void (*on_open)(struct world_s *w);
  int trace_lines, close_at_line; /* 0: never */
  uint64_t trace_id, bytes, hash;
  int messages;
} world_t;

static void note(world_t *w, char letter)
{
  size_t len = strlen(w->order);
  assert_true(len + 1 < sizeof(w->order));
  w->order[len] = letter;
}

static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  world_t *w = data;
  w->messages++;
  w->bytes = message->size;
  w->hash = message->hash;
}

static void init(world_t *w)
{
  memset(w, 0, sizeof(*w));
  assert_int_equal(uv_loop_init(&w->loop), 0);
  w->sink_options.body = SINK_HASH;
  w->sink_options.on_message = on_message;
  w->sink_options.data = w;
  w->options = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->options.host = "127.0.0.1";
  w->options.tls = UVSMTP_TLS_NONE;
  w->options.ehlo_domain = "client.example";
}

static void with_tls(world_t *w, uvsmtp_tls_mode_t mode)
{
  w->sink_options.tls_cert = cert_file;
  w->sink_options.tls_key = key_file;
  w->sink_options.tls_implicit = mode == UVSMTP_TLS_IMPLICIT;
  w->options.tls = mode;
  w->options.tls_context = trusting;
}

static void on_sink_closed(sink_t *sink, void *data)
{
  world_t *w = data;
  w->seen = *sink_counters(sink);
  w->sink = NULL;
}

static void on_closed(uvsmtp_connection_t *c)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->closed++;
  note(w, 'C');
  w->connection = NULL;
  if (w->sink != NULL)
    sink_close(w->sink, on_sink_closed);
}

static void on_open(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->opened++;
  note(w, 'O');
  w->err = error->err;
  w->code = error->code;
  snprintf(w->text, sizeof(w->text), "%s", error->text);
  if (error->err != 0)
    uvsmtp_connection_close(c, on_closed);
  else if (w->on_open != NULL)
    w->on_open(w);
  else
    uvsmtp_connection_quit(c, on_closed);
}

static void on_lost(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->lost++;
  note(w, 'L');
  w->lost_err = error->err;
  snprintf(w->text, sizeof(w->text), "%s", error->text);
  uvsmtp_connection_close(c, on_closed);
}

static void on_trace(void *data, uvsmtp_connection_t *connection, uvsmtp_trace_t kind,
                     const char *line, size_t len)
{
  world_t *w = data;
  assert_true(w->trace_id == 0 || w->trace_id == uvsmtp_connection_id(connection));
  w->trace_id = uvsmtp_connection_id(connection);
  assert_int_not_equal(w->trace_id, 0);
  if (++w->trace_lines == w->close_at_line && w->connection != NULL)
    uvsmtp_connection_close(w->connection, on_closed);
}

static void start(world_t *w, const char *script)
{
  char detail[256] = "";
  int err;
  w->sink_options.script = script;
  err = sink_start(&w->sink, &w->loop, &w->sink_options, detail, sizeof(detail));
  if (err != 0)
    fail_msg("sink: %s", detail);
  w->options.port = sink_port(w->sink);
  err = uvsmtp_connection_open(&w->connection, &w->loop, &w->options, on_open, detail,
                               sizeof(detail));
  if (err != 0)
    fail_msg("open: %s", detail);
  assert_int_equal(w->opened, 0);
  uvsmtp_connection_set_data(w->connection, w);
  uvsmtp_connection_on_lost(w->connection, on_lost);
}

static void end(world_t *w)
{
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(w->opened, 1);
  assert_int_equal(w->closed, 1);
  assert_int_equal(w->order[strlen(w->order) - 1], 'C');
  assert_int_equal(uv_loop_close(&w->loop), 0);
  assert_int_equal(sink_violations(&w->seen), 0);
}

static void go(world_t *w, const char *script)
{
  start(w, script);
  end(w);
}

/* ---- opening ---- */

static void a_session_opens_and_quits(void **state)
{
  world_t w;
  init(&w);
  go(&w, NULL);
  assert_int_equal(w.err, 0);
  assert_int_equal(w.seen.commands, 2); /* EHLO, QUIT */
}

static void note_tls(world_t *w)
{
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  assert_int_equal(uvsmtp_connection_tls_info(w->connection, &info), 0);
  assert_true(info.verified);
  assert_true(uvsmtp_connection_is_idle(w->connection));
  assert_non_null(strstr(uvsmtp_connection_peer(w->connection), "127.0.0.1"));
  uvsmtp_connection_quit(w->connection, on_closed);
}

static void starttls_and_implicit_tls_open(void **state)
{
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_REQUIRED, UVSMTP_TLS_IMPLICIT,
                                            UVSMTP_TLS_OPPORTUNISTIC};
  for (size_t i = 0; i < 3; i++) {
    world_t w;
    init(&w);
    with_tls(&w, modes[i]);
    w.on_open = note_tls;
    go(&w, NULL);
    assert_int_equal(w.err, 0);
    assert_int_equal(w.seen.handshakes, 1);
  }
}

typedef struct refusal_s {
  const char *name, *script, *words;
  int err, code;
  uvsmtp_tls_mode_t tls;
  bool no_tls_there, foreign;
  unsigned commands; /* that the server saw; 0: not looked at */
} refusal_t;

static const refusal_t refusals[] = {
    {"greeting 421", "greeting : reply \"421 4.3.2 Not now\", close", "Not now", UVSMTP_ETEMPORARY,
     421, UVSMTP_TLS_NONE, true, false},
    {"greeting 450, then QUIT", "greeting : reply \"450 4.3.2 Later\"", "Later", UVSMTP_ETEMPORARY,
     450, UVSMTP_TLS_NONE, true, false, 1},
    {"greeting 554, then QUIT", "greeting : reply \"554 5.7.1 Go away\"",
     "refused the session: 554", UVSMTP_EPERMANENT, 554, UVSMTP_TLS_NONE, true, false, 1},
    {"ehlo 550, then QUIT", "ehlo : reply \"550 5.7.1 Unknown you\"", "Unknown you",
     UVSMTP_EPERMANENT, 550, UVSMTP_TLS_NONE, true, false, 2},
    {"no EHLO, and no HELO where TLS is required", "ehlo : reply \"502 5.5.1 What?\"",
     "refused EHLO, without which there is no TLS: 502 What?; use the port", UVSMTP_ETLSREQUIRED,
     502, UVSMTP_TLS_REQUIRED, true, false, 2},
    {"closed at once", "connect : close", "127.0.0.1", UVSMTP_ECONNLOST, 0, UVSMTP_TLS_NONE, true,
     false},
    {"reset", "ehlo : reset", "while sending EHLO", UV_ECONNRESET, 0, UVSMTP_TLS_NONE, true, false},
    {"reset behind 220", "starttls : reply \"220 Go\", reset", "while shaking hands for TLS",
     UV_ECONNRESET, 0, UVSMTP_TLS_REQUIRED, false, false},
    {"no STARTTLS", NULL, "does not offer STARTTLS", UVSMTP_ETLSREQUIRED, 0, UVSMTP_TLS_REQUIRED,
     true, false},
    {"STARTTLS 454", "starttls : reply \"454 4.7.0 No TLS today\"", "No TLS today",
     UVSMTP_ETEMPORARY, 454, UVSMTP_TLS_REQUIRED, false, false},
    {"STARTTLS 502", "starttls : reply \"502 5.5.1 Not here\"", "refused STARTTLS",
     UVSMTP_ETLSREQUIRED, 502, UVSMTP_TLS_REQUIRED, false, false},
    {"closed behind 220", "starttls : reply \"220 Go\", close",
     "closed the connection in the TLS handshake", UVSMTP_ECONNLOST, 0, UVSMTP_TLS_REQUIRED, false,
     false},
    {"bytes behind 220", "starttls : reply \"220 Go\", raw \"250 injected\\r\\n\"", "",
     UVSMTP_ETLSINJECTED, 0, UVSMTP_TLS_REQUIRED, false, false},
    {"unknown issuer", NULL, "TLS handshake with 127.0.0.1", UVSMTP_ETLSCERT, 0,
     UVSMTP_TLS_REQUIRED, false, true},
    {"unknown issuer, implicit", NULL, "TLS handshake with 127.0.0.1", UVSMTP_ETLSCERT, 0,
     UVSMTP_TLS_IMPLICIT, false, true},
    {"opportunistic TLS that fails", "starttls : reply \"220 Go\", close",
     "closed the connection in the TLS handshake", UVSMTP_ECONNLOST, 0, UVSMTP_TLS_OPPORTUNISTIC,
     false, false},
};

static void refusals_end_in_their_error_with_the_servers_words(void **state)
{
  for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
    const refusal_t *r = &refusals[i];
    world_t w;
    init(&w);
    if (!r->no_tls_there)
      with_tls(&w, r->tls);
    w.options.tls = r->tls;
    w.options.tls_context = r->foreign ? strict : trusting;
    go(&w, r->script);
    if (w.err != r->err || w.code != r->code || strstr(w.text, r->words) == NULL)
      fail_msg("%s: %s %d \"%s\"", r->name, uvsmtp_err_name(w.err), w.code, w.text);
    if (r->commands != 0 && w.seen.commands != r->commands)
      fail_msg("%s: %d commands", r->name, (int)w.seen.commands);
    assert_string_equal(w.order, "OC");
  }
}

static void opening_is_bounded_as_a_whole(void **state)
{
  static const struct {
    const char *script, *words;
    uvsmtp_tls_mode_t tls;
    uint64_t open_ms;
  } rows[] = {
      {"greeting : stall", "(opening the session)", UVSMTP_TLS_NONE, 30},
      {"ehlo : stall", "(opening the session)", UVSMTP_TLS_NONE, 30},
      {"starttls : reply \"220 Go\", stall", "(TLS handshake)", UVSMTP_TLS_REQUIRED, 30},
      {"greeting : delay 20, reply", "", UVSMTP_TLS_NONE, 60000},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    world_t w;
    init(&w);
    with_tls(&w, rows[i].tls);
    w.options.tls = rows[i].tls;
    w.options.open_timeout_ms = rows[i].open_ms;
    go(&w, rows[i].script);
    if (w.err != (rows[i].words[0] != '\0' ? UVSMTP_ETIMEOUT : 0) ||
        strstr(w.text, rows[i].words) == NULL)
      fail_msg("%s: %s \"%s\"", rows[i].script, uvsmtp_err_name(w.err), w.text);
  }
}

static void a_server_with_our_own_name_is_a_loop_for_those_who_ask(void **state)
{
  static const struct {
    const char *name, *theirs, *script;
    bool asked;
    int err;
  } rows[] = {
      {"not asked", "client.example", NULL, false, 0},
      {"the same", "client.example", NULL, true, UVSMTP_ELOOP},
      {"the same in other letters", "Client.EXAMPLE.", NULL, true, UVSMTP_ELOOP},
      {"the same to HELO", "client.example", "ehlo nth 1 : reply \"502 what?\"", true,
       UVSMTP_ELOOP},
      {"another", "client.example.net", NULL, true, 0},
      {"one that ours ends in", "example", NULL, true, 0},
      {"only the greeting says so", "sink.example", "greeting : reply \"220 client.example ESMTP\"",
       true, 0},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    world_t w;
    init(&w);
    w.sink_options.hostname = rows[i].theirs;
    w.options.refuse_own_name = rows[i].asked;
    go(&w, rows[i].script);
    if (w.err != rows[i].err)
      fail_msg("%s: %s \"%s\"", rows[i].name, uvsmtp_err_name(w.err), w.text);
    if (w.err != 0)
      assert_non_null(strstr(w.text, "answers with our own name"));
    assert_int_equal(w.seen.commands, rows[i].script != NULL && w.err != 0 ? 3 : 2);
  }
}

static void opportunistic_tls_goes_on_in_the_clear(void **state)
{
  static const char *const scripts[] = {NULL, "starttls : reply \"454 4.7.0 No TLS today\""};
  for (size_t i = 0; i < 2; i++) {
    world_t w;
    init(&w);
    if (i == 1)
      with_tls(&w, UVSMTP_TLS_OPPORTUNISTIC);
    w.options.tls = UVSMTP_TLS_OPPORTUNISTIC;
    go(&w, scripts[i]);
    assert_int_equal(w.err, 0);
    assert_int_equal(w.seen.handshakes, 0);
  }
}

static void unusable_options_are_refused_with_a_sentence(void **state)
{
  static const struct {
    const char *host, *ehlo, *url, *source;
    int err;
    const char *words, *proxy;
  } rows[] = {
      {NULL, NULL, NULL, NULL, UVSMTP_EINVAL, "no server"},
      {"", NULL, NULL, NULL, UVSMTP_EINVAL, "host is empty"},
      {"mx.example", "a\r\nMAIL", NULL, NULL, UVSMTP_EINJECTION, "ehlo_domain"},
      {"mx.example", "not a domain", NULL, NULL, UVSMTP_EINVAL, "ehlo_domain"},
      {"mx.example\r\nx", NULL, NULL, NULL, UVSMTP_EINJECTION, "host or unix_path"},
      {"mx.example\r\nx", NULL, NULL, NULL, UVSMTP_EINJECTION, "host or unix_path", "http://p"},
      {"mx example", NULL, NULL, NULL, UVSMTP_EINVAL, "no proxy can be asked", "http://p"},
      {NULL, NULL, NULL, NULL, UVSMTP_EINVAL, "no server", "http://p"},
      {"mx.example", NULL, NULL, "nowhere", UVSMTP_EINVAL, "source_address"},
      {NULL, NULL, "http://x", NULL, UVSMTP_EURL, "scheme"},
  };
  uv_loop_t loop;
  uv_loop_init(&loop);
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    uvsmtp_connection_options_t o = UVSMTP_CONNECTION_OPTIONS_INIT;
    uvsmtp_connection_t *c;
    char detail[200] = "";
    o.host = rows[i].host;
    o.ehlo_domain = rows[i].ehlo;
    o.url = rows[i].url;
    o.source_address = rows[i].source;
    o.proxy = rows[i].proxy;
    assert_int_equal(uvsmtp_connection_open(&c, &loop, &o, on_open, detail, sizeof(detail)),
                     rows[i].err);
    assert_null(c);
    assert_non_null(strstr(detail, rows[i].words));
    detail[0] = '\0';
    assert_int_equal(uvsmtp_connection_options_check(&o, detail, sizeof(detail)), rows[i].err);
    assert_non_null(strstr(detail, rows[i].words));
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void options_can_be_checked_without_opening(void **state)
{
  uvsmtp_connection_options_t o = UVSMTP_CONNECTION_OPTIONS_INIT;
  char detail[] = "old";
  o.url = "smtp://me:secret@mx.example?auth=PLAIN";
  o.ehlo_domain = "client.example";
  assert_int_equal(uvsmtp_connection_options_check(&o, detail, sizeof(detail)), 0);
  assert_string_equal(detail, "");
  assert_int_equal(uvsmtp_connection_options_check(NULL, NULL, 0), UVSMTP_EINVAL);
  o.size = 1;
  assert_int_equal(uvsmtp_connection_options_check(&o, NULL, 0), UVSMTP_EINVAL);
}

static void a_url_gives_server_and_credentials(void **state)
{
  world_t w;
  char url[128], detail[256];
  init(&w);
  w.sink_options.user = "me";
  w.sink_options.password = "secret";
  w.sink_options.auth_required = true;
  assert_int_equal(sink_start(&w.sink, &w.loop, &w.sink_options, detail, sizeof(detail)), 0);
  snprintf(url, sizeof(url), "smtp://me:secret@127.0.0.1:%u?tls=none", sink_port(w.sink));
  w.options.host = NULL;
  w.options.url = url;
  assert_int_equal(uvsmtp_connection_open(&w.connection, &w.loop, &w.options, on_open, NULL, 0), 0);
  uvsmtp_connection_set_data(w.connection, &w);
  end(&w);
  assert_int_equal(w.err, 0);
  assert_int_equal(w.seen.auth_ok, 1);
}

/* ---- logging in ---- */

typedef struct login_s {
  const char *name, *password, *mechanisms;
  uvsmtp_tls_mode_t tls;
  bool allow_plaintext;
  int err;
} login_t;

static const login_t logins[] = {
    {"strongest over TLS", "secret", NULL, UVSMTP_TLS_REQUIRED, false, 0},
    {"PLAIN over TLS", "secret", "PLAIN", UVSMTP_TLS_IMPLICIT, false, 0},
    {"LOGIN over TLS", "secret", "LOGIN", UVSMTP_TLS_REQUIRED, false, 0},
    {"PLAIN in the clear", "secret", "PLAIN", UVSMTP_TLS_NONE, false, UVSMTP_EAUTHPLAINTEXT},
    {"PLAIN in the clear, allowed", "secret", "PLAIN", UVSMTP_TLS_NONE, true, 0},
    {"SCRAM in the clear", "secret", "SCRAM-SHA-256", UVSMTP_TLS_NONE, false, 0},
    {"wrong password", "wrong", NULL, UVSMTP_TLS_REQUIRED, false, UVSMTP_EAUTH},
};

static void logins_succeed_or_say_why(void **state)
{
  for (size_t i = 0; i < sizeof(logins) / sizeof(*logins); i++) {
    uvsmtp_auth_options_t auth_options = UVSMTP_AUTH_OPTIONS_INIT;
    uvsmtp_auth_t *auth;
    world_t w;
    init(&w);
    if (logins[i].tls != UVSMTP_TLS_NONE)
      with_tls(&w, logins[i].tls);
    w.sink_options.user = "me";
    w.sink_options.password = "secret";
    auth_options.user = "me";
    auth_options.password = logins[i].password;
    auth_options.mechanisms = logins[i].mechanisms;
    assert_int_equal(uvsmtp_auth_password_new(&auth, &auth_options), 0);
    w.options.auths = &auth;
    w.options.auth_count = 1;
    w.options.allow_plaintext_auth = logins[i].allow_plaintext;
    /* Some servers mind an EHLO behind AUTH. */
    start(&w, logins[i].tls == UVSMTP_TLS_REQUIRED ? "ehlo nth 3 : reset" : "ehlo nth 2 : reset");
    uvsmtp_auth_free(auth);
    end(&w);
    if (w.err != logins[i].err)
      fail_msg("%s: %s \"%s\"", logins[i].name, uvsmtp_err_name(w.err), w.text);
    assert_int_equal(w.seen.auth_ok, logins[i].err == 0);
    if (logins[i].err == UVSMTP_EAUTH)
      assert_int_equal(w.code, 535);
  }
}

/* What becomes of a login of which the first mechanism, CRAM-MD5, goes wrong; PLAIN is next. */
static void a_login_goes_on_with_the_next_mechanism_or_says_why(void **state)
{
  static const struct {
    const char *name, *script;
    int err;
  } rows[] = {
      {"refused", "auth nth 1 : reply \"535 5.7.8 No\"", 0},
      {"too weak", "auth nth 1 : reply \"534 5.7.9 Too weak\"", 0},
      {"unknown", "auth nth 1 : reply \"504 5.5.4 What?\"", 0},
      {"a challenge that is not base64", "auth nth 1 : reply \"334 %%%\"", 0},
      {"a challenge that makes no sense", "auth nth 1 : reply \"334 \"", 0},
      {"not now", "auth nth 1 : reply \"454 4.7.0 Later\"", UVSMTP_EAUTHTEMPORARY},
      {"a challenge of two lines", "auth nth 1 : reply \"334-eA==\" \"334 eA==\"", 0},
      {"closed", "auth nth 1 : close", UVSMTP_ECONNLOST},
      {"all refused", "auth : reply \"535 5.7.8 No\"", UVSMTP_EAUTH},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
    uvsmtp_auth_t *auth;
    world_t w;
    init(&w);
    with_tls(&w, UVSMTP_TLS_IMPLICIT);
    w.sink_options.user = options.user = "me";
    w.sink_options.password = options.password = "secret";
    options.mechanisms = "CRAM-MD5 PLAIN";
    assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
    w.options.auths = &auth;
    w.options.auth_count = 1;
    start(&w, rows[i].script);
    uvsmtp_auth_free(auth);
    uv_run(&w.loop, UV_RUN_DEFAULT); /* a scripted 334 makes the answer a violation */
    if (w.err != rows[i].err || w.seen.auth_ok != (rows[i].err == 0))
      fail_msg("%s: %s \"%s\"", rows[i].name, uvsmtp_err_name(w.err), w.text);
    assert_string_equal(w.order, "OC");
    assert_int_equal(uv_loop_close(&w.loop), 0);
  }
}

/* A mechanism that waits for somebody. */
static uvsmtp_exchange_t *waiting;
static int steps_cancelled;
static uint64_t suspension_ms; /* 0: as it comes */

static int waiting_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  int err;
  UVSMTP_CO_BEGIN(exchange);
  waiting = uvsmtp_exchange_acquire(exchange);
  if (suspension_ms != 0)
    uvsmtp_exchange_set_timeout(exchange, suspension_ms);
  UVSMTP_CO_AWAIT(err, UVSMTP_PENDING);
  if (err != 0)
    return uvsmtp_exchange_fail(exchange, err, "nobody answered");
  uvsmtp_exchange_respond(exchange, "\0me\0secret", 10);
  UVSMTP_CO_SEND();
  UVSMTP_CO_END();
}

static void waiting_cancel(uvsmtp_exchange_t *exchange, void *state)
{
  steps_cancelled++;
}

static void run_waiting(world_t *w, uvsmtp_auth_t **auth)
{
  static const uvsmtp_mechanism_t mechanism = {.size = sizeof(mechanism),
                                               .name = "PLAIN",
                                               .flags = UVSMTP_AUTH_CLIENT_FIRST,
                                               .step = waiting_step,
                                               .cancel = waiting_cancel};
  init(w);
  w->sink_options.user = "me";
  w->sink_options.password = "secret";
  assert_int_equal(uvsmtp_auth_custom_new(auth, &mechanism, NULL, NULL), 0);
  w->options.auths = auth;
  w->options.auth_count = 1;
  waiting = NULL;
  steps_cancelled = 0;
  start(w, NULL);
  while (waiting == NULL)
    uv_run(&w->loop, UV_RUN_ONCE);
  assert_int_equal(w->opened, 0);
}

static void a_suspended_exchange_goes_on_when_it_is_resumed(void **state)
{
  uvsmtp_auth_t *auth;
  world_t w;
  run_waiting(&w, &auth);
  assert_int_equal(uvsmtp_exchange_resume(waiting, 0), 0);
  uvsmtp_exchange_release(waiting);
  end(&w);
  assert_int_equal(w.err, 0);
  assert_int_equal(w.seen.auth_ok, 1);
  uvsmtp_auth_free(auth);
}

static void closing_cancels_a_suspended_exchange(void **state)
{
  uvsmtp_auth_t *auth;
  world_t w;
  run_waiting(&w, &auth);
  uvsmtp_connection_close(w.connection, on_closed);
  end(&w);
  assert_int_equal(w.err, UVSMTP_ECANCELED);
  assert_int_equal(steps_cancelled, 1);
  assert_int_equal(uvsmtp_exchange_resume(waiting, 0), UVSMTP_ECANCELED);
  uvsmtp_exchange_release(waiting);
  uvsmtp_auth_free(auth);
}

static void a_server_that_goes_cancels_a_suspended_exchange(void **state)
{
  for (int reset = 0; reset < 2; reset++) {
    uvsmtp_auth_t *auth;
    world_t w;
    run_waiting(&w, &auth);
    sink_drop(w.sink, reset == 1);
    end(&w);
    assert_int_equal(uvsmtp_err_class(w.err), UVSMTP_CLASS_NETWORK);
    assert_int_equal(steps_cancelled, 1);
    assert_int_equal(uvsmtp_exchange_resume(waiting, 0), UVSMTP_ECANCELED);
    uvsmtp_exchange_release(waiting);
    uvsmtp_auth_free(auth);
  }
}

static void a_suspended_exchange_has_its_own_time(void **state)
{
  uvsmtp_auth_t *auth;
  world_t w;
  suspension_ms = 20;
  run_waiting(&w, &auth);
  suspension_ms = 0;
  end(&w);
  assert_int_equal(w.err, UVSMTP_ETIMEOUT);
  assert_non_null(strstr(w.text, "nobody answered"));
  assert_int_equal(steps_cancelled, 1);
  assert_int_equal(uvsmtp_exchange_resume(waiting, 0), UVSMTP_ECANCELED);
  uvsmtp_exchange_release(waiting);
  uvsmtp_auth_free(auth);
}

static void a_suspended_exchange_may_be_resumed_with_an_error(void **state)
{
  uvsmtp_auth_t *auth;
  world_t w;
  run_waiting(&w, &auth);
  assert_int_equal(uvsmtp_exchange_resume(waiting, UVSMTP_ERESOLVE), 0);
  assert_int_equal(uvsmtp_exchange_resume(waiting, 0), UVSMTP_ECANCELED);
  uvsmtp_exchange_release(waiting);
  end(&w);
  assert_int_equal(w.err, UVSMTP_ERESOLVE);
  assert_non_null(strstr(w.text, "nobody answered"));
  assert_int_equal(steps_cancelled, 0);
  uvsmtp_auth_free(auth);
}

/* ---- time, and the end ---- */

static void silence_ends_in_a_timeout(void **state)
{
  static const struct {
    const char *script;
    uvsmtp_tls_mode_t tls;
  } rows[] = {{"greeting : stall", UVSMTP_TLS_NONE},
              {"ehlo : stall", UVSMTP_TLS_NONE},
              {"received 60 : stall", UVSMTP_TLS_IMPLICIT}};
  for (size_t i = 0; i < 3; i++) {
    world_t w;
    init(&w);
    if (rows[i].tls != UVSMTP_TLS_NONE)
      with_tls(&w, rows[i].tls);
    w.options.timeouts.greeting_ms = w.options.timeouts.command_ms = 30;
    w.options.tls_timeout_ms = 30;
    go(&w, rows[i].script);
    assert_int_equal(w.err, UVSMTP_ETIMEOUT);
    assert_string_equal(w.order, "OC");
    /* Where the server says nothing at all, it may be waiting for TLS. */
    assert_true((strstr(w.text, "smtps") != NULL) == (i == 0));
  }
}

static void a_quit_without_an_answer_is_given_up(void **state)
{
  static const char *const scripts[] = {
      "quit : stall",
      "quit : close", /* with TLS: no close_notify */
      "quit : notify, close",
      "quit : reset",
      "quit : reply \"500 what?\"",
      "quit : reply \"221 Bye\", close",
      "quit : delay 60, reply \"221 late\"",
      "quit : reply \"221 Bye\", raw \"more\\r\\n\"",
  };
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_NONE, UVSMTP_TLS_REQUIRED};
  for (size_t i = 0; i < 2 * sizeof(scripts) / sizeof(*scripts); i++) {
    world_t w;
    init(&w);
    if (modes[i % 2] != UVSMTP_TLS_NONE)
      with_tls(&w, modes[i % 2]);
    w.options.quit_timeout_ms = 30;
    go(&w, scripts[i / 2]);
    if (w.err != 0)
      fail_msg("%s: %s", scripts[i / 2], w.text);
    assert_string_equal(w.order, "OC");
  }
}

/* Limits that lie behind the end of all time are none, and do not come round to the past. */
static void limits_just_below_never_do_not_pass_at_once(void **state)
{
  static const uint64_t limits[] = {0, UINT64_MAX - 1};
  int lines[2]; /* of the dialogue, with the reply to QUIT */
  for (size_t i = 0; i < 2; i++) {
    world_t w;
    init(&w);
    with_tls(&w, UVSMTP_TLS_IMPLICIT);
    w.options.connect_timeout_ms = w.options.open_timeout_ms = limits[i];
    w.options.tls_timeout_ms = w.options.quit_timeout_ms = limits[i];
    w.options.timeouts.greeting_ms = w.options.timeouts.command_ms = limits[i];
    w.options.trace = on_trace;
    w.options.trace_data = &w;
    go(&w, "quit : delay 20, reply");
    if (w.err != 0)
      fail_msg("%s", w.text);
    assert_string_equal(w.order, "OC");
    lines[i] = w.trace_lines;
  }
  assert_int_equal(lines[1], lines[0]);
}

static void stay(world_t *w)
{
}

static void an_idle_connection_tells_that_it_is_lost(void **state)
{
  static const struct {
    const char *script;
    int err;
    uvsmtp_tls_mode_t tls;
  } rows[] = {
      {"idle after 20 : reply \"421 4.4.2 Timeout\", close", UVSMTP_ETEMPORARY, UVSMTP_TLS_NONE},
      {"idle after 20 : close", UVSMTP_ECONNLOST, UVSMTP_TLS_NONE},
      {"idle after 20 : reset", UV_ECONNRESET, UVSMTP_TLS_NONE},
      {"idle after 20 : close", UVSMTP_ECONNLOST, UVSMTP_TLS_IMPLICIT},
      {"idle after 20 : notify", UVSMTP_ECONNLOST, UVSMTP_TLS_REQUIRED},
      {"idle after 20 : raw \"rubbish\\r\\n\"", UVSMTP_EPROTOCOL, UVSMTP_TLS_NONE},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    world_t w;
    init(&w);
    if (rows[i].tls != UVSMTP_TLS_NONE)
      with_tls(&w, rows[i].tls);
    w.on_open = stay;
    go(&w, rows[i].script);
    assert_string_equal(w.order, "OLC");
    if (w.lost_err != rows[i].err)
      fail_msg("%s: %s \"%s\"", rows[i].script, uvsmtp_err_name(w.lost_err), w.text);
  }
}

/* ---- commands ---- */

static uvsmtp_request_t requests[8];
static int last_codes[8];

static void on_reply(uvsmtp_request_t *req, const uvsmtp_reply_t *reply, bool more,
                     const uvsmtp_error_t *error)
{
  world_t *w = req->data;
  w->replies++;
  note(w, (char)('0' + (req - requests)));
  last_codes[req - requests] = reply != NULL ? reply->code : error->err;
  if (w->replies == 3 && w->connection != NULL)
    uvsmtp_connection_quit(w->connection, on_closed);
}

static void three_at_once(world_t *w)
{
  for (int i = 0; i < 3; i++)
    requests[i].data = w;
  assert_int_equal(uvsmtp_connection_noop(w->connection, &requests[0], on_reply), 0);
  assert_int_equal(uvsmtp_connection_vrfy(w->connection, &requests[1], "x", on_reply), 0);
  assert_int_equal(uvsmtp_connection_command(w->connection, &requests[2], "XYZZY", on_reply), 0);
  assert_int_equal(uvsmtp_connection_command(w->connection, &requests[3], "X\r\nY", on_reply),
                   UVSMTP_EINJECTION);
  assert_false(uvsmtp_connection_is_idle(w->connection));
}

static void commands_get_their_replies_in_order(void **state)
{
  world_t w;
  init(&w);
  w.on_open = three_at_once;
  start(&w, "other match \"*\" : reply \"550 no\"");
  uv_run(&w.loop, UV_RUN_DEFAULT);
  assert_string_equal(w.order, "O012C");
  assert_int_equal(last_codes[0], 250);
  assert_int_equal(uv_loop_close(&w.loop), 0);
}

static void three_and_close(world_t *w)
{
  three_at_once(w);
  uvsmtp_connection_close(w->connection, on_closed);
}

static void closing_cancels_commands_in_order(void **state)
{
  world_t w;
  init(&w);
  w.on_open = three_and_close;
  start(&w, NULL);
  uv_run(&w.loop, UV_RUN_DEFAULT);
  assert_string_equal(w.order, "O012C");
  assert_int_equal(last_codes[0], UVSMTP_ECANCELED);
  assert_int_equal(last_codes[2], UVSMTP_ECANCELED);
  assert_int_equal(uv_loop_close(&w.loop), 0);
}

static char *content;
static size_t content_len;

static void on_data_reply(uvsmtp_request_t *req, const uvsmtp_reply_t *reply, bool more,
                          const uvsmtp_error_t *error)
{
  world_t *w = req->data;
  size_t at = (size_t)(req - requests);
  last_codes[at] = reply != NULL ? reply->code : error->err;
  w->replies++;
  if (at == 2 && reply != NULL)
    assert_int_equal(
        uvsmtp_connection_data(w->connection, &requests[3], content, content_len, on_data_reply),
        0);
  if (at == 3)
    uvsmtp_connection_quit(w->connection, on_closed);
}

static void send_content(world_t *w)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_mail_needs_t needs = {.size = UVSMTP_SIZE_UNKNOWN};
  uvsmtp_connection_t *c = w->connection;
  envelope.sender = "a@x.example";
  for (int i = 0; i < 4; i++)
    requests[i].data = w;
  assert_int_equal(uvsmtp_connection_data(c, &requests[3], content, content_len, on_data_reply),
                   UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_connection_mail(c, &requests[0], &envelope, &needs, on_data_reply), 0);
  assert_int_equal(uvsmtp_connection_recipient(c, &requests[1], &to, on_data_reply), 0);
  assert_int_equal(uvsmtp_connection_start_data(c, &requests[2], on_data_reply), 0);
}

/* Larger than all buffers between; the server does not read for a while. */
static void large_contents_arrive_intact_through_full_sockets(void **state)
{
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_NONE, UVSMTP_TLS_IMPLICIT};
  content_len = 12 * 1024 * 1024;
  content = malloc(content_len);
  for (size_t i = 0; i < content_len; i++)
    content[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : i % 192 == 0 ? '.' : 'a' + i % 23;
  for (size_t i = 0; i < 2; i++) {
    world_t w;
    init(&w);
    if (modes[i] != UVSMTP_TLS_NONE)
      with_tls(&w, modes[i]);
    w.on_open = send_content;
    go(&w, "body after 1000 : deaf 50");
    assert_int_equal(last_codes[3], 250);
    assert_int_equal(w.replies, 4);
    assert_int_equal(w.messages, 1);
    assert_true(w.bytes == content_len);
    assert_true(w.hash == sink_hash(content, content_len));
  }
  free(content);
}

/* What may have reached the server is known to the octet. */
static void on_reset_reply(uvsmtp_request_t *req, const uvsmtp_reply_t *reply, bool more,
                           const uvsmtp_error_t *error)
{
  world_t *w = req->data;
  size_t at = (size_t)(req - requests);
  if (at == 2 && reply != NULL)
    uvsmtp_connection_data(w->connection, &requests[3], content, content_len, on_reset_reply);
  if (reply == NULL && at == 3) {
    uint64_t reached = uvsmtp__connection_reached(w->connection);
    assert_true(reached < uvsmtp_protocol_issued(w->connection->protocol));
    assert_true(reached > 100);
    w->replies = 100;
    uvsmtp_connection_close(w->connection, on_closed);
  }
}

static void send_to_the_deaf(world_t *w)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_mail_needs_t needs = {.size = UVSMTP_SIZE_UNKNOWN};
  for (int i = 0; i < 4; i++)
    requests[i].data = w;
  uvsmtp_connection_mail(w->connection, &requests[0], &envelope, &needs, on_reset_reply);
  uvsmtp_connection_recipient(w->connection, &requests[1], &to, on_reset_reply);
  uvsmtp_connection_start_data(w->connection, &requests[2], on_reset_reply);
}

static void a_stuck_content_times_out_and_was_not_all_handed_over(void **state)
{
  content_len = 12 * 1024 * 1024;
  content = malloc(content_len);
  memset(content, 'x', content_len);
  for (size_t i = 64; i < content_len; i += 64)
    memcpy(content + i - 2, "\r\n", 2);
  for (int tls = 0; tls < 2; tls++) {
    world_t w;
    init(&w);
    if (tls)
      with_tls(&w, UVSMTP_TLS_IMPLICIT);
    w.options.timeouts.body_ms = 60;
    w.on_open = send_to_the_deaf;
    go(&w, "body after 1000 : deaf");
    assert_int_equal(w.replies, 100);
    assert_int_equal(w.messages, 0);
  }
  free(content);
}

/* ---- close everywhere ---- */

static void full_options(world_t *w, uvsmtp_auth_t **auth, uvsmtp_tls_mode_t mode)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  init(w);
  with_tls(w, mode);
  w->sink_options.user = "me";
  w->sink_options.password = "secret";
  options.user = "me";
  options.password = "secret";
  assert_int_equal(uvsmtp_auth_scram_new(auth, 0, &options), 0);
  w->options.auths = auth;
  w->options.auth_count = 1;
  w->options.trace = on_trace;
  w->options.trace_data = w;
}

static void closing_at_every_line_of_the_dialogue_calls_back_once(void **state)
{
  for (int line = 1, done = 0; !done; line++) {
    uvsmtp_auth_t *auth;
    world_t w;
    assert_true(line < 100);
    full_options(&w, &auth, UVSMTP_TLS_REQUIRED);
    w.close_at_line = line;
    start(&w, NULL);
    uvsmtp_auth_free(auth);
    end(&w);
    done = w.trace_lines < line;
    assert_true(w.err == 0 || w.err == UVSMTP_ECANCELED);
    assert_true(line > 1 || w.err == UVSMTP_ECANCELED);
  }
}

static void closing_at_every_turn_of_the_loop_calls_back_once(void **state)
{
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_REQUIRED, UVSMTP_TLS_IMPLICIT};
  setenv("SSL_CERT_FILE", cert_file, 1);
  for (int i = 0; i < 5; i++) {
    bool opened = false;
    for (int turns = 0; !opened; turns++) {
      uvsmtp_auth_t *auth;
      world_t w;
      assert_true(turns < 500);
      full_options(&w, &auth, modes[i % 2]);
      w.options.tls_on_loop = i == 2 || i == 3;
      if (i == 4) /* a worker thread loads the trust store, for each connection anew */
        w.options.tls_context = NULL;
      w.on_open = stay;
      start(&w, NULL);
      uvsmtp_auth_free(auth);
      for (int n = 0; n < turns; n++)
        uv_run(&w.loop, UV_RUN_ONCE);
      opened = w.opened != 0;
      uvsmtp_connection_close(w.connection, on_closed);
      uvsmtp_connection_close(w.connection, on_closed);
      end(&w);
      assert_int_equal(w.err, opened ? 0 : UVSMTP_ECANCELED);
    }
  }
}

/* ---- TLS on a Unix socket ---- */

static void on_a_unix_socket_the_host_is_the_name_to_check(void **state)
{
  static const struct {
    const char *host, *words;
    int err;
  } rows[] = {
      {"localhost", "", 0},
      {"mx.example", "not for mx.example", UVSMTP_ETLSNAME},
      {NULL, "no host name was given to check", UVSMTP_EINVAL},
  };
  char path[64];
  snprintf(path, sizeof(path), "/tmp/uvsmtp-test-socket-%d", (int)getpid());
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    world_t w;
    init(&w);
    with_tls(&w, UVSMTP_TLS_REQUIRED);
    w.sink_options.unix_path = path;
    w.options.unix_path = path;
    w.options.host = rows[i].host;
    go(&w, NULL);
    if (w.err != rows[i].err || strstr(w.text, rows[i].words) == NULL)
      fail_msg("%s: %s", uvsmtp_err_name(w.err), w.text);
    assert_true(w.err == 0 || strstr(w.text, path) != NULL);
  }
  unlink(path);
}

/* ---- servers that want our certificate ---- */

/*
 * A server that asks for a certificate, gets none, and cuts the connection before it has said a
 * word: what a TLS 1.3 server does which refuses us, as it looks from here.
 */
static void a_server_that_cuts_for_want_of_a_certificate_is_understood(void **state)
{
  static const struct {
    uvsmtp_tls_mode_t mode;
    const char *script;
    int err;
  } rows[] = {
      {UVSMTP_TLS_IMPLICIT, "greeting : reset", UVSMTP_ETLSCLIENTCERT},
      {UVSMTP_TLS_IMPLICIT, "greeting : close", UVSMTP_ETLSCLIENTCERT},
      {UVSMTP_TLS_REQUIRED, "ehlo tls : reset", UVSMTP_ETLSCLIENTCERT},
      {UVSMTP_TLS_REQUIRED, "ehlo tls : close", UVSMTP_ETLSCLIENTCERT},
      {UVSMTP_TLS_IMPLICIT, "ehlo : close", UVSMTP_ECONNLOST}, /* it has spoken to us */
      {UVSMTP_TLS_IMPLICIT, "ehlo : reset", UV_ECONNRESET},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
    world_t w;
    options.is_server = 1;
    options.cert_pem = identity.cert;
    options.key_pem = identity.key;
    options.client_cert = UVSMTP_TLS_CLIENT_CERT_REQUEST;
    init(&w);
    with_tls(&w, rows[i].mode);
    start(&w, rows[i].script);
    uvsmtp_tls_context_free(w.sink->tls);
    assert_int_equal(uvsmtp_tls_context_new(&w.sink->tls, &options, NULL, 0), 0);
    end(&w);
    if (w.err != rows[i].err)
      fail_msg("%s: %s: %s", rows[i].script, uvsmtp_err_name(w.err), w.text);
    if (w.err == UVSMTP_ETLSCLIENTCERT)
      assert_non_null(strstr(w.text, "the server asked for a client certificate, got none"));
  }
}

/* ---- waiting for the TLS session of another connection ---- */

static void wake_nobody(uvsmtp__visit_t *visit)
{
}

/* Another connection of the same history, which shakes hands for as long as the test likes. */
static uvsmtp__visit_t lead(uvsmtp_history_t **history)
{
  uvsmtp__visit_t leader = {.resumes = true, .wake = wake_nobody};
  assert_int_equal(uvsmtp_history_new(history, NULL), 0);
  leader.history = *history;
  assert_true(uvsmtp__history_begin(&leader, NULL, true));
  return leader;
}

static void start_waiting(world_t *w, uvsmtp_history_t *history)
{
  init(w);
  with_tls(w, UVSMTP_TLS_REQUIRED);
  w->options.history = history;
  start(w, NULL);
  uvsmtp_history_free(history); /* the connection goes on with it */
  while (w->connection->phase != UVSMTP__PHASE_TLS_WAIT)
    uv_run(&w->loop, UV_RUN_ONCE);
}

static void who_waits_for_a_session_goes_on_when_there_will_be_none(void **state)
{
  world_t w;
  uvsmtp_history_t *history;
  uvsmtp__visit_t leader = lead(&history);
  start_waiting(&w, history);
  uvsmtp__history_leave(&leader, true);
  end(&w);
  assert_int_equal(w.err, 0);
  assert_int_equal(w.seen.handshakes, 1);
}

static void who_waits_for_a_session_does_so_for_a_moment_only(void **state)
{
  world_t w;
  uvsmtp_history_t *history;
  lead(&history);
  start_waiting(&w, history);
  /* a tenth of the 30 s that a handshake may take */
  assert_true(w.connection->ends->work->wait_deadline - uv_now(&w.loop) <= 3000);
  w.connection->ends->work->wait_deadline = uv_now(&w.loop);
  uvsmtp__timer_note(w.connection);
  end(&w);
  assert_int_equal(w.err, 0);
}

static void who_waits_for_a_session_can_be_closed(void **state)
{
  world_t w;
  uvsmtp_history_t *history;
  lead(&history);
  start_waiting(&w, history);
  uvsmtp_connection_close(w.connection, on_closed);
  end(&w);
  assert_int_equal(w.err, UVSMTP_ECANCELED);
  assert_int_equal(w.seen.handshakes, 0);
}

/* ---- memory ---- */

typedef struct budget_s {
  long left, held;
} budget_t;

static void *limited_malloc(void *ctx, size_t size)
{
  budget_t *b = ctx;
  void *p = b->left-- > 0 ? malloc(size) : NULL;
  b->held += p != NULL;
  return p;
}

static void *limited_realloc(void *ctx, void *p, size_t size)
{
  budget_t *b = ctx;
  void *q = b->left-- > 0 ? realloc(p, size) : NULL;
  b->held += q != NULL && p == NULL;
  return q;
}

static void limited_free(void *ctx, void *p)
{
  budget_t *b = ctx;
  b->held -= p != NULL;
  free(p);
}

static void any_allocation_may_fail(void **state)
{
  for (long n = 0, done = 0; !done; n++) {
    budget_t budget = {.left = n};
    uvsmtp_mem_t mem = {&budget, limited_malloc, limited_realloc, limited_free};
    uvsmtp_auth_t *auth;
    world_t w;
    char detail[128];
    int err;
    assert_true(n < 1000);
    full_options(&w, &auth, UVSMTP_TLS_REQUIRED);
    w.options.mem = &mem;
    assert_int_equal(uvsmtp_history_new(&w.options.history, NULL), 0);
    assert_int_equal(sink_start(&w.sink, &w.loop, &w.sink_options, detail, sizeof(detail)), 0);
    w.options.port = sink_port(w.sink);
    err = uvsmtp_connection_open(&w.connection, &w.loop, &w.options, on_open, NULL, 0);
    uvsmtp_auth_free(auth);
    if (err == 0) {
      uvsmtp_connection_set_data(w.connection, &w);
      end(&w);
      done = w.err == 0;
    } else {
      assert_int_equal(err, UVSMTP_ENOMEM);
      sink_close(w.sink, on_sink_closed);
      uv_run(&w.loop, UV_RUN_DEFAULT);
      assert_int_equal(uv_loop_close(&w.loop), 0);
    }
    uvsmtp_history_free(w.options.history);
    assert_int_equal(budget.held, 0);
  }
}

/* ---- the pump is wired ---- */

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  note(w, 'S');
  assert_int_equal(result->status, UVSMTP_ACCEPTED);
}

static void send_and_quit(world_t *w)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  static uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  static uvsmtp_source_t source;
  static uvsmtp_send_t send;
  static uvsmtp_request_t request;
  envelope.sender = "a@x.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  uvsmtp_source_memory(&source, "Subject: x\r\n\r\nHi\r\n", 18);
  send.data = w;
  assert_int_equal(uvsmtp_connection_send(w->connection, &send, &envelope, &source, on_sent), 0);
  assert_int_equal(uvsmtp_connection_noop(w->connection, &request, on_reply), UVSMTP_EBUSY);
  uvsmtp_connection_quit(w->connection, on_closed);
  assert_int_equal(uvsmtp_connection_noop(w->connection, &request, on_reply), UVSMTP_ECLOSING);
}

static void quit_lets_what_is_queued_finish(void **state)
{
  world_t w;
  init(&w);
  w.on_open = send_and_quit;
  go(&w, NULL);
  assert_string_equal(w.order, "OSC");
  assert_int_equal(w.messages, 1);
}

/* What fits on a connection: at first, and when two messages have come through together. */
static const struct room_row {
  const char *name, *ehlo;
  bool no_chunking, no_pipelining;
  size_t max_in_doubt, first, later;
  const char *script;
} rooms[] = {
    {"chunks", .first = 2, .later = 64},
    {"Exim", .first = 2, .later = 32, .script = "greeting : reply \"220 x ESMTP Exim 4.96\""},
    {"Exim, a bound of the owner's", .max_in_doubt = 40, .first = 2, .later = 40,
     .script = "greeting : reply \"220 x ESMTP Exim 4.96\""},
    {"chunks, a bound of the owner's", .max_in_doubt = 5, .first = 2, .later = 5},
    {"one in doubt", .max_in_doubt = 1, .first = 1, .later = 1},
    {"DATA", .no_chunking = true, .first = 3, .later = 3},
    {"one command at a time", .no_pipelining = true, .first = 1, .later = 1},
    {"the server's bound", "LIMITS MAILMAX=4", .first = 2, .later = 2}};
static const struct room_row *room_row;

static void on_sent_in_room(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  on_sent(send, result);
  if (uvsmtp_connection_pending(w->connection) > 0)
    return;
  if (uvsmtp_connection_room(w->connection) != room_row->later)
    fail_msg("%s, later: %zu", room_row->name, uvsmtp_connection_room(w->connection));
  uvsmtp_connection_quit(w->connection, on_closed);
  assert_int_equal(uvsmtp_connection_room(w->connection), 0);
  assert_false(uvsmtp_connection_can_send(w->connection));
}

static void send_two(world_t *w)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  static uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  static uvsmtp_source_t sources[2];
  static uvsmtp_send_t sends[2];
  size_t first = uvsmtp_connection_room(w->connection);
  if (first != room_row->first)
    fail_msg("%s, at first: %zu", room_row->name, first);
  envelope.sender = "a@x.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  for (size_t i = 0; i < 2; i++) {
    size_t left = uvsmtp_connection_room(w->connection);
    uvsmtp_source_memory(&sources[i], "Subject: x\r\n\r\nHi\r\n", 18);
    sends[i].data = w;
    assert_int_equal(
        uvsmtp_connection_send(w->connection, &sends[i], &envelope, &sources[i], on_sent_in_room),
        0);
    assert_int_equal(uvsmtp_connection_room(w->connection), left > 0 ? left - 1 : 0);
  }
}

static void a_connection_says_how_many_it_takes(void **state)
{
  for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
    world_t w;
    room_row = &rooms[i];
    init(&w);
    w.sink_options.ehlo = room_row->ehlo != NULL ? &room_row->ehlo : NULL;
    w.sink_options.ehlo_count = room_row->ehlo != NULL;
    w.options.no_chunking = room_row->no_chunking;
    w.options.no_pipelining = room_row->no_pipelining;
    w.options.max_in_doubt = room_row->max_in_doubt;
    w.on_open = send_two;
    go(&w, room_row->script);
    assert_string_equal(w.order, "OSSC");
  }
}

/* Three, then one at a time when there is room, so often. */
enum { AT_FIRST = 3, IN_ROOM = 2 };
static uvsmtp_send_t roomy[AT_FIRST + IN_ROOM];
static size_t given;

static void give_one(world_t *w)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  static uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  static uvsmtp_source_t sources[AT_FIRST + IN_ROOM];
  envelope.sender = "a@x.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  uvsmtp_source_memory(&sources[given], "Subject: x\r\n\r\nHi\r\n", 18);
  roomy[given].data = w;
  assert_int_equal(
      uvsmtp_connection_send(w->connection, &roomy[given], &envelope, &sources[given], on_sent), 0);
  given++;
}

/* What is sent here leaves at once: the session need not be run from the loop for it. */
static void on_room(uvsmtp_connection_t *c)
{
  world_t *w = uvsmtp_connection_get_data(c);
  note(w, 'R');
  if (uvsmtp_connection_pending(c) > 0)
    return;
  if (given < AT_FIRST + IN_ROOM)
    give_one(w);
  else
    uvsmtp_connection_quit(c, on_closed);
  assert_false(c->pump->due);
}

static void send_three(world_t *w)
{
  uvsmtp_connection_on_room(w->connection, on_room);
  for (given = 0; given < AT_FIRST;)
    give_one(w);
}

static void who_has_more_is_asked_when_sends_have_ended(void **state)
{
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_NONE, UVSMTP_TLS_IMPLICIT};
  for (size_t i = 0; i < 2; i++) {
    world_t w;
    init(&w);
    w.options.no_chunking = true; /* all three leave as soon as the first may */
    if (modes[i] != UVSMTP_TLS_NONE)
      with_tls(&w, modes[i]);
    w.on_open = send_three;
    go(&w, NULL);
    assert_int_equal(w.messages, AT_FIRST + IN_ROOM);
    /* Each time once for all whose ends were read together. */
    assert_null(strstr(w.order, "RR"));
    assert_null(strstr(w.order, "OR"));
    assert_non_null(strstr(w.order, "SRSRSRC"));
  }
}

enum { CROWD = 30000 };
static uvsmtp_recipient_t crowd[CROWD];

/* ---- records ---- */

/* What TLS has put around the octets of the protocol so far. */
static uint64_t around(const uvsmtp_connection_t *c)
{
  return c->info.octets_sent - uvsmtp_protocol_total_sent(c->protocol);
}

#define MANY 400

static int sent;
static uint64_t around_before, octets_before, records, record_octets;

static void on_one_of_many(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  assert_int_equal(result->status, UVSMTP_ACCEPTED);
  if (++sent < MANY)
    return;
  records = (around(w->connection) - around_before) /
            (uint64_t)mbedtls_ssl_get_record_expansion(&w->connection->tls->ssl);
  record_octets = uvsmtp_protocol_total_sent(w->connection->protocol) - octets_before;
  uvsmtp_connection_quit(w->connection, on_closed);
}

static void send_many(world_t *w)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  static uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  static uvsmtp_source_t source;
  static uvsmtp_send_t sends[MANY];
  static char text[300]; /* so much is not copied: each message has two pieces */
  envelope.sender = "a@x.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  memset(text, 'x', sizeof(text));
  memcpy(text + sizeof(text) - 2, "\r\n", 2);
  uvsmtp_source_memory(&source, text, sizeof(text));
  around_before = around(w->connection);
  octets_before = uvsmtp_protocol_total_sent(w->connection->protocol);
  sent = 0;
  for (size_t i = 0; i < MANY; i++) {
    sends[i].data = w;
    assert_int_equal(
        uvsmtp_connection_send(w->connection, &sends[i], &envelope, &source, on_one_of_many), 0);
  }
}

static void messages_of_one_turn_share_full_records(void **state)
{
  world_t w;
  init(&w);
  with_tls(&w, UVSMTP_TLS_IMPLICIT);
  w.options.max_in_doubt = 2 * MANY;
  w.on_open = send_many;
  go(&w, "");
  assert_int_equal(w.messages, MANY);
  assert_true(record_octets > (uint64_t)MANY * 300);
  /* All are full but the last, and the first, which does not wait for the others. */
  assert_true(records <= record_octets / 16384 + 2);
}

static void send_to_a_crowd(world_t *w)
{
  static uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  static uvsmtp_source_t source;
  static uvsmtp_send_t send;
  envelope.sender = "a@x.example";
  envelope.recipients = crowd;
  envelope.recipient_count = CROWD;
  uvsmtp_source_memory(&source, "Subject: x\r\n\r\nHi\r\n", 18);
  send.data = w;
  assert_int_equal(uvsmtp_connection_send(w->connection, &send, &envelope, &source, on_sent), 0);
  uvsmtp_connection_quit(w->connection, on_closed);
}

/* Eight megabytes of RCPT, more than the kernel holds, to a server that reads nothing meanwhile. */
static void a_flight_larger_than_all_buffers_arrives_at_a_server_that_reads_late(void **state)
{
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_NONE, UVSMTP_TLS_IMPLICIT};
  static char address[256];
  memset(address, 'a', sizeof(address));
  for (size_t i = 0; i < 255; i += 50)
    address[i] = i == 50 ? '@' : '.';
  address[0] = 'a';
  address[255] = '\0';
  for (size_t i = 0; i < CROWD; i++)
    crowd[i].address = address;
  for (size_t i = 0; i < 2; i++) {
    world_t w;
    init(&w);
    if (modes[i] != UVSMTP_TLS_NONE)
      with_tls(&w, modes[i]);
    w.on_open = send_to_a_crowd;
    go(&w, "mail : reply, deaf 50\nrcpt nth 3000 : reply, deaf 50");
    assert_string_equal(w.order, "OSC");
    assert_int_equal(w.messages, 1);
    assert_int_equal(w.seen.recipients, CROWD);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_of_one_turn_share_full_records),
      cmocka_unit_test(a_flight_larger_than_all_buffers_arrives_at_a_server_that_reads_late),
      cmocka_unit_test(a_session_opens_and_quits),
      cmocka_unit_test(starttls_and_implicit_tls_open),
      cmocka_unit_test(refusals_end_in_their_error_with_the_servers_words),
      cmocka_unit_test(opening_is_bounded_as_a_whole),
      cmocka_unit_test(a_server_with_our_own_name_is_a_loop_for_those_who_ask),
      cmocka_unit_test(opportunistic_tls_goes_on_in_the_clear),
      cmocka_unit_test(unusable_options_are_refused_with_a_sentence),
      cmocka_unit_test(options_can_be_checked_without_opening),
      cmocka_unit_test(a_url_gives_server_and_credentials),
      cmocka_unit_test(logins_succeed_or_say_why),
      cmocka_unit_test(a_login_goes_on_with_the_next_mechanism_or_says_why),
      cmocka_unit_test(a_suspended_exchange_goes_on_when_it_is_resumed),
      cmocka_unit_test(closing_cancels_a_suspended_exchange),
      cmocka_unit_test(a_server_that_goes_cancels_a_suspended_exchange),
      cmocka_unit_test(a_suspended_exchange_has_its_own_time),
      cmocka_unit_test(a_suspended_exchange_may_be_resumed_with_an_error),
      cmocka_unit_test(silence_ends_in_a_timeout),
      cmocka_unit_test(a_quit_without_an_answer_is_given_up),
      cmocka_unit_test(limits_just_below_never_do_not_pass_at_once),
      cmocka_unit_test(an_idle_connection_tells_that_it_is_lost),
      cmocka_unit_test(commands_get_their_replies_in_order),
      cmocka_unit_test(closing_cancels_commands_in_order),
      cmocka_unit_test(large_contents_arrive_intact_through_full_sockets),
      cmocka_unit_test(a_stuck_content_times_out_and_was_not_all_handed_over),
      cmocka_unit_test(closing_at_every_line_of_the_dialogue_calls_back_once),
      cmocka_unit_test(closing_at_every_turn_of_the_loop_calls_back_once),
      cmocka_unit_test(on_a_unix_socket_the_host_is_the_name_to_check),
      cmocka_unit_test(a_server_that_cuts_for_want_of_a_certificate_is_understood),
      cmocka_unit_test(who_waits_for_a_session_goes_on_when_there_will_be_none),
      cmocka_unit_test(who_waits_for_a_session_does_so_for_a_moment_only),
      cmocka_unit_test(who_waits_for_a_session_can_be_closed),
      cmocka_unit_test(any_allocation_may_fail),
      cmocka_unit_test(quit_lets_what_is_queued_finish),
      cmocka_unit_test(a_connection_says_how_many_it_takes),
      cmocka_unit_test(who_has_more_is_asked_when_sends_have_ended),
  };
  return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
