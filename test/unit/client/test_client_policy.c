#include "bench.h"

/*
 * What the pool decides, seen from outside: fail-over, the queue's bounds, deadlines, priorities,
 * rates, lifecycle and closing, over real sockets.
 */
static uvsmtp_connection_options_t plain(void)
{
  return (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
}

static uvsmtp_client_options_t quick(size_t connections)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  options.max_connections = connections;
  options.retry_delay_ms = 2;
  options.max_retry_delay_ms = 20;
  return options;
}

static void begin(bench_t *b, sink_options_t *sink, uvsmtp_client_options_t *options)
{
  uvsmtp_connection_options_t connection = plain();
  bench_start_with(b, sink, options, &connection);
}

/* Runs until `count` of the mails posted so far have been told. */
static void run_until_done(bench_t *b, size_t count)
{
  while (b->done < count)
    uv_run(&b->loop, UV_RUN_ONCE);
}

static uvsmtp_client_stats_t stats_of(const bench_t *b)
{
  uvsmtp_client_stats_t stats;
  uvsmtp_client_stats(b->client, &stats);
  return stats;
}

/* ---- several servers ---------------------------------------------------------------------- */

/* A port on which nobody listens any more. */
static uint16_t dead_port(bench_t *b)
{
  sink_t *sink = bench_sink(b, NULL, 0);
  uint16_t port = sink_port(sink);
  sink_close(sink, NULL);
  b->others[0] = NULL;
  uv_run(&b->loop, UV_RUN_NOWAIT);
  uv_run(&b->loop, UV_RUN_NOWAIT);
  return port;
}

static void with_two(bench_t *b, uint16_t first, uint16_t second, uvsmtp_client_options_t *options)
{
  const uvsmtp_endpoint_t endpoints[] = {
      {.size = sizeof(endpoints[0]), .host = "127.0.0.1", .port = second, .priority = 20},
      {.size = sizeof(endpoints[0]), .host = "127.0.0.1", .port = first, .priority = 10}};
  uvsmtp_connection_options_t connection = plain();
  options->endpoints = endpoints;
  options->endpoint_count = 2;
  bench_client(b, options, &connection);
}

static void what_the_first_server_cannot_take_the_second_does_until_it_is_back(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(2);
  uvsmtp_endpoint_state_t first, second;
  bench_open(b, &sink);
  uint16_t port = dead_port(b);
  with_two(b, port, sink_port(b->sink), &options);
  bench_post_many(b, 20);
  run_until_done(b, 20);
  assert_int_equal(sink_counters(b->sink)->messages, 20);
  assert_int_equal(uvsmtp_client_endpoint_count(b->client), 2);
  assert_int_equal(uvsmtp_client_endpoint(b->client, 0, &first), 0);
  assert_int_equal(uvsmtp_client_endpoint(b->client, 1, &second), 0);
  assert_int_equal(uvsmtp_client_endpoint(b->client, 2, &second), UVSMTP_EINVAL);
  assert_true(first.down);
  assert_int_equal(first.priority, 10);
  assert_true(first.failures > 0);
  assert_int_equal(uvsmtp_err_class(first.err), UVSMTP_CLASS_NETWORK);
  assert_non_null(strstr(first.error_text, first.name));
  assert_false(second.down);
  assert_true(second.connections > 0);
  /* It is back: noticed by and by, and then preferred. */
  sink_t *back = bench_sink(b, NULL, port);
  for (size_t i = 20; i < 500 && sink_counters(back)->messages < 5; i++) {
    assert_int_equal(bench_post(b, i), 0);
    run_until_done(b, i + 1);
    uv_sleep(1);
  }
  assert_int_equal(sink_counters(back)->messages, 5);
  assert_int_equal(uvsmtp_client_endpoint(b->client, 0, &first), 0);
  assert_false(first.down);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), b->sent);
  free(b);
}

