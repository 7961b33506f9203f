/*
 * DELIVERBY (RFC 2852) and FUTURERELEASE (RFC 4865): when a message has to arrive, and when it may
 * leave. Servers say behind the keyword how far they go.
 */
#include <string.h>

#include "base/text.h"
#include "protocol/machine.h"

enum { SECONDS_MAX = 999999999 /* nine digits */, TIME_MAX = 40 };

/* RFC 2852 section 2: "DELIVERBY 240", the least time that goes with mode R; 0: it was not said. */
static uint64_t least_by(const uvsmtp_protocol_t *p)
{
  const char *said = uvsmtp_capabilities_find(p->capabilities, "DELIVERBY");
  return said != NULL ? uvsmtp__capability_number(said, strcspn(said, ", "), SECONDS_MAX) : 0;
}

static int check_by(uvsmtp_protocol_t *p, const uvsmtp_envelope_t *e, unsigned mode)
{
  if (mode == 0)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "by_seconds needs one of BY_RETURN and BY_NOTIFY");
  if (mode == (UVSMTP_ENVELOPE_BY_RETURN | UVSMTP_ENVELOPE_BY_NOTIFY))
    return uvsmtp__fault(p, UVSMTP_EINVAL, "BY_RETURN and BY_NOTIFY exclude one another");
  if (mode == UVSMTP_ENVELOPE_BY_RETURN && e->by_seconds <= 0)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "by_seconds has to be positive with BY_RETURN");
  if (e->by_seconds > SECONDS_MAX || e->by_seconds < -SECONDS_MAX)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "by_seconds has over nine digits");
  return uvsmtp__need(p, UVSMTP_EXT_DELIVERBY);
}

int uvsmtp__append_by(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e)
{
  unsigned mode = e->flags & (UVSMTP_ENVELOPE_BY_RETURN | UVSMTP_ENVELOPE_BY_NOTIFY);
  uint64_t least;
  int err;
  if (mode == 0 && e->by_seconds == 0 && (e->flags & UVSMTP_ENVELOPE_BY_TRACE) == 0)
    return 0;
  if ((err = check_by(p, e, mode)) != 0)
    return err;
  least = least_by(p);
  if (mode == UVSMTP_ENVELOPE_BY_RETURN && (uint64_t)e->by_seconds < least)
    return uvsmtp__fault(p, UVSMTP_ERANGE, "by_seconds is %lld, and DELIVERBY begins at %llu",
                         (long long)e->by_seconds, (unsigned long long)least);
  return uvsmtp__buffer_printf(line, " BY=%lld;%s%s", (long long)e->by_seconds,
                               mode == UVSMTP_ENVELOPE_BY_RETURN ? "R" : "N",
                               (e->flags & UVSMTP_ENVELOPE_BY_TRACE) != 0 ? "T" : "");
}

/* RFC 4865 section 3: "FUTURERELEASE 604800 2030-01-01T00:00:00Z", the most of either form; what
 * cannot be read is no limit. */
static int check_hold_for(uvsmtp_protocol_t *p, uint64_t seconds)
{
  const char *said = uvsmtp_capabilities_find(p->capabilities, "FUTURERELEASE");
  uint64_t most =
      said != NULL ? uvsmtp__capability_number(said, strcspn(said, " "), SECONDS_MAX) : 0;
  if (most == 0 || seconds <= most)
    return 0;
  return uvsmtp__fault(p, UVSMTP_ERANGE, "hold_seconds is %llu, and FUTURERELEASE ends at %llu",
                       (unsigned long long)seconds, (unsigned long long)most);
}

static int check_hold_until(uvsmtp_protocol_t *p, const char *until, int64_t seconds)
{
  const char *said = uvsmtp_capabilities_find(p->capabilities, "FUTURERELEASE");
  int64_t most;
  said = said != NULL ? strchr(said, ' ') : NULL;
  if (said == NULL || strlen(said + 1) > TIME_MAX || !uvsmtp__rfc3339_read(said + 1, &most) ||
      seconds <= most)
    return 0;
  return uvsmtp__fault(p, UVSMTP_ERANGE, "hold_until is %s, and FUTURERELEASE ends at %s", until,
                       said + 1);
}

int uvsmtp__append_hold(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e)
{
  int64_t until;
  int err;
  if (e->hold_seconds == 0 && e->hold_until == NULL)
    return 0;
  if (e->hold_seconds != 0 && e->hold_until != NULL)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "hold_seconds and hold_until exclude one another");
  if (e->hold_seconds > SECONDS_MAX)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "hold_seconds has over nine digits");
  if (e->hold_until != NULL && uvsmtp__breaks_line(e->hold_until, strlen(e->hold_until)))
    return UVSMTP_EINJECTION;
  if (e->hold_until != NULL &&
      (strlen(e->hold_until) > TIME_MAX || !uvsmtp__rfc3339_read(e->hold_until, &until)))
    return uvsmtp__fault(p, UVSMTP_EINVAL, "hold_until is no time as RFC 3339 has it");
  if ((err = uvsmtp__need(p, UVSMTP_EXT_FUTURERELEASE)) != 0)
    return err;
  if (e->hold_until == NULL) {
    err = check_hold_for(p, e->hold_seconds);
    return err != 0
               ? err
               : uvsmtp__buffer_printf(line, " HOLDFOR=%llu", (unsigned long long)e->hold_seconds);
  }
  err = check_hold_until(p, e->hold_until, until);
  return err != 0 ? err : uvsmtp__buffer_printf(line, " HOLDUNTIL=%s", e->hold_until);
}
