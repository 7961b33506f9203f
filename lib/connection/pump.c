/* What the pump may do in a session, and what is due from the loop. */
#include <string.h>

#include "base/mem.h"
#include "connection/manners.h"
#include "connection/ways.h"

static unsigned avoided(const uvsmtp_connection_options_t *o)
{
  return (o->no_pipelining ? UVSMTP_WAY_PIPELINING : 0u) |
         (o->no_overlap ? UVSMTP_WAY_OVERLAP : 0u) | (o->no_chunking ? UVSMTP_WAY_CHUNKING : 0u) |
         (o->no_grouped_data ? UVSMTP_WAY_GROUPED_DATA : 0u);
}

#define EMPTY(list)                                                                                \
  .list = {(uvsmtp__link_t *)&uvsmtp__pump_at_rest.list,                                           \
           (uvsmtp__link_t *)&uvsmtp__pump_at_rest.list}

const uvsmtp__pump_t uvsmtp__pump_at_rest = {EMPTY(queue), EMPTY(flight), EMPTY(done)};

void uvsmtp__pump_init(uvsmtp_connection_t *c)
{
  c->pump = (uvsmtp__pump_t *)&uvsmtp__pump_at_rest;
  c->terms.left = UINT64_MAX;
}

int uvsmtp__pump_wake(uvsmtp_connection_t *c)
{
  uvsmtp__pump_t *pump = uvsmtp__calloc(c->mem, 1, sizeof(*pump));
  if (pump == NULL)
    return UVSMTP_ENOMEM;
  uvsmtp__list_init(&pump->queue);
  uvsmtp__list_init(&pump->flight);
  uvsmtp__list_init(&pump->done);
  c->pump = pump;
  return 0;
}

void uvsmtp__pump_greeted(uvsmtp_connection_t *c, const uvsmtp_reply_t *greeting)
{
  char text[512];
  uvsmtp_reply_text(greeting, text, sizeof(text));
  /* Exim counts RSET behind what it has refused, ends the session with the eleventh, and says so in
   * the clear even within TLS: all that is under way is unknown then. */
  c->terms.curt = strstr(text, " Exim ") != NULL;
  if (c->config->o.no_pix_workaround || !uvsmtp__is_masked(text))
    return;
  c->terms.dot_alone = true;
}

void uvsmtp__pump_speak_plainly(uvsmtp_connection_t *c, bool plainly)
{
  unsigned ways = plainly ? (unsigned)UVSMTP_WAY_CHUNKING : ~0u;
  ways &= c->terms.dot_alone ? 0 : ~avoided(&c->config->o);
  if ((c->terms.offered->extensions & UVSMTP_EXT_PIPELINING) == 0)
    ways &= ~(unsigned)UVSMTP_WAY_PIPELINING;
  if ((c->terms.offered->extensions & UVSMTP_EXT_CHUNKING) == 0)
    ways &= ~(unsigned)UVSMTP_WAY_CHUNKING;
  c->terms.possible = ways;
}

void uvsmtp__pump_ready(uvsmtp_connection_t *c)
{
  c->terms.offered = uvsmtp_protocol_capabilities(c->protocol);
  uvsmtp__pump_speak_plainly(c, false);
  if (c->terms.offered->max_mails != 0)
    c->terms.left = c->terms.offered->max_mails;
  c->terms.trying = uvsmtp__manners_tries(c->manners);
  if (c->manners->max_mails != 0)
    uvsmtp__limits_heed(c);
}

/* What it keeps for the next message. */
static void free_kept(uvsmtp_connection_t *c)
{
  uvsmtp__link_t *link;
  while ((link = c->pump->free) != NULL) {
    c->pump->free = link->next;
    uvsmtp__free(c->mem, UVSMTP__CONTAINER(link, uvsmtp__transaction_t, link));
  }
  uvsmtp__free(c->mem, c->pump->gather);
}

static void put_to_rest(uvsmtp_connection_t *c)
{
  if (c->pump == &uvsmtp__pump_at_rest)
    return;
  free_kept(c);
  uvsmtp__free(c->mem, c->pump);
  c->pump = (uvsmtp__pump_t *)&uvsmtp__pump_at_rest;
}

void uvsmtp__pump_trim(uvsmtp_connection_t *c)
{
  if (!uvsmtp__pump_busy(c) && !c->pump->due && !c->pump->resetting)
    put_to_rest(c);
}

void uvsmtp__pump_clear(uvsmtp_connection_t *c)
{
  put_to_rest(c);
  uvsmtp__limits_clear(c);
}

/* The next send could not be begun for want of memory: is there some now? Else that is told. */
static void begin_starved(uvsmtp_connection_t *c)
{
  static const uvsmtp_error_t error = {UVSMTP_ENOMEM, "out of memory while sending a message", 0};
  uvsmtp_send_t *send;
  uvsmtp__transaction_t *t;
  c->pump->starved = false;
  if (uvsmtp__list_empty(&c->pump->queue))
    return;
  send = uvsmtp__send_of(c->pump->queue.next);
  t = send->transaction != NULL ? send->transaction : uvsmtp__transaction_new(c, send);
  if (t != NULL) {
    t->waiting = true;
    return;
  }
  uvsmtp__list_remove(uvsmtp__send_link_of(send));
  c->pump->queued--;
  uvsmtp__result_without_memory(c, send, &error);
}

void uvsmtp__pump_run(uvsmtp_connection_t *c)
{
  c->pump->due = false;
  if (c->pump->starved)
    begin_starved(c);
  while (!uvsmtp__list_empty(&c->pump->done)) {
    uvsmtp__transaction_t *t = UVSMTP__CONTAINER(c->pump->done.next, uvsmtp__transaction_t, link);
    uvsmtp__result_give(c, t, "");
  }
}
