#include "bench.h"

/* Clients against the fake server: what they promise whatever it does. */

/* Three recipients, and sessions that take one each: one callback, and all of them have it. */
static void what_one_session_leaves_goes_on_in_others(void **state)
{
  static const struct {
    const char *limits, *script, *told;
    uint64_t connections, messages;
    size_t max_refused;
  } rows[] = {
      {"LIMITS RCPTMAX=1 MAILMAX=1", NULL, "aaaaa", 5, 5},
      {"LIMITS RCPTMAX=2 MAILMAX=1", "rcpt match \"p1@*\" : reply \"550 5.1.1 No\"", "araaa", 3, 3},
      {"LIMITS RCPTDOMAINMAX=1", NULL, "aaaaa", 5, 5},
      {"LIMITS RCPTMAX=2", "rcpt match \"p2@*\" times 1 : reply \"421 4.3.2 Bye\", close", "aaaaa",
       2, 3},
      {"X-NONE", "rcpt match \"p2@*\" times 1 : reply \"421 4.3.2 Bye\", close", "aaaaa", 2, 1},
      {"LIMITS RCPTMAX=2", "rcpt match \"p2@*\" : reply \"421 4.3.2 Bye\", close", "aaddd", 3, 1},
      {"LIMITS RCPTMAX=2",
       "rcpt match \"p0@*\" : reply \"550 5.1.1 No\"\nrcpt match \"p1@*\" : reply \"550 5.1.1 No\"",
       "rraaa", 2, 2, .max_refused = 2},
      /* All of the second transaction was on its way, and the third was not. */
      {"LIMITS RCPTMAX=2", "rcpt match \"p2@*\" times 1 : close", "aauua", 2, 2},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    bench_t *b = malloc(sizeof(*b));
    uvsmtp_recipient_t people[5] = {{.address = "p0@a.example"},
                                    {.address = "p1@b.example"},
                                    {.address = "p2@c.example"},
                                    {.address = "p3@d.example"},
                                    {.address = "p4@e.example"}};
    uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
    uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
    sink_options_t sink = {.script = rows[i].script, .ehlo = &rows[i].limits, .ehlo_count = 1};
    uint64_t taken = 0;
    connection.max_refused_recipients = rows[i].max_refused;
    options.max_connections = 1;
    options.retry_delay_ms = 2;
    bench_start_with(b, &sink, &options, &connection);
    b->people = people;
    assert_int_equal(bench_post(b, 0), 0);
    bench_end(b, UVSMTP_CLOSE_DRAIN);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(b->mails[0].calls, 1);
    if (strcmp(b->told, rows[i].told) != 0)
      fail_msg("%s, %s: %s", rows[i].limits, rows[i].script, b->told);
    assert_int_equal(b->counters.connections, rows[i].connections);
    assert_int_equal(b->counters.messages, rows[i].messages);
    for (const char *told = rows[i].told; *told != 0; told++)
      taken += *told == 'a';
    assert_int_equal(b->counters.recipients, taken);
    free(b);
  }
}

/* Servers that take a few messages in a session, and say so in one way or another. */
static void sessions_that_take_a_few_messages_are_followed_by_others(void **state)
{
  static const char script[] = "mail nth 4- : reply \"452 4.5.3 Too many messages\"";
  for (int i = 0; i < 2; i++) {
    const char *limits = i == 1 ? "LIMITS MAILMAX=3" : "X-NONE";
    bench_t *b = malloc(sizeof(*b));
    uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
    uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
    sink_options_t sink = {.script = i == 0 ? script : NULL, .ehlo = &limits, .ehlo_count = 1};
    options.max_connections = 2;
    options.retry_delay_ms = 2;
    bench_start_with(b, &sink, &options, &connection);
    bench_post_many(b, 20);
    bench_end(b, UVSMTP_CLOSE_DRAIN);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 20);
    assert_int_equal(b->counters.messages, 20);
    assert_in_range(b->counters.connections, 7, 20);
    free(b);
  }
}

