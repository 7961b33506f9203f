/* What a client counts, tells and prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink/sink.h"
#include "client/internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAILS 20

typedef struct world_s {
  uv_loop_t loop;
  sink_t *sink;
  sink_counters_t counters;
  uvsmtp_client_t *client;
  uvsmtp_client_options_t options;
  uvsmtp_connection_options_t connection;
  uvsmtp_recipient_t to[2];
  uvsmtp_envelope_t envelope;
  uvsmtp_source_t sources[MAILS];
  uvsmtp_send_t sends[MAILS];
  size_t due; /* sends to be told before the client is closed */
  bool in_call, closed;
  uvsmtp_client_stats_t stats; /* when it was closed */
  char events[2048];           /* "type cause;" for each */
  uint64_t missed;
  bool close_in_event;
  bool wait_for_idle; /* close when no connection is left */
} world_t;

static void on_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  uvsmtp_client_stats(client, &w->stats);
  w->closed = true;
  if (w->sink == NULL)
    return;
  w->counters = *sink_counters(w->sink);
  sink_close(w->sink, NULL);
}

static void end(world_t *w)
{
  w->in_call = true;
  uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
  w->in_call = false;
}

static void on_event(uvsmtp_client_t *client, const uvsmtp_client_event_t *event)
{
  world_t *w = uvsmtp_client_data(client);
  size_t len = strlen(w->events);
  assert_false(w->in_call);
  assert_false(w->closed);
  assert_true(event->at_ms <= uv_now(&w->loop));
  w->missed += event->missed;
  snprintf(w->events + len, sizeof(w->events) - len, "%s%s%s;",
           uvsmtp_client_event_name(event->type), event->type == UVSMTP_CLIENT_RETIRED ? " " : "",
           event->type == UVSMTP_CLIENT_RETIRED ? uvsmtp_retire_name(event->cause) : "");
  if (event->type == UVSMTP_CLIENT_RETREAT)
    snprintf(w->events + len, sizeof(w->events) - len, "retreat (%s);", event->text);
  switch (event->type) {
  case UVSMTP_CLIENT_OPENED:
  case UVSMTP_CLIENT_RETIRED:
    assert_int_not_equal(event->connection, 0);
    break;
  case UVSMTP_CLIENT_OPEN_FAILED:
  case UVSMTP_CLIENT_LOGIN_REFUSED:
  case UVSMTP_CLIENT_RETRY:
    assert_int_not_equal(event->err, 0);
    assert_string_not_equal(event->text, "");
    break;
  case UVSMTP_CLIENT_BACKOFF:
    assert_in_range(event->delay_ms, 1, 60000);
    break;
  default:
    break;
  }
  if (event->type != UVSMTP_CLIENT_QUEUE_FULL && event->type != UVSMTP_CLIENT_QUEUE_ROOM)
    assert_non_null(strstr(event->endpoint, "127.0.0.1:"));
  if (w->close_in_event || (w->wait_for_idle && event->type == UVSMTP_CLIENT_RETIRED)) {
    w->close_in_event = w->wait_for_idle = false;
    end(w);
  }
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  if (--w->due == 0 && !w->wait_for_idle)
    end(w);
}

static void init(world_t *w)
{
  memset(w, 0, sizeof(*w));
  signal(SIGPIPE, SIG_IGN);
  w->connection = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->connection.host = "127.0.0.1";
  w->connection.tls = UVSMTP_TLS_NONE;
  w->options = (uvsmtp_client_options_t)UVSMTP_CLIENT_OPTIONS_INIT;
  w->options.connection = &w->connection;
  w->options.data = w;
  w->options.on_event = on_event;
  w->options.max_connections = 1;
  w->options.retry_delay_ms = 1;
  w->to[0].address = "a@sink.example";
  w->to[1].address = "no@sink.example";
  w->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  w->envelope.sender = "me@client.example";
  w->envelope.recipients = w->to;
  w->envelope.recipient_count = 1;
}

