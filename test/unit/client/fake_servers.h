#ifndef UVSMTP_TEST_FAKE_SERVERS_H
#define UVSMTP_TEST_FAKE_SERVERS_H

/*
 * Servers and connections that are made up, under a clock that is made up: what the client calls of
 * the connection layer, and the loop's clock and timers, are here. Time stands still while anything
 * runs, and then jumps to the next event, so that days pass in seconds.
 *
 * A server is chosen by the first letter of the host's name, from 'a' on. Everything a connection
 * does takes it a little time: opening, each message, closing.
 */
#include "base/list.h"
#include "uvsmtp/client.h"

#define FAKE_SERVERS 4

typedef struct fake_server_s {
  /* What it is like. */
  bool down;                 /* nobody listens there */
  bool hangs;                /* connects are not answered, and messages neither */
  int open_err;              /* all openings fail with it; 0: they do not */
  unsigned fail_percent;     /* of events: an opening or a session that breaks */
  unsigned reject_percent;   /* of messages */
  unsigned slow_percent;     /* of messages: 451 4.3.2 */
  size_t max_sessions;       /* 421 instead of a greeting to more; 0: no limit */
  unsigned session_messages; /* 421 to the next one; 0: no limit */
  uint64_t idle_ms;          /* it ends a session that is idle for so long; 0: never */
  uint64_t message_ms;       /* that it takes for a message, at most */
  /* What it has seen. */
  size_t sessions, sessions_max;
  uint64_t opened, messages, noops;
} fake_server_t;

typedef struct fake_world_s {
  fake_server_t servers[FAKE_SERVERS];
  uint64_t now;
  size_t sessions, sessions_max;
  /* A message begins; it is stored. */
  void (*on_begin)(uvsmtp_send_t *send);
  void (*on_stored)(uvsmtp_send_t *send);
  uvsmtp__link_t connections;
} fake_world_t;

extern fake_world_t fake;

/* True with that probability. */
bool fake_dice(unsigned percent);
void fake_begin(void);
/* All sessions with it break now, or when they are next looked at. */
void fake_break(size_t server);
/* When something happens next, timers included; UINT64_MAX: never. */
uint64_t fake_next(void);
/* Lets time jump there, and happen what is due. */
void fake_advance(uint64_t to);

#endif
