#ifndef UVSMTP_CLIENT_BLOCKING_H
#define UVSMTP_CLIENT_BLOCKING_H

/*
 * What the blocking client and the blocking connection share: a loop of their own that runs while a
 * call waits. Every call is
 *
 *   enter     nobody else is inside; what has come since the last call is read
 *   …         an asynchronous call is started, whose callback will say "done"
 *   wait      the loop runs until then; a cancel or the time limit hurries it by `abort`
 *   leave     the error and its sentence are kept for who asks
 */
#include <signal.h>
#include <stdatomic.h>

#include "client/result.h"
#include "uvsmtp/blocking.h"

typedef struct uvsmtp__blocking_s {
  uvsmtp_mem_t mem;
  uv_loop_t loop;
  uv_async_t wake;       /* somebody has cancelled */
  uv_timer_t clock;      /* the time limit of the call */
  atomic_bool cancelled; /* asked for and not done yet */
  bool inside, done, expired;
  int stopped; /* what `abort` was called for: UVSMTP_ECANCELED, UVSMTP_EDEADLINE; 0: it was not */
  uint64_t timeout_ms;  /* 0: none */
  char text[768];       /* about the last error */
  uvsmtp_result_t none; /* see uvsmtp__blocking_not_begun */
#ifndef _WIN32
  sigset_t signals; /* the thread's mask outside */
  bool had_sigpipe; /* one was pending outside */
#endif
} uvsmtp__blocking_t;

int uvsmtp__blocking_init(uvsmtp__blocking_t *b, const uvsmtp_mem_t *mem);
/* UVSMTP_EBUSY if others have handles on the loop. After it nothing of `b` is in use. */
int uvsmtp__blocking_end(uvsmtp__blocking_t *b);
/* UVSMTP_EBUSY inside a call. */
int uvsmtp__blocking_enter(uvsmtp__blocking_t *b);
/* Runs the loop until `done`; `abort` sees to it that this is soon. */
void uvsmtp__blocking_wait(uvsmtp__blocking_t *b, void (*abort)(void *ctx), void *ctx);
/* Ends the call; `text` may be NULL. Returns `err`, or why the call was stopped if it was. */
int uvsmtp__blocking_leave(uvsmtp__blocking_t *b, int err, const char *text);
/* Any thread, signal handlers. */
void uvsmtp__blocking_cancel(uvsmtp__blocking_t *b);

/* Keeps the result of a send that has ended inside `b`. */
void uvsmtp__blocking_keep(const uvsmtp__blocking_t *b, uvsmtp__kept_t *kept,
                           const uvsmtp_result_t *result);
/* The result of a send that could not be begun; its recipients are named where they can be. */
void uvsmtp__blocking_refuse(uvsmtp__kept_t *kept, const uvsmtp_envelope_t *envelope, int err);

/* The result of one that nobody could even look at, good until the next. */
const uvsmtp_result_t *uvsmtp__blocking_not_begun(uvsmtp__blocking_t *b, int err);

/*
 * A client lends a connection: makes the borrower's object on the client's loop (NULL: out of
 * memory; until it has got one, it is memory and nothing else), and hands the connection over.
 */
uvsmtp_blocking_connection_t *uvsmtp__blocking_connection_lend(uvsmtp__blocking_t *b,
                                                               uvsmtp_blocking_client_t *client);
void uvsmtp__blocking_connection_free(uvsmtp_blocking_connection_t *c);
void uvsmtp__blocking_connection_got(uvsmtp_blocking_connection_t *c,
                                     uvsmtp_connection_t *connection);
/* Takes the connection back, with whatever is under way on it. */
void uvsmtp__blocking_client_take_back(uvsmtp_blocking_client_t *client,
                                       uvsmtp_connection_t *connection);
/* The borrower's object is gone. */
void uvsmtp__blocking_client_returned(uvsmtp_blocking_client_t *client);

#endif
