/*
 * The sink inside a program: on a loop of the caller's, and on a thread of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/sink.h"

static const char dialogue[] = "EHLO client.example\r\n"
                               "MAIL FROM:<a@x.example> SIZE=7\r\n"
                               "RCPT TO:<b@y.example>\r\n"
                               "BDAT 7 LAST\r\nhello\r\n"
                               "MAIL FROM:<a@x.example>\r\n"
                               "RCPT TO:<c@y.example>\r\n"
                               "BDAT 0 LAST\r\n"
                               "QUIT\r\n";

/* A client that says all it has to say, and reads to the end. */
typedef struct client_s {
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  char read[2048];
  size_t len;
  bool ended;
} client_t;

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  client_t *c = handle->data;

  *buf = uv_buf_init(c->read + c->len, (unsigned)(sizeof c->read - 1 - c->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  client_t *c = stream->data;

  if (n > 0) {
    c->len += (size_t)n;
    return;
  }
  c->ended = n < 0;
  if (n < 0)
    uv_close((uv_handle_t *)stream, NULL);
}

static void on_connect(uv_connect_t *request, int status)
{
  client_t *c = request->data;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)dialogue, sizeof dialogue - 1);

  assert_int_equal(status, 0);
  uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
  uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, NULL);
}

static void client_start(client_t *c, uv_loop_t *loop, uint16_t port)
{
  struct sockaddr_in address;

  memset(c, 0, sizeof *c);
  uv_ip4_addr("127.0.0.1", port, &address);
  uv_tcp_init(loop, &c->tcp);
  c->tcp.data = c->connect.data = c;
  assert_int_equal(
      uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&address, on_connect), 0);
}

typedef struct seen_s {
  unsigned messages, closed;
  bool close_at_once;
  size_t sizes[2];
  uint64_t hashes[2];
  char bodies[2][16], recipients[2][32];
} seen_t;

static void on_closed(sink_t *sink, void *data)
{
  seen_t *seen = data;

  seen->closed++;
  assert_int_equal(sink_counters(sink)->open, 0);
}

static void on_message(sink_t *sink, const sink_message_t *m, void *data)
{
  seen_t *seen = data;

  assert_ptr_equal(sink_data(sink), data);
  assert_in_range(seen->messages, 0, 1);
  assert_int_equal(m->recipient_count, 1);
  seen->sizes[seen->messages] = (size_t)m->size;
  seen->hashes[seen->messages] = m->hash;
  memcpy(seen->bodies[seen->messages], m->body, (size_t)m->size);
  snprintf(seen->recipients[seen->messages], 32, "%s", m->recipients[0].address);
  seen->messages++;
  if (seen->close_at_once)
    sink_close(sink, on_closed);
}

static sink_options_t options_for(seen_t *seen)
{
  sink_options_t options = {.body = SINK_HASH | SINK_KEEP, .on_message = on_message, .data = seen};

  return options;
}

static sink_t *start(uv_loop_t *loop, const sink_options_t *options)
{
  sink_t *sink;
  char detail[200] = "";

  uv_loop_init(loop);
  if (sink_start(&sink, loop, options, detail, sizeof detail) != 0)
    fail_msg("%s", detail);
  assert_int_not_equal(sink_port(sink), 0);
  return sink;
}

