#ifndef UVSMTP_CLIENT_POOL_H
#define UVSMTP_CLIENT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/rare.h"
#include "client/endpoint.h"
#include "client/pacing.h"
#include "uvsmtp/client.h"

/*
 * What a client's pool decides: who gets which connection, when to open another and to which
 * endpoint, what has expired, when to stand back after a failure. No I/O and no clock: the owner
 * tells what happened and what time it is, asks for the next step until there is none, does it, and
 * asks when to come again. A slot stands for one session of a server, from the first moment of its
 * opening to the last of its closing, and all of them count against the cap.
 *
 *   OPENING -> IDLE <-> BUSY/FULL, LENT, CHECKED;   all of them -> SPENT -> CLOSING -> gone
 *
 *   pool.c       slots and their lists; what happened
 *   choice.c     what is to be done next, and if nothing, why not and until when
 *   lifecycle.c  what expires: idle time, age, keep-alive
 *   endpoint.c   what is known of one server; pacing.c  token buckets; attempt.c  trying again
 *
 * A step costs the same however many slots and sends there are, or their logarithm where one
 * expires; endpoints are few, and looked at one by one. What was not asked for (rates, limits of
 * use) costs a branch.
 */
typedef enum uvsmtp__slot_state_e {
  UVSMTP__SLOT_OPENING,
  UVSMTP__SLOT_IDLE,    /* in its endpoint's list, whose first is the one used last */
  UVSMTP__SLOT_BUSY,    /* sends are under way, and it may take more; in its endpoint's list,
                           whose first is next; never dead, retiring or reserved */
  UVSMTP__SLOT_FULL,    /* sends are under way, and it takes no more for now */
  UVSMTP__SLOT_CHECKED, /* NOOP was sent */
  UVSMTP__SLOT_SPENT,   /* of no use: the next step ends it */
  UVSMTP__SLOT_LENT,
  UVSMTP__SLOT_CLOSING,
  UVSMTP__SLOT_STATES
} uvsmtp__slot_state_t;

typedef struct uvsmtp__slot_s {
  uvsmtp__link_t link; /* in the list of its state */
  uvsmtp__slot_state_t state;
  uvsmtp__endpoint_t *endpoint;
  uvsmtp__heap_node_t timer; /* in pool->timers while it opens, if there are others to be tried,
                                and from when it is first idle; looked at when due */
  uint64_t due_ms;           /* when it is looked at; it may turn out to be too early */
  uint64_t old_ms;           /* from then on it is too old; UINT64_MAX: never */
  uint64_t idle_ms, used_ms;
  uint64_t given;     /* sends and loans it was used for */
  uint64_t delivered; /* sends that had a reply of the server */
  uint64_t bytes;     /* of messages given to it */
  uint64_t refused;   /* sends that went to nobody */
  size_t in_flight;   /* sends */
  size_t room;        /* how many more it takes, as it said in the decision number `asked` */
  uint64_t asked;
  unsigned round; /* the endpoint's failures when its opening began */
  bool has_cause; /* `cause` says why it is of no use any more */
  uvsmtp_retire_t cause;
  bool dead;     /* carries nothing any more: close it */
  bool retiring; /* gets nothing any more: say QUIT once it is idle */
  bool reserved; /* gets no sends, so that it becomes free for a borrower */
  bool stalled;  /* its opening takes long: others are tried beside it */
  bool given_up; /* it took long, and its place was needed */
  bool unproven; /* was parked, and the server has not said a word since */
} uvsmtp__slot_t;

typedef struct uvsmtp__pool_limits_s {
  size_t max_connections, min_idle;
  uint64_t idle_timeout_ms;  /* UINT64_MAX: none */
  uint64_t keepalive_ms;     /* 0: none */
  uint64_t max_messages;     /* 0: none */
  uint64_t max_bytes;        /* 0: none */
  uint64_t max_refused;      /* 0: none */
  uint64_t max_age_ms;       /* 0: none */
  uint64_t open_patience_ms; /* UINT64_MAX: none */
  unsigned max_tries, max_connect_tries;
  uint64_t retry_delay_ms, max_retry_delay_ms;
  uvsmtp_rate_t message_rate, recipient_rate, connection_rate;
  bool fixed_connections;
} uvsmtp__pool_limits_t;

/* The outside world: how many more sends does the connection take now? */
typedef size_t (*uvsmtp__pool_room_fn)(void *ctx, const uvsmtp__slot_t *slot);

