#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/mem.h"
#include "uvsmtp/client.h"

/*
 * The client on connections that are made up: they open, fail, deliver, die and close as dice say,
 * a few turns of the loop later, without a socket. What is checked is what must hold whatever a
 * connection does: the cap, one callback for each send, none before its call has returned, memory.
 */
struct uvsmtp_connection_s {
  uvsmtp__link_t link;
  void *data;
  uvsmtp_connection_cb opened, lost;
  uvsmtp_connection_close_cb closed;
  uvsmtp__link_t sends;
  size_t pending;
  bool open, dead, closing, quitting;
  int wait; /* turns until something happens */
};

static struct {
  uvsmtp__link_t connections;
  size_t count, count_max, opened;
  unsigned fail_percent;
  int open_err; /* all openings fail with it; 0: as the dice say */
  uv_idle_t turn;
} world;

static bool dice(unsigned percent)
{
  return (unsigned)rand() % 100 < percent;
}

int uvsmtp_connection_open(uvsmtp_connection_t **c, uv_loop_t *loop,
                           const uvsmtp_connection_options_t *options, uvsmtp_connection_cb cb,
                           char *detail, size_t detail_size)
{
  assert_string_equal(options->host, "server.example");
  *c = uvsmtp__calloc(options->mem, 1, sizeof(**c));
  if (*c == NULL)
    return UVSMTP_ENOMEM;
  uvsmtp__list_init(&(*c)->sends);
  uvsmtp__list_push_back(&world.connections, &(*c)->link);
  (*c)->opened = cb;
  (*c)->wait = rand() % 4;
  world.opened++;
  if (++world.count > world.count_max)
    world.count_max = world.count;
  return 0;
}

void uvsmtp_connection_set_data(uvsmtp_connection_t *c, void *data)
{
  c->data = data;
}

void *uvsmtp_connection_get_data(const uvsmtp_connection_t *c)
{
  return c->data;
}

void uvsmtp_connection_on_lost(uvsmtp_connection_t *c, uvsmtp_connection_cb cb)
{
  c->lost = cb;
}

bool uvsmtp_connection_can_send(const uvsmtp_connection_t *c)
{
  return c->open && !c->dead && !c->closing && !c->quitting && c->pending < 4;
}

/* Those who are pretended here learn nothing. */
uvsmtp_history_t *uvsmtp_history_acquire(uvsmtp_history_t *history)
{
  return history;
}

int uvsmtp_history_new(uvsmtp_history_t **history, const uvsmtp_mem_t *mem)
{
  return 0;
}

void uvsmtp_history_free(uvsmtp_history_t *history)
{
}

int uvsmtp_history_info(const uvsmtp_history_t *history, uvsmtp_history_info_t *info)
{
  return 0;
}

bool uvsmtp_connection_tls_failed(const uvsmtp_connection_t *c)
{
  return false;
}

bool uvsmtp_connection_is_idle(const uvsmtp_connection_t *c)
{
  return uvsmtp_connection_can_send(c) && c->pending == 0;
}

void uvsmtp_connection_close(uvsmtp_connection_t *c, uvsmtp_connection_close_cb cb)
{
  if (!c->closing && !c->quitting)
    c->closed = cb;
  c->closing = true;
}

void uvsmtp_connection_quit(uvsmtp_connection_t *c, uvsmtp_connection_close_cb cb)
{
  assert_false(c->closing || c->quitting);
  c->quitting = true;
  c->closed = cb;
}

int uvsmtp_connection_send(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                           const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                           uvsmtp_send_cb cb)
{
  if (c->dead || c->closing || c->quitting)
    return UVSMTP_ECLOSING;
  if (strchr(envelope->recipients[0].address, '@') == NULL)
    return UVSMTP_EADDRESS;
  send->cb = cb;
  send->cancel_queued = NULL;
  uvsmtp__list_push_back(&c->sends, (uvsmtp__link_t *)(void *)send->links);
  c->pending++;
  return 0;
}

int uvsmtp_connection_noop(uvsmtp_connection_t *c, uvsmtp_request_t *request, uvsmtp_reply_cb cb)
{
  return UVSMTP_ESTATE;
}

void uvsmtp_send_cancel(uvsmtp_send_t *send)
{
  if (send->cancel_queued != NULL)
    send->cancel_queued(send);
}

uvsmtp_auth_t *uvsmtp_auth_acquire(uvsmtp_auth_t *auth)
{
  return auth;
}

void uvsmtp_auth_free(uvsmtp_auth_t *auth)
{
}

int uvsmtp_auth_claim(uvsmtp_auth_t *auth)
{
  return 0;
}

int uvsmtp_url_parse(uvsmtp_url_t *url, const char *text, char *detail, size_t detail_size)
{
  return UVSMTP_EURL;
}

void uvsmtp_url_clear(uvsmtp_url_t *url)
{
}

int uvsmtp_url_auth_new(uvsmtp_auth_t **auth, const uvsmtp_url_t *url, const uvsmtp_mem_t *mem)
{
  return UVSMTP_EURL;
}