/* A server that takes none is not asked again and again. */
static void a_session_that_takes_no_message_is_not_followed_by_others_without_end(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  bench_start(b, "mail : reply \"452 4.5.3 Too many messages\"", 2);
  bench_post_many(b, 6);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_DEFERRED), 6);
  assert_in_range(b->counters.connections, 1, 6);
  free(b);
}

static void messages_to_more_domains_than_a_session_takes_go_in_the_next(void **state)
{
  const char *limits = "LIMITS RCPTDOMAINMAX=1";
  bench_t *b = malloc(sizeof(*b));
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  sink_options_t sink = {.ehlo = &limits, .ehlo_count = 1};
  options.max_connections = 1;
  bench_start_with(b, &sink, &options, &connection);
  for (size_t i = 0; i < 8; i += 2) {
    assert_int_equal(bench_post(b, i), 0);
    snprintf(b->mails[i].to, sizeof(b->mails[i].to), "u%zu@d%zu.example", i, i);
  }
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 4);
  free(b);
}

/* It may have been delivered at the first try, whatever happens to the second. */
static void what_was_unknown_stays_so_if_it_cannot_be_sent_again(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  sink_options_t sink = {.script = "eod total 1 : close\nmail conn 2- : reply \"451 4.7.1 No\""};
  options.retry_delay_ms = 2;
  options.resend_unknown = true;
  bench_start_with(b, &sink, &options, &connection);
  assert_int_equal(bench_post(b, 1), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(b->mails[1].stored, 1);
  assert_int_equal(b->mails[1].status, UVSMTP_UNKNOWN);
  free(b);
}

static void what_is_unknown_goes_again_if_the_caller_wants_it(void **state)
{
  for (int wanted = 0; wanted < 2; wanted++) {
    bench_t *b = malloc(sizeof(*b));
    uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
    uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
    sink_options_t sink = {.script = "eod total 1 : refuse, close"};
    options.retry_delay_ms = 2;
    options.resend_unknown = wanted;
    bench_start_with(b, &sink, &options, &connection);
    assert_int_equal(bench_post(b, 0), 0);
    bench_end(b, UVSMTP_CLOSE_DRAIN);
    bench_finish(b);
    assert_int_equal(b->mails[0].status, wanted ? UVSMTP_ACCEPTED : UVSMTP_UNKNOWN);
    free(b);
  }
}

/* 353 is the word of PRDR, that others follow; where it was not agreed on it is one like others. */
static void a_353_that_nobody_asked_for_is_no_acceptance(void **state)
{
  for (int lmtp = 0; lmtp < 2; lmtp++) {
    bench_t *b = malloc(sizeof(*b));
    uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
    uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
    sink_options_t sink = {.script = "eod nth 1 : reply \"353 What?\"", .lmtp = lmtp};
    connection.lmtp = lmtp;
    options.max_tries = 1;
    bench_start_with(b, &sink, &options, &connection);
    assert_int_equal(bench_post(b, 0), 0);
    bench_end(b, UVSMTP_CLOSE_DRAIN);
    bench_finish(b);
    assert_int_equal(b->mails[0].status, UVSMTP_DEFERRED);
    assert_string_equal(b->mails[0].text, "What?");
    free(b);
  }
}

static void five_hundred_messages_go_through_five_connections(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  bench_start(b, NULL, 5);
  bench_post_many(b, 500);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  assert_int_equal(bench_post(b, 501), UVSMTP_ECLOSING);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 500);
  assert_int_equal(b->counters.messages, 500);
  assert_in_range(b->counters.open_max, 2, 5);
  assert_int_equal(b->counters.connections, 5);
  assert_int_equal(b->stats.accepted, 500);
  assert_int_equal(b->stats.opened, 5);
  assert_int_equal(b->stats.retries, 0);
  assert_int_equal(b->stats.reused, 495);
  free(b);
}

