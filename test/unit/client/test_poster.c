/* Messages handed over from other threads. Made for ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scarce.h"
#include "sink/sink.h"
#include "uvsmtp/poster.h"

#define THREADS 4
#define MANY 250

typedef struct world_s world_t;

typedef struct mail_s {
  uvsmtp_send_t send;
  uvsmtp_source_t source;
  world_t *w;
  unsigned calls; /* the loop's thread */
  uvsmtp_status_t status;
  int err;
  size_t recipients;
} mail_t;

struct world_s {
  uv_loop_t loop;
  uv_thread_t self;
  sink_thread_t *sink;
  sink_counters_t counters;
  uvsmtp_client_t *client;
  uvsmtp_poster_t *poster;
  uvsmtp_client_options_t options;
  uvsmtp_connection_options_t connection;
  uvsmtp_poster_options_t poster_options;
  uvsmtp_recipient_t to;
  uvsmtp_envelope_t envelope;
  size_t called, close_after, abort_after; /* 0: not by itself */
  bool closed;
  atomic_size_t posted;
  mail_t mails[THREADS * MANY];
};

static void on_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  assert_false(w->closed);
  assert_int_equal(w->called, atomic_load(&w->posted));
  w->closed = true;
  w->client = NULL;
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  mail_t *mail = send->data;
  world_t *w = mail->w;
  uv_thread_t here = uv_thread_self();
  assert_true(uv_thread_equal(&here, &w->self));
  assert_false(w->closed);
  mail->calls++;
  mail->status = result->status;
  mail->err = result->err;
  mail->recipients = result->recipient_count;
  for (size_t i = 0; i < result->recipient_count; i++)
    assert_string_equal(result->recipients[i].address, w->to.address);
  w->called++;
  if (w->called == w->close_after)
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
  if (w->called == w->abort_after)
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_ABORT, on_closed);
}

