/* The blocking client in one thread: results, replies, errors, connections that are lent. */
#include "blocking_world.h"
#include "scarce.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- messages ----------------------------------------------------------------------------- */

static void a_message_is_sent_and_its_result_stays(void **state)
{
  world_t w;
  const uvsmtp_result_t *result = NULL;
  uvsmtp_blocking_client_t *client = world_client(&w, NULL);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result), 0);
  w.to.address = "gone";
  assert_int_equal(result->status, UVSMTP_ACCEPTED);
  assert_int_equal(result->recipient_count, 1);
  assert_string_equal(result->recipients[0].address, "you@sink.example");
  assert_int_equal(result->recipients[0].code, 250);
  assert_non_null(strstr(result->peer, "127.0.0.1"));
  assert_string_equal(result->error_text, "");
  assert_string_equal(uvsmtp_blocking_client_error_text(client), "");
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  assert_int_equal(world_end(&w).messages, 1);
}

static void many_messages_are_sent_at_a_time_and_each_has_its_result(void **state)
{
  enum { MANY = 300 };
  world_t w;
  uvsmtp_recipient_t bad = {.address = "no@sink.example"}, broken = {.address = "a\nb@x.example"};
  uvsmtp_envelope_t refused, injected;
  uvsmtp_blocking_send_t *sends = calloc(MANY, sizeof(*sends));
  uvsmtp_blocking_client_t *client;
  world_init(&w, "rcpt match \"no@*\" : reply \"550 5.1.1 nobody\"");
  world_start(&w);
  w.client_options.max_queued = 7;
  w.client_options.max_connections = 3;
  assert_int_equal(uvsmtp_blocking_client_new(&client, &w.client_options, NULL, 0), 0);
  refused = injected = w.envelope;
  refused.recipients = &bad;
  injected.recipients = &broken;
  for (size_t i = 0; i < MANY; i++) {
    sends[i].source = &w.source;
    sends[i].envelope = i % 10 == 5 ? &refused : i == 1 ? &injected : &w.envelope;
  }
  assert_int_equal(uvsmtp_blocking_client_send_many(client, sends, MANY), UVSMTP_EINJECTION);
  for (size_t i = 0; i < MANY; i++) {
    const uvsmtp_result_t *r = sends[i].result;
    assert_int_equal(r->status, i % 10 == 5 || i == 1 ? UVSMTP_REJECTED : UVSMTP_ACCEPTED);
    assert_int_equal(r->recipient_count, 1);
    assert_string_equal(r->recipients[0].address, sends[i].envelope->recipients[0].address);
  }
  assert_int_equal(sends[1].result->err, UVSMTP_EINJECTION);
  assert_int_equal(sends[5].result->recipients[0].code, 550);
  assert_non_null(strstr(sends[5].result->recipients[0].text, "nobody"));
  assert_int_equal(uvsmtp_blocking_client_send_many(client, sends, 0), 0);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  sink_counters_t counters = world_end(&w);
  assert_int_equal(counters.messages, MANY - MANY / 10 - 1);
  /* Three at a time; each is followed by another when it has had six that were refused. */
  assert_in_range(counters.connections, 1, 3 + MANY / 10 / 6);
  free(sends);
}

/* The server takes one message only. */
static void each_of_many_has_options_of_its_own(void **state)
{
  world_t w;
  uvsmtp_blocking_client_t *client;
  uvsmtp_send_options_t high = UVSMTP_SEND_OPTIONS_INIT, none = UVSMTP_SEND_OPTIONS_INIT;
  uvsmtp_blocking_send_t sends[4];
  world_init(&w, "eod total 2- : reply \"554 5.7.1 No more\"");
  world_start(&w);
  w.client_options.max_connections = 1;
  assert_int_equal(uvsmtp_blocking_client_new(&client, &w.client_options, NULL, 0), 0);
  memset(sends, 0, sizeof(sends));
  for (size_t i = 0; i < 4; i++) {
    sends[i].envelope = &w.envelope;
    sends[i].source = &w.source;
  }
  high.priority = UVSMTP_PRIORITY_HIGH;
  none.priority = (uvsmtp_priority_t)17;
  sends[1].options = &none;
  sends[3].options = &high;
  assert_int_not_equal(uvsmtp_blocking_client_send_many(client, sends, 4), 0);
  assert_int_equal(sends[0].result->status, UVSMTP_REJECTED);
  assert_int_equal(sends[1].result->err, UVSMTP_EINVAL);
  assert_int_equal(sends[2].result->status, UVSMTP_REJECTED);
  assert_int_equal(sends[3].result->status, UVSMTP_ACCEPTED);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  world_end(&w);
}