static uint64_t run_script(sink_options_t *sink)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  bench_t *b = malloc(sizeof(*b));
  options.max_connections = 3;
  options.retry_delay_ms = 2;
  bench_start_with(b, sink, &options, &connection);
  bench_post_many(b, 60);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_in_range(b->counters.open_max, 1, 3);
  assert_true(bench_count_of(b, UVSMTP_ACCEPTED) > 0);
  uint64_t scripted = b->counters.scripted;
  free(b);
  return scripted;
}

static void connections_that_servers_cut_lose_no_message_and_double_none(void **state)
{
  static const char *const scripts[] = {
      "mail total 3 : close\nmail total 20 : reset\nmail total 31 : reply \"421 bye\", close\n",
      "eod every 7 : close\n",         /* taken, and not said so */
      "eod every 7 : refuse, close\n", /* lost, and not said so */
      "eod every 9 : refuse, reset\n",
      "rcpt every 11 : reset\n",
      "data every 5 : reset\n",
      "received 700 : reset\n",
      "sent 300 : close\n",
      "eod every 6 : reply \"451 later\"\n",
      "eod every 6 : reply \"421 bye\", close\n",
      "connect total 1-2 : reset\n",
      "greeting total 1-2 : reply \"421 busy\", close\n",
      "rcpt match \"u1*\" : reply \"550 no such user\"\n"};
  /* By BDAT, by DATA, and one command at a time: not every rule is met in every way. */
  static const unsigned without[] = {0, SINK_CHUNKING, SINK_CHUNKING | SINK_PIPELINING};
  for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
    uint64_t scripted = 0;
    for (size_t way = 0; way < 3; way++) {
      sink_options_t sink = {.script = scripts[i], .without = without[way]};
      scripted += run_script(&sink);
    }
    if (scripted == 0)
      fail_msg("script %zu did nothing", i);
  }
}

static void what_a_dead_connection_refused_at_its_first_command_is_sent_on_the_next(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  /* Without CHUNKING no content leaves before the server has let it. */
  sink_options_t sink = {.script = "mail conn 1 nth 2 : close\n", .without = SINK_CHUNKING};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  options.max_connections = 1;
  bench_start_with(b, &sink, &options, &connection);
  bench_post_many(b, 2);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 2);
  assert_int_equal(b->counters.connections, 2);
  assert_int_equal(b->stats.retries, 1);
  free(b);
}

static void closing_at_any_point_tells_every_send_the_truth(void **state)
{
  for (unsigned seed = 1; seed <= 40; seed++) {
    bench_t *b = malloc(sizeof(*b));
    srand(seed);
    bench_start(b, seed % 3 == 0 ? "eod every 9 : close\n" : NULL, 1 + (size_t)rand() % 5);
    bench_post_many(b, 60);
    b->how = seed % 2 ? UVSMTP_CLOSE_ABORT : UVSMTP_CLOSE_DRAIN;
    b->close_after = 1 + (size_t)rand() % 60;
    bench_finish(b);
    if (b->how == UVSMTP_CLOSE_DRAIN && seed % 3 != 0)
      assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 60);
    free(b);
  }
}

static void close_from_a_turn_of_the_loop_is_right_in_every_turn(void **state)
{
  for (int turns = 0; turns < 30; turns++) {
    bench_t *b = malloc(sizeof(*b));
    bench_start(b, NULL, 2);
    bench_post_many(b, 20);
    for (int i = 0; i < turns; i++)
      uv_run(&b->loop, UV_RUN_NOWAIT);
    bench_end(b, UVSMTP_CLOSE_ABORT);
    bench_end(b, UVSMTP_CLOSE_ABORT); /* harmless */
    bench_finish(b);
    free(b);
  }
}

static void draining_can_be_hurried(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  bench_start(b, "eod : stall\n", 2);
  bench_post_many(b, 10);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  while (sink_counters(b->sink)->scripted == 0)
    uv_run(&b->loop, UV_RUN_ONCE);
  uvsmtp_client_close(b->client, UVSMTP_CLOSE_ABORT, NULL);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 0);
  assert_true(bench_count_of(b, UVSMTP_UNKNOWN) >= 1);
  free(b);
}

