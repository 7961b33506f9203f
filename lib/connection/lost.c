/*
 * The connection is over: what becomes of every message that it had.
 *
 * Where the reply that decides was not read, a recipient's result is `unknown` if all of the
 * content may have reached the server, and `deferred` if it cannot have, or if the server had said
 * 421 and nothing after it: then it has not done what came behind.
 */
#include <string.h>

#include "connection/manners.h"
#include "connection/ways.h"

/* The connection is over: what was accepted of a flight, the protocol knows. */
static void end_quiet_lost(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_last_reply_t last = uvsmtp_protocol_last_reply(c->protocol);
  uvsmtp__transaction_speak(t);
  if (last.told || (last.command != UVSMTP_COMMAND_MAIL && last.command != UVSMTP_COMMAND_RCPT))
    return;
  uvsmtp__transaction_catch_up(c, t, last.command == UVSMTP_COMMAND_RCPT ? last.accepted : 0);
  t->has_phase = true;
  t->phase = last.command;
  t->code = last.code;
  memcpy(t->enhanced, last.enhanced, sizeof(t->enhanced));
}

/* Which ways were at stake: commands of their kind were out, and have no answer. */
static unsigned ways_at_stake(uvsmtp_connection_t *c)
{
  const uvsmtp__transaction_t *t = uvsmtp__pump_front(c);
  unsigned ways = 0;
  if (t == NULL || t->blamed != 0) /* the loss follows from a refusal that was blamed already */
    return 0;
  if (t->end != 0 && t->link.next != &c->pump->flight)
    ways |= UVSMTP_WAY_OVERLAP;
  if (t->chunked && (t->end != 0 || t->chunks > 0))
    ways |= UVSMTP_WAY_CHUNKING;
  if (t->step == UVSMTP__STEP_GO)
    ways |= t->used & UVSMTP_WAY_GROUPED_DATA;
  if (t->awaited > 1 || (t->awaited > 0 && t->step > UVSMTP__STEP_DATA))
    ways |= t->used & UVSMTP_WAY_PIPELINING;
  return ways;
}

/* The connection or its replies got lost: perhaps because of how the server was talked to. */
static void blame_loss(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  uvsmtp__incident_t incident = {.kind = UVSMTP__INCIDENT_LOST};
  bool lost = uvsmtp_err_class(error->err) == UVSMTP_CLASS_NETWORK;
  if (!lost || c->terms.farewell || c->protocol == NULL)
    return;
  incident.used = ways_at_stake(c);
  uvsmtp__history_retreat(c->config->history, uvsmtp__manners_note(c->manners, &incident), "%s",
                          error->text);
}

/* Found in the middle of the content, and to be found there again. */
static bool is_of_message(int err)
{
  return err == UVSMTP_EBARELINE || err == UVSMTP_ELINETOOLONG || err == UVSMTP_E8BIT;
}

static uvsmtp_status_t status_of_lost(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t,
                                      const uvsmtp_recipient_result_t *r, bool own)
{
  bool whole = t->end != 0 && uvsmtp__connection_reached(c) >= t->end;
  bool issued = (int)r->status == UVSMTP__RCPT_ASKED || (int)r->status == UVSMTP__RCPT_TAKEN ||
                (int)r->status == UVSMTP__RCPT_GRANTED;
  if (whole && issued && !c->terms.farewell)
    return UVSMTP_UNKNOWN;
  return own && is_of_message(t->err) ? UVSMTP_REJECTED : UVSMTP_DEFERRED;
}

static void decide_lost(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                        const uvsmtp_error_t *error)
{
  bool own;
  if (t->quiet)
    uvsmtp__transaction_speak(t);
  own = t->err != 0 || t->cancelled; /* it is what the connection ended for */
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++) {
    uvsmtp_recipient_result_t *r = &t->results[i];
    if (!uvsmtp__is_open(r))
      continue;
    if (t->err == 0)
      t->err = t->cancelled ? UVSMTP_ECANCELED : error->err;
    if ((int)r->status == UVSMTP__RCPT_LEFT)
      r->status = UVSMTP_DEFERRED; /* and keeps the server's words */
    else
      uvsmtp__outcome_set(c, t, i, status_of_lost(c, t, r, own), NULL, UVSMTP_COMMAND_MAIL,
                          error->text);
    r->try_elsewhere = r->status == UVSMTP_DEFERRED && !own && uvsmtp__may_read_again(t);
  }
  t->decided = true;
}

/* Sends that were still queued. */
static void fail_queue(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  uvsmtp__link_t queue;
  uvsmtp__list_move(&queue, &c->pump->queue);
  UVSMTP__LIST_EACH (link, &queue) {
    uvsmtp_send_t *send = UVSMTP__CONTAINER(link, uvsmtp_send_t, links);
    uvsmtp__transaction_t *t = send->transaction;
    uvsmtp__list_remove(link);
    c->pump->queued--;
    if (t == NULL && (t = uvsmtp__transaction_new(c, send)) == NULL) {
      uvsmtp__result_without_memory(c, send, error);
      continue;
    }
    t->carried = t->waiting = false;
    uvsmtp__list_push_back(&c->pump->flight, &t->link);
    c->pump->flying++;
    decide_lost(c, t, error);
    uvsmtp__result_give(c, t, "");
  }
}

void uvsmtp__pump_fail(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  uvsmtp__transaction_t *t;
  if ((t = uvsmtp__pump_front(c)) != NULL && t->quiet)
    end_quiet_lost(c, t);
  if (!uvsmtp__limits_ended(c, error))
    blame_loss(c, error);
  while (!uvsmtp__list_empty(&c->pump->done)) {
    t = UVSMTP__CONTAINER(c->pump->done.next, uvsmtp__transaction_t, link);
    uvsmtp__result_give(c, t, "");
  }
  while ((t = uvsmtp__pump_front(c)) != NULL) {
    decide_lost(c, t, error);
    uvsmtp__result_give(c, t, "");
  }
  fail_queue(c, error);
}
