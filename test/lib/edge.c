#include "edge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

edge_t edge_new(void)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  edge_t edge = {.size = page};
  void *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    abort();
  edge.base = base;
  if (mprotect(edge.base + page, page, PROT_NONE) != 0)
    abort();
  return edge;
}

char *edge_put(const edge_t *edge, const void *bytes, size_t len)
{
  if (len > edge->size)
    abort();
  return memcpy(edge->base + edge->size - len, bytes, len);
}

void edge_free(const edge_t *edge)
{
  munmap(edge->base, 2 * edge->size);
}