/* Nobody waits for its greeting, also where it has the only place. */
static void a_server_that_hangs_while_opening_holds_nothing_up(void **state)
{
  for (size_t cap = 1; cap <= 2; cap++) {
    bench_t *b = malloc(sizeof(*b));
    sink_options_t sink = {0};
    uvsmtp_client_options_t options = quick(cap);
    uvsmtp_endpoint_state_t first;
    bench_open(b, &sink);
    options.open_patience_ms = 300;
    with_two(b, sink_port(bench_sink(b, "greeting : stall", 0)), sink_port(b->sink), &options);
    assert_int_equal(bench_post(b, 0), 0);
    run_until_done(b, 1);
    assert_int_equal(b->mails[0].status, UVSMTP_ACCEPTED);
    assert_int_equal(uvsmtp_client_endpoint(b->client, 0, &first), 0);
    assert_int_equal(first.failures > 0, cap == 1);
    if (cap == 1)
      assert_non_null(strstr(first.error_text, "not ready within 300 ms"));
    bench_end(b, UVSMTP_CLOSE_DRAIN);
    bench_finish(b);
    free(b);
  }
}

static void urls_are_tried_in_their_order(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(2);
  char urls[200];
  bench_open(b, &sink);
  snprintf(urls, sizeof(urls), " smtp://127.0.0.1:%u?tls=none  smtp://127.0.0.1:%u?tls=none ",
           dead_port(b), sink_port(b->sink));
  options.urls = urls;
  options.data = b;
  assert_int_equal(uvsmtp_client_new(&b->client, &b->loop, &options, NULL, 0), 0);
  memset(urls, 'x', sizeof(urls) - 1);
  bench_post_many(b, 5);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 5);
  assert_int_equal(b->counters.messages, 5);
  free(b);
}

static void when_no_server_is_left_each_is_named(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(2);
  bench_open(b, &sink);
  uint16_t first = dead_port(b), second = dead_port(b);
  with_two(b, first, second, &options);
  bench_post_many(b, 3);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_DEFERRED), 3);
  char name[32];
  snprintf(name, sizeof(name), ":%u", first);
  assert_non_null(strstr(b->mails[2].text, name));
  snprintf(name, sizeof(name), ":%u", second);
  assert_non_null(strstr(b->mails[2].text, name));
  free(b);
}

static void credentials_are_replaced_where_they_are_common_only(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(2);
  uvsmtp_connection_options_t own = plain();
  uvsmtp_auth_options_t auth_options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth;
  const uvsmtp_endpoint_t endpoints[] = {
      {.size = sizeof(endpoints[0]), .host = "a.example", .connection = &own},
      {.size = sizeof(endpoints[0]), .url = "smtp://u:p@b.example"}};
  auth_options.user = "u";
  auth_options.password = "p";
  assert_int_equal(uvsmtp_auth_plain_new(&auth, &auth_options), 0);
  bench_open(b, &sink);
  options.endpoints = endpoints;
  options.endpoint_count = 2;
  uvsmtp_connection_options_t connection = plain();
  bench_client(b, &options, &connection);
  assert_int_equal(uvsmtp_client_set_authenticator(b->client, auth), UVSMTP_EINVAL);
  uvsmtp_auth_free(auth);
  bench_end(b, UVSMTP_CLOSE_ABORT);
  bench_finish(b);
  free(b);
}

/* ---- the queue ---------------------------------------------------------------------------- */

static unsigned rooms;

static void on_room(uvsmtp_client_t *client)
{
  bench_t *b = uvsmtp_client_data(client);
  uvsmtp_client_waiting_t waiting;
  assert_false(b->in_call);
  uvsmtp_client_waiting(client, &waiting);
  assert_in_range(waiting.sends, 0, 5);
  rooms++;
  for (size_t i = 20; i < 25; i++)
    assert_int_equal(bench_post(b, i), 0);
}

static void a_full_queue_tells_when_there_is_room_again(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.without = SINK_PIPELINING | SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(1);
  options.max_queued = 10;
  options.on_room = on_room;
  rooms = 0;
  begin(b, &sink, &options);
  bench_post_many(b, 10);
  assert_int_equal(bench_post(b, 10), UVSMTP_EQUEUEFULL);
  assert_int_equal(bench_post(b, 11), UVSMTP_EQUEUEFULL);
  run_until_done(b, 15);
  assert_int_equal(rooms, 1);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 15);
  free(b);
}

