/*
 * What is issued of a transaction after its MAIL, where not all has left with that: RCPT, DATA or
 * BDAT and the content, each as soon as the replies that are still owed allow.
 */
#include "connection/ways.h"

/* Issues RCPT for recipient `i`: 0 done with it, or PENDING and others to stop for now. */
static int issue_recipient(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i)
{
  uvsmtp_recipient_result_t *r = &t->results[i];
  int err;
  if (!uvsmtp__may_issue(c))
    return UVSMTP_PENDING;
  uvsmtp__note_group(c, t);
  err = uvsmtp_protocol_recipient(c->protocol, &t->send->envelope->recipients[i], r);
  if (uvsmtp__is_for_now(err))
    return err;
  if (err != 0) {
    uvsmtp__outcome_refused_recipient(c, t, i, err);
    return 0;
  }
  r->status = (uvsmtp_status_t)UVSMTP__RCPT_ASKED;
  t->asked++;
  t->awaited++;
  return 0;
}

int uvsmtp__issue_recipients(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  size_t count = t->send->envelope->recipient_count;
  for (; t->next < count; t->next++) {
    const uvsmtp_recipient_result_t *r = &t->results[t->next];
    uvsmtp__limit_t limit;
    int err;
    if ((int)r->status != UVSMTP__RCPT_OPEN)
      continue;
    limit =
        uvsmtp__has_limits(c) ? uvsmtp__limits_admit(c, t->asked, r->address) : UVSMTP__LIMIT_NONE;
    if (limit == UVSMTP__LIMIT_TRANSACTION)
      break;
    if (limit == UVSMTP__LIMIT_SESSION)
      continue;
    if ((err = issue_recipient(c, t, t->next)) != 0)
      return err;
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
  return !uvsmtp__pipelines(c) || uvsmtp__wants_all(t) ||
         (!t->chunked && !uvsmtp__goes(c, UVSMTP_WAY_GROUPED_DATA));
}

int uvsmtp__issue_content(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  bool by_chunks = t->chunked;
  int err;
  if (t->begin == 0) {
    t->begin = uvsmtp_protocol_issued(c->protocol);
    t->line_start = true;
    c->pump->gathered = 0;
  }
  err = uvsmtp__content_push(c, t);
  if (err != 0 || t->chunked != by_chunks)
    return err;
  /* The source stays open: its pieces are still being written. */
  t->end = uvsmtp_protocol_issued(c->protocol);
  t->step = UVSMTP__STEP_ISSUED;
  return 0;
}

/* All recipients were to be accepted, and not all were. */
static bool withheld(const uvsmtp__transaction_t *t)
{
  return uvsmtp__wants_all(t) && t->accepted < t->send->envelope->recipient_count;
}

int uvsmtp__issue_data(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err;
  if (nobody_left(t)) {
    /* No reply is to come that would end it if the last recipient could not be written. */
    if (t->mail_ok)
      uvsmtp__result_over(c, t, true, "");
    return UVSMTP_PENDING;
  }
  if (must_wait_for_recipients(c, t))
    return UVSMTP_PENDING;
  if (t->awaited == 0 && t->mail_ok && withheld(t)) {
    if (t->blamed == 0)
      uvsmtp__outcome_rest(c, t, UVSMTP_DEFERRED, NULL, UVSMTP_COMMAND_RCPT,
                           "not sent, for another recipient was refused");
    uvsmtp__result_over(c, t, true, "");
    return UVSMTP_PENDING;
  }
  if (t->chunked)
    return uvsmtp__issue_content(c, t);
  uvsmtp__note_group(c, t);
  if (t->awaited > 0 || !t->mail_ok)
    t->used |= UVSMTP_WAY_GROUPED_DATA;
  if ((err = uvsmtp_protocol_start_data(c->protocol, t)) == 0)
    t->step = UVSMTP__STEP_GO;
  return err;
}
