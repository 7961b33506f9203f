#ifndef UVSMTP_MESSAGE_ARENA_H
#define UVSMTP_MESSAGE_ARENA_H

#include "uvsmtp/base.h"

/*
 * Memory that is given back all at once: the strings and nodes of a message, which all live as
 * long as it does.
 */
typedef struct uvsmtp__arena_s {
  const uvsmtp_mem_t *mem; /* borrowed */
  struct uvsmtp__arena_block_s *blocks;
} uvsmtp__arena_t;

void uvsmtp__arena_free(uvsmtp__arena_t *arena);
/* Zeroed memory, aligned for anything; NULL when there is none. */
void *uvsmtp__arena_alloc(uvsmtp__arena_t *arena, size_t size);
/* A copy with a NUL behind it. */
char *uvsmtp__arena_dup(uvsmtp__arena_t *arena, const void *bytes, size_t len);
char *uvsmtp__arena_strdup(uvsmtp__arena_t *arena, const char *s);

#endif
