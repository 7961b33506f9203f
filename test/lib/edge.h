#ifndef TEST_LIB_EDGE_H
#define TEST_LIB_EDGE_H

#include <stddef.h>

/*
 * Memory behind which nothing may be looked at, not even by instructions that no sanitizer knows:
 * what is put there ends where the next page cannot be read.
 */
typedef struct edge_s {
  char *base;
  size_t size; /* octets that there is room for */
} edge_t;

edge_t edge_new(void);
/* A copy of `len` octets, until the next one. */
char *edge_put(const edge_t *edge, const void *bytes, size_t len);
void edge_free(const edge_t *edge);

#endif
