/*
 * How new TLS connections to one server begin, many at a time:
 *
 *   handshakes HOST PORT CONNECTIONS [loop]
 *
 * Opens CONNECTIONS with STARTTLS at once, which share what they learn (uvsmtp_history_t), waits
 * until all are ready, and closes them. `loop`: handshakes are computed on the loop's thread
 * instead of libuv's pool. UVSMTP_BENCH_CA names the certificates to trust.
 *
 * Prints one line of JSON: how many handshakes resumed a session, how many were done a second, and
 * how long the loop's thread was busy in the longest turn of the loop, in processor time, so that
 * other work on the machine does not count. Exit status 0: all are open; 1: not; 2: wrong usage.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "uvsmtp/connection.h"

static size_t wanted, opened, failed;
static uvsmtp_connection_t **connections;
static uv_prepare_t turn;
static double turn_began, longest, open_at;

static double busy_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Before the loop waits: all that a turn had to do is done. The first one follows our own calls. */
static void on_turn(uv_prepare_t *handle)
{
  double now = busy_ms();
  if (turn_began > 0 && now - turn_began > longest)
    longest = now - turn_began;
  turn_began = now;
}

static void on_open(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  if (error->err != 0 && failed++ == 0)
    fprintf(stderr, "handshakes: %s\n", error->text);
  if (++opened < wanted)
    return;
  open_at = (double)uv_hrtime() / 1e9;
  uv_close((uv_handle_t *)&turn, NULL);
  for (size_t i = 0; i < wanted; i++)
    uvsmtp_connection_close(connections[i], NULL);
}

static double open_all(uv_loop_t *loop, const uvsmtp_connection_options_t *options)
{
  double start = (double)uv_hrtime() / 1e9;
  uv_prepare_init(loop, &turn);
  uv_prepare_start(&turn, on_turn);
  for (size_t i = 0; i < wanted; i++)
    if (uvsmtp_connection_open(&connections[i], loop, options, on_open, NULL, 0) != 0)
      exit(1);
  uv_run(loop, UV_RUN_DEFAULT);
  return open_at - start;
}

static int run(uvsmtp_connection_options_t *options)
{
  uvsmtp_tls_options_t trust = UVSMTP_TLS_OPTIONS_INIT;
  uvsmtp_history_info_t info = UVSMTP_HISTORY_INFO_INIT;
  char trouble[512];
  double seconds;
  trust.ca_file = getenv("UVSMTP_BENCH_CA");
  connections = calloc(wanted, sizeof(*connections));
  if (connections == NULL || uvsmtp_history_new(&options->history, NULL) != 0 ||
      uvsmtp_tls_context_new(&options->tls_context, &trust, trouble, sizeof(trouble)) != 0) {
    fprintf(stderr, "handshakes: cannot start: %s\n", trouble);
    return 1;
  }
  seconds = open_all(uv_default_loop(), options);
  uvsmtp_history_info(options->history, &info);
  printf("{\"client\": \"uvsmtp\", \"connections\": %zu, \"on_loop\": %s, \"handshakes\": %" PRIu64
         ", \"resumed\": %" PRIu64
         ", \"seconds\": %.6f, \"rate\": %.1f, \"longest_turn_ms\": %.3f}\n",
         wanted, options->tls_on_loop ? "true" : "false", info.tls_handshakes, info.tls_resumptions,
         seconds, (double)(wanted - failed) / seconds, longest);
  uvsmtp_history_free(options->history);
  uvsmtp_tls_context_free(options->tls_context);
  free(connections);
  return failed > 0;
}

int main(int argc, char **argv)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  options.tls_on_loop = argc == 5 && strcmp(argv[4], "loop") == 0;
  wanted = argc >= 4 ? strtoull(argv[3], NULL, 10) : 0;
  if (wanted == 0 || argc > 5 || (argc == 5 && !options.tls_on_loop)) {
    fprintf(stderr, "usage: handshakes HOST PORT CONNECTIONS [loop]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  options.host = argv[1];
  options.port = (uint16_t)atoi(argv[2]);
  options.ehlo_domain = "client.bench.example";
  return run(&options);
}