static void a_send_that_waits_is_cancelled_without_a_trace(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  bench_start(b, NULL, 1);
  bench_post_many(b, 5);
  b->in_call = true;
  uvsmtp_send_cancel(&b->mails[0].send);
  uvsmtp_send_cancel(&b->mails[3].send);
  uvsmtp_send_cancel(&b->mails[3].send);
  b->in_call = false;
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 3);
  assert_int_equal(b->mails[3].err, UVSMTP_ECANCELED);
  assert_true(b->mails[3].cancelled);
  assert_int_equal(b->mails[3].stored, 0);
  free(b);
}

static void a_full_queue_says_so(void **state)
{
  sink_options_t sink = {0};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  bench_t *b = malloc(sizeof(*b));
  options.max_queued = 3;
  bench_start_with(b, &sink, &options, &connection);
  bench_post_many(b, 3);
  assert_int_equal(bench_post(b, 3), UVSMTP_EQUEUEFULL);
  mail_t *mail = &b->mails[4];
  mail->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  uvsmtp_source_memory(&mail->source, "", 0);
  assert_int_equal(
      uvsmtp_client_send(b->client, &mail->send, &mail->envelope, &mail->source, bench_on_sent),
      UVSMTP_ENORECIPIENTS);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 3);
  free(b);
}

static void a_server_that_is_not_there_defers_after_all_tries(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  bench_start(b, NULL, 3);
  /* Now nobody listens there any more. */
  sink_close(b->sink, NULL);
  b->sink = NULL;
  uv_run(&b->loop, UV_RUN_NOWAIT);
  uv_run(&b->loop, UV_RUN_NOWAIT);
  bench_post_many(b, 10);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_DEFERRED), 10);
  assert_int_equal(uvsmtp_err_class(b->mails[0].err), UVSMTP_CLASS_NETWORK);
  assert_int_equal(b->stats.failed, 5); /* three at once, then one, then one */
  assert_int_equal(b->stats.opened, 0);
  free(b);
}

static void a_refused_login_fails_all_that_wait_at_once(void **state)
{
  sink_options_t sink = {.user = "u", .password = "right"};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_auth_options_t auth_options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth;
  bench_t *b = malloc(sizeof(*b));
  auth_options.user = "u";
  auth_options.password = "wrong";
  assert_int_equal(uvsmtp_auth_plain_new(&auth, &auth_options), 0);
  connection.auths = &auth;
  connection.auth_count = 1;
  connection.allow_plaintext_auth = true;
  options.max_connections = 1;
  bench_start_with(b, &sink, &options, &connection);
  uvsmtp_auth_free(auth); /* the client has its own hold */
  auth = NULL;
  bench_post_many(b, 5);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_DEFERRED), 5);
  assert_int_equal(b->mails[4].err, UVSMTP_EAUTH);
  assert_int_equal(b->stats.failed, 1);
  free(b);
}

static void an_idle_connection_that_the_server_ends_leaves_the_pool(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  uvsmtp_client_stats_t stats;
  bench_start(b, "idle conn 1 after 300 : reply \"421 4.4.2 idle\", close\n", 1);
  bench_post_many(b, 1);
  do {
    uv_run(&b->loop, UV_RUN_ONCE);
    uvsmtp_client_stats(b->client, &stats);
  } while (stats.retired == 0);
  assert_int_equal(stats.connections, 0);
  assert_int_equal(bench_post(b, 1), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 2);
  assert_int_equal(b->stats.retries, 0);
  free(b);
}

/* ---- lending ------------------------------------------------------------------------------ */

typedef struct loan_s {
  uvsmtp_borrow_t borrow;
  uvsmtp_request_t noop;
  uvsmtp_connection_t *connection;
  bench_t *bench;
  int err, replied;
  unsigned calls;
  bool give_back_early;
} loan_t;

static void on_noop(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                    const uvsmtp_error_t *error)
{
  loan_t *loan = request->data;
  loan->replied = reply != NULL ? reply->code : error->err;
  if (!loan->give_back_early)
    uvsmtp_client_give_back(loan->bench->client, loan->connection);
}