static void mistakes_have_results_too(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_client_t *client = world_client(&w, NULL);
  uvsmtp_blocking_send_t pair[2] = {{.envelope = &w.envelope, .source = &w.source}, {0}};
  assert_int_equal(uvsmtp_blocking_client_send(client, NULL, &w.source, &result), UVSMTP_EINVAL);
  assert_int_equal(result->err, UVSMTP_EINVAL);
  assert_int_equal(result->recipient_count, 0);
  assert_int_equal(uvsmtp_blocking_client_send_many(client, pair, 2), UVSMTP_EINVAL);
  assert_null(pair[0].result);
  w.envelope.recipient_count = 0;
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result),
                   UVSMTP_ENORECIPIENTS);
  assert_int_equal(result->status, UVSMTP_REJECTED);
  assert_string_equal(result->error_text, uvsmtp_blocking_client_error_text(client));
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  assert_int_equal(uvsmtp_blocking_client_close(NULL), 0);
  assert_int_equal(world_end(&w).connections, 0);
  assert_int_equal(uvsmtp_blocking_client_new_url(&client, "gopher://x"), UVSMTP_EURL);
  assert_null(client);
  w.options.host = NULL;
  assert_int_equal(
      uvsmtp_blocking_client_new(&client, &w.client_options, w.detail, sizeof(w.detail)),
      UVSMTP_EINVAL);
  assert_string_not_equal(w.detail, "");
}

/* Two more turns of the server's loop: then it has really sent what ends them. */
static void drop_connections(world_t *w, bool reset)
{
  sink_counters_t counters;
  sink_thread_drop(w->sink, reset);
  for (int turns = 0; turns < 2; turns++)
    sink_thread_counters(w->sink, &counters);
}

static void a_connection_that_ended_between_calls_is_not_used(void **state)
{
  for (int reset = 0; reset < 2; reset++) {
    world_t w;
    const uvsmtp_result_t *result;
    uvsmtp_client_stats_t stats;
    uvsmtp_blocking_client_t *client = world_client(&w, NULL);
    assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result), 0);
    drop_connections(&w, reset);
    assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result), 0);
    uvsmtp_client_stats(uvsmtp_blocking_client_client(client), &stats);
    assert_int_equal(stats.opened, 2);
    assert_int_equal(uvsmtp_blocking_client_close(client), 0);
    assert_int_equal(world_end(&w).messages, 2);
  }
}

static void a_server_out_of_reach_is_told_with_a_sentence(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_client_t *client = world_client(&w, "greeting : reply \"554 5.3.2 not today\"");
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result),
                   UVSMTP_EPERMANENT);
  assert_int_equal(result->status, UVSMTP_DEFERRED);
  assert_non_null(strstr(uvsmtp_blocking_client_error_text(client), "not today"));
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  world_end(&w);
}

/* ---- memory ------------------------------------------------------------------------------- */

/* One message with allocation number `fail_at` failing; true if there was such a one. */
static bool send_with_scarce_memory(world_t *w, size_t fail_at)
{
  scarce_t scarce = {.fail_at = fail_at};
  const uvsmtp_mem_t mem = {&scarce, scarce_malloc, scarce_realloc, scarce_free};
  const uvsmtp_result_t *result;
  uvsmtp_blocking_client_t *client;
  sink_counters_t before, after;
  w->client_options.mem = &mem;
  w->client_options.max_tries = 1;
  sink_thread_counters(w->sink, &before);
  int err = uvsmtp_blocking_client_new(&client, &w->client_options, NULL, 0);
  if (err == 0) {
    err = uvsmtp_blocking_client_send(client, &w->envelope, &w->source, &result);
    sink_thread_counters(w->sink, &after);
    assert_int_equal(result->err, err);
    assert_true((result->status == UVSMTP_ACCEPTED) == (after.messages == before.messages + 1));
    assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  }
  assert_int_equal(scarce.held, 0);
  assert_true(err == 0 || scarce.count >= fail_at);
  return scarce.count >= fail_at;
}

