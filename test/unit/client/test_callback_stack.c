/*
 * No callback runs before the call that started it has returned. Every function that takes one is
 * called through CALL, which marks the time inside; every callback insists on being outside.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sink/sink.h"
#include "uvsmtp.h"

static int depth; /* of calls into the library that take a callback */
static int ran;   /* callbacks */

#define CALL(statement)                                                                            \
  do {                                                                                             \
    depth++;                                                                                       \
    statement;                                                                                     \
    depth--;                                                                                       \
  } while (0)

static void outside(void)
{
  assert_int_equal(depth, 0);
  ran++;
}

static sink_t *sink;
static uv_loop_t loop;
static uvsmtp_recipient_t to = {.address = "b@x.example"}, bad = {.address = "@"};
static uvsmtp_envelope_t envelope = {
    .size = sizeof(envelope), .sender = "a@x.example", .recipients = &to, .recipient_count = 1};
static uvsmtp_source_t source;
static uvsmtp_request_t noop, refused;
static uvsmtp_send_t sends[4];
static uvsmtp_borrow_t borrow, taken_back;

static void on_sink_closed(sink_t *closed, void *data)
{
  sink = NULL;
}

static void on_closed(uvsmtp_connection_t *connection)
{
  outside();
  sink_close(sink, on_sink_closed);
}

static void on_second_send(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_connection_t *connection = send->data;
  outside();
  CALL(uvsmtp_connection_quit(connection, on_closed));
}

/* Nothing of it can be issued: that too is told from the loop. */
static void on_first_send(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  int err;
  outside();
  assert_int_equal(result->status, UVSMTP_REJECTED);
  envelope.recipients = &to;
  sends[1].data = send->data;
  CALL(err = uvsmtp_connection_send(send->data, &sends[1], &envelope, &source, on_second_send));
  assert_int_equal(err, 0);
}

static void on_refused(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                       const uvsmtp_error_t *error)
{
  int err;
  outside();
  assert_int_equal(reply->code / 100, 5);
  envelope.recipients = &bad;
  sends[0].data = request->data;
  CALL(err = uvsmtp_connection_send(request->data, &sends[0], &envelope, &source, on_first_send));
  assert_int_equal(err, 0);
}

static void on_noop(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                    const uvsmtp_error_t *error)
{
  int err;
  outside();
  refused.data = request->data;
  CALL(err = uvsmtp_connection_command(request->data, &refused, "NONSENSE", on_refused));
  assert_int_equal(err, 0);
}

static void on_open(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  int err;
  outside();
  assert_int_equal(error->err, 0);
  noop.data = connection;
  CALL(err = uvsmtp_connection_noop(connection, &noop, on_noop));
  assert_int_equal(err, 0);
}

static void start(uvsmtp_connection_options_t *options)
{
  sink_options_t sink_options = {0};
  char detail[256];
  signal(SIGPIPE, SIG_IGN);
  ran = 0;
  envelope.recipients = &to;
  uvsmtp_source_memory(&source, "Subject: x\r\n\r\ny\r\n", 17);
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(sink_start(&sink, &loop, &sink_options, detail, sizeof(detail)), 0);
  *options = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  options->host = "127.0.0.1";
  options->port = (uint16_t)sink_port(sink);
  options->tls = UVSMTP_TLS_NONE;
}

static void finish(void)
{
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_null(sink);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void connections_call_back_from_the_loop(void **state)
{
  uvsmtp_connection_options_t options;
  uvsmtp_connection_t *connection;
  int err;
  start(&options);
  CALL(err = uvsmtp_connection_open(&connection, &loop, &options, on_open, NULL, 0));
  assert_int_equal(err, 0);
  finish();
  assert_int_equal(ran, 6);
}

static void on_failed_open(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  outside();
  assert_int_not_equal(error->err, 0);
  CALL(uvsmtp_connection_close(connection, on_closed));
}

static void failures_call_back_from_the_loop(void **state)
{
  uvsmtp_connection_options_t options;
  uvsmtp_connection_t *connection;
  int err;
  start(&options);
  options.tls = UVSMTP_TLS_REQUIRED;
  CALL(err = uvsmtp_connection_open(&connection, &loop, &options, on_failed_open, NULL, 0));
  assert_int_equal(err, 0);
  finish();
  assert_int_equal(ran, 2);
}

static void on_client_closed(uvsmtp_client_t *client)
{
  outside();
  sink_close(sink, on_sink_closed);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  outside();
}

static void on_borrowed(uvsmtp_borrow_t *wish, uvsmtp_connection_t *connection,
                        const uvsmtp_error_t *error)
{
  uvsmtp_client_t *client = wish->data;
  outside();
  CALL(uvsmtp_client_give_back(client, connection));
  CALL(uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, on_client_closed));
}

static void on_taken_back(uvsmtp_borrow_t *wish, uvsmtp_connection_t *connection,
                          const uvsmtp_error_t *error)
{
  outside();
  assert_null(connection);
}

static void clients_call_back_from_the_loop(void **state)
{
  uvsmtp_connection_options_t options;
  uvsmtp_client_options_t client_options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_client_t *client;
  start(&options);
  client_options.connection = &options;
  assert_int_equal(uvsmtp_client_new(&client, &loop, &client_options, NULL, 0), 0);
  for (size_t i = 0; i < 4; i++) {
    int err;
    CALL(err = uvsmtp_client_send(client, &sends[i], &envelope, &source, on_sent));
    assert_int_equal(err, 0);
  }
  CALL(uvsmtp_send_cancel(&sends[2]));
  borrow.data = client;
  CALL(uvsmtp_client_borrow(client, &borrow, on_borrowed));
  CALL(uvsmtp_client_borrow(client, &taken_back, on_taken_back));
  CALL(uvsmtp_borrow_cancel(&taken_back));
  finish();
  assert_int_equal(ran, 7);
}

static void on_posted(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_poster_t *poster = send->data;
  outside();
  if (send == &sends[2])
    assert_int_equal(result->err, UVSMTP_ECANCELED);
  if (ran == 3)
    uvsmtp_poster_free(poster);
}

/* From the loop's own thread: other threads are in no call of its. */
static void posts_call_back_from_the_loop(void **state)
{
  uvsmtp_connection_options_t options;
  uvsmtp_client_options_t client_options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_client_t *client;
  uvsmtp_poster_t *poster;
  start(&options);
  client_options.connection = &options;
  assert_int_equal(uvsmtp_client_new(&client, &loop, &client_options, NULL, 0), 0);
  assert_int_equal(uvsmtp_poster_new(&poster, client, NULL), 0);
  for (size_t i = 0; i < 4; i++) {
    int err;
    sends[i].data = poster;
    CALL(err = uvsmtp_poster_post(poster, &sends[i], &envelope, &source, on_posted));
    assert_int_equal(err, 0);
  }
  CALL(uvsmtp_send_cancel(&sends[2]));
  CALL(uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, on_client_closed));
  finish();
  assert_int_equal(ran, 5);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections_call_back_from_the_loop),
      cmocka_unit_test(failures_call_back_from_the_loop),
      cmocka_unit_test(clients_call_back_from_the_loop),
      cmocka_unit_test(posts_call_back_from_the_loop),
  };
  return cmocka_run_group_tests_name("callback stack", tests, NULL, NULL);
}