static void on_borrowed(uvsmtp_borrow_t *borrow, uvsmtp_connection_t *connection,
                        const uvsmtp_error_t *error)
{
  loan_t *loan = borrow->data;
  assert_false(loan->bench->in_call);
  loan->calls++;
  loan->err = error != NULL ? error->err : 0;
  loan->connection = connection;
  if (connection == NULL)
    return;
  loan->noop.data = loan;
  assert_true(uvsmtp_connection_is_idle(connection));
  assert_int_equal(uvsmtp_connection_noop(connection, &loan->noop, on_noop), 0);
  if (loan->give_back_early)
    uvsmtp_client_give_back(loan->bench->client, connection);
}

static void borrow(bench_t *b, loan_t *loan)
{
  loan->bench = b;
  loan->borrow.data = loan;
  b->in_call = true;
  assert_int_equal(uvsmtp_client_borrow(b->client, &loan->borrow, on_borrowed), 0);
  b->in_call = false;
}

static void a_connection_is_lent_between_sends_and_used_on_when_it_is_back(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  loan_t loan = {0};
  bench_start(b, NULL, 1);
  bench_post_many(b, 10);
  borrow(b, &loan);
  for (size_t i = 10; i < 20; i++)
    assert_int_equal(bench_post(b, i), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  assert_int_equal(uvsmtp_client_borrow(b->client, &loan.borrow, on_borrowed), UVSMTP_ECLOSING);
  bench_finish(b);
  assert_int_equal(loan.calls, 1);
  assert_int_equal(loan.replied, 250);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 20);
  assert_int_equal(b->counters.connections, 1);
  free(b);
}

static void a_connection_given_back_in_use_is_closed(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  loan_t loan = {.give_back_early = true};
  bench_start(b, NULL, 1);
  borrow(b, &loan);
  assert_int_equal(bench_post(b, 0), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(loan.replied, UVSMTP_ECANCELED);
  assert_int_equal(bench_count_of(b, UVSMTP_ACCEPTED), 1);
  assert_int_equal(b->counters.connections, 2);
  free(b);
}

static void a_wish_to_borrow_can_be_taken_back_or_is_cancelled_by_closing(void **state)
{
  bench_t *b = malloc(sizeof(*b));
  loan_t loans[2] = {{{0}}};
  bench_start(b, NULL, 1);
  borrow(b, &loans[0]);
  borrow(b, &loans[1]);
  uvsmtp_borrow_cancel(&loans[0].borrow);
  uvsmtp_borrow_cancel(&loans[0].borrow);
  bench_end(b, UVSMTP_CLOSE_ABORT);
  bench_finish(b);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(loans[i].calls, 1);
    assert_int_equal(loans[i].err, UVSMTP_ECANCELED);
    assert_null(loans[i].connection);
  }
  free(b);
}

/* ---- making ------------------------------------------------------------------------------- */

