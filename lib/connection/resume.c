/* Sends that go on with another connection; see uvsmtp/connection.h. */
#include "base/mem.h"
#include "connection/connection.h"

static bool goes_again(const uvsmtp_recipient_result_t *r, bool unknown_too)
{
  return r->try_elsewhere || (unknown_too && r->status == UVSMTP_UNKNOWN);
}

/* Words that are the connection's become the send's own. */
static void own_words(uvsmtp__transaction_t *t, size_t i)
{
  if (t->texts[i] == NULL)
    uvsmtp__transaction_keep_words(t, i, t->results[i].text);
}

size_t uvsmtp_send_keep(uvsmtp_send_t *send, const uvsmtp_result_t *result, bool unknown_too)
{
  uvsmtp__transaction_t *t = send->transaction;
  size_t n = 0;
  if (t == NULL || result->cancelled || !uvsmtp__may_read_again(t))
    return 0;
  for (size_t i = 0; i < result->recipient_count; i++)
    n += goes_again(&t->results[i], unknown_too);
  if (n == 0)
    return 0;
  for (size_t i = 0; i < result->recipient_count; i++) {
    t->doubts[i] |= t->results[i].status == UVSMTP_UNKNOWN;
    t->doubtful |= t->doubts[i];
    if (goes_again(&t->results[i], unknown_too))
      uvsmtp__result_open(t, i);
    else
      own_words(t, i);
  }
  uvsmtp__result_start_over(t);
  t->err = 0;
  t->carried = true;
  return n;
}

int uvsmtp_connection_resume(uvsmtp_connection_t *c, uvsmtp_send_t *const *sends, size_t count,
                             uvsmtp_send_cb cb)
{
  return uvsmtp__pump_queue(c, sends, count, cb);
}

uvsmtp_kept_t *uvsmtp_send_settle(uvsmtp_send_t *send, uvsmtp_status_t status, const char *text,
                                  uvsmtp_result_t *result)
{
  uvsmtp__transaction_t *t = send->transaction;
  if (t == NULL)
    return NULL;
  for (size_t i = 0; i < result->recipient_count; i++) {
    uvsmtp_recipient_result_t *r = &t->results[i];
    if ((int)r->status < UVSMTP__RCPT_OPEN)
      continue;
    r->status = status;
    r->text = text;
  }
  uvsmtp__result_summarize(t, result);
  send->transaction = NULL;
  return (uvsmtp_kept_t *)(void *)t;
}

void uvsmtp_kept_free(uvsmtp_kept_t *kept)
{
  if (kept != NULL)
    uvsmtp__transaction_free((uvsmtp__transaction_t *)(void *)kept);
}
