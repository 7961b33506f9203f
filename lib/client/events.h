#ifndef UVSMTP_CLIENT_EVENTS_H
#define UVSMTP_CLIENT_EVENTS_H

#include "uvsmtp/stats.h"

/*
 * Events wait in a ring until the pump tells them, since they happen inside calls, where no
 * callback may run. A ring that is full counts what it misses.
 */
#define UVSMTP__EVENTS 128
#define UVSMTP__EVENT_TEXT 320

typedef struct uvsmtp__event_s {
  uvsmtp_client_event_t event;
  char text[UVSMTP__EVENT_TEXT];
} uvsmtp__event_t;

typedef struct uvsmtp__events_s {
  uvsmtp_client_event_cb cb;
  uvsmtp__event_t *ring; /* of UVSMTP__EVENTS; NULL: nobody listens */
  size_t first, count;
  uint64_t missed;
} uvsmtp__events_t;

/* What was last told of an endpoint. */
typedef struct uvsmtp__seen_s {
  uint64_t retry_at_ms;
  size_t allowed;
  bool down;
  uint64_t retreats;
  unsigned max_mails;
} uvsmtp__seen_t;

/* UVSMTP_ENOMEM. Without `cb` nothing is kept. */
int uvsmtp__events_init(uvsmtp_client_t *client, uvsmtp_client_event_cb cb);
void uvsmtp__events_clear(uvsmtp_client_t *client);
/* It happened now; `event` is copied. */
void uvsmtp__events_note(uvsmtp_client_t *client, const uvsmtp_client_event_t *event);
/* Notes what has changed with endpoints. */
void uvsmtp__events_look(uvsmtp_client_t *client);
/* Calls back for what has happened so far; what happens meanwhile is told at the next turn. */
void uvsmtp__events_tell(uvsmtp_client_t *client);

#endif
