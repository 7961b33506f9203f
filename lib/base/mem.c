#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *default_malloc(void *ctx, size_t size)
{
  (void)ctx;
  return malloc(size);
}

static void *default_realloc(void *ctx, void *p, size_t size)
{
  (void)ctx;
  return realloc(p, size);
}

static void default_free(void *ctx, void *p)
{
  (void)ctx;
  free(p);
}

const uvsmtp_mem_t uvsmtp__mem_default = {NULL, default_malloc, default_realloc, default_free};

const uvsmtp_mem_t *uvsmtp__mem(const uvsmtp_mem_t *mem)
{
  return mem != NULL ? mem : &uvsmtp__mem_default;
}

void *uvsmtp__malloc(const uvsmtp_mem_t *mem, size_t size)
{
  mem = uvsmtp__mem(mem);
  return mem->malloc(mem->ctx, size);
}

void *uvsmtp__calloc(const uvsmtp_mem_t *mem, size_t count, size_t size)
{
  void *p = uvsmtp__realloc_array(mem, NULL, count, size);
  if (p != NULL)
    memset(p, 0, count * size);
  return p;
}

void *uvsmtp__realloc_array(const uvsmtp_mem_t *mem, void *p, size_t count, size_t size)
{
  mem = uvsmtp__mem(mem);
  if (size != 0 && count > SIZE_MAX / size)
    return NULL;
  return mem->realloc(mem->ctx, p, count * size);
}

void uvsmtp__free(const uvsmtp_mem_t *mem, void *p)
{
  mem = uvsmtp__mem(mem);
  mem->free(mem->ctx, p);
}

char *uvsmtp__memdup(const uvsmtp_mem_t *mem, const void *bytes, size_t len)
{
  char *copy;
  if (bytes == NULL || len == SIZE_MAX)
    return NULL;
  copy = uvsmtp__malloc(mem, len + 1);
  if (copy != NULL) {
    memcpy(copy, bytes, len);
    copy[len] = '\0';
  }
  return copy;
}

char *uvsmtp__strdup(const uvsmtp_mem_t *mem, const char *s)
{
  return s == NULL ? NULL : uvsmtp__memdup(mem, s, strlen(s));
}
