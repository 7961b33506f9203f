#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "forked_sink.h"
#include "uvsmtp/client.h"

/*
 * A program that runs out of descriptors: sends wait or are told why, none is lost, and all goes on
 * when descriptors come back. The server is a process of its own, which has enough of them.
 */
#define MAILS 300

typedef struct mail_s {
  uvsmtp_send_t send;
  uvsmtp_source_t source;
  uvsmtp_status_t status;
  int err;
  char text[200];
  bool told;
} mail_t;

static struct {
  pid_t server;
  uint16_t port;
  uv_loop_t loop;
  uvsmtp_client_t *client;
  mail_t mails[MAILS];
  size_t posted, told;
  bool closed;
  int hoard[4096];
  size_t hoarded;
  uvsmtp_recipient_t to;
  uvsmtp_envelope_t envelope;
} all;

static int start_server(void **state)
{
  all.server = forked_sink_start(&all.port);
  return 0;
}

static int end_server(void **state)
{
  forked_sink_end(all.server);
  return 0;
}

/* Takes all descriptors that the limit leaves, but for `spare` of them. */
static void take_descriptors(size_t spare)
{
  int fd;
  while (all.hoarded < sizeof(all.hoard) / sizeof(all.hoard[0]) &&
         (fd = open("/dev/null", O_RDONLY)) >= 0)
    all.hoard[all.hoarded++] = fd;
  assert_true(all.hoarded < sizeof(all.hoard) / sizeof(all.hoard[0]));
  while (spare-- > 0)
    close(all.hoard[--all.hoarded]);
}

static void give_descriptors_back(void)
{
  while (all.hoarded > 0)
    close(all.hoard[--all.hoarded]);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  mail_t *mail = send->data;
  assert_false(mail->told);
  mail->told = true;
  mail->status = result->status;
  mail->err = result->err;
  snprintf(mail->text, sizeof(mail->text), "%s", result->error_text);
  all.told++;
}

static void post(size_t count)
{
  for (; count > 0; count--) {
    mail_t *mail = &all.mails[all.posted++];
    memset(mail, 0, sizeof(*mail));
    mail->send.data = mail;
    uvsmtp_source_memory(&mail->source, "Subject: x\r\n\r\n", 14);
    assert_int_equal(
        uvsmtp_client_send(all.client, &mail->send, &all.envelope, &mail->source, on_sent), 0);
  }
}

static void on_closed(uvsmtp_client_t *client)
{
  all.closed = true;
}

static void begin(unsigned max_connect_tries)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max < 200 ? limit.rlim_max : 200;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  all.posted = all.told = 0;
  all.closed = false;
  all.to.address = "you@sink.example";
  all.envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  all.envelope.recipients = &all.to;
  all.envelope.recipient_count = 1;
  connection.host = "127.0.0.1";
  connection.port = all.port;
  connection.tls = UVSMTP_TLS_NONE;
  connection.no_overlap = true;
  options.connection = &connection;
  options.max_connections = 20;
  options.retry_delay_ms = 2;
  options.max_retry_delay_ms = 20;
  options.max_connect_tries = max_connect_tries;
  assert_int_equal(uv_loop_init(&all.loop), 0);
  assert_int_equal(uvsmtp_client_new(&all.client, &all.loop, &options, NULL, 0), 0);
}

static void finish(void)
{
  uvsmtp_client_close(all.client, UVSMTP_CLOSE_DRAIN, on_closed);
  uv_run(&all.loop, UV_RUN_DEFAULT);
  assert_true(all.closed);
  assert_int_equal(uv_loop_close(&all.loop), 0);
  assert_int_equal(all.told, all.posted);
}

static size_t accepted(void)
{
  size_t count = 0;
  for (size_t i = 0; i < all.posted; i++)
    count += all.mails[i].status == UVSMTP_ACCEPTED;
  return count;
}

static void with_few_descriptors_few_connections_do_the_work(void **state)
{
  uvsmtp_endpoint_state_t endpoint;
  begin(0);
  take_descriptors(4);
  post(MAILS);
  while (all.told < MAILS)
    uv_run(&all.loop, UV_RUN_ONCE);
  assert_int_equal(uvsmtp_client_endpoint(all.client, 0, &endpoint), 0);
  assert_in_range(endpoint.connections, 1, 5);
  give_descriptors_back();
  finish();
  assert_int_equal(accepted(), MAILS);
}

static void without_any_descriptor_sends_are_told_so_and_later_ones_go(void **state)
{
  begin(0);
  take_descriptors(0);
  post(10);
  while (all.told < 10)
    uv_run(&all.loop, UV_RUN_ONCE);
  for (size_t i = 0; i < 10; i++) {
    assert_int_equal(all.mails[i].status, UVSMTP_DEFERRED);
    if (all.mails[i].err != UV_EMFILE && all.mails[i].err != UVSMTP_ECONNECT)
      fail_msg("%s", all.mails[i].text);
    assert_non_null(strstr(all.mails[i].text, "too many open files"));
  }
  give_descriptors_back();
  post(10);
  finish();
  assert_int_equal(accepted(), 10);
}

static void sends_that_may_wait_go_on_when_descriptors_come_back(void **state)
{
  uvsmtp_client_waiting_t waiting;
  begin(UINT_MAX);
  take_descriptors(0);
  post(50);
  do {
    uv_run(&all.loop, UV_RUN_ONCE);
    uvsmtp_client_waiting(all.client, &waiting);
  } while (waiting.why != UVSMTP_WAIT_BACKOFF);
  assert_int_equal(waiting.sends, 50);
  assert_non_null(strstr(waiting.text, "too many open files"));
  give_descriptors_back();
  finish();
  assert_int_equal(accepted(), 50);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(with_few_descriptors_few_connections_do_the_work),
      cmocka_unit_test(without_any_descriptor_sends_are_told_so_and_later_ones_go),
      cmocka_unit_test(sends_that_may_wait_go_on_when_descriptors_come_back)};
  return cmocka_run_group_tests(tests, start_server, end_server);
}
