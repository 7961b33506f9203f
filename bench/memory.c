/*
 * What is idle, and what waits, in octets of heap:
 *
 *   memory HOST PORT CONNECTIONS SENDS
 *
 * Opens connections with a client, lets them become idle and looks; then queues sends that no
 * connection takes, and looks again. Prints one line of JSON. glibc only.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvsmtp/client.h"

#define REST_MS 1500 /* until what is idle has given back what it can */

static size_t wanted, ready, failed;
static uv_timer_t rest;
static uvsmtp_connection_t **connections;

static void on_rest(uv_timer_t *timer)
{
  uv_stop(timer->loop);
}

static void on_open(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  ready++;
  failed += error->err != 0;
  if (ready == wanted)
    uv_timer_start(uvsmtp_connection_get_data(connection), on_rest, REST_MS, 0);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
}

static size_t heap(void)
{
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static double idle_connection(uv_loop_t *loop, const uvsmtp_connection_options_t *options)
{
  size_t before;
  connections = calloc(wanted, sizeof(*connections));
  uv_timer_init(loop, &rest);
  before = heap();
  for (size_t i = 0; i < wanted; i++) {
    if (uvsmtp_connection_open(&connections[i], loop, options, on_open, NULL, 0) != 0)
      exit(1);
    uvsmtp_connection_set_data(connections[i], &rest);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  if (failed > 0)
    exit(1);
  return (double)(heap() - before) / (double)wanted;
}

static double queued_send(uv_loop_t *loop, const uvsmtp_connection_options_t *connection,
                          size_t count)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_recipient_t to = {.address = "bob@there.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_send_t *sends = calloc(count, sizeof(*sends));
  uvsmtp_source_t source;
  uvsmtp_client_t *client;
  size_t before;
  envelope.sender = "ann@here.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  uvsmtp_source_memory(&source, "Hi\r\n", 4);
  options.connection = connection;
  options.max_queued = count;
  if (sends == NULL || uvsmtp_client_new(&client, loop, &options, NULL, 0) != 0)
    exit(1);
  before = heap();
  for (size_t i = 0; i < count; i++)
    if (uvsmtp_client_send(client, &sends[i], &envelope, &source, on_sent) != 0)
      exit(1);
  return (double)sizeof(*sends) + (double)(heap() - before) / (double)count;
}

int main(int argc, char **argv)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  size_t sends = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
  uv_loop_t *loop = uv_default_loop();
  double connection;
  wanted = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
  if (wanted == 0 || sends == 0) {
    fprintf(stderr, "usage: memory HOST PORT CONNECTIONS SENDS\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  options.host = argv[1];
  options.port = (uint16_t)atoi(argv[2]);
  options.tls = UVSMTP_TLS_NONE;
  options.ehlo_domain = "client.bench.example";
  connection = idle_connection(loop, &options);
  printf("{\"idle_connection\": %.0f, \"queued_send\": %.0f}\n", connection,
         queued_send(loop, &options, sends));
  return 0;
}