static void wrong_options_are_refused_with_a_sentence(void **state)
{
  static const struct {
    const char *url, *host, *ehlo;
    int err;
  } rows[] = {{NULL, NULL, NULL, UVSMTP_EINVAL},
              {"http://x", NULL, NULL, UVSMTP_EURL},
              {NULL, "a\r\nb", NULL, UVSMTP_EINJECTION},
              {NULL, "a", "x\nQUIT", UVSMTP_EINJECTION},
              {NULL, "a", "not a domain", UVSMTP_EINVAL}};
  uv_loop_t loop;
  assert_int_equal(uv_loop_init(&loop), 0);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
    uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
    uvsmtp_client_t *client;
    char detail[128];
    connection.url = rows[i].url;
    connection.host = rows[i].host;
    connection.ehlo_domain = rows[i].ehlo;
    options.connection = &connection;
    assert_int_equal(uvsmtp_client_new(&client, &loop, &options, detail, sizeof(detail)),
                     rows[i].err);
    assert_null(client);
    assert_true(detail[0] != '\0');
  }
  assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_sentence_names_the_field(void **state)
{
  static const uvsmtp_endpoint_t good = {.size = sizeof(good), .host = "a"},
                                 nowhere = {.size = sizeof(nowhere)},
                                 heavy = {.size = sizeof(heavy), .host = "a", .weight = 70000};
  const uvsmtp_endpoint_t second_bad[] = {good, {.size = sizeof(good), .url = "ftp://x"}};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  connection.host = "a";
#define WITH .size = sizeof(uvsmtp_client_options_t), .connection = &connection
  const struct {
    uvsmtp_client_options_t options;
    int err;
    const char *detail;
  } rows[] = {
      {{.size = sizeof(uvsmtp_client_options_t)},
       UVSMTP_EINVAL,
       "one of connection, endpoints and urls is required"},
      {{WITH, .endpoint_count = 1}, UVSMTP_EINVAL, "endpoints is NULL"},
      {{WITH, .endpoints = &good}, UVSMTP_EINVAL, "endpoint_count is 0"},
      {{WITH, .endpoints = &good, .endpoint_count = 1, .urls = "smtp://x"},
       UVSMTP_EINVAL,
       "urls and endpoints exclude each other"},
      {{.size = sizeof(uvsmtp_client_options_t), .endpoints = &nowhere, .endpoint_count = 1},
       UVSMTP_EINVAL,
       "endpoints[0]: one of url, host and unix_path is required"},
      {{WITH, .endpoints = &heavy, .endpoint_count = 1},
       UVSMTP_EINVAL,
       "endpoints[0]: weight may be at most 65535"},
      {{WITH, .endpoints = second_bad, .endpoint_count = 2}, UVSMTP_EURL, "endpoints[1]: "},
      {{WITH, .urls = "smtp://x  ftp://y"}, UVSMTP_EURL, "urls[1]: "},
      {{WITH, .urls = "  "}, UVSMTP_EINVAL, "urls has no URL"},
      {{WITH, .urls = "smtp://x\nsmtp://y"}, UVSMTP_EINJECTION, "url has a CR, LF or NUL"},
      {{WITH, .min_idle = 51}, UVSMTP_EINVAL, "min_idle is more than max_connections (50)"},
      {{WITH, .max_retry_delay_ms = 999},
       UVSMTP_EINVAL,
       "max_retry_delay_ms is less than retry_delay_ms (1000)"},
      {{WITH, .message_rate = {.per_ms = 5}}, UVSMTP_EINVAL, "message_rate: without a count"},
      {{WITH, .recipient_rate = {.count = 1, .burst = 1000000001}},
       UVSMTP_EINVAL,
       "recipient_rate: its numbers may be at most 1000000000"},
      {{WITH, .connection_rate = {.burst = 1}}, UVSMTP_EINVAL, "connection_rate: without a count"},
      {{.size = 4}, UVSMTP_EINVAL, "client options: the size is wrong"}};
#undef WITH
  uv_loop_t loop;
  assert_int_equal(uv_loop_init(&loop), 0);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_client_t *client;
    char detail[128];
    int err = uvsmtp_client_new(&client, &loop, &rows[i].options, detail, sizeof(detail));
    if (err != rows[i].err || strncmp(detail, rows[i].detail, strlen(rows[i].detail)) != 0)
      fail_msg("row %zu: %s, \"%s\" instead of \"%s\"", i, uvsmtp_err_name(err), detail,
               rows[i].detail);
  }
  assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- out of memory ------------------------------------------------------------------------ */

typedef struct budget_s {
  long left; /* the allocation that fails; below 0: none does */
  long held;
  bool failed;
} budget_t;

static bool spend(budget_t *budget)
{
  if (budget->left == 0)
    budget->failed = true;
  return budget->left-- != 0;
}

static void *scarce_malloc(void *ctx, size_t size)
{
  budget_t *budget = ctx;
  if (!spend(budget))
    return NULL;
  budget->held++;
  return malloc(size);
}

