/*
 * The usual end of a message: the first and only reply to its content says yes, and all before it
 * was accepted, for all. Any other reply is for replies.c.
 */
#include <string.h>

#include "base/octets.h"
#include "base/rare.h"
#include "connection/manners.h"
#include "connection/result.h"
#include "connection/ways.h"

/* Of a flight of which nothing was told by now all was accepted. */
static inline bool was_accepted(const uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  if (t->quiet)
    return event->command == UVSMTP_COMMAND_BDAT_LAST;
  return (event->command == UVSMTP_COMMAND_BDAT_LAST ||
          event->command == UVSMTP_COMMAND_DATA_END) &&
         t->end != 0 && !t->decided && t->mail_ok && t->accepted == t->count;
}

static inline bool went_well(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t,
                             const uvsmtp_event_t *event)
{
  return was_accepted(t, event) && UVSMTP_REPLY_CLASS(&event->reply) == 2 && event->last &&
         event->index == 0 &&
         /* in the clear the protocol has seen to it */
         (!c->tls_done || uvsmtp__connection_reached(c) >= t->end);
}

/* It stands behind these words, at the end of the only line, in most servers' replies. */
static const char mark[] = "queued as ";
#define MARK (sizeof(mark) - 1)

/* The queue id, in place if it stands where it did last time, or else where the mark is found. */
static const char *find_queue_id(uvsmtp__pump_t *pump, const uvsmtp_reply_t *reply,
                                 const char *text, size_t len, char *out, size_t size)
{
  size_t at = pump->id_at;
  if (at < MARK || at >= len || memcmp(text + at - MARK, mark, MARK) != 0)
    at = uvsmtp__octets_find(text, len, mark[0]) + MARK;
  if (reply->lines == 1 && at < len && memcmp(text + at - MARK, mark, MARK) == 0 &&
      uvsmtp__octets_find(text + at, len - at, ' ') == len - at) {
    pump->id_at = at;
    return text + at;
  }
  return uvsmtp__queue_id(text, out, size);
}

static inline void accept_recipients(uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                                     const char *text)
{
  const uvsmtp_recipient_t *recipient = t->send->envelope->recipients;
  uvsmtp_recipient_result_t *r = t->results, *end = r + t->count;
  for (; r < end; r++, recipient++) {
    r->address = recipient->address;
    r->status = UVSMTP_ACCEPTED;
    r->code = event->reply.code;
    for (size_t i = 0; i < 3; i++)
      r->enhanced[i] = event->reply.enhanced[i];
    r->text = text;
    r->phase = event->command;
    r->try_elsewhere = false;
  }
}

/* What all have in common. */
static UVSMTP__RARE void prepare(const uvsmtp_connection_t *c, uvsmtp_result_t *result)
{
  *result = (uvsmtp_result_t){
      .status = UVSMTP_ACCEPTED, .error_text = "", .phase_known = true, .retry_is_safe = true};
  uvsmtp__result_session(c, result);
}

static inline __attribute__((always_inline)) void
give_accepted(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  char text[UVSMTP__WORDS_MAX], id[128];
  size_t len = uvsmtp_reply_text(&event->reply, text, sizeof(text));
  uvsmtp_result_t *result = &c->pump->usual;
  accept_recipients(t, event, text);
  if (t->open || t->opening)
    uvsmtp__content_close(t);
  if (result->peer == NULL)
    prepare(c, result);
  result->phase = event->command;
  result->code = event->reply.code;
  for (size_t i = 0; i < 3; i++)
    result->enhanced[i] = event->reply.enhanced[i];
  result->text = text;
  result->queue_id = find_queue_id(c->pump, &event->reply, text, len, id, sizeof(id));
  uvsmtp__list_shift(&c->pump->flight);
  uvsmtp__leave_flight(c->pump, t);
  uvsmtp__result_tell(c, t, result);
}

void uvsmtp__pump_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  uvsmtp__link_t *oldest = c->pump->flight.next;
  uvsmtp__transaction_t *t = UVSMTP__CONTAINER(oldest, uvsmtp__transaction_t, link);
  if (oldest == &c->pump->flight || !went_well(c, t, event)) {
    uvsmtp__reply_other(c, uvsmtp__pump_front(c), event);
    return;
  }
  c->terms.farewell = false;
  c->terms.refused_in_row = 0;
  c->terms.served = true;
  c->terms.taken++;
  uvsmtp__manners_worked(c->manners, t->used);
  give_accepted(c, t, event);
}