static world_t *world_new(const char *script)
{
  world_t *w = calloc(1, sizeof(*w));
  sink_options_t sink = {.script = script};
  char detail[256];
  signal(SIGPIPE, SIG_IGN);
  w->self = uv_thread_self();
  assert_int_equal(uv_loop_init(&w->loop), 0);
  if (sink_thread_start(&w->sink, &sink, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  w->connection = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->connection.host = "127.0.0.1";
  w->connection.port = sink_thread_port(w->sink);
  w->connection.tls = UVSMTP_TLS_NONE;
  w->options = (uvsmtp_client_options_t)UVSMTP_CLIENT_OPTIONS_INIT;
  w->options.connection = &w->connection;
  w->options.data = w;
  w->options.max_connections = 3;
  w->poster_options = (uvsmtp_poster_options_t)UVSMTP_POSTER_OPTIONS_INIT;
  w->to.address = "you@sink.example";
  w->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  w->envelope.sender = "me@client.example";
  w->envelope.recipients = &w->to;
  w->envelope.recipient_count = 1;
  return w;
}

static void start(world_t *w)
{
  assert_int_equal(uvsmtp_client_new(&w->client, &w->loop, &w->options, NULL, 0), 0);
  assert_int_equal(uvsmtp_poster_new(&w->poster, w->client, &w->poster_options), 0);
}

static int post(world_t *w, uvsmtp_poster_t *poster, mail_t *mail)
{
  static const char text[] = "Subject: x\r\n\r\nwords\r\n";
  mail->w = w;
  mail->send.data = mail;
  uvsmtp_source_memory(&mail->source, text, sizeof(text) - 1);
  int err = uvsmtp_poster_post(poster, &mail->send, &w->envelope, &mail->source, on_sent);
  if (err == 0)
    atomic_fetch_add(&w->posted, 1);
  return err;
}

/* Runs to the end: every post that was taken has called back once. */
static void finish(world_t *w)
{
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_true(w->closed);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  for (size_t i = 0; i < THREADS * MANY; i++)
    assert_in_range(w->mails[i].calls, 0, 1);
  assert_int_equal(w->called, atomic_load(&w->posted));
  sink_thread_end(w->sink, &w->counters);
}

static void free_world(world_t *w)
{
  uvsmtp_poster_free(w->poster);
  free(w);
}

/* ---- several threads ---------------------------------------------------------------------- */

typedef struct worker_s {
  uv_thread_t thread;
  world_t *w;
  uvsmtp_poster_t *poster;
  mail_t *mails;
  int err;
} worker_t;

/* cmocka's assertions are not for other threads: what went wrong comes back. */
static void work(void *arg)
{
  worker_t *worker = arg;
  for (size_t i = 0; worker->err == 0 && i < MANY; i++) {
    do {
      worker->err = post(worker->w, worker->poster, &worker->mails[i]);
    } while (worker->err == UVSMTP_EQUEUEFULL &&
             uvsmtp_poster_wait(worker->poster, UINT64_MAX) == 0);
  }
  uvsmtp_poster_free(worker->poster);
}

static void run_threads(world_t *w, worker_t *workers)
{
  for (size_t i = 0; i < THREADS; i++) {
    workers[i] = (worker_t){
        .w = w, .poster = uvsmtp_poster_acquire(w->poster), .mails = &w->mails[i * MANY]};
    assert_int_equal(uv_thread_create(&workers[i].thread, work, &workers[i]), 0);
  }
  uv_run(&w->loop, UV_RUN_DEFAULT);
  for (size_t i = 0; i < THREADS; i++)
    uv_thread_join(&workers[i].thread);
}

static void threads_post_as_fast_as_they_can(void **state)
{
  static const struct {
    size_t max_posted, max_queued;
  } rows[] = {{0, 0}, {7, 0}, {0, 3}, {1, 1}};
  for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
    world_t *w = world_new(NULL);
    worker_t workers[THREADS];
    w->poster_options.max_posted = rows[row].max_posted;
    w->options.max_queued = rows[row].max_queued;
    w->close_after = THREADS * MANY;
    start(w);
    run_threads(w, workers);
    for (size_t i = 0; i < THREADS; i++)
      assert_int_equal(workers[i].err, 0);
    finish(w);
    assert_int_equal(w->called, THREADS * MANY);
    assert_int_equal(w->counters.messages, THREADS * MANY);
    free_world(w);
  }
}

/* Whoever posts while the client goes away is either told so or called back. */
static void threads_post_while_the_client_is_closed(void **state)
{
  for (int aborting = 0; aborting < 2; aborting++) {
    world_t *w = world_new(NULL);
    worker_t workers[THREADS];
    w->poster_options.max_posted = 5;
    w->options.max_queued = 5;
    *(aborting ? &w->abort_after : &w->close_after) = THREADS * MANY / 3;
    start(w);
    run_threads(w, workers);
    for (size_t i = 0; i < THREADS; i++)
      assert_true(workers[i].err == 0 || workers[i].err == UVSMTP_ECLOSING ||
                  workers[i].err == UVSMTP_EQUEUEFULL);
    finish(w);
    assert_in_range(w->called, THREADS * MANY / 3, THREADS * MANY - 1);
    assert_int_equal(post(w, w->poster, &w->mails[0]), UVSMTP_ECLOSING);
    free_world(w);
  }
}

/* ---- the inbox ---------------------------------------------------------------------------- */

static void posts_are_bounded(void **state)
{
  world_t *w = world_new(NULL);
  w->poster_options.max_posted = 5;
  w->close_after = 5;
  start(w);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(uvsmtp_poster_wait(w->poster, 0), 0);
    assert_int_equal(post(w, w->poster, &w->mails[i]), 0);
  }
  assert_int_equal(post(w, w->poster, &w->mails[5]), UVSMTP_EQUEUEFULL);
  assert_int_equal(uvsmtp_poster_wait(w->poster, 0), UVSMTP_EQUEUEFULL);
  assert_int_equal(uvsmtp_poster_wait(w->poster, 1), UVSMTP_EQUEUEFULL);
  finish(w);
  assert_int_equal(w->counters.messages, 5);
  assert_int_equal(uvsmtp_poster_wait(w->poster, 0), UVSMTP_ECLOSING);
  free_world(w);
}

