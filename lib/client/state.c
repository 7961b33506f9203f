/*
 * Looking at a client: what waits and why, and what is known of each endpoint.
 */
#include <stdio.h>
#include <string.h>

#include "client/internal.h"

const char *uvsmtp_wait_name(uvsmtp_wait_t why)
{
  static const char *const names[] = {"none",   "opening",  "connections", "server",
                                      "pacing", "back-off", "slow-down"};
  return names[why];
}

/* The endpoint that a reason is about: the one whose time it is, or else the best. */
static const uvsmtp__server_t *server_meant(const uvsmtp_client_t *client)
{
  for (size_t i = 0; i < client->server_count; i++)
    if (client->endpoints[i]->retry_at_ms == client->pool.why_until_ms)
      return uvsmtp__server_of(client->endpoints[i]);
  return uvsmtp__server_of(client->endpoints[0]);
}

static unsigned long long left_until(const uvsmtp_client_t *client, uint64_t at)
{
  uint64_t now = uv_now(client->loop);
  return at > now ? at - now : 0;
}

void uvsmtp__state_explain(const uvsmtp_client_t *client, char *text, size_t size)
{
  const uvsmtp__pool_t *pool = &client->pool;
  const uvsmtp__server_t *server = server_meant(client);
  unsigned long long left = left_until(client, pool->why_until_ms);
  switch (pool->why) {
  case UVSMTP_WAIT_OPENING:
    snprintf(text, size, "connections to %s are being opened (%zu)", server->name,
             pool->counts[UVSMTP__SLOT_OPENING]);
    break;
  case UVSMTP_WAIT_CONNECTIONS:
    snprintf(text, size, "all %zu connections are in use", pool->limits.max_connections);
    break;
  case UVSMTP_WAIT_SERVER:
    snprintf(text, size, "%s has its %zu connections, and takes or is given no more", server->name,
             server->endpoint.count);
    break;
  case UVSMTP_WAIT_PACING:
    snprintf(text, size, "the rates that were set let the next one go in %llu ms", left);
    break;
  case UVSMTP_WAIT_BACKOFF:
    snprintf(text, size, "%s is tried again in %llu ms, after %u failures, the last: %s",
             server->name, left, server->endpoint.failures + server->endpoint.refusals,
             server->failure.text);
    break;
  case UVSMTP_WAIT_SLOWDOWN:
    snprintf(text, size, "%s asked to slow down, and is left alone for %llu ms", server->name,
             left);
    break;
  default:
    text[0] = '\0';
    break;
  }
}

void uvsmtp_client_waiting(const uvsmtp_client_t *client, uvsmtp_client_waiting_t *waiting)
{
  char why[sizeof(waiting->text) - 64];
  const uvsmtp__backlog_t *queue = &client->queue;
  memset(waiting, 0, sizeof(*waiting));
  waiting->sends = queue->count;
  waiting->borrows = client->borrows_waiting;
  waiting->high = queue->lines[UVSMTP_PRIORITY_HIGH].count;
  waiting->normal = queue->lines[UVSMTP_PRIORITY_NORMAL].count;
  waiting->low = queue->lines[UVSMTP_PRIORITY_LOW].count;
  waiting->bytes = queue->bytes;
  if (waiting->sends + waiting->borrows == 0) {
    snprintf(waiting->text, sizeof(waiting->text), "nothing waits");
    return;
  }
  waiting->why = client->pool.why;
  waiting->until_ms = client->pool.why_until_ms != UINT64_MAX ? client->pool.why_until_ms : 0;
  uvsmtp__state_explain(client, why, sizeof(why));
  snprintf(waiting->text, sizeof(waiting->text), "%zu wait: %s", waiting->sends + waiting->borrows,
           why[0] != '\0' ? why : "they are looked at in the loop's next turn");
}

size_t uvsmtp_client_endpoint_count(const uvsmtp_client_t *client)
{
  return client->server_count;
}

int uvsmtp_client_endpoint(const uvsmtp_client_t *client, size_t index,
                           uvsmtp_endpoint_state_t *state)
{
  if (index >= client->server_count)
    return UVSMTP_EINVAL;
  const uvsmtp__endpoint_t *endpoint = client->endpoints[index];
  const uvsmtp__server_t *server = uvsmtp__server_of(client->endpoints[index]);
  uvsmtp_history_info_t history = UVSMTP_HISTORY_INFO_INIT;
  uvsmtp_history_info(server->settings.options.history, &history);
  *state = (uvsmtp_endpoint_state_t){
      .name = server->name,
      .priority = endpoint->priority,
      .weight = endpoint->weight,
      .connections = endpoint->count,
      .opening = endpoint->opening,
      .bears = endpoint->allowed != SIZE_MAX ? endpoint->allowed : 0,
      .failures = endpoint->failures,
      .retry_at_ms = left_until(client, endpoint->retry_at_ms) > 0 ? endpoint->retry_at_ms : 0,
      .down = uvsmtp__endpoint_is_down(endpoint),
      .err = server->failure.err,
      .error_text = server->failure.text,
      .avoid = history.avoid,
      .max_mails = history.max_mails};
  return 0;
}