static void messages_are_told_with_all_that_was_asked_for(void **state)
{
  uv_loop_t loop;
  seen_t seen = {0};
  sink_options_t options = options_for(&seen);
  sink_t *sink = start(&loop, &options);
  client_t client;

  client_start(&client, &loop, sink_port(sink));
  while (!client.ended)
    uv_run(&loop, UV_RUN_ONCE);
  assert_non_null(strstr(client.read, "\r\n221 2.0.0 Bye\r\n"));
  assert_int_equal(seen.messages, 2);
  assert_int_equal(seen.sizes[0], 7);
  assert_memory_equal(seen.bodies[0], "hello\r\n", 7);
  assert_true(seen.hashes[0] == sink_hash("hello\r\n", 7));
  assert_true(seen.hashes[1] == sink_hash("", 0));
  assert_string_equal(seen.recipients[0], "b@y.example");
  assert_string_equal(seen.recipients[1], "c@y.example");
  assert_int_equal(sink_counters(sink)->bytes, 7);
  /* commands behind EHLO, and nothing else, were sent too early */
  assert_int_equal(sink_counters(sink)->bad_pipelining, 7);
  assert_int_equal(sink_violations(sink_counters(sink)), 7);
  sink_close(sink, on_closed);
  assert_int_equal(seen.closed, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(seen.closed, 1);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void closing_in_the_callback_ends_all_and_leaks_nothing(void **state)
{
  uv_loop_t loop;
  seen_t seen = {.close_at_once = true};
  sink_options_t options = options_for(&seen);
  sink_t *sink = start(&loop, &options);
  client_t client[3];

  for (size_t i = 0; i < 3; i++)
    client_start(&client[i], &loop, sink_port(sink));
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(seen.messages, 1);
  assert_int_equal(seen.closed, 1);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void stopped_sink_serves_its_connections_to_the_end(void **state)
{
  uv_loop_t loop;
  seen_t seen = {0};
  sink_options_t options = options_for(&seen);
  sink_t *sink = start(&loop, &options);
  client_t client;

  client_start(&client, &loop, sink_port(sink));
  while (sink_counters(sink)->connections == 0)
    uv_run(&loop, UV_RUN_ONCE);
  sink_stop(sink);
  while (!client.ended)
    uv_run(&loop, UV_RUN_ONCE);
  assert_int_equal(seen.messages, 2);
  assert_int_equal(sink_port(sink), 0);
  sink_close(sink, on_closed);
  assert_int_equal(seen.closed, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(seen.closed, 1);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void dropped_connections_end(void **state)
{
  for (int reset = 0; reset < 2; reset++) {
    uv_loop_t loop;
    seen_t seen = {0};
    sink_options_t options = options_for(&seen);
    sink_t *sink;
    client_t client;

    options.rtt_ms = 60000; /* nothing leaves while we watch */
    sink = start(&loop, &options);
    client_start(&client, &loop, sink_port(sink));
    while (seen.messages < 2)
      uv_run(&loop, UV_RUN_ONCE);
    sink_drop(sink, reset != 0);
    while (!client.ended)
      uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(client.len, 0);
    sink_close(sink, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
  }
}

static void what_cannot_start_says_why_and_leaves_nothing(void **state)
{
  static const struct {
    sink_options_t options;
    const char *why;
  } rows[] = {
      {{.listen = "nowhere"}, "cannot listen"},
      {{.unix_path = "/nowhere/sock"}, "cannot listen"},
      {{.user = "u"}, "user and password"},
      {{.tls_cert = "/nowhere"}, "TLS needs"},
      {{.script = "x : close"}, "no point"},
      {{.maildir = "/nowhere/at/all"}, "cannot make the maildir"},
      {{.mbox = "/nowhere/mbox"}, "cannot open the mbox"},
  };

  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uv_loop_t loop;
    sink_t *sink;
    char detail[200] = "";

    uv_loop_init(&loop);
    assert_true(sink_start(&sink, &loop, &rows[i].options, detail, sizeof detail) < 0);
    assert_null(sink);
    assert_non_null(strstr(detail, rows[i].why));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
  }
}

static void thread_serves_beside_the_caller(void **state)
{
  uv_loop_t loop;
  seen_t seen = {0};
  sink_options_t options = options_for(&seen);
  sink_thread_t *thread;
  sink_counters_t counters;
  client_t client;
  char detail[200] = "";

  assert_int_equal(sink_thread_start(&thread, &options, detail, sizeof detail), 0);
  uv_loop_init(&loop);
  client_start(&client, &loop, sink_thread_port(thread));
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_true(client.ended);
  sink_thread_counters(thread, &counters);
  assert_int_equal(counters.messages, 2);
  sink_thread_drop(thread, true);
  sink_thread_end(thread, &counters);
  assert_int_equal(counters.recipients, 2);
  assert_int_equal(seen.messages, 2);
  assert_int_equal(uv_loop_close(&loop), 0);
  options.listen = "nowhere";
  assert_true(sink_thread_start(&thread, &options, detail, sizeof detail) < 0);
  assert_null(thread);
  assert_non_null(strstr(detail, "cannot listen"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_told_with_all_that_was_asked_for),
      cmocka_unit_test(closing_in_the_callback_ends_all_and_leaks_nothing),
      cmocka_unit_test(stopped_sink_serves_its_connections_to_the_end),
      cmocka_unit_test(dropped_connections_end),
      cmocka_unit_test(what_cannot_start_says_why_and_leaves_nothing),
      cmocka_unit_test(thread_serves_beside_the_caller),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
