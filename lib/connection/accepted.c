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

/* `t->quiet`: of a flight of which nothing was told by now all was accepted. */
static inline bool went_well(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t,
                             const uvsmtp_event_t *event)
{
  return (t->quiet || (t->end != 0 && !t->decided && t->mail_ok && t->accepted == t->count)) &&
         UVSMTP_REPLY_CLASS(&event->reply) == 2 && event->last && event->index == 0 &&
         /* in the clear the protocol has seen to it */
         (!c->tls_done || uvsmtp__connection_reached(c) >= t->end);
}

/* It stands behind these words, at the end of the only line, in most servers' replies. */
static const char mark[] = "queued as ";
#define MARK (sizeof(mark) - 1)

/* The words of a reply; what is behind them may be loaded with them. */
typedef struct {
  size_t len;
  char text[UVSMTP__WORDS_MAX + UVSMTP__OCTETS];
} words_t;

/* Nothing but the queue id follows the place behind the mark. */
static inline bool is_queue_id(const words_t *words, size_t at)
{
  size_t len = words->len - at;
  uvsmtp__octets_t first = uvsmtp__octets_load(words->text + at);
  uint32_t blanks = uvsmtp__octets_mask(uvsmtp__octets_equal(first, ' '));
  if (len < UVSMTP__OCTETS)
    return (blanks & ((1u << len) - 1)) == 0;
  return uvsmtp__octets_find(words->text + at, len, ' ') == len;
}

static inline bool is_marked(const words_t *words, size_t at)
{
  return at >= MARK && at < words->len && memcmp(words->text + at - MARK, mark, MARK) == 0 &&
         is_queue_id(words, at);
}

/* The queue id in place, in the only line, where it stood last time or behind the first letter of
 * the mark; or in `out`. */
static inline const char *find_queue_id(uvsmtp__pump_t *pump, const words_t *words, bool one_line,
                                        char *out, size_t size)
{
  if (!one_line)
    return uvsmtp__queue_id(words->text, out, size);
  if (is_marked(words, pump->id_at))
    return words->text + pump->id_at;
  pump->id_at = uvsmtp__octets_find(words->text, words->len, mark[0]) + MARK;
  if (is_marked(words, pump->id_at))
    return words->text + pump->id_at;
  return uvsmtp__queue_id(words->text, out, size);
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
  words_t words;
  char id[128];
  uvsmtp_result_t *result = &c->pump->usual;
  words.len = uvsmtp_reply_text(&event->reply, words.text, UVSMTP__WORDS_MAX);
  accept_recipients(t, event, words.text);
  if (t->open || t->opening)
    uvsmtp__content_close(t);
  if (result->peer == NULL)
    prepare(c, result);
  result->phase = event->command;
  result->code = event->reply.code;
  for (size_t i = 0; i < 3; i++)
    result->enhanced[i] = event->reply.enhanced[i];
  result->text = words.text;
  result->queue_id = find_queue_id(c->pump, &words, event->reply.lines == 1, id, sizeof(id));
  uvsmtp__list_shift(&c->pump->flight);
  uvsmtp__leave_flight(c->pump, t);
  uvsmtp__result_tell(c, t, result);
}

void uvsmtp__pump_end(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  uvsmtp__link_t *oldest = c->pump->flight.next;
  uvsmtp__transaction_t *t = UVSMTP__CONTAINER(oldest, uvsmtp__transaction_t, link);
  if (oldest == &c->pump->flight || !went_well(c, t, event)) {
    uvsmtp__pump_reply(c, event);
    return;
  }
  c->terms.farewell = false;
  c->terms.refused_in_row = 0;
  c->terms.served = true;
  c->terms.taken++;
  uvsmtp__manners_worked(c->manners, t->used);
  give_accepted(c, t, event);
}