static void start(world_t *w, const char *script)
{
  char detail[256] = "";
  sink_options_t sink = {.script = script};
  assert_int_equal(uv_loop_init(&w->loop), 0);
  if (sink_start(&w->sink, &w->loop, &sink, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  w->connection.port = sink_port(w->sink);
  if (uvsmtp_client_new(&w->client, &w->loop, &w->options, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
}

static int send_one(world_t *w, size_t i)
{
  w->sends[i].data = w;
  uvsmtp_source_memory(&w->sources[i], "Subject: x\r\n\r\ny\r\n", 17);
  w->in_call = true;
  int err = uvsmtp_client_send(w->client, &w->sends[i], &w->envelope, &w->sources[i], on_sent);
  w->in_call = false;
  w->due += err == 0;
  return err;
}

static void finish(world_t *w)
{
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_true(w->closed);
  assert_int_equal(uv_loop_close(&w->loop), 0);
}

/* ---- numbers ------------------------------------------------------------------------------ */

static void what_was_sent_is_counted(void **state)
{
  world_t w;
  uvsmtp_envelope_t two;
  init(&w);
  start(&w, "rcpt match \"no@*\" : reply \"550 5.1.1 nobody\"");
  two = w.envelope;
  two.recipient_count = 2;
  assert_int_equal(send_one(&w, 0), 0);
  w.sends[1].data = &w;
  uvsmtp_source_memory(&w.sources[1], "x\r\n", 3);
  assert_int_equal(uvsmtp_client_send(w.client, &w.sends[1], &two, &w.sources[1], on_sent), 0);
  w.due++;
  assert_int_equal(send_one(&w, 2), 0);
  uvsmtp_client_stats(w.client, &w.stats);
  assert_int_equal(w.stats.queued, 3);
  finish(&w);
  assert_int_equal(w.stats.queued, 0);
  assert_int_equal(w.stats.sent, 3);
  assert_int_equal(w.stats.accepted, 2);
  assert_int_equal(w.stats.partial, 1);
  assert_int_equal(w.stats.recipients_accepted, 3);
  assert_int_equal(w.stats.recipients_rejected, 1);
  assert_int_equal(w.stats.opened, 1);
  assert_int_equal(w.stats.reused, 2);
  assert_int_equal(w.stats.retired, 1);
  assert_int_equal(w.stats.retired_by[UVSMTP_RETIRE_CLOSED], 1);
  assert_int_equal(w.stats.octets_sent, w.counters.received);
  assert_int_equal(w.stats.octets_received, w.counters.sent);
}

static void connections_are_retired_for_a_reason(void **state)
{
  static const struct {
    const char *name, *script;
    uint64_t idle_ms, age_ms, messages;
    uvsmtp_retire_t cause;
    bool idle; /* it is retired while nothing is sent */
  } rows[] = {
      {"max_messages", NULL, 0, 0, 1, UVSMTP_RETIRE_USED, true},
      {"idle_timeout_ms", NULL, 50, 0, 0, UVSMTP_RETIRE_IDLE, true},
      {"max_age_ms", NULL, 0, 50, 0, UVSMTP_RETIRE_AGE, true},
      {"421 while parked", "idle after 50 : reply \"421 4.4.2 bye\", close", 0, 0, 0,
       UVSMTP_RETIRE_LOST, true},
      {"cut by a message", "mail conn 1 : close", 0, 0, 0, UVSMTP_RETIRE_FAILED, false},
      {"closed", NULL, 0, 0, 0, UVSMTP_RETIRE_CLOSED, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    world_t w;
    print_message("%s\n", rows[i].name);
    init(&w);
    w.options.idle_timeout_ms = rows[i].idle_ms;
    w.options.max_age_ms = rows[i].age_ms;
    w.options.max_messages = rows[i].messages;
    w.wait_for_idle = rows[i].idle;
    start(&w, rows[i].script);
    assert_int_equal(send_one(&w, 0), 0);
    finish(&w);
    /* A slow machine may need longer than a limit before the first message: then there are more. */
    assert_in_range(w.stats.retired_by[rows[i].cause], 1,
                    rows[i].idle && rows[i].messages == 0 ? w.stats.opened : 1);
    assert_int_equal(w.stats.retired, w.stats.opened);
  }
}

static void a_cancelled_message_is_a_reason_too(void **state)
{
  world_t w;
  init(&w);
  start(&w, "mail : stall");
  assert_int_equal(send_one(&w, 0), 0);
  do {
    uvsmtp_client_stats(w.client, &w.stats);
    uv_run(&w.loop, UV_RUN_ONCE);
  } while (sink_counters(w.sink)->scripted == 0);
  uvsmtp_send_cancel(&w.sends[0]);
  finish(&w);
  assert_int_equal(w.stats.retired_by[UVSMTP_RETIRE_CANCELLED], 1);
}

/* ---- events ------------------------------------------------------------------------------- */

static void events_tell_the_life_of_a_client(void **state)
{
  world_t w;
  init(&w);
  w.connection.no_chunking = true;
  start(&w, "mail conn 1 : close");
  assert_int_equal(send_one(&w, 0), 0);
  finish(&w);
  static const char *const order[] = {"opened;", "retry;", "retired failed;", "opened;",
                                      "retired closed;"};
  const char *at = w.events;
  for (size_t i = 0; i < COUNT(order); i++) {
    at = strstr(at, order[i]);
    if (at == NULL)
      fail_msg("no %s in %s", order[i], w.events);
    at += strlen(order[i]);
  }
  assert_int_equal(w.stats.accepted, 1);
  assert_int_equal(w.stats.retries, 1);
}

static void servers_out_of_reach_are_told(void **state)
{
  world_t w;
  init(&w);
  w.options.max_connect_tries = 3;
  start(&w, "greeting : reply \"421 4.3.2 busy\"");
  assert_int_equal(send_one(&w, 0), 0);
  finish(&w);
  assert_non_null(strstr(w.events, "open failed;"));
  assert_non_null(strstr(w.events, "back-off;"));
  assert_non_null(strstr(w.events, "down;"));
  assert_int_equal(w.stats.failed, 3);
  assert_int_equal(w.stats.retired, 0);
}

static void a_way_of_talking_that_a_server_breaks_under_is_told(void **state)
{
  static const struct {
    const char *script, *told;
    unsigned avoid;
  } rows[] = {
      {"eod times 1 : reply \"502 5.5.1 What is BDAT?\"",
       "retreat (no more CHUNKING: BDAT_LAST was answered 502 What is BDAT?);",
       UVSMTP_WAY_CHUNKING},
      {"eod conn 1 : refuse, close", "retreat (no more CHUNKING: 127.0.0.1:", UVSMTP_WAY_CHUNKING},
      {NULL, NULL, 0}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    world_t w;
    uvsmtp_endpoint_state_t endpoint;
    init(&w);
    start(&w, rows[i].script);
    assert_int_equal(send_one(&w, 0), 0);
    w.due++;
    while (w.due > 1)
      uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(uvsmtp_client_endpoint(w.client, 0, &endpoint), 0);
    if (endpoint.avoid != rows[i].avoid)
      fail_msg("%s: %u; %s", rows[i].script, endpoint.avoid, w.events);
    end(&w);
    finish(&w);
    if ((strstr(w.events, "retreat") != NULL) != (rows[i].told != NULL) ||
        (rows[i].told != NULL && strstr(w.events, rows[i].told) == NULL))
      fail_msg("%s: %s", rows[i].script, w.events);
  }
}

static void a_full_queue_is_told_once_until_it_has_room(void **state)
{
  world_t w;
  init(&w);
  w.options.max_queued = 4;
  start(&w, NULL);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(send_one(&w, i), 0);
  assert_int_equal(send_one(&w, 4), UVSMTP_EQUEUEFULL);
  assert_int_equal(send_one(&w, 4), UVSMTP_EQUEUEFULL);
  finish(&w);
  char *full = strstr(w.events, "queue full;");
  assert_non_null(full);
  assert_null(strstr(full + 1, "queue full;"));
  assert_non_null(strstr(full, "queue has room;"));
}

static void closing_in_an_event_is_fine(void **state)
{
  world_t w;
  init(&w);
  start(&w, NULL);
  w.close_in_event = true;
  assert_int_equal(send_one(&w, 0), 0);
  w.due++; /* so that its callback does not close */
  finish(&w);
  assert_int_equal(w.stats.accepted, 1);
}

static void events_that_do_not_fit_are_counted(void **state)
{
  const uvsmtp_client_event_t event = {.type = UVSMTP_CLIENT_QUEUE_FULL};
  world_t w;
  init(&w);
  start(&w, NULL);
  for (size_t i = 0; i < UVSMTP__EVENTS + 7; i++)
    uvsmtp__events_note(w.client, &event);
  uv_run(&w.loop, UV_RUN_NOWAIT);
  assert_int_equal(w.missed, 0);
  uvsmtp__events_note(w.client, &event);
  end(&w);
  finish(&w);
  assert_int_equal(w.missed, 7);
}

/* ---- latencies ---------------------------------------------------------------------------- */

static void buckets_have_their_bounds(void **state)
{
  static const uint64_t bounds[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32};
  uvsmtp_histogram_t h = {0};
  for (unsigned i = 0; i < COUNT(bounds); i++)
    assert_int_equal(uvsmtp_histogram_bound_ms(i), bounds[i]);
  for (unsigned i = 1; i < UVSMTP_HISTOGRAM_BUCKETS; i++)
    assert_true(uvsmtp_histogram_bound_ms(i) > uvsmtp_histogram_bound_ms(i - 1));
  assert_true(uvsmtp_histogram_bound_ms(UVSMTP_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
  assert_int_equal(uvsmtp_histogram_percentile_ms(&h, 50), 0);
  h.count = 100;
  h.buckets[0] = 90;
  h.buckets[5] = 9;
  h.buckets[UVSMTP_HISTOGRAM_BUCKETS - 1] = 1;
  assert_int_equal(uvsmtp_histogram_percentile_ms(&h, 50), 1);
  assert_int_equal(uvsmtp_histogram_percentile_ms(&h, 90), 1);
  assert_int_equal(uvsmtp_histogram_percentile_ms(&h, 99), 8);
  assert_true(uvsmtp_histogram_percentile_ms(&h, 100) == UINT64_MAX);
}

static void phases_are_timed(void **state)
{
  world_t w;
  init(&w);
  start(&w, "greeting : delay 40, reply\neod : delay 70, reply");
  assert_int_equal(send_one(&w, 0), 0);
  w.due++;
  while (w.due > 1)
    uv_run(&w.loop, UV_RUN_ONCE);
  static const uint64_t least[UVSMTP_LATENCY_COUNT] = {[UVSMTP_LATENCY_QUEUE] = 30,
                                                       [UVSMTP_LATENCY_DELIVERY] = 60,
                                                       [UVSMTP_LATENCY_SEND] = 100,
                                                       [UVSMTP_LATENCY_SESSION] = 30};
  for (int phase = 0; phase < UVSMTP_LATENCY_COUNT; phase++) {
    const uvsmtp_histogram_t *h = uvsmtp_client_latency(w.client, (uvsmtp_latency_t)phase);
    assert_int_equal(h->count, phase != UVSMTP_LATENCY_TLS);
    assert_true(h->sum_ms >= least[phase]);
    if (phase == UVSMTP_LATENCY_TLS)
      continue;
    uint64_t bound = uvsmtp_histogram_percentile_ms(h, 100);
    assert_true(bound >= h->sum_ms);
    assert_true(bound <= 1 || bound < 2 * h->sum_ms); /* the next bucket, not a far one */
  }
  end(&w);
  finish(&w);
}

/* ---- Prometheus --------------------------------------------------------------------------- */

static double value_of(const char *text, const char *sample)
{
  const char *at = strstr(text, sample);
  if (at == NULL)
    fail_msg("no %s", sample);
  return strtod(at + strlen(sample), NULL);
}

static void numbers_are_printed_for_prometheus(void **state)
{
  world_t w;
  static char text[256 * 1024];
  const char *name = "a \"quoted\"\\\nname";
  init(&w);
  start(&w, NULL);
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(send_one(&w, i), 0);
  w.due++;
  while (w.due > 1)
    uv_run(&w.loop, UV_RUN_ONCE);
  const uvsmtp_client_t *clients[2] = {w.client, w.client};
  size_t len = uvsmtp_client_prometheus(clients, NULL, 1, text, sizeof(text));
  assert_int_equal(strlen(text), len);
  assert_true(value_of(text, "\nuvsmtp_sends_total{status=\"accepted\"} ") == 3);
  assert_true(value_of(text, "\nuvsmtp_connections{state=\"idle\"} ") == 1);
  assert_true(value_of(text, "uvsmtp_sends_queued ") == 0 || strstr(text, "# HELP") == text);
  assert_true(value_of(text, "\nuvsmtp_latency_seconds_count{phase=\"send\"} ") == 3);
  assert_true(value_of(text, "\nuvsmtp_latency_seconds_bucket{phase=\"send\",le=\"+Inf\"} ") == 3);
  /* A cut page says how long it would be. */
  char small[100];
  assert_int_equal(uvsmtp_client_prometheus(clients, NULL, 1, small, sizeof(small)), len);
  assert_memory_equal(small, text, sizeof(small) - 1);
  assert_int_equal(small[99], '\0');
  assert_int_equal(uvsmtp_client_prometheus(clients, NULL, 1, NULL, 0), len);
  const char *names[2] = {name, "b"};
  uvsmtp_client_prometheus(clients, names, 2, text, sizeof(text));
  assert_non_null(strstr(text, "{client=\"a \\\"quoted\\\"\\\\\\nname\",status=\"accepted\"} 3\n"));
  assert_non_null(strstr(text, "{client=\"b\",status=\"accepted\"} 3\n"));
  end(&w);
  finish(&w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_sent_is_counted),
      cmocka_unit_test(connections_are_retired_for_a_reason),
      cmocka_unit_test(a_cancelled_message_is_a_reason_too),
      cmocka_unit_test(events_tell_the_life_of_a_client),
      cmocka_unit_test(servers_out_of_reach_are_told),
      cmocka_unit_test(a_way_of_talking_that_a_server_breaks_under_is_told),
      cmocka_unit_test(a_full_queue_is_told_once_until_it_has_room),
      cmocka_unit_test(closing_in_an_event_is_fine),
      cmocka_unit_test(events_that_do_not_fit_are_counted),
      cmocka_unit_test(buckets_have_their_bounds),
      cmocka_unit_test(phases_are_timed),
      cmocka_unit_test(numbers_are_printed_for_prometheus),
  };
  return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
