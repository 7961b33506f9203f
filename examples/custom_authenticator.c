/*
 * A SASL mechanism of one's own that asks another service in the middle of the dialogue.
 *
 * X-SIGNED proves who we are with a key that this program does not hold: it lies in a signing
 * service that is spoken to by HTTP. The dialogue, which signed_step reads top to bottom:
 *
 *     C: user
 *     S: something to sign
 *     (GET /sign/<hex> from the service; the loop goes on meanwhile)
 *     C: the signature
 *
 *     custom_authenticator URL PORT_OF_THE_SERVICE USER
 *
 * logs in to the server and quits. The flags of the mechanism say that nothing secret is shown, so
 * it may run without TLS too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <uvsmtp.h>

#define MAX_SIGNED 64
#define MAX_ANSWER 2048

/* ---- The service: one HTTP request over a uv_tcp_t ---- */

typedef struct signed_state_s signed_state_t;

typedef struct question_s {
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  uvsmtp_exchange_t *exchange; /* held, since we call uvsmtp_exchange_resume */
  signed_state_t *state;       /* of that exchange; there as long as we hold it */
  char request[256];
  char answer[MAX_ANSWER];
  size_t len;
} question_t;

/* What is kept between challenges. */
struct signed_state_s {
  question_t *question; /* the one that is being asked */
  char signature[MAX_ANSWER];
};

/* What the authenticator is made of; `data` of uvsmtp_auth_custom_new. */
typedef struct signer_s {
  uv_loop_t *loop;
  struct sockaddr_in service;
  const char *user;
} signer_t;

static void closed(uv_handle_t *handle)
{
  question_t *question = handle->data;
  uvsmtp_exchange_release(question->exchange);
  free(question);
}

/* Ends the question, whoever asks for it first: an answer, an error, or cancellation. */
static void end_question(question_t *question, int result)
{
  if (uv_is_closing((uv_handle_t *)&question->tcp))
    return;
  question->state->question = NULL;
  uv_close((uv_handle_t *)&question->tcp, closed);
  /* Does nothing if the exchange was cancelled. */
  uvsmtp_exchange_resume(question->exchange, result);
}

/* The body of the HTTP answer is the signature. */
static int take_signature(question_t *question)
{
  const char *body;
  question->answer[question->len] = '\0';
  body = strstr(question->answer, "\r\n\r\n");
  if (strncmp(question->answer, "HTTP/1.0 200", 12) != 0 || body == NULL)
    return UVSMTP_EPROTOCOL;
  strcpy(question->state->signature, body + 4);
  return 0;
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  question_t *question = handle->data;
  (void)suggested;
  buf->base = question->answer + question->len;
  buf->len = sizeof(question->answer) - 1 - question->len; /* 0 when it is full: UV_ENOBUFS */
}

static void was_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
  question_t *question = stream->data;
  (void)buf;
  if (len == UV_EOF)
    end_question(question, take_signature(question));
  else if (len < 0)
    end_question(question, (int)len);
  else
    question->len += (size_t)len;
}

static void was_written(uv_write_t *write, int err)
{
  if (err != 0)
    end_question(write->handle->data, err);
}

static void was_connected(uv_connect_t *connect, int err)
{
  question_t *question = connect->handle->data;
  uv_stream_t *stream = (uv_stream_t *)&question->tcp;
  uv_buf_t buf = uv_buf_init(question->request, (unsigned)strlen(question->request));
  if (err == 0)
    err = uv_read_start(stream, allocate, was_read);
  if (err == 0)
    err = uv_write(&question->write, stream, &buf, 1, was_written);
  if (err != 0)
    end_question(question, err);
}

static void write_request(question_t *question, uvsmtp_slice_t challenge)
{
  size_t at = (size_t)sprintf(question->request, "GET /sign/");
  for (size_t i = 0; i < challenge.len; i++)
    at += (size_t)sprintf(question->request + at, "%02x", (unsigned char)challenge.base[i]);
  sprintf(question->request + at, " HTTP/1.0\r\n\r\n");
}

