/*
 * The deadlines of a connection, and what it has to do from the loop. The hub wakes it in time, or
 * too early: then it looks, and says anew what it waits for.
 */
#include "connection/connection.h"

#define TRIM_AFTER_MS 1000

static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static bool is_due(const uvsmtp_connection_t *c)
{
  return c->settle_due || (c->pump->due && uvsmtp__connection_alive(c));
}

static uint64_t any_deadline(const uvsmtp_connection_t *c)
{
  const uvsmtp__work_t *work = c->ends != NULL ? c->ends->work : NULL;
  uint64_t at = UINT64_MAX;
  switch (c->phase) {
  case UVSMTP__PHASE_TLS_WAIT:
    at = earlier(work->deadline, work->wait_deadline);
    break;
  case UVSMTP__PHASE_TLS_CONTEXT:
  case UVSMTP__PHASE_HANDSHAKE:
    at = work->step_due ? earlier(work->deadline, work->step_at) : work->deadline;
    break;
  case UVSMTP__PHASE_QUITTING:
    break;
  case UVSMTP__PHASE_SESSION:
  case UVSMTP__PHASE_READY:
    at = uvsmtp_protocol_deadline(c->protocol);
    if (c->ends != NULL && c->ends->suspended)
      at = earlier(at, uvsmtp_exchange_deadline(c->ends->exchange));
    break;
  default: /* the connector has a timer of its own; what has failed waits for nothing */
    return UINT64_MAX;
  }
  return c->deadline != 0 ? earlier(at, c->deadline) : at;
}

/* The same; as a rule it is that of the protocol. */
static inline uint64_t next_deadline(const uvsmtp_connection_t *c)
{
  return c->phase == UVSMTP__PHASE_READY && c->deadline == 0 ? uvsmtp_protocol_deadline(c->protocol)
                                                             : any_deadline(c);
}

static void expire_opening(uvsmtp_connection_t *c, const char *whom)
{
  static const char *const names[] = {
#define X(name, text) text,
      UVSMTP__PHASE_MAP(X)
#undef X
  };
  const char *at = names[c->phase];
  c->tls_failed = c->phase < UVSMTP__PHASE_SESSION;
  uvsmtp__connection_fail(c, UVSMTP_ETIMEOUT, "%s was not ready within %llu ms (%s)%s", whom,
                          (unsigned long long)c->config->o.open_timeout_ms, at,
                          uvsmtp__connection_silence(c));
}

/* A deadline has passed. What is done ends the connection, or moves the deadline. */
static void expire(uvsmtp_connection_t *c, uint64_t now)
{
  char whom[UVSMTP__PEER_SIZE];
  uvsmtp__connection_whom(c, whom, sizeof(whom));
  if (c->phase == UVSMTP__PHASE_QUITTING) {
    uvsmtp__connection_end(c);
  } else if (c->write_err != 0 && now >= c->deadline) {
    uvsmtp__connection_fail(c, c->write_err, "writing to %s failed while %s: %s", whom,
                            uvsmtp__connection_phrase(c), uvsmtp_strerror(c->write_err));
  } else if (c->phase < UVSMTP__PHASE_READY && now >= c->deadline) {
    expire_opening(c, whom);
  } else if (c->phase < UVSMTP__PHASE_SESSION && now < c->ends->work->deadline) {
    uvsmtp__handshake_run(c);
  } else if (c->phase < UVSMTP__PHASE_SESSION) {
    c->tls_failed = true;
    uvsmtp__connection_fail(c, UVSMTP_ETIMEOUT, "%s did not finish the TLS handshake in time",
                            whom);
  } else if (c->ends != NULL && c->ends->suspended &&
             now >= uvsmtp_exchange_deadline(c->ends->exchange)) {
    uvsmtp__login_wake(c);
  } else {
    uvsmtp_protocol_expire(c->protocol, now);
    uvsmtp__connection_deliver(c);
  }
}

void uvsmtp__timer_idle(uvsmtp_connection_t *c, bool idle)
{
  if (!idle)
    c->trimmed = false;
  if (idle == (c->deadline != 0) || c->phase != UVSMTP__PHASE_READY || c->write_err != 0)
    return; /* it stands already, or is not the trim's */
  if (!idle)
    c->deadline = 0;
  else if (!c->trimmed)
    c->deadline = uv_now(c->loop) + TRIM_AFTER_MS;
}

static void trim(uvsmtp_connection_t *c)
{
  uvsmtp_protocol_trim(c->protocol);
  uvsmtp__stream_trim(c);
  uvsmtp__pump_trim(c);
  c->deadline = 0;
  c->trimmed = true;
}

void uvsmtp__timer_run(uvsmtp_connection_t *c)
{
  uint64_t now = uv_now(c->loop);
  if (c->finishing) {
    uvsmtp__hub_leave(c);
    return;
  }
  if (c->settle_due) {
    c->settle_due = false;
    uvsmtp__connection_settle(c);
    return;
  }
  /* Not what is about to be busy: a turn of the loop may be long enough to call it idle. */
  if (c->phase == UVSMTP__PHASE_READY && c->write_err == 0 && c->deadline != 0 &&
      now >= c->deadline && !c->pump->due)
    trim(c);
  if (c->pump->due && uvsmtp__connection_alive(c))
    uvsmtp__connection_run(c);
  else if (uvsmtp__connection_alive(c) && now >= next_deadline(c))
    expire(c, now);
  uvsmtp__timer_note(c);
}

void uvsmtp__timer_note(uvsmtp_connection_t *c)
{
  uint64_t at;
  if (c->finishing)
    return;
  if (is_due(c)) {
    uvsmtp__hub_due(c);
    return;
  }
  at = next_deadline(c);
  if (at >= c->in_hub.wake_at) /* it will be woken in time */
    return;
  if (at <= uv_now(c->loop))
    uvsmtp__hub_due(c);
  else
    uvsmtp__hub_wake_at(c, at);
}

void uvsmtp__timer_settle(uvsmtp_connection_t *c)
{
  c->settle_due = true;
  uvsmtp__hub_due(c);
}
