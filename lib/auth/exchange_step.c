#include "auth/exchange_state.h"

/* The steps of an exchange: a challenge goes to the mechanism, and a response comes back, now or
 * later. */
#include "base/clock.h"

#define DEFAULT_SUSPENSION_MS 60000

static int run(uvsmtp_exchange_t *exchange, const char *challenge, uvsmtp_slice_t *response)
{
  uvsmtp_slice_t given = {challenge, uvsmtp__buffer_len(&exchange->challenge)};
  int err;
  exchange->deadline_ms = uvsmtp__later(exchange->now_ms, DEFAULT_SUSPENSION_MS);
  uvsmtp_exchange_acquire(exchange);
  do {
    uvsmtp__buffer_wipe(&exchange->response);
    exchange->phase = UVSMTP__EXCHANGE_STEPPING;
    exchange->resumed = false;
    err = exchange->mechanism->step(exchange, exchange->state, given);
  } while (err == UVSMTP_PENDING && exchange->resumed &&
           exchange->phase == UVSMTP__EXCHANGE_STEPPING);
  if (exchange->phase == UVSMTP__EXCHANGE_CANCELLED) {
    if (err == UVSMTP_PENDING)
      uvsmtp__exchange_tell_cancelled(exchange, UVSMTP__EXCHANGE_SUSPENDED);
    err = exchange->err;
  } else if (err == UVSMTP_PENDING) {
    exchange->phase = UVSMTP__EXCHANGE_SUSPENDED;
  } else if (err < 0) {
    err = uvsmtp__exchange_fail(exchange, err);
  } else {
    exchange->phase = UVSMTP__EXCHANGE_WAITING;
    response->len = uvsmtp__buffer_len(&exchange->response);
    response->base = response->len != 0 ? uvsmtp__buffer_data(&exchange->response) : "";
    err = 0;
  }
  uvsmtp_exchange_release(exchange);
  return err;
}

static const char *given_challenge(const uvsmtp_exchange_t *exchange)
{
  if (exchange->challenges == 0)
    return NULL;
  return uvsmtp__buffer_len(&exchange->challenge) != 0 ? uvsmtp__buffer_data(&exchange->challenge)
                                                       : "";
}

static int start(uvsmtp_exchange_t *exchange, uvsmtp_slice_t *response)
{
  if ((exchange->mechanism->flags & UVSMTP_AUTH_CLIENT_FIRST) != 0)
    return run(exchange, NULL, response);
  exchange->phase = UVSMTP__EXCHANGE_WAITING;
  return 0;
}

static int take_challenge(uvsmtp_exchange_t *exchange, const uvsmtp_slice_t *challenge,
                          uvsmtp_slice_t *response)
{
  int err;
  if (exchange->challenges == exchange->context.max_challenges)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE,
                                "the server does not stop sending challenges");
  exchange->challenges++;
  uvsmtp__buffer_wipe(&exchange->challenge);
  err = uvsmtp__buffer_append(&exchange->challenge, challenge->base, challenge->len);
  if (err == UVSMTP_ETOOLONG)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, "the challenge is too long");
  if (err != 0)
    return uvsmtp__exchange_fail(exchange, err);
  return run(exchange, given_challenge(exchange), response);
}

/* Nothing came in time: the mechanism is told, and goes on with that as the result. */
static int expire(uvsmtp_exchange_t *exchange, uvsmtp_slice_t *response)
{
  int err;
  uvsmtp_exchange_acquire(exchange);
  uvsmtp__exchange_tell_cancelled(exchange, UVSMTP__EXCHANGE_SUSPENDED);
  exchange->result = UVSMTP_ETIMEOUT;
  err = exchange->phase == UVSMTP__EXCHANGE_SUSPENDED
            ? run(exchange, given_challenge(exchange), response)
            : exchange->err;
  uvsmtp_exchange_release(exchange);
  return err;
}

int uvsmtp_exchange_step(uvsmtp_exchange_t *exchange, uint64_t now_ms,
                         const uvsmtp_slice_t *challenge, uvsmtp_slice_t *response)
{
  *response = (uvsmtp_slice_t){NULL, 0};
  exchange->now_ms = now_ms;
  switch (exchange->phase) {
  case UVSMTP__EXCHANGE_START:
    return challenge == NULL ? start(exchange, response) : UVSMTP_ESTATE;
  case UVSMTP__EXCHANGE_WAITING:
    return challenge != NULL ? take_challenge(exchange, challenge, response) : UVSMTP_ESTATE;
  case UVSMTP__EXCHANGE_SUSPENDED:
    if (challenge != NULL)
      return UVSMTP_ESTATE;
    if (exchange->resumed)
      return run(exchange, given_challenge(exchange), response);
    return now_ms < exchange->deadline_ms ? UVSMTP_PENDING : expire(exchange, response);
  case UVSMTP__EXCHANGE_FAILED:
  case UVSMTP__EXCHANGE_CANCELLED:
    return exchange->err;
  default:
    return UVSMTP_ESTATE;
  }
}

uint64_t uvsmtp_exchange_deadline(const uvsmtp_exchange_t *exchange)
{
  if (exchange->phase != UVSMTP__EXCHANGE_SUSPENDED)
    return UINT64_MAX;
  return exchange->resumed ? exchange->now_ms : exchange->deadline_ms;
}
