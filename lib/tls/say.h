#ifndef UVSMTP_TLS_SAY_H
#define UVSMTP_TLS_SAY_H

#include <stddef.h>

/* A sentence of bounded length; what does not fit is left off. */
typedef struct uvsmtp__tls_say_s {
  size_t len;
  char text[1024];
} uvsmtp__tls_say_t;

/* Appends, as printf. */
void uvsmtp__tls_say(uvsmtp__tls_say_t *say, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends bytes of a peer: whatever is not printable ASCII becomes '?'. */
void uvsmtp__tls_say_bytes(uvsmtp__tls_say_t *say, const void *bytes, size_t len);

#endif
