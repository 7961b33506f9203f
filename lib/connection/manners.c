#include "connection/manners.h"

#include <string.h>

#include "base/text.h"

#define STRIKES 3      /* losses until a way that had worked is suspected, */
#define PROBATION 1000 /* messages until a suspicion is forgotten */
#define TRIAL 20       /* full sessions until one tries to go on */

/* Refusals that mean: this command is not known, or not here; never what it was about. */
static bool is_about_syntax(int code)
{
  return code >= 500 && code <= 504;
}

/* The way to blame for a refusal, boldest first. */
static unsigned suspect_of_refusal(const uvsmtp__incident_t *i)
{
  bool lost_step = i->out_of_step || i->code == 500 || i->code == 503;
  switch (i->command) {
  case UVSMTP_COMMAND_MAIL:
    if ((i->used & UVSMTP_WAY_OVERLAP) != 0 && lost_step)
      return UVSMTP_WAY_OVERLAP;
    /* A lone MAIL gets a 503 too, before AUTH for instance. */
    return i->out_of_step || i->code == 500 ? i->used & UVSMTP_WAY_PIPELINING : 0;
  case UVSMTP_COMMAND_RCPT:
    return lost_step ? i->used & UVSMTP_WAY_PIPELINING : 0;
  case UVSMTP_COMMAND_DATA:
    return i->out_of_step || is_about_syntax(i->code) ? i->used & UVSMTP_WAY_GROUPED_DATA : 0;
  case UVSMTP_COMMAND_BDAT:
  case UVSMTP_COMMAND_BDAT_LAST:
    return is_about_syntax(i->code) ? i->used & UVSMTP_WAY_CHUNKING : 0;
  default:
    return 0;
  }
}

/* The same refusal in the plain way: it was not the way that was to blame. */
static void acquit(uvsmtp_manners_t *m, const uvsmtp__incident_t *i)
{
  if (m->blamed == 0 || (i->used & m->blamed) != 0 || m->blamed_command != (int)i->command ||
      m->blamed_code != i->code)
    return;
  m->avoid &= ~m->blamed;
  m->acquitted |= m->blamed;
  m->blamed = 0;
}

static unsigned note_refusal(uvsmtp_manners_t *m, const uvsmtp__incident_t *i)
{
  unsigned way = suspect_of_refusal(i) & ~m->acquitted;
  if (way == 0) {
    acquit(m, i);
    return 0;
  }
  m->avoid |= way;
  m->suspected &= ~way;
  m->blamed = way;
  m->blamed_command = (int)i->command;
  m->blamed_code = i->code;
  return way;
}

/* Connections are lost for many reasons: of what has worked here before, one loss proves nothing.
 * The boldest way that was at stake is suspected, so that one is left at a time. */
static unsigned note_loss(uvsmtp_manners_t *m, unsigned used)
{
  for (unsigned n = 0; n < UVSMTP_WAYS; n++) {
    unsigned way = 1u << n;
    if ((used & way) == 0)
      continue;
    if ((m->proven & way) != 0 && ++m->strikes[n] < STRIKES)
      return 0;
    m->strikes[n] = 0;
    m->proven &= ~way;
    m->avoid |= way;
    m->suspected |= way;
    m->plain = 0;
    return way;
  }
  return 0;
}

void uvsmtp__manners_forgive(uvsmtp_manners_t *m)
{
  if (m->good >= UVSMTP__FORGIVEN) {
    m->good = 0;
    for (unsigned n = 0; n < UVSMTP_WAYS; n++)
      m->strikes[n] -= m->strikes[n] > 0;
  }
  if (m->suspected != 0 && ++m->plain >= PROBATION) {
    m->avoid &= ~m->suspected;
    m->suspected = 0;
  }
}

unsigned uvsmtp__manners_note(uvsmtp_manners_t *m, const uvsmtp__incident_t *i)
{
  return i->kind == UVSMTP__INCIDENT_REFUSED ? note_refusal(m, i) : note_loss(m, i->used);
}

void uvsmtp__manners_closed(uvsmtp_manners_t *m, unsigned taken)
{
  bool again = m->ended_after == taken;
  m->ended_after = taken;
  if (again && m->max_mails != taken) {
    m->max_mails = taken;
    m->full = 0;
  } else if (taken > m->max_mails) { /* there is another reason, as that the server went down */
    m->max_mails = 0;
  }
}

void uvsmtp__manners_ended(uvsmtp_manners_t *m, unsigned taken, bool full)
{
  if (taken > m->ended_after)
    m->ended_after = 0;
  m->full += full && m->max_mails != 0;
}

bool uvsmtp__manners_tries(uvsmtp_manners_t *m)
{
  if (m->max_mails == 0 || m->full < TRIAL)
    return false;
  m->full = 0;
  return true;
}

bool uvsmtp__speaks_of_step(const char *text)
{
  static const char *const words[] = {"pipelin", "synchroni"};
  for (size_t left = strlen(text); left > 0; left--, text++)
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
      size_t len = strlen(words[i]);
      if (left >= len && uvsmtp__ascii_equal(text, len, words[i], len))
        return true;
    }
  return false;
}

/* PIX leaves a greeting its blanks and the digits of its code, "*****02**", and stars the rest. */
bool uvsmtp__is_masked(const char *greeting)
{
  return strstr(greeting, "***") != NULL && greeting[strspn(greeting, "*02 \t\n")] == '\0';
}

/* RFC 3463 section 3.6: X.5.3, too many recipients. */
static bool says_too_many(const uvsmtp_reply_t *reply)
{
  return reply->enhanced[0] != 0 && reply->enhanced[1] == 5 && reply->enhanced[2] == 3;
}

uvsmtp__verdict_t uvsmtp__judge_recipient(const uvsmtp_reply_t *reply, size_t accepted,
                                          uvsmtp_rcpt_552_t rcpt_552)
{
  int klass = UVSMTP_REPLY_CLASS(reply);
  bool unsaid = reply->enhanced[0] == 0;
  bool many = says_too_many(reply) && reply->code != 421;
  if (klass == 2)
    return UVSMTP__RCPT_YES;
  /* RFC 5321 section 4.5.3.1.10: 452 for too many recipients, and the 552 of RFC 821 like it. */
  if (reply->code == 452)
    many |= unsaid;
  if (reply->code == 552 && rcpt_552 == UVSMTP_RCPT_552_TEMPORARY) {
    many |= unsaid;
    if (many && accepted == 0)
      return UVSMTP__RCPT_LATER;
  } else if (klass == 5) {
    return UVSMTP__RCPT_NO;
  }
  if (many && accepted > 0)
    return UVSMTP__RCPT_TOO_MANY;
  return klass == 5 ? UVSMTP__RCPT_NO : UVSMTP__RCPT_LATER;
}
