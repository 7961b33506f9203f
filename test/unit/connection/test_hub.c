#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "connection/connection.h"

/*
 * Many connections on one loop, to a server that never says a word: they share one timer, and
 * leave nothing behind.
 */
#define COUNT 40

static uv_loop_t loop;
static uint16_t port;
static int server;
static size_t open_now, told;
static uvsmtp_connection_t *connections[COUNT];

static int listen_somewhere(void **state)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof(address);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
  /* Nobody accepts: all connections of all tests wait there. */
  assert_int_equal(listen(server, 16 * COUNT), 0);
  assert_int_equal(getsockname(server, (struct sockaddr *)&address, &len), 0);
  port = ntohs(address.sin_port);
  return 0;
}

static int stop_listening(void **state)
{
  return close(server);
}

static void on_closed(uvsmtp_connection_t *connection)
{
  if (--open_now == 0)
    uv_stop(&loop);
}

static void open_one(uvsmtp_connection_t **c, uint64_t limit_ms, uvsmtp_connection_cb cb)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  options.host = "127.0.0.1";
  options.port = port;
  options.tls = UVSMTP_TLS_NONE;
  options.timeouts.greeting_ms = limit_ms;
  assert_int_equal(uvsmtp_connection_open(c, &loop, &options, cb, NULL, 0), 0);
  open_now++;
}

/* All that was of the connections has left the loop with the last close callback. */
static void run_until_all_are_closed(void)
{
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(open_now, 0);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void count_timers(uv_handle_t *handle, void *arg)
{
  *(int *)arg += handle->type == UV_TIMER;
}

static int timers(void)
{
  int n = 0;
  uv_walk(&loop, count_timers, &n);
  return n;
}

/* ---- deadlines ---- */

static uint64_t deadline_of(const uvsmtp_connection_t *c)
{
  return c->info.connected_ms + c->config->o.timeouts.greeting_ms;
}

static uint64_t reference_ms;

/* When a timer of libuv's fires, those who were due before have been dealt with. */
static void on_reference(uv_timer_t *timer)
{
  for (size_t i = 0; i < COUNT; i++) {
    const uvsmtp_connection_t *c = connections[i];
    if (c != NULL && deadline_of(c) < reference_ms)
      assert_true(c->phase >= UVSMTP__PHASE_FAILED);
  }
  uv_close((uv_handle_t *)timer, NULL);
}

static void on_late(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  assert_int_equal(error->err, UVSMTP_ETIMEOUT);
  assert_true(uv_now(&loop) >= deadline_of(c));
  for (size_t i = 0; i < COUNT; i++)
    if (connections[i] == c)
      connections[i] = NULL;
  told++;
  uvsmtp_connection_close(c, on_closed);
}

static bool all_wait(void)
{
  for (size_t i = 0; i < COUNT; i++)
    if (connections[i]->phase != UVSMTP__PHASE_SESSION || connections[i]->ends->connector != NULL)
      return false;
  return true;
}

static void deadlines_pass_in_their_order_by_one_timer(void **state)
{
  uv_timer_t reference;
  assert_int_equal(uv_loop_init(&loop), 0);
  told = 0;
  for (size_t i = 0; i < COUNT; i++) /* 7 and COUNT have no common divisor */
    open_one(&connections[i], 1000 + i * 7 % COUNT * 20, on_late);
  while (!all_wait())
    uv_run(&loop, UV_RUN_ONCE);
  assert_int_equal(timers(), 1);
  reference_ms = connections[0]->info.connected_ms + 1000 + COUNT / 2 * 20;
  uv_timer_init(&loop, &reference);
  uv_timer_start(&reference, on_reference, reference_ms - uv_now(&loop), 0);
  run_until_all_are_closed();
  assert_int_equal(told, COUNT);
}

/* A loop with one connection, which waits for its greeting. */
static uvsmtp_connection_t *open_session(void)
{
  uvsmtp_connection_t *c;
  assert_int_equal(uv_loop_init(&loop), 0);
  told = 0;
  open_one(&c, 400, on_late);
  while (c->phase != UVSMTP__PHASE_SESSION)
    uv_run(&loop, UV_RUN_ONCE);
  return c;
}

/* The first deadline is looked at when it was the first; what took its place counts then. */
static void a_deadline_that_moves_away_is_looked_at_and_noted_anew(void **state)
{
  uvsmtp_connection_t *c = open_session();
  uint64_t own = c->deadline, soon = uv_now(&loop) + 5;
  c->deadline = soon;
  uvsmtp__timer_note(c);
  assert_int_equal(c->in_hub.wake_at, soon);
  c->deadline = own;
  uvsmtp__timer_note(c);
  assert_int_equal(c->in_hub.wake_at, soon);
  while (c->in_hub.wake_at == soon)
    uv_run(&loop, UV_RUN_ONCE);
  assert_int_equal(told, 0);
  run_until_all_are_closed();
  assert_int_equal(told, 1);
}

static void the_nearest_deadline_of_an_open_session_counts(void **state)
{
  uvsmtp_connection_t *c = open_session();
  uint64_t own = c->deadline;
  c->phase = UVSMTP__PHASE_READY;
  c->deadline = uv_now(&loop) + 7;
  uvsmtp__timer_note(c);
  assert_int_equal(c->in_hub.wake_at, c->deadline);
  c->deadline = own;
  c->phase = UVSMTP__PHASE_SESSION;
  run_until_all_are_closed();
  assert_int_equal(told, 1);
}

/* ---- turns ---- */

static unsigned turns;

static void on_turn(uv_prepare_t *prepare)
{
  turns++;
}

static void who_only_waits_lets_the_loop_sleep(void **state)
{
  uv_prepare_t prepare;
  assert_int_equal(uv_loop_init(&loop), 0);
  uv_prepare_init(&loop, &prepare);
  uv_prepare_start(&prepare, on_turn);
  uv_unref((uv_handle_t *)&prepare);
  told = turns = 0;
  open_one(&connections[0], 200, on_late);
  uvsmtp__hub_due(connections[0]);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(told, 1);
  assert_in_range(turns, 1, 20);
  uv_close((uv_handle_t *)&prepare, NULL);
  run_until_all_are_closed();
}

/* ---- the end ---- */

static void on_opened(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  assert_int_equal(error->err, UVSMTP_ECANCELED);
  told++;
}

static void on_closed_open_another(uvsmtp_connection_t *connection)
{
  open_now--;
  open_one(&connections[0], 10000, on_opened);
  uvsmtp_connection_close(connections[0], on_closed);
}

static void another_can_be_opened_in_the_last_close_callback(void **state)
{
  assert_int_equal(uv_loop_init(&loop), 0);
  told = 0;
  open_one(&connections[0], 10000, on_opened);
  uvsmtp_connection_close(connections[0], on_closed_open_another);
  run_until_all_are_closed();
  assert_int_equal(told, 2);
}

/* Runs between the turn in which the last one leaves and the closing of the hub's handles. */
static void open_when_it_leaves(uv_prepare_t *prepare)
{
  uvsmtp__hub_t *hub = prepare->data;
  if (hub->last == NULL)
    return;
  open_one(&connections[1], 10000, on_opened);
  assert_ptr_not_equal(connections[1]->hub, hub);
  uvsmtp_connection_close(connections[1], on_closed);
  uv_close((uv_handle_t *)prepare, NULL);
}

static void another_can_be_opened_while_the_last_one_leaves(void **state)
{
  uv_prepare_t prepare;
  assert_int_equal(uv_loop_init(&loop), 0);
  told = 0;
  open_one(&connections[0], 10000, on_opened);
  uv_prepare_init(&loop, &prepare);
  prepare.data = connections[0]->hub;
  uv_prepare_start(&prepare, open_when_it_leaves);
  uvsmtp_connection_close(connections[0], on_closed);
  run_until_all_are_closed();
  assert_int_equal(told, 2);
}

/* All are closed at a time, at each stage of the first one's opening. */
static void all_can_be_closed_at_any_time(void **state)
{
  for (int after = 0; after < 6; after++) {
    assert_int_equal(uv_loop_init(&loop), 0);
    told = 0;
    for (size_t i = 0; i < COUNT; i++)
      open_one(&connections[i], 10000, on_opened);
    for (int turn = 0; turn < after; turn++)
      uv_run(&loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < COUNT; i++)
      uvsmtp_connection_close(connections[(i * 7 + 3) % COUNT], on_closed);
    run_until_all_are_closed();
    assert_int_equal(told, COUNT);
  }
}

/* Who shares settings keeps them, also when they were given up by who made them. */
static void settings_last_as_long_as_their_connections(void **state)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_connection_settings_t *settings;
  char host[] = "127.0.0.1";
  assert_int_equal(uv_loop_init(&loop), 0);
  told = 0;
  options.host = host;
  options.port = port;
  options.tls = UVSMTP_TLS_NONE;
  options.timeouts.greeting_ms = 50;
  assert_int_equal(uvsmtp_connection_settings_new(&settings, &options, NULL, 0), 0);
  memset(host, 'x', sizeof(host) - 1);
  for (size_t i = 0; i < 3; i++, open_now++)
    assert_int_equal(uvsmtp_connection_open_with(&connections[i], &loop, settings, on_late), 0);
  uvsmtp_connection_settings_free(settings);
  assert_ptr_equal(connections[0]->config, connections[2]->config);
  run_until_all_are_closed();
  assert_int_equal(told, 3);
}

