#ifndef UVSMTP_CONNECTION_WAYS_H
#define UVSMTP_CONNECTION_WAYS_H

/* What the pump asks of a connection with every message. */
#include "connection/connection.h"

/* The ways of talking (UVSMTP_WAY_…) that are open. Nothing runs ahead without PIPELINING. */
static inline unsigned uvsmtp__ways(const uvsmtp_connection_t *c)
{
  unsigned ways = c->terms.possible & ~c->manners->avoid;
  return (ways & UVSMTP_WAY_PIPELINING) != 0 ? ways : ways & UVSMTP_WAY_CHUNKING;
}

/* Is this way open, as of the beginning of this fill? */
static inline bool uvsmtp__goes(const uvsmtp_connection_t *c, unsigned way)
{
  return (c->pump->ways & way) != 0;
}

static inline bool uvsmtp__pipelines(const uvsmtp_connection_t *c)
{
  return uvsmtp__goes(c, UVSMTP_WAY_PIPELINING);
}

/* A command is about to leave before the reply to one before it. */
static inline void uvsmtp__note_group(const uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  if (uvsmtp__pipelines(c) && uvsmtp_protocol_outstanding(c->protocol) > 0)
    t->used |= UVSMTP_WAY_PIPELINING;
}

/* May a command leave now? */
static inline bool uvsmtp__may_issue(const uvsmtp_connection_t *c)
{
  return uvsmtp__pipelines(c) || uvsmtp_protocol_outstanding(c->protocol) == 0;
}

/* Not this time, but as it is: there is no room now. */
static inline bool uvsmtp__is_for_now(int err)
{
  return err == UVSMTP_EQUEUEFULL || err == UVSMTP_ECLOSING || err == UVSMTP_ENOMEM;
}

/* Does the server limit what a session or a transaction takes (RFC 9422)? */
static inline bool uvsmtp__has_limits(const uvsmtp_connection_t *c)
{
  return (c->terms.offered->extensions & UVSMTP_EXT_LIMITS) != 0;
}

/* Sends are queued or under way, or are to be told. */
static inline bool uvsmtp__pump_busy(const uvsmtp_connection_t *c)
{
  return c->pump->flying > 0 || c->pump->queued > 0 || !uvsmtp__list_empty(&c->pump->done);
}

static inline bool uvsmtp__wants_all(const uvsmtp__transaction_t *t)
{
  return (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0;
}

/* Its place in the queue. */
static inline uvsmtp__link_t *uvsmtp__send_link_of(uvsmtp_send_t *send)
{
  return (uvsmtp__link_t *)(void *)send->links;
}

static inline uvsmtp_send_t *uvsmtp__send_of(uvsmtp__link_t *link)
{
  return UVSMTP__CONTAINER(link, uvsmtp_send_t, links);
}

/* The transaction whose replies are due, or NULL. */
static inline uvsmtp__transaction_t *uvsmtp__pump_front(const uvsmtp_connection_t *c)
{
  if (uvsmtp__list_empty(&c->pump->flight))
    return NULL;
  return UVSMTP__CONTAINER(c->pump->flight.next, uvsmtp__transaction_t, link);
}

/* The one that was begun last, or NULL. */
static inline uvsmtp__transaction_t *uvsmtp__pump_youngest(const uvsmtp_connection_t *c)
{
  if (uvsmtp__list_empty(&c->pump->flight))
    return NULL;
  return UVSMTP__CONTAINER(c->pump->flight.prev, uvsmtp__transaction_t, link);
}

/* uvsmtp__transaction_find, which as a rule is the one that was used last. */
static inline uvsmtp__transaction_t *uvsmtp__transaction_take(uvsmtp_connection_t *c, size_t count)
{
  uvsmtp__link_t *link = c->pump->free;
  uvsmtp__transaction_t *t = UVSMTP__CONTAINER(link, uvsmtp__transaction_t, link);
  if (link == NULL || t->capacity < count)
    return uvsmtp__transaction_find(c, count);
  c->pump->free = link->next;
  return t;
}

/* How many messages may be under way: one beside another until that has worked with this server,
 * so that one which breaks under it leaves few in doubt. */
static inline size_t uvsmtp__pump_most(const uvsmtp_connection_t *c)
{
  bool proven = (c->manners->proven & UVSMTP_WAY_OVERLAP) != 0;
  size_t most = c->config->o.max_in_doubt;
  if (c->terms.curt && most == UVSMTP__IN_DOUBT)
    most /= 2;
  return proven || most < 2 ? most : 2;
}

static inline bool uvsmtp__pump_may_overlap(const uvsmtp_connection_t *c, unsigned ways,
                                            size_t most)
{
  return (ways & UVSMTP_WAY_OVERLAP) != 0 && c->pump->flying < most &&
         c->pump->flying_bytes < c->config->o.max_in_doubt_bytes;
}

/* May the next send begin? There is one then. */
static inline bool uvsmtp__pump_may_begin(const uvsmtp_connection_t *c)
{
  const uvsmtp__pump_t *pump = c->pump;
  return pump->queued > 0 && !pump->resetting && c->terms.left > 0 &&
         (pump->flying == 0 || uvsmtp__pump_may_overlap(c, pump->ways, pump->most));
}

/* Does a transaction have to be ended before its MAIL? */
static inline bool uvsmtp__pump_needs_reset(const uvsmtp_connection_t *c)
{
  uvsmtp_state_t state;
  if (c->pump->flying > 0)
    return true;
  state = uvsmtp_protocol_projected_state(c->protocol);
  return uvsmtp_protocol_needs_reset(c->protocol) || state == UVSMTP_STATE_MAILTX ||
         state == UVSMTP_STATE_RECIPIENT_SENT;
}

/* May all of a message leave at once, as far as the session is concerned? */
static inline bool uvsmtp__pump_flies(const uvsmtp_connection_t *c)
{
  return uvsmtp__pipelines(c) && uvsmtp__goes(c, UVSMTP_WAY_CHUNKING | UVSMTP_WAY_GROUPED_DATA) &&
         !uvsmtp__has_limits(c);
}

/* Has the pump do what is due from the loop. */
static inline void uvsmtp__pump_run_soon(uvsmtp_connection_t *c)
{
  if (c->pump->due)
    return;
  c->pump->due = true;
  uvsmtp__timer_note(c);
}

#endif
