#include <stdio.h>

#include "base/mem.h"
#include "client/internal.h"

#define NAME(constant, text) text,

const char *uvsmtp_client_event_name(uvsmtp_client_event_type_t type)
{
  static const char *const names[] = {UVSMTP_CLIENT_EVENT_MAP(NAME)};
  return names[type];
}

int uvsmtp__events_init(uvsmtp_client_t *client, uvsmtp_client_event_cb cb)
{
  uvsmtp__events_t *events = &client->events;
  for (size_t i = 0; i < client->server_count; i++)
    client->servers[i].seen.allowed = client->servers[i].endpoint.allowed;
  if (cb == NULL)
    return 0;
  events->cb = cb;
  events->ring = uvsmtp__calloc(&client->mem, UVSMTP__EVENTS, sizeof(*events->ring));
  return events->ring == NULL ? UVSMTP_ENOMEM : 0;
}

void uvsmtp__events_clear(uvsmtp_client_t *client)
{
  uvsmtp__free(&client->mem, client->events.ring);
}

void uvsmtp__events_note(uvsmtp_client_t *client, const uvsmtp_client_event_t *event)
{
  uvsmtp__events_t *events = &client->events;
  if (events->ring == NULL)
    return;
  if (events->count == UVSMTP__EVENTS) {
    events->missed++;
    return;
  }
  uvsmtp__event_t *kept = &events->ring[(events->first + events->count++) % UVSMTP__EVENTS];
  kept->event = *event;
  kept->event.at_ms = uv_now(client->loop);
  kept->event.missed = events->missed;
  events->missed = 0;
  if (kept->event.endpoint == NULL)
    kept->event.endpoint = "";
  snprintf(kept->text, sizeof(kept->text), "%s", event->text != NULL ? event->text : "");
  uvsmtp__client_wake(client);
}

static void note_session_limit(uvsmtp_client_t *client, const char *endpoint, unsigned limit)
{
  char text[128];
  if (limit != 0)
    snprintf(text, sizeof(text), "sessions are closed without a word after %u messages", limit);
  else
    snprintf(text, sizeof(text), "sessions take more messages again");
  uvsmtp__events_note(client, &(uvsmtp_client_event_t){.type = UVSMTP_CLIENT_SESSION_LIMIT,
                                                       .endpoint = endpoint,
                                                       .limit = limit,
                                                       .text = text});
}

static void look_at(uvsmtp_client_t *client, uvsmtp__server_t *server)
{
  const uvsmtp__endpoint_t *endpoint = &server->endpoint;
  uvsmtp__seen_t *seen = &server->seen;
  uint64_t now = uv_now(client->loop);
  bool down = uvsmtp__endpoint_is_down(endpoint);
  uvsmtp_client_event_t event = {.endpoint = server->name};
  uvsmtp_history_info_t history = UVSMTP_HISTORY_INFO_INIT;
  if (endpoint->retry_at_ms != seen->retry_at_ms && endpoint->retry_at_ms > now) {
    event.type = UVSMTP_CLIENT_BACKOFF;
    event.delay_ms = endpoint->retry_at_ms - now;
    uvsmtp__events_note(client, &event);
  }
  event.delay_ms = 0;
  if (endpoint->allowed != seen->allowed) {
    event.type = endpoint->allowed < seen->allowed ? UVSMTP_CLIENT_FEWER : UVSMTP_CLIENT_MORE;
    event.limit = endpoint->allowed;
    uvsmtp__events_note(client, &event);
  }
  event.limit = 0;
  if (down != seen->down) {
    event.type = down ? UVSMTP_CLIENT_DOWN : UVSMTP_CLIENT_UP;
    uvsmtp__events_note(client, &event);
  }
  uvsmtp_history_info(server->settings.options.history, &history);
  if (history.retreats != seen->retreats) {
    event.type = UVSMTP_CLIENT_RETREAT;
    event.text = history.retreat;
    uvsmtp__events_note(client, &event);
  }
  if (history.max_mails != seen->max_mails)
    note_session_limit(client, server->name, history.max_mails);
  *seen = (uvsmtp__seen_t){endpoint->retry_at_ms, endpoint->allowed, down, history.retreats,
                           history.max_mails};
}

void uvsmtp__events_look(uvsmtp_client_t *client)
{
  if (client->events.ring == NULL)
    return;
  for (size_t i = 0; i < client->server_count; i++)
    look_at(client, &client->servers[i]);
}

void uvsmtp__events_tell(uvsmtp_client_t *client)
{
  uvsmtp__events_t *events = &client->events;
  for (size_t due = events->count; due > 0; due--) {
    uvsmtp__event_t told = events->ring[events->first];
    events->first = (events->first + 1) % UVSMTP__EVENTS;
    events->count--;
    told.event.text = told.text;
    events->cb(client, &told.event);
  }
}
