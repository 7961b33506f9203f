/*
 * What the reply to each command decides, for its transaction and for each recipient.
 *
 * A recipient's result is decided by the reply to its RCPT if that was a refusal, else by that to
 * DATA or to the end of the content. Where no such reply was read, see lost.c.
 */
#include "connection/connection.h"
#include "connection/manners.h"

/* A command was refused, though all before it was accepted: is the way of talking to blame? */
static bool blames_way(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                       const uvsmtp_event_t *event, const char *text)
{
  uvsmtp__incident_t incident = {.kind = UVSMTP__INCIDENT_REFUSED,
                                 .used = t->used,
                                 .command = event->command,
                                 .code = event->reply.code,
                                 .out_of_step = uvsmtp__speaks_of_step(text)};
  unsigned way;
  if (UVSMTP_REPLY_CLASS(&event->reply) != 5 || c->terms.farewell)
    return false;
  way = uvsmtp__manners_note(c->manners, &incident);
  uvsmtp__history_retreat(c->config->history, way, "%s was answered %d %s",
                          uvsmtp_command_name(event->command), event->reply.code, text);
  t->blamed |= way;
  return way != 0;
}

/* Not this message, but one more in this session: another session takes it. So says OpenSMTPD, and
 * who has not given up the message before either. */
static bool ends_session(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t,
                         const uvsmtp_event_t *event)
{
  const uvsmtp_reply_t *reply = &event->reply;
  if (event->command != UVSMTP_COMMAND_MAIL)
    return false;
  if (t->reset_refused && reply->code == 503)
    return true;
  return c->terms.served && reply->code == 452 && reply->enhanced[0] == 4 &&
         reply->enhanced[1] == 5 && reply->enhanced[2] == 3;
}

/* Refused before its content was taken: all that have no result yet get this one, or are left. */
static void refuse_rest(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                        const uvsmtp_event_t *event, const char *text)
{
  bool again = blames_way(c, t, event, text);
  uvsmtp_status_t status = uvsmtp__outcome_of(c, &event->reply);
  if (!again && ends_session(c, t, event)) {
    again = true;
    c->terms.left = 0;
  }
  if (status == UVSMTP_ACCEPTED)
    status = UVSMTP_DEFERRED; /* a 2yz that makes no sense here */
  uvsmtp__outcome_rest(c, t, again ? (uvsmtp_status_t)UVSMTP__RCPT_LEFT : status, &event->reply,
                       event->command, text);
}

/* A refused MAIL is the result of all, whatever is said to the commands behind it. */
static void on_mail(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                    const char *text)
{
  t->mail_ok = UVSMTP_REPLY_CLASS(&event->reply) == 2;
  t->mail_refused = !t->mail_ok;
  if (t->mail_refused)
    refuse_rest(c, t, event, text);
}

static uvsmtp_status_t status_of_recipient(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                                           const uvsmtp_event_t *event, const char *text)
{
  bool all = (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0;
  if (blames_way(c, t, event, text))
    return (uvsmtp_status_t)UVSMTP__RCPT_LEFT;
  if (c->terms.farewell)
    return UVSMTP_DEFERRED;
  switch (uvsmtp__judge_recipient(&event->reply, t->accepted, c->config->o.rcpt_552)) {
  case UVSMTP__RCPT_NO:
    return UVSMTP_REJECTED;
  case UVSMTP__RCPT_TOO_MANY:
    return all ? UVSMTP_DEFERRED : (uvsmtp_status_t)UVSMTP__RCPT_LEFT;
  default:
    return UVSMTP_DEFERRED;
  }
}

static void on_rcpt(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                    const char *text)
{
  uvsmtp_recipient_result_t *r = event->tag;
  bool yes = UVSMTP_REPLY_CLASS(&event->reply) == 2;
  uvsmtp_status_t status = (uvsmtp_status_t)UVSMTP__RCPT_TAKEN;
  t->awaited--;
  t->accepted += yes;
  if (t->mail_refused || (int)r->status != UVSMTP__RCPT_ASKED)
    return;
  if (!yes)
    status = status_of_recipient(c, t, event, text);
  if ((int)status != UVSMTP__RCPT_LEFT)
    uvsmtp__limits_note_recipient(c, yes);
  if (yes)
    r->status = status;
  else
    uvsmtp__outcome_set(c, t, (size_t)(r - t->results), status, &event->reply, UVSMTP_COMMAND_RCPT,
                        text);
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
  if (t->accepted > 0 && !t->mail_refused)
    refuse_rest(c, t, event, text);
}

/* Replies to each recipient come in the order of those accepted: the first without one. */
static void on_recipient_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                             const uvsmtp_event_t *event, const char *text)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++) {
    if ((int)t->results[i].status == UVSMTP__RCPT_TAKEN) {
      uvsmtp_status_t status = uvsmtp__outcome_of(c, &event->reply);
      t->taken |= status == UVSMTP_ACCEPTED && c->config->o.lmtp;
      if (status == UVSMTP_ACCEPTED && !c->config->o.lmtp)
        status = (uvsmtp_status_t)UVSMTP__RCPT_GRANTED; /* PRDR: unless the last reply is a no */
      uvsmtp__outcome_set(c, t, i, status, &event->reply, event->command, text);
      return;
    }
  }
}

