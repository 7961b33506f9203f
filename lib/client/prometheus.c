/*
 * All numbers as text, in version 0.0.4 of Prometheus's exposition format: a family of metrics has
 * its HELP and TYPE once, and the samples of all clients below.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/internal.h"

/* ---- writing ------------------------------------------------------------------------------ */

typedef struct page_s {
  char *out;
  size_t size, len; /* len: uncut */
  const uvsmtp_client_t *const *clients;
  const char *const *names; /* NULL: one client without a label */
  size_t count;
} page_t;

static void put(page_t *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(page_t *page, const char *format, ...)
{
  size_t at = page->len < page->size ? page->len : page->size;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(page->size > 0 ? page->out + at : NULL, page->size - at, format, args);
  va_end(args);
  page->len += n > 0 ? (size_t)n : 0;
}

/* In a label's value, backslash, quote and line feed are escaped. */
static void put_value(page_t *page, const char *text)
{
  for (; *text != '\0'; text++) {
    if (*text == '\n')
      put(page, "\\n");
    else if (*text == '\\' || *text == '"')
      put(page, "\\%c", *text);
    else
      put(page, "%c", *text);
  }
}

static void family(page_t *page, const char *name, const char *type, const char *help)
{
  put(page, "# HELP uvsmtp_%s %s\n# TYPE uvsmtp_%s %s\n", name, help, name, type);
}

static void put_label(page_t *page, const char **before, const char *key, const char *value)
{
  put(page, "%s%s=\"", *before, key);
  put_value(page, value);
  put(page, "\"");
  *before = ",";
}

/* Name and labels of a sample of client `i`; `key` and `le` may be NULL. */
static void begin(page_t *page, const char *name, size_t i, const char *key, const char *value,
                  const char *le)
{
  const char *before = "{";
  put(page, "uvsmtp_%s", name);
  if (page->names != NULL)
    put_label(page, &before, "client", page->names[i]);
  if (key != NULL)
    put_label(page, &before, key, value);
  if (le != NULL)
    put_label(page, &before, "le", le);
  put(page, "%s ", before[0] == ',' ? "}" : "");
}

static void sample(page_t *page, const char *name, size_t i, const char *key, const char *value,
                   uint64_t number)
{
  begin(page, name, i, key, value, NULL);
  put(page, "%llu\n", (unsigned long long)number);
}

/* ---- the numbers of uvsmtp_client_stats_t ------------------------------------------------- */

typedef struct row_s {
  const char *family; /* NULL: as the row before */
  const char *type, *help;
  const char *key, *value; /* NULL: no label */
  size_t offset;
  bool wide; /* uint64_t, else size_t */
} row_t;

#define GAUGE(field) offsetof(uvsmtp_client_stats_t, field), false
#define COUNTER(field) offsetof(uvsmtp_client_stats_t, field), true
#define NO_SAMPLE SIZE_MAX, false /* only the family; the rows below have the samples */

static const row_t rows[] = {
    {"sends_queued", "gauge", "Messages that no connection has.", NULL, NULL, GAUGE(queued)},
    {"sends_in_flight", "gauge", "Messages on connections.", NULL, NULL, GAUGE(in_flight)},
    {"connections", "gauge", "Connections by state.", "state", "opening", GAUGE(opening)},
    {NULL, NULL, NULL, "state", "idle", GAUGE(idle)},
    {NULL, NULL, NULL, "state", "busy", GAUGE(busy)},
    {NULL, NULL, NULL, "state", "lent", GAUGE(lent)},
    {NULL, NULL, NULL, "state", "closing", GAUGE(closing)},
    {"connections_opened_total", "counter", "Connections that became ready.", NULL, NULL,
     COUNTER(opened)},
    {"connections_failed_total", "counter", "Connections that could not be opened.", NULL, NULL,
     COUNTER(failed)},
    {"connections_reused_total", "counter", "Messages and loans that found a connection open.",
     NULL, NULL, COUNTER(reused)},
    {"connections_retired_total", "counter", "Connections that were ended, by cause.", NULL, NULL,
     NO_SAMPLE},
#define X(name, text) {NULL, NULL, NULL, "cause", text, COUNTER(retired_by[UVSMTP_RETIRE_##name])},
    UVSMTP_RETIRE_MAP(X)
#undef X
        {"sends_total", "counter", "Messages by what became of them.", "status", "accepted",
         COUNTER(accepted)},
    {NULL, NULL, NULL, "status", "rejected", COUNTER(rejected)},
    {NULL, NULL, NULL, "status", "deferred", COUNTER(deferred)},
    {NULL, NULL, NULL, "status", "unknown", COUNTER(unknown)},
    {NULL, NULL, NULL, "status", "partial", COUNTER(partial)},
    {"recipients_total", "counter", "Recipients by what became of them.", "status", "accepted",
     COUNTER(recipients_accepted)},
    {NULL, NULL, NULL, "status", "rejected", COUNTER(recipients_rejected)},
    {NULL, NULL, NULL, "status", "deferred", COUNTER(recipients_deferred)},
    {NULL, NULL, NULL, "status", "unknown", COUNTER(recipients_unknown)},
    {"retries_total", "counter", "Messages that went back into the queue.", NULL, NULL,
     COUNTER(retries)},
    {"octets_total", "counter", "Octets on the wire.", "direction", "sent", COUNTER(octets_sent)},
    {NULL, NULL, NULL, "direction", "received", COUNTER(octets_received)},
    {"tls_handshakes_total", "counter", "TLS handshakes that were finished.", NULL, NULL,
     COUNTER(tls_handshakes)},
    {"tls_resumptions_total", "counter", "Those that resumed a session.", NULL, NULL,
     COUNTER(tls_resumptions)},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint64_t number_of(const uvsmtp_client_stats_t *stats, const row_t *row)
{
  const void *at = (const char *)stats + row->offset;
  return row->wide ? *(const uint64_t *)at : *(const size_t *)at;
}

static void put_row(page_t *page, const char *name, const row_t *row)
{
  uvsmtp_client_stats_t stats;
  for (size_t i = 0; i < page->count; i++) {
    uvsmtp_client_stats(page->clients[i], &stats);
    sample(page, name, i, row->key, row->value, number_of(&stats, row));
  }
}

static void put_numbers(page_t *page)
{
  const char *name = NULL;
  for (size_t r = 0; r < ROWS; r++) {
    if (rows[r].family != NULL) {
      name = rows[r].family;
      family(page, name, rows[r].type, rows[r].help);
    }
    if (rows[r].offset != SIZE_MAX)
      put_row(page, name, &rows[r]);
  }
}

/* ---- why sends wait, and endpoints -------------------------------------------------------- */

static void put_waiting(page_t *page)
{
  family(page, "sends_waiting", "gauge", "Messages that wait, by what they wait for.");
  for (size_t i = 0; i < page->count; i++) {
    const uvsmtp_client_t *client = page->clients[i];
    for (uvsmtp_wait_t why = UVSMTP_WAIT_NONE; why <= UVSMTP_WAIT_SLOWDOWN; why++)
      sample(page, "sends_waiting", i, "cause", uvsmtp_wait_name(why),
             client->pool.why == why ? client->queue.count : 0);
  }
}

static void put_endpoint(page_t *page, const char *name, const char *help,
                         uint64_t (*number)(const uvsmtp_endpoint_state_t *state))
{
  uvsmtp_endpoint_state_t state;
  family(page, name, "gauge", help);
  for (size_t i = 0; i < page->count; i++)
    for (size_t n = 0; uvsmtp_client_endpoint(page->clients[i], n, &state) == 0; n++)
      sample(page, name, i, "endpoint", state.name, number(&state));
}

static uint64_t is_up(const uvsmtp_endpoint_state_t *state)
{
  return !state->down;
}

static uint64_t connections_of(const uvsmtp_endpoint_state_t *state)
{
  return state->connections;
}

static uint64_t session_limit_of(const uvsmtp_endpoint_state_t *state)
{
  return state->max_mails;
}

/* ---- latencies ---------------------------------------------------------------------------- */

/* Milliseconds as seconds, in no locale. */
static const char *seconds(uint64_t ms, char text[32])
{
  snprintf(text, 32, "%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
  return text;
}

static void put_histogram(page_t *page, size_t i, uvsmtp_latency_t phase)
{
  const uvsmtp_histogram_t *h = uvsmtp_client_latency(page->clients[i], phase);
  const char *name = uvsmtp_latency_name(phase);
  uint64_t seen = 0;
  char text[32];
  for (unsigned b = 0; b < UVSMTP_HISTOGRAM_BUCKETS; b++) {
    bool last = b == UVSMTP_HISTOGRAM_BUCKETS - 1;
    seen += h->buckets[b];
    begin(page, "latency_seconds_bucket", i, "phase", name,
          last ? "+Inf" : seconds(uvsmtp_histogram_bound_ms(b), text));
    put(page, "%llu\n", (unsigned long long)seen);
  }
  begin(page, "latency_seconds_sum", i, "phase", name, NULL);
  put(page, "%s\n", seconds(h->sum_ms, text));
  sample(page, "latency_seconds_count", i, "phase", name, h->count);
}

static void put_latencies(page_t *page)
{
  family(page, "latency_seconds", "histogram", "How long the phases of sending took.");
  for (size_t i = 0; i < page->count; i++)
    for (int phase = 0; phase < UVSMTP_LATENCY_COUNT; phase++)
      put_histogram(page, i, (uvsmtp_latency_t)phase);
}

size_t uvsmtp_client_prometheus(const uvsmtp_client_t *const *clients, const char *const *names,
                                size_t count, char *out, size_t size)
{
  page_t page = {.out = out, .size = size, .clients = clients, .names = names, .count = count};
  if (size > 0)
    out[0] = '\0';
  put_numbers(&page);
  put_waiting(&page);
  put_endpoint(&page, "endpoint_up", "Whether the endpoint is within reach.", is_up);
  put_endpoint(&page, "endpoint_connections", "Connections to the endpoint.", connections_of);
  put_endpoint(&page, "endpoint_session_limit",
               "Messages that the endpoint was found to take in a session, 0: no limit is known.",
               session_limit_of);
  put_latencies(&page);
  return page.len;
}
