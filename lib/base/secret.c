#include "base/secret.h"

#include <string.h>

#include "base/mem.h"

void uvsmtp__wipe(void *p, size_t len)
{
  /* A call through a volatile pointer may do anything, so the compiler has to make it. */
  static void *(*const volatile set)(void *, int, size_t) = memset;
  if (len != 0)
    set(p, 0, len);
}

void uvsmtp__free_secret(const uvsmtp_mem_t *mem, char *s)
{
  if (s != NULL)
    uvsmtp__wipe(s, strlen(s));
  uvsmtp__free(mem, s);
}

bool uvsmtp__secret_equal(const void *a, const void *b, size_t len)
{
  const volatile unsigned char *x = a, *y = b;
  unsigned char differ = 0;
  for (size_t i = 0; i < len; i++)
    differ |= (unsigned char)(x[i] ^ y[i]);
  return differ == 0;
}
