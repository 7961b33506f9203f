/*
 * Most messages: nothing is asked for them that would have to be waited for, their content lies in
 * one piece and can go as it lies, and all of it leaves at once. Here they are begun, and only what
 * will be needed when they are accepted is noted. What is not so is left to fill.c, which looks at
 * each step, and finds there the same errors.
 */
#include <string.h>

#include "connection/plain.h"
#include "connection/ways.h"

/* What the messages of one fill have in common, and what is of the present one. */
typedef struct {
  uvsmtp_flight_t flight;
  uvsmtp_slice_t content;
  uvsmtp_mail_needs_t needs;
  unsigned used;
  bool chunked;
  uint64_t now;
} run_t;

static bool is_usual(const uvsmtp_send_t *send)
{
  const uvsmtp_envelope_t *envelope = send->envelope;
  return send->transaction == NULL && send->progress == NULL && envelope->forward == NULL &&
         envelope->body != UVSMTP_BODY_BINARYMIME &&
         (envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) == 0;
}

static void begin_run(uvsmtp_connection_t *c, run_t *run)
{
  *run = (run_t){.used = UVSMTP_WAY_PIPELINING, .now = uv_now(c->loop)};
  run->chunked = uvsmtp__goes(c, UVSMTP_WAY_CHUNKING);
  run->used |= run->chunked ? UVSMTP_WAY_CHUNKING : UVSMTP_WAY_GROUPED_DATA;
  run->flight = (uvsmtp_flight_t){.needs = &run->needs,
                                  .slices = &run->content,
                                  .count = run->chunked,
                                  .reset = uvsmtp__pump_needs_reset(c),
                                  .recipient_stride = sizeof(uvsmtp_recipient_result_t),
                                  .data = !run->chunked};
}

/* The content has left with the commands. */
static inline void note_flown(const uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  t->end = uvsmtp_protocol_issued(c->protocol);
  t->begin = t->end - t->size;
  t->step = UVSMTP__STEP_ISSUED;
}

/* DATA has left, and the content follows when 354 has come. */
static inline void note_awaiting(uvsmtp__transaction_t *t, const uvsmtp_slice_t *content)
{
  t->kept[0] = *content;
  t->kept_count = 1;
  t->kept_at = 0;
  t->begin = t->end = 0;
  t->dotless = true;
  t->step = UVSMTP__STEP_GO;
}

/* It has left: what is to be known of it as long as it is quiet. */
static inline void note_begun(uvsmtp_connection_t *c, const run_t *run, uvsmtp__transaction_t *t,
                              uvsmtp_send_t *send)
{
  const size_t from = offsetof(uvsmtp__transaction_t, rounds);
  uvsmtp__pump_t *pump = c->pump;
  memset((char *)t + from, 0, sizeof(*t) - from);
  t->send = send;
  t->order = pump->order++;
  t->count = send->envelope->recipient_count;
  t->size = run->content.len;
  t->info = (uvsmtp_source_info_t){.length = t->size, .content = UVSMTP_CONTENT_STABLE};
  t->rounds = 1;
  t->quiet = t->kept_all = t->whole = t->clean = true;
  t->chunked = run->chunked;
  t->overlapped = pump->flying > 0;
  t->used = run->used | (t->overlapped ? (unsigned)UVSMTP_WAY_OVERLAP : 0);
  if (run->chunked)
    note_flown(c, t);
  else
    note_awaiting(t, &run->content);
}

/* From the queue into the flight. */
static inline void take_off(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_send_t *send)
{
  uvsmtp__pump_t *pump = c->pump;
  send->transaction = t;
  uvsmtp__list_remove(uvsmtp__send_link_of(send));
  pump->queued--;
  uvsmtp__list_push_back(&pump->flight, &t->link);
  pump->flying++;
  pump->flying_bytes += t->size;
  c->terms.left--;
}

static int fly(uvsmtp_connection_t *c, run_t *run, uvsmtp_send_t *send)
{
  uvsmtp__transaction_t *t = uvsmtp__transaction_take(c, send->envelope->recipient_count);
  int err;
  if (t == NULL)
    return UVSMTP_ENOMEM;
  run->flight.envelope = send->envelope;
  run->flight.lengths = send->lengths;
  run->flight.tag = t;
  run->flight.recipient_tag = t->results;
  run->needs.size = run->content.len;
  err = uvsmtp_protocol_flight(c->protocol, &run->flight);
  if (err != 0) {
    uvsmtp__list_push_front(&c->pump->free, &t->link);
    return err;
  }
  note_begun(c, run, t, send);
  take_off(c, t, send);
  send->started_ms = run->now;
  run->flight.reset = true;
  return 0;
}

/* The same for its content, which is looked at. */
static bool has_usual_content(uvsmtp_connection_t *c, run_t *run, const uvsmtp_send_t *send)
{
  if (!uvsmtp__lies_whole(send->source, &run->content))
    return false;
  if (uvsmtp__is_plain(&run->content, !run->chunked))
    return true;
  c->pump->odd = send;
  return false;
}

bool uvsmtp__pump_fly(uvsmtp_connection_t *c)
{
  run_t run;
  begin_run(c, &run);
  while (uvsmtp__pump_may_begin(c)) {
    uvsmtp_send_t *send = uvsmtp__send_of(c->pump->queue.next);
    int err;
    if (!is_usual(send) || !has_usual_content(c, &run, send))
      return false;
    if ((err = fly(c, &run, send)) != 0) {
      c->pump->stalled = err == UVSMTP_EQUEUEFULL;
      return c->pump->stalled;
    }
    if (!run.chunked)
      break; /* the next one waits until the content of this one has left */
  }
  return true;
}
