#ifndef UVSMTP_CLIENT_BACKLOG_H
#define UVSMTP_CLIENT_BACKLOG_H

#include "base/heap.h"
#include "base/list.h"
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
  uint64_t pass;   /* how far it has come: the one that is least far is next */
  uint64_t stride; /* how far a turn takes it */
} uvsmtp__line_t;

typedef struct uvsmtp__backlog_s {
  uvsmtp__line_t lines[UVSMTP_PRIORITY_LOW + 1]; /* by uvsmtp_priority_t */
  uvsmtp__heap_t deadlines;
  size_t count;
  uint64_t pass;  /* where the line was that was served last */
  uint64_t bytes; /* of messages whose size is known */
} uvsmtp__backlog_t;

static inline uvsmtp__link_t *uvsmtp__send_link(uvsmtp_send_t *send)
{
  return (uvsmtp__link_t *)(void *)send->links;
}

static inline uvsmtp_send_t *uvsmtp__send_of(uvsmtp__link_t *link)
{
  return UVSMTP__CONTAINER((void *)link, uvsmtp_send_t, links);
}

static inline uvsmtp__heap_node_t *uvsmtp__send_timer(uvsmtp_send_t *send)
{
  return (uvsmtp__heap_node_t *)(void *)send->client_timer;
}

void uvsmtp__backlog_init(uvsmtp__backlog_t *queue);
void uvsmtp__backlog_remove(uvsmtp__backlog_t *queue, uvsmtp_send_t *send);
/* The one that is next, or NULL. */
uvsmtp_send_t *uvsmtp__backlog_first(const uvsmtp__backlog_t *queue);
/* Takes the one that is next; there has to be one. */
uvsmtp_send_t *uvsmtp__backlog_take(uvsmtp__backlog_t *queue);
/* The same for `count`, of which there have to be so many. */
void uvsmtp__backlog_take_run(uvsmtp__backlog_t *queue, uvsmtp_send_t **sends, size_t count);
/* One whose deadline has passed, or NULL. */
uvsmtp_send_t *uvsmtp__backlog_late(const uvsmtp__backlog_t *queue, uint64_t now);

/* When the next deadline passes; UINT64_MAX: no send has one. */
static inline uint64_t uvsmtp__backlog_due(const uvsmtp__backlog_t *queue)
{
  const uvsmtp__heap_node_t *first = queue->deadlines.root;
  return first == NULL ? UINT64_MAX
                       : UVSMTP__CONTAINER((void *)(uintptr_t)first, uvsmtp_send_t, client_timer)
                             ->client_deadline_ms;
}

/* One more is in a line. Who was away saves nothing up, and still owes what it had. */
static inline void uvsmtp__backlog_joined(uvsmtp__backlog_t *queue, uvsmtp__line_t *line)
{
  if (line->count++ == 0 && line->pass < queue->pass)
    line->pass = queue->pass;
  queue->count++;
}

/* The same as push for one of normal priority that is new, and has neither a size nor a deadline.
 */
static inline void uvsmtp__backlog_append(uvsmtp__backlog_t *queue, uvsmtp_send_t *send)
{
  uvsmtp__line_t *line = &queue->lines[UVSMTP_PRIORITY_NORMAL];
  uvsmtp__list_push_back(&line->fresh, uvsmtp__send_link(send));
  uvsmtp__backlog_joined(queue, line);
}

static inline void uvsmtp__backlog_push(uvsmtp__backlog_t *queue, uvsmtp_send_t *send)
{
  uvsmtp__line_t *line = &queue->lines[send->client_priority];
  if (send->client_again)
    uvsmtp__heap_add(&line->again, (uvsmtp__heap_node_t *)(void *)send->links);
  else
    uvsmtp__list_push_back(&line->fresh, uvsmtp__send_link(send));
  if (send->client_deadline_ms != UINT64_MAX)
    uvsmtp__heap_add(&queue->deadlines, uvsmtp__send_timer(send));
  uvsmtp__backlog_joined(queue, line);
  queue->bytes += send->client_bytes;
}

#endif