/* Returns UVSMTP_PENDING, as UVSMTP_CO_AWAIT wants it, or an error if asking cannot begin. */
static int ask(uvsmtp_exchange_t *exchange, signed_state_t *state, uvsmtp_slice_t challenge)
{
  signer_t *signer = uvsmtp_exchange_data(exchange);
  question_t *question = calloc(1, sizeof(*question));
  int err;
  if (question == NULL)
    return UVSMTP_ENOMEM;
  err = uv_tcp_init(signer->loop, &question->tcp);
  if (err != 0) {
    free(question);
    return err;
  }
  question->tcp.data = question;
  question->exchange = uvsmtp_exchange_acquire(exchange);
  question->state = state;
  state->question = question;
  write_request(question, challenge);
  err = uv_tcp_connect(&question->connect, &question->tcp,
                       (const struct sockaddr *)&signer->service, was_connected);
  if (err != 0)
    end_question(question, err);
  uvsmtp_exchange_set_timeout(exchange, 10000);
  return UVSMTP_PENDING;
}

/* ---- The mechanism ---- */

static int signed_step(uvsmtp_exchange_t *exchange, void *opaque, uvsmtp_slice_t challenge)
{
  const signer_t *signer = uvsmtp_exchange_data(exchange);
  signed_state_t *state = opaque;
  int err;
  UVSMTP_CO_BEGIN(exchange);
  err = uvsmtp_exchange_respond(exchange, signer->user, strlen(signer->user));
  if (err != 0)
    return err;
  UVSMTP_CO_SEND();
  if (challenge.len == 0 || challenge.len > MAX_SIGNED)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, "there is nothing to sign");
  UVSMTP_CO_AWAIT(err, ask(exchange, state, challenge));
  if (err != 0)
    return uvsmtp_exchange_fail(exchange, err, "the signing service gave no signature");
  err = uvsmtp_exchange_respond(exchange, state->signature, strlen(state->signature));
  if (err != 0)
    return err;
  UVSMTP_CO_END();
}

/* The connection was lost, or ten seconds have passed. */
static void signed_cancel(uvsmtp_exchange_t *exchange, void *opaque)
{
  signed_state_t *state = opaque;
  (void)exchange;
  if (state->question != NULL)
    end_question(state->question, UVSMTP_ECANCELED);
}

static const uvsmtp_mechanism_t mechanism = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "X-SIGNED",
    .flags = UVSMTP_AUTH_CLIENT_FIRST,
    .state_size = sizeof(signed_state_t),
    .step = signed_step,
    .cancel = signed_cancel,
};

/* ---- Logging in with it ---- */

static int status = 1;

static void opened(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  if (error->err == 0) {
    printf("logged in to %s\n", uvsmtp_connection_peer(connection));
    status = 0;
  } else {
    fprintf(stderr, "%s\n", error->text);
  }
  uvsmtp_connection_quit(connection, NULL);
}

static int log_in(const char *url, signer_t *signer)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_connection_t *connection;
  uvsmtp_auth_t *auth;
  char detail[256] = "";
  int err = uvsmtp_auth_custom_new(&auth, &mechanism, signer, NULL);
  if (err != 0)
    return err;
  options.url = url;
  options.auths = &auth;
  options.auth_count = 1;
  err = uvsmtp_connection_open(&connection, signer->loop, &options, opened, detail, sizeof(detail));
  uvsmtp_auth_free(auth); /* the connection has a hold of its own */
  if (err != 0)
    fprintf(stderr, "%s\n", detail);
  return err;
}

int main(int argc, char **argv)
{
  signer_t signer = {.loop = uv_default_loop()};
  if (argc != 4) {
    fprintf(stderr, "usage: custom_authenticator URL PORT USER\n");
    return 1;
  }
  uv_ip4_addr("127.0.0.1", atoi(argv[2]), &signer.service);
  signer.user = argv[3];
  if (log_in(argv[1], &signer) != 0)
    return 1;
  uv_run(signer.loop, UV_RUN_DEFAULT);
  uv_loop_close(signer.loop);
  return status;
}
