#ifndef UVSMTP_MANNERS_H
#define UVSMTP_MANNERS_H

/*
 * A server's manners: what was learned of an endpoint that breaks under a faster way of talking
 * which it says it can do. Each way is left once the server refuses what works in the plain way
 * (a 503 to MAIL behind a content, a 500 to BDAT), or loses replies or the connection at that point
 * the first time that it is tried. The message in question goes again the plainer way by itself.
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
  /* private */
  unsigned suspected, proven, acquitted;
  unsigned strikes[UVSMTP_WAYS]; /* losses of a way that had worked */
  unsigned good;                 /* messages since one of these was forgotten */
  unsigned plain;                /* messages since the last suspicion */
  unsigned blamed;               /* the way that was left last */
  int blamed_command, blamed_code;
} uvsmtp_manners_t;

#ifdef __cplusplus
}
#endif
#endif
