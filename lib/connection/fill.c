/*
 * The next send becomes a transaction, and begins: all of it leaves at once, or its MAIL, and the
 * rest by and by (issue.c); then the next one, until nothing more can go.
 */
#include <string.h>

#include "connection/ways.h"

static void zero(uvsmtp__transaction_t *t)
{
  const size_t numbers = offsetof(uvsmtp__transaction_t, begin);
  memset((char *)t + numbers, 0, sizeof(*t) - numbers);
}

uvsmtp__transaction_t *uvsmtp__transaction_new(uvsmtp_connection_t *c, uvsmtp_send_t *send)
{
  size_t count = send->envelope->recipient_count;
  uvsmtp__transaction_t *t = uvsmtp__transaction_find(c, count);
  if (t == NULL)
    return NULL;
  zero(t);
  t->send = send;
  t->order = c->pump->order++;
  t->count = count;
  t->size = UVSMTP_SIZE_UNKNOWN;
  t->info.content = 0;
  for (size_t i = 0; i < count; i++)
    uvsmtp__transaction_open(t, i, UVSMTP__RCPT_OPEN);
  send->transaction = t;
  return t;
}

/* For whom a gateway sends this one; what is said of it is of no interest. */
static int issue_origin(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  const uvsmtp_origin_t *origin = t->send->envelope->forward;
  while (origin != NULL && !t->origin_said) {
    int err;
    if (!uvsmtp__may_issue(c))
      return UVSMTP_PENDING;
    uvsmtp__note_group(c, t);
    err = uvsmtp_protocol_xforward(c->protocol, origin, &t->origin_next, NULL);
    if (err != 0 && err != UVSMTP_PENDING)
      return err;
    t->origin_said = err == 0;
  }
  return origin == NULL || uvsmtp__may_issue(c) ? 0 : UVSMTP_PENDING;
}

/* MAIL was issued: the transaction has begun. */
static void note_begun(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  if (t->rounds++ == 0)
    t->send->started_ms = uv_now(c->loop);
  c->terms.left -= c->terms.left > 0;
  t->reset = false;
  if (t->overlapped)
    t->used |= UVSMTP_WAY_OVERLAP;
  if (t->size != UVSMTP_SIZE_UNKNOWN)
    t->weight = t->size;
  c->pump->flying_bytes += t->weight;
}

/* By BDAT goes what can: a content in place only if it needs no change, an empty one never. */
static bool goes_by_chunks(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  const unsigned in_place = UVSMTP_CONTENT_STABLE, once = UVSMTP_CONTENT_ONCE;
  unsigned content = t->info.content;
  if (uvsmtp__is_binary(t))
    return true;
  return uvsmtp__goes(c, UVSMTP_WAY_CHUNKING) &&
         ((content & (in_place | once)) != in_place || (t->clean && t->size > 0));
}

