/* TLS across the pool: sessions are resumed, and handshakes leave the loop to others. */
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
#include "sink/sink.h"
#include "uvsmtp.h"

enum { MAILS = 100 };

static identity_t identity;
static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";

static int set_up_group(void **state)
{
  signal(SIGPIPE, SIG_IGN);
  make_identity(&identity,
                &(spec_t){.subject = "CN=localhost", .names = "IP:127.0.0.1", .is_ca = 1});
  write_identity(&identity, cert_file, key_file);
  return 0;
}

static int tear_down_group(void **state)
{
  free_identity(&identity);
  unlink(cert_file);
  unlink(key_file);
  return 0;
}

typedef struct world_s {
  uv_loop_t loop;
  sink_t *sink;
  uvsmtp_tls_context_t *context;
  uvsmtp_client_t *client;
  uvsmtp_connection_options_t connection;
  uvsmtp_client_options_t options;
  uvsmtp_client_stats_t stats;
  sink_counters_t seen;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipient;
  uvsmtp_source_t sources[MAILS];
  uvsmtp_send_t sends[MAILS];
  size_t told, accepted;
} world_t;

static void init_with(world_t *w, uvsmtp_tls_mode_t mode, const char *script)
{
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;
  sink_options_t sink = {.tls_cert = cert_file, .tls_key = key_file, .script = script, .data = w};
  char detail[256] = "";
  memset(w, 0, sizeof(*w));
  assert_int_equal(uv_loop_init(&w->loop), 0);
  sink.tls_implicit = mode == UVSMTP_TLS_IMPLICIT;
  if (sink_start(&w->sink, &w->loop, &sink, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  tls.ca_pem = identity.cert;
  assert_int_equal(uvsmtp_tls_context_new(&w->context, &tls, NULL, 0), 0);
  w->connection = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->connection.host = "127.0.0.1";
  w->connection.port = sink_port(w->sink);
  w->connection.tls = mode;
  w->connection.tls_context = w->context;
  w->connection.ehlo_domain = "client.example";
  /* A hundred at once on a slow machine are no reason to try again. */
  w->connection.connect_timeout_ms = w->connection.tls_timeout_ms = 600000;
  w->options = (uvsmtp_client_options_t)UVSMTP_CLIENT_OPTIONS_INIT;
  w->options.connection = &w->connection;
  w->options.max_connections = MAILS;
  w->options.max_messages = 1; /* a connection for each */
  w->options.data = w;
}

static void init(world_t *w, uvsmtp_tls_mode_t mode)
{
  init_with(w, mode, NULL);
}

static void on_sink_closed(sink_t *sink, void *data)
{
  world_t *w = data;
  w->seen = *sink_counters(sink);
}

static void on_client_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  uvsmtp_client_stats(client, &w->stats);
  sink_close(w->sink, on_sink_closed);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  w->accepted += result->status == UVSMTP_ACCEPTED;
  if (++w->told == MAILS)
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_client_closed);
}

static void send_all(world_t *w)
{
  static const char text[] = "Subject: x\r\n\r\nHi\r\n";
  assert_int_equal(uvsmtp_client_new(&w->client, &w->loop, &w->options, NULL, 0), 0);
  w->recipient.address = "b@x.example";
  w->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  w->envelope.sender = "a@x.example";
  w->envelope.recipients = &w->recipient;
  w->envelope.recipient_count = 1;
  for (size_t i = 0; i < MAILS; i++) {
    uvsmtp_source_memory(&w->sources[i], text, sizeof(text) - 1);
    w->sends[i].data = w;
    assert_int_equal(
        uvsmtp_client_send(w->client, &w->sends[i], &w->envelope, &w->sources[i], on_sent), 0);
  }
}

static void finish(world_t *w)
{
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(w->accepted, MAILS);
  assert_int_equal(w->seen.handshakes, MAILS);
  assert_int_equal(w->stats.tls_handshakes, MAILS);
  uvsmtp_tls_context_free(w->context);
  assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void of_a_hundred_connections_at_once_all_but_the_first_few_resume(void **state)
{
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_REQUIRED, UVSMTP_TLS_IMPLICIT};
  for (size_t i = 0; i < 2; i++) {
    world_t *w = malloc(sizeof(*w));
    init(w, modes[i]);
    send_all(w);
    finish(w);
    if (w->stats.tls_resumptions < MAILS - 3)
      fail_msg("%u resumed", (unsigned)w->stats.tls_resumptions);
    free(w);
  }
}

