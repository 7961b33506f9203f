/* What the pump issues, and when; see pump.h. */
#include <string.h>

#include "base/mem.h"
#include "connection/connection.h"

static uvsmtp__link_t *links_of(uvsmtp_send_t *send)
{
  return (uvsmtp__link_t *)(void *)send->links;
}

static uvsmtp_send_t *send_of(uvsmtp__link_t *link)
{
  return UVSMTP__CONTAINER(link, uvsmtp_send_t, links);
}

static unsigned extensions_of(const uvsmtp_connection_t *c)
{
  return uvsmtp_protocol_capabilities(c->protocol)->extensions;
}

static bool pipelines(const uvsmtp_connection_t *c)
{
  return !c->config.o.no_pipelining && (extensions_of(c) & UVSMTP_EXT_PIPELINING) != 0;
}

void uvsmtp__pump_init(uvsmtp_connection_t *c)
{
  c->pump = (uvsmtp__pump_t){0};
  uvsmtp__list_init(&c->pump.queue);
  uvsmtp__list_init(&c->pump.flight);
  uvsmtp__list_init(&c->pump.done);
  uvsmtp__list_init(&c->pump.free);
}

void uvsmtp__pump_clear(uvsmtp_connection_t *c)
{
  UVSMTP__LIST_EACH(link, &c->pump.free)
  {
    uvsmtp__list_remove(link);
    uvsmtp__free(&c->mem, UVSMTP__CONTAINER(link, uvsmtp__transaction_t, link));
  }
}

bool uvsmtp__pump_busy(const uvsmtp_connection_t *c)
{
  return c->pump.queued + c->pump.flying > 0 || !uvsmtp__list_empty(&c->pump.done);
}

uvsmtp__transaction_t *uvsmtp__pump_front(uvsmtp_connection_t *c)
{
  if (uvsmtp__list_empty(&c->pump.flight))
    return NULL;
  return UVSMTP__CONTAINER(c->pump.flight.next, uvsmtp__transaction_t, link);
}

static uvsmtp__transaction_t *youngest(uvsmtp_connection_t *c)
{
  if (uvsmtp__list_empty(&c->pump.flight))
    return NULL;
  return UVSMTP__CONTAINER(c->pump.flight.prev, uvsmtp__transaction_t, link);
}

/* One with room for `count` recipients: a free one, or a new one. */
static uvsmtp__transaction_t *take_transaction(uvsmtp_connection_t *c, size_t count)
{
  uvsmtp__transaction_t *t;
  size_t each = sizeof(*t->results) + sizeof(*t->texts);
  UVSMTP__LIST_EACH(link, &c->pump.free)
  {
    t = UVSMTP__CONTAINER(link, uvsmtp__transaction_t, link);
    if (t->capacity >= count) {
      uvsmtp__list_remove(link);
      return t;
    }
  }
  if (count > (SIZE_MAX - sizeof(*t)) / each)
    return NULL;
  t = uvsmtp__malloc(&c->mem, sizeof(*t) + count * each);
  if (t != NULL)
    t->capacity = count;
  return t;
}

uvsmtp__transaction_t *uvsmtp__transaction_new(uvsmtp_connection_t *c, uvsmtp_send_t *send)
{
  size_t count = send->envelope->recipient_count, capacity;
  uvsmtp__transaction_t *t = take_transaction(c, count);
  if (t == NULL)
    return NULL;
  capacity = t->capacity;
  *t = (uvsmtp__transaction_t){.send = send, .size = UVSMTP_SIZE_UNKNOWN, .capacity = capacity};
  t->results = (uvsmtp_recipient_result_t *)(t + 1);
  t->texts = (char **)(t->results + capacity);
  for (size_t i = 0; i < count; i++) {
    t->results[i] = (uvsmtp_recipient_result_t){
        .address = send->envelope->recipients[i].address,
        .status = (uvsmtp_status_t)UVSMTP__RCPT_OPEN,
        .text = ""};
    t->texts[i] = NULL;
  }
  send->transaction = t;
  return t;
}

/* ---- issuing ---- */

static int issue_mail(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_mail_needs_t needs = {.size = UVSMTP_SIZE_UNKNOWN};
  int err = 0;
  if (!t->open)
    err = uvsmtp__content_open(c, t, &needs);
  if (t->opening)
    return UVSMTP_PENDING; /* the source will wake us */
  if (err == 0)
    err = uvsmtp_protocol_mail(c->protocol, t->send->envelope, &needs, t);
  if (err != 0) {
    uvsmtp__content_close(t);
    return err;
  }
  t->send->started_ms = uv_now(c->loop);
  t->step = UVSMTP__STEP_RCPT;
  if (t->size != UVSMTP_SIZE_UNKNOWN)
    c->pump.flying_bytes += t->size;
  return 0;
}

