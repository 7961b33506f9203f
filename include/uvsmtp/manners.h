#ifndef UVSMTP_MANNERS_H
#define UVSMTP_MANNERS_H

/*
 * A server's manners: what was learned of an endpoint that breaks under a faster way of talking
 * which it says it can do. Each way is left once the server refuses what works in the plain way
 * (a 503 to MAIL behind a content, a 500 to BDAT), or loses replies or the connection at that point
 * the first time that it is tried. The message in question goes again the plainer way by itself.
 *
 * And how many messages a session takes: a server that twice in a row has closed without a word
 * after the same number, with others under way, gets no more than that in one session. It is tried
 * anew with one message at a time every now and then.
 *
 * The record is part of the history that connections to one server share (uvsmtp_history_t), so
 * that what one has learned serves the next; one without a history learns for itself alone.
 */
#include "uvsmtp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Ways of talking, from the boldest to the plainest; bits of uvsmtp_manners_t.avoid. */
enum {
  UVSMTP_WAY_OVERLAP = 1,      /* commands of the next message behind the end of a content */
  UVSMTP_WAY_CHUNKING = 2,     /* BDAT (RFC 3030) */
  UVSMTP_WAY_GROUPED_DATA = 4, /* DATA behind RCPT in one write */
  UVSMTP_WAY_PIPELINING = 8    /* more than one command at a time (RFC 2920) */
};
#define UVSMTP_WAYS 4

/**
 * What was learned. What was only suspected, because a connection was lost, is tried again after
 * 1 000 messages. Since 0.1
 */
typedef struct uvsmtp_manners_s {
  unsigned avoid; /* bits of UVSMTP_WAY_… that are left; may be set and cleared by you too */
  unsigned max_mails; /* messages that a session takes; 0: not known. Likewise */
  /* private */
  unsigned suspected, proven, acquitted;
  unsigned strikes[UVSMTP_WAYS]; /* losses of a way that had worked */
  unsigned good;                 /* messages since one of these was forgotten */
  unsigned plain;                /* messages since the last suspicion */
  unsigned blamed;               /* the way that was left last */
  int blamed_command, blamed_code;
  unsigned ended_after; /* messages; a session was ended so, and none took more since */
  unsigned full;        /* sessions since `max_mails` was learned or tried that took as many */
} uvsmtp_manners_t;

#ifdef __cplusplus
}
#endif
#endif