static void bytes_that_wait_are_bounded_and_one_large_message_fits_an_empty_queue(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(1);
  uvsmtp_client_waiting_t waiting;
  options.max_queued_bytes = 80;
  begin(b, &sink, &options);
  bench_post_many(b, 2); /* of some 30 bytes */
  uvsmtp_client_waiting(b->client, &waiting);
  assert_int_equal(waiting.sends, 2);
  assert_int_equal(waiting.bytes, strlen(b->mails[0].body) + strlen(b->mails[1].body));
  assert_int_equal(bench_post(b, 2), UVSMTP_EQUEUEFULL);
  run_until_done(b, 2);
  static char large[5000];
  mail_t *mail = &b->mails[3];
  memset(large, 'x', sizeof(large));
  assert_int_equal(bench_post(b, 4), 0);
  uvsmtp_send_cancel(&b->mails[4].send);
  *mail = b->mails[4];
  mail->send.data = mail;
  mail->calls = 0;
  snprintf(mail->to, sizeof(mail->to), "u3@sink.example");
  mail->recipients[0].address = mail->to;
  mail->envelope.recipients = mail->recipients;
  uvsmtp_source_memory(&mail->source, large, sizeof(large));
  assert_int_equal(
      uvsmtp_client_send(b->client, &mail->send, &mail->envelope, &mail->source, bench_on_sent), 0);
  mail->started = true;
  b->sent++;
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 3);
  free(b);
}

/* ---- cancelling --------------------------------------------------------------------------- */

static void run_until_in_flight(bench_t *b, size_t count)
{
  while (stats_of(b).in_flight < count)
    uv_run(&b->loop, UV_RUN_ONCE);
}

static void who_cancels_does_not_blame_the_server(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = "rcpt conn 1-4 : stall"};
  uvsmtp_client_options_t options = quick(1);
  uvsmtp_endpoint_state_t server;
  options.retry_delay_ms = options.max_retry_delay_ms = 60000;
  begin(b, &sink, &options);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(bench_post(b, i), 0);
    run_until_in_flight(b, 1);
    for (int turns = 0; turns < 3; turns++)
      uv_run(&b->loop, UV_RUN_NOWAIT);
    uvsmtp_send_cancel(&b->mails[i].send);
    run_until_done(b, i + 1);
    assert_true(b->mails[i].cancelled);
    assert_int_equal(uvsmtp_client_endpoint(b->client, 0, &server), 0);
    assert_int_equal(server.failures, 0);
  }
  assert_int_equal(bench_post(b, 4), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(b->mails[4].status, UVSMTP_ACCEPTED);
  free(b);
}

static void one_that_was_not_begun_is_cancelled_without_its_connection(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.without = SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(1);
  begin(b, &sink, &options);
  bench_post_many(b, 3);
  run_until_in_flight(b, 3);
  uvsmtp_send_cancel(&b->mails[2].send);
  run_until_done(b, 3);
  assert_true(b->mails[2].cancelled);
  assert_int_equal(bench_post(b, 4), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 3);
  assert_int_equal(b->counters.connections, 1);
  free(b);
}

static void on_first_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  const mail_t *mail = send->data;
  bench_on_sent(send, result);
  for (size_t i = 1; i < 3; i++)
    uvsmtp_send_cancel(&mail->bench->mails[i].send);
}

/* Their connection has failed, and they have not been told yet. */
static void those_behind_can_be_cancelled_when_the_first_fails(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.without = SINK_CHUNKING, .script = "mail : close"};
  uvsmtp_client_options_t options = quick(1);
  options.max_tries = 1;
  begin(b, &sink, &options);
  bench_post_many(b, 3);
  b->mails[0].send.client_cb = on_first_sent;
  run_until_in_flight(b, 3);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(b->mails[0].status, UVSMTP_DEFERRED);
  for (size_t i = 1; i < 3; i++) {
    assert_true(b->mails[i].cancelled);
    assert_int_equal(b->mails[i].err, UVSMTP_ECANCELED);
  }
  free(b);
}