static void a_stream_is_for_one_connection(void **state)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_connection_settings_t *settings;
  uv_tcp_t stream;
  int ends[2];
  char detail[128];
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(uv_socketpair(SOCK_STREAM, 0, ends, 0, 0), 0);
  uv_tcp_init(&loop, &stream);
  assert_int_equal(uv_tcp_open(&stream, ends[0]), 0);
  options.stream = (uv_stream_t *)&stream;
  assert_int_equal(uvsmtp_connection_settings_new(&settings, &options, detail, sizeof(detail)),
                   UVSMTP_EINVAL);
  assert_string_equal(detail, "a stream is for one connection only");
  assert_null(settings);
  uv_close((uv_handle_t *)&stream, NULL);
  close(ends[1]);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
}

/* What is refused at once has never been in the loop. */
static void a_refused_connection_leaves_no_handle(void **state)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_connection_t *c;
  assert_int_equal(uv_loop_init(&loop), 0);
  options.host = "two\r\nlines";
  assert_int_not_equal(uvsmtp_connection_open(&c, &loop, &options, on_opened, NULL, 0), 0);
  assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deadlines_pass_in_their_order_by_one_timer),
      cmocka_unit_test(a_deadline_that_moves_away_is_looked_at_and_noted_anew),
      cmocka_unit_test(the_nearest_deadline_of_an_open_session_counts),
      cmocka_unit_test(who_only_waits_lets_the_loop_sleep),
      cmocka_unit_test(another_can_be_opened_in_the_last_close_callback),
      cmocka_unit_test(another_can_be_opened_while_the_last_one_leaves),
      cmocka_unit_test(all_can_be_closed_at_any_time),
      cmocka_unit_test(settings_last_as_long_as_their_connections),
      cmocka_unit_test(a_stream_is_for_one_connection),
      cmocka_unit_test(a_refused_connection_leaves_no_handle)};
  return cmocka_run_group_tests(tests, listen_somewhere, stop_listening);
}
