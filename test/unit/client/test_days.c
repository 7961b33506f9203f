#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_servers.h"

/*
 * Days of traffic in seconds: servers that stop, come back, hang, reset, refuse sessions, end them
 * after a few messages or when they are idle, and ask to slow down; and an application that sends
 * with all priorities, waits or does not, cancels, and borrows. At every event it is checked that
 * the cap holds, that each send is told once and the truth, that first come is first served, that
 * the rate is kept, and that the lowest priority gets its turns.
 */
#define LETTERS 3000
#define PRIORITIES (UVSMTP_PRIORITY_LOW + 1)
#define MINUTE UINT64_C(60000)
#define HOUR (60 * MINUTE)

typedef struct letter_s {
  uvsmtp_send_t send;
  struct letter_s *next_free;
  uint64_t number;
  uvsmtp_priority_t priority;
  unsigned stored;
  bool waits, begun; /* for its result; on a connection at least once */
} letter_t;

typedef struct loan_s {
  uvsmtp_borrow_t borrow;
  uvsmtp_connection_t *connection;
  bool wanted;
  uint64_t until_ms;
} loan_t;

/* The rules of a bucket, told anew by a floating point. */
typedef struct tally_s {
  double level, burst, per_ms;
  uint64_t at_ms;
} tally_t;

static struct {
  uv_loop_t loop;
  uvsmtp_client_t *client;
  letter_t letters[LETTERS], *free;
  loan_t loan;
  uint64_t next_post_ms, next_weather_ms, end_ms;
  uint64_t posted, told, full, rooms;
  uint64_t statuses[UVSMTP_PARTIAL + 1], late;
  uint64_t last_begun[PRIORITIES], fresh[PRIORITIES];
  unsigned others_since_low;
  tally_t rate;
  unsigned burst; /* of postings */
  size_t servers, cap;
  bool in_call, closed, full_now;
  uvsmtp_recipient_t recipient;
  uvsmtp_envelope_t envelope;
  uvsmtp_source_t source;
} day;

/* ---- what is checked ---------------------------------------------------------------------- */

static void check_rate(void)
{
  tally_t *rate = &day.rate;
  if (rate->per_ms == 0)
    return;
  rate->level += rate->per_ms * (double)(fake.now - rate->at_ms);
  rate->at_ms = fake.now;
  if (rate->level > rate->burst + rate->per_ms)
    rate->level = rate->burst + rate->per_ms;
  rate->level -= 1;
  assert_true(rate->level > -0.001);
}

/* One that had not begun yet does, or is told without. */
static void leave_line(const letter_t *letter)
{
  day.fresh[letter->priority]--;
  if (day.fresh[UVSMTP_PRIORITY_LOW] == 0)
    day.others_since_low = 0;
}

static void on_begin(uvsmtp_send_t *send)
{
  letter_t *letter = send->data;
  check_rate();
  assert_true(fake.sessions <= day.cap);
  if (letter->priority == UVSMTP_PRIORITY_LOW)
    day.others_since_low = 0;
  else if (day.fresh[UVSMTP_PRIORITY_LOW] > 0)
    assert_true(++day.others_since_low <= 22); /* 16 and 4, and one each that just came */
  if (letter->begun)
    return;
  assert_true(letter->number > day.last_begun[letter->priority]);
  day.last_begun[letter->priority] = letter->number;
  leave_line(letter);
  letter->begun = true;
}

static void on_stored(uvsmtp_send_t *send)
{
  letter_t *letter = send->data;
  letter->stored++;
  assert_int_equal(letter->stored, 1); /* nothing is doubled */
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  letter_t *letter = send->data;
  assert_false(day.in_call);
  assert_false(day.closed);
  assert_true(letter->waits);
  letter->waits = false;
  day.told++;
  day.statuses[result->status]++;
  day.late += result->err == UVSMTP_EDEADLINE;
  if (!letter->begun)
    leave_line(letter);
  if (result->status != UVSMTP_UNKNOWN)
    assert_int_equal(letter->stored, result->status == UVSMTP_ACCEPTED);
  letter->next_free = day.free;
  day.free = letter;
}

/* ---- the application ---------------------------------------------------------------------- */

static int post(letter_t *letter)
{
  uvsmtp_send_options_t options = UVSMTP_SEND_OPTIONS_INIT;
  letter->send.data = letter;
  letter->priority = options.priority = (uvsmtp_priority_t)(rand() % PRIORITIES);
  if (fake_dice(10))
    options.timeout_ms = 1 + (uint64_t)rand() % (10 * MINUTE);
  letter->number = day.posted + 1;
  letter->stored = 0;
  letter->begun = false;
  day.in_call = true;
  int err = uvsmtp_client_send_with(day.client, &letter->send, &day.envelope, &day.source, &options,
                                    on_sent);
  day.in_call = false;
  return err;
}

