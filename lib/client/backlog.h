#ifndef UVSMTP_CLIENT_BACKLOG_H
#define UVSMTP_CLIENT_BACKLOG_H

#include "base/list.h"
#include "client/heap.h"
#include "uvsmtp/client.h"

/*
 * The sends that wait. Each priority has a line of its own, first come, first served; the lines
 * take turns in the ratio of their weights, so that the lowest is served too, however many come
 * with a higher one. A send that comes back from a connection stands before all of its line that
 * came after it. Sends with a deadline are in a heap besides.
 *
 * All of it lies in the sends themselves. Adding and taking cost the same however many wait; coming
 * back and deadlines cost their logarithm.
 */
typedef struct uvsmtp__line_s {
  uvsmtp__link_t fresh; /* never on a connection yet, in their order */
  uvsmtp__heap_t again; /* those that came back, by ticket: all are older than those above */
  size_t count;
  uint64_t pass; /* how far it has come: the one that is least far is next */
} uvsmtp__line_t;

typedef struct uvsmtp__backlog_s {
  uvsmtp__line_t lines[UVSMTP_PRIORITY_LOW + 1]; /* by uvsmtp_priority_t */
  uvsmtp__heap_t deadlines;
  size_t count;
  uint64_t pass;  /* where the line was that was served last */
  uint64_t bytes; /* of messages whose size is known */
} uvsmtp__backlog_t;

void uvsmtp__backlog_init(uvsmtp__backlog_t *queue);
void uvsmtp__backlog_push(uvsmtp__backlog_t *queue, uvsmtp_send_t *send);
void uvsmtp__backlog_remove(uvsmtp__backlog_t *queue, uvsmtp_send_t *send);
/* The one that is next, or NULL. */
uvsmtp_send_t *uvsmtp__backlog_first(const uvsmtp__backlog_t *queue);
/* Takes it; there has to be one. */
uvsmtp_send_t *uvsmtp__backlog_take(uvsmtp__backlog_t *queue);
/* One whose deadline has passed, or NULL. */
uvsmtp_send_t *uvsmtp__backlog_late(const uvsmtp__backlog_t *queue, uint64_t now);
/* When the next deadline passes; UINT64_MAX: no send has one. */
uint64_t uvsmtp__backlog_due(const uvsmtp__backlog_t *queue);

#endif
