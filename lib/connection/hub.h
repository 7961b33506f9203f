#ifndef UVSMTP_CONNECTION_HUB_H
#define UVSMTP_CONNECTION_HUB_H

/*
 * What the connections of one loop share.
 *
 * - Buffers to read into: they read one after the other, and what was read is used up before the
 *   next of them reads.
 * - One timer. Each connection that waits for something stands in a heap with a time that is not
 *   after its deadline. A deadline that moves away is not noted: the connection is woken too early,
 *   looks, and says anew when. So nothing is armed per message.
 * - Whose turn it is: a list of connections that have something to do from the loop, which an idle
 *   handle runs once a turn, after what was read and before the loop looks for more. Who is due
 *   again meanwhile waits for the next turn.
 *
 * The handles are in the loop from the first connection that opens until the last has left, and
 * active only while something is due or waited for. The last one to leave waits until they are
 * closed.
 */
#include <uv.h>

#include "base/heap.h"
#include "uvsmtp/connection.h"

#define UVSMTP__READ_SIZE ((size_t)64 * 1024)
#define UVSMTP__PLAIN_SIZE ((size_t)16 * 1024)

/* A connection's part in it. */
typedef struct uvsmtp__place_s {
  uvsmtp__heap_node_t timer; /* in hub->deadlines while `wake_at` is a time */
  uint64_t wake_at;          /* UINT64_MAX: it waits for nothing */
  uvsmtp_connection_t *next; /* behind it among those that are due; c->due: it is one of them */
} uvsmtp__place_t;

typedef struct uvsmtp__hub_s uvsmtp__hub_t;
struct uvsmtp__hub_s {
  uv_loop_t *loop;
  uvsmtp__hub_t *other; /* of another loop */
  size_t users;
  uv_timer_t timer;
  uv_idle_t turn;
  unsigned handles; /* of these two, those that are in the loop */
  uint64_t armed;   /* when the timer will fire, or need not be armed before */
  uvsmtp__heap_t deadlines;
  uvsmtp_connection_t *due, **due_end; /* oldest first */
  uvsmtp_connection_t *last;           /* to leave: the handles are being closed */
  uint64_t steps_at;                   /* handshake.c: of the loop's clock; in that turn, */
  unsigned steps;                      /* so many steps of handshakes were taken */
  char read[UVSMTP__READ_SIZE];
  char plain[UVSMTP__PLAIN_SIZE];
};

/* That of the loop, one user more; NULL: out of memory. */
uvsmtp__hub_t *uvsmtp__hub_acquire(uv_loop_t *loop);
/* Undoes that for a connection that has not joined. */
void uvsmtp__hub_release(uvsmtp__hub_t *hub);

/* The connection opens: from now on it can be woken, and holds HOLD_HUB. */
void uvsmtp__hub_join(uvsmtp_connection_t *c);
/* Its last turn, in uvsmtp__timer_run: drops the hold, perhaps when the handles have closed. */
void uvsmtp__hub_leave(uvsmtp_connection_t *c);

/* Wakes the connection in the next turn of the loop; or not after `at`. */
void uvsmtp__hub_due(uvsmtp_connection_t *c);
void uvsmtp__hub_wake_at(uvsmtp_connection_t *c, uint64_t at);
/* It waits for nothing any more. */
void uvsmtp__hub_forget(uvsmtp_connection_t *c);

#endif
