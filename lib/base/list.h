#ifndef UVSMTP_BASE_LIST_H
#define UVSMTP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A doubly linked list whose links lie inside the elements: no allocation, removal in O(1).
 * The head is a link of its own; an element that is in no list links to itself or holds NULLs.
 */
typedef struct uvsmtp__link_s {
  struct uvsmtp__link_s *prev, *next;
} uvsmtp__link_t;

static inline void uvsmtp__list_init(uvsmtp__link_t *head)
{
  head->prev = head->next = head;
}

static inline bool uvsmtp__list_empty(const uvsmtp__link_t *head)
{
  return head->next == head;
}

static inline bool uvsmtp__link_in_list(const uvsmtp__link_t *link)
{
  return link->next != NULL && link->next != link;
}

static inline void uvsmtp__list_insert_before(uvsmtp__link_t *at, uvsmtp__link_t *link)
{
  link->prev = at->prev;
  link->next = at;
  at->prev->next = link;
  at->prev = link;
}

static inline void uvsmtp__list_push_back(uvsmtp__link_t *head, uvsmtp__link_t *link)
{
  uvsmtp__list_insert_before(head, link);
}

static inline void uvsmtp__list_push_front(uvsmtp__link_t *head, uvsmtp__link_t *link)
{
  uvsmtp__list_insert_before(head->next, link);
}

static inline void uvsmtp__list_remove(uvsmtp__link_t *link)
{
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->prev = link->next = NULL;
}

/* Takes the first one out, whose links are not set any more; there has to be one. */
static inline uvsmtp__link_t *uvsmtp__list_shift(uvsmtp__link_t *head)
{
  uvsmtp__link_t *first = head->next;
  head->next = first->next;
  first->next->prev = head;
  return first;
}

/* Moves all elements of `from` into the empty list `to`. */
static inline void uvsmtp__list_move(uvsmtp__link_t *to, uvsmtp__link_t *from)
{
  uvsmtp__list_init(to);
  if (uvsmtp__list_empty(from))
    return;
  *to = *from;
  to->next->prev = to->prev->next = to;
  uvsmtp__list_init(from);
}

#define UVSMTP__CONTAINER(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))
/* Walks a list; the body may remove the current element. */
#define UVSMTP__LIST_EACH(it, head)                                                                \
  for (uvsmtp__link_t *it = (head)->next, *it##_next = it->next; it != (head);                     \
       it = it##_next, it##_next = it->next)

#endif
