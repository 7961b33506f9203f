#ifndef UVSMTP_BASE_MEM_H
#define UVSMTP_BASE_MEM_H

#include "uvsmtp/base.h"

/* malloc and free as a uvsmtp_mem_t; what a NULL allocator means. */
extern const uvsmtp_mem_t uvsmtp__mem_default;

/* `mem` itself, or the default where it is NULL. */
const uvsmtp_mem_t *uvsmtp__mem(const uvsmtp_mem_t *mem);

void *uvsmtp__malloc(const uvsmtp_mem_t *mem, size_t size);
void *uvsmtp__calloc(const uvsmtp_mem_t *mem, size_t count, size_t size);
/* An array of `count` times `size` bytes, or NULL where the product overflows. */
void *uvsmtp__realloc_array(const uvsmtp_mem_t *mem, void *p, size_t count, size_t size);
void uvsmtp__free(const uvsmtp_mem_t *mem, void *p);
/* A copy of `len` bytes with a NUL behind them; NULL in, NULL out. */
char *uvsmtp__memdup(const uvsmtp_mem_t *mem, const void *bytes, size_t len);
char *uvsmtp__strdup(const uvsmtp_mem_t *mem, const char *s);

#endif