/* Can all of it that there may be leave at once, whatever the server says to its first commands? */
static bool flies(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  const uvsmtp_envelope_t *envelope = t->send->envelope;
  if (envelope->forward != NULL || t->rounds != 0 || uvsmtp__has_limits(c) ||
      (envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0)
    return false;
  if (!t->chunked)
    return uvsmtp__goes(c, UVSMTP_WAY_GROUPED_DATA);
  return uvsmtp__pipelines(c) && t->clean && uvsmtp__may_read_again(t) &&
         (t->info.content & UVSMTP_CONTENT_STABLE) != 0;
}

/* The content has left with the commands. */
static void note_flown(const uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  t->used |= UVSMTP_WAY_PIPELINING | UVSMTP_WAY_CHUNKING;
  t->read = true;
  t->end = uvsmtp_protocol_issued(c->protocol);
  t->begin = t->end - t->size;
  t->step = UVSMTP__STEP_ISSUED;
}

static int issue_flight(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err = uvsmtp__content_fly(c, t);
  if (err != 0)
    return err;
  t->quiet = true;
  if (t->chunked) {
    note_flown(c, t);
  } else {
    t->used |= UVSMTP_WAY_PIPELINING | UVSMTP_WAY_GROUPED_DATA;
    t->step = UVSMTP__STEP_GO;
  }
  note_begun(c, t);
  return 0;
}

/* The server offers what a binary message needs, but the options or its manners are against it. */
static bool lacks_chunks(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  const unsigned both = UVSMTP_EXT_BINARYMIME | UVSMTP_EXT_CHUNKING;
  return uvsmtp__is_binary(t) && (c->terms.offered->extensions & both) == both &&
         !uvsmtp__goes(c, UVSMTP_WAY_CHUNKING);
}

static int issue_mail(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err = t->open ? 0 : uvsmtp__content_open(c, t);
  if (err != 0)
    return err; /* PENDING: the source will wake us */
  t->chunked = goes_by_chunks(c, t);
  if (lacks_chunks(c, t)) {
    uvsmtp__outcome_local(c, t, UVSMTP_EEXTENSION,
                          "a binary message needs CHUNKING, which is not used with this server");
    return 0;
  }
  if (flies(c, t)) {
    err = issue_flight(c, t);
    if (err == 0 || uvsmtp__is_for_now(err) || !t->open)
      return err;
    /* The command that it is about will fail with it again. */
  }
  if (t->reset && (err = uvsmtp_protocol_reset(c->protocol, NULL)) != 0)
    return err;
  t->reset = false;
  if ((err = issue_origin(c, t)) != 0)
    return err;
  uvsmtp__note_group(c, t);
  err = uvsmtp_protocol_mail(c->protocol, t->send->envelope, &t->needs, t);
  if (err != 0)
    return err;
  t->step = UVSMTP__STEP_RCPT;
  note_begun(c, t);
  return 0;
}

/* Before a reply that is owed nothing of it can be issued: 354, or any where nothing runs ahead. */
static bool has_to_wait(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  return t->step == UVSMTP__STEP_GO ||
         (!uvsmtp__pipelines(c) && t->begin == 0 && uvsmtp_protocol_outstanding(c->protocol) > 0);
}

/* Issues as much of one transaction as can go: 0 all, PENDING, or an error. */
static int issue(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err;
  do {
    if (t->decided || t->mail_refused || has_to_wait(c, t))
      return UVSMTP_PENDING;
    switch (t->step) {
    case UVSMTP__STEP_MAIL:
      err = issue_mail(c, t);
      break;
    case UVSMTP__STEP_RCPT:
      err = uvsmtp__issue_recipients(c, t);
      break;
    case UVSMTP__STEP_DATA:
      err = uvsmtp__issue_data(c, t);
      break;
    default:
      err = uvsmtp__issue_content(c, t);
      break;
    }
  } while (err == 0 && t->step != UVSMTP__STEP_ISSUED);
  return err;
}

/* A source that fails when the server already waits for the rest cannot be mended: no dot. */
static void fail_content(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err)
{
  char text[256];
  uvsmtp__content_fault(t, err, text, sizeof(text));
  t->err = err;
  uvsmtp__connection_fail(c, err, "sending the message: %s; it was not completed", text);
}

/* After a step failed: 0 go on with the next send, PENDING stop issuing. */
static int settle_issue(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err)
{
  if (err == 0)
    return t->decided || t->mail_refused ? UVSMTP_PENDING : 0;
  if (err == UVSMTP_PENDING || err == UVSMTP_EQUEUEFULL || err == UVSMTP_ECLOSING) {
    c->pump->stalled = err == UVSMTP_EQUEUEFULL || t->begin != 0;
    return UVSMTP_PENDING;
  }
  if (t->step == UVSMTP__STEP_CONTENT || t->step == UVSMTP__STEP_DATA) {
    fail_content(c, t, err);
    return UVSMTP_PENDING;
  }
  /* Nothing of it was issued. Its callback is due from the loop. */
  uvsmtp__outcome_local(c, t, err, NULL);
  return t->step == UVSMTP__STEP_MAIL ? 0 : UVSMTP_PENDING;
}

uvsmtp__transaction_t *uvsmtp__pump_take_off(uvsmtp_connection_t *c, uvsmtp_send_t *send)
{
  uvsmtp__transaction_t *t = send->transaction;
  if (t == NULL && (t = uvsmtp__transaction_new(c, send)) == NULL)
    return NULL;
  t->carried = false;
  uvsmtp__list_remove(uvsmtp__send_link_of(send));
  c->pump->queued--;
  t->waiting = false;
  t->overlapped = c->pump->flying > 0;
  t->watched = send->progress != NULL;
  c->pump->watched += t->watched;
  uvsmtp__list_push_back(&c->pump->flight, &t->link);
  c->pump->flying++;
  return t;
}

/* Takes the next send out of the queue; NULL if it has to wait. */
static uvsmtp__transaction_t *begin_next(uvsmtp_connection_t *c)
{
  uvsmtp__transaction_t *t;
  bool reset;
  if (!uvsmtp__pump_may_begin(c))
    return NULL;
  reset = uvsmtp__pump_needs_reset(c);
  if (reset && !uvsmtp__pipelines(c)) {
    c->pump->resetting = uvsmtp_protocol_reset(c->protocol, NULL) == 0;
    c->pump->stalled = !c->pump->resetting;
    return NULL;
  }
  t = uvsmtp__pump_take_off(c, uvsmtp__send_of(c->pump->queue.next));
  if (t != NULL) {
    t->reset = reset;
  } else {
    c->pump->starved = true;
    uvsmtp__pump_run_soon(c);
  }
  return t;
}

/* Does the session take the recipients of a transaction that has not begun? */
static bool is_admitted(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  char text[128];
  int err;
  if (!uvsmtp__has_limits(c))
    return true;
  err = uvsmtp__limits_check(c, t, text, sizeof(text));
  if (err == UVSMTP_ELIMIT && c->terms.domains != NULL && c->terms.left == 0)
    uvsmtp__result_over(c, t, true, ""); /* the next session has room for other domains */
  else if (err != 0)
    uvsmtp__outcome_local(c, t, err, text);
  return err == 0;
}

/* Nothing is under way, and what is queued cannot go here. */
static bool is_stranded(const uvsmtp_connection_t *c)
{
  return c->pump->queued > 0 && c->pump->flying == 0 && c->phase == UVSMTP__PHASE_READY &&
         c->terms.left == 0;
}

/* The session has taken all that it takes: a polite end, and the rest is told. */
static void end_spent(uvsmtp_connection_t *c)
{
  bool refusing = c->terms.refused_in_row >= c->config->o.max_refused_recipients;
  uvsmtp__connection_say_goodbye(c);
  if (refusing)
    uvsmtp__connection_fail(c, UVSMTP_ELIMIT,
                            "the server refused %u recipients one after the other: this session "
                            "is ended, another one may go on",
                            (unsigned)c->terms.refused_in_row);
  else
    uvsmtp__connection_fail(c, UVSMTP_ELIMIT, "the server takes no more messages in this session");
}

/* The next transaction to issue something of, or NULL. */
static uvsmtp__transaction_t *next_to_issue(uvsmtp_connection_t *c, bool closing)
{
  uvsmtp__transaction_t *t = uvsmtp__pump_youngest(c);
  while (t == NULL || t->step == UVSMTP__STEP_ISSUED) {
    if (closing || (uvsmtp__pump_flies(c) && uvsmtp__pump_fly(c)))
      return NULL;
    t = begin_next(c);
    if (t == NULL || is_admitted(c, t))
      break;
    t = uvsmtp__pump_youngest(c);
  }
  return t;
}

void uvsmtp__pump_fill(uvsmtp_connection_t *c)
{
  uvsmtp__transaction_t *t;
  bool closing;
  if (c->phase != UVSMTP__PHASE_READY)
    return;
  if (c->pump->queued + c->pump->flying == 0) {
    if (c->pump->gather != NULL)
      uvsmtp__gather_free(c);
    return;
  }
  c->pump->stalled = false;
  closing = uvsmtp_protocol_is_closing(c->protocol);
  if (closing && uvsmtp_protocol_outstanding(c->protocol) == 0) {
    /* The server said that it closes and owes nothing more: what is left is not sent here. */
    uvsmtp__connection_fail(c, UVSMTP_ECONNLOST, "the server ended the session");
    return;
  }
  if (c->manners->max_mails != 0)
    uvsmtp__limits_heed(c);
  c->pump->ways = uvsmtp__ways(c);
  if (c->pump->queued > 0)
    c->pump->most = uvsmtp__pump_most(c);
  do
    t = next_to_issue(c, closing);
  while (t != NULL && settle_issue(c, t, issue(c, t)) == 0);
  if (is_stranded(c))
    end_spent(c);
}
