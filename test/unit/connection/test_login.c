/*
 * Logging in, word for word: a server that speaks from a text, and what the client has to say to
 * it. A text is that of one or more connections, with "--" between; greeting and EHLO go without
 * saying. A client's line that ends in "..." is compared up to there, and "close" closes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/scarce.h"
#include "uvsmtp/connection.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_CONNECTIONS 4

/* ---- The server ---- */

typedef struct guest_s {
  uv_tcp_t tcp;
  struct stage_s *stage;
  bool greeted;
  char in[20000], out[4096];
  size_t in_len, out_len;
} guest_t;

typedef struct login_s {
  const char *name, *offers; /* EHLO keywords, with bars between */
  int (*make)(uvsmtp_auth_t **, const uvsmtp_auth_options_t *);
  const char *mechanisms, *token;
  const char *dialogue;
  int err;          /* of the last connection */
  const char *text; /* part of its error text */
  bool in_clear;    /* credentials are not allowed without TLS */
} login_t;

typedef struct stage_s {
  const login_t *login;
  uv_loop_t loop;
  uv_tcp_t listener;
  guest_t guests[MAX_CONNECTIONS];
  size_t guest_count;
  const char *at; /* in the dialogue */
  scarce_t scarce;
  uvsmtp_auth_t *auth;
  uvsmtp_connection_t *connection;
  int err;
  char text[1024];
} stage_t;

/* base64 of "\0tim\0tanstaaftanstaaf", "tim", "tanstaaftanstaaf" */
#define PLAIN "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"
#define USER "dGlt"
#define PASSWORD "dGFuc3RhYWZ0YW5zdGFhZg=="
/* The challenge of RFC 2195 and its answer. */
#define CRAM "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
#define CRAM_ANSWER "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"

/* Must not be in a trace, nor in memory that was given back. */
static const char *const secrets[] = {"tanstaaftanstaaf", PLAIN, PASSWORD, CRAM_ANSWER,
                                      "s3cret-t0ken"};

static void alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  guest_t *guest = handle->data;
  *buf = uv_buf_init(guest->in + guest->in_len, (unsigned)(sizeof(guest->in) - guest->in_len));
}

static void hang_up(guest_t *guest)
{
  if (!uv_is_closing((uv_handle_t *)&guest->tcp))
    uv_close((uv_handle_t *)&guest->tcp, NULL);
}

/* Adds a line to what is said next. */
static void say(guest_t *guest, const char *text, size_t len)
{
  assert_true(guest->out_len + len + 2 < sizeof(guest->out));
  memcpy(guest->out + guest->out_len, text, len);
  memcpy(guest->out + guest->out_len + len, "\r\n", 2);
  guest->out_len += len + 2;
}

static void flush(guest_t *guest)
{
  uv_buf_t buf = uv_buf_init(guest->out, (unsigned)guest->out_len);
  if (guest->out_len == 0)
    return;
  assert_int_equal(uv_try_write((uv_stream_t *)&guest->tcp, &buf, 1), (int)guest->out_len);
  guest->out_len = 0;
}

/* Says all up to the client's next turn. */
static void speak(guest_t *guest)
{
  stage_t *stage = guest->stage;
  while (strncmp(stage->at, "S: ", 3) == 0 || strncmp(stage->at, "close", 5) == 0) {
    size_t len = strcspn(stage->at, "\n");
    bool closes = stage->at[0] == 'c';
    if (!closes)
      say(guest, stage->at + 3, len - 3);
    stage->at += len + (stage->at[len] == '\n');
    if (closes) {
      flush(guest);
      hang_up(guest);
      return;
    }
  }
  flush(guest);
}

static void offer(guest_t *guest)
{
  const char *offers = guest->stage->login->offers;
  say(guest, "250-mx.example", 14);
  while (*offers != '\0') {
    char line[200];
    size_t len = strcspn(offers, "|");
    bool last = offers[len] == '\0';
    int n = snprintf(line, sizeof(line), "250%c%.*s", last ? ' ' : '-', (int)len, offers);
    say(guest, line, (size_t)n);
    offers += len + !last;
  }
  guest->greeted = true;
  flush(guest);
}

