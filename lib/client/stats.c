/*
 * What a client counts. The hot path adds; whoever asks pays for the rest.
 */
#include <string.h>

#include "client/internal.h"

#define NAME(constant, text) text,

const char *uvsmtp_retire_name(uvsmtp_retire_t cause)
{
  static const char *const names[] = {UVSMTP_RETIRE_MAP(NAME)};
  return names[cause];
}

const char *uvsmtp_latency_name(uvsmtp_latency_t phase)
{
  static const char *const names[] = {UVSMTP_LATENCY_MAP(NAME)};
  return names[phase];
}

/* ---- histograms --------------------------------------------------------------------------- */

/* Which power of two a number of at least 1 has at its top. */
static unsigned top_bit(uint64_t n)
{
  return 63 - (unsigned)__builtin_clzll(n);
}

/* 0 to 1, 2, 3, 4, 5 to 6, 7 to 8, 9 to 12 …: the half of the doubling in which `ms` - 1 lies. */
static uint64_t bucket_of(uint64_t ms)
{
  if (ms <= 2)
    return ms == 2;
  /* The two bits at the top of `ms` - 1 are 2 or 3. */
  unsigned below = top_bit(ms - 1) - 1;
  uint64_t bucket = 2 * below + ((ms - 1) >> below);
  return bucket < UVSMTP_HISTOGRAM_BUCKETS - 1 ? bucket : UVSMTP_HISTOGRAM_BUCKETS - 1;
}

uint64_t uvsmtp_histogram_bound_ms(unsigned bucket)
{
  if (bucket >= UVSMTP_HISTOGRAM_BUCKETS - 1)
    return UINT64_MAX;
  if (bucket < 2)
    return bucket + 1;
  return (bucket % 2 == 0 ? (uint64_t)3 : (uint64_t)4) << (bucket / 2 - 1);
}

static void add(uvsmtp_histogram_t *histogram, uint64_t from, uint64_t to, uint64_t times)
{
  uint64_t ms = to > from ? to - from : 0;
  histogram->count += times;
  histogram->sum_ms += ms * times;
  histogram->buckets[bucket_of(ms)] += times;
}

uint64_t uvsmtp_histogram_percentile_ms(const uvsmtp_histogram_t *histogram, double percent)
{
  double wanted = (double)histogram->count * percent / 100;
  uint64_t seen = 0;
  if (histogram->count == 0)
    return 0;
  for (unsigned i = 0; i < UVSMTP_HISTOGRAM_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (seen > 0 && (double)seen >= wanted)
      return uvsmtp_histogram_bound_ms(i);
  }
  return UINT64_MAX;
}

const uvsmtp_histogram_t *uvsmtp_client_latency(const uvsmtp_client_t *client,
                                                uvsmtp_latency_t phase)
{
  uvsmtp__stats_settle((uvsmtp_client_t *)(uintptr_t)client);
  return &client->latencies[phase];
}

/* ---- counting ----------------------------------------------------------------------------- */

void uvsmtp__stats_retime(uvsmtp_client_t *client, const uvsmtp_result_t *result)
{
  uvsmtp__tally_t *tally = &client->tally;
  uvsmtp__stats_settle(client);
  tally->queued_ms = result->queued_ms;
  tally->started_ms = result->started_ms;
  tally->finished_ms = result->finished_ms;
}

void uvsmtp__stats_told(uvsmtp_client_t *client, const uvsmtp_result_t *result)
{
  client->told[result->status]++;
  for (size_t i = 0; i < result->recipient_count; i++)
    client->recipients_told[result->recipients[i].status]++;
  uvsmtp__stats_retime(client, result);
  client->tally.count++;
}

void uvsmtp__stats_settle(uvsmtp_client_t *client)
{
  uvsmtp_histogram_t *latencies = client->latencies;
  uvsmtp__tally_t *tally = &client->tally;
  if (tally->count == 0)
    return;
  add(&latencies[UVSMTP_LATENCY_SEND], tally->queued_ms, tally->finished_ms, tally->count);
  if (tally->started_ms != 0) {
    add(&latencies[UVSMTP_LATENCY_QUEUE], tally->queued_ms, tally->started_ms, tally->count);
    add(&latencies[UVSMTP_LATENCY_DELIVERY], tally->started_ms, tally->finished_ms, tally->count);
  }
  tally->count = 0;
}

