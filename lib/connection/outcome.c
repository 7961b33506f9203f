/*
 * What replies, and the end of a connection, mean for each recipient of a message.
 *
 * A recipient's result is decided by the reply to its RCPT if that was a refusal, else by that to
 * DATA or to the end of the content. Where no such reply was read, it is `unknown` if all of the
 * content may have reached the server, and `deferred` if it cannot have.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "connection/connection.h"

#define WORDS_MAX 512

static uvsmtp_status_t status_of(const uvsmtp_reply_t *reply)
{
  int klass = UVSMTP_REPLY_CLASS(reply);
  return klass == 2 ? UVSMTP_ACCEPTED : klass == 5 ? UVSMTP_REJECTED : UVSMTP_DEFERRED;
}

static bool is_open(const uvsmtp_recipient_result_t *r)
{
  return (int)r->status == UVSMTP__RCPT_OPEN || (int)r->status == UVSMTP__RCPT_TAKEN;
}

/* Keeps the server's words; without memory for them the code has to do. */
static void keep_words(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i, const char *text)
{
  uvsmtp__free(&c->mem, t->texts[i]);
  t->texts[i] = uvsmtp__strdup(&c->mem, text);
  t->results[i].text = t->texts[i] != NULL ? t->texts[i] : "";
}

static void set_result(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i,
                       uvsmtp_status_t status, const uvsmtp_reply_t *reply, const char *text)
{
  uvsmtp_recipient_result_t *r = &t->results[i];
  r->status = status;
  if (reply != NULL) {
    r->code = reply->code;
    memcpy(r->enhanced, reply->enhanced, sizeof(r->enhanced));
  }
  keep_words(c, t, i, text);
}

void uvsmtp__outcome_rest(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_status_t status,
                          const uvsmtp_reply_t *reply, const char *text)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++)
    if (is_open(&t->results[i]))
      set_result(c, t, i, status, reply, text);
  t->decided = true;
}

void uvsmtp__outcome_local(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err)
{
  char text[WORDS_MAX];
  uvsmtp_err_class_t klass = uvsmtp_err_class(err);
  bool later = klass == UVSMTP_CLASS_RESOURCE || klass == UVSMTP_CLASS_CANCELLED;
  if (err == UVSMTP_EEXTENSION)
    snprintf(text, sizeof(text), "%s (%s)", uvsmtp_strerror(err),
             uvsmtp_protocol_missing(c->protocol));
  else
    uvsmtp__content_fault(t, err, text, sizeof(text));
  t->err = err;
  uvsmtp__outcome_rest(c, t, later ? UVSMTP_DEFERRED : UVSMTP_REJECTED, NULL, text);
  uvsmtp__outcome_later(c, t);
}

static void leave_flight(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp__list_remove(&t->link);
  if (t->due)
    return;
  c->pump.flying--;
  if (t->step != UVSMTP__STEP_MAIL && t->size != UVSMTP_SIZE_UNKNOWN)
    c->pump.flying_bytes -= t->size;
}

void uvsmtp__outcome_later(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp__content_close(t);
  leave_flight(c, t);
  t->due = true;
  uvsmtp__list_push_back(&c->pump.done, &t->link);
  c->pump.due = true;
  uvsmtp__timer_note(c);
}

/* ---- giving back ---- */

static uvsmtp_status_t overall(const uvsmtp__transaction_t *t, size_t count)
{
  for (size_t i = 1; i < count; i++)
    if (t->results[i].status != t->results[0].status)
      return UVSMTP_PARTIAL;
  return t->results[0].status;
}

/* The error of a message: its own, or what the first recipient that was not accepted means. */
static int error_of(const uvsmtp__transaction_t *t, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const uvsmtp_recipient_result_t *r = &t->results[i];
    if (r->status == UVSMTP_ACCEPTED)
      continue;
    if (t->err != 0)
      return t->err;
    return r->status == UVSMTP_REJECTED ? UVSMTP_EPERMANENT : UVSMTP_ETEMPORARY;
  }
  return 0;
}

static const char *error_words(const uvsmtp__transaction_t *t, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (t->results[i].status != UVSMTP_ACCEPTED)
      return t->results[i].text;
  return "";
}

static bool any_unknown(const uvsmtp__transaction_t *t, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (t->results[i].status == UVSMTP_UNKNOWN)
      return true;
  return false;
}