static void hear(guest_t *guest, const char *line, size_t len)
{
  stage_t *stage = guest->stage;
  const char *want = stage->at + 3;
  size_t want_len = strcspn(stage->at, "\n") - 3;
  if (!guest->greeted) {
    assert_memory_equal(line, "EHLO ", 5);
    offer(guest);
    return;
  }
  if (len == 4 && memcmp(line, "QUIT", 4) == 0) {
    say(guest, "221 bye", 7);
    flush(guest);
    hang_up(guest);
    return;
  }
  if (stage->scarce.fail_at != 0 && len == 1 && line[0] == '*') {
    say(guest, "501 cancelled", 13);
    flush(guest);
    return;
  }
  if (strncmp(stage->at, "C: ", 3) != 0)
    fail_msg("%s: nothing was to be said, but: %.*s", stage->login->name, (int)len, line);
  if (want_len >= 3 && memcmp(want + want_len - 3, "...", 3) == 0) {
    want_len -= 3;
    len = len > want_len ? want_len : len;
  }
  if (len != want_len || memcmp(line, want, len) != 0)
    fail_msg("%s: \"%.*s\" instead of \"%.*s\"", stage->login->name, (int)len, line, (int)want_len,
             want);
  stage->at += strcspn(stage->at, "\n");
  stage->at += *stage->at == '\n';
  speak(guest);
}

static void was_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  guest_t *guest = stream->data;
  char *end;
  if (n < 0) {
    hang_up(guest);
    return;
  }
  guest->in_len += (size_t)n;
  while (!uv_is_closing((uv_handle_t *)stream) &&
         (end = memchr(guest->in, '\n', guest->in_len)) != NULL) {
    size_t len = (size_t)(end - guest->in);
    assert_true(len > 0 && end[-1] == '\r');
    hear(guest, guest->in, len - 1);
    guest->in_len -= len + 1;
    memmove(guest->in, end + 1, guest->in_len);
  }
}

static void arrived(uv_stream_t *listener, int status)
{
  stage_t *stage = listener->data;
  guest_t *guest = &stage->guests[stage->guest_count++];
  assert_true(stage->guest_count <= MAX_CONNECTIONS);
  guest->stage = stage;
  guest->tcp.data = guest;
  assert_int_equal(uv_tcp_init(&stage->loop, &guest->tcp), 0);
  assert_int_equal(uv_accept(listener, (uv_stream_t *)&guest->tcp), 0);
  assert_int_equal(uv_read_start((uv_stream_t *)&guest->tcp, alloc, was_read), 0);
  if (strncmp(stage->at, "--\n", 3) == 0)
    stage->at += 3;
  say(guest, "220 mx.example", 14);
  flush(guest);
}

/* ---- The client ---- */

static void open_next(stage_t *stage);

static void on_closed(uvsmtp_connection_t *c)
{
  stage_t *stage = uvsmtp_connection_get_data(c);
  if (strncmp(stage->at, "--\n", 3) == 0)
    open_next(stage);
  else
    uv_close((uv_handle_t *)&stage->listener, NULL);
}

static void on_open(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  stage_t *stage = uvsmtp_connection_get_data(c);
  stage->err = error->err;
  snprintf(stage->text, sizeof(stage->text), "%s", error->text);
  uvsmtp_connection_quit(c, on_closed);
}

static void on_trace(void *data, uvsmtp_connection_t *c, uvsmtp_trace_t kind, const char *line,
                     size_t len)
{
  for (size_t i = 0; i < COUNT(secrets); i++)
    if (memmem(line, len, secrets[i], strlen(secrets[i])) != NULL)
      fail_msg("in the trace: %.*s", (int)len, line);
}

