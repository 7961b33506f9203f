/*
 * When all replies of a transaction are read: the send goes on with another one, or it is given
 * back with its result.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "connection/result.h"
#include "connection/ways.h"

void uvsmtp__result_later(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp__content_close(t);
  uvsmtp__list_remove(&t->link);
  uvsmtp__leave_flight(c->pump, t);
  t->due = true;
  uvsmtp__list_push_back(&c->pump->done, &t->link);
  uvsmtp__pump_run_soon(c);
}

/* ---- another transaction ---- */

static bool is_left(const uvsmtp_recipient_result_t *r)
{
  return (int)r->status == UVSMTP__RCPT_OPEN || (int)r->status == UVSMTP__RCPT_LEFT;
}

static size_t count_left(const uvsmtp__transaction_t *t)
{
  size_t n = 0;
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++)
    n += is_left(&t->results[i]);
  return n;
}

/* Why those who are left get no further transaction: a sentence, or NULL: they get one. Each
 * transaction decides for somebody, or leaves a way of talking; so there is an end to them. */
static const char *why_not_again(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t,
                                 int *err)
{
  if (t->cancelled) {
    *err = UVSMTP_ECANCELED;
    return uvsmtp_strerror(UVSMTP_ECANCELED);
  }
  if (t->read && !uvsmtp__may_read_again(t))
    return "left for another transaction, but the message's source cannot be read twice";
  *err = UVSMTP_ELIMIT;
  return c->terms.left == 0 ? "left for another session, for the server takes no more in this one"
                            : NULL;
}

static void defer_left(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err, const char *why)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++) {
    uvsmtp_recipient_result_t *r = &t->results[i];
    if (!is_left(r))
      continue;
    r->status = UVSMTP_DEFERRED;
    r->try_elsewhere = err == UVSMTP_ELIMIT && uvsmtp__may_read_again(t);
    if (t->err == 0)
      t->err = err;
    if (r->code == 0) { /* else the server's words are there already */
      uvsmtp__free(&t->mem, t->texts[i]);
      t->texts[i] = NULL;
      r->text = why;
    }
  }
}

void uvsmtp__result_open(uvsmtp__transaction_t *t, size_t i)
{
  uvsmtp__free(&t->mem, t->texts[i]);
  t->texts[i] = NULL;
  uvsmtp__transaction_open(t, i, UVSMTP__RCPT_OPEN);
}

/* Those who are left are open again, and those who were taken, if nothing came of it. The others
 * keep their words, which are those of this transaction. */
static void open_again(uvsmtp__transaction_t *t, const char *text)
{
  for (size_t i = 0; i < t->count; i++) {
    uvsmtp_recipient_result_t *r = &t->results[i];
    if (r->status == UVSMTP_ACCEPTED && t->texts[i] == NULL)
      uvsmtp__transaction_keep_words(t, i, text);
    if ((int)r->status >= UVSMTP__RCPT_OPEN)
      uvsmtp__result_open(t, i);
  }
}

void uvsmtp__result_start_over(uvsmtp__transaction_t *t)
{
  *t = (uvsmtp__transaction_t){.mem = t->mem,
                               .capacity = t->capacity,
                               .results = t->results,
                               .texts = t->texts,
                               .doubts = t->doubts,
                               .send = t->send,
                               .order = t->order,
                               .rounds = t->rounds,
                               .count = t->count,
                               .size = t->open ? t->size : UVSMTP_SIZE_UNKNOWN,
                               .info = t->info,
                               .needs = t->needs,
                               .err = t->err,
                               .open = t->open,
                               .clean = t->clean,
                               .seven_bit = t->seven_bit,
                               .waiting = true,
                               .foreign = t->foreign,
                               .worded = t->worded,
                               .doubtful = t->doubtful,
                               .has_phase = t->has_phase,
                               .phase = t->phase,
                               .code = t->code,
                               .enhanced = {t->enhanced[0], t->enhanced[1], t->enhanced[2]}};
}

/* Into the queue, behind those that came before it and before all that came after it. */
static void go_on(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const char *text)
{
  uvsmtp__link_t *at = c->pump->queue.next;
  uvsmtp__list_remove(&t->link);
  uvsmtp__leave_flight(c->pump, t);
  if (t->read || t->kept_all)
    uvsmtp__content_close(t);
  open_again(t, text);
  uvsmtp__result_start_over(t);
  while (at != &c->pump->queue) {
    const uvsmtp_send_t *send = UVSMTP__CONTAINER(at, uvsmtp_send_t, links);
    const uvsmtp__transaction_t *other = send->transaction;
    if (other == NULL || other->order > t->order)
      break;
    at = at->next;
  }
  uvsmtp__list_insert_before(at, uvsmtp__send_link_of(t->send));
  c->pump->queued++;
}

void uvsmtp__result_over(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, bool later,
                         const char *text)
{
  c->terms.served |= t->mail_ok;
  c->terms.taken += t->taken;
  if (count_left(t) > 0) {
    int err = 0;
    const char *why = why_not_again(c, t, &err);
    if (why == NULL) {
      go_on(c, t, text);
      if (later)
        uvsmtp__pump_run_soon(c);
      return;
    }
    defer_left(c, t, err, why);
  }
  t->decided = true;
  if (later)
    uvsmtp__result_later(c, t);
  else
    uvsmtp__result_give(c, t, text);
}

/* ---- giving back ---- */

