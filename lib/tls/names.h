#ifndef UVSMTP_TLS_NAMES_H
#define UVSMTP_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/x509_crt.h>

#include "tls/say.h"
#include "uvsmtp/base.h"

/* A name that a certificate is wanted for: a host name, or the bytes of an IP address. */
typedef struct uvsmtp__tls_name_s {
  const char *text; /* as in the engine */
  uint8_t ip[16];   /* network order */
  size_t ip_len;    /* 4, 16, or 0 for a host name */
} uvsmtp__tls_name_t;

/* Copies a name without its final dot; 0; UVSMTP_EINVAL for what is neither a host name nor an IP
 * address, UVSMTP_ENOMEM. */
int uvsmtp__tls_name_copy(char **copy, const uvsmtp_mem_t *mem, const char *text);
/* Reads such a copy. */
uvsmtp__tls_name_t uvsmtp__tls_name_read(const char *text);

/* One name of a certificate ("*.example.org") covers a host name, by RFC 6125 section 6.4. */
bool uvsmtp__tls_dns_name_covers(const char *presented, size_t presented_len, const char *wanted);
/* A certificate is for `name`. */
bool uvsmtp__tls_name_matches(const uvsmtp__tls_name_t *name, const mbedtls_x509_crt *crt);
/* constraints.c: `issuer`, or whom it has issued a certificate for, may vouch for `name`. */
bool uvsmtp__tls_name_permitted(const uvsmtp__tls_name_t *name, const mbedtls_x509_crt *issuer);
/* Appends a certificate's names, "a.example, 192.0.2.1"; the common name where there are none. */
void uvsmtp__tls_say_names(uvsmtp__tls_say_t *say, const mbedtls_x509_crt *crt);

#endif
