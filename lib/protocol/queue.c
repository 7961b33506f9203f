/* The commands that wait for replies, in the order in which they were issued. */
#include <string.h>

#include "base/mem.h"
#include "protocol/machine.h"

#define FIRST_SIZE 8

int uvsmtp__queue_reserve(uvsmtp_protocol_t *p, unsigned more)
{
  queue_t *q = &p->queue;
  uint32_t size = q->size != 0 ? q->size : FIRST_SIZE;
  expectation_t *ring;
  if (q->count + more > p->options.max_outstanding)
    return UVSMTP_EQUEUEFULL;
  if (q->count + more <= q->size)
    return 0;
  while (size < q->count + more)
    size *= 2;
  ring = uvsmtp__realloc_array(p->mem, NULL, size, sizeof(*ring));
  if (ring == NULL)
    return UVSMTP_ENOMEM;
  for (uint32_t i = 0; i < q->count; i++)
    ring[i] = *uvsmtp__queue_at(p, i);
  uvsmtp__free(p->mem, q->ring);
  *q = (queue_t){.ring = ring, .size = size, .count = q->count};
  return 0;
}

void uvsmtp__queue_push(uvsmtp_protocol_t *p, uvsmtp_command_t command, void *tag, uint8_t flags)
{
  queue_t *q = &p->queue;
  expectation_t *e = &q->ring[(q->head + q->count++) & (q->size - 1)];
  *e = (expectation_t){
      .tag = tag, .answerable = p->out.issued, .command = (uint8_t)command, .flags = flags};
}

expectation_t *uvsmtp__queue_at(uvsmtp_protocol_t *p, uint32_t i)
{
  return &p->queue.ring[(p->queue.head + i) & (p->queue.size - 1)];
}

expectation_t *uvsmtp__queue_front(uvsmtp_protocol_t *p)
{
  return p->queue.count > 0 ? uvsmtp__queue_at(p, 0) : NULL;
}

void uvsmtp__queue_pop(uvsmtp_protocol_t *p)
{
  p->queue.head = (p->queue.head + 1) & (p->queue.size - 1);
  p->queue.count--;
}

void uvsmtp__queue_put_back(uvsmtp_protocol_t *p, const expectation_t *e)
{
  p->queue.head = (p->queue.head - 1) & (p->queue.size - 1);
  p->queue.count++;
  *uvsmtp__queue_at(p, 0) = *e;
}