static void the_higher_priority_overtakes_and_the_lowest_gets_its_turn(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.without = SINK_PIPELINING | SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(1);
  begin(b, &sink, &options);
  uvsmtp_send_options_t low = UVSMTP_SEND_OPTIONS_INIT, high = low, wrong = low;
  low.priority = UVSMTP_PRIORITY_LOW;
  high.priority = UVSMTP_PRIORITY_HIGH;
  wrong.priority = (uvsmtp_priority_t)3;
  for (size_t i = 0; i < 40; i++)
    assert_int_equal(bench_post_with(b, i, i < 20 ? &low : &high), 0);
  assert_int_equal(bench_post_with(b, 40, &wrong), UVSMTP_EINVAL);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 40);
  assert_int_equal(b->mails[20].place, 1);
  assert_true(b->mails[0].place <= 18);
  assert_int_equal(b->mails[39].place, 22); /* the last of the high ones, after two low ones */
  assert_int_equal(b->mails[19].place, 40);
  free(b);
}

static void a_send_that_waits_too_long_is_told_why(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = "greeting : stall\n"};
  uvsmtp_client_options_t options = quick(1);
  uvsmtp_send_options_t soon = UVSMTP_SEND_OPTIONS_INIT, never = soon;
  uvsmtp_client_waiting_t waiting;
  char text[128];
  soon.timeout_ms = 20;
  never.timeout_ms = UINT64_MAX;
  options.send_timeout_ms = 40;
  begin(b, &sink, &options);
  assert_int_equal(bench_post_with(b, 0, &soon), 0);
  assert_int_equal(bench_post(b, 1), 0); /* the client's */
  assert_int_equal(bench_post_with(b, 2, &never), 0);
  run_until_done(b, 2);
  assert_int_equal(b->mails[0].err, UVSMTP_EDEADLINE);
  assert_int_equal(b->mails[0].status, UVSMTP_DEFERRED);
  snprintf(text, sizeof(text),
           "the deadline of the send has passed; connections to 127.0.0.1:%u are being opened (1)",
           sink_port(b->sink));
  assert_string_equal(b->mails[0].text, text);
  assert_int_equal(b->mails[1].err, UVSMTP_EDEADLINE);
  uvsmtp_client_waiting(b->client, &waiting);
  assert_int_equal(waiting.why, UVSMTP_WAIT_OPENING);
  assert_string_equal(uvsmtp_wait_name(waiting.why), "opening");
  assert_memory_equal(waiting.text, "1 wait: connections to 127.0.0.1:", 33);
  bench_end(b, UVSMTP_CLOSE_ABORT);
  bench_finish(b);
  assert_int_equal(b->mails[2].err, UVSMTP_ECANCELED);
  free(b);
}

/* ---- connections -------------------------------------------------------------------------- */

static void a_parked_connection_found_dead_costs_no_try(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  /* Without CHUNKING no content leaves before the server has let it. */
  sink_options_t sink = {.script = "mail conn 1-3 nth 2 : close\n", .without = SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(1);
  options.max_tries = 1;
  begin(b, &sink, &options);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(bench_post(b, i), 0);
    run_until_done(b, i + 1);
  }
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 4);
  assert_int_equal(b->counters.connections, 4);
  assert_int_equal(b->stats.retries, 3);
  free(b);
}

static void a_server_that_takes_three_messages_a_connection_gets_them_all(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  /* Exim says so, and whatever came behind it has not been looked at. */
  sink_options_t sink = {
      .script = "mail nth 4 : reply \"421 too many messages in this connection\", close\n"};
  uvsmtp_client_options_t options = quick(2);
  begin(b, &sink, &options);
  bench_post_many(b, 100);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 100);
  free(b);
}

