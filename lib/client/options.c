/*
 * The options of a client: what is wrong with them, in a sentence that names the field, and what
 * they mean for the pool.
 */
#include <stdarg.h>
#include <stdio.h>

#include "client/internal.h"

#define DEFAULT_MAX_CONNECTIONS 50
#define DEFAULT_IDLE_TIMEOUT_MS 30000
#define DEFAULT_MAX_TRIES 3
#define DEFAULT_MAX_REFUSED 6
#define DEFAULT_RETRY_DELAY_MS 1000
#define DEFAULT_MAX_RETRY_DELAY_MS 60000
#define DEFAULT_OPEN_PATIENCE_MS 10000

int uvsmtp__refuse(const uvsmtp__detail_t *detail, int err, const char *format, ...)
{
  va_list args;
  if (detail->text == NULL || detail->size == 0 || detail->text[0] != '\0')
    return err;
  va_start(args, format);
  vsnprintf(detail->text, detail->size, format, args);
  va_end(args);
  return err;
}

static int check_rate(const char *name, const uvsmtp_rate_t *rate, const uvsmtp__detail_t *detail)
{
  if (rate->count == 0 && (rate->per_ms != 0 || rate->burst != 0))
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "%s: without a count it is no rate", name);
  if (rate->count > UVSMTP__RATE_MAX || rate->per_ms > UVSMTP__RATE_MAX ||
      rate->burst > UVSMTP__RATE_MAX)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "%s: its numbers may be at most %u", name,
                          UVSMTP__RATE_MAX);
  return 0;
}

static int check_servers(const uvsmtp_client_options_t *o, const uvsmtp__detail_t *detail)
{
  if (o->endpoint_count > 0 && o->endpoints == NULL)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "endpoints is NULL, and endpoint_count is not 0");
  if (o->endpoints != NULL && o->endpoint_count == 0)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "endpoint_count is 0, and endpoints is given");
  if (o->endpoints != NULL && o->urls != NULL)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "urls and endpoints exclude each other");
  if (o->connection == NULL && o->endpoints == NULL && o->urls == NULL)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL,
                          "one of connection, endpoints and urls is required");
  return 0;
}

int uvsmtp__options_check(const uvsmtp_client_options_t *o, const uvsmtp__detail_t *detail)
{
  size_t most = o->max_connections != 0 ? o->max_connections : DEFAULT_MAX_CONNECTIONS;
  uint64_t first = o->retry_delay_ms != 0 ? o->retry_delay_ms : DEFAULT_RETRY_DELAY_MS;
  int err = check_servers(o, detail);
  if (err == 0)
    err = check_rate("message_rate", &o->message_rate, detail);
  if (err == 0)
    err = check_rate("recipient_rate", &o->recipient_rate, detail);
  if (err == 0)
    err = check_rate("connection_rate", &o->connection_rate, detail);
  if (err == 0 && o->min_idle > most)
    err =
        uvsmtp__refuse(detail, UVSMTP_EINVAL, "min_idle is more than max_connections (%zu)", most);
  if (err == 0 && o->max_retry_delay_ms != 0 && o->max_retry_delay_ms < first)
    err = uvsmtp__refuse(detail, UVSMTP_EINVAL,
                         "max_retry_delay_ms is less than retry_delay_ms (%llu)",
                         (unsigned long long)first);
  return err;
}

/* `value`, or `otherwise` for 0. */
#define OR(value, otherwise) ((value) != 0 ? (value) : (otherwise))

void uvsmtp__options_limits(const uvsmtp_client_options_t *o, uvsmtp__pool_limits_t *limits)
{
  uint64_t first = OR(o->retry_delay_ms, DEFAULT_RETRY_DELAY_MS);
  uint64_t most = first > DEFAULT_MAX_RETRY_DELAY_MS ? first : DEFAULT_MAX_RETRY_DELAY_MS;
  *limits =
      (uvsmtp__pool_limits_t){.max_connections = OR(o->max_connections, DEFAULT_MAX_CONNECTIONS),
                              .min_idle = o->min_idle,
                              .idle_timeout_ms = OR(o->idle_timeout_ms, DEFAULT_IDLE_TIMEOUT_MS),
                              .keepalive_ms = o->keepalive_ms,
                              .max_messages = o->max_messages,
                              .max_bytes = o->max_bytes,
                              .max_refused = OR(o->max_refused, DEFAULT_MAX_REFUSED),
                              .max_age_ms = o->max_age_ms,
                              .open_patience_ms = OR(o->open_patience_ms, DEFAULT_OPEN_PATIENCE_MS),
                              .max_tries = OR(o->max_tries, DEFAULT_MAX_TRIES),
                              .max_connect_tries = OR(o->max_connect_tries, DEFAULT_MAX_TRIES),
                              .retry_delay_ms = first,
                              .max_retry_delay_ms = OR(o->max_retry_delay_ms, most),
                              .message_rate = o->message_rate,
                              .recipient_rate = o->recipient_rate,
                              .connection_rate = o->connection_rate,
                              .fixed_connections = o->fixed_connections};
}
