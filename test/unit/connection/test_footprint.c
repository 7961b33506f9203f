/*
 * What an idle connection takes of memory, counted: the blocks that it has of the caller's
 * allocator, each rounded up to what a usual malloc makes of it. Many connections share one set of
 * settings and a history, as those of a client do; what they share is paid by the first.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tls/certs.h"
#include "connection/connection.h"
#include "sink/internal.h"
#include "tls/internal.h"

/* The most octets that an idle connection may take: in the clear, and with TLS beside what mbedTLS
 * has for itself. That it takes from malloc, past this allocator, but for its context, which lies
 * in the engine. */
#define PLAIN_BOUND 832
#define TLS_BOUND 976
#define MBEDTLS_OWN sizeof(mbedtls_ssl_context)
#define COUNT 16

static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";
static identity_t identity;

/* ---- an allocator that counts ---- */

typedef union block_u {
  size_t size;
  max_align_t aligned;
} block_t;

static size_t live;
static size_t allocations, fail_at; /* the allocation of that number fails; 0: none */

/* glibc's: a word before, in steps of two words, four at least. */
static size_t rounded(size_t size)
{
  size_t all = (size + 8 + 15) / 16 * 16;
  return all < 32 ? 32 : all;
}

static void *counting_realloc(void *ctx, void *p, size_t size)
{
  block_t *block = p != NULL ? (block_t *)p - 1 : NULL;
  size_t before = block != NULL ? rounded(block->size) : 0;
  if (++allocations == fail_at)
    return NULL;
  block = realloc(block, sizeof(*block) + size);
  assert_non_null(block);
  block->size = size;
  live += rounded(size) - before;
  return block + 1;
}

static void *counting_malloc(void *ctx, size_t size)
{
  return counting_realloc(ctx, NULL, size);
}

static void counting_free(void *ctx, void *p)
{
  block_t *block = p != NULL ? (block_t *)p - 1 : NULL;
  live -= block != NULL ? rounded(block->size) : 0;
  free(block);
}

static const uvsmtp_mem_t counting = {NULL, counting_malloc, counting_realloc, counting_free};

/* ---- connections that become idle ---- */

typedef struct world_s {
  uv_loop_t loop;
  sink_t *sink;
  uvsmtp_connection_settings_t *settings;
  uvsmtp_connection_t *connections[COUNT];
  size_t opened, closed;
  uvsmtp_send_t send;
  size_t sent;
  uvsmtp_request_t request;
  size_t told; /* of what was asked for when memory failed, */
  int err;     /* and what became of it */
} world_t;

static int set_up_group(void **state)
{
  spec_t spec = {.subject = "CN=localhost", .names = "DNS:localhost IP:127.0.0.1", .is_ca = 1};
  signal(SIGPIPE, SIG_IGN);
  make_identity(&identity, &spec);
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

static void start(world_t *w, uvsmtp_tls_mode_t mode)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_tls_options_t trust = UVSMTP_TLS_OPTIONS_INIT;
  sink_options_t sink = {.tls_cert = cert_file, .tls_key = key_file};
  memset(w, 0, sizeof(*w));
  assert_int_equal(uv_loop_init(&w->loop), 0);
  assert_int_equal(sink_start(&w->sink, &w->loop, &sink, NULL, 0), 0);
  trust.ca_pem = identity.cert;
  trust.mem = options.mem = &counting;
  options.host = "127.0.0.1";
  options.port = sink_port(w->sink);
  options.tls = mode;
  options.ehlo_domain = "client.example";
  assert_int_equal(uvsmtp_history_new(&options.history, &counting), 0);
  assert_int_equal(uvsmtp_tls_context_new(&options.tls_context, &trust, NULL, 0), 0);
  assert_int_equal(uvsmtp_connection_settings_new(&w->settings, &options, NULL, 0), 0);
  uvsmtp_history_free(options.history);
}

static void on_open(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  world_t *w = uvsmtp_connection_get_data(c);
  assert_int_equal(error->err, 0);
  w->opened++;
}

static uvsmtp_connection_t *open_busy(world_t *w)
{
  size_t i = w->opened;
  assert_int_equal(uvsmtp_connection_open_with(&w->connections[i], &w->loop, w->settings, on_open),
                   0);
  uvsmtp_connection_set_data(w->connections[i], w);
  while (w->opened == i)
    uv_run(&w->loop, UV_RUN_ONCE);
  return w->connections[i];
}

/* Opens one more, and lets it give back what it need not keep. */
static void open_one(world_t *w)
{
  const uvsmtp_connection_t *c = open_busy(w);
  while (!c->trimmed)
    uv_run(&w->loop, UV_RUN_ONCE);
}

static void on_sink_closed(sink_t *sink, void *data)
{
}

static void on_closed(uvsmtp_connection_t *c)
{
  world_t *w = uvsmtp_connection_get_data(c);
  if (++w->closed == w->opened)
    sink_close(w->sink, on_sink_closed);
}

static void end(world_t *w)
{
  uvsmtp_tls_context_t *context = w->settings->o.tls_context;
  for (size_t i = 0; i < w->opened; i++)
    uvsmtp_connection_close(w->connections[i], on_closed);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  uvsmtp_connection_settings_free(w->settings);
  uvsmtp_tls_context_free(context);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  assert_int_equal(live, 0);
}