static void *scarce_realloc(void *ctx, void *p, size_t size)
{
  budget_t *budget = ctx;
  if (!spend(budget))
    return NULL;
  budget->held += p == NULL;
  return realloc(p, size);
}

static void scarce_free(void *ctx, void *p)
{
  budget_t *budget = ctx;
  budget->held -= p != NULL;
  free(p);
}

/* Sends five with the allocation number `n` failing; false once `n` is beyond the last. */
static bool send_with_failure(long n)
{
  budget_t budget = {.left = n};
  uvsmtp_mem_t mem = {&budget, scarce_malloc, scarce_realloc, scarce_free};
  sink_options_t sink = {0};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_client_t *refused;
  bench_t *b = malloc(sizeof(*b));
  options.mem = &mem;
  options.max_connections = 2;
  options.retry_delay_ms = 1;
  connection.host = "127.0.0.1";
  options.connection = &connection;
  int err = uvsmtp_client_new(&refused, uv_default_loop(), &options, NULL, 0);
  if (err != 0) {
    assert_int_equal(err, UVSMTP_ENOMEM);
    assert_int_equal(budget.held, 0);
    free(b);
    return true;
  }
  uvsmtp_client_close(refused, UVSMTP_CLOSE_ABORT, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  assert_int_equal(budget.held, 0);
  budget.left = -1;
  bench_start_with(b, &sink, &options, &connection);
  budget.left = n;
  for (size_t i = 0; i < 5; i++) {
    err = bench_post(b, i);
    assert_true(err == 0 || err == UVSMTP_ENOMEM);
  }
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  assert_int_equal(budget.held, 0);
  free(b);
  return budget.failed;
}

static void when_memory_runs_out_every_send_is_told_and_nothing_leaks(void **state)
{
  long n = 0;
  while (send_with_failure(n))
    assert_true(++n < 2000);
  assert_true(n > 10);
  assert_int_equal(uv_loop_close(uv_default_loop()), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_one_session_leaves_goes_on_in_others),
      cmocka_unit_test(sessions_that_take_a_few_messages_are_followed_by_others),
      cmocka_unit_test(a_session_that_takes_no_message_is_not_followed_by_others_without_end),
      cmocka_unit_test(messages_to_more_domains_than_a_session_takes_go_in_the_next),
      cmocka_unit_test(what_was_unknown_stays_so_if_it_cannot_be_sent_again),
      cmocka_unit_test(what_is_unknown_goes_again_if_the_caller_wants_it),
      cmocka_unit_test(a_353_that_nobody_asked_for_is_no_acceptance),
      cmocka_unit_test(five_hundred_messages_go_through_five_connections),
      cmocka_unit_test(connections_that_servers_cut_lose_no_message_and_double_none),
      cmocka_unit_test(what_a_dead_connection_refused_at_its_first_command_is_sent_on_the_next),
      cmocka_unit_test(closing_at_any_point_tells_every_send_the_truth),
      cmocka_unit_test(close_from_a_turn_of_the_loop_is_right_in_every_turn),
      cmocka_unit_test(draining_can_be_hurried),
      cmocka_unit_test(a_send_that_waits_is_cancelled_without_a_trace),
      cmocka_unit_test(a_full_queue_says_so),
      cmocka_unit_test(a_server_that_is_not_there_defers_after_all_tries),
      cmocka_unit_test(a_refused_login_fails_all_that_wait_at_once),
      cmocka_unit_test(an_idle_connection_that_the_server_ends_leaves_the_pool),
      cmocka_unit_test(a_connection_is_lent_between_sends_and_used_on_when_it_is_back),
      cmocka_unit_test(a_connection_given_back_in_use_is_closed),
      cmocka_unit_test(a_wish_to_borrow_can_be_taken_back_or_is_cancelled_by_closing),
      cmocka_unit_test(wrong_options_are_refused_with_a_sentence),
      cmocka_unit_test(the_sentence_names_the_field),
      cmocka_unit_test(when_memory_runs_out_every_send_is_told_and_nothing_leaks)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
