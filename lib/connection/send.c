/* What callers say of sends: here is one, give it up; and what they ask: how many more? */
#include "base/rare.h"
#include "connection/ways.h"

/* Is there nothing to come that will lead to a fill anyway: a reply, the end of this delivery? */
static bool has_to_be_run(const uvsmtp_connection_t *c)
{
  if (c->phase != UVSMTP__PHASE_READY)
    return true;
  if (c->pump->resetting || (c->holds & UVSMTP__HOLD_DELIVERY) != 0)
    return false;
  return c->pump->flying == 0 ||
         (uvsmtp__pump_youngest(c)->step == UVSMTP__STEP_ISSUED &&
          uvsmtp__pump_may_overlap(c, uvsmtp__ways(c), uvsmtp__pump_most(c)));
}

/* It has begun on another connection. */
static UVSMTP__RARE void adopt(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  t->order = c->pump->order++;
  t->foreign = true;
}

/* To the end of the queue, which is closed when all are in it. */
static void append(uvsmtp_connection_t *c, uvsmtp_send_t *const *sends, size_t count,
                   uvsmtp_send_cb cb)
{
  uvsmtp__link_t *queue = &c->pump->queue, *last = queue->prev;
  for (size_t i = 0; i < count; i++) {
    uvsmtp_send_t *send = sends[i];
    uvsmtp__link_t *link = uvsmtp__send_link_of(send);
    if (send->transaction != NULL)
      adopt(c, send->transaction);
    send->cb = cb;
    send->owner = c;
    send->started_ms = 0;
    send->cancel_queued = NULL;
    link->prev = last;
    last = last->next = link;
  }
  last->next = queue;
  queue->prev = last;
  c->pump->queued += count;
}

int uvsmtp__pump_queue(uvsmtp_connection_t *c, uvsmtp_send_t *const *sends, size_t count,
                       uvsmtp_send_cb cb)
{
  if (!uvsmtp__connection_alive(c) || uvsmtp__connection_closing(c))
    return UVSMTP_ECLOSING;
  if (c->pump == &uvsmtp__pump_at_rest && uvsmtp__pump_wake(c) != 0)
    return UVSMTP_ENOMEM;
  append(c, sends, count, cb);
  if (has_to_be_run(c))
    uvsmtp__pump_run_soon(c);
  return 0;
}

int uvsmtp_connection_send(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                           const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                           uvsmtp_send_cb cb)
{
  int err;
  if (cb == NULL || envelope == NULL || source == NULL || source->ops == NULL)
    return UVSMTP_EINVAL;
  if (envelope->recipient_count == 0 || envelope->recipients == NULL)
    return UVSMTP_ENORECIPIENTS;
  if ((err = uvsmtp_envelope_look(envelope, &send->lengths)) != 0)
    return err;
  send->envelope = envelope;
  send->source = source;
  send->queued_ms = uv_now(c->loop);
  send->transaction = NULL;
  return uvsmtp__pump_queue(c, &send, 1, cb);
}

/* Nothing of it is under way: it only has to be told. */
static void cancel_waiting(uvsmtp_connection_t *c, uvsmtp_send_t *send)
{
  uvsmtp__transaction_t *t = uvsmtp__pump_take_off(c, send);
  if (t == NULL) {
    uvsmtp__connection_fail(c, UVSMTP_ENOMEM, "cancelling a message: out of memory");
    return;
  }
  t->cancelled = true;
  uvsmtp__outcome_local(c, t, UVSMTP_ECANCELED, NULL);
}

/* It is told soon, and then shall not go elsewhere. */
static void note_cancelled(uvsmtp_connection_t *c, uvsmtp_send_t *send)
{
  uvsmtp__transaction_t *t = send->transaction;
  if (t == NULL)
    t = uvsmtp__transaction_new(c, send);
  if (t != NULL)
    t->cancelled = true;
}

void uvsmtp_send_cancel(uvsmtp_send_t *send)
{
  uvsmtp_connection_t *c = send->owner;
  uvsmtp__transaction_t *t = send->transaction;
  if (send->cancel_queued != NULL) {
    send->cancel_queued(send);
    return;
  }
  if (c == NULL)
    return;
  if (!uvsmtp__connection_alive(c)) {
    note_cancelled(c, send); /* the end is on its way */
    return;
  }
  if (t != NULL && t->decided) {
    t->cancelled = true; /* no further transaction */
    return;
  }
  if (t == NULL || t->waiting) {
    cancel_waiting(c, send);
    return;
  }
  t->cancelled = true;
  uvsmtp__connection_fail(c, UVSMTP_ECANCELED, "a message was cancelled while it was being sent");
}

size_t uvsmtp_connection_room(const uvsmtp_connection_t *c)
{
  size_t pending = c->pump->queued + c->pump->flying, most = 1;
  unsigned ways;
  if (c->phase != UVSMTP__PHASE_READY || uvsmtp__connection_closing(c) ||
      uvsmtp_protocol_is_closing(c->protocol) || !uvsmtp__list_empty(&c->requests))
    return 0;
  ways = uvsmtp__ways(c);
  /* By DATA: one whose reply is awaited, one whose commands are out, and one whose commands leave
   * with the content of that. */
  if ((ways & UVSMTP_WAY_OVERLAP) != 0)
    most = (ways & UVSMTP_WAY_CHUNKING) != 0 ? uvsmtp__pump_most(c) : 3;
  if (pending >= most || c->terms.left <= c->pump->queued)
    return 0;
  most -= pending;
  return c->terms.left - c->pump->queued < most ? (size_t)(c->terms.left - c->pump->queued) : most;
}

bool uvsmtp_connection_can_send(const uvsmtp_connection_t *c)
{
  return uvsmtp_connection_room(c) > 0;
}

bool uvsmtp_connection_is_spent(const uvsmtp_connection_t *c)
{
  return c->terms.left == 0;
}

size_t uvsmtp_connection_pending(const uvsmtp_connection_t *c)
{
  return c->pump->queued + c->pump->flying;
}
