/*
 * What comes in beside the usual yes to a message (accepted.c): replies of which more is to be
 * said, those to RSET, and those that nobody asked for. When the last that is owed to a transaction
 * is read, it is over.
 *
 * Of a flight nothing is told until its content is answered or something in it goes wrong: what was
 * accepted until then is caught up on.
 */
#include <string.h>

#include "connection/manners.h"
#include "connection/ways.h"

static void note_reply(uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  t->has_phase = true;
  t->phase = event->command;
  t->code = event->reply.code;
  memcpy(t->enhanced, event->reply.enhanced, sizeof(t->enhanced));
}

/* The reply that is still owed to this transaction, if any, decides whether it is over. */
static bool is_over(const uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  if (event->command == UVSMTP_COMMAND_DATA_END || event->command == UVSMTP_COMMAND_BDAT_LAST)
    return event->last;
  if (t->awaited > 0 || t->chunks > 0 || t->step == UVSMTP__STEP_GO ||
      t->step == UVSMTP__STEP_CONTENT)
    return false;
  if (t->end != 0 || t->lone_dot)
    return false; /* the reply to the content is owed */
  if (event->command == UVSMTP_COMMAND_DATA || event->command == UVSMTP_COMMAND_BDAT)
    return t->refused;
  if (t->mail_refused || t->refused)
    return true;
  return t->step != UVSMTP__STEP_RCPT && (t->accepted == 0 || t->decided);
}

void uvsmtp__pump_unsolicited(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  uvsmtp__transaction_t *t = uvsmtp__pump_front(c);
  int klass = event->reply.code / 100;
  bool in_content = t != NULL && t->step == UVSMTP__STEP_CONTENT;
  char text[UVSMTP__WORDS_MAX];
  uvsmtp_reply_text(&event->reply, text, sizeof(text));
  c->terms.farewell |= event->reply.code == 421;
  if (in_content && klass >= 4) {
    /* The server has heard enough of this message (a refusal before its end). */
    note_reply(t, event);
    t->phase = UVSMTP_COMMAND_DATA_END;
    uvsmtp__outcome_rest(c, t, uvsmtp__outcome_of(c, &event->reply), &event->reply, t->phase, text);
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
  int usual = event->command == UVSMTP_COMMAND_DATA ? 3 : 2;
  return UVSMTP_REPLY_CLASS(&event->reply) != usual || event->command == UVSMTP_COMMAND_DATA_END ||
         event->command == UVSMTP_COMMAND_BDAT_LAST;
}

/* 421 ends the session (RFC 5321 section 3.8), unless the server goes on as if nothing was. */
static void note_farewell(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  if (reply->code == 421)
    c->terms.farewell = true;
  else if (reply->code < 400)
    c->terms.farewell = false;
}

/* Who refuses RSET would do so again: what waits for it goes to another session. */
static void on_reset(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  bool waited = c->pump->resetting, refused = UVSMTP_REPLY_CLASS(&event->reply) != 2;
  c->pump->resetting = false;
  if (waited && refused)
    uvsmtp__connection_fail_reply(c, UVSMTP_ECONNLOST, &event->reply, "RSET");
  else if (t != NULL)
    t->reset_refused = refused;
}

void uvsmtp__transaction_speak(uvsmtp__transaction_t *t)
{
  const size_t from = offsetof(uvsmtp__transaction_t, next);
  memset((char *)t + from, 0, offsetof(uvsmtp__transaction_t, rounds) - from);
  t->quiet = false;
  t->asked = t->awaited = t->next = t->count;
  for (size_t i = 0; i < t->count; i++)
    uvsmtp__transaction_open(t, i, UVSMTP__RCPT_ASKED);
}

void uvsmtp__transaction_catch_up(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t count)
{
  if (count > 0)
    uvsmtp__limits_note_recipient(c, true);
  t->mail_ok = true;
  t->awaited -= count;
  t->accepted += count;
  for (size_t i = 0; i < count; i++)
    t->results[i].status = (uvsmtp_status_t)UVSMTP__RCPT_TAKEN;
}

/* The first event of a flight tells what was accepted before it. */
static void end_quiet(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event)
{
  uvsmtp__transaction_speak(t);
  if (event->command == UVSMTP_COMMAND_RCPT)
    uvsmtp__transaction_catch_up(c, t,
                                 (size_t)((uvsmtp_recipient_result_t *)event->tag - t->results));
  else if (event->command != UVSMTP_COMMAND_MAIL)
    uvsmtp__transaction_catch_up(c, t, t->awaited);
}

/* A reply to a command that was issued for a transaction. */
static void on_transaction(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                           const uvsmtp_event_t *event)
{
  char text[UVSMTP__WORDS_MAX];
  text[0] = '\0';
  if (matters(event))
    uvsmtp_reply_text(&event->reply, text, sizeof(text));
  if (t->quiet)
    end_quiet(c, t, event);
  if (!t->decided || t->phase == UVSMTP_COMMAND_DATA_END)
    note_reply(t, event);
  uvsmtp__verdict(c, t, event, text);
  if (uvsmtp__connection_alive(c) && is_over(t, event))
    uvsmtp__result_over(c, t, false, text);
}

void uvsmtp__pump_reply(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  uvsmtp__transaction_t *t = uvsmtp__pump_front(c);
  note_farewell(c, &event->reply);
  if (event->command == UVSMTP_COMMAND_RSET)
    on_reset(c, t, event);
  else if (t != NULL && event->command != UVSMTP_COMMAND_OTHER) /* XFORWARD */
    on_transaction(c, t, event);
}