/* Stops when the queue is full, until it is told of room. */
static void post_some(void)
{
  if (day.full_now)
    return;
  for (unsigned n = 1 + (unsigned)rand() % day.burst; n > 0 && day.free != NULL; n--) {
    letter_t *letter = day.free;
    int err = post(letter);
    if (err == UVSMTP_EQUEUEFULL) {
      day.full++;
      day.full_now = true;
      return;
    }
    assert_int_equal(err, 0);
    day.free = letter->next_free;
    letter->waits = true;
    day.fresh[letter->priority]++;
    day.posted++;
  }
}

static void on_room(uvsmtp_client_t *client)
{
  assert_true(day.full_now);
  assert_false(day.in_call);
  day.full_now = false;
  day.rooms++;
}

static void cancel_one(void)
{
  letter_t *letter = &day.letters[rand() % LETTERS];
  day.in_call = true;
  if (letter->waits)
    uvsmtp_send_cancel(&letter->send);
  day.in_call = false;
}

static void on_borrowed(uvsmtp_borrow_t *borrow, uvsmtp_connection_t *connection,
                        const uvsmtp_error_t *error)
{
  assert_false(day.in_call);
  assert_true(day.loan.wanted);
  assert_true((connection == NULL) == (error->err != 0));
  day.loan.wanted = false;
  day.loan.connection = connection;
  day.loan.until_ms = fake.now + (uint64_t)rand() % 2000;
}

static void give_back(void)
{
  if (day.loan.connection != NULL)
    uvsmtp_client_give_back(day.client, day.loan.connection);
  day.loan.connection = NULL;
}

static void borrow_or_give_back(void)
{
  if (day.loan.connection != NULL && fake.now >= day.loan.until_ms) {
    uvsmtp_client_give_back(day.client, day.loan.connection);
    day.loan.connection = NULL;
  } else if (day.loan.connection == NULL && !day.loan.wanted && fake_dice(5)) {
    day.loan.wanted = true;
    assert_int_equal(uvsmtp_client_borrow(day.client, &day.loan.borrow, on_borrowed), 0);
  }
}

/* ---- the weather -------------------------------------------------------------------------- */

static void change_weather(size_t i)
{
  fake_server_t *server = &fake.servers[i];
  server->down = fake_dice(25);
  server->hangs = !server->down && fake_dice(10);
  server->fail_percent = fake_dice(50) ? 0 : (unsigned)rand() % 20;
  server->reject_percent = (unsigned)rand() % 5;
  server->slow_percent = fake_dice(80) ? 0 : 2;
  server->max_sessions = fake_dice(50) ? 0 : 1 + (size_t)rand() % 6;
  server->session_messages = fake_dice(50) ? 0 : 1 + (unsigned)rand() % 20;
  server->idle_ms = fake_dice(50) ? 0 : 1 + (uint64_t)rand() % 20000;
  server->message_ms = 1 + (uint64_t)rand() % 300;
  if (fake_dice(30))
    fake_break(i);
}

static void clear_up(void)
{
  for (size_t i = 0; i < FAKE_SERVERS; i++) {
    bool was_down = fake.servers[i].down || fake.servers[i].hangs;
    fake_server_t clear = {.message_ms = 5};
    clear.sessions = fake.servers[i].sessions;
    clear.sessions_max = fake.servers[i].sessions_max;
    clear.messages = fake.servers[i].messages;
    fake.servers[i] = clear;
    if (was_down)
      fake_break(i);
  }
}

/* ---- a life ------------------------------------------------------------------------------- */

static void on_closed(uvsmtp_client_t *client)
{
  day.closed = true;
}

static void settle(void)
{
  while (uv_loop_alive(&day.loop))
    uv_run(&day.loop, UV_RUN_NOWAIT);
}