static void release(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t count)
{
  for (size_t i = 0; i < count; i++)
    uvsmtp__free(&c->mem, t->texts[i]);
  uvsmtp__list_push_front(&c->pump.free, &t->link);
}

void uvsmtp__outcome_finish(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const char *text)
{
  uvsmtp_send_t *send = t->send;
  size_t count = send->envelope->recipient_count;
  uvsmtp_result_t result = {.text = text};
  uvsmtp__content_close(t);
  leave_flight(c, t);
  for (size_t i = 0; i < count; i++)
    if (t->results[i].status == UVSMTP_ACCEPTED && t->texts[i] == NULL)
      t->results[i].text = text;
  result.status = overall(t, count);
  result.err = error_of(t, count);
  result.error_text = result.err != 0 ? error_words(t, count) : "";
  result.phase = t->phase;
  result.phase_known = t->has_phase;
  result.code = t->code;
  memcpy(result.enhanced, t->enhanced, sizeof(result.enhanced));
  result.recipients = t->results;
  result.recipient_count = count;
  result.peer = c->peer;
  result.retry_is_safe = !any_unknown(t, count);
  result.cancelled = t->cancelled;
  result.queued_ms = send->queued_ms;
  result.started_ms = send->started_ms;
  result.finished_ms = uv_now(c->loop);
  send->transaction = NULL;
  send->owner = NULL;
  send->cb(send, &result);
  release(c, t, count);
}

/* Haraka and others refuse MAIL behind a content whose reply they have not given: try alone. */
static void again_alone(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_send_t *send = t->send;
  size_t count = send->envelope->recipient_count;
  uvsmtp__content_close(t);
  leave_flight(c, t);
  send->transaction = NULL;
  uvsmtp__list_push_front(&c->pump.queue, (uvsmtp__link_t *)(void *)send->links);
  c->pump.queued++;
  release(c, t, count);
}

/* ---- replies ---- */

static void note_reply(uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  t->has_phase = true;
  t->phase = event->command;
  t->code = event->reply.code;
  memcpy(t->enhanced, event->reply.enhanced, sizeof(t->enhanced));
}

static void on_mail(uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  t->mail_ok = UVSMTP_REPLY_CLASS(&event->reply) == 2;
  t->mail_refused = !t->mail_ok;
}

static void on_rcpt(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                    const char *text)
{
  uvsmtp_recipient_result_t *r = event->tag;
  size_t i = (size_t)(r - t->results);
  t->awaited--;
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2) {
    t->accepted++;
    if (is_open(r))
      r->status = (uvsmtp_status_t)UVSMTP__RCPT_TAKEN;
  } else if (is_open(r)) {
    set_result(c, t, i, status_of(&event->reply), &event->reply, text);
  }
}

/* 354 has come: is there somebody who shall get it? */
static void on_go(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  if (t->mail_ok && t->accepted > 0) {
    t->step = UVSMTP__STEP_CONTENT;
    return;
  }
  if (t->accepted > 0) {
    /* It refused the sender and took recipients: a dot could deliver to whom nobody meant. */
    uvsmtp__connection_fail(c, UVSMTP_EREPLY,
                            "the server refused MAIL but accepted RCPT and DATA behind it");
    return;
  }
  t->lone_dot = true;
  t->step = UVSMTP__STEP_ISSUED;
  if (uvsmtp_protocol_end_data(c->protocol, t) != 0)
    uvsmtp__connection_fail(c, UVSMTP_ENOMEM, "ending an empty content: no room");
}

static void on_data(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                    const char *text)
{
  if (UVSMTP_REPLY_CLASS(&event->reply) == 3) {
    on_go(c, t);
    return;
  }
  t->refused = true;
  t->step = UVSMTP__STEP_ISSUED;
  uvsmtp__outcome_rest(c, t,
                       UVSMTP_REPLY_CLASS(&event->reply) == 5 ? UVSMTP_REJECTED : UVSMTP_DEFERRED,
                       &event->reply, text);
}

/* Replies to each recipient come in the order of those accepted: the first without one. */
static void on_recipient_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                             const uvsmtp_event_t *event, const char *text)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++) {
    if ((int)t->results[i].status == UVSMTP__RCPT_TAKEN) {
      set_result(c, t, i, status_of(&event->reply), &event->reply, text);
      return;
    }
  }
}