static void no_outcome_is_lost_when_memory_runs_out(void **state)
{
  world_t w;
  size_t fail_at = 1;
  world_init(&w, NULL);
  world_start(&w);
  while (send_with_scarce_memory(&w, fail_at))
    fail_at++;
  assert_true(fail_at > 10);
  world_end(&w);
}

static void a_copied_result_is_whole(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_result_t *copy;
  uvsmtp_blocking_client_t *client = world_client(&w, "rcpt : reply \"550 5.1.1 nobody\"");
  uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result);
  for (size_t fail_at = 1;; fail_at++) {
    scarce_t scarce = {.fail_at = fail_at};
    const uvsmtp_mem_t mem = {&scarce, scarce_malloc, scarce_realloc, scarce_free};
    int err = uvsmtp_result_copy(&copy, result, &mem);
    assert_int_equal(err, scarce.count >= fail_at ? UVSMTP_ENOMEM : 0);
    assert_true((copy != NULL) == (err == 0));
    if (copy != NULL) {
      assert_string_equal(copy->error_text, result->error_text);
      assert_string_equal(copy->peer, result->peer);
      assert_string_equal(copy->recipients[0].text, result->recipients[0].text);
      assert_ptr_not_equal(copy->recipients[0].text, result->recipients[0].text);
      assert_int_equal(copy->recipients[0].code, 550);
    }
    uvsmtp_result_free(copy);
    assert_int_equal(scarce.held, 0);
    if (err == 0)
      break;
  }
  assert_int_equal(uvsmtp_result_copy(NULL, result, NULL), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  world_end(&w);
}

/* ---- commands ----------------------------------------------------------------------------- */