static void start(uvsmtp_client_options_t *options, size_t servers)
{
  static const char *const hosts[] = {"a.example", "b.example", "c.example", "d.example"};
  static const uvsmtp_source_ops_t ops = {.size = sizeof(ops)}; /* nobody reads it */
  uvsmtp_endpoint_t endpoints[FAKE_SERVERS];
  char detail[200];
  memset(&day, 0, sizeof(day));
  fake_begin();
  fake.on_begin = on_begin;
  fake.on_stored = on_stored;
  for (size_t i = 0; i < LETTERS; i++) {
    day.letters[i].next_free = day.free;
    day.free = &day.letters[i];
  }
  for (size_t i = 0; i < servers; i++)
    endpoints[i] = (uvsmtp_endpoint_t){.size = sizeof(endpoints[i]),
                                       .host = hosts[i],
                                       .priority = (unsigned)i / 2,
                                       .weight = 1 + (unsigned)i};
  options->endpoints = endpoints;
  options->endpoint_count = servers;
  options->on_room = on_room;
  day.servers = servers;
  day.cap = options->max_connections;
  day.rate = (tally_t){.per_ms = (double)options->message_rate.count / 1000.0,
                       .burst = (double)options->message_rate.burst,
                       .level = (double)options->message_rate.burst,
                       .at_ms = fake.now};
  day.recipient.address = "you@example.org";
  day.envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  day.envelope.recipients = &day.recipient;
  day.envelope.recipient_count = 1;
  day.source.ops = &ops;
  assert_int_equal(uv_loop_init(&day.loop), 0);
  if (uvsmtp_client_new(&day.client, &day.loop, options, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
}

static void run_until(uint64_t end_ms, uint64_t gap_ms)
{
  while (fake.now < end_ms) {
    settle();
    uint64_t next = fake_next();
    next = next < day.next_post_ms ? next : day.next_post_ms;
    next = next < day.next_weather_ms ? next : day.next_weather_ms;
    next = next < end_ms ? next : end_ms;
    fake_advance(next);
    if (fake.now >= day.next_post_ms) {
      post_some();
      if (fake_dice(20))
        cancel_one();
      borrow_or_give_back();
      day.next_post_ms = fake.now + 1 + (uint64_t)rand() % gap_ms;
    }
    if (fake.now >= day.next_weather_ms) {
      for (size_t i = 0; i < day.servers; i++)
        if (fake_dice(50))
          change_weather(i);
      day.next_weather_ms = fake.now + 1 + (uint64_t)rand() % (10 * MINUTE);
    }
  }
}

/* All servers are well again: everything that waits has to be told soon, and accepted. */
static void finish(void)
{
  uint64_t begin = fake.now, before;
  clear_up();
  give_back();
  while (day.told < day.posted && fake_next() != UINT64_MAX && fake.now < begin + HOUR) {
    fake_advance(fake_next());
    settle();
    give_back(); /* a wish may have waited, and got the only connection that the server bears */
  }
  assert_int_equal(day.told, day.posted);
  before = day.statuses[UVSMTP_ACCEPTED];
  for (int i = 0; i < 10; i++)
    post_some();
  uint64_t fresh = day.posted - day.told;
  day.in_call = true;
  uvsmtp_client_close(day.client, UVSMTP_CLOSE_DRAIN, on_closed);
  day.in_call = false;
  settle();
  give_back();
  while (!day.closed && fake_next() != UINT64_MAX) {
    fake_advance(fake_next());
    settle();
    give_back();
  }
  assert_true(day.closed);
  assert_int_equal(day.told, day.posted);
  assert_true(day.statuses[UVSMTP_ACCEPTED] - before + day.late >= fresh);
  assert_int_equal(uv_loop_close(&day.loop), 0);
  assert_int_equal(fake.sessions, 0);
  assert_true(fake.sessions_max <= day.cap);
}

static uvsmtp_client_options_t usual(void)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  options.max_connections = 8;
  options.max_queued = 2000;
  return options;
}

static void a_day_with_one_server(void **state)
{
  for (unsigned seed = 1; seed <= 2; seed++) {
    uvsmtp_client_options_t options = usual();
    srand(seed);
    start(&options, 1);
    day.burst = 60;
    run_until(24 * HOUR, 10000);
    finish();
    assert_true(day.posted > 100000);
    assert_true(day.statuses[UVSMTP_ACCEPTED] > day.posted / 4);
  }
}

static void a_day_with_four_servers_of_two_ranks(void **state)
{
  for (unsigned seed = 1; seed <= 2; seed++) {
    uvsmtp_client_options_t options = usual();
    options.max_messages = 100;
    options.max_age_ms = 5 * MINUTE;
    options.min_idle = 2;
    options.keepalive_ms = 7000;
    srand(seed);
    start(&options, 4);
    day.burst = 60;
    run_until(24 * HOUR, 10000);
    finish();
    assert_true(day.posted > 100000);
    for (size_t i = 0; i < 4; i++)
      assert_true(fake.servers[i].messages > 1000);
    assert_true(day.statuses[UVSMTP_ACCEPTED] > day.posted / 2);
  }
}

/* More comes than goes: the queue is full most of the time, and so all priorities wait. */
static void a_day_at_a_slow_rate_with_a_full_queue(void **state)
{
  uvsmtp_client_options_t options = usual();
  options.max_queued = 500;
  options.max_connect_tries = UINT32_MAX;
  options.message_rate = (uvsmtp_rate_t){.count = 3, .burst = 5};
  options.send_timeout_ms = 10 * MINUTE;
  srand(7);
  start(&options, 2);
  day.burst = 100;
  run_until(24 * HOUR, 5000);
  assert_true(day.full > 100);
  assert_true(day.rooms > 100);
  finish();
  assert_true(day.late > 0);
  assert_true(day.statuses[UVSMTP_ACCEPTED] > 50000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_day_with_one_server),
                                     cmocka_unit_test(a_day_with_four_servers_of_two_ranks),
                                     cmocka_unit_test(a_day_at_a_slow_rate_with_a_full_queue)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
