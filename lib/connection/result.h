#ifndef UVSMTP_CONNECTION_RESULT_H
#define UVSMTP_CONNECTION_RESULT_H

/* How a result is given, whatever it is. */
#include "connection/connection.h"

/* It is not among those under way any more. */
static inline void uvsmtp__leave_flight(uvsmtp__pump_t *pump, const uvsmtp__transaction_t *t)
{
  pump->flying--;
  pump->flying_bytes -= t->weight;
  if (t->watched)
    pump->watched--;
}

/* Where it was. */
static inline void uvsmtp__result_session(const uvsmtp_connection_t *c, uvsmtp_result_t *result)
{
  result->peer = c->peer != NULL ? c->peer : "";
  result->connection_id = c->id;
  result->security = (uvsmtp_security_t)c->security;
  result->connected_ms = c->info.ready_ms;
}

/* Its memory is for the next one. */
static inline void uvsmtp__transaction_put_by(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  t->link.next = c->pump->free;
  c->pump->free = &t->link;
}

/* Calls back, when it is not under way any more, with a result of which all is filled in but the
 * recipients and the times. */
static inline void uvsmtp__result_tell(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                                       uvsmtp_result_t *result)
{
  uvsmtp_send_t *send = t->send;
  result->recipients = t->results;
  result->recipient_count = t->count;
  result->transactions = t->rounds;
  result->queued_ms = send->queued_ms;
  result->started_ms = send->started_ms;
  result->finished_ms = uv_now(c->loop);
  send->owner = NULL;
  c->pump->ended = true;
  send->cb(send, result);
  /* The send may be gone, or be under way again. */
  if (t->carried || t->foreign || t->worded || t->doubtful)
    uvsmtp__transaction_release(c, t);
  else
    uvsmtp__transaction_put_by(c, t);
}

#endif