static void commands_go_one_by_one_and_return_their_replies(void **state)
{
  world_t w;
  const uvsmtp_reply_t *reply;
  char words[128];
  const uvsmtp_slice_t chunk = {"Subject: y\r\n\r\nz\r\n", 17};
  uvsmtp_blocking_connection_t *c =
      world_connection(&w, "rcpt match \"no@*\" : reply \"550-5.1.1 not\" \"550 5.1.1 here\"");
  uvsmtp_recipient_t no = {.address = "no@sink.example"};
  assert_int_equal(uvsmtp_blocking_connection_noop(c, &reply), 0);
  assert_int_equal(reply->code, 250);
  assert_int_equal(uvsmtp_blocking_connection_mail(c, &w.envelope, NULL, &reply), 0);
  assert_int_equal(reply->code, 250);
  assert_int_equal(uvsmtp_blocking_connection_recipient(c, &no, &reply), 0);
  assert_int_equal(reply->code, 550);
  assert_int_equal(reply->lines, 2);
  uvsmtp_reply_text(reply, words, sizeof(words));
  assert_string_equal(words, "not\nhere");
  assert_int_equal(uvsmtp_blocking_connection_recipient(c, &w.to, &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_start_data(c, &reply), 0);
  assert_int_equal(reply->code, 354);
  assert_int_equal(uvsmtp_blocking_connection_data(c, "Subject: x\n\n.y", 14, &reply), 0);
  assert_int_equal(reply->code, 250);
  assert_int_equal(uvsmtp_blocking_connection_mail(c, &w.envelope, NULL, &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_recipient(c, &w.to, NULL), 0);
  assert_int_equal(uvsmtp_blocking_connection_chunk(c, &chunk, 1, true, &reply), 0);
  assert_int_equal(reply->code, 250);
  assert_int_equal(uvsmtp_blocking_connection_mail(c, &w.envelope, NULL, &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_reset(c, &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_vrfy(c, "x", &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_expn(c, "x", &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_help(c, NULL, &reply), 0);
  assert_int_equal(uvsmtp_blocking_connection_command(c, "X-HELLO you", &reply), 0);
  assert_int_equal(reply->code, 500);
  assert_int_equal(uvsmtp_blocking_connection_command(c, "NOOP\r\nQUIT", &reply),
                   UVSMTP_EINJECTION);
  assert_null(reply);
  assert_string_not_equal(uvsmtp_blocking_connection_error_text(c), "");
  assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
  sink_thread_end(w.sink, NULL);
}

static void lmtp_has_a_reply_for_each_recipient(void **state)
{
  world_t w;
  size_t count;
  const uvsmtp_reply_t *reply, *replies;
  uvsmtp_blocking_connection_t *c;
  world_init(&w, "eod nth 3 : reply \"452 4.2.2 full\"");
  w.sink_options.lmtp = w.options.lmtp = true;
  world_start(&w);
  assert_int_equal(uvsmtp_blocking_connection_open(&c, &w.options, NULL, 0), 0);
  assert_int_equal(uvsmtp_blocking_connection_mail(c, &w.envelope, NULL, NULL), 0);
  for (int i = 0; i < 6; i++)
    assert_int_equal(uvsmtp_blocking_connection_recipient(c, &w.to, NULL), 0);
  assert_int_equal(uvsmtp_blocking_connection_start_data(c, NULL), 0);
  assert_int_equal(uvsmtp_blocking_connection_data(c, "x\r\n", 3, &reply), 0);
  replies = uvsmtp_blocking_connection_replies(c, &count);
  assert_int_equal(count, 6);
  assert_ptr_equal(reply, &replies[5]);
  for (size_t i = 0; i < count; i++) {
    char words[64];
    assert_int_equal(replies[i].code, i == 2 ? 452 : 250);
    uvsmtp_reply_text(&replies[i], words, sizeof(words));
    assert_true((strstr(words, "full") != NULL) == (i == 2));
  }
  assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
  world_end(&w);
}

/* Six replies with allocation number `fail_at` failing; true if there was such a one. */
static bool replies_with_scarce_memory(world_t *w, size_t fail_at, bool *made_way)
{
  scarce_t scarce = {.fail_at = fail_at};
  const uvsmtp_mem_t mem = {&scarce, scarce_malloc, scarce_realloc, scarce_free};
  uvsmtp_blocking_connection_t *c;
  w->options.mem = &mem;
  int err = uvsmtp_blocking_connection_open(&c, &w->options, NULL, 0);
  if (err == 0) {
    const uvsmtp_reply_t *reply = NULL, *replies;
    size_t count;
    err = uvsmtp_blocking_connection_mail(c, &w->envelope, NULL, NULL);
    for (int i = 0; i < 6 && err == 0; i++)
      err = uvsmtp_blocking_connection_recipient(c, &w->to, NULL);
    if (err == 0 && (err = uvsmtp_blocking_connection_start_data(c, NULL)) == 0)
      err = uvsmtp_blocking_connection_data(c, "x\r\n", 3, &reply);
    replies = uvsmtp_blocking_connection_replies(c, &count);
    *made_way = *made_way || (reply != NULL && count == 5);
    for (size_t i = 0; reply != NULL && i < count; i++) {
      char words[64];
      uvsmtp_reply_text(&replies[i], words, sizeof(words));
      assert_true(replies[i].raw.len == 0 ||
                  (strstr(words, "full") != NULL) == (replies[i].code == 452));
    }
    assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
  }
  assert_int_equal(scarce.held, 0);
  return scarce.count >= fail_at;
}

static void a_reply_without_room_takes_the_words_of_the_last_one_away(void **state)
{
  world_t w;
  bool made_way = false;
  world_init(&w, "eod nth 6 : reply \"452 4.2.2 full\"");
  w.sink_options.lmtp = w.options.lmtp = true;
  world_start(&w);
  for (size_t fail_at = 1; replies_with_scarce_memory(&w, fail_at, &made_way);)
    fail_at++;
  assert_true(made_way);
  world_end(&w);
}

static void a_connection_sends_messages_and_commands_in_turn(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_connection_t *c = world_connection(&w, NULL);
  assert_int_equal(uvsmtp_blocking_connection_send(c, &w.envelope, &w.source, &result), 0);
  assert_int_equal(result->status, UVSMTP_ACCEPTED);
  assert_int_equal(uvsmtp_blocking_connection_noop(c, NULL), 0);
  assert_int_equal(uvsmtp_blocking_connection_send(c, &w.envelope, &w.source, NULL), 0);
  assert_int_equal(uvsmtp_blocking_connection_send(c, &w.envelope, NULL, &result), UVSMTP_EINVAL);
  assert_int_equal(result->err, UVSMTP_EINVAL);
  w.envelope.recipient_count = 0;
  assert_int_equal(uvsmtp_blocking_connection_send(c, &w.envelope, &w.source, &result),
                   UVSMTP_ENORECIPIENTS);
  assert_int_equal(result->status, UVSMTP_REJECTED);
  assert_non_null(
      strstr(uvsmtp_connection_peer(uvsmtp_blocking_connection_connection(c)), "127.0.0.1"));
  assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
  assert_int_equal(uvsmtp_blocking_connection_close(NULL), 0);
  assert_int_equal(world_end(&w).messages, 2);
}

static void a_connection_that_has_ended_says_why(void **state)
{
  static const struct {
    const char *script, *words;
    int err; /* of the command during which it ended; 0: it was parked */
  } rows[] = {
      {"noop nth 2 : reply \"421 4.3.2 going down\", close", "going down", 0},
      {"noop nth 2 : close", "closed", UVSMTP_ECONNLOST},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    world_t w;
    const uvsmtp_reply_t *reply;
    uvsmtp_blocking_connection_t *c = world_connection(&w, rows[i].script);
    assert_int_equal(uvsmtp_blocking_connection_noop(c, &reply), 0);
    assert_int_equal(uvsmtp_blocking_connection_noop(c, &reply), rows[i].err);
    assert_true((reply == NULL) == (rows[i].err != 0));
    assert_int_not_equal(uvsmtp_blocking_connection_noop(c, &reply), 0);
    assert_null(reply);
    assert_string_not_equal(uvsmtp_blocking_connection_error_text(c), "");
    assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
    world_end(&w);
  }
}

static void opening_tells_why_it_failed(void **state)
{
  world_t w;
  uvsmtp_blocking_connection_t *c;
  world_init(&w, "greeting : reply \"421 4.3.2 too busy\"");
  world_start(&w);
  assert_int_equal(uvsmtp_blocking_connection_open(&c, &w.options, w.detail, sizeof(w.detail)),
                   UVSMTP_ETEMPORARY);
  assert_null(c);
  assert_non_null(strstr(w.detail, "too busy"));
  w.options.host = "a\nb";
  assert_int_equal(uvsmtp_blocking_connection_open(&c, &w.options, w.detail, sizeof(w.detail)),
                   UVSMTP_EINJECTION);
  assert_int_equal(uvsmtp_blocking_connection_open(&c, NULL, NULL, 0), UVSMTP_EINVAL);
  world_end(&w);
}

/* ---- lending ------------------------------------------------------------------------------ */

static void a_borrowed_connection_goes_back_and_is_used_again(void **state)
{
  world_t w;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_connection_t *c;
  uvsmtp_blocking_client_t *client = world_client(&w, NULL);
  assert_int_equal(uvsmtp_blocking_client_borrow(client, &c), 0);
  assert_int_equal(uvsmtp_blocking_connection_noop(c, NULL), 0);
  assert_int_equal(uvsmtp_blocking_client_close(client), UVSMTP_EBUSY);
  assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, &result), 0);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  assert_int_equal(world_end(&w).connections, 1);
}

static void a_client_and_the_connection_it_has_lent_are_used_in_turn(void **state)
{
  world_t w;
  const uvsmtp_reply_t *reply;
  uvsmtp_blocking_connection_t *c;
  uvsmtp_blocking_client_t *client = world_client(&w, NULL);
  assert_int_equal(uvsmtp_blocking_client_borrow(client, &c), 0);
  assert_int_equal(uvsmtp_blocking_connection_mail(c, &w.envelope, NULL, &reply), 0);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, NULL), 0);
  assert_int_equal(uvsmtp_blocking_connection_recipient(c, &w.to, &reply), 0);
  assert_int_equal(reply->code, 250);
  /* Given back in the middle of a transaction it is of no use to others. */
  assert_int_equal(uvsmtp_blocking_connection_close(c), 0);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, NULL), 0);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  sink_counters_t counters = world_end(&w);
  assert_int_equal(counters.messages, 2);
  assert_int_equal(counters.connections, 2);
}

