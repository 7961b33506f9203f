#ifndef UVSMTP_CLIENT_ENDPOINT_H
#define UVSMTP_CLIENT_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

/*
 * What the pool knows of one server: its rank, its health, and how many sessions it bears.
 *
 *   failures   openings that failed, and sessions that ended before they took anything, in a row,
 *              while no other session was open. After each the endpoint is left alone, longer each
 *              time; then one opening feels the way. What a session delivers clears them.
 *   allowed    sessions that it bears. When an opening is refused while n are open, n is what it
 *              bears; later, when n are in use and deliver, one more is tried, after an interval
 *              that doubles each time that one is refused.
 *
 * No I/O and no clock, as in all of the policy (pool.h).
 */
typedef struct uvsmtp__endpoint_s {
  unsigned priority, weight;
  size_t max_connections;    /* of its own; SIZE_MAX: none */
  uvsmtp__link_t idle, busy; /* its slots in these states; the first idle one is that used last */
  size_t count;              /* slots in any state */
  size_t opening, live;      /* that open; that are open and not at their end */
  size_t stalled;            /* of those that open, that have been at it for long */
  uint64_t share;            /* grows by 1/weight with each send: the lowest is next */
  unsigned failures;
  uint64_t retry_at_ms;   /* nothing is opened before */
  uint64_t rest_until_ms; /* nothing is sent before: it asked to slow down */
  bool untried;           /* it has not accepted the credentials yet: one connection tries them */
  bool hopeless;          /* whoever waits for this one alone waits in vain */
  bool made_room;         /* another slot goes so that this endpoint can be tried */
  bool served;            /* it has delivered since it last made room for another */
  bool well;              /* nothing is known that a session which delivers could change */
  size_t allowed;
  uint64_t grow_at_ms;
  unsigned refusals; /* openings refused while others were open, in a row */
  size_t refused_at; /* how many were open then */
} uvsmtp__endpoint_t;

/* How long an endpoint is left alone: doubled each time from `first_ms` to `most_ms`, less up to
 * half at random, so that clients that failed together do not come back together. */
typedef struct uvsmtp__backoff_s {
  uint64_t first_ms, most_ms;
  uint64_t random; /* state of the jitter, never 0 */
} uvsmtp__backoff_t;

/* `ms` less 0 to `part`, at random: what began together does not come again together. */
uint64_t uvsmtp__backoff_shorten(uvsmtp__backoff_t *backoff, uint64_t ms, uint64_t part);
/* After the nth failure, n >= 1. */
uint64_t uvsmtp__backoff_delay(uvsmtp__backoff_t *backoff, unsigned nth);

void uvsmtp__endpoint_init(uvsmtp__endpoint_t *endpoint, unsigned priority, unsigned weight,
                           size_t max_connections);
/* It is out of reach, as far as one knows: others stand in. */
bool uvsmtp__endpoint_is_down(const uvsmtp__endpoint_t *endpoint);
/* Nobody knows: what opens there takes long, and nothing else is open. */
bool uvsmtp__endpoint_is_stalled(const uvsmtp__endpoint_t *endpoint);
/* May one more be opened now? */
bool uvsmtp__endpoint_may_open(const uvsmtp__endpoint_t *endpoint, uint64_t now);
/*
 * An opening failed, or a session ended that had taken nothing. `round`: the failures when it was
 * begun, since those that were under way together fail together and count once.
 */
void uvsmtp__endpoint_failed(uvsmtp__endpoint_t *endpoint, unsigned round,
                             uvsmtp__backoff_t *backoff, uint64_t now);
/* An opening was refused while others are open. `adapt`: they are what it bears. */
void uvsmtp__endpoint_refused(uvsmtp__endpoint_t *endpoint, bool adapt, uvsmtp__backoff_t *backoff,
                              uint64_t now);
/* It asked to slow down: nothing is sent or opened for a while. */
void uvsmtp__endpoint_rest(uvsmtp__endpoint_t *endpoint, uvsmtp__backoff_t *backoff, uint64_t now);
/* A session was opened; `live` counts it already. */
void uvsmtp__endpoint_opened(uvsmtp__endpoint_t *endpoint, uint64_t now);
/* A session has delivered something. True if it had been down before. */
bool uvsmtp__endpoint_proved(uvsmtp__endpoint_t *endpoint, uvsmtp__backoff_t *backoff,
                             uint64_t now);

#endif
