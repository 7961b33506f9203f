/*
 * What is idle, and what waits, in octets of heap:
 *
 *   memory HOST PORT CONNECTIONS SENDS
 *
 * Opens connections that share their settings and a history, as those of a client do, lets them
 * become idle and looks; then queues sends that no connection takes, and looks again. What all of
 * them share was there before. With UVSMTP_BENCH_CA, the certificates to trust, the connections
 * have TLS by STARTTLS: then what mbedTLS has for each is in the figure, too. Prints one line of
 * JSON. glibc only.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvsmtp/client.h"

#define REST_MS 1500 /* until what is idle has given back what it can */
#define FIRST 10     /* connections that pay for what all share, and fill the history */

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

/* Opens connections up to the `count`th, and waits until they are idle. */
static void open_up_to(size_t count, uv_loop_t *loop, uvsmtp_connection_settings_t *settings)
{
  wanted = count;
  for (size_t i = ready; i < count; i++) {
    if (uvsmtp_connection_open_with(&connections[i], loop, settings, on_open) != 0)
      exit(1);
    uvsmtp_connection_set_data(connections[i], &rest);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  if (failed > 0)
    exit(1);
}

static double idle_connection(uv_loop_t *loop, const uvsmtp_connection_options_t *options,
                              size_t count)
{
  uvsmtp_connection_settings_t *settings;
  size_t before;
  if (uvsmtp_connection_settings_new(&settings, options, NULL, 0) != 0)
    exit(1);
  connections = calloc(FIRST + count, sizeof(*connections));
  uv_timer_init(loop, &rest);
  open_up_to(FIRST, loop, settings);
  before = heap();
  open_up_to(FIRST + count, loop, settings);
  return (double)(heap() - before) / (double)count;
}

static void trust(uvsmtp_connection_options_t *options)
{
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;
  tls.ca_file = getenv("UVSMTP_BENCH_CA");
  options->tls = tls.ca_file != NULL ? UVSMTP_TLS_REQUIRED : UVSMTP_TLS_NONE;
  if (tls.ca_file != NULL && uvsmtp_tls_context_new(&options->tls_context, &tls, NULL, 0) != 0)
    exit(1);
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
  size_t count = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
  uv_loop_t *loop = uv_default_loop();
  double connection;
  if (count == 0 || sends == 0) {
    fprintf(stderr, "usage: memory HOST PORT CONNECTIONS SENDS\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  options.host = argv[1];
  options.port = (uint16_t)atoi(argv[2]);
  options.ehlo_domain = "client.bench.example";
  trust(&options);
  if (uvsmtp_history_new(&options.history, NULL) != 0)
    exit(1);
  connection = idle_connection(loop, &options, count);
  printf("{\"%s\": %.0f, \"queued_send\": %.0f}\n",
         options.tls == UVSMTP_TLS_NONE ? "idle_connection" : "idle_tls_connection", connection,
         queued_send(loop, &options, sends));
  return 0;
}