static void what_cannot_be_borrowed_says_why(void **state)
{
  world_t w;
  uvsmtp_blocking_connection_t *c;
  uvsmtp_blocking_client_t *client = world_client(&w, "greeting : reply \"554 go away\"");
  assert_int_equal(uvsmtp_blocking_client_borrow(client, &c), UVSMTP_EPERMANENT);
  assert_null(c);
  assert_non_null(strstr(uvsmtp_blocking_client_error_text(client), "go away"));
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  world_end(&w);
}

/* ---- what is refused ---------------------------------------------------------------------- */

typedef struct inside_s {
  uvsmtp_blocking_client_t *client;
  world_t *w;
  int calls;
} inside_t;

static void on_trace(void *data, uvsmtp_connection_t *connection, uvsmtp_trace_t kind,
                     const char *line, size_t len)
{
  inside_t *inside = data;
  const uvsmtp_result_t *result;
  uvsmtp_blocking_connection_t *c;
  if (inside->client == NULL)
    return;
  inside->calls++;
  assert_int_equal(uvsmtp_blocking_client_send(inside->client, &inside->w->envelope,
                                               &inside->w->source, &result),
                   UVSMTP_EBUSY);
  assert_int_equal(result->err, UVSMTP_EBUSY);
  assert_int_equal(uvsmtp_blocking_client_borrow(inside->client, &c), UVSMTP_EBUSY);
  assert_int_equal(uvsmtp_blocking_client_close(inside->client), UVSMTP_EBUSY);
}