/* Whether the server says why it ends a session or not; and nobody has a second try. */
static void a_session_that_has_served_others_ends_at_nobodys_cost(void **state)
{
  static const struct {
    const char *script;
    unsigned without;
  } rows[] = {
      {"mail nth 4 : reply \"421 too many messages in this connection\", close\n", 0},
      {"mail nth 4 : reply \"421 too many messages in this connection\", close\n", SINK_CHUNKING},
      {"rcpt nth 7 : reply \"421 too many recipients\", close\n", SINK_CHUNKING},
      /* With CHUNKING the content would have left, and be in doubt. */
      {"mail nth 4 : close\n", SINK_CHUNKING},
      {"mail nth 4 : close\n", SINK_CHUNKING | SINK_PIPELINING},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    for (size_t connections = 1; connections <= 4; connections += 3) {
      bench_t *b = malloc(sizeof(*b));
      sink_options_t sink = {.script = rows[i].script, .without = rows[i].without};
      uvsmtp_client_options_t options = quick(connections);
      options.max_tries = 1;
      begin(b, &sink, &options);
      bench_post_many(b, 200);
      bench_end(b, UVSMTP_CLOSE_DRAIN);
      bench_finish(b);
      if (bench_count_of(b, UVSMTP_ACCEPTED) != 200)
        fail_msg("row %zu, %zu connections: %zu accepted", i, connections,
                 bench_count_of(b, UVSMTP_ACCEPTED));
      free(b);
    }
}

static void a_message_that_ends_sessions_is_given_up(void **state)
{
  static const char *const scripts[] = {"rcpt match \"u7@*\" : close\n",
                                        "rcpt match \"u7@*\" : reply \"421 4.3.0 Oh\", close\n"};
  for (size_t i = 0; i < 2; i++)
    for (size_t connections = 1; connections <= 4; connections += 3) {
      bench_t *b = malloc(sizeof(*b));
      sink_options_t sink = {.script = scripts[i], .without = SINK_CHUNKING};
      uvsmtp_client_options_t options = quick(connections);
      uvsmtp_send_options_t low = UVSMTP_SEND_OPTIONS_INIT;
      low.priority = UVSMTP_PRIORITY_LOW; /* so that each session serves others first */
      options.max_tries = 2;
      begin(b, &sink, &options);
      for (size_t m = 0; m < 500; m++)
        assert_int_equal(bench_post_with(b, m, m == 7 ? &low : NULL), 0);
      bench_end(b, UVSMTP_CLOSE_DRAIN);
      bench_finish(b);
      assert_int_equal(b->mails[7].status, UVSMTP_DEFERRED);
      assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 499);
      assert_in_range(b->counters.connections, 2, 4 + 10 + 2);
      free(b);
    }
}

/* Which connections had a command leave before the reply to the one before it. */
typedef struct {
  uint64_t last, grouped[20];
  size_t connections, count;
  bool sent;
} groups_t;

static void note_group(void *data, uvsmtp_connection_t *c, uvsmtp_trace_t kind, const char *line,
                       size_t len)
{
  groups_t *g = data;
  uint64_t id = uvsmtp_connection_id(c);
  bool group = kind == UVSMTP_TRACE_SENT && g->sent && id == g->last;
  g->connections += id != g->last;
  if (group && (g->count == 0 || g->grouped[g->count - 1] != id) && g->count < 20)
    g->grouped[g->count++] = id;
  g->last = id;
  g->sent = kind == UVSMTP_TRACE_SENT && line[0] != '['; /* an end of a content is no command */
}

static void a_server_that_punishes_pipelining_is_asked_once(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  groups_t groups = {0};
  /* Without CHUNKING no content leaves before the server has let it. */
  sink_options_t sink = {
      .without = SINK_CHUNKING,
      .script = "rcpt conn 1 nth 1 : reply \"554 SMTP synchronization error\", close\n"};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = quick(1);
  connection.trace = note_group;
  connection.trace_data = &groups;
  options.max_messages = 10;
  bench_start_with(b, &sink, &options, &connection);
  bench_post_many(b, 40);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 40);
  assert_int_equal(groups.connections, 5);
  assert_int_equal(groups.count, 1);
  free(b);
}

/* A source of which the second piece cannot be had. */
static int failing_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  *(int *)source->data = 0;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  return 0;
}

static int failing_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  *piece = (uvsmtp_slice_t){"Subject: cut\r\n", 14};
  return ++*(int *)source->data > 1 ? UVSMTP_ESOURCE : 0;
}