static void resumption_can_be_turned_off(void **state)
{
  world_t *w = malloc(sizeof(*w));
  init(w, UVSMTP_TLS_REQUIRED);
  w->connection.no_tls_resumption = true;
  send_all(w);
  finish(w);
  assert_int_equal(w->stats.tls_resumptions, 0);
  free(w);
}

/* ---- opportunistic TLS that is broken ---- */

static void broken_tls_costs_no_message_and_is_tried_again_later(void **state)
{
  static const struct {
    const char *name;
    uint64_t retry_ms;
    bool again;
  } rows[] = {{"never", UINT64_MAX, false}, {"by default not soon", 0, false}, {"soon", 1, true}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    world_t *w = malloc(sizeof(*w));
    init_with(w, UVSMTP_TLS_OPPORTUNISTIC, "starttls conn 1-5 : reply \"220 go\", close");
    w->connection.no_tls_resumption = true; /* they do not wait for one another */
    w->options.max_connections = 5;
    w->options.tls_retry_ms = rows[i].retry_ms;
    w->options.retry_delay_ms = 60000; /* which must not be waited for */
    send_all(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    if (w->accepted != MAILS || (w->seen.handshakes > 0) != rows[i].again)
      fail_msg("%s: %u accepted, %u handshakes", rows[i].name, (unsigned)w->accepted,
               (unsigned)w->seen.handshakes);
    uvsmtp_tls_context_free(w->context);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
  }
}

/* ---- whose threads ---- */

typedef struct blocker_s {
  uv_work_t work;
  uv_sem_t *sem;
} blocker_t;

static void block(uv_work_t *work)
{
  blocker_t *b = (blocker_t *)(void *)work;
  uv_sem_wait(b->sem);
}

static void unblocked(uv_work_t *work, int status)
{
}

static void handshakes_on_the_loop_need_no_threads(void **state)
{
  enum { THREADS = 4 }; /* libuv's, unless the environment says otherwise */
  world_t *w = malloc(sizeof(*w));
  blocker_t blockers[THREADS];
  uv_sem_t sem;
  init(w, UVSMTP_TLS_IMPLICIT);
  w->connection.tls_on_loop = true;
  assert_int_equal(uv_sem_init(&sem, 0), 0);
  for (size_t i = 0; i < THREADS; i++) {
    blockers[i].sem = &sem;
    assert_int_equal(uv_queue_work(&w->loop, &blockers[i].work, block, unblocked), 0);
  }
  send_all(w);
  while (w->told < MAILS)
    uv_run(&w->loop, UV_RUN_ONCE);
  for (size_t i = 0; i < THREADS; i++)
    uv_sem_post(&sem);
  finish(w);
  assert_true(w->stats.tls_resumptions >= MAILS - 3);
  uv_sem_destroy(&sem);
  free(w);
}

typedef struct turns_s {
  uv_check_t check;
  world_t *world;
  uint64_t before, most;
} turns_t;

static void look(uv_check_t *check)
{
  turns_t *t = (turns_t *)(void *)check;
  uvsmtp_client_stats_t stats;
  if (t->world->told == MAILS)
    return;
  uvsmtp_client_stats(t->world->client, &stats);
  if (stats.tls_handshakes - t->before > t->most)
    t->most = stats.tls_handshakes - t->before;
  t->before = stats.tls_handshakes;
}

static void a_turn_of_the_loop_finishes_a_few_handshakes_only(void **state)
{
  world_t *w = malloc(sizeof(*w));
  turns_t turns = {.most = 0};
  init(w, UVSMTP_TLS_IMPLICIT);
  w->connection.tls_on_loop = true;
  send_all(w);
  turns.world = w;
  uv_check_init(&w->loop, &turns.check);
  uv_check_start(&turns.check, look);
  uv_unref((uv_handle_t *)&turns.check);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  uv_close((uv_handle_t *)&turns.check, NULL);
  finish(w);
  assert_in_range(turns.most, 1, 4);
  free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_a_hundred_connections_at_once_all_but_the_first_few_resume),
      cmocka_unit_test(resumption_can_be_turned_off),
      cmocka_unit_test(broken_tls_costs_no_message_and_is_tried_again_later),
      cmocka_unit_test(handshakes_on_the_loop_need_no_threads),
      cmocka_unit_test(a_turn_of_the_loop_finishes_a_few_handshakes_only),
  };
  return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
