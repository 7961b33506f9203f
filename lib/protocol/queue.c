/* The commands that wait for replies, in the order in which they were issued. */
#include <string.h>

#include "base/mem.h"
#include "protocol/machine.h"

#define FIRST_SIZE 8

int uvsmtp__queue_grow(uvsmtp_protocol_t *p, unsigned more)
{
  queue_t *q = &p->queue;
  uint32_t size = q->size != 0 ? q->size : FIRST_SIZE;
  expectation_t *ring;
  if (q->count + more > p->options.max_outstanding)
    return UVSMTP_EQUEUEFULL;
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
