/*
 * A dialogue of one's own: commands one by one on a connection, each with a callback for its reply.
 *
 *     ./session URL SENDER RECIPIENT
 *
 * Opening the connection greets, switches to TLS and logs in. Then this program asks what it likes:
 * here it sends a message by hand, one step at a time, and quits. Replies of 4yz and 5yz are no
 * errors: what they mean is for the program to say.
 */
#include <stdio.h>
#include <string.h>

#include <uvsmtp.h>

typedef struct session_s session_t;
typedef int (*step_fn)(session_t *session);

struct session_s {
  uvsmtp_connection_t *connection;
  uvsmtp_request_t request; /* one at a time here; there may be many */
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipient;
  size_t step;
  int status;
};

static void on_reply(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                     const uvsmtp_error_t *error);

static const char text[] = "From: session@here.example\r\n"
                           "Subject: Step by step\r\n"
                           "\r\n"
                           "Sent by hand.\r\n";

static int mail(session_t *s)
{
  return uvsmtp_connection_mail(s->connection, &s->request, &s->envelope, NULL, on_reply);
}

static int recipient(session_t *s)
{
  return uvsmtp_connection_recipient(s->connection, &s->request, &s->recipient, on_reply);
}

static int start_data(session_t *s)
{
  return uvsmtp_connection_start_data(s->connection, &s->request, on_reply);
}

static int data(session_t *s)
{
  return uvsmtp_connection_data(s->connection, &s->request, text, strlen(text), on_reply);
}

static int noop(session_t *s)
{
  return uvsmtp_connection_noop(s->connection, &s->request, on_reply);
}

static const struct {
  const char *name;
  step_fn run;
  int good; /* the class of reply with which it goes on */
} steps[] = {
    {"NOOP", noop, 2},       {"MAIL", mail, 2}, {"RCPT", recipient, 2},
    {"DATA", start_data, 3}, {"text", data, 2},
};

static void take_step(session_t *s)
{
  int err;

  if (s->step == sizeof(steps) / sizeof(steps[0])) {
    s->status = 0;
    uvsmtp_connection_quit(s->connection, NULL);
    return;
  }
  err = steps[s->step].run(s);
  if (err == 0)
    return;
  fprintf(stderr, "%s: %s\n", steps[s->step].name, uvsmtp_strerror(err));
  uvsmtp_connection_close(s->connection, NULL);
}

static void on_reply(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                     const uvsmtp_error_t *error)
{
  session_t *s = request->data;
  char words[512];

  (void)more; /* only LMTP has more than one reply */
  if (reply == NULL) {
    fprintf(stderr, "%s: %s\n", steps[s->step].name, error->text);
    uvsmtp_connection_close(s->connection, NULL);
    return;
  }
  uvsmtp_reply_text(reply, words, sizeof(words));
  printf("%s: %d %s\n", steps[s->step].name, reply->code, words);
  if (UVSMTP_REPLY_CLASS(reply) != steps[s->step].good) {
    uvsmtp_connection_quit(s->connection, NULL);
    return;
  }
  s->step++;
  take_step(s);
}

static void on_open(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  session_t *s = uvsmtp_connection_get_data(connection);

  if (error->err != 0) {
    fprintf(stderr, "%s\n", error->text);
    uvsmtp_connection_close(connection, NULL);
    return;
  }
  printf("connected to %s\n", uvsmtp_connection_peer(connection));
  take_step(s);
}

int main(int argc, char **argv)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  session_t s = {.envelope = UVSMTP_ENVELOPE_INIT, .status = 1};
  char detail[256] = "";
  int err;

  if (argc != 4) {
    fprintf(stderr, "usage: session URL SENDER RECIPIENT\n");
    return 1;
  }
  options.url = argv[1];
  s.request.data = &s;
  s.envelope.sender = argv[2];
  s.recipient.address = argv[3];
  err = uvsmtp_connection_open(&s.connection, uv_default_loop(), &options, on_open, detail,
                               sizeof(detail));
  if (err != 0) {
    fprintf(stderr, "%s: %s\n", uvsmtp_strerror(err), detail);
    return 1;
  }
  uvsmtp_connection_set_data(s.connection, &s);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  uv_loop_close(uv_default_loop());
  return s.status;
}
