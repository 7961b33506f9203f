#ifndef UVSMTP_CONNECTION_HISTORY_H
#define UVSMTP_CONNECTION_HISTORY_H

/* A connection's part in the history that it shares with others. */
#include <stdbool.h>

#include "base/list.h"
#include "uvsmtp/connection.h"

typedef struct uvsmtp__visit_s uvsmtp__visit_t;
struct uvsmtp__visit_s {
  uvsmtp_history_t *history;     /* NULL: none */
  bool resumes;                  /* this connection may; else it is only counted */
  uvsmtp__link_t link;           /* among those that wait */
  bool leads;                    /* others may wait for the session of this one */
  uvsmtp_tls_session_t *offered; /* to the server; the engine has a reference */
  /* The wait is over: begin again. Makes no callback of a caller. */
  void (*wake)(uvsmtp__visit_t *visit);
};

/* The context that connections without one of their own share, once it is known; else NULL. */
uvsmtp_tls_context_t *uvsmtp__history_context(const uvsmtp_history_t *history);
/* Takes over one use of that context; false if it has one already. */
bool uvsmtp__history_keep_context(uvsmtp_history_t *history, uvsmtp_tls_context_t *context);

/*
 * Before the handshake of `tls`: offers it a session, or has it make the full handshake that the
 * others wait for. False if another does that and waiting is worth it (`patient`): then `wake`
 * follows, unless uvsmtp__history_leave or another begin comes first.
 */
bool uvsmtp__history_begin(uvsmtp__visit_t *visit, uvsmtp_tls_t *tls, bool patient);
/* The handshake is done. */
void uvsmtp__history_shaken(uvsmtp__visit_t *visit, uvsmtp_tls_t *tls);
/* Keeps what sessions the server has sent. `heard`: it has also sent data, so if there was no
 * session before these there will be none. */
void uvsmtp__history_learn(uvsmtp__visit_t *visit, uvsmtp_tls_t *tls, bool heard);
/* A way of talking (UVSMTP_WAY_…) is left from now on, and why; 0: none is. `h` may be NULL. */
void uvsmtp__history_retreat(uvsmtp_history_t *h, unsigned way, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The connection is over; `tls_failed`: its handshake was not finished. */
void uvsmtp__history_leave(uvsmtp__visit_t *visit, bool tls_failed);

/* AF_INET or AF_INET6, or AF_UNSPEC if nothing is known. NULL history: nothing. */
int uvsmtp__history_family(const uvsmtp_history_t *history);
void uvsmtp__history_note_family(uvsmtp_history_t *history, int family);

#endif
