#ifndef UVSMTP_CONNECTION_WAYS_H
#define UVSMTP_CONNECTION_WAYS_H

/* What the pump asks of a connection with every message. */
#include "connection/connection.h"

/*
 * The ways of talking (UVSMTP_WAY_…) that the server offers and that neither the options nor its
 * manners are against. Nothing runs ahead without PIPELINING.
 */
static inline unsigned uvsmtp__ways(const uvsmtp_connection_t *c)
{
  unsigned extensions = c->pump.offered->extensions;
  unsigned ways = ~(c->pump.avoid | c->manners->avoid);
  if ((extensions & UVSMTP_EXT_PIPELINING) == 0 || (ways & UVSMTP_WAY_PIPELINING) == 0)
    ways &= UVSMTP_WAY_CHUNKING;
  if ((extensions & UVSMTP_EXT_CHUNKING) == 0)
    ways &= ~(unsigned)UVSMTP_WAY_CHUNKING;
  return ways;
}

/* Would `more` messages be too many for the session (MAILMAX of RFC 9422)? */
static inline bool uvsmtp__limits_reached(const uvsmtp_connection_t *c, uint64_t more)
{
  uint64_t max = c->pump.offered->max_mails;
  return c->pump.spent || (max != 0 && c->pump.mails + more > max);
}

static inline bool uvsmtp__wants_all(const uvsmtp__transaction_t *t)
{
  return (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0;
}

#endif
