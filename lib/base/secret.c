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

/* So much is looked for; what follows goes with it. */
#define TELLTALE 8

bool uvsmtp__blank_secret(const char *secret, char *line, size_t len)
{
  size_t whole = strlen(secret), telltale = whole < TELLTALE ? whole : TELLTALE;
  bool found = false;
  char *at;
  while (whole > 1 && (at = memmem(line, len, secret, telltale)) != NULL) {
    size_t left = len - (size_t)(at - line), same = telltale;
    while (same < whole && same < left && at[same] == secret[same])
      same++;
    memset(at, '*', same);
    len = left - same;
    line = at + same;
    found = true;
  }
  return found;
}