/* Of one connection more, beside those there are. */
static size_t footprint(world_t *w)
{
  size_t before;
  open_one(w);
  before = live;
  open_one(w);
  return live - before;
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  assert_int_equal(result->status, UVSMTP_ACCEPTED);
  w->sent++;
}

static int start_to_send(world_t *w, uvsmtp_connection_t *c, uvsmtp_send_cb cb)
{
  static const uvsmtp_recipient_t to = {.address = "bob@there.example"};
  static uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  static uvsmtp_source_t source;
  envelope.sender = "ann@here.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  uvsmtp_source_memory(&source, "Subject: Hi\r\n\r\nHi\r\n", 19);
  w->send.data = w;
  return uvsmtp_connection_send(c, &w->send, &envelope, &source, cb);
}

/* A message on the last of them, and what is left of it when that is idle again. */
static void send_one(world_t *w)
{
  uvsmtp_connection_t *c = w->connections[w->opened - 1];
  assert_int_equal(start_to_send(w, c, on_sent), 0);
  while (w->sent == 0 || !c->trimmed)
    uv_run(&w->loop, UV_RUN_ONCE);
}

static void check(const char *what, size_t octets, size_t bound)
{
  print_message("%s: %zu octets, bound %zu\n", what, octets, bound);
  assert_in_range(octets, 1, bound);
}

static void an_idle_connection_is_small(void **state)
{
  size_t before;
  world_t w;
  start(&w, UVSMTP_TLS_NONE);
  check("in the clear", footprint(&w), PLAIN_BOUND);
  before = live;
  send_one(&w);
  assert_int_equal(live, before);
  end(&w);
}

static void an_idle_tls_connection_is_little_more_than_mbedtls(void **state)
{
  size_t before;
  world_t w;
  start(&w, UVSMTP_TLS_REQUIRED);
  check("TLS", footprint(&w) - MBEDTLS_OWN, TLS_BOUND);
  before = live;
  send_one(&w);
  assert_int_equal(live, before);
  end(&w);
}

/* ---- memory runs out when one is used again ---- */

static void on_tried(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  w->told++;
  w->err = result->err;
  assert_int_equal(result->status, result->err == 0 ? UVSMTP_ACCEPTED : UVSMTP_DEFERRED);
}

static int try_to_send(world_t *w, uvsmtp_connection_t *c)
{
  return start_to_send(w, c, on_tried);
}

static void on_answer(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                      const uvsmtp_error_t *error)
{
  world_t *w = request->data;
  w->told++;
  w->err = error->err;
}

static int try_noop(world_t *w, uvsmtp_connection_t *c)
{
  w->request.data = w;
  return uvsmtp_connection_noop(c, &w->request, on_answer);
}

/* With the allocation number `n` failing; false: it has none of that number. */
static bool try_at(int (*act)(world_t *w, uvsmtp_connection_t *c), uvsmtp_tls_mode_t mode, size_t n)
{
  uvsmtp_connection_t *c;
  bool failed;
  world_t w;
  start(&w, mode);
  c = open_busy(&w);
  c->deadline = uv_now(&w.loop); /* it has been idle for long enough */
  uvsmtp__timer_note(c);
  while (!c->trimmed)
    uv_run(&w.loop, UV_RUN_ONCE);
  fail_at = allocations + n;
  w.err = act(&w, c);
  if (w.err == 0) {
    while (w.told == 0)
      uv_run(&w.loop, UV_RUN_ONCE);
  } else { /* nothing has come of it: it can be asked for again */
    int err = w.err;
    assert_int_equal(act(&w, c), 0);
    while (w.told == 0)
      uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.err, 0);
    w.err = err;
  }
  failed = allocations >= fail_at;
  fail_at = 0;
  if (w.err != 0)
    assert_int_equal(w.err, UVSMTP_ENOMEM);
  end(&w);
  assert_int_equal(w.told, 1);
  return failed;
}

static void memory_that_fails_when_one_is_used_again_is_told_once(void **state)
{
  static int (*const acts[])(world_t * w, uvsmtp_connection_t * c) = {try_to_send, try_noop};
  static const uvsmtp_tls_mode_t modes[] = {UVSMTP_TLS_NONE, UVSMTP_TLS_REQUIRED};
  for (size_t i = 0; i < 4; i++) {
    size_t n = 1;
    while (try_at(acts[i % 2], modes[i / 2], n))
      n++;
    assert_true(n > 3);
  }
}

static void memory_that_fails_when_one_is_closed_changes_nothing(void **state)
{
  world_t w;
  start(&w, UVSMTP_TLS_NONE);
  open_busy(&w);
  fail_at = allocations + 1;
  end(&w);
  assert_true(allocations >= fail_at);
  assert_int_equal(w.closed, 1);
  fail_at = 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_idle_connection_is_small),
      cmocka_unit_test(an_idle_tls_connection_is_little_more_than_mbedtls),
      cmocka_unit_test(memory_that_fails_when_one_is_used_again_is_told_once),
      cmocka_unit_test(memory_that_fails_when_one_is_closed_changes_nothing)};
  return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
