/* The blocking client where others come in: threads, signals, clocks. Made for ThreadSanitizer. */
#include "blocking_world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- one object a thread ------------------------------------------------------------------ */

#define THREADS 4
#define MESSAGES 40

typedef struct worker_s {
  pthread_t thread;
  world_t *w;
  int err;
  size_t accepted;
} worker_t;

/* cmocka's assertions are not for other threads: what went wrong comes back. */
static void *work(void *arg)
{
  worker_t *worker = arg;
  uvsmtp_blocking_client_t *client;
  uvsmtp_blocking_connection_t *connection;
  world_t *w = worker->w;
  worker->err = uvsmtp_blocking_client_new(&client, &w->client_options, NULL, 0);
  for (int i = 0; worker->err == 0 && i < MESSAGES; i++) {
    const uvsmtp_result_t *result;
    uvsmtp_source_t source = w->source;
    worker->err = uvsmtp_blocking_client_send(client, &w->envelope, &source, &result);
    worker->accepted += result->status == UVSMTP_ACCEPTED;
  }
  if (worker->err != 0)
    return NULL;
  worker->err = uvsmtp_blocking_client_borrow(client, &connection);
  if (worker->err == 0)
    worker->err = uvsmtp_blocking_connection_noop(connection, NULL);
  uvsmtp_blocking_connection_close(connection);
  uvsmtp_blocking_client_close(client);
  return NULL;
}

static void every_thread_has_a_client_of_its_own(void **state)
{
  world_t w;
  worker_t workers[THREADS];
  world_init(&w, NULL);
  world_start(&w);
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (worker_t){.w = &w};
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    assert_int_equal(workers[i].err, 0);
    assert_int_equal(workers[i].accepted, MESSAGES);
  }
  sink_counters_t counters = world_end(&w);
  assert_int_equal(counters.messages, THREADS * MESSAGES);
  assert_int_equal(counters.connections, THREADS);
}

/* ---- cancelling --------------------------------------------------------------------------- */

typedef struct canceller_s {
  pthread_t thread;
  world_t *w;
  uvsmtp_blocking_client_t *client;
  uvsmtp_blocking_connection_t *connection;
} canceller_t;

static void *cancel(void *arg)
{
  canceller_t *c = arg;
  sink_counters_t counters;
  do { /* until the server has begun to be silent */
    sink_thread_counters(c->w->sink, &counters);
  } while (counters.scripted == 0);
  if (c->client != NULL)
    uvsmtp_blocking_client_cancel(c->client);
  else
    uvsmtp_blocking_connection_cancel(c->connection);
  return NULL;
}

static void another_thread_cancels_a_call_and_the_truth_is_told(void **state)
{
  static const struct {
    const char *script;
    uvsmtp_status_t status;
  } rows[] = {
      {"ehlo conn 1 : stall", UVSMTP_DEFERRED},
      {"mail conn 1 : stall", UVSMTP_DEFERRED},
      {"eod conn 1 : drop, stall", UVSMTP_UNKNOWN},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    world_t w;
    const uvsmtp_result_t *result;
    uvsmtp_blocking_client_t *client;
    world_init(&w, rows[i].script);
    w.options.no_chunking = true;
    world_start(&w);
    assert_int_equal(uvsmtp_blocking_client_new(&client, &w.client_options, NULL, 0), 0);
    canceller_t c = {.w = &w, .client = client};
    assert_int_equal(pthread_create(&c.thread, NULL, cancel, &c), 0);
    int err = uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result);
    pthread_join(c.thread, NULL);
    assert_int_equal(err, UVSMTP_ECANCELED);
    assert_int_equal(result->status, rows[i].status);
    assert_true(result->cancelled);
    assert_string_not_equal(uvsmtp_blocking_client_error_text(client), "");
    /* It was that call and no other. */
    if (i > 0)
      assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result), 0);
    assert_int_equal(uvsmtp_blocking_client_close(client), 0);
    sink_thread_end(w.sink, NULL);
  }
}

static void a_cancelled_command_ends_its_connection(void **state)
{
  for (int borrowed = 0; borrowed < 2; borrowed++) {
    world_t w;
    const uvsmtp_reply_t *reply;
    uvsmtp_blocking_client_t *client = world_client(&w, "noop conn 1 : drop, stall");
    uvsmtp_blocking_connection_t *connection;
    if (borrowed)
      assert_int_equal(uvsmtp_blocking_client_borrow(client, &connection), 0);
    else
      assert_int_equal(uvsmtp_blocking_connection_open(&connection, &w.options, NULL, 0), 0);
    canceller_t c = {.w = &w, .connection = connection};
    assert_int_equal(pthread_create(&c.thread, NULL, cancel, &c), 0);
    assert_int_equal(uvsmtp_blocking_connection_noop(connection, &reply), UVSMTP_ECANCELED);
    pthread_join(c.thread, NULL);
    assert_null(reply);
    assert_int_equal(uvsmtp_blocking_connection_noop(connection, &reply), UVSMTP_ECLOSING);
    assert_int_equal(uvsmtp_blocking_connection_close(connection), 0);
    assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, NULL), 0);
    assert_int_equal(uvsmtp_blocking_client_close(client), 0);
    sink_thread_end(w.sink, NULL);
  }
}

