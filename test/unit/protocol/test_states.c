/* Every command in every state: taken, or refused with ESTATE or ECLOSING and nothing queued. */
#include "session.h"

enum command {
  EHLO,
  TLS,
  TLS_ON,
  AUTH,
  MAIL,
  RCPT,
  DATA,
  BODY,
  END,
  BDAT,
  RSET,
  NOOP,
  QUIT,
  COMMANDS
};
static const char *const names[] = {"EHLO", "STARTTLS", "tls_started", "AUTH", "MAIL",
                                    "RCPT", "DATA",     "data",        "end",  "BDAT",
                                    "RSET", "NOOP",     "QUIT"};
#define BIT(command) (1u << (command))
#define ANYWHERE (BIT(RSET) | BIT(NOOP) | BIT(QUIT))
#define FRESH (BIT(EHLO) | BIT(NOOP) | BIT(QUIT))
#define KEYWORDS "250-AUTH LOGIN PLAIN\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 PIPELINING"

static int issue(session_t *s, enum command command)
{
  static const uvsmtp_slice_t chunk = {"x", 1};
  uvsmtp_protocol_t *p = s->protocol;
  size_t taken;
  switch (command) {
  case EHLO:
    return uvsmtp_protocol_send_greeting(p, "client.example", false, s);
  case TLS:
    return uvsmtp_protocol_start_tls(p, s);
  case TLS_ON:
    return uvsmtp_protocol_tls_started(p);
  case AUTH:
    return uvsmtp_protocol_authenticate(p, "LOGIN", NULL, 0, s);
  case MAIL:
    return session_mail(s, "a@x.example");
  case RCPT:
    return session_rcpt(s, "b@y.example");
  case DATA:
    return uvsmtp_protocol_start_data(p, s);
  case BODY:
    return uvsmtp_protocol_data(p, "x", 1, UVSMTP_LINES_NORMALIZE, &taken);
  case END:
    return uvsmtp_protocol_end_data(p, s);
  case BDAT:
    return uvsmtp_protocol_chunk(p, &chunk, 1, false, s);
  case RSET:
    return uvsmtp_protocol_reset(p, s);
  case NOOP:
    return uvsmtp_protocol_noop(p, s);
  default:
    return uvsmtp_protocol_quit(p, s);
  }
}

/* Issues, writes, and hears `reply`, which may be NULL. */
static void pass(session_t *s, enum command command, const char *reply)
{
  assert_int_equal(issue(s, command), 0);
  session_write(s);
  if (reply != NULL)
    session_say(s, reply);
}

static void nothing(session_t *s)
{
}
static void mail_sent(session_t *s)
{
  pass(s, MAIL, NULL);
}
static void mail_accepted(session_t *s)
{
  pass(s, MAIL, "250 ok");
}
static void mail_refused(session_t *s)
{
  pass(s, MAIL, "550 no");
}
static void rcpt_accepted(session_t *s)
{
  mail_accepted(s);
  pass(s, RCPT, "250 ok");
}
static void rcpt_refused(session_t *s)
{
  mail_accepted(s);
  pass(s, RCPT, "550 no");
}
static void data_sent(session_t *s)
{
  rcpt_accepted(s);
  pass(s, DATA, NULL);
}
static void content(session_t *s)
{
  rcpt_accepted(s);
  pass(s, DATA, "354 go");
}
static void end_sent(session_t *s)
{
  content(s);
  pass(s, END, NULL);
}
static void delivered(session_t *s)
{
  content(s);
  pass(s, END, "250 queued");
}
static void chunk_sent(session_t *s)
{
  rcpt_accepted(s);
  pass(s, BDAT, NULL);
}
static void chunk_accepted(session_t *s)
{
  rcpt_accepted(s);
  pass(s, BDAT, "250 1 octet");
}
static void auth_sent(session_t *s)
{
  pass(s, AUTH, NULL);
}
static void challenged(session_t *s)
{
  pass(s, AUTH, "334 VXNlcm5hbWU6");
}
static void authenticated(session_t *s)
{
  pass(s, AUTH, "235 ok");
}
static void starttls_sent(session_t *s)
{
  pass(s, TLS, NULL);
}
static void starttls_agreed(session_t *s)
{
  pass(s, TLS, "220 go");
}
static void tls_started(session_t *s)
{
  starttls_agreed(s);
  pass(s, TLS_ON, NULL);
}
static void quit_sent(session_t *s)
{
  pass(s, QUIT, NULL);
}
static void quit_answered(session_t *s)
{
  pass(s, QUIT, "221 bye");
}
static void server_closing(session_t *s)
{
  session_say(s, "421 bye");
}
static void broken(session_t *s)
{
  pass(s, NOOP, "HTTP/1.1 200 OK");
}

