#include "client/backlog.h"

#include <assert.h>
#include <string.h>

#define PRIORITIES (UVSMTP_PRIORITY_LOW + 1)

/* The strides of the lines, so that they get 16, 4 and 1 of 21 turns; and the order in which they
 * are looked at. */
static const uint64_t strides[PRIORITIES] = {
    [UVSMTP_PRIORITY_HIGH] = 1, [UVSMTP_PRIORITY_NORMAL] = 4, [UVSMTP_PRIORITY_LOW] = 16};
static const uvsmtp_priority_t order[PRIORITIES] = {UVSMTP_PRIORITY_HIGH, UVSMTP_PRIORITY_NORMAL,
                                                    UVSMTP_PRIORITY_LOW};

_Static_assert(sizeof(uvsmtp__link_t) <= sizeof(((uvsmtp_send_t *)0)->links) &&
                   sizeof(uvsmtp__heap_node_t) <= sizeof(((uvsmtp_send_t *)0)->links),
               "links hold a link of a list, or a node of a heap");
_Static_assert(sizeof(uvsmtp__heap_node_t) <= sizeof(((uvsmtp_send_t *)0)->client_timer),
               "client_timer holds a node of a heap");

static uvsmtp__heap_node_t *again_of(uvsmtp_send_t *send)
{
  return (uvsmtp__heap_node_t *)(void *)send->links;
}

static uvsmtp_send_t *of_links(const void *links)
{
  return UVSMTP__CONTAINER((void *)(uintptr_t)links, uvsmtp_send_t, links);
}

static uvsmtp_send_t *of_timer(const void *timer)
{
  return UVSMTP__CONTAINER((void *)(uintptr_t)timer, uvsmtp_send_t, client_timer);
}

static bool came_before(const uvsmtp__heap_node_t *a, const uvsmtp__heap_node_t *b)
{
  return of_links(a)->client_ticket < of_links(b)->client_ticket;
}

static bool ends_before(const uvsmtp__heap_node_t *a, const uvsmtp__heap_node_t *b)
{
  return of_timer(a)->client_deadline_ms < of_timer(b)->client_deadline_ms;
}

void uvsmtp__backlog_init(uvsmtp__backlog_t *queue)
{
  memset(queue, 0, sizeof(*queue));
  queue->deadlines.before = ends_before;
  for (int i = 0; i < PRIORITIES; i++) {
    uvsmtp__list_init(&queue->lines[i].fresh);
    queue->lines[i].again.before = came_before;
    queue->lines[i].stride = strides[i];
  }
}

/* So many of a line have left it. */
static void note_left(uvsmtp__backlog_t *queue, uvsmtp__line_t *line, size_t count, uint64_t bytes)
{
  line->count -= count;
  queue->count -= count;
  queue->bytes -= bytes;
}

void uvsmtp__backlog_remove(uvsmtp__backlog_t *queue, uvsmtp_send_t *send)
{
  uvsmtp__line_t *line = &queue->lines[send->client_priority];
  if (send->client_again)
    uvsmtp__heap_remove(&line->again, again_of(send));
  else
    uvsmtp__list_remove(uvsmtp__send_link(send));
  if (send->client_deadline_ms != UINT64_MAX)
    uvsmtp__heap_remove(&queue->deadlines, uvsmtp__send_timer(send));
  note_left(queue, line, 1, send->client_bytes);
}

/* Whose turn it is: the line that is least far, at a tie the one of higher priority. */
static uvsmtp__line_t *line_in_turn(const uvsmtp__backlog_t *queue)
{
  const uvsmtp__line_t *best = NULL;
  for (int i = 0; i < PRIORITIES; i++) {
    const uvsmtp__line_t *line = &queue->lines[order[i]];
    if (line->count > 0 && (best == NULL || line->pass < best->pass))
      best = line;
  }
  return (uvsmtp__line_t *)(uintptr_t)best;
}

static uvsmtp_send_t *first_of(const uvsmtp__line_t *line)
{
  return of_links(line->again.root != NULL ? (void *)line->again.root : (void *)line->fresh.next);
}

uvsmtp_send_t *uvsmtp__backlog_first(const uvsmtp__backlog_t *queue)
{
  return queue->count == 0 ? NULL : first_of(line_in_turn(queue));
}

/* Its turns take it further. */
static void advance(uvsmtp__backlog_t *queue, uvsmtp__line_t *line, size_t turns)
{
  line->pass += turns * line->stride;
  queue->pass = line->pass - line->stride;
}

uvsmtp_send_t *uvsmtp__backlog_take(uvsmtp__backlog_t *queue)
{
  assert(queue->count > 0);
  uvsmtp__line_t *line = line_in_turn(queue);
  uvsmtp_send_t *send = first_of(line);
  advance(queue, line, 1);
  uvsmtp__backlog_remove(queue, send);
  return send;
}

/* Those at the head of a line of which none has come back or has a deadline: with one cut. */
static void cut(uvsmtp__backlog_t *queue, uvsmtp__line_t *line, uvsmtp_send_t **sends, size_t count)
{
  uvsmtp__link_t *link = line->fresh.next;
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++, link = link->next) {
    sends[i] = uvsmtp__send_of(link);
    bytes += sends[i]->client_bytes;
  }
  line->fresh.next = link;
  link->prev = &line->fresh;
  advance(queue, line, count);
  note_left(queue, line, count, bytes);
}

/* Apart, so that the usual way has to save nothing. */
static __attribute__((noinline)) void take_one_by_one(uvsmtp__backlog_t *queue,
                                                      uvsmtp_send_t **sends, size_t count)
{
  for (size_t i = 0; i < count; i++)
    sends[i] = uvsmtp__backlog_take(queue);
}

void uvsmtp__backlog_take_run(uvsmtp__backlog_t *queue, uvsmtp_send_t **sends, size_t count)
{
  assert(queue->count >= count && count > 0);
  uvsmtp__line_t *line = &queue->lines[UVSMTP_PRIORITY_NORMAL];
  if (line->count == queue->count && line->again.root == NULL && queue->deadlines.root == NULL)
    cut(queue, line, sends, count);
  else
    take_one_by_one(queue, sends, count);
}

uvsmtp_send_t *uvsmtp__backlog_late(const uvsmtp__backlog_t *queue, uint64_t now)
{
  return uvsmtp__backlog_due(queue) <= now ? of_timer(queue->deadlines.root) : NULL;
}