/* Does the last reply decide for this one? A refusal also takes back what PRDR granted, and is
 * that of those whose turn has not come: the content is the same. */
static bool is_meant(const uvsmtp_connection_t *c, const uvsmtp_recipient_result_t *r, bool yes)
{
  if ((int)r->status == UVSMTP__RCPT_TAKEN)
    return true;
  return uvsmtp__is_open(r) && !yes && !c->config->o.lmtp;
}

/* The reply that decides for all that are left. */
static void on_last_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                        const uvsmtp_event_t *event, const char *text)
{
  uvsmtp_status_t status = uvsmtp__outcome_of(c, &event->reply);
  bool yes = status == UVSMTP_ACCEPTED;
  t->taken |= yes;
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++) {
    uvsmtp_recipient_result_t *r = &t->results[i];
    if (yes && (int)r->status == UVSMTP__RCPT_GRANTED)
      r->status = UVSMTP_ACCEPTED;
    if (!is_meant(c, r, yes))
      continue;
    if (yes) {
      r->status = status; /* its words are used in place */
      uvsmtp__outcome_note_code(r, &event->reply, event->command);
    } else {
      uvsmtp__outcome_set(c, t, i, status, &event->reply, event->command, text);
    }
  }
  t->decided = true;
}

/* It refused the sender, took recipients and then a content: for whom, nobody knows. */
static void on_taken_without_sender(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                                    const uvsmtp_event_t *event)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++)
    uvsmtp__outcome_set(c, t, i, UVSMTP_UNKNOWN, &event->reply, event->command,
                        "the server refused MAIL but accepted RCPT and the content behind it");
  t->err = UVSMTP_EREPLY;
  t->blamed = 0;
}

static void decide_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                       const uvsmtp_event_t *event, const char *text)
{
  bool yes = UVSMTP_REPLY_CLASS(&event->reply) == 2;
  if (t->mail_refused) {
    if (yes && t->accepted > 0)
      on_taken_without_sender(c, t, event);
  } else if (t->decided || t->accepted == 0) {
    return; /* a refusal that follows from one before it */
  } else if (!event->last) {
    on_recipient_end(c, t, event, text);
  } else if (!yes && !t->taken && t->chunked && blames_way(c, t, event, text)) {
    uvsmtp__outcome_rest(c, t, (uvsmtp_status_t)UVSMTP__RCPT_LEFT, &event->reply, event->command,
                         text);
  } else {
    on_last_end(c, t, event, text);
    if (yes)
      uvsmtp__manners_worked(c->manners, t->used);
  }
}

static void on_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                   const char *text)
{
  bool whole = t->end != 0 && uvsmtp__connection_reached(c) >= t->end;
  bool each_follows = event->reply.code == 353 && !event->last && !c->config->o.lmtp; /* PRDR */
  if (t->lone_dot || each_follows)
    return;
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2 && !whole) {
    uvsmtp__connection_fail(c, UVSMTP_EREPLY, "the server accepted a content before its end");
    return;
  }
  decide_end(c, t, event, text);
  if (!whole)
    uvsmtp__connection_fail(c, UVSMTP_EPERMANENT, "the server refused a message before its end: %s",
                            text);
}

/* A chunk that was refused wholly is the last one (RFC 3030 section 4.2): RSET follows. */
static void on_chunk(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                     const char *text)
{
  uint64_t issued = uvsmtp_protocol_issued(c->protocol);
  t->chunks--;
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2)
    return;
  if (!t->decided && t->accepted > 0)
    refuse_rest(c, t, event, text);
  t->refused = true;
  if (t->step == UVSMTP__STEP_ISSUED)
    return;
  t->step = UVSMTP__STEP_ISSUED;
  if (uvsmtp__connection_reached(c) < issued)
    uvsmtp__connection_fail(c, UVSMTP_EPERMANENT, "the server refused a chunk: %s", text);
}

void uvsmtp__verdict(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                     const char *text)
{
  switch (event->command) {
  case UVSMTP_COMMAND_MAIL:
    on_mail(c, t, event, text);
    break;
  case UVSMTP_COMMAND_RCPT:
    on_rcpt(c, t, event, text);
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
