/* Envelopes: what no string in one may hold, and what most of them are. */
#include <string.h>

#include "base/octets.h"
#include "base/text.h"
#include "protocol/address.h"
#include "protocol/machine.h"

static bool breaks(const char *s)
{
  return s != NULL && uvsmtp__breaks_line(s, strlen(s));
}

/* What most envelopes do not have. */
static bool extras_break(const uvsmtp_envelope_t *e)
{
  return ((uintptr_t)e->envid | (uintptr_t)e->hold_until | (uintptr_t)e->auth |
          (uintptr_t)e->params | (uintptr_t)e->forward) != 0 &&
         (breaks(e->envid) || breaks(e->hold_until) || breaks(e->auth) || breaks(e->params) ||
          (e->forward != NULL && uvsmtp__origin_breaks(e->forward)));
}

int uvsmtp_envelope_check(const uvsmtp_envelope_t *e)
{
  if (breaks(e->sender) || extras_break(e))
    return UVSMTP_EINJECTION;
  for (size_t i = 0; i < e->recipient_count; i++) {
    const uvsmtp_recipient_t *r = &e->recipients[i];
    if (breaks(r->address) || breaks(r->orcpt) || breaks(r->params))
      return UVSMTP_EINJECTION;
  }
  return 0;
}

/* Does it ask for more than that a message goes from one address to another one? */
static bool asks_for_more(const uvsmtp_envelope_t *e)
{
  static const uvsmtp_mail_needs_t none = {0};
  return e->recipient_count != 1 || e->sender == NULL || e->recipients->address == NULL ||
         e->forward != NULL || uvsmtp__mail_needs_more(e, &none) ||
         uvsmtp__rcpt_needs_more(e->recipients);
}

/* The smallest of its first sixteen octets and its last ones, at each place. */
static inline uvsmtp__octets_t smallest(const char *s, size_t len)
{
  return uvsmtp__octets_smaller(uvsmtp__octets_load(s),
                                uvsmtp__octets_load(s + len - UVSMTP__OCTETS));
}

/* Both at once, where that is all of them, as it is of most; CR and LF are below 14. */
static inline bool either_breaks(const char *a, size_t a_len, const char *b, size_t b_len)
{
  if (a_len - UVSMTP__OCTETS <= UVSMTP__OCTETS && b_len - UVSMTP__OCTETS <= UVSMTP__OCTETS &&
      uvsmtp__octets_mask(uvsmtp__octets_within(
          uvsmtp__octets_smaller(smallest(a, a_len), smallest(b, b_len)), 0, 14)) == 0)
    return false;
  return uvsmtp__breaks_line(a, a_len) || uvsmtp__breaks_line(b, b_len);
}

int uvsmtp_envelope_look(const uvsmtp_envelope_t *e, uvsmtp_address_lengths_t *lengths)
{
  const char *sender = e->sender, *recipient;
  size_t sender_len, recipient_len;
  *lengths = (uvsmtp_address_lengths_t){0, 0};
  if (asks_for_more(e))
    return uvsmtp_envelope_check(e);
  recipient = e->recipients->address;
  sender_len = strlen(sender);
  recipient_len = strlen(recipient);
  if (either_breaks(sender, sender_len, recipient, recipient_len))
    return UVSMTP_EINJECTION;
  if (sender_len - 1 < UVSMTP__SHORT_ADDRESS && recipient_len - 1 < UVSMTP__SHORT_ADDRESS)
    *lengths = (uvsmtp_address_lengths_t){(unsigned char)sender_len, (unsigned char)recipient_len};
  return 0;
}