static void failing_close(uvsmtp_source_t *source)
{
}

static const uvsmtp_source_ops_t failing = {sizeof(failing), failing_open, failing_next,
                                            failing_close};

/* Three of them among others, which share their connection and have no second try. */
static void a_source_that_fails_costs_the_others_nothing(void **state)
{
  static const unsigned without[] = {0, SINK_CHUNKING, SINK_CHUNKING | SINK_PIPELINING};
  for (size_t i = 0; i < 3; i++) {
    bench_t *b = malloc(sizeof(*b));
    sink_options_t sink = {.without = without[i]};
    uvsmtp_client_options_t options = quick(1);
    int pieces[3];
    options.max_tries = 1;
    begin(b, &sink, &options);
    bench_post_many(b, 40);
    for (size_t n = 0; n < 3; n++)
      b->mails[n * 13].source = (uvsmtp_source_t){.data = &pieces[n], .ops = &failing};
    bench_end(b, UVSMTP_CLOSE_DRAIN);
    bench_finish(b);
    for (size_t n = 0; n < 3; n++)
      assert_int_equal(b->mails[n * 13].err, UVSMTP_ESOURCE);
    assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 37);
    free(b);
  }
}

static void a_second_dead_connection_costs_a_try(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = "mail conn 1 nth 2 : close\nmail conn 2 : close\n",
                         .without = SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(1);
  options.max_tries = 1;
  begin(b, &sink, &options);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(bench_post(b, i), 0);
    run_until_done(b, i + 1);
  }
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(b->mails[1].status, UVSMTP_DEFERRED);
  assert_int_equal(b->counters.connections, 2);
  free(b);
}

static void the_idle_minimum_is_there_before_the_first_send_and_kept_by_noop(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = "noop : reply \"250 still here\"\n"};
  uvsmtp_client_options_t options = quick(5);
  options.min_idle = 2;
  options.keepalive_ms = 5;
  options.idle_timeout_ms = 10;
  begin(b, &sink, &options);
  while (sink_counters(b->sink)->scripted < 10) /* NOOPs */
    uv_run(&b->loop, UV_RUN_ONCE);
  assert_int_equal(stats_of(b).idle, 2);
  assert_int_equal(sink_counters(b->sink)->connections, 2);
  /* One that the server ends is made up for. */
  sink_drop(b->sink, false);
  while (sink_counters(b->sink)->connections < 4 || stats_of(b).idle < 2)
    uv_run(&b->loop, UV_RUN_ONCE);
  bench_post_many(b, 1);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 1);
  free(b);
}

static void a_connection_ends_after_its_bytes(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(1);
  options.max_bytes = 3 * strlen("Subject: 0\r\n\r\n.dots\r\nand text\r\n");
  begin(b, &sink, &options);
  bench_post_many(b, 9);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 9);
  assert_int_equal(b->counters.connections, 3);
  free(b);
}

static void a_server_that_takes_two_connections_gets_two(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.max_connections = 2, .without = SINK_PIPELINING | SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(10);
  uvsmtp_endpoint_state_t endpoint;
  uint64_t begun;
  options.retry_delay_ms = 50;
  options.max_retry_delay_ms = 50;
  begin(b, &sink, &options);
  begun = uv_now(&b->loop);
  bench_post_many(b, 500);
  run_until_done(b, 400);
  assert_int_equal(uvsmtp_client_endpoint(b->client, 0, &endpoint), 0);
  assert_in_range(endpoint.bears, 1, 3);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 500);
  /* It asks for more now and then, the more often the longer it takes. */
  assert_in_range(b->counters.connections, 3, 20 + (uv_now(&b->loop) - begun) / 50);
  free(b);
}

static void messages_begin_at_the_rate_that_was_set(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(3);
  uvsmtp_client_waiting_t waiting;
  uint64_t begun;
  options.message_rate = (uvsmtp_rate_t){.count = 100, .burst = 2};
  begin(b, &sink, &options);
  begun = uv_now(&b->loop);
  bench_post_many(b, 12);
  run_until_done(b, 3);
  uvsmtp_client_waiting(b->client, &waiting);
  assert_int_equal(waiting.why, UVSMTP_WAIT_PACING);
  assert_true(waiting.until_ms > 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 12);
  assert_true(b->mails[11].started_ms - begun >= 90); /* two at once, the others 10 ms apart */
  free(b);
}

