/*
 * What the end of a send on a connection means: for the connection, for its server, and for trying
 * the message again.
 */
#include "client/pool.h"

#define SERVICE_NOT_AVAILABLE 421 /* RFC 5321 section 3.8: the server ends the session */

/* The connection ended for what another message did, or was answered. */
static bool is_carried_along(const uvsmtp__attempt_t *attempt)
{
  return !attempt->open && attempt->elsewhere && attempt->err != UVSMTP_ELIMIT;
}

/* We ended it ourselves: a send was cancelled, or its source failed in the middle. */
static bool is_cut(const uvsmtp__attempt_t *attempt)
{
  return attempt->err == UVSMTP_ECANCELED ||
         (!attempt->open && uvsmtp_err_class(attempt->err) == UVSMTP_CLASS_USAGE);
}

static bool is_dead(const uvsmtp__attempt_t *attempt)
{
  uvsmtp_err_class_t klass = uvsmtp_err_class(attempt->err);
  return is_carried_along(attempt) || attempt->cancelled ||
         attempt->code == SERVICE_NOT_AVAILABLE || klass == UVSMTP_CLASS_NETWORK ||
         klass == UVSMTP_CLASS_TLS || attempt->err == UVSMTP_ECLOSING ||
         attempt->err == UVSMTP_EPROTOCOL || attempt->err == UVSMTP_EREPLYTOOLONG;
}

/*
 * Replies that are about the server and not about the message: mail system full, not accepting
 * messages, congested (RFC 3463 sections 3.4 and 3.5), mail flood (IANA's registry, X.7.28).
 * Greylisting and full mailboxes are of the message's recipient, and slow nobody else.
 */
static bool is_slow(const uvsmtp__attempt_t *attempt)
{
  static const uint16_t details[][2] = {{3, 1}, {3, 2}, {4, 5}, {7, 28}};
  if (attempt->code / 100 != 4 || attempt->enhanced[0] != 4)
    return false;
  for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++)
    if (attempt->enhanced[1] == details[i][0] && attempt->enhanced[2] == details[i][1])
      return true;
  return false;
}

uvsmtp__ending_t uvsmtp__attempt_ending(const uvsmtp__attempt_t *attempt)
{
  if (attempt->cancelled && attempt->open)
    return UVSMTP__ENDING_NONE;
  if (is_cut(attempt))
    return UVSMTP__ENDING_CUT;
  if (is_dead(attempt))
    return UVSMTP__ENDING_DEAD;
  if (is_slow(attempt))
    return UVSMTP__ENDING_SLOW;
  return attempt->refused ? UVSMTP__ENDING_REFUSED : UVSMTP__ENDING_FINE;
}

bool uvsmtp__attempt_again(const uvsmtp__attempt_t *attempt, unsigned max_tries)
{
  return attempt->elsewhere && !attempt->cancelled && attempt->tries < max_tries;
}