/* The reply that decides for all that are left; a refusal also takes back what PRDR granted. */
static void on_last_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                        const uvsmtp_event_t *event, const char *text)
{
  uvsmtp_status_t status = status_of(&event->reply);
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++) {
    uvsmtp_recipient_result_t *r = &t->results[i];
    if ((int)r->status != UVSMTP__RCPT_TAKEN &&
        (c->config.o.lmtp || status == UVSMTP_ACCEPTED || r->status != UVSMTP_ACCEPTED))
      continue;
    r->status = status;
    r->code = event->reply.code;
    memcpy(r->enhanced, event->reply.enhanced, sizeof(r->enhanced));
    if (status != UVSMTP_ACCEPTED)
      keep_words(c, t, i, text); /* those of an acceptance are used in place */
  }
  t->decided = true;
}

static void on_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                   const char *text)
{
  bool whole = t->end != 0 && uvsmtp__connection_reached(c) >= t->end;
  if (t->lone_dot || event->reply.code == 353)
    return; /* 353: PRDR, the replies for each follow */
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2 && !whole) {
    uvsmtp__connection_fail(c, UVSMTP_EREPLY, "the server accepted a content before its end");
    return;
  }
  if (event->last)
    on_last_end(c, t, event, text);
  else
    on_recipient_end(c, t, event, text);
  if (!whole)
    uvsmtp__connection_fail(c, UVSMTP_EPERMANENT, "the server refused a message before its end: %s",
                            text);
}

static void on_chunk(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                     const char *text)
{
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2)
    return;
  t->refused = true;
  uvsmtp__outcome_rest(c, t, status_of(&event->reply), &event->reply, text);
  if (t->step != UVSMTP__STEP_ISSUED)
    uvsmtp__connection_fail(c, UVSMTP_EPERMANENT, "the server refused a chunk: %s", text);
}

/* The reply that is still owed to this transaction, if any, decides whether it is over. */
static bool is_over(const uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  if (event->command == UVSMTP_COMMAND_DATA_END || event->command == UVSMTP_COMMAND_BDAT_LAST)
    return event->last;
  if (t->awaited > 0 || t->step == UVSMTP__STEP_GO || t->step == UVSMTP__STEP_CONTENT)
    return false;
  if (event->command == UVSMTP_COMMAND_DATA)
    return t->refused;
  if (t->end != 0 || t->lone_dot)
    return false; /* the reply to the content is owed */
  if (t->mail_refused)
    return true;
  return t->next == t->send->envelope->recipient_count && (t->accepted == 0 || t->decided);
}

static void on_reply(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                     const char *text)
{
  switch (event->command) {
  case UVSMTP_COMMAND_MAIL:
    on_mail(t, event);
    break;
  case UVSMTP_COMMAND_RCPT:
    if (!t->mail_refused)
      on_rcpt(c, t, event, text);
    else
      t->awaited--, t->accepted += UVSMTP_REPLY_CLASS(&event->reply) == 2;
    break;
  case UVSMTP_COMMAND_DATA:
    on_data(c, t, event, text);
    break;
  case UVSMTP_COMMAND_BDAT:
    on_chunk(c, t, event, text);
    break;
  default:
    on_end(c, t, event, text);
    break;
  }
}

/* MAIL was refused: that reply is the result of all, whatever the others say. */
static void decide_refused_mail(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                                const uvsmtp_event_t *event, const char *text)
{
  if (event->command != UVSMTP_COMMAND_MAIL || !t->mail_refused)
    return;
  uvsmtp__outcome_rest(c, t, status_of(&event->reply), &event->reply, text);
}

static bool wants_to_go_alone(const uvsmtp__transaction_t *t)
{
  return t->overlapped && t->mail_refused && t->accepted == 0 && t->results[0].code == 503;
}

static void defer_all(uvsmtp__transaction_t *t)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++)
    t->results[i].status = UVSMTP_DEFERRED;
}

/* Nobody asked for this reply. */
static void on_unsolicited(uvsmtp_connection_t *c, const uvsmtp_event_t *event, const char *text)
{
  uvsmtp__transaction_t *t = uvsmtp__pump_front(c);
  int klass = event->reply.code / 100;
  bool in_content = t != NULL && t->step == UVSMTP__STEP_CONTENT;
  if (in_content && klass >= 4) {
    /* The server has heard enough of this message (a refusal before its end). */
    note_reply(t, event);
    t->phase = UVSMTP_COMMAND_DATA_END;
    uvsmtp__outcome_rest(c, t, status_of(&event->reply), &event->reply, text);
  }
  if (klass == 4)
    uvsmtp__connection_fail(c, UVSMTP_ETEMPORARY, "the server ended the session: %d %s",
                            event->reply.code, text);
  else
    uvsmtp__connection_fail(c, in_content ? UVSMTP_EPERMANENT : UVSMTP_EREPLY,
                            "the server sent a reply to no command: %d %s", event->reply.code,
                            text);
}