/* ---- closing ------------------------------------------------------------------------------ */

static void finishing_sends_what_is_under_way_and_cancels_what_waits(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = "eod nth 1 : delay 20\n",
                         .without = SINK_PIPELINING | SINK_CHUNKING};
  uvsmtp_client_options_t options = quick(2);
  begin(b, &sink, &options);
  bench_post_many(b, 10);
  while (sink_counters(b->sink)->scripted == 0)
    uv_run(&b->loop, UV_RUN_ONCE);
  bench_end(b, UVSMTP_CLOSE_FINISH);
  bench_finish(b);
  assert_in_range(bench_count_of(b, UVSMTP_ACCEPTED), 1, 2);
  assert_int_equal(b->mails[9].err, UVSMTP_ECANCELED);
  assert_int_equal(b->counters.cut_messages, 0);
  free(b);
}

/* Where a session can be when it is closed; the last ones need a login or a body. */
static const struct {
  const char *name, *script;
  bool login, large;
} places[] = {{"resolving", NULL, false, false},
              {"greeting", "greeting : stall\n", false, false},
              {"ehlo", "ehlo : stall\n", false, false},
              {"logging in", "auth : stall\n", true, false},
              {"in an exchange", "challenge : stall\n", true, false},
              {"mail", "mail : stall\n", false, false},
              {"data", "data : stall\n", false, false},
              {"in a body", "received 100000 : deaf\n", false, true},
              {"after the dot", "eod : stall\n", false, false}};

static char large_body[4000000];

static void post_large(bench_t *b)
{
  mail_t *mail = &b->mails[1];
  assert_int_equal(bench_post(b, 1), 0);
  uvsmtp_source_memory(&mail->source, large_body, sizeof(large_body));
}

/* Closes when the script has done its work, or at once. */
static void close_at(size_t place, uvsmtp_close_t how, uint64_t timeout_ms)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = places[place].script, .without = SINK_CHUNKING};
  uvsmtp_connection_options_t connection = plain();
  uvsmtp_client_options_t options = quick(2);
  uvsmtp_auth_options_t auth_options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;
  auth_options.user = sink.user = places[place].login ? "u" : NULL;
  auth_options.password = sink.password = places[place].login ? "p" : NULL;
  if (places[place].login) {
    assert_int_equal(uvsmtp_auth_scram_new(&auth, UVSMTP_DIGEST_SHA256, &auth_options), 0);
    connection.auths = &auth;
    connection.auth_count = 1;
    connection.allow_plaintext_auth = true;
  }
  bench_start_with(b, &sink, &options, &connection);
  bench_post_many(b, 1);
  if (places[place].large)
    post_large(b);
  for (int i = 0; i < 3 || (places[place].script != NULL && sink_counters(b->sink)->scripted == 0);
       i++)
    uv_run(&b->loop, UV_RUN_NOWAIT);
  b->in_call = true;
  uvsmtp_client_close_within(b->client, how, timeout_ms, bench_on_closed);
  b->in_call = false;
  bench_finish(b);
  uvsmtp_auth_free(auth);
  free(b);
}

static void closing_is_right_wherever_a_session_is(void **state)
{
  memset(large_body, 'x', sizeof(large_body));
  for (size_t i = 0; i < sizeof(large_body); i += 72)
    memcpy(large_body + i, "\r\n", 2);
  for (size_t place = 0; place < sizeof(places) / sizeof(places[0]); place++) {
    close_at(place, UVSMTP_CLOSE_ABORT, UINT64_MAX);
    close_at(place, UVSMTP_CLOSE_FINISH, 10);
    close_at(place, UVSMTP_CLOSE_DRAIN, 10);
    close_at(place, UVSMTP_CLOSE_DRAIN, 0);
  }
}

