/*
 * Most messages: nothing is asked for them that would have to be waited for, their content lies in
 * one piece and can go as it lies, and all of it leaves at once. Here they are begun, and only what
 * will be needed when they are accepted is noted. What is not so is left to fill.c, which looks at
 * each step, and finds there the same errors.
 */
#include <string.h>

#include "connection/plain.h"
#include "connection/result.h"
#include "connection/ways.h"

/* What the messages of one fill have in common, and what is of the present one. */
typedef struct {
  uvsmtp_flight_t flight;
  uvsmtp_slice_t content;
  uvsmtp_mail_needs_t needs;
  unsigned used;
  bool chunked;
  bool overlapped;
  uint64_t now;
} run_t;

static bool is_usual(const uvsmtp_send_t *send)
{
  const uvsmtp_envelope_t *envelope = send->envelope;
  return send->transaction == NULL && send->progress == NULL && envelope->forward == NULL &&
         envelope->body != UVSMTP_BODY_BINARYMIME &&
         (envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) == 0;
}

/* Another one is under way from now on. */
static void overlap(run_t *run)
{
  run->overlapped = run->flight.reset = true;
  run->used |= UVSMTP_WAY_OVERLAP;
}

static void begin_run(uvsmtp_connection_t *c, run_t *run)
{
  run->needs = (uvsmtp_mail_needs_t){.size = 0};
  run->chunked = uvsmtp__goes(c, UVSMTP_WAY_CHUNKING);
  run->used = UVSMTP_WAY_PIPELINING |
              (run->chunked ? (unsigned)UVSMTP_WAY_CHUNKING : UVSMTP_WAY_GROUPED_DATA);
  run->overlapped = false;
  run->now = uv_now(c->loop);
  run->flight = (uvsmtp_flight_t){.needs = &run->needs,
                                  .slices = &run->content,
                                  .count = run->chunked,
                                  .reset = uvsmtp__pump_needs_reset(c),
                                  .recipient_stride = sizeof(uvsmtp_recipient_result_t),
                                  .data = !run->chunked};
  if (c->pump->flying > 0)
    overlap(run);
}

/* How many may be begun, their octets aside. By DATA the next one waits until the content of that
 * before it has left. */
static size_t room_for(const uvsmtp_connection_t *c, const run_t *run)
{
  const uvsmtp__pump_t *pump = c->pump;
  size_t most = 1;
  if (!uvsmtp__pump_may_begin(c))
    return 0;
  if (run->chunked && uvsmtp__goes(c, UVSMTP_WAY_OVERLAP))
    most = pump->most - pump->flying;
  return most < c->terms.left ? most : (size_t)c->terms.left;
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
static inline void note_begun(const uvsmtp_connection_t *c, const run_t *run,
                              uvsmtp__transaction_t *t, uvsmtp_send_t *send, bool chunked)
{
  const size_t from = offsetof(uvsmtp__transaction_t, rounds);
  memset((char *)t + from, 0, sizeof(*t) - from);
  t->send = send;
  t->order = c->pump->order++;
  t->count = send->envelope->recipient_count;
  t->size = t->weight = run->content.len;
  t->info.content = UVSMTP_CONTENT_STABLE;
  t->rounds = 1;
  t->quiet = t->kept_all = t->whole = t->clean = true;
  t->chunked = chunked;
  t->overlapped = run->overlapped;
  t->used = run->used;
  if (chunked)
    note_flown(c, t);
  else
    note_awaiting(t, &run->content);
}

/* The first of the queue goes into the flight. */
static inline void take_off(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_send_t *send)
{
  uvsmtp__pump_t *pump = c->pump;
  send->transaction = t;
  uvsmtp__list_shift(&pump->queue);
  pump->queued--;
  uvsmtp__list_push_back(&pump->flight, &t->link);
  pump->flying++;
  pump->flying_bytes += t->weight;
  c->terms.left--;
}

static inline int fly(uvsmtp_connection_t *c, run_t *run, uvsmtp_send_t *send, bool chunked)
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
    uvsmtp__transaction_put_by(c, t);
    return err;
  }
  note_begun(c, run, t, send, chunked);
  take_off(c, t, send);
  send->started_ms = run->now;
  if (!run->overlapped)
    overlap(run);
  return 0;
}

/* Its content can go as it lies; else that is noted, for it has been looked at then. */
static inline bool has_usual_content(uvsmtp_connection_t *c, const run_t *run,
                                     const uvsmtp_send_t *send, bool chunked)
{
  if (uvsmtp__is_plain(&run->content, !chunked))
    return true;
  c->pump->odd = send;
  return false;
}

bool uvsmtp__pump_fly(uvsmtp_connection_t *c)
{
  const uvsmtp__pump_t *pump = c->pump;
  run_t run;
  begin_run(c, &run);
  const bool chunked = run.chunked;
  for (size_t room = room_for(c, &run); room > 0; room--) {
    if (pump->queued == 0 || pump->flying_bytes >= c->config->o.max_in_doubt_bytes)
      break;
    uvsmtp_send_t *send = uvsmtp__send_of(pump->queue.next);
    /* The source comes first: its code is not ours, and may have cancelled the send. */
    if (!uvsmtp__lies_whole(send->source, &run.content) || !is_usual(send) ||
        !has_usual_content(c, &run, send, chunked))
      return false;
    int err = fly(c, &run, send, chunked);
    if (err != 0) {
      c->pump->stalled = err == UVSMTP_EQUEUEFULL;
      return c->pump->stalled;
    }
  }
  return true;
}