/* Does anybody get to read the words of this reply? Those of most only say that all is well. */
static bool matters(const uvsmtp_event_t *event)
{
  return event->type == UVSMTP_EVENT_UNSOLICITED || UVSMTP_REPLY_CLASS(&event->reply) >= 4 ||
         event->command == UVSMTP_COMMAND_DATA_END || event->command == UVSMTP_COMMAND_BDAT_LAST;
}

void uvsmtp__pump_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  uvsmtp__transaction_t *t = uvsmtp__pump_front(c);
  char text[WORDS_MAX];
  text[0] = '\0';
  if (matters(event))
    uvsmtp_reply_text(&event->reply, text, sizeof(text));
  if (event->type == UVSMTP_EVENT_UNSOLICITED) {
    on_unsolicited(c, event, text);
    return;
  }
  if (event->command == UVSMTP_COMMAND_RSET) {
    c->pump.resetting = false;
    return;
  }
  if (t == NULL)
    return;
  if (!t->decided || t->phase == UVSMTP_COMMAND_DATA_END)
    note_reply(t, event);
  on_reply(c, t, event, text);
  decide_refused_mail(c, t, event, text);
  if (!uvsmtp__connection_alive(c) || !is_over(t, event))
    return;
  if (wants_to_go_alone(t)) {
    c->pump.no_overlap = true;
    if ((t->info.content & UVSMTP_CONTENT_ONCE) == 0) {
      again_alone(c, t);
      return;
    }
    defer_all(t); /* it cannot be read again; whoever made it can */
  }
  t->decided = true;
  uvsmtp__outcome_finish(c, t, text);
}

/* ---- the end of the connection ---- */

static void decide_lost(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                        const uvsmtp_error_t *error)
{
  bool whole = t->end != 0 && uvsmtp__connection_reached(c) >= t->end;
  if (!t->decided && t->err == 0)
    t->err = t->cancelled ? UVSMTP_ECANCELED : error->err;
  uvsmtp__outcome_rest(c, t, whole ? UVSMTP_UNKNOWN : UVSMTP_DEFERRED, NULL, error->text);
}

/* No memory even for a result of its own: one without recipients still says what happened. */
static void finish_without_memory(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                                  const uvsmtp_error_t *error)
{
  uvsmtp_result_t result = {.status = UVSMTP_DEFERRED,
                            .err = error->err,
                            .error_text = error->text,
                            .text = "",
                            .peer = c->peer,
                            .retry_is_safe = true,
                            .queued_ms = send->queued_ms,
                            .finished_ms = uv_now(c->loop)};
  send->owner = NULL;
  send->cb(send, &result);
}

void uvsmtp__pump_fail(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  uvsmtp__transaction_t *t;
  uvsmtp__link_t queue;
  c->pump.due = false;
  while (!uvsmtp__list_empty(&c->pump.done)) {
    t = UVSMTP__CONTAINER(c->pump.done.next, uvsmtp__transaction_t, link);
    uvsmtp__outcome_finish(c, t, "");
  }
  while ((t = uvsmtp__pump_front(c)) != NULL) {
    decide_lost(c, t, error);
    uvsmtp__outcome_finish(c, t, "");
  }
  uvsmtp__list_move(&queue, &c->pump.queue);
  UVSMTP__LIST_EACH (link, &queue) {
    uvsmtp_send_t *send = UVSMTP__CONTAINER(link, uvsmtp_send_t, links);
    uvsmtp__list_remove(link);
    c->pump.queued--;
    t = uvsmtp__transaction_new(c, send);
    if (t == NULL) {
      finish_without_memory(c, send, error);
      continue;
    }
    uvsmtp__list_push_back(&c->pump.flight, &t->link);
    c->pump.flying++;
    decide_lost(c, t, error);
    uvsmtp__outcome_finish(c, t, "");
  }
}

const char *uvsmtp_status_name(uvsmtp_status_t status)
{
  static const char *const names[] = {"accepted", "rejected", "deferred", "unknown", "partial"};
  return names[status];
}
