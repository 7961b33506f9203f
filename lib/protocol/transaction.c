/* Transactions: MAIL, RCPT, DATA, RSET, and the commands that change nothing. */
#include <string.h>

#include "base/text.h"
#include "protocol/lines.h"

/* The state after a command of which all has gone well. */
static uint8_t state_after(uint8_t state, uvsmtp_command_t command, bool *in_chunks)
{
  switch (command) {
  case UVSMTP_COMMAND_MAIL:
    return UVSMTP_STATE_MAILTX;
  case UVSMTP_COMMAND_RCPT:
    return UVSMTP_STATE_RECIPIENT_SENT;
  case UVSMTP_COMMAND_DATA:
    return UVSMTP_STATE_SEND_DATA;
  case UVSMTP_COMMAND_BDAT:
    *in_chunks = true;
    return state;
  case UVSMTP_COMMAND_DATA_END:
  case UVSMTP_COMMAND_BDAT_LAST:
  case UVSMTP_COMMAND_RSET:
    *in_chunks = false;
    return UVSMTP_STATE_READY;
  case UVSMTP_COMMAND_EHLO:
  case UVSMTP_COMMAND_HELO:
  case UVSMTP_COMMAND_LHLO:
    return UVSMTP_STATE_READY;
  case UVSMTP_COMMAND_XCLIENT:
    return UVSMTP_STATE_GREETING_RECEIVED;
  case UVSMTP_COMMAND_QUIT:
    return UVSMTP_STATE_FINISHED;
  default:
    return state;
  }
}

void uvsmtp__project(uvsmtp_protocol_t *p)
{
  uint8_t state = p->state;
  bool in_chunks = p->chunks_begun;
  for (uint32_t i = 0; i < p->queue.count; i++)
    state = state_after(state, uvsmtp__queue_at(p, i)->command, &in_chunks);
  p->projected = state;
  p->in_chunks = in_chunks;
}

static bool between_transactions(const uvsmtp_protocol_t *p)
{
  return p->projected == UVSMTP_STATE_READY || p->projected == UVSMTP_STATE_AUTHENTICATED;
}

int uvsmtp_protocol_mail(uvsmtp_protocol_t *p, const uvsmtp_envelope_t *envelope,
                         const uvsmtp_mail_needs_t *needs, void *tag)
{
  static const uvsmtp_mail_needs_t none = {.size = UVSMTP_SIZE_UNKNOWN};
  lines_t lines;
  int err = uvsmtp__command_ready(p);
  uvsmtp__line_begin(p);
  if (err != 0)
    return err;
  if (!between_transactions(p))
    return UVSMTP_ESTATE;
  if (needs == NULL)
    needs = &none;
  if ((err = uvsmtp__lines_begin(p, &lines, 1, 0, 0)) != 0)
    return err;
  do
    err = uvsmtp__lines_mail(p, &lines, envelope, needs, tag, 0);
  while (err != 0 && uvsmtp__lines_again(p, &lines, &err));
  if (err != 0)
    return err;
  uvsmtp__lines_issue(p, &lines);
  p->projected = UVSMTP_STATE_MAILTX;
  p->binary = envelope->body == UVSMTP_BODY_BINARYMIME || needs->binary;
  return 0;
}

int uvsmtp_protocol_recipient(uvsmtp_protocol_t *p, const uvsmtp_recipient_t *recipient, void *tag)
{
  lines_t lines;
  int err = uvsmtp__command_ready(p);
  uvsmtp__line_begin(p);
  if (err != 0)
    return err;
  if ((p->projected != UVSMTP_STATE_MAILTX && p->projected != UVSMTP_STATE_RECIPIENT_SENT) ||
      p->in_chunks)
    return UVSMTP_ESTATE;
  if ((err = uvsmtp__lines_begin(p, &lines, 1, 0, 0)) != 0)
    return err;
  do
    err = uvsmtp__lines_rcpt(p, &lines, recipient, tag, 0);
  while (err != 0 && uvsmtp__lines_again(p, &lines, &err));
  if (err != 0)
    return err;
  uvsmtp__lines_issue(p, &lines);
  p->projected = UVSMTP_STATE_RECIPIENT_SENT;
  return 0;
}