static const struct row_s {
  const char *name;
  void (*reach)(session_t *s);
  unsigned allowed;
} rows[] = {
    {"ready", nothing, ANYWHERE | BIT(EHLO) | BIT(TLS) | BIT(AUTH) | BIT(MAIL)},
    {"MAIL sent", mail_sent, ANYWHERE | BIT(RCPT)},
    {"MAIL accepted", mail_accepted, ANYWHERE | BIT(RCPT)},
    {"MAIL refused", mail_refused, ANYWHERE | BIT(EHLO) | BIT(TLS) | BIT(AUTH) | BIT(MAIL)},
    {"RCPT accepted", rcpt_accepted, ANYWHERE | BIT(RCPT) | BIT(DATA) | BIT(BDAT)},
    {"RCPT refused", rcpt_refused, ANYWHERE | BIT(RCPT)},
    {"DATA sent", data_sent, 0},
    {"content", content, BIT(BODY) | BIT(END)},
    {"end sent", end_sent, ANYWHERE | BIT(EHLO) | BIT(MAIL)},
    {"delivered", delivered, ANYWHERE | BIT(EHLO) | BIT(TLS) | BIT(AUTH) | BIT(MAIL)},
    {"BDAT sent", chunk_sent, BIT(BDAT) | BIT(RSET)},
    {"BDAT accepted", chunk_accepted, BIT(BDAT) | BIT(RSET)},
    {"AUTH sent", auth_sent, 0},
    {"challenged", challenged, 0},
    {"authenticated", authenticated, ANYWHERE | BIT(EHLO) | BIT(MAIL)},
    {"STARTTLS sent", starttls_sent, 0},
    {"STARTTLS agreed", starttls_agreed, BIT(TLS_ON)},
    {"TLS started", tls_started, FRESH},
    {"QUIT sent", quit_sent, 0},
    {"QUIT answered", quit_answered, 0},
    {"server is closing", server_closing, 0},
    {"protocol broken", broken, 0},
};

static void every_command_in_every_state_is_taken_or_refused(void **state)
{
  unsigned wrong = 0;
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (unsigned command = 0; command < COMMANDS; command++) {
      session_t s;
      bool allowed = (rows[i].allowed & BIT(command)) != 0;
      session_ready(&s, NULL, KEYWORDS);
      rows[i].reach(&s);
      size_t owed = uvsmtp_protocol_outstanding(s.protocol);
      int err = issue(&s, command);
      bool refused = err == UVSMTP_ESTATE || err == UVSMTP_ECLOSING;
      if (allowed ? err != 0 : !refused) {
        print_error("%s, %s: %s\n", rows[i].name, names[command], uvsmtp_err_name(err));
        wrong++;
      }
      if (refused) {
        assert_int_equal(uvsmtp_protocol_output_len(s.protocol), 0);
        assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), owed);
      }
      session_free(&s);
    }
  }
  assert_int_equal(wrong, 0);
}

static void before_the_greeting_no_command_is_taken(void **state)
{
  for (unsigned command = 0; command < COMMANDS; command++) {
    session_t s;
    session_init(&s, NULL);
    assert_int_equal(issue(&s, command), UVSMTP_ESTATE);
    assert_int_equal(uvsmtp_protocol_outstanding(s.protocol), 1);
    session_free(&s);
  }
}

static void states_and_commands_have_names(void **state)
{
  assert_string_equal(uvsmtp_state_name(UVSMTP_STATE_GREETING_EXPECTED), "greeting_expected");
  assert_string_equal(uvsmtp_state_name(UVSMTP_STATE_FINISHED), "finished");
  assert_string_equal(uvsmtp_command_name(UVSMTP_COMMAND_BDAT_LAST), "BDAT_LAST");
  assert_string_equal(uvsmtp_command_phrase(UVSMTP_COMMAND_MAIL), "sending MAIL FROM");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_command_in_every_state_is_taken_or_refused),
      cmocka_unit_test(before_the_greeting_no_command_is_taken),
      cmocka_unit_test(states_and_commands_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
