/* Tells senders how much of their content has left. Runs from the loop's callbacks only. */
#include "connection/connection.h"

static uint64_t octets_left(const uvsmtp__transaction_t *t, uint64_t reached)
{
  uint64_t end = t->end != 0 && reached > t->end ? t->end : reached;
  uint64_t sent = end > t->begin ? end - t->begin : 0;
  return sent < t->size ? sent : t->size;
}

void uvsmtp__progress_tell(uvsmtp_connection_t *c)
{
  uint64_t reached;
  if (c->pump->watched == 0 || !uvsmtp__connection_alive(c))
    return;
  reached = uvsmtp__connection_reached(c);
  /* No callback can take one out of the flight at once. */
  UVSMTP__LIST_EACH (link, &c->pump->flight) {
    uvsmtp__transaction_t *t = UVSMTP__CONTAINER(link, uvsmtp__transaction_t, link);
    uint64_t sent = t->begin != 0 ? octets_left(t, reached) : 0;
    if (!t->watched || t->send->progress == NULL || sent == t->told)
      continue;
    t->told = sent;
    t->send->progress(t->send, sent, t->size);
    if (!uvsmtp__connection_alive(c))
      return;
  }
}
