#ifndef UVSMTP_CONNECTION_WAYS_H
#define UVSMTP_CONNECTION_WAYS_H

/* What the pump asks of a connection with every message. */
#include "connection/connection.h"

/* The ways of talking (UVSMTP_WAY_…) that are open. Nothing runs ahead without PIPELINING. */
static inline unsigned uvsmtp__ways(const uvsmtp_connection_t *c)
{
  unsigned ways = c->pump.possible & ~c->manners->avoid;
  return (ways & UVSMTP_WAY_PIPELINING) != 0 ? ways : ways & UVSMTP_WAY_CHUNKING;
}

/* Does the server limit what a session or a transaction takes (RFC 9422)? */
static inline bool uvsmtp__has_limits(const uvsmtp_connection_t *c)
{
  return (c->pump.offered->extensions & UVSMTP_EXT_LIMITS) != 0;
}

/* Sends are queued or under way, or are to be told. */
static inline bool uvsmtp__pump_busy(const uvsmtp_connection_t *c)
{
  return c->pump.flying > 0 || c->pump.queued > 0 || !uvsmtp__list_empty(&c->pump.done);
}

static inline bool uvsmtp__wants_all(const uvsmtp__transaction_t *t)
{
  return (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0;
}

#endif
