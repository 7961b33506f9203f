#ifndef UVSMTP_CLIENT_POOL_H
#define UVSMTP_CLIENT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "uvsmtp/base.h"

/*
 * What a client's pool decides: who gets which connection, when to open another, what has
 * expired, when to stand back after a failure. No I/O and no clock: the owner tells what happened
 * and what time it is, asks for the next step until there is none, does it, and asks when to come
 * again. A slot stands for one session of the server, from the first moment of its opening to the
 * last of its closing, and all of them count against the cap.
 *
 *   OPENING -> IDLE <-> BUSY/FULL, LENT;   all of them -> SPENT -> CLOSING -> gone
 */
typedef enum uvsmtp__slot_state_e {
  UVSMTP__SLOT_OPENING,
  UVSMTP__SLOT_IDLE,  /* the list's first is the one used last */
  UVSMTP__SLOT_BUSY,  /* sends are under way, and it may take more */
  UVSMTP__SLOT_FULL,  /* sends are under way, and it takes no more for now */
  UVSMTP__SLOT_SPENT, /* of no use: the next step ends it */
  UVSMTP__SLOT_LENT,
  UVSMTP__SLOT_CLOSING,
  UVSMTP__SLOT_STATES
} uvsmtp__slot_state_t;

typedef struct uvsmtp__slot_s {
  uvsmtp__link_t link; /* in the list of its state */
  uvsmtp__slot_state_t state;
  uint64_t opened_ms, idle_ms;
  uint64_t given;     /* sends and loans it was used for */
  uint64_t delivered; /* sends that had a reply of the server */
  size_t in_flight;   /* sends */
  unsigned round;     /* the pool's failures when its opening began */
  bool dead;          /* carries nothing any more: close it */
  bool retiring;      /* gets nothing any more: say QUIT once it is idle */
  bool reserved;      /* gets no sends, so that it becomes free for a borrower */
} uvsmtp__slot_t;

typedef struct uvsmtp__pool_limits_s {
  size_t max_connections;
  uint64_t idle_timeout_ms; /* UINT64_MAX: none */
  uint64_t max_messages;    /* 0: none */
  uint64_t max_age_ms;      /* 0: none */
  unsigned max_tries;
  uint64_t retry_delay_ms;
} uvsmtp__pool_limits_t;

/* The outside world: does the connection take one more send now? */
typedef bool (*uvsmtp__pool_takes_fn)(void *ctx, const uvsmtp__slot_t *slot);

typedef struct uvsmtp__pool_s {
  uvsmtp__pool_limits_t limits;
  uvsmtp__pool_takes_fn takes;
  void *ctx;
  uvsmtp__link_t lists[UVSMTP__SLOT_STATES];
  size_t counts[UVSMTP__SLOT_STATES];
  size_t count;         /* of all slots */
  size_t reserved;      /* slots kept for borrowers */
  uint64_t expiry_ms;   /* no idle slot expires before; UINT64_MAX: none is idle */
  unsigned failures;    /* rounds of opening that failed, in a row */
  uint64_t retry_at_ms; /* nothing is opened before */
  uint64_t random;      /* state of the jitter, never 0 */
  bool unproven;        /* no server has accepted the credentials yet: one connection tries them */
  bool draining;        /* what is not needed any more goes */
  bool aborting;        /* everything but what is lent goes */
} uvsmtp__pool_t;

/* Who waits. `borrow_first`: the borrower at the head came before the send at the head. */
typedef struct uvsmtp__waiting_s {
  size_t sends, borrows;
  bool borrow_first;
} uvsmtp__waiting_t;

typedef enum uvsmtp__step_kind_e {
  UVSMTP__STEP_NONE,
  UVSMTP__STEP_OPEN, /* open a connection: uvsmtp__pool_add */
  UVSMTP__STEP_SEND, /* the first send goes to `slot`: uvsmtp__pool_sent */
  UVSMTP__STEP_LEND, /* the first borrower gets `slot`: uvsmtp__pool_lent */
  UVSMTP__STEP_QUIT, /* end `slot` politely: uvsmtp__pool_closing */
  UVSMTP__STEP_CLOSE /* end `slot` at once: uvsmtp__pool_closing */
} uvsmtp__step_kind_t;

typedef struct uvsmtp__step_s {
  uvsmtp__step_kind_t kind;
  uvsmtp__slot_t *slot;
} uvsmtp__step_t;

/* `seed` for the jitter, any number. */
void uvsmtp__pool_init(uvsmtp__pool_t *pool, const uvsmtp__pool_limits_t *limits,
                       uvsmtp__pool_takes_fn takes, void *ctx, uint64_t seed);

/* The next thing to do; it changes nothing but the bookkeeping of what is full or reserved. */
uvsmtp__step_t uvsmtp__pool_next(uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting,
                                 uint64_t now);
/* When to ask again even if nothing happens; UINT64_MAX: no need. */
uint64_t uvsmtp__pool_due(const uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting);

/* What happened. */
void uvsmtp__pool_add(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
void uvsmtp__pool_opened(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
/*
 * Opening failed with an error of that class; the slot is spent. True: those who wait must be
 * told now, since trying goes wrong in the same way or has gone wrong often enough, and no open
 * connection serves them.
 */
bool uvsmtp__pool_failed(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, int err, uint64_t now);
void uvsmtp__pool_sent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
/* A send ended. `dead`: the connection with it. */
void uvsmtp__pool_done(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool dead, uint64_t now);
void uvsmtp__pool_lent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* `usable`: nothing is under way on it. */
void uvsmtp__pool_given_back(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool usable, uint64_t now);
/* The connection ended by itself. */
void uvsmtp__pool_lost(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/*
 * What has been opened so far, or is being opened, is of the past: nothing new is put on it. Earlier
 * failures do not hold back what is opened from now on.
 */
void uvsmtp__pool_renew(uvsmtp__pool_t *pool);
void uvsmtp__pool_closing(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* Closed; the slot is the owner's again. */
void uvsmtp__pool_gone(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);

/* What the end of a send on a connection says about trying again. */
typedef struct uvsmtp__attempt_s {
  int err;        /* of the result */
  int code;       /* the server's final reply, 0: none */
  unsigned tries; /* this one included */
  bool all_deferred;
  bool retry_is_safe;
  bool cancelled;
} uvsmtp__attempt_t;

/* The connection is of no use after such an end. */
bool uvsmtp__pool_is_dead(const uvsmtp__attempt_t *attempt);
/* It failed because of the network or the session, not the message: once more. */
bool uvsmtp__pool_may_retry(const uvsmtp__pool_t *pool, const uvsmtp__attempt_t *attempt);

#endif
