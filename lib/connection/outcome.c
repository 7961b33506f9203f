/*
 * The result of a recipient: what it is given by verdicts.c and lost.c, and what it gets where the
 * message, or the command for this recipient, cannot be written to this server.
 */
#include <stdio.h>
#include <string.h>

#include "connection/connection.h"

uvsmtp_status_t uvsmtp__outcome_of(const uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  int klass = UVSMTP_REPLY_CLASS(reply);
  if (klass == 2)
    return UVSMTP_ACCEPTED;
  return klass == 5 && !c->terms.farewell ? UVSMTP_REJECTED : UVSMTP_DEFERRED;
}

void uvsmtp__outcome_note_code(uvsmtp_recipient_result_t *r, const uvsmtp_reply_t *reply,
                               uvsmtp_command_t phase)
{
  r->phase = phase;
  r->code = reply->code;
  memcpy(r->enhanced, reply->enhanced, sizeof(r->enhanced));
}

void uvsmtp__outcome_set(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i,
                         uvsmtp_status_t status, const uvsmtp_reply_t *reply,
                         uvsmtp_command_t phase, const char *text)
{
  t->results[i].status = status;
  if (reply != NULL)
    uvsmtp__outcome_note_code(&t->results[i], reply, phase);
  if (status == UVSMTP_DEFERRED && c->terms.farewell)
    t->results[i].try_elsewhere = uvsmtp__may_read_again(t);
  uvsmtp__transaction_keep_words(t, i, text);
}

void uvsmtp__outcome_rest(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_status_t status,
                          const uvsmtp_reply_t *reply, uvsmtp_command_t phase, const char *text)
{
  for (size_t i = 0; i < t->send->envelope->recipient_count; i++)
    if (uvsmtp__is_open(&t->results[i]))
      uvsmtp__outcome_set(c, t, i, status, reply, phase, text);
  t->decided = true;
}

/* Why a command could not be issued: which extension is missing, or field wrong, or the limit. */
static void say_refused(const uvsmtp_connection_t *c, int err, char *words)
{
  const char *fault = uvsmtp_protocol_fault(c->protocol);
  if (err == UVSMTP_EEXTENSION)
    snprintf(words, UVSMTP__WORDS_MAX, "%s (%s)", uvsmtp_strerror(err),
             uvsmtp_protocol_missing(c->protocol));
  else if (err == UVSMTP_ETOOBIG)
    snprintf(words, UVSMTP__WORDS_MAX, "%s (at most %llu octets)", uvsmtp_strerror(err),
             (unsigned long long)uvsmtp_protocol_capabilities(c->protocol)->max_message_size);
  else
    snprintf(words, UVSMTP__WORDS_MAX, "%s%s%s", uvsmtp_strerror(err), *fault != '\0' ? ": " : "",
             fault);
}

void uvsmtp__outcome_refused_recipient(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i,
                                       int err)
{
  char words[UVSMTP__WORDS_MAX];
  say_refused(c, err, words);
  uvsmtp__outcome_set(c, t, i, UVSMTP_REJECTED, NULL, UVSMTP_COMMAND_RCPT, words);
  t->err = t->err != 0 ? t->err : err;
}

/* A command of the protocol could not be written. Else it is the source's own word, or the look at
 * its content, that says no. */
static bool is_of_command(const uvsmtp__transaction_t *t, int err)
{
  return t->open && !t->cancelled && err != UVSMTP_EBARELINE;
}

void uvsmtp__outcome_local(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err,
                           const char *text)
{
  char words[UVSMTP__WORDS_MAX];
  uvsmtp_err_class_t klass = uvsmtp_err_class(err);
  bool all = (t->send->envelope->flags & UVSMTP_ENVELOPE_ALL_OR_NONE) != 0;
  bool later = klass == UVSMTP_CLASS_RESOURCE || klass == UVSMTP_CLASS_CANCELLED ||
               (err == UVSMTP_ELIMIT && !all);
  if (text == NULL && is_of_command(t, err))
    say_refused(c, err, words);
  else if (text == NULL)
    uvsmtp__content_fault(t, err, words, sizeof(words));
  else
    snprintf(words, sizeof(words), "%s", text);
  t->err = err;
  uvsmtp__outcome_rest(c, t, later ? UVSMTP_DEFERRED : UVSMTP_REJECTED, NULL, UVSMTP_COMMAND_MAIL,
                       words);
  uvsmtp__result_later(c, t);
}