typedef struct uvsmtp__pool_s {
  uvsmtp__pool_limits_t limits;
  uvsmtp__pool_room_fn room;
  void *ctx;
  uint64_t decision;                    /* its number: what slots say of their room holds for one */
  uvsmtp__endpoint_t *const *endpoints; /* the best first; borrowed */
  size_t endpoint_count;
  uvsmtp__link_t lists[UVSMTP__SLOT_STATES]; /* but for those that endpoints have */
  size_t counts[UVSMTP__SLOT_STATES];
  size_t count;    /* of all slots */
  size_t reserved; /* slots kept for borrowers */
  size_t stalled;  /* slots whose opening takes long */
  uvsmtp__heap_t timers;
  uvsmtp__bucket_t messages, recipients, connections;
  uvsmtp__backoff_t backoff;
  bool paced;     /* sends are, by a rate */
  bool limited;   /* what a slot takes or how long it lasts is */
  bool plain;     /* neither, and there is one endpoint */
  bool draining;  /* what is not needed any more goes */
  bool finishing; /* nothing is tried again */
  bool aborting;  /* everything but what is lent goes */
  /* Why the last step was none, and when to ask again even if nothing happens (UINT64_MAX: no
   * need). */
  uvsmtp_wait_t why;
  uint64_t why_until_ms, due_ms;
} uvsmtp__pool_t;

/* Who waits. `borrow_first`: the borrower at the head came before the send at the head. */
typedef struct uvsmtp__waiting_s {
  size_t sends, borrows;
  bool borrow_first;
  uint64_t recipients, bytes; /* of the send at the head */
} uvsmtp__waiting_t;

typedef enum uvsmtp__step_kind_e {
  UVSMTP__STEP_NONE,
  UVSMTP__STEP_OPEN,   /* open a connection to `endpoint`: uvsmtp__pool_add */
  UVSMTP__STEP_SEND,   /* the first send goes to `slot`: uvsmtp__pool_sent, uvsmtp__pool_again */
  UVSMTP__STEP_LEND,   /* the first borrower gets `slot`: uvsmtp__pool_lent */
  UVSMTP__STEP_CHECK,  /* say NOOP on `slot`: uvsmtp__pool_checking */
  UVSMTP__STEP_QUIT,   /* end `slot` politely: uvsmtp__pool_closing */
  UVSMTP__STEP_CLOSE,  /* end `slot` at once: uvsmtp__pool_closing */
  UVSMTP__STEP_GIVE_UP /* no endpoint can be used: tell all who wait, then uvsmtp__pool_gave_up */
} uvsmtp__step_kind_t;

typedef struct uvsmtp__step_s {
  uvsmtp__step_kind_t kind;
  uvsmtp__slot_t *slot;
  uvsmtp__endpoint_t *endpoint;
  size_t more; /* sends behind the first whose slots uvsmtp__pool_again says */
} uvsmtp__step_t;

/* `endpoints` in order of priority; `seed` for the jitter, any number. */
void uvsmtp__pool_init(uvsmtp__pool_t *pool, const uvsmtp__pool_limits_t *limits,
                       uvsmtp__endpoint_t *const *endpoints, size_t endpoint_count,
                       uvsmtp__pool_room_fn room, void *ctx, uint64_t seed, uint64_t now);

/*
 * The next thing to do; it changes nothing but the bookkeeping of what is full, reserved, or over
 * its time. If there is none, pool->why and pool->due_ms say more.
 */
uvsmtp__step_t uvsmtp__pool_next(uvsmtp__pool_t *pool, const uvsmtp__waiting_t *waiting,
                                 uint64_t now);

/*
 * Sends on the slot have ended: how many of those `waiting` go there together without a step?
 * Unless another is idle some do, for all that are busy are as good, and this one is still in the
 * processor's caches. Again until it is none.
 */
size_t uvsmtp__pool_goes_on(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, size_t waiting,
                            uint64_t now);

/* How a send on a connection ended, as far as the pool is concerned. */
typedef enum uvsmtp__ending_e {
  UVSMTP__ENDING_FINE,
  UVSMTP__ENDING_REFUSED, /* the server had it for nobody */
  UVSMTP__ENDING_SLOW,    /* and asked to slow down */
  UVSMTP__ENDING_DEAD,    /* the connection ended with it */
  UVSMTP__ENDING_CUT,     /* we ended the connection, for a send on it was cancelled */
  UVSMTP__ENDING_NONE     /* it was cancelled before it was begun: nothing was learned */
} uvsmtp__ending_t;

