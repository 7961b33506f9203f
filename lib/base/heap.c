#include "base/heap.h"

/* Makes the later of two trees the first child of the earlier one. */
static uvsmtp__heap_node_t *meld(const uvsmtp__heap_t *heap, uvsmtp__heap_node_t *a,
                                 uvsmtp__heap_node_t *b)
{
  if (heap->before(b, a)) {
    uvsmtp__heap_node_t *other = a;
    a = b;
    b = other;
  }
  b->next = a->child;
  b->back = a;
  if (a->child != NULL)
    a->child->back = b;
  a->child = b;
  a->next = NULL;
  return a;
}

/* Melds siblings two and two from the front, then all of these from the back: without recursion,
 * since there may be a million of them. */
static uvsmtp__heap_node_t *meld_siblings(const uvsmtp__heap_t *heap, uvsmtp__heap_node_t *first)
{
  uvsmtp__heap_node_t *pairs = NULL, *all = NULL;
  while (first != NULL) {
    uvsmtp__heap_node_t *second = first->next, *rest = second != NULL ? second->next : NULL;
    first->next = NULL;
    if (second != NULL) {
      second->next = NULL;
      first = meld(heap, first, second);
    }
    first->next = pairs;
    pairs = first;
    first = rest;
  }
  while (pairs != NULL) {
    uvsmtp__heap_node_t *rest = pairs->next;
    pairs->next = NULL;
    all = all == NULL ? pairs : meld(heap, all, pairs);
    pairs = rest;
  }
  return all;
}

static void set_root(uvsmtp__heap_t *heap, uvsmtp__heap_node_t *root)
{
  heap->root = root;
  if (root != NULL)
    root->back = root;
}

void uvsmtp__heap_add(uvsmtp__heap_t *heap, uvsmtp__heap_node_t *node)
{
  node->child = node->next = NULL;
  set_root(heap, heap->root == NULL ? node : meld(heap, heap->root, node));
}

/* Takes a node that is not the root out of its siblings. */
static void cut(uvsmtp__heap_node_t *node)
{
  if (node->back->child == node)
    node->back->child = node->next;
  else
    node->back->next = node->next;
  if (node->next != NULL)
    node->next->back = node->back;
  node->next = NULL;
}

void uvsmtp__heap_remove(uvsmtp__heap_t *heap, uvsmtp__heap_node_t *node)
{
  uvsmtp__heap_node_t *below = meld_siblings(heap, node->child);
  if (node == heap->root) {
    set_root(heap, below);
  } else {
    cut(node);
    if (below != NULL)
      set_root(heap, meld(heap, heap->root, below));
  }
  node->child = node->next = node->back = NULL;
}
