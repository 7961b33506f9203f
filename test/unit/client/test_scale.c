#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>

#include <cmocka.h>

#include "forked_sink.h"
#include "uvsmtp/client.h"

/*
 * Ten thousand connections of one client, and a million sends that wait at a time. The server is a
 * process of its own, since each has a limit of descriptors. Skipped where the limit is too low.
 */
#define CONNECTIONS 10000
#define SENDS 1000000
#define DESCRIPTORS (CONNECTIONS + 200)

typedef struct mail_s {
  uvsmtp_send_t send;
  uvsmtp_source_t source;
} mail_t;

static struct {
  size_t told, accepted;
  bool closed;
} all;

static bool raise_limit(void)
{
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < DESCRIPTORS)
    return false;
  if (limit.rlim_cur < DESCRIPTORS)
    limit.rlim_cur = DESCRIPTORS;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return true;
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  all.told++;
  all.accepted += result->status == UVSMTP_ACCEPTED;
}

static void on_closed(uvsmtp_client_t *client)
{
  all.closed = true;
}

static void ten_thousand_connections_and_a_million_sends_work(void **state)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_recipient_t to = {.address = "you@sink.example"};
  uvsmtp_client_stats_t stats;
  uvsmtp_client_t *client;
  uv_loop_t loop;
  if (!raise_limit())
    skip();
  pid_t server = forked_sink_start(&connection.port);
  connection.host = "127.0.0.1";
  connection.tls = UVSMTP_TLS_NONE;
  connection.ehlo_domain = "client.example";
  options.connection = &connection;
  options.max_connections = options.min_idle = CONNECTIONS;
  options.fixed_connections = true;
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(uvsmtp_client_new(&client, &loop, &options, NULL, 0), 0);
  do {
    uv_run(&loop, UV_RUN_ONCE);
    uvsmtp_client_stats(client, &stats);
    assert_true(stats.connections <= CONNECTIONS);
  } while (stats.idle < CONNECTIONS);
  mail_t *mails = calloc(SENDS, sizeof(*mails));
  assert_non_null(mails);
  for (size_t i = 0; i < SENDS; i++) {
    uvsmtp_source_memory(&mails[i].source, "Subject: x\r\n\r\n", 14);
    assert_int_equal(
        uvsmtp_client_send(client, &mails[i].send, &envelope, &mails[i].source, on_sent), 0);
  }
  uvsmtp_client_stats(client, &stats);
  assert_int_equal(stats.queued, SENDS);
  /* Every tenth of the second half is given up while it waits: no walk through the queue. */
  for (size_t i = SENDS / 2; i < SENDS; i += 10)
    uvsmtp_send_cancel(&mails[i].send);
  uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, on_closed);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_true(all.closed);
  assert_int_equal(uv_loop_close(&loop), 0);
  assert_int_equal(all.told, SENDS);
  assert_int_equal(all.accepted, SENDS - SENDS / 20);
  free(mails);
  forked_sink_end(server);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ten_thousand_connections_and_a_million_sends_work)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