static void a_cancel_between_calls_ends_the_next_one(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_client_t *client = world_client(&w, NULL);
  uvsmtp_blocking_send_t sends[3] = {{.envelope = &w.envelope, .source = &w.source},
                                     {.envelope = &w.envelope, .source = &w.source},
                                     {.envelope = &w.envelope, .source = &w.source}};
  uvsmtp_blocking_client_cancel(client);
  assert_int_equal(uvsmtp_blocking_client_send_many(client, sends, 3), UVSMTP_ECANCELED);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(sends[i].result->status, UVSMTP_DEFERRED);
    assert_int_equal(sends[i].result->err, UVSMTP_ECANCELED);
    assert_true(sends[i].result->retry_is_safe);
  }
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result), 0);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  assert_int_equal(world_end(&w).messages, 1);
}

static uvsmtp_blocking_client_t *interrupted;

static void on_alarm(int number)
{
  uvsmtp_blocking_client_cancel(interrupted);
}

static void a_signal_handler_cancels(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_client_t *client = world_client(&w, "mail : stall");
  struct sigaction action = {.sa_handler = on_alarm}, before;
  interrupted = client;
  sigaction(SIGALRM, &action, &before);
  ualarm(50000, 0);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result),
                   UVSMTP_ECANCELED);
  sigaction(SIGALRM, &before, NULL);
  assert_true(result->cancelled);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  sink_thread_end(w.sink, NULL);
}

/* ---- clocks ------------------------------------------------------------------------------- */

static void a_call_takes_no_longer_than_its_limit(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_connection_t *connection;
  uvsmtp_blocking_client_t *client = world_client(&w, "mail : stall\nnoop : stall");
  uvsmtp_blocking_client_set_timeout(client, 30);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result),
                   UVSMTP_EDEADLINE);
  assert_int_equal(result->err, UVSMTP_EDEADLINE);
  assert_string_equal(result->error_text, uvsmtp_strerror(UVSMTP_EDEADLINE));
  assert_int_equal(uvsmtp_blocking_connection_open(&connection, &w.options, NULL, 0), 0);
  uvsmtp_blocking_connection_set_timeout(connection, 30);
  assert_int_equal(uvsmtp_blocking_connection_noop(connection, NULL), UVSMTP_EDEADLINE);
  assert_int_equal(uvsmtp_blocking_connection_close(connection), 0);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  sink_thread_end(w.sink, NULL);
}

/* ---- SIGPIPE ------------------------------------------------------------------------------ */

/* What a write to a server that has gone does to its thread. */
static void raise_in_trace(void *data, uvsmtp_connection_t *connection, uvsmtp_trace_t kind,
                           const char *line, size_t len)
{
  raise(SIGPIPE);
}

static bool is_member(int (*get)(sigset_t *set), int number)
{
  sigset_t set;
  get(&set);
  return sigismember(&set, number);
}

static int get_mask(sigset_t *set)
{
  return pthread_sigmask(SIG_SETMASK, NULL, set);
}

static void a_server_that_goes_away_does_not_end_the_program(void **state)
{
  world_t w;
  sigset_t pipe;
  struct sigaction action = {.sa_handler = SIG_DFL}, before;
  uvsmtp_blocking_client_t *client;
  world_init(&w, NULL);
  world_start(&w);
  w.options.trace = raise_in_trace;
  sigaction(SIGPIPE, &action, &before);
  assert_int_equal(uvsmtp_blocking_client_new(&client, &w.client_options, NULL, 0), 0);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, NULL), 0);
  assert_false(is_member(sigpending, SIGPIPE));
  assert_false(is_member(get_mask, SIGPIPE));
  /* One that waits for somebody else is left to him. */
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, NULL);
  raise(SIGPIPE);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  assert_true(is_member(sigpending, SIGPIPE));
  assert_true(is_member(get_mask, SIGPIPE));
  action.sa_handler = SIG_IGN; /* which takes it away */
  sigaction(SIGPIPE, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
  sigaction(SIGPIPE, &before, NULL);
  world_end(&w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_thread_has_a_client_of_its_own),
      cmocka_unit_test(another_thread_cancels_a_call_and_the_truth_is_told),
      cmocka_unit_test(a_cancelled_command_ends_its_connection),
      cmocka_unit_test(a_cancel_between_calls_ends_the_next_one),
      cmocka_unit_test(a_signal_handler_cancels),
      cmocka_unit_test(a_call_takes_no_longer_than_its_limit),
      cmocka_unit_test(a_server_that_goes_away_does_not_end_the_program),
  };
  return cmocka_run_group_tests_name("blocking threads", tests, NULL, NULL);
}
