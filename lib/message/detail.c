#include "message/detail.h"

#include <stdarg.h>
#include <stdio.h>

int uvsmtp__detail(char *detail, size_t size, int err, const char *format, ...)
{
  va_list args;
  if (detail == NULL || size == 0)
    return err;
  va_start(args, format);
  vsnprintf(detail, size, format, args);
  va_end(args);
  for (char *c = detail; *c != '\0'; c++)
    if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
      *c = '?';
  return err;
}
