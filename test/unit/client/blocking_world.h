#ifndef BLOCKING_WORLD_H
#define BLOCKING_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/sink.h"
#include "uvsmtp/blocking.h"

/*
 * A fake server on a thread of its own, and what is needed to send to it from this one.
 */
typedef struct world_s {
  sink_options_t sink_options;
  sink_thread_t *sink;
  uvsmtp_connection_options_t options;
  uvsmtp_client_options_t client_options;
  uvsmtp_recipient_t to;
  uvsmtp_envelope_t envelope;
  uvsmtp_source_t source;
  char detail[768];
} world_t;

static inline void world_init(world_t *w, const char *script)
{
  static const char text[] = "Subject: x\r\n\r\nwords\r\n";
  memset(w, 0, sizeof(*w));
  w->sink_options.script = script;
  w->options = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->options.host = "127.0.0.1";
  w->options.tls = UVSMTP_TLS_NONE;
  w->options.ehlo_domain = "client.example";
  w->client_options = (uvsmtp_client_options_t)UVSMTP_CLIENT_OPTIONS_INIT;
  w->client_options.connection = &w->options;
  w->client_options.retry_delay_ms = 2;
  w->to.address = "you@sink.example";
  w->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  w->envelope.sender = "me@client.example";
  w->envelope.recipients = &w->to;
  w->envelope.recipient_count = 1;
  uvsmtp_source_memory(&w->source, text, sizeof(text) - 1);
}

static inline void world_start(world_t *w)
{
  if (sink_thread_start(&w->sink, &w->sink_options, w->detail, sizeof(w->detail)) != 0)
    fail_msg("%s", w->detail);
  w->options.port = sink_thread_port(w->sink);
}

static inline uvsmtp_blocking_client_t *world_client(world_t *w, const char *script)
{
  uvsmtp_blocking_client_t *client;
  world_init(w, script);
  world_start(w);
  if (uvsmtp_blocking_client_new(&client, &w->client_options, w->detail, sizeof(w->detail)) != 0)
    fail_msg("%s", w->detail);
  return client;
}

static inline uvsmtp_blocking_connection_t *world_connection(world_t *w, const char *script)
{
  uvsmtp_blocking_connection_t *connection;
  world_init(w, script);
  world_start(w);
  if (uvsmtp_blocking_connection_open(&connection, &w->options, w->detail, sizeof(w->detail)) != 0)
    fail_msg("%s", w->detail);
  return connection;
}

/* Ends the server and returns what it counted. */
static inline sink_counters_t world_end(world_t *w)
{
  sink_counters_t counters;
  sink_thread_end(w->sink, &counters);
  assert_int_equal(sink_violations(&counters), 0);
  return counters;
}

#endif