/* What happened. */
void uvsmtp__pool_add(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__endpoint_t *endpoint,
                      uint64_t now);
void uvsmtp__pool_opened(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
/* Opening failed with an error of that class; the slot is spent. */
void uvsmtp__pool_failed(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, int err, uint64_t now);
/* It is given up for another way of opening, which may be tried at once: no failure. */
void uvsmtp__pool_dropped(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/*
 * A send ended; those of one connection end in their order. True if this costs no try: its
 * connection was a parked one that turned out to be dead, or ended while the server was busy with
 * one before it.
 */
bool uvsmtp__pool_done(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__ending_t ending,
                       uint64_t now);
void uvsmtp__pool_lent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* `usable`: nothing is under way on it. */
void uvsmtp__pool_given_back(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool usable, uint64_t now);
void uvsmtp__pool_checking(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* NOOP was answered (`fine`), or not. */
void uvsmtp__pool_checked(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, bool fine, uint64_t now);
/* The connection ended by itself. */
void uvsmtp__pool_lost(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
void uvsmtp__pool_closing(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* Closed; the slot is the owner's again. */
void uvsmtp__pool_gone(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* Those who waited were told. Those who come later have their tries again, but after one delay. */
void uvsmtp__pool_gave_up(uvsmtp__pool_t *pool, uint64_t now);
/*
 * Others log in at `endpoint`: its sessions end as soon as nothing is under way on them, those that
 * open at once, and earlier failures do not hold back what is opened from now on.
 */
void uvsmtp__pool_renew(uvsmtp__pool_t *pool, uvsmtp__endpoint_t *endpoint);
/*
 * All sessions of `endpoint` but `keep` of them end as soon as nothing is under way on them:
 * others take over.
 */
void uvsmtp__pool_retire(uvsmtp__pool_t *pool, uvsmtp__endpoint_t *endpoint, size_t keep);

/* What the end of a send on a connection says about trying again. */
typedef struct uvsmtp__attempt_s {
  int err;  /* of the result */
  int code; /* the server's final reply, 0: none */
  uint16_t enhanced[3];
  unsigned tries; /* this one included */
  bool elsewhere; /* some of its recipients have no result for no fault of the message */
  bool refused;   /* nobody got it */
  bool doubtful;  /* some of it may have been delivered */
  bool cancelled;
  bool open; /* its connection still is */
} uvsmtp__attempt_t;

uvsmtp__ending_t uvsmtp__attempt_ending(const uvsmtp__attempt_t *attempt);
/* It failed because of the network or the session, not the message: once more. */
bool uvsmtp__attempt_again(const uvsmtp__attempt_t *attempt, unsigned max_tries);

/* Notes why it is going to end; the first reason counts. */
static inline void uvsmtp__slot_blame(uvsmtp__slot_t *slot, uvsmtp_retire_t cause)
{
  if (!slot->has_cause)
    slot->cause = cause;
  slot->has_cause = true;
}

/* ---- between the files of the policy ---- */

/* The first slot of a list, or NULL. */
static inline uvsmtp__slot_t *uvsmtp__pool_first(const uvsmtp__link_t *list)
{
  return uvsmtp__list_empty(list) ? NULL : UVSMTP__CONTAINER(list->next, uvsmtp__slot_t, link);
}
/* Puts a slot at the end of the list of that state, or at the front of the idle ones. */
void uvsmtp__pool_move(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uvsmtp__slot_state_t state);
/* It begins to open: if there are other endpoints, they shall not wait for it for ever. */
void uvsmtp__lifecycle_watch(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
/* It is open: how old it may become is settled. */
void uvsmtp__lifecycle_begin(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
/* If it has had its share of messages, bytes, refusals or time, it gets no more. */
void uvsmtp__lifecycle_judge(const uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);
/* It has become idle: sees to it that it is looked at in time. */
void uvsmtp__lifecycle_note(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
void uvsmtp__lifecycle_forget(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot);
/* When the first of them is looked at; UINT64_MAX: never. */
static inline uint64_t uvsmtp__lifecycle_due(const uvsmtp__pool_t *pool)
{
  uvsmtp__heap_node_t *first = pool->timers.root;
  return first != NULL ? UVSMTP__CONTAINER(first, uvsmtp__slot_t, timer)->due_ms : UINT64_MAX;
}
/* Marks what has expired as spent; returns an idle slot that is due for NOOP, or NULL. */
uvsmtp__slot_t *uvsmtp__lifecycle_expire(uvsmtp__pool_t *pool, uint64_t now);

/* To the end of the list of a state, or to the front of the idle ones: a stack, so that those not
 * needed stay untouched and expire. */
static inline void uvsmtp__slot_link(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot,
                                     uvsmtp__slot_state_t state)
{
  uvsmtp__endpoint_t *endpoint = slot->endpoint;
  if (state == UVSMTP__SLOT_IDLE)
    uvsmtp__list_push_front(&endpoint->idle, &slot->link);
  else
    uvsmtp__list_push_back(state == UVSMTP__SLOT_BUSY ? &endpoint->busy : &pool->lists[state],
                           &slot->link);
}
/* From one state of an open session to another, in which its endpoint's numbers stay. */
static inline void uvsmtp__slot_pass(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot,
                                     uvsmtp__slot_state_t state)
{
  uvsmtp__list_remove(&slot->link);
  pool->counts[slot->state]--;
  pool->counts[state]++;
  slot->state = state;
  uvsmtp__slot_link(pool, slot, state);
}
/* pool_again where it is not all plain. */
uvsmtp__slot_t *uvsmtp__pool_look_again(uvsmtp__pool_t *pool, uint64_t now);

/* ---- once for each send, or for a few ---- */

/* So many sends may go to a connection together. */
#define UVSMTP__RUN_MAX 32

/*
 * After STEP_SEND, up to `more` times: where the next send goes, or NULL, if that takes a step. The
 * same as a step would say, as long as nothing else has happened at this time, and much cheaper: a
 * long queue and connections that take many are the rule where speed matters.
 */
static inline uvsmtp__slot_t *uvsmtp__pool_again(uvsmtp__pool_t *pool, uint64_t now)
{
  const uvsmtp__endpoint_t *endpoint = pool->endpoints[0];
  uvsmtp__slot_t *slot = UVSMTP__CONTAINER(endpoint->busy.next, uvsmtp__slot_t, link);
  if (pool->plain && uvsmtp__list_empty(&endpoint->idle) && !uvsmtp__list_empty(&endpoint->busy) &&
      slot->asked == pool->decision && slot->room > 0)
    return slot;
  return uvsmtp__pool_look_again(pool, now);
}

/*
 * How many of the `waiting` may go to that slot together: 1, or where it is all plain about its
 * share of them. Where there are others the run is short, for those that came first shall not wait
 * behind one another.
 */
static inline size_t uvsmtp__pool_run(const uvsmtp__pool_t *pool, const uvsmtp__slot_t *slot,
                                      size_t waiting)
{
  size_t takers = pool->counts[UVSMTP__SLOT_IDLE] + pool->counts[UVSMTP__SLOT_BUSY];
  size_t run = waiting / takers;
  size_t most = takers == 1 ? UVSMTP__RUN_MAX : UVSMTP__RUN_MAX / 2;
  if (!pool->plain || run == 0)
    return 1;
  most = slot->room < most ? slot->room : most;
  return run < most ? run : most;
}

/* So many sends, of `recipients` and `bytes`, go to the slot that a step, or uvsmtp__pool_again,
 * has just named; more than one if uvsmtp__pool_run says so. */
void uvsmtp__pool_sent(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, size_t count,
                       uint64_t recipients, uint64_t bytes, uint64_t now);

/* The server has said something about a send or a loan. */
static inline void uvsmtp__slot_prove(uvsmtp__slot_t *slot)
{
  slot->delivered++;
  slot->unproven = false;
}

/* A send ended with success: true if that is all; or else uvsmtp__pool_delivered. */
static inline bool uvsmtp__slot_delivered(uvsmtp__slot_t *slot)
{
  slot->in_flight--;
  uvsmtp__slot_prove(slot);
  return slot->state == UVSMTP__SLOT_BUSY && slot->in_flight > 0 && slot->endpoint->well;
}

/* The rest: the endpoint is well, and the slot takes more, or is idle. */
void uvsmtp__pool_delivered(uvsmtp__pool_t *pool, uvsmtp__slot_t *slot, uint64_t now);

#endif
