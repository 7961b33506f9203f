#ifndef UVSMTP_AUTH_EXCHANGE_STATE_H
#define UVSMTP_AUTH_EXCHANGE_STATE_H

/* What an exchange is made of, and what its files (exchange.c says which) do for one another. */
#include <stddef.h>

#include "auth/authenticator.h"
#include "auth/exchange.h"
#include "base/buffer.h"

#define UVSMTP__EXCHANGE_DETAIL 256

typedef enum uvsmtp__exchange_phase_e {
  UVSMTP__EXCHANGE_START,
  UVSMTP__EXCHANGE_STEPPING,  /* inside the mechanism's step */
  UVSMTP__EXCHANGE_SUSPENDED, /* until resume */
  UVSMTP__EXCHANGE_WAITING,   /* for the server */
  UVSMTP__EXCHANGE_FAILED,    /* err says why; the server's reply to "*" may still come */
  UVSMTP__EXCHANGE_FINISHED,
  UVSMTP__EXCHANGE_CANCELLED
} uvsmtp__exchange_phase_t;

struct uvsmtp_exchange_s {
  unsigned refs;
  const void *thread; /* where it runs */
  uvsmtp_mem_t mem;
  uvsmtp_auth_t *auth; /* held */
  const uvsmtp_mechanism_t *mechanism;
  uvsmtp_auth_context_t context;
  uvsmtp__buffer_t challenge, response;
  uvsmtp__exchange_phase_t phase;
  bool resumed; /* the suspension has its result */
  int result;   /* what resume was given */
  int place;    /* of the coroutine */
  int err;
  uvsmtp__verdict_t verdict;
  bool broken_off; /* by "*", which the server has answered */
  unsigned challenges;
  uint64_t now_ms, deadline_ms;
  char detail[UVSMTP__EXCHANGE_DETAIL];
  max_align_t state[];
};

/* Wipes what was said and what was to be said. */
void uvsmtp__exchange_wipe(uvsmtp_exchange_t *exchange);
/* Tells a suspended mechanism that what it asked for is not wanted any more. */
void uvsmtp__exchange_tell_cancelled(uvsmtp_exchange_t *exchange, uvsmtp__exchange_phase_t from);
/* It has failed, with `err` unless it had before; returns with what. */
int uvsmtp__exchange_fail(uvsmtp_exchange_t *exchange, int err);

#endif