static void open_next(stage_t *stage)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  struct sockaddr_in name;
  int len = sizeof(name);
  assert_int_equal(uv_tcp_getsockname(&stage->listener, (struct sockaddr *)&name, &len), 0);
  options.host = "127.0.0.1";
  options.port = ntohs(name.sin_port);
  options.tls = UVSMTP_TLS_NONE;
  options.ehlo_domain = "client.example";
  options.auths = &stage->auth;
  options.auth_count = 1;
  options.allow_plaintext_auth = !stage->login->in_clear;
  options.mem = &stage->scarce.mem;
  options.trace = on_trace;
  stage->err = uvsmtp_connection_open(&stage->connection, &stage->loop, &options, on_open, NULL, 0);
  if (stage->err == 0)
    uvsmtp_connection_set_data(stage->connection, stage);
  else
    uv_close((uv_handle_t *)&stage->listener, NULL);
}

/* Listens, and opens the first connection; runs until the last is closed. */
static void run(stage_t *stage)
{
  struct sockaddr_in any;
  stage->listener.data = stage;
  uv_tcp_init(&stage->loop, &stage->listener);
  uv_ip4_addr("127.0.0.1", 0, &any);
  assert_int_equal(uv_tcp_bind(&stage->listener, (struct sockaddr *)&any, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&stage->listener, 5, arrived), 0);
  open_next(stage);
  uv_run(&stage->loop, UV_RUN_DEFAULT);
}

static int make_auth(stage_t *stage)
{
  const login_t *login = stage->login;
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  options.mem = &stage->scarce.mem;
  options.user = "tim";
  options.password = login->token == NULL ? "tanstaaftanstaaf" : NULL;
  options.token = login->token;
  options.mechanisms = login->mechanisms;
  return login->make(&stage->auth, &options);
}

/* Whether the allocation number `fail_at` (0: none) was one of those needed. */
static bool run_scarce(stage_t *stage, const login_t *login, size_t fail_at)
{
  memset(stage, 0, sizeof(*stage));
  scarce_init(&stage->scarce, fail_at);
  for (size_t i = 0; i < COUNT(secrets); i++)
    scarce_watch(&stage->scarce, secrets[i], strlen(secrets[i]));
  stage->login = login;
  stage->at = login->dialogue;
  assert_int_equal(uv_loop_init(&stage->loop), 0);
  stage->err = make_auth(stage);
  if (stage->err == 0)
    run(stage);
  uvsmtp_auth_free(stage->auth);
  assert_int_equal(uv_loop_close(&stage->loop), 0);
  assert_int_equal(stage->scarce.held, 0);
  assert_int_equal(stage->scarce.leaks, 0);
  return stage->scarce.count >= fail_at;
}

static void play(const login_t *login)
{
  stage_t *stage = calloc(1, sizeof(*stage));
  run_scarce(stage, login, 0);
  if (stage->at[0] != '\0')
    fail_msg("%s: not said: %s", login->name, stage->at);
  if (stage->err != login->err)
    fail_msg("%s: %s (%s)", login->name, uvsmtp_err_name(stage->err), stage->text);
  if (login->text != NULL && strstr(stage->text, login->text) == NULL)
    fail_msg("%s: \"%s\" is not in \"%s\"", login->name, login->text, stage->text);
  free(stage);
}

#define PLAY(rows)                                                                                 \
  for (size_t i = 0; i < COUNT(rows); i++)                                                         \
  play(&(rows)[i])

/* ---- Each mechanism, good and bad ---- */

