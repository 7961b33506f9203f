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
  if (uvsmtp__queue_due(p) + more > p->shared->options.max_outstanding)
    return UVSMTP_EQUEUEFULL;
  while (size < uvsmtp__queue_due(p) + more)
    size *= 2;
  ring = uvsmtp__realloc_array(&p->shared->mem, NULL, size, sizeof(*ring));
  if (ring == NULL)
    return UVSMTP_ENOMEM;
  for (uint32_t i = 0; i < q->count; i++)
    ring[i] = *uvsmtp__queue_at(p, i);
  uvsmtp__free(&p->shared->mem, q->ring);
  *q = (queue_t){.ring = ring,
                 .limit = size < p->shared->options.max_outstanding
                              ? size
                              : (uint32_t)p->shared->options.max_outstanding,
                 .size = size,
                 .count = q->count,
                 .ahead = q->ahead};
  return 0;
}

expectation_t *uvsmtp__queue_split(uvsmtp_protocol_t *p)
{
  expectation_t whole = *uvsmtp__queue_front(p), one = whole;
  uint8_t ahead = whole.ahead;
  uvsmtp__queue_pop(p);
  one.flags &= (uint8_t)~EXPECT_QUIET;
  one.ahead = 0;
  uvsmtp__queue_put_back(p, &one);
  for (uint8_t i = 0; i < ahead; i++) {
    whole.ahead = (uint8_t)(i + 1);
    one = (expectation_t){.tag = i == 0 ? whole.recipient : whole.tag,
                          .answerable = whole.answerable - whole.behind[i],
                          .command = (uint8_t)uvsmtp__awaited(&whole),
                          .flags = whole.flags};
    uvsmtp__queue_put_back(p, &one);
  }
  p->queue.ahead -= ahead;
  return uvsmtp__queue_front(p);
}
