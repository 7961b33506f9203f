#include "message/arena.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_SIZE 2000

typedef struct uvsmtp__arena_block_s {
  struct uvsmtp__arena_block_s *next;
  size_t used, size;
  max_align_t bytes[];
} block_t;

void uvsmtp__arena_free(uvsmtp__arena_t *arena)
{
  block_t *block = arena->blocks;
  while (block != NULL) {
    block_t *next = block->next;
    uvsmtp__free(arena->mem, block);
    block = next;
  }
  arena->blocks = NULL;
}

void *uvsmtp__arena_alloc(uvsmtp__arena_t *arena, size_t size)
{
  const size_t align = sizeof(max_align_t);
  block_t *block = arena->blocks;
  char *p;
  if (size > SIZE_MAX - BLOCK_SIZE)
    return NULL;
  size = (size + align - 1) / align * align;
  if (block == NULL || size > block->size - block->used) {
    size_t room = size > BLOCK_SIZE / 4 ? size : BLOCK_SIZE / align * align;
    block = uvsmtp__malloc(arena->mem, sizeof(*block) + room);
    if (block == NULL)
      return NULL;
    *block = (block_t){.size = room};
    if (room == size && arena->blocks != NULL) { /* a large one leaves the open block in front */
      block->next = arena->blocks->next;
      arena->blocks->next = block;
    } else {
      block->next = arena->blocks;
      arena->blocks = block;
    }
  }
  p = (char *)block->bytes + block->used;
  block->used += size;
  return memset(p, 0, size);
}

char *uvsmtp__arena_dup(uvsmtp__arena_t *arena, const void *bytes, size_t len)
{
  char *copy = len != SIZE_MAX ? uvsmtp__arena_alloc(arena, len + 1) : NULL;
  if (copy != NULL && len > 0)
    memcpy(copy, bytes, len);
  return copy;
}

char *uvsmtp__arena_strdup(uvsmtp__arena_t *arena, const char *s)
{
  return uvsmtp__arena_dup(arena, s, strlen(s));
}