static void a_second_call_shortens_the_time(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = "eod : stall\n"};
  uvsmtp_client_options_t options = quick(2);
  begin(b, &sink, &options);
  bench_post_many(b, 2);
  while (sink_counters(b->sink)->scripted == 0)
    uv_run(&b->loop, UV_RUN_ONCE);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  uvsmtp_client_close_within(b->client, UVSMTP_CLOSE_DRAIN, 5, NULL);
  uvsmtp_client_close_within(b->client, UVSMTP_CLOSE_DRAIN, 1000000, NULL);
  bench_finish(b);
  assert_true(bench_count_of(b, UVSMTP_UNKNOWN) >= 1);
  free(b);
}

/* ---- servers that come and go ------------------------------------------------------------- */

static void a_server_that_restarts_again_and_again_loses_nothing_and_doubles_nothing(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {0};
  uvsmtp_client_options_t options = quick(3);
  options.max_tries = 50;
  options.max_connect_tries = 1000;
  bench_open(b, &sink);
  uint16_t port = dead_port(b);
  with_two(b, port, port, &options);
  bench_post_many(b, 500);
  for (unsigned round = 0; round < 30 && b->done < 500; round++) {
    b->others[0] = NULL;
    sink_t *server = bench_sink(b, round % 3 == 0 ? "eod every 7 : refuse, reset\n" : NULL, port);
    size_t until = b->done + 20 < 500 ? b->done + 20 : 500;
    run_until_done(b, until);
    sink_close(server, NULL);
    for (int turn = 0; turn < 5; turn++)
      uv_run(&b->loop, UV_RUN_NOWAIT);
  }
  b->others[0] = NULL;
  bench_sink(b, NULL, port);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(b->done, 500);
  /* What was in doubt when a server went is unknown; all else came through. */
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED) + bench_count_of(b, UVSMTP_UNKNOWN), 500);
  assert_true(bench_count_of(b, UVSMTP_ACCEPTED) > 200);
  free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_the_first_server_cannot_take_the_second_does_until_it_is_back),
      cmocka_unit_test(a_server_that_hangs_while_opening_holds_nothing_up),
      cmocka_unit_test(urls_are_tried_in_their_order),
      cmocka_unit_test(when_no_server_is_left_each_is_named),
      cmocka_unit_test(credentials_are_replaced_where_they_are_common_only),
      cmocka_unit_test(a_full_queue_tells_when_there_is_room_again),
      cmocka_unit_test(bytes_that_wait_are_bounded_and_one_large_message_fits_an_empty_queue),
      cmocka_unit_test(who_cancels_does_not_blame_the_server),
      cmocka_unit_test(one_that_was_not_begun_is_cancelled_without_its_connection),
      cmocka_unit_test(those_behind_can_be_cancelled_when_the_first_fails),
      cmocka_unit_test(the_higher_priority_overtakes_and_the_lowest_gets_its_turn),
      cmocka_unit_test(a_send_that_waits_too_long_is_told_why),
      cmocka_unit_test(a_parked_connection_found_dead_costs_no_try),
      cmocka_unit_test(a_server_that_takes_three_messages_a_connection_gets_them_all),
      cmocka_unit_test(a_session_that_has_served_others_ends_at_nobodys_cost),
      cmocka_unit_test(a_message_that_ends_sessions_is_given_up),
      cmocka_unit_test(a_server_that_punishes_pipelining_is_asked_once),
      cmocka_unit_test(a_source_that_fails_costs_the_others_nothing),
      cmocka_unit_test(a_second_dead_connection_costs_a_try),
      cmocka_unit_test(the_idle_minimum_is_there_before_the_first_send_and_kept_by_noop),
      cmocka_unit_test(a_connection_ends_after_its_bytes),
      cmocka_unit_test(a_server_that_takes_two_connections_gets_two),
      cmocka_unit_test(messages_begin_at_the_rate_that_was_set),
      cmocka_unit_test(finishing_sends_what_is_under_way_and_cancels_what_waits),
      cmocka_unit_test(closing_is_right_wherever_a_session_is),
      cmocka_unit_test(a_second_call_shortens_the_time),
      cmocka_unit_test(a_server_that_restarts_again_and_again_loses_nothing_and_doubles_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
