#ifndef UVSMTP_TLS_RANDOM_H
#define UVSMTP_TLS_RANDOM_H

#include <stddef.h>

/*
 * Random bytes straight from the operating system: nothing to seed, nothing shared between
 * threads, right after fork. The few calls of a handshake cost less than seeding a generator for
 * each engine would; records draw none, since their nonces count.
 */

/* 0, or UVSMTP_ETLS where the system has none. Any thread. */
int uvsmtp__tls_random(void *out, size_t len);
/* The same as mbedTLS wants it. */
int uvsmtp__tls_rng(void *unused, unsigned char *out, size_t len);

#endif