/* Issues a line that is a word of our own. */
static int issue_word(uvsmtp_protocol_t *p, uvsmtp_command_t command, const char *word, size_t len,
                      void *tag)
{
  int err = uvsmtp__command_line(p, command, tag, 0, word, len);
  if (err == 0)
    p->projected = state_after(p->projected, command, &p->in_chunks);
  return err;
}

/* Issues a verb and what the caller may have put behind it. */
static int issue_text(uvsmtp_protocol_t *p, uvsmtp_command_t command, const char *verb,
                      const char *argument, void *tag)
{
  uvsmtp_slice_t parts[3] = {uvsmtp_slice(verb)};
  int err;
  if (argument != NULL) {
    parts[1] = uvsmtp_slice(" ");
    parts[2] = uvsmtp_slice(argument);
  }
  err = uvsmtp__command_issue(p, command, tag, 0, parts, argument != NULL ? 3 : 1,
                              UVSMTP__LINE_OCTETS);
  if (err == 0)
    p->projected = state_after(p->projected, command, &p->in_chunks);
  return err;
}

int uvsmtp_protocol_start_data(uvsmtp_protocol_t *p, void *tag)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected != UVSMTP_STATE_RECIPIENT_SENT || p->in_chunks || p->binary)
    return UVSMTP_ESTATE;
  return issue_word(p, UVSMTP_COMMAND_DATA, "DATA", 4, tag);
}

int uvsmtp_protocol_reset(uvsmtp_protocol_t *p, void *tag)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected < UVSMTP_STATE_AUTHENTICATED || p->projected == UVSMTP_STATE_SEND_DATA)
    return UVSMTP_ESTATE;
  return issue_word(p, UVSMTP_COMMAND_RSET, "RSET", 4, tag);
}

/* Commands that may stand anywhere but inside a content or an exchange. */
static int issue_neutral(uvsmtp_protocol_t *p, uvsmtp_command_t command, const char *verb,
                         const char *argument, void *tag)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected == UVSMTP_STATE_GREETING_EXPECTED ||
      p->projected == UVSMTP_STATE_AUTHENTICATING || p->projected == UVSMTP_STATE_SEND_DATA ||
      p->in_chunks)
    return UVSMTP_ESTATE;
  return issue_text(p, command, verb, argument, tag);
}

int uvsmtp_protocol_noop(uvsmtp_protocol_t *p, void *tag)
{
  return issue_neutral(p, UVSMTP_COMMAND_NOOP, "NOOP", NULL, tag);
}

int uvsmtp_protocol_vrfy(uvsmtp_protocol_t *p, const char *who, void *tag)
{
  return issue_neutral(p, UVSMTP_COMMAND_OTHER, "VRFY", who, tag);
}

int uvsmtp_protocol_expn(uvsmtp_protocol_t *p, const char *list, void *tag)
{
  return issue_neutral(p, UVSMTP_COMMAND_OTHER, "EXPN", list, tag);
}

int uvsmtp_protocol_help(uvsmtp_protocol_t *p, const char *topic, void *tag)
{
  return issue_neutral(p, UVSMTP_COMMAND_OTHER, "HELP", topic, tag);
}

int uvsmtp_protocol_command(uvsmtp_protocol_t *p, const char *line, void *tag)
{
  static const char *const own[] = {"EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "MAIL",   "RCPT",
                                    "DATA", "BDAT", "RSET", "NOOP",     "QUIT", "XCLIENT"};
  size_t verb = strcspn(line, " ");
  if (verb == 0)
    return UVSMTP_EINVAL;
  for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
    if (uvsmtp__ascii_equal(line, verb, own[i], strlen(own[i])))
      return UVSMTP_EINVAL;
  return issue_neutral(p, UVSMTP_COMMAND_OTHER, line, NULL, tag);
}

