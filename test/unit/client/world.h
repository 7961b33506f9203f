#ifndef UVSMTP_TEST_WORLD_H
#define UVSMTP_TEST_WORLD_H

/*
 * The policy against a world of numbers: slots in an array, room in an array, the time in a
 * variable. Most tests are tables of what happens and of what is to be done then.
 *
 * Events: "+N" N sends come, "bN" N borrowers come first, "BN" behind the sends, "ON" slot N has
 * opened, "FN" failed to (network), "XN" (certificate), "DN" a send on it is done, "MN" done
 * but for nobody, "SN" done with a wish to slow down, "KN" done with the connection dead, "LN"
 * lost, "GN" given back, "UN" given back unusable, "NN" NOOP was answered, "EN" closed, "TN" N ms
 * later, "R0" drain, "I0" others log in: renew.
 *
 * Steps: "oN" a connection is opened in slot N (and, if there are several endpoints, the letter of
 * the one to which), "sN" the first send goes to it, "lN" it is lent, "nN" NOOP, "qN" QUIT, "cN"
 * closed, "g" all who wait are told that it is in vain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <uv.h>

#include "client/pool.h"

#define SLOTS 64
#define ENDPOINTS 4

typedef struct world_s {
  uvsmtp__pool_t pool;
  uvsmtp__endpoint_t endpoints[ENDPOINTS], *table[ENDPOINTS];
  uvsmtp__slot_t slots[SLOTS];
  size_t room[SLOTS]; /* sends that it takes at a time */
  bool used[SLOTS];
  uvsmtp__waiting_t waiting;
  uint64_t now;
  bool one_by_one; /* a decision for each send, where one may do for several */
  size_t more;     /* sends that the last decision was for besides */
} world_t;

typedef struct row_s {
  const char *events, *steps;
} row_t;

/* Three connections at most, three tries, idle for 100 ms, and delays of 1 to 60 s. */
uvsmtp__pool_limits_t world_limits(void);
/* `ranks`: a digit for the priority of each endpoint, the best first. */
void world_start_with(world_t *w, const uvsmtp__pool_limits_t *limits, const char *ranks);
void world_start(world_t *w, const uvsmtp__pool_limits_t *limits);
/* Does the next step and says its letter, '-' if there is none, and the slot. */
char world_step(world_t *w, size_t *slot);
void world_happen(world_t *w, char kind, unsigned n);
/* Sends on the slot have ended: how many it gets without a step. */
size_t world_go_on(world_t *w, size_t slot);
void world_play(world_t *w, const row_t *rows, size_t count);
#define PLAY(w, rows) world_play(w, rows, sizeof(rows) / sizeof((rows)[0]))

#endif