static void complete(uvsmtp_connection_t *c, uvsmtp_status_t status, int err)
{
  uvsmtp_recipient_result_t recipient = {.status = status, .text = ""};
  uvsmtp_send_t *send = UVSMTP__CONTAINER((void *)c->sends.next, uvsmtp_send_t, links);
  uvsmtp_result_t result = {.status = status,
                            .err = err,
                            .error_text = err != 0 ? "made up" : "",
                            .recipients = &recipient,
                            .recipient_count = 1,
                            .retry_is_safe = status == UVSMTP_DEFERRED};
  recipient.address = send->envelope->recipients[0].address;
  uvsmtp__list_remove(c->sends.next);
  c->pending--;
  send->cb(send, &result);
}

static void complete_all(uvsmtp_connection_t *c, int err)
{
  if (c->pending > 0 && dice(50))
    complete(c, UVSMTP_UNKNOWN, err);
  while (c->pending > 0)
    complete(c, UVSMTP_DEFERRED, err);
}

static void end_of(uvsmtp_connection_t *c)
{
  uvsmtp_error_t error = {.err = UVSMTP_ECANCELED, .text = "closed"};
  uvsmtp_connection_cb opened = c->opened;
  c->opened = NULL;
  if (opened != NULL)
    opened(c, &error);
  complete_all(c, UVSMTP_ECANCELED);
  uvsmtp__list_remove(&c->link);
  world.count--;
  c->closed(c);
}

static void open_it(uvsmtp_connection_t *c)
{
  uvsmtp_error_t error = {.err = world.open_err, .text = "made up: cannot open"};
  uvsmtp_connection_cb opened = c->opened;
  c->opened = NULL;
  if (error.err == 0 && dice(world.fail_percent))
    error.err = UVSMTP_ECONNECT;
  c->open = error.err == 0;
  c->dead = !c->open;
  opened(c, error.err == 0 ? NULL : &error);
}

static void die(uvsmtp_connection_t *c)
{
  uvsmtp_error_t error = {.err = UVSMTP_ECONNLOST, .text = "made up: lost"};
  c->dead = true;
  if (c->pending > 0)
    complete_all(c, UVSMTP_ECONNLOST);
  else if (c->lost != NULL)
    c->lost(c, &error);
}

static uvsmtp_mem_t connection_mem;

static void live(uvsmtp_connection_t *c)
{
  if (c->wait-- > 0)
    return;
  c->wait = rand() % 3;
  if (c->closing || (c->quitting && c->pending == 0)) {
    end_of(c);
    uvsmtp__free(&connection_mem, c);
  } else if (!c->open && !c->dead)
    open_it(c);
  else if (c->dead)
    return;
  else if (dice(world.fail_percent))
    die(c);
  else if (c->pending > 0)
    complete(c, dice(5) ? UVSMTP_REJECTED : UVSMTP_ACCEPTED, 0);
}

static void on_turn(uv_idle_t *turn)
{
  uvsmtp__link_t all;
  uvsmtp__list_move(&all, &world.connections);
  while (!uvsmtp__list_empty(&all)) {
    uvsmtp__link_t *link = all.next;
    uvsmtp__list_remove(link);
    uvsmtp__list_push_back(&world.connections, link);
    live(UVSMTP__CONTAINER(link, uvsmtp_connection_t, link));
  }
}

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
  if (app.next < LETTERS && dice(70)) /* everything is legal in every callback */
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
  uv_close((uv_handle_t *)&world.turn, NULL);
}

static int begin(unsigned fail_percent, size_t cap, long allocations)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_mem_t mem = {NULL, app_malloc, app_realloc, app_free};
  memset(&app, 0, sizeof(app));
  memset(&world, 0, sizeof(world));
  uvsmtp__list_init(&world.connections);
  world.fail_percent = fail_percent;
  connection_mem = mem;
  app.left = allocations;
  app.recipient.address = "you@example.org";
  app.strange.address = "nobody";
  app.envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  app.envelope.recipients = &app.recipient;
  app.envelope.recipient_count = 1;
  static const uvsmtp_source_ops_t ops = {.size = sizeof(ops)}; /* nobody reads it */
  app.source.ops = &ops;
  connection.host = "server.example";
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
  uv_idle_init(&app.loop, &world.turn);
  uv_idle_start(&world.turn, on_turn);
  return 0;
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
  uv_run(&app.loop, UV_RUN_DEFAULT);
  assert_true(app.closed);
  assert_int_equal(uv_loop_close(&app.loop), 0);
  assert_int_equal(world.count, 0);
  assert_int_equal(app.held, 0);
  assert_true(world.count_max <= cap);
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
      uv_run(&app.loop, UV_RUN_NOWAIT);
      if (i % 10 == 0 && i < 50)
        borrow((size_t)i / 10);
      size_t k = (size_t)rand() % app.next;
      if (dice(10) && app.letters[k].calls == 0)
        uvsmtp_send_cancel(&app.letters[k].send);
      if (dice(5) && app.loans[0].started && app.loans[0].calls == 0)
        uvsmtp_borrow_cancel(&app.loans[0].borrow);
    }
    close_client(dice(50) ? UVSMTP_CLOSE_ABORT : UVSMTP_CLOSE_DRAIN);
    for (int i = 0; i < 5; i++)
      uv_run(&app.loop, UV_RUN_NOWAIT);
    if (!app.closed && dice(30))
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
    world.open_err = rows[i].err;
    for (size_t k = 0; k < 10; k++)
      post();
    borrow(0);
    close_client(UVSMTP_CLOSE_DRAIN);
    finish(2);
    assert_int_equal(world.opened, rows[i].attempts);
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
  world.open_err = UVSMTP_EAUTH;
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
