#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_servers.h"

/*
 * The client on connections that are made up: they open, fail, deliver, die and close as dice say,
 * without a socket, under a clock that is made up too. What is checked is what must hold whatever a
 * connection does: the cap, one callback for each send, none before its call has returned, memory.
 */

/* ---- an application ----------------------------------------------------------------------- */

#define LETTERS 120

typedef struct letter_s {
  uvsmtp_send_t send;
  unsigned calls;
  bool started;
  uvsmtp_result_t result;
} letter_t;

typedef struct loan_s {
  uvsmtp_borrow_t borrow;
  unsigned calls;
  bool started;
} loan_t;

typedef struct app_s {
  uv_loop_t loop;
  uvsmtp_client_t *client;
  letter_t letters[LETTERS];
  loan_t loans[5];
  size_t next, started, done;
  uvsmtp_recipient_t recipient, strange;
  uvsmtp_envelope_t envelope;
  uvsmtp_source_t source;
  bool in_call, closed;
  uvsmtp_client_stats_t stats;
  /* The allocator */
  long left, held;
} app_t;

static app_t app;

static bool spend(void)
{
  return app.left < 0 || app.left-- > 0;
}

static void *app_malloc(void *ctx, size_t size)
{
  if (!spend())
    return NULL;
  app.held++;
  return malloc(size);
}

static void *app_realloc(void *ctx, void *p, size_t size)
{
  if (!spend())
    return NULL;
  app.held += p == NULL;
  return realloc(p, size);
}

static void app_free(void *ctx, void *p)
{
  app.held -= p != NULL;
  free(p);
}

static void post(void);

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  letter_t *letter = send->data;
  assert_false(app.in_call);
  assert_false(app.closed);
  assert_int_equal(result->recipient_count, 1);
  assert_true(result->recipients[0].address != NULL);
  letter->result = *result;
  letter->calls++;
  app.done++;
  if (app.next < LETTERS && fake_dice(70)) /* everything is legal in every callback */
    post();
}

static void post(void)
{
  letter_t *letter = &app.letters[app.next++];
  bool was = app.in_call;
  letter->send.data = letter;
  app.in_call = true;
  int err = uvsmtp_client_send(app.client, &letter->send, &app.envelope, &app.source, on_sent);
  app.in_call = was;
  letter->started = err == 0;
  app.started += err == 0;
  assert_true(err == 0 || err == UVSMTP_ENOMEM || err == UVSMTP_ECLOSING);
}

static void on_borrowed(uvsmtp_borrow_t *borrow, uvsmtp_connection_t *connection,
                        const uvsmtp_error_t *error)
{
  loan_t *loan = borrow->data;
  assert_false(app.in_call);
  loan->calls++;
  assert_true((connection == NULL) == (error != NULL && error->err != 0));
  if (connection == NULL)
    return;
  assert_true(uvsmtp_connection_is_idle(connection));
  uvsmtp_client_give_back(app.client, connection);
}

static void on_closed(uvsmtp_client_t *client)
{
  assert_false(app.closed);
  app.closed = true;
  uvsmtp_client_stats(client, &app.stats);
}

static int begin(unsigned fail_percent, size_t cap, long allocations)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_mem_t mem = {NULL, app_malloc, app_realloc, app_free};
  memset(&app, 0, sizeof(app));
  fake_begin();
  fake.servers[0].fail_percent = fail_percent;
  fake.servers[0].reject_percent = 5;
  app.left = allocations;
  app.recipient.address = "you@example.org";
  app.strange.address = "nobody";
  app.envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  app.envelope.recipients = &app.recipient;
  app.envelope.recipient_count = 1;
  static const uvsmtp_source_ops_t ops = {.size = sizeof(ops)}; /* nobody reads it */
  app.source.ops = &ops;
  connection.host = "a.example";
  connection.tls = UVSMTP_TLS_NONE;
  options.connection = &connection;
  options.max_connections = cap;
  options.retry_delay_ms = 1;
  options.mem = &mem;
  assert_int_equal(uv_loop_init(&app.loop), 0);
  int err = uvsmtp_client_new(&app.client, &app.loop, &options, NULL, 0);
  if (err != 0) {
    assert_int_equal(uv_loop_close(&app.loop), 0);
    return err;
  }
  return 0;
}

/* What is due at this moment, without letting time pass. */
static void settle(void)
{
  while (uv_loop_alive(&app.loop))
    uv_run(&app.loop, UV_RUN_NOWAIT);
}

/* On to the next event; false if there will be none. */
static bool turn(void)
{
  settle();
  uint64_t next = fake_next();
  if (next == UINT64_MAX)
    return false;
  fake_advance(next);
  settle();
  return true;
}

static void close_client(uvsmtp_close_t how)
{
  app.in_call = true;
  uvsmtp_client_close(app.client, how, on_closed);
  app.in_call = false;
}

static void borrow(size_t i)
{
  loan_t *loan = &app.loans[i];
  loan->borrow.data = loan;
  app.in_call = true;
  loan->started = uvsmtp_client_borrow(app.client, &loan->borrow, on_borrowed) == 0;
  app.in_call = false;
}

static void finish(size_t cap)
{
  while (turn())
    ;
  assert_true(app.closed);
  assert_int_equal(uv_loop_close(&app.loop), 0);
  assert_int_equal(fake.sessions, 0);
  assert_int_equal(app.held, 0);
  assert_true(fake.sessions_max <= cap);
  for (size_t i = 0; i < LETTERS; i++)
    assert_int_equal(app.letters[i].calls, app.letters[i].started ? 1 : 0);
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(app.loans[i].calls, app.loans[i].started ? 1 : 0);
  assert_int_equal(app.stats.sent, app.started);
  assert_int_equal(app.stats.in_flight + app.stats.queued + app.stats.connections, 0);
}