static void a_call_inside_a_call_is_refused(void **state)
{
  world_t w;
  inside_t inside = {.w = &w};
  const uvsmtp_result_t *result;
  world_init(&w, NULL);
  world_start(&w);
  w.options.trace = on_trace;
  w.options.trace_data = &inside;
  assert_int_equal(uvsmtp_blocking_client_new(&inside.client, &w.client_options, NULL, 0), 0);
  assert_int_equal(uvsmtp_blocking_client_send(inside.client, &w.envelope, &w.source, &result), 0);
  assert_int_equal(result->status, UVSMTP_ACCEPTED);
  assert_in_range(inside.calls, 5, 100);
  uvsmtp_blocking_client_t *client = inside.client;
  inside.client = NULL;
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  world_end(&w);
}

static void handles_of_others_have_to_be_closed_first(void **state)
{
  world_t w;
  uv_timer_t timer;
  uvsmtp_blocking_client_t *client = world_client(&w, NULL);
  assert_int_equal(uvsmtp_blocking_client_send(client, &w.envelope, &w.source, NULL), 0);
  uv_timer_init(uvsmtp_blocking_client_loop(client), &timer);
  assert_int_equal(uvsmtp_blocking_client_close(client), UVSMTP_EBUSY);
  uv_close((uv_handle_t *)&timer, NULL);
  assert_int_equal(uvsmtp_blocking_client_close(client), 0);
  world_end(&w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_is_sent_and_its_result_stays),
      cmocka_unit_test(many_messages_are_sent_at_a_time_and_each_has_its_result),
      cmocka_unit_test(each_of_many_has_options_of_its_own),
      cmocka_unit_test(mistakes_have_results_too),
      cmocka_unit_test(a_connection_that_ended_between_calls_is_not_used),
      cmocka_unit_test(a_server_out_of_reach_is_told_with_a_sentence),
      cmocka_unit_test(no_outcome_is_lost_when_memory_runs_out),
      cmocka_unit_test(a_copied_result_is_whole),
      cmocka_unit_test(commands_go_one_by_one_and_return_their_replies),
      cmocka_unit_test(lmtp_has_a_reply_for_each_recipient),
      cmocka_unit_test(a_reply_without_room_takes_the_words_of_the_last_one_away),
      cmocka_unit_test(a_connection_sends_messages_and_commands_in_turn),
      cmocka_unit_test(a_connection_that_has_ended_says_why),
      cmocka_unit_test(opening_tells_why_it_failed),
      cmocka_unit_test(a_borrowed_connection_goes_back_and_is_used_again),
      cmocka_unit_test(a_client_and_the_connection_it_has_lent_are_used_in_turn),
      cmocka_unit_test(what_cannot_be_borrowed_says_why),
      cmocka_unit_test(a_call_inside_a_call_is_refused),
      cmocka_unit_test(handles_of_others_have_to_be_closed_first),
  };
  return cmocka_run_group_tests_name("blocking", tests, NULL, NULL);
}
