#ifndef UVSMTP_TLS_CIPHERS_H
#define UVSMTP_TLS_CIPHERS_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/say.h"
#include "uvsmtp/base.h"

/* The suites that are offered by default, 0-terminated. */
extern const int uvsmtp__tls_default_suites[];

/*
 * Reads IANA's names with colons between them into a 0-terminated array. 0; UVSMTP_ETLSCONFIG
 * with a sentence for a name that mbedTLS does not know, UVSMTP_ENOMEM.
 */
int uvsmtp__tls_parse_suites(int **suites, const uvsmtp_mem_t *mem, const char *names,
                             uvsmtp__tls_say_t *say);

/* Writes IANA's name for mbedTLS's ("TLS1-3-AES-128-GCM-SHA256": "TLS_AES_128_GCM_SHA256"). */
void uvsmtp__tls_iana_name(char *out, size_t size, const char *name);

#endif