static void each_mechanism_speaks_its_dialogue(void **state)
{
  static const login_t rows[] = {
      {"PLAIN", "AUTH PLAIN", uvsmtp_auth_plain_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 235 2.7.0 welcome"},
      {"LOGIN", "AUTH LOGIN", uvsmtp_auth_login_new, NULL, NULL,
       "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: " USER "\nS: 334 UGFzc3dvcmQ6\nC: " PASSWORD
       "\nS: 235 welcome"},
      {"LOGIN without prompts", "AUTH LOGIN", uvsmtp_auth_login_new, NULL, NULL,
       "C: AUTH LOGIN\nS: 334\nC: " USER "\nS: 334 \nC: " PASSWORD "\nS: 235 welcome"},
      {"CRAM-MD5", "AUTH CRAM-MD5", uvsmtp_auth_cram_md5_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER "\nS: 235 welcome"},
      {"EXTERNAL", "AUTH EXTERNAL", uvsmtp_auth_external_new, NULL, NULL,
       "C: AUTH EXTERNAL =\nS: 235 welcome"},
      {"ANONYMOUS", "AUTH ANONYMOUS", uvsmtp_auth_anonymous_new, NULL, NULL,
       "C: AUTH ANONYMOUS " USER "\nS: 235 welcome"},
      {"XOAUTH2", "AUTH XOAUTH2", uvsmtp_auth_xoauth2_new, NULL, "s3cret-t0ken",
       "C: AUTH XOAUTH2 dXNlcj10aW0BYXV0aD1CZWFyZXIgczNjcmV0LXQwa2VuAQE=\nS: 235 welcome"},
      {"OAUTHBEARER", "AUTH OAUTHBEARER", uvsmtp_auth_oauthbearer_new, NULL, "s3cret-t0ken",
       "C: AUTH OAUTHBEARER bixhPXRpbSwBaG9zdD0xMjcuMC4wLjEBcG9ydD0...\nS: 235 welcome"},
  };
  PLAY(rows);
}

static void each_mechanism_takes_a_refusal(void **state)
{
  static const login_t rows[] = {
      {"PLAIN", "AUTH PLAIN", uvsmtp_auth_plain_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 535 5.7.8 bad password", UVSMTP_EAUTH,
       "PLAIN: the server said: 535 5.7.8 bad password"},
      {"LOGIN, the user", "AUTH LOGIN", uvsmtp_auth_login_new, NULL, NULL,
       "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: " USER "\nS: 535 no such user", UVSMTP_EAUTH},
      {"CRAM-MD5", "AUTH CRAM-MD5", uvsmtp_auth_cram_md5_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER "\nS: 535 no", UVSMTP_EAUTH},
      {"SCRAM, first", "AUTH SCRAM-SHA-1", uvsmtp_auth_password_new, "SCRAM-SHA-1", NULL,
       "C: AUTH SCRAM-SHA-1 biwsbj10aW0scj...\nS: 535 no", UVSMTP_EAUTH},
      {"SCRAM, 235 at once", "AUTH SCRAM-SHA-1 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH SCRAM-SHA-1 biwsbj10aW0scj...\nS: 235 come in", UVSMTP_EAUTHSERVER,
       "without proving that it knows the password"},
      {"SCRAM, another's nonce", "AUTH SCRAM-SHA-1", uvsmtp_auth_password_new, "SCRAM-SHA-1", NULL,
       "C: AUTH SCRAM-SHA-1 biwsbj10aW0scj...\nS: 334 cj1ub3RvdXJzLHM9QUFBQSxpPTQwOTY=\nC: *\n"
       "S: 501 cancelled",
       UVSMTP_EAUTHCHALLENGE, "nonce does not continue ours"},
      {"SCRAM, e=", "AUTH SCRAM-SHA-1", uvsmtp_auth_password_new, "SCRAM-SHA-1", NULL,
       "C: AUTH SCRAM-SHA-1 biwsbj10aW0scj...\nS: 334 ZT11bmtub3duLXVzZXI=\nC: \nS: 535 no",
       UVSMTP_EAUTH, "SCRAM error unknown-user; the server said: 535 no"},
      {"EXTERNAL", "AUTH EXTERNAL", uvsmtp_auth_external_new, NULL, NULL,
       "C: AUTH EXTERNAL =\nS: 535 who are you?", UVSMTP_EAUTH},
      {"ANONYMOUS", "AUTH ANONYMOUS", uvsmtp_auth_anonymous_new, NULL, NULL,
       "C: AUTH ANONYMOUS " USER "\nS: 535 no", UVSMTP_EAUTH},
      {"XOAUTH2", "AUTH XOAUTH2", uvsmtp_auth_xoauth2_new, NULL, "s3cret-t0ken",
       "C: AUTH XOAUTH2 dXNlcj10aW0BYXV0aD1CZWFyZXIgczNjcmV0LXQwa2VuAQE=\n"
       "S: 334 eyJzdGF0dXMiOiI0MDEifQ==\nC: \nS: 535 5.7.8 no",
       UVSMTP_EAUTH, "the token was refused: {\"status\":\"401\"}; the server said: 535 5.7.8 no"},
      {"OAUTHBEARER", "AUTH OAUTHBEARER", uvsmtp_auth_oauthbearer_new, NULL, "s3cret-t0ken",
       "C: AUTH OAUTHBEARER bixhPXRpbSwB...\nS: 334 eyJzdGF0dXMiOiI0MDEifQ==\nC: AQ==\nS: 535 no",
       UVSMTP_EAUTH, "{\"status\":\"401\"}"},
  };
  PLAY(rows);
}

/* ---- Offers ---- */

static void offers_are_read_however_they_are_written(void **state)
{
  static const login_t rows[] = {
      {"the old form", "AUTH=LOGIN PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"both forms", "AUTH LOGIN|AUTH=LOGIN PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"mixed case, doubled", "auth Login plain LOGIN Plain", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"strongest first", "AUTH LOGIN PLAIN CRAM-MD5", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER "\nS: 235 welcome"},
      {"the caller's order", "AUTH LOGIN PLAIN CRAM-MD5", uvsmtp_auth_password_new,
       "plain cram-md5", NULL, "C: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"nothing in common", "AUTH NTLM GSSAPI", uvsmtp_auth_password_new, NULL, NULL, "",
       UVSMTP_EMECHANISM, "the server offers NTLM GSSAPI"},
      {"nothing", "PIPELINING", uvsmtp_auth_password_new, NULL, NULL, "", UVSMTP_EMECHANISM,
       "the server offers no authentication"},
      {"the weak ones without TLS", "AUTH LOGIN PLAIN CRAM-MD5", uvsmtp_auth_password_new, NULL,
       NULL, "", UVSMTP_EAUTHPLAINTEXT, "(LOGIN PLAIN CRAM-MD5) nothing is safe without TLS", true},
      {"CRAM-MD5 alone without TLS", "AUTH CRAM-MD5", uvsmtp_auth_cram_md5_new, NULL, NULL, "",
       UVSMTP_EAUTHPLAINTEXT, "use TLS", true},
      {"a token without TLS", "AUTH XOAUTH2", uvsmtp_auth_oauth2_new, NULL, "s3cret-t0ken", "",
       UVSMTP_EAUTHPLAINTEXT, NULL, true},
  };
  PLAY(rows);
}

/* ---- The next one, or not ---- */

static void what_is_wrong_with_a_mechanism_leads_to_the_next(void **state)
{
  static const login_t rows[] = {
      {"534", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 534 5.7.9 too weak\nC: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"504", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 504 5.5.4 what?\nC: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"535 because of the mechanism", "AUTH PLAIN LOGIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 535 5.7.11 encryption is wanted\nC: AUTH LOGIN\nS: 334\n"
       "C: " USER "\nS: 334\nC: " PASSWORD "\nS: 235 welcome"},
      {"a challenge that is no base64", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 !!!\nC: *\nS: 501 5.7.0 cancelled\nC: AUTH PLAIN " PLAIN
       "\nS: 235 welcome"},
      {"another 3yz than 334", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 354 go on\nC: *\nS: 501 cancelled\nC: AUTH PLAIN " PLAIN
       "\nS: 235 welcome"},
      {"one cut short", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 PDE\nC: *\nS: 501 cancelled\nC: AUTH PLAIN " PLAIN
       "\nS: 235 welcome"},
      {"a challenge of two lines", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334-PDE4\nS: 334 OTYu\nC: *\nS: 501 cancelled\nC: AUTH PLAIN " PLAIN
       "\nS: 235 welcome"},
      {"an empty challenge", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 \nC: *\nS: 504 cancelled\nC: AUTH PLAIN " PLAIN
       "\nS: 235 welcome"},
      {"a challenge too many", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER "\nS: 334 AAAA\nC: *\n"
       "S: 501 cancelled\nC: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"a refused proof, but not the password", "AUTH CRAM-MD5 LOGIN PLAIN",
       uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER
       "\nS: 535 5.7.8 no\nC: AUTH PLAIN " PLAIN "\nS: 235 welcome"},
      {"a refused password is not shown again", "AUTH CRAM-MD5 LOGIN PLAIN",
       uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER
       "\nS: 535 5.7.8 no\nC: AUTH PLAIN " PLAIN "\nS: 535 5.7.8 still no",
       UVSMTP_EAUTH, "CRAM-MD5: the server said: 535 5.7.8 no"},
      {"454 is for later", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 454 4.7.0 the database is away", UVSMTP_EAUTHTEMPORARY,
       "454 4.7.0 the database is away"},
      {"421 is for later", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER "\nS: 421 4.3.2 going down\nclose",
       UVSMTP_EAUTHTEMPORARY, "421 4.3.2 going down"},
      {"closed in the middle", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nclose", UVSMTP_ECONNLOST},
  };
  PLAY(rows);
}

/* Haraka, for one. */
static void a_server_that_does_not_survive_a_star_is_got_past(void **state)
{
  static const char *const ends[] = {"S: 521 bad protocol\nclose", "close"};
  for (size_t i = 0; i < 2; i++) {
    char dialogue[500];
    login_t login = {"the next connection", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new};
    snprintf(dialogue, sizeof(dialogue),
             "C: AUTH CRAM-MD5\nS: 334 !!!\nC: *\nS: 504 cancelled\nC: AUTH PLAIN " PLAIN
             "\n%s\n--\nC: AUTH PLAIN " PLAIN "\nS: 235 welcome",
             ends[i]);
    login.dialogue = dialogue;
    play(&login);
    /* Of that connection itself one is told that trying again may help. */
    *strstr(dialogue, "\n--") = '\0';
    login.err = i == 0 ? UVSMTP_EAUTHTEMPORARY : UVSMTP_ECONNLOST;
    play(&login);
  }
}

/* What it would take the next line for, nobody knows: that is for another connection. */
static void a_server_that_goes_on_after_a_star_is_left(void **state)
{
  static const login_t rows[] = {
      {"another mechanism on the next connection", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new,
       NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 !!!\nC: *\nS: 334 !!!\n--\nC: AUTH PLAIN " PLAIN
       "\nS: 235 welcome"},
      {"what is said of the first", "AUTH CRAM-MD5 PLAIN", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 !!!\nC: *\nS: 334 AAAA", UVSMTP_EAUTHTEMPORARY,
       "CRAM-MD5: the challenge is not base64"},
      {"no other mechanism", "AUTH CRAM-MD5", uvsmtp_auth_password_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 !!!\nC: *\nS: 334 !!!", UVSMTP_EAUTHCHALLENGE,
       "CRAM-MD5: the challenge is not base64"},
  };
  PLAY(rows);
}

/* ---- Blanks and lengths ---- */

static void empty_challenges_have_any_number_of_blanks(void **state)
{
  static const char *const empty[] = {"334", "334 ", "334  "};
  for (size_t i = 0; i < COUNT(empty); i++) {
    char dialogue[4000], response[800], encoded[1200];
    login_t login = {empty[i], "AUTH XOAUTH2", uvsmtp_auth_xoauth2_new, NULL, response};
    size_t at;
    memset(response, 'A', 600);
    response[600] = '\0';
    /* "user=tim^Aauth=Bearer " is a multiple of three bytes, and so are 600 A. */
    strcpy(encoded, "dXNlcj10aW0BYXV0aD1CZWFyZXIg");
    at = strlen(encoded);
    for (size_t n = 0; n < 200; n++)
      memcpy(encoded + at + 4 * n, "QUFB", 4);
    strcpy(encoded + at + 800, "AQE=");
    snprintf(dialogue, sizeof(dialogue), "C: AUTH XOAUTH2\nS: %s\nC: %s\nS: 235 welcome", empty[i],
             encoded);
    login.dialogue = dialogue;
    play(&login);
  }
}

static void a_response_that_fits_no_line_is_given_up(void **state)
{
  static char token[10000];
  login_t login = {"too long", "AUTH XOAUTH2",  uvsmtp_auth_xoauth2_new, NULL, token,
                   "",         UVSMTP_ETOOLONG, "too long for a line"};
  memset(token, 'A', sizeof(token) - 1);
  play(&login);
}

static int babble(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  return uvsmtp_exchange_respond(exchange, "ha", 2);
}

static int babbler_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t babbler = {
      .size = sizeof(babbler), .name = "X-BABBLE", .step = babble};
  return uvsmtp_auth_custom_new(auth, &babbler, NULL, NULL);
}

static void a_server_that_never_ends_is_left(void **state)
{
#define MORE "S: 334 AAAA\nC: aGE=\n"
  static const login_t login = {
      "endless",
      "AUTH X-BABBLE",
      babbler_new,
      NULL,
      NULL,
      "C: AUTH X-BABBLE\n" MORE MORE MORE MORE MORE MORE MORE MORE MORE MORE
      "S: 334 AAAA\nC: *\nS: 501 at last",
      UVSMTP_EAUTHCHALLENGE,
      "does not stop sending challenges"};
  play(&login);
}

static void running_out_of_memory_at_any_point_leaves_no_secret(void **state)
{
  static const login_t rows[] = {
      {"PLAIN", "AUTH PLAIN", uvsmtp_auth_plain_new, NULL, NULL,
       "C: AUTH PLAIN " PLAIN "\nS: 235 2.7.0 welcome"},
      {"LOGIN", "AUTH LOGIN", uvsmtp_auth_login_new, NULL, NULL,
       "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: " USER "\nS: 334 UGFzc3dvcmQ6\nC: " PASSWORD
       "\nS: 235 welcome"},
      {"CRAM-MD5", "AUTH CRAM-MD5", uvsmtp_auth_cram_md5_new, NULL, NULL,
       "C: AUTH CRAM-MD5\nS: 334 " CRAM "\nC: " CRAM_ANSWER "\nS: 235 welcome"},
  };
  stage_t *stage = calloc(1, sizeof(*stage));
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t fail_at = 1;
    while (run_scarce(stage, &rows[i], fail_at)) {
      /* It may have been that of a line of the trace. */
      if (stage->err != 0 && stage->err != UVSMTP_ENOMEM)
        fail_msg("%s: %s (%s)", rows[i].name, uvsmtp_err_name(stage->err), stage->text);
      fail_at++;
    }
    assert_true(fail_at > 10);
  }
  free(stage);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_mechanism_speaks_its_dialogue),
      cmocka_unit_test(each_mechanism_takes_a_refusal),
      cmocka_unit_test(offers_are_read_however_they_are_written),
      cmocka_unit_test(what_is_wrong_with_a_mechanism_leads_to_the_next),
      cmocka_unit_test(a_server_that_does_not_survive_a_star_is_got_past),
      cmocka_unit_test(a_server_that_goes_on_after_a_star_is_left),
      cmocka_unit_test(empty_challenges_have_any_number_of_blanks),
      cmocka_unit_test(a_response_that_fits_no_line_is_given_up),
      cmocka_unit_test(a_server_that_never_ends_is_left),
      cmocka_unit_test(running_out_of_memory_at_any_point_leaves_no_secret),
  };
  return cmocka_run_group_tests_name("connection/login", tests, NULL, NULL);
}
