/*
 * Servers that close without a word after so many messages: what was under way then is in doubt,
 * but only until the client knows.
 */
#include <signal.h>

#include "bench.h"

enum { DISTINCT = 8 };

static const struct {
  const char *name, *script;
  unsigned without;          /* of what the sink offers */
  size_t mails, connections; /* that the client has */
  const char *told;          /* limits, by events */
  unsigned in_end;           /* the endpoint's limit */
  size_t unknowing;          /* connections on which something became unknown, at most */
} rows[] = {
    {"twenty, by chunks", "eod nth 20 : reply, close", 0, 300, 1, "20 ", 20, 2},
    {"five, by chunks", "eod nth 5 : reply, close", 0, 80, 1, "5 ", 5, 2},
    {"five, by groups", "eod nth 5 : reply, close", SINK_CHUNKING, 80, 1, "5 ", 5, 0},
    {"twenty, on connections side by side", "eod nth 20 : reply, close", 0, 500, 4, "20 ", 20, 4},
    {"what is known is tried in a careful way", "eod nth 5 : reply, close", 0, 400, 1, "5 ", 5, 2},
    {"a server that was mended is found out", "eod conn 1-8 nth 5 : reply, close", 0, 400, 1,
     "5 0 ", 0, 2},
    {"once is no rule", "eod conn 1 nth 20 : reply, close", 0, 300, 1, "", 0, 1},
    {"nor is now this and now that",
     "eod conn 1 nth 7 : reply, close\neod conn 2 nth 9 : reply, close", 0, 200, 1, "", 0, 2},
    {"a longer session in between",
     "eod conn 1 nth 7 : reply, close\neod conn 2 nth 30 : reply, close\n"
     "eod conn 3 nth 7 : reply, close",
     0, 200, 1, "", 0, 3},
    {"another one is learned",
     "eod conn 1-4 nth 9 : reply, close\neod conn 5- nth 4 : reply, close", 0, 400, 1, "9 4 ", 4,
     4},
    {"the message that was next is to blame", "rcpt nth 15 : close", SINK_CHUNKING, 60, 1, "", 0,
     0},
    {"421 says it", "eod nth 9 : reply, raw \"421 4.7.0 Enough\\r\\n\", close", 0, 150, 1, "", 0,
     0},
};

static char told[64];

static void on_event(uvsmtp_client_t *client, const uvsmtp_client_event_t *event)
{
  size_t len = strlen(told);
  if (event->type != UVSMTP_CLIENT_SESSION_LIMIT)
    return;
  snprintf(told + len, sizeof(told) - len, "%zu ", event->limit);
  assert_non_null(strstr(event->text, event->limit != 0 ? "without a word after" : "more"));
}

/* Connections on which messages became unknown. */
static size_t unknowing(const bench_t *b, size_t mails)
{
  uint64_t seen[DISTINCT];
  size_t count = 0;
  for (size_t i = 0; i < mails; i++) {
    size_t k = 0;
    while (k < count && seen[k] != b->mails[i].connection)
      k++;
    if (b->mails[i].status == UVSMTP_UNKNOWN && k == count && count < DISTINCT)
      seen[count++] = b->mails[i].connection;
  }
  return count;
}

static void play(size_t i)
{
  bench_t *b = malloc(sizeof(*b));
  sink_options_t sink = {.script = rows[i].script, .without = rows[i].without};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_endpoint_state_t state;
  size_t n;
  told[0] = '\0';
  options.max_connections = rows[i].connections;
  options.retry_delay_ms = 2;
  options.on_event = on_event;
  bench_start_with(b, &sink, &options, &connection);
  bench_post_many(b, rows[i].mails);
  while (b->done < b->sent)
    uv_run(&b->loop, UV_RUN_ONCE);
  assert_int_equal(uvsmtp_client_endpoint(b->client, 0, &state), 0);
  bench_end(b, UVSMTP_CLOSE_DRAIN);
  bench_finish(b);
  n = unknowing(b, rows[i].mails);
  if (n > rows[i].unknowing || strcmp(told, rows[i].told) != 0 ||
      state.max_mails != rows[i].in_end ||
      bench_count_of(b, UVSMTP_ACCEPTED) + bench_count_of(b, UVSMTP_UNKNOWN) != rows[i].mails)
    fail_msg("%s: told %s; %u now; %zu accepted, %zu unknown on %zu connections, %u of them",
             rows[i].name, told, state.max_mails, bench_count_of(b, UVSMTP_ACCEPTED),
             bench_count_of(b, UVSMTP_UNKNOWN), n, (unsigned)b->counters.connections);
  free(b);
}

static void how_many_messages_a_session_takes_is_learned(void **state)
{
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    play(i);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(how_many_messages_a_session_takes_is_learned),
  };
  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