void uvsmtp__stats_opened(uvsmtp_client_t *client, const uvsmtp_connection_t *connection)
{
  const uvsmtp_connection_info_t *info = uvsmtp_connection_info(connection);
  uint64_t shaken_ms = info->tls_ended_ms - info->tls_started_ms;
  client->ever.opened++;
  client->ever.open_err = 0;
  add(&client->latencies[UVSMTP_LATENCY_CONNECT], info->started_ms, info->connected_ms, 1);
  add(&client->latencies[UVSMTP_LATENCY_SESSION], info->connected_ms + shaken_ms, info->ready_ms,
      1);
  if (info->tls_ended_ms != 0)
    add(&client->latencies[UVSMTP_LATENCY_TLS], info->tls_started_ms, info->tls_ended_ms, 1);
}

static void add_octets(uvsmtp_client_stats_t *stats, const uvsmtp_connection_t *connection)
{
  if (connection == NULL)
    return;
  const uvsmtp_connection_info_t *info = uvsmtp_connection_info(connection);
  stats->octets_sent += info->octets_sent;
  stats->octets_received += info->octets_received;
}

void uvsmtp__stats_gone(uvsmtp__member_t *member)
{
  uvsmtp_client_stats_t *ever = &member->client->ever;
  add_octets(ever, member->connection);
  if (!member->was_open)
    return;
  ever->retired++;
  ever->retired_by[member->slot.cause]++;
}

/* ---- asking ------------------------------------------------------------------------------- */

static void count_handshakes(const uvsmtp_client_t *client, uvsmtp_client_stats_t *stats)
{
  for (size_t i = 0; i < client->server_count; i++) {
    uvsmtp_history_info_t history = UVSMTP_HISTORY_INFO_INIT;
    uvsmtp_history_info(uvsmtp__server_of(client->endpoints[i])->settings.options.history,
                        &history);
    stats->tls_handshakes += history.tls_handshakes;
    stats->tls_resumptions += history.tls_resumptions;
  }
}

static void count_told(const uvsmtp_client_t *client, uvsmtp_client_stats_t *stats)
{
  for (size_t i = 0; i <= UVSMTP_PARTIAL; i++)
    stats->sent += client->told[i];
  stats->accepted = client->told[UVSMTP_ACCEPTED];
  stats->rejected = client->told[UVSMTP_REJECTED];
  stats->deferred = client->told[UVSMTP_DEFERRED];
  stats->unknown = client->told[UVSMTP_UNKNOWN];
  stats->partial = client->told[UVSMTP_PARTIAL];
  stats->recipients_accepted = client->recipients_told[UVSMTP_ACCEPTED];
  stats->recipients_rejected = client->recipients_told[UVSMTP_REJECTED];
  stats->recipients_deferred = client->recipients_told[UVSMTP_DEFERRED];
  stats->recipients_unknown = client->recipients_told[UVSMTP_UNKNOWN];
}

void uvsmtp_client_stats(const uvsmtp_client_t *client, uvsmtp_client_stats_t *stats)
{
  const size_t *counts = client->pool.counts;
  *stats = client->ever;
  count_told(client, stats);
  count_handshakes(client, stats);
  UVSMTP__LIST_EACH (it, &client->members)
    add_octets(stats, UVSMTP__CONTAINER(it, uvsmtp__member_t, link)->connection);
  stats->queued = client->queue.count;
  stats->in_flight = client->in_flight;
  stats->connections = client->pool.count;
  stats->opening = counts[UVSMTP__SLOT_OPENING];
  stats->idle = counts[UVSMTP__SLOT_IDLE] + counts[UVSMTP__SLOT_CHECKED];
  stats->busy = counts[UVSMTP__SLOT_BUSY] + counts[UVSMTP__SLOT_FULL];
  stats->lent = counts[UVSMTP__SLOT_LENT];
  stats->closing = counts[UVSMTP__SLOT_SPENT] + counts[UVSMTP__SLOT_CLOSING];
}
