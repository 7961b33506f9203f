#ifndef UVSMTP_TEST_BENCH_H
#define UVSMTP_TEST_BENCH_H

/*
 * Clients against the fake server in the same loop. What the server stored is compared with what
 * the callbacks said: an accepted message is there once, a deferred or refused one is not there,
 * an unknown one is there at most once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink/sink.h"
#include "uvsmtp/client.h"

#define MAX_MAILS 600
#define BENCH_SINKS 3

typedef struct mail_s {
  uvsmtp_send_t send;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipients[2];
  uvsmtp_source_t source;
  char to[40], body[96];
  unsigned calls, stored;
  size_t place; /* in which it was stored, from 1 */
  uint64_t started_ms, connection;
  char text[256];
  bool started;
  uvsmtp_status_t status;
  int err;
  size_t results;
  bool cancelled;
  struct bench_s *bench;
} mail_t;

typedef struct bench_s {
  uv_loop_t loop;
  sink_t *sink, *others[BENCH_SINKS];
  uvsmtp_client_t *client;
  mail_t mails[MAX_MAILS];
  size_t sent, done, stored, close_after;
  uvsmtp_close_t how;
  bool in_call, closed, keep_open;
  sink_counters_t counters;
  uvsmtp_client_stats_t stats;
  const uvsmtp_recipient_t *people; /* whom the next message goes to instead, five */
  char told[6];                     /* a letter for each of these */
} bench_t;

/* One more server, that stores for the same mails; on a free port if `port` is 0. */
sink_t *bench_sink(bench_t *b, const char *script, uint16_t port);
/* Begins with a sink, and then a client of it. What `sink` and `options` do not say is as usual. */
void bench_open(bench_t *b, sink_options_t *sink);
void bench_client(bench_t *b, uvsmtp_client_options_t *options,
                  uvsmtp_connection_options_t *connection);
void bench_start_with(bench_t *b, sink_options_t *sink, uvsmtp_client_options_t *options,
                      uvsmtp_connection_options_t *connection);
void bench_start(bench_t *b, const char *script, size_t connections);
/* Mail number i; returns what uvsmtp_client_send returned. */
int bench_post(bench_t *b, size_t i);
int bench_post_with(bench_t *b, size_t i, const uvsmtp_send_options_t *options);
void bench_post_many(bench_t *b, size_t count);
/* Closes the client, and the sinks after it. */
void bench_end(bench_t *b, uvsmtp_close_t how);
void bench_on_closed(uvsmtp_client_t *client);
void bench_on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result);
/* Runs to the end and looks whether everything was told once and truly. */
void bench_finish(bench_t *b);
size_t bench_count_of(const bench_t *b, uvsmtp_status_t status);

#endif
