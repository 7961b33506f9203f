/* What the pump may do in a session, and what is due from the loop. */
#include "base/mem.h"
#include "connection/manners.h"
#include "connection/ways.h"

static unsigned avoided(const uvsmtp_connection_options_t *o)
{
  return (o->no_pipelining ? UVSMTP_WAY_PIPELINING : 0u) |
         (o->no_overlap ? UVSMTP_WAY_OVERLAP : 0u) | (o->no_chunking ? UVSMTP_WAY_CHUNKING : 0u) |
         (o->no_grouped_data ? UVSMTP_WAY_GROUPED_DATA : 0u);
}

void uvsmtp__pump_init(uvsmtp_connection_t *c)
{
  c->pump = (uvsmtp__pump_t){.avoid = avoided(&c->config->o), .left = UINT64_MAX};
  uvsmtp__list_init(&c->pump.queue);
  uvsmtp__list_init(&c->pump.flight);
  uvsmtp__list_init(&c->pump.done);
  uvsmtp__list_init(&c->pump.free);
}

void uvsmtp__pump_greeted(uvsmtp_connection_t *c, const uvsmtp_reply_t *greeting)
{
  char text[512];
  uvsmtp_reply_text(greeting, text, sizeof(text));
  if (c->config->o.no_pix_workaround || !uvsmtp__is_masked(text))
    return;
  c->pump.avoid = (1u << UVSMTP_WAYS) - 1;
  c->pump.dot_alone = true;
}

void uvsmtp__pump_ready(uvsmtp_connection_t *c)
{
  unsigned ways = ~c->pump.avoid;
  c->pump.offered = uvsmtp_protocol_capabilities(c->protocol);
  if ((c->pump.offered->extensions & UVSMTP_EXT_PIPELINING) == 0)
    ways &= ~(unsigned)UVSMTP_WAY_PIPELINING;
  if ((c->pump.offered->extensions & UVSMTP_EXT_CHUNKING) == 0)
    ways &= ~(unsigned)UVSMTP_WAY_CHUNKING;
  c->pump.possible = ways;
  if (c->pump.offered->max_mails != 0)
    c->pump.left = c->pump.offered->max_mails;
}

void uvsmtp__pump_trim(uvsmtp_connection_t *c)
{
  UVSMTP__LIST_EACH (link, &c->pump.free) {
    uvsmtp__list_remove(link);
    uvsmtp__free(c->mem, UVSMTP__CONTAINER(link, uvsmtp__transaction_t, link));
  }
  uvsmtp__gather_free(c);
}

void uvsmtp__pump_clear(uvsmtp_connection_t *c)
{
  uvsmtp__pump_trim(c);
  uvsmtp__limits_clear(c);
}

/* The next send could not be begun for want of memory: is there some now? Else that is told. */
static void begin_starved(uvsmtp_connection_t *c)
{
  static const uvsmtp_error_t error = {UVSMTP_ENOMEM, "out of memory while sending a message", 0};
  uvsmtp_send_t *send;
  uvsmtp__transaction_t *t;
  c->pump.starved = false;
  if (uvsmtp__list_empty(&c->pump.queue))
    return;
  send = uvsmtp__send_of(c->pump.queue.next);
  t = send->transaction != NULL ? send->transaction : uvsmtp__transaction_new(c, send);
  if (t != NULL) {
    t->waiting = true;
    return;
  }
  uvsmtp__list_remove(uvsmtp__send_link_of(send));
  c->pump.queued--;
  uvsmtp__result_without_memory(c, send, &error);
}

void uvsmtp__pump_run(uvsmtp_connection_t *c)
{
  c->pump.due = false;
  if (c->pump.starved)
    begin_starved(c);
  while (!uvsmtp__list_empty(&c->pump.done)) {
    uvsmtp__transaction_t *t = UVSMTP__CONTAINER(c->pump.done.next, uvsmtp__transaction_t, link);
    uvsmtp__result_give(c, t, "");
  }
}
