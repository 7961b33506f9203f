#ifndef UVSMTP_BASE_HEAP_H
#define UVSMTP_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A pairing heap whose nodes lie inside the elements: no allocation; the first in O(1), adding in
 * O(1), removing any in O(log n) on average. A node that is in no heap is all zero.
 */
typedef struct uvsmtp__heap_node_s {
  struct uvsmtp__heap_node_s *child, *next;
  struct uvsmtp__heap_node_s *back; /* the one before among its siblings, or the parent; the root's
                                       is itself */
} uvsmtp__heap_node_t;

typedef bool (*uvsmtp__heap_before_fn)(const uvsmtp__heap_node_t *a, const uvsmtp__heap_node_t *b);

typedef struct uvsmtp__heap_s {
  uvsmtp__heap_node_t *root; /* the first, or NULL */
  uvsmtp__heap_before_fn before;
} uvsmtp__heap_t;

static inline bool uvsmtp__heap_has(const uvsmtp__heap_node_t *node)
{
  return node->back != NULL;
}

void uvsmtp__heap_add(uvsmtp__heap_t *heap, uvsmtp__heap_node_t *node);
void uvsmtp__heap_remove(uvsmtp__heap_t *heap, uvsmtp__heap_node_t *node);

#endif
