#ifndef UVSMTP_CONNECTION_MANNERS_H
#define UVSMTP_CONNECTION_MANNERS_H

/*
 * Decisions about servers that misbehave, without any I/O: which way of talking is to blame for a
 * refusal or a loss, and what a refusal of RCPT means for that recipient.
 */
#include <stdbool.h>

#include "uvsmtp/connection.h"

typedef enum {
  UVSMTP__INCIDENT_REFUSED, /* a command was, though what came before it was accepted */
  UVSMTP__INCIDENT_LOST     /* the connection, or replies, with commands unanswered */
} uvsmtp__incident_kind_t;

typedef struct uvsmtp__incident_s {
  uvsmtp__incident_kind_t kind;
  unsigned used;            /* ways that were in use, or at stake */
  uvsmtp_command_t command; /* REFUSED: this */
  int code;                 /* with this */
  bool out_of_step;         /* and in words that speak of pipelining or synchronization */
} uvsmtp__incident_t;

/*
 * Notes an incident: the way that is to blame and will be avoided from now on, or 0. The command in
 * question deserves another try if there is one.
 */
unsigned uvsmtp__manners_note(uvsmtp_manners_t *manners, const uvsmtp__incident_t *incident);

/* After so many messages that went well, a loss is forgotten. */
#define UVSMTP__FORGIVEN 200
/* Losses and suspicions are so far back that some may be forgotten. */
void uvsmtp__manners_forgive(uvsmtp_manners_t *manners);

/* A message was taken in all these ways. */
static inline void uvsmtp__manners_worked(uvsmtp_manners_t *manners, unsigned used)
{
  manners->proven |= used;
  if (++manners->good >= UVSMTP__FORGIVEN || manners->suspected != 0)
    uvsmtp__manners_forgive(manners);
}

/*
 * The server closed a session without a word that had taken `taken` messages, while others were
 * under way.
 */
void uvsmtp__manners_closed(uvsmtp_manners_t *manners, unsigned taken);
/* A session has ended otherwise; `full`: it took all that it takes. */
void uvsmtp__manners_ended(uvsmtp_manners_t *manners, unsigned taken, bool full);
/* A session begins: shall it try to go beyond `max_mails`? */
bool uvsmtp__manners_tries(uvsmtp_manners_t *manners);

/* Do the words of a refusal say that the client was out of step? */
bool uvsmtp__speaks_of_step(const char *text);

/* Is this greeting, without its code, masked by a firewall that looks into SMTP? */
bool uvsmtp__is_masked(const char *greeting);

/* What a reply to RCPT means. */
typedef enum {
  UVSMTP__RCPT_YES,
  UVSMTP__RCPT_NO,      /* for good */
  UVSMTP__RCPT_LATER,   /* for now */
  UVSMTP__RCPT_TOO_MANY /* in this transaction: the next one may have it */
} uvsmtp__verdict_t;

/*
 * `accepted` recipients has the transaction by now: the first one cannot be one too many. See
 * uvsmtp_connection_options_t.rcpt_552.
 */
uvsmtp__verdict_t uvsmtp__judge_recipient(const uvsmtp_reply_t *reply, size_t accepted,
                                          uvsmtp_rcpt_552_t rcpt_552);

#endif
