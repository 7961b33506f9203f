#include "tls/say.h"

#include <stdarg.h>
#include <stdio.h>

void uvsmtp__tls_say(uvsmtp__tls_say_t *say, const char *format, ...)
{
  size_t room = sizeof(say->text) - say->len;
  va_list args;
  int len;
  va_start(args, format);
  len = vsnprintf(say->text + say->len, room, format, args);
  va_end(args);
  if (len > 0)
    say->len += (size_t)len < room ? (size_t)len : room - 1;
}

void uvsmtp__tls_say_bytes(uvsmtp__tls_say_t *say, const void *bytes, size_t len)
{
  const unsigned char *at = bytes;
  for (size_t i = 0; i < len && say->len + 1 < sizeof(say->text); i++)
    say->text[say->len++] = at[i] >= 0x20 && at[i] < 0x7f ? (char)at[i] : '?';
  say->text[say->len] = '\0';
}