int uvsmtp_protocol_quit(uvsmtp_protocol_t *p, void *tag)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  /* A server that greets with a refusal still expects QUIT (RFC 5321 section 3.1). */
  if (p->projected == UVSMTP_STATE_SEND_DATA || p->projected == UVSMTP_STATE_AUTHENTICATING ||
      p->in_chunks || (p->state == UVSMTP_STATE_GREETING_EXPECTED && p->queue.count > 0))
    return UVSMTP_ESTATE;
  err = issue_text(p, UVSMTP_COMMAND_QUIT, "QUIT", NULL, tag);
  if (err == 0)
    p->closing = true;
  return err;
}

/* ---- what the replies mean ---- */

static void judge_data(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  if (UVSMTP_REPLY_CLASS(&event->reply) == 3) {
    p->state = UVSMTP_STATE_SEND_DATA;
    p->talk->content_at = p->issued;
    p->talk->line_start = true;
    p->talk->after_cr = false;
  } else {
    p->needs_reset = true; /* some servers keep the transaction open */
  }
}

/* LMTP answers once for each accepted recipient, PRDR so many times between 353 and the last. */
static void judge_end(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  unsigned due = p->shared->options.lmtp && p->accepted > 1 ? p->accepted : 1;
  if (p->prdr && event->reply.code == 353 && e->replies == 1)
    e->flags |= EXPECT_PRDR;
  if ((e->flags & EXPECT_PRDR) != 0)
    due = p->accepted + 2;
  if (e->replies < due && event->reply.code != 421) {
    event->last = false;
    uvsmtp__queue_put_back(p, e);
    return;
  }
  if (UVSMTP_REPLY_CLASS(&event->reply) != 2)
    p->needs_reset = true;
  p->state = UVSMTP_STATE_READY;
  p->chunks_begun = false;
}

void uvsmtp__apply_success(uvsmtp_protocol_t *p, const expectation_t *e)
{
  switch ((uvsmtp_command_t)e->command) {
  case UVSMTP_COMMAND_MAIL:
    p->accepted = 0;
    p->chunks_begun = false;
    p->prdr = (e->flags & EXPECT_PRDR) != 0;
    p->state = UVSMTP_STATE_MAILTX;
    break;
  case UVSMTP_COMMAND_RCPT:
    p->accepted++;
    p->state = UVSMTP_STATE_RECIPIENT_SENT;
    break;
  default: /* RSET */
    p->accepted = 0;
    p->needs_reset = p->chunks_begun = false;
    p->state = UVSMTP_STATE_READY;
    break;
  }
}

static void judge_mail_refused(uvsmtp_protocol_t *p)
{
  p->accepted = 0;
  p->chunks_begun = p->prdr = false;
}

void uvsmtp__end_quiet(uvsmtp_protocol_t *p, bool all)
{
  for (uint32_t i = 0; i < p->queue.count; i++) {
    expectation_t *e = uvsmtp__queue_at(p, i);
    if (!all && (e->flags & EXPECT_QUIET) == 0)
      return;
    e->flags &= (uint8_t)~EXPECT_QUIET;
  }
}

void uvsmtp__judge_transaction(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  bool ok = UVSMTP_REPLY_CLASS(&event->reply) == 2;
  switch ((uvsmtp_command_t)e->command) {
  case UVSMTP_COMMAND_MAIL:
  case UVSMTP_COMMAND_RCPT:
  case UVSMTP_COMMAND_RSET:
    if (ok)
      uvsmtp__apply_success(p, e);
    else if (e->command == UVSMTP_COMMAND_MAIL)
      judge_mail_refused(p);
    break;
  case UVSMTP_COMMAND_DATA:
    judge_data(p, event);
    ok = p->state == UVSMTP_STATE_SEND_DATA;
    break;
  case UVSMTP_COMMAND_DATA_END:
  case UVSMTP_COMMAND_BDAT_LAST:
    judge_end(p, e, event);
    break;
  case UVSMTP_COMMAND_BDAT:
    p->needs_reset |= !ok;
    p->chunks_begun = ok;
    break;
  case UVSMTP_COMMAND_QUIT:
    p->state = UVSMTP_STATE_FINISHED;
    break;
  default:
    break;
  }
  if (!ok && (e->flags & EXPECT_QUIET) != 0)
    uvsmtp__end_quiet(p, false);
  if (!ok || p->queue.count == 0)
    uvsmtp__project(p);
}