static void every_send_and_every_borrower_is_told_once_whatever_connections_do(void **state)
{
  for (unsigned seed = 1; seed <= 300; seed++) {
    srand(seed);
    size_t cap = 1 + (size_t)rand() % 5;
    assert_int_equal(begin(seed % 4 * 5, cap, -1), 0);
    for (size_t i = 0; i < LETTERS / 2; i++)
      post();
    int turns = rand() % 60;
    for (int i = 0; i < turns; i++) {
      turn();
      if (i % 10 == 0 && i < 50)
        borrow((size_t)i / 10);
      size_t k = (size_t)rand() % app.next;
      if (fake_dice(10) && app.letters[k].calls == 0)
        uvsmtp_send_cancel(&app.letters[k].send);
      if (fake_dice(5) && app.loans[0].started && app.loans[0].calls == 0)
        uvsmtp_borrow_cancel(&app.loans[0].borrow);
    }
    close_client(fake_dice(50) ? UVSMTP_CLOSE_ABORT : UVSMTP_CLOSE_DRAIN);
    for (int i = 0; i < 5; i++)
      turn();
    if (!app.closed && fake_dice(30))
      close_client(UVSMTP_CLOSE_ABORT);
    finish(cap);
  }
}

static void when_memory_runs_out_every_send_is_told_and_nothing_leaks(void **state)
{
  for (long n = 0; n < 40; n++) {
    srand(1);
    int err = begin(0, 2, n);
    if (err != 0) {
      assert_int_equal(err, UVSMTP_ENOMEM);
      assert_int_equal(app.held, 0);
      continue;
    }
    for (size_t i = 0; i < 5; i++)
      post();
    close_client(UVSMTP_CLOSE_DRAIN);
    finish(2);
  }
}

static void what_cannot_be_opened_is_told_with_the_reason(void **state)
{
  static const struct {
    int err;
    size_t attempts;
  } rows[] = {
      {UVSMTP_ECONNECT, 4}, {UVSMTP_ETLSCERT, 2}, {UVSMTP_EAUTH, 2}, {UVSMTP_EPERMANENT, 2}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    srand(7);
    assert_int_equal(begin(0, 2, -1), 0);
    fake.servers[0].open_err = rows[i].err;
    for (size_t k = 0; k < 10; k++)
      post();
    borrow(0);
    close_client(UVSMTP_CLOSE_DRAIN);
    finish(2);
    assert_int_equal(fake.servers[0].opened, rows[i].attempts);
    assert_int_equal(app.letters[9].result.status, UVSMTP_DEFERRED);
    assert_int_equal(app.letters[9].result.err, rows[i].err);
    assert_true(app.letters[9].result.retry_is_safe);
    assert_int_equal(app.stats.deferred, app.started);
  }
}

static void what_is_wrong_with_a_message_comes_as_its_result(void **state)
{
  srand(1);
  assert_int_equal(begin(0, 1, -1), 0);
  app.envelope.recipients = &app.strange;
  post();
  close_client(UVSMTP_CLOSE_DRAIN);
  finish(1);
  assert_int_equal(app.letters[0].result.status, UVSMTP_REJECTED);
  assert_int_equal(app.letters[0].result.err, UVSMTP_EADDRESS);
  assert_int_equal(app.stats.rejected, 1);
}

#define MANY 100

static struct {
  uvsmtp_send_t send;
  uvsmtp_recipient_t recipients[MANY];
  uvsmtp_envelope_t envelope;
  unsigned calls;
} large;

static void on_large(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  large.calls++;
  assert_int_equal(result->recipient_count, MANY);
  for (size_t i = 0; i < MANY; i++) {
    assert_ptr_equal(result->recipients[i].address, large.recipients[i].address);
    assert_int_equal(result->recipients[i].status, UVSMTP_DEFERRED);
    assert_string_equal(result->recipients[i].text, "");
  }
}

static void on_small(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  static char addresses[MANY][16];
  large.envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  for (size_t i = 0; i < MANY; i++) {
    snprintf(addresses[i], sizeof(addresses[i]), "u%zu@x.example", i);
    large.recipients[i].address = addresses[i];
  }
  large.envelope.recipients = large.recipients;
  large.envelope.recipient_count = MANY;
  assert_int_equal(
      uvsmtp_client_send(app.client, &large.send, &large.envelope, &app.source, on_large), 0);
  /* What is being read stays in place. */
  assert_string_equal(result->recipients[0].address, "you@example.org");
  assert_string_equal(result->error_text, "made up: cannot open");
  uvsmtp_client_close(app.client, UVSMTP_CLOSE_DRAIN, on_closed);
}

static void a_larger_message_queued_in_a_callback_is_told_in_full(void **state)
{
  uvsmtp_send_t small = {0};
  srand(1);
  memset(&large, 0, sizeof(large));
  assert_int_equal(begin(0, 1, -1), 0);
  fake.servers[0].open_err = UVSMTP_EAUTH;
  assert_int_equal(uvsmtp_client_send(app.client, &small, &app.envelope, &app.source, on_small), 0);
  app.started = 2;
  finish(1);
  assert_int_equal(large.calls, 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_send_and_every_borrower_is_told_once_whatever_connections_do),
      cmocka_unit_test(when_memory_runs_out_every_send_is_told_and_nothing_leaks),
      cmocka_unit_test(what_cannot_be_opened_is_told_with_the_reason),
      cmocka_unit_test(what_is_wrong_with_a_message_comes_as_its_result),
      cmocka_unit_test(a_larger_message_queued_in_a_callback_is_told_in_full)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