static int issue_recipients(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  const uvsmtp_envelope_t *envelope = t->send->envelope;
  while (t->next < envelope->recipient_count) {
    int err;
    if (!pipelines(c) && uvsmtp_protocol_outstanding(c->protocol) > 0)
      return UVSMTP_PENDING;
    err = uvsmtp_protocol_recipient(c->protocol, &envelope->recipients[t->next],
                                    &t->results[t->next]);
    if (err == UVSMTP_EQUEUEFULL || err == UVSMTP_ECLOSING || err == UVSMTP_ENOMEM)
      return err;
    if (err != 0) {
      /* This one cannot be written; the others can. */
      t->results[t->next].status = UVSMTP_REJECTED;
      t->results[t->next].text = uvsmtp_strerror(err);
      t->err = t->err != 0 ? t->err : err;
    } else {
      t->awaited++;
    }
    t->next++;
  }
  t->step = UVSMTP__STEP_DATA;
  return 0;
}

/* Nobody will get it: what was issued is taken back by the RSET before the next MAIL. */
static bool nobody_left(const uvsmtp__transaction_t *t)
{
  return t->awaited == 0 && (t->accepted == 0 || t->mail_refused);
}

static bool must_wait_for_recipients(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  if (t->awaited == 0 && t->mail_ok)
    return false;
  return !pipelines(c) || (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0;
}

static int issue_content(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err = uvsmtp__content_push(c, t);
  if (err != 0)
    return err;
  /* The source stays open: its pieces are still being written. */
  t->end = uvsmtp_protocol_issued(c->protocol);
  t->step = UVSMTP__STEP_ISSUED;
  return 0;
}

static bool withheld(const uvsmtp__transaction_t *t)
{
  return (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0 &&
         t->accepted < t->send->envelope->recipient_count;
}

static int issue_data(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err;
  if (nobody_left(t)) {
    /* No reply is to come that would end it if the last recipient could not be written. */
    if (t->mail_ok) {
      t->decided = true;
      uvsmtp__outcome_later(c, t);
    }
    return UVSMTP_PENDING;
  }
  if (must_wait_for_recipients(c, t))
    return UVSMTP_PENDING;
  if (t->awaited == 0 && t->mail_ok && withheld(t)) {
    uvsmtp__outcome_rest(c, t, UVSMTP_DEFERRED, NULL,
                         "not sent, for another recipient was refused");
    uvsmtp__outcome_later(c, t);
    return UVSMTP_PENDING;
  }
  if (t->chunked)
    return issue_content(c, t);
  if ((err = uvsmtp_protocol_start_data(c->protocol, t)) == 0)
    t->step = UVSMTP__STEP_GO;
  return err;
}

/* Issues as much of one transaction as can go: 0 all, PENDING, or an error. */
static int issue(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err = 0;
  while (err == 0 && t->step != UVSMTP__STEP_ISSUED && !t->decided && !t->mail_refused) {
    switch (t->step) {
    case UVSMTP__STEP_MAIL:
      err = issue_mail(c, t);
      break;
    case UVSMTP__STEP_RCPT:
      err = issue_recipients(c, t);
      break;
    case UVSMTP__STEP_DATA:
      err = issue_data(c, t);
      break;
    case UVSMTP__STEP_CONTENT:
      err = issue_content(c, t);
      break;
    default:
      return UVSMTP_PENDING;
    }
  }
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
  if (err == UVSMTP_PENDING || err == UVSMTP_EQUEUEFULL || err == UVSMTP_ECLOSING)
    return UVSMTP_PENDING;
  if (t->step == UVSMTP__STEP_CONTENT || t->step == UVSMTP__STEP_DATA) {
    fail_content(c, t, err);
    return UVSMTP_PENDING;
  }
  /* Nothing of it was issued. Its callback is due from the loop. */
  uvsmtp__outcome_local(c, t, err);
  return t->step == UVSMTP__STEP_MAIL ? 0 : UVSMTP_PENDING;
}

/* Does a transaction have to be ended before MAIL? */
static bool needs_reset(const uvsmtp_connection_t *c)
{
  uvsmtp_state_t state = uvsmtp_protocol_projected_state(c->protocol);
  return uvsmtp_protocol_needs_reset(c->protocol) || c->pump.flying > 0 ||
         state == UVSMTP_STATE_MAILTX || state == UVSMTP_STATE_RECIPIENT_SENT;
}

static bool may_overlap(const uvsmtp_connection_t *c)
{
  return pipelines(c) && !c->config.o.no_overlap && !c->pump.no_overlap &&
         c->pump.flying < c->config.o.max_in_doubt &&
         c->pump.flying_bytes < c->config.o.max_in_doubt_bytes;
}

/* Takes the next send out of the queue; NULL if it has to wait. */
static uvsmtp__transaction_t *begin_next(uvsmtp_connection_t *c)
{
  uvsmtp__transaction_t *t;
  uvsmtp_send_t *send;
  if (c->pump.queued == 0 || c->pump.resetting || uvsmtp_protocol_is_closing(c->protocol) ||
      (c->pump.flying > 0 && !may_overlap(c)))
    return NULL;
  send = send_of(c->pump.queue.next);
  if (needs_reset(c)) {
    if (uvsmtp_protocol_reset(c->protocol, NULL) != 0)
      return NULL;
    c->pump.resetting = !pipelines(c);
    if (c->pump.resetting)
      return NULL;
  }
  if ((t = uvsmtp__transaction_new(c, send)) == NULL)
    return NULL;
  uvsmtp__list_remove(links_of(send));
  c->pump.queued--;
  t->overlapped = c->pump.flying > 0;
  uvsmtp__list_push_back(&c->pump.flight, &t->link);
  c->pump.flying++;
  return t;
}

/* The server said that it closes and owes nothing more: what is left will not be sent here. */
static bool is_abandoned(const uvsmtp_connection_t *c)
{
  return uvsmtp__connection_alive(c) && c->phase == UVSMTP__PHASE_READY &&
         uvsmtp_protocol_is_closing(c->protocol) &&
         uvsmtp_protocol_outstanding(c->protocol) == 0 && c->pump.queued + c->pump.flying > 0;
}

void uvsmtp__pump_fill(uvsmtp_connection_t *c)
{
  uvsmtp__transaction_t *t = youngest(c);
  if (is_abandoned(c))
    uvsmtp__connection_fail(c, UVSMTP_ECONNLOST, "the server ended the session");
  while (uvsmtp__connection_alive(c) && c->phase == UVSMTP__PHASE_READY) {
    if (t == NULL || t->step == UVSMTP__STEP_ISSUED)
      t = begin_next(c);
    if (t == NULL || settle_issue(c, t, issue(c, t)) != 0)
      return;
    if (t->decided)
      t = youngest(c);
  }
}

void uvsmtp__pump_run(uvsmtp_connection_t *c)
{
  c->pump.due = false;
  uvsmtp__pump_fill(c);
  while (!uvsmtp__list_empty(&c->pump.done)) {
    uvsmtp__transaction_t *t =
        UVSMTP__CONTAINER(c->pump.done.next, uvsmtp__transaction_t, link);
    uvsmtp__outcome_finish(c, t, uvsmtp_strerror(t->err));
  }
}

/* ---- the public functions ---- */

static void run_from_loop(uvsmtp_connection_t *c)
{
  c->pump.due = true;
  uvsmtp__timer_note(c);
}

int uvsmtp_connection_send(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                           const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                           uvsmtp_send_cb cb)
{
  int err;
  if (cb == NULL || envelope == NULL || source == NULL || source->ops == NULL)
    return UVSMTP_EINVAL;
  if (envelope->recipient_count == 0 || envelope->recipients == NULL)
    return UVSMTP_ENORECIPIENTS;
  if ((err = uvsmtp_envelope_check(envelope)) != 0)
    return err;
  if (!uvsmtp__connection_alive(c) || uvsmtp__connection_closing(c))
    return UVSMTP_ECLOSING;
  send->cb = cb;
  send->envelope = envelope;
  send->source = source;
  send->owner = c;
  send->queued_ms = uv_now(c->loop);
  send->started_ms = 0;
  send->transaction = NULL;
  send->cancel_queued = NULL;
  uvsmtp__list_push_back(&c->pump.queue, links_of(send));
  c->pump.queued++;
  run_from_loop(c);
  return 0;
}

/* Nothing of it was issued: it only has to be told. */
static void cancel_waiting(uvsmtp_connection_t *c, uvsmtp_send_t *send)
{
  uvsmtp__transaction_t *t = uvsmtp__transaction_new(c, send);
  if (t == NULL) {
    uvsmtp__connection_fail(c, UVSMTP_ENOMEM, "cancelling a message: out of memory");
    return;
  }
  uvsmtp__list_remove(links_of(send));
  c->pump.queued--;
  t->cancelled = true;
  uvsmtp__list_push_back(&c->pump.flight, &t->link);
  c->pump.flying++;
  uvsmtp__outcome_local(c, t, UVSMTP_ECANCELED);
}

void uvsmtp_send_cancel(uvsmtp_send_t *send)
{
  uvsmtp_connection_t *c = send->owner;
  uvsmtp__transaction_t *t = send->transaction;
  if (send->cancel_queued != NULL) {
    send->cancel_queued(send);
    return;
  }
  if (c == NULL || !uvsmtp__connection_alive(c) || (t != NULL && t->decided))
    return;
  if (t == NULL) {
    cancel_waiting(c, send);
    return;
  }
  t->cancelled = true;
  uvsmtp__connection_fail(c, UVSMTP_ECANCELED, "a message was cancelled while it was being sent");
}

bool uvsmtp_connection_can_send(const uvsmtp_connection_t *c)
{
  size_t pending = c->pump.queued + c->pump.flying, most = 1;
  if (c->phase != UVSMTP__PHASE_READY || uvsmtp__connection_closing(c) ||
      uvsmtp_protocol_is_closing(c->protocol) || !uvsmtp__list_empty(&c->requests))
    return false;
  if (pipelines(c) && !c->config.o.no_overlap && !c->pump.no_overlap)
    most = (extensions_of(c) & UVSMTP_EXT_CHUNKING) != 0 && !c->config.o.no_chunking
               ? c->config.o.max_in_doubt
               : 2;
  return pending < most;
}

size_t uvsmtp_connection_pending(const uvsmtp_connection_t *c)
{
  return c->pump.queued + c->pump.flying;
}