/* Who may have got it at a try before may have it still, though the last one failed. */
static void recall_doubts(uvsmtp__transaction_t *t)
{
  for (size_t i = 0; i < t->count; i++)
    if (t->doubts[i] && t->results[i].status == UVSMTP_DEFERRED) {
      t->results[i].status = UVSMTP_UNKNOWN;
      t->results[i].try_elsewhere = false;
    }
}

/* The error of a message: its own, or what the first recipient that was not accepted means. */
static int error_of(const uvsmtp__transaction_t *t, const uvsmtp_recipient_result_t *first)
{
  if (t->err != 0)
    return t->err;
  return first->status == UVSMTP_REJECTED ? UVSMTP_EPERMANENT : UVSMTP_ETEMPORARY;
}

/* What does not depend on how it ended. */
static void fill_facts(const uvsmtp__transaction_t *t, uvsmtp_result_t *result)
{
  result->phase = t->phase;
  result->phase_known = t->has_phase;
  result->code = t->code;
  memcpy(result->enhanced, t->enhanced, sizeof(result->enhanced));
}

void uvsmtp__result_summarize(uvsmtp__transaction_t *t, uvsmtp_result_t *result)
{
  const uvsmtp_recipient_result_t *r = t->results, *end = r + t->count, *failed = NULL;
  bool differ = false, unknown = false;
  if (t->doubtful)
    recall_doubts(t);
  for (; r < end; r++) {
    differ |= r->status != t->results->status;
    unknown |= r->status == UVSMTP_UNKNOWN;
    if (r->status != UVSMTP_ACCEPTED && failed == NULL)
      failed = r;
  }
  result->status = differ ? UVSMTP_PARTIAL : t->results->status;
  result->err = failed != NULL ? error_of(t, failed) : 0;
  result->error_text = failed != NULL ? failed->text : "";
  result->retry_is_safe = !unknown;
  fill_facts(t, result);
}

/* What is the same for each recipient's words: those of the acceptance stand in the reply. */
static void share_words(uvsmtp__transaction_t *t, const char *text)
{
  uvsmtp_recipient_result_t *r = t->results, *end = r + t->count;
  for (; r < end; r++)
    if (r->status == UVSMTP_ACCEPTED && (!t->worded || t->texts[r - t->results] == NULL))
      r->text = text;
}

void uvsmtp__result_give(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const char *text)
{
  char id[128];
  uvsmtp_result_t result;
  uvsmtp__content_close(t);
  share_words(t, text);
  uvsmtp__result_summarize(t, &result);
  result.text = text;
  result.queue_id = t->taken ? uvsmtp__queue_id(text, id, sizeof(id)) : "";
  result.cancelled = t->cancelled;
  uvsmtp__result_session(c, &result);
  uvsmtp__list_remove(&t->link);
  if (!t->due)
    uvsmtp__leave_flight(c->pump, t);
  uvsmtp__result_tell(c, t, &result);
}

void uvsmtp__result_without_memory(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                                   const uvsmtp_error_t *error)
{
  uvsmtp_result_t result = {.status = UVSMTP_DEFERRED,
                            .err = error->err,
                            .error_text = error->text,
                            .text = "",
                            .queue_id = "",
                            .retry_is_safe = true,
                            .queued_ms = send->queued_ms,
                            .started_ms = send->started_ms,
                            .finished_ms = uv_now(c->loop)};
  uvsmtp__result_session(c, &result);
  send->owner = NULL;
  send->cb(send, &result);
}

const char *uvsmtp_status_name(uvsmtp_status_t status)
{
  static const char *const names[] = {"accepted", "rejected", "deferred", "unknown", "partial"};
  return names[status];
}

/* ---- the queue id ---- */

/* Does `text` begin with `what`, of lower-case letters, in whatever case? */
static bool begins(const char *text, const char *what)
{
  while (*what != '\0' && uvsmtp__ascii_lower(*text) == *what)
    text++, what++;
  return *what == '\0';
}

static const char *copy_word(const char *from, size_t len, char *out, size_t size)
{
  if (len == 0 || len >= size)
    return "";
  memcpy(out, from, len);
  out[len] = '\0';
  return out;
}

/* What stands right before the name, which ends at the first of `end`, or where there is none,
 * right behind it. The first of these that is found counts. */
static const struct {
  const char *mark, *end;
} marks[] = {{"queued as ", " \n"},                    /* Postfix, many others */
             {" id=", " \n"},                          /* Exim */
             {"internalid=", " ,]\n"},                 /* Exchange */
             {"queued (", ") \n"},                     /* Haraka */
             {" message accepted for delivery", NULL}, /* Sendmail, OpenSMTPD */
             {" saved", NULL},                         /* Dovecot */
             {" - gsmtp", NULL}};
#define MARKS (sizeof(marks) / sizeof(marks[0]))

const char *uvsmtp__queue_id(const char *text, char *out, size_t size)
{
  const char *at, *found = NULL;
  size_t best = MARKS;
  for (at = text; *at != '\0' && best > 0; at++)
    for (size_t i = 0; i < best; i++)
      if (uvsmtp__ascii_lower(*at) == *marks[i].mark && begins(at, marks[i].mark)) {
        found = at;
        best = i;
      }
  if (found == NULL)
    return "";
  if (marks[best].end != NULL) {
    found += strlen(marks[best].mark);
    return copy_word(found, strcspn(found, marks[best].end), out, size);
  }
  at = found;
  while (at > text && at[-1] != ' ' && at[-1] != '\n')
    at--;
  return copy_word(at, (size_t)(found - at), out, size);
}