static void what_was_posted_before_closing_is_sent_or_cancelled(void **state)
{
  static const struct {
    uvsmtp_close_t how;
    uvsmtp_status_t status;
    int err;
  } rows[] = {{UVSMTP_CLOSE_DRAIN, UVSMTP_ACCEPTED, 0},
              {UVSMTP_CLOSE_ABORT, UVSMTP_DEFERRED, UVSMTP_ECANCELED}};
  for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
    world_t *w = world_new(NULL);
    w->options.max_queued = 2;
    start(w);
    for (int i = 0; i < 10; i++) {
      memset(&w->mails[i].send, 0xa5, sizeof(w->mails[i].send));
      w->mails[i].send.progress = NULL;
      assert_int_equal(post(w, w->poster, &w->mails[i]), 0);
    }
    uvsmtp_client_close(w->client, rows[row].how, on_closed);
    assert_int_equal(post(w, w->poster, &w->mails[10]), UVSMTP_ECLOSING);
    assert_int_equal(w->called, 0);
    finish(w);
    assert_int_equal(w->called, 10);
    for (int i = 0; i < 10; i++) {
      assert_int_equal(w->mails[i].status, rows[row].status);
      assert_int_equal(w->mails[i].err, rows[row].err);
      assert_int_equal(w->mails[i].recipients, 1);
    }
    free_world(w);
  }
}

static void a_posted_send_can_be_cancelled(void **state)
{
  world_t *w = world_new(NULL);
  w->close_after = 3;
  start(w);
  for (int i = 0; i < 3; i++)
    assert_int_equal(post(w, w->poster, &w->mails[i]), 0);
  uvsmtp_send_cancel(&w->mails[1].send);
  assert_int_equal(w->called, 0);
  finish(w);
  assert_int_equal(w->mails[0].status, UVSMTP_ACCEPTED);
  assert_int_equal(w->mails[1].err, UVSMTP_ECANCELED);
  assert_int_equal(w->mails[2].status, UVSMTP_ACCEPTED);
  assert_int_equal(w->counters.messages, 2);
  free_world(w);
}

/* What was in the send before is of no meaning, and there is room for all its results. */
static void a_posted_send_of_many_recipients_can_be_cancelled_at_once(void **state)
{
  world_t *w = world_new(NULL);
  uvsmtp_recipient_t many[100];
  mail_t *mail = &w->mails[0];
  for (size_t i = 0; i < 100; i++)
    many[i] = w->to;
  w->envelope.recipients = many;
  w->envelope.recipient_count = 100;
  w->close_after = 1;
  start(w);
  memset(&mail->send, 0xa5, sizeof(mail->send));
  mail->send.progress = NULL;
  assert_int_equal(post(w, w->poster, mail), 0);
  uvsmtp_send_cancel(&mail->send);
  finish(w);
  assert_int_equal(mail->err, UVSMTP_ECANCELED);
  assert_int_equal(mail->recipients, 100);
  free_world(w);
}

static void every_recipient_is_told_however_many_there_are(void **state)
{
  static const size_t counts[] = {1, 3000, 1, 5000, 40};
  world_t *w = world_new(NULL);
  uvsmtp_recipient_t *many = calloc(5000, sizeof(*many));
  uvsmtp_envelope_t envelopes[5];
  for (size_t i = 0; i < 5000; i++)
    many[i].address = w->to.address;
  start(w);
  for (size_t i = 0; i < 5; i++) {
    mail_t *mail = &w->mails[i];
    *mail = (mail_t){.w = w, .send.data = mail};
    uvsmtp_source_memory(&mail->source, "x", 1);
    envelopes[i] = w->envelope;
    envelopes[i].recipients = many;
    envelopes[i].recipient_count = counts[i];
    assert_int_equal(
        uvsmtp_poster_post(w->poster, &mail->send, &envelopes[i], &mail->source, on_sent), 0);
    atomic_fetch_add(&w->posted, 1);
  }
  uvsmtp_client_close(w->client, UVSMTP_CLOSE_ABORT, on_closed);
  finish(w);
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(w->mails[i].recipients, counts[i]);
  free(many);
  free_world(w);
}

/* ---- holds -------------------------------------------------------------------------------- */

static void a_client_has_one_poster(void **state)
{
  world_t *w = world_new(NULL);
  uvsmtp_poster_t *same;
  start(w);
  assert_int_equal(uvsmtp_poster_new(&same, w->client, NULL), 0);
  assert_ptr_equal(same, w->poster);
  uvsmtp_poster_free(same);
  uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
  assert_int_equal(uvsmtp_poster_new(&same, w->client, NULL), UVSMTP_ECLOSING);
  assert_null(same);
  finish(w);
  free_world(w);
}

static void a_loop_ends_when_nobody_can_post_any_more(void **state)
{
  world_t *w = world_new(NULL);
  w->options.idle_timeout_ms = 1;
  start(w);
  assert_int_equal(post(w, w->poster, &w->mails[0]), 0);
  uvsmtp_poster_free(w->poster);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(w->mails[0].status, UVSMTP_ACCEPTED);
  /* It can have another one then. */
  assert_int_equal(uvsmtp_poster_new(&w->poster, w->client, NULL), 0);
  assert_int_equal(post(w, w->poster, &w->mails[1]), 0);
  uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
  finish(w);
  assert_int_equal(w->counters.messages, 2);
  free_world(w);
}

/* ---- refusals ----------------------------------------------------------------------------- */

static void a_post_that_is_refused_does_not_call_back(void **state)
{
  world_t *w = world_new(NULL);
  uvsmtp_recipient_t bad = {.address = "a\r\nb@x.example"};
  mail_t *mail = &w->mails[0];
  uvsmtp_poster_t *other;
  start(w);
  w->envelope.recipient_count = 0;
  assert_int_equal(post(w, w->poster, mail), UVSMTP_ENORECIPIENTS);
  w->envelope.recipient_count = 1;
  w->envelope.recipients = &bad;
  assert_int_equal(post(w, w->poster, mail), UVSMTP_EINJECTION);
  assert_int_equal(uvsmtp_poster_post(w->poster, &mail->send, NULL, &mail->source, on_sent),
                   UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_poster_post(w->poster, &mail->send, &w->envelope, &mail->source, NULL),
                   UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_poster_new(&other, NULL, NULL), UVSMTP_EINVAL);
  assert_null(other);
  uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
  finish(w);
  free_world(w);
}

static bool post_with_scarce_memory(size_t fail_at)
{
  world_t *w = world_new(NULL);
  uvsmtp_recipient_t many[40];
  scarce_t scarce = {.fail_at = fail_at};
  const uvsmtp_mem_t mem = {&scarce, scarce_malloc, scarce_realloc, scarce_free};
  for (size_t i = 0; i < 40; i++)
    many[i] = w->to;
  w->envelope.recipients = many;
  w->envelope.recipient_count = 40;
  w->options.mem = &mem;
  w->options.retry_delay_ms = 1;
  int err = uvsmtp_client_new(&w->client, &w->loop, &w->options, NULL, 0);
  if (err == 0) {
    err = uvsmtp_poster_new(&w->poster, w->client, NULL);
    if (err == 0)
      err = post(w, w->poster, &w->mails[0]);
    assert_true(err == 0 || err == UVSMTP_ENOMEM);
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_closed);
  } else {
    w->closed = true;
  }
  finish(w);
  if (atomic_load(&w->posted) == 1)
    assert_int_equal(w->mails[0].recipients, 40);
  free_world(w);
  assert_int_equal(scarce.held, 0);
  return scarce.count >= fail_at;
}

static void a_post_is_told_though_memory_runs_out(void **state)
{
  size_t fail_at = 1;
  while (post_with_scarce_memory(fail_at))
    fail_at++;
  assert_true(fail_at > 8);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_post_as_fast_as_they_can),
      cmocka_unit_test(threads_post_while_the_client_is_closed),
      cmocka_unit_test(posts_are_bounded),
      cmocka_unit_test(what_was_posted_before_closing_is_sent_or_cancelled),
      cmocka_unit_test(a_posted_send_can_be_cancelled),
      cmocka_unit_test(a_posted_send_of_many_recipients_can_be_cancelled_at_once),
      cmocka_unit_test(every_recipient_is_told_however_many_there_are),
      cmocka_unit_test(a_client_has_one_poster),
      cmocka_unit_test(a_loop_ends_when_nobody_can_post_any_more),
      cmocka_unit_test(a_post_that_is_refused_does_not_call_back),
      cmocka_unit_test(a_post_is_told_though_memory_runs_out),
  };
  return cmocka_run_group_tests_name("poster", tests, NULL, NULL);
}
