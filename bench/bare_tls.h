#ifndef UVSMTP_BENCH_BARE_TLS_H
#define UVSMTP_BENCH_BARE_TLS_H

/*
 * The TLS of bench/bare: mbedTLS straight on a socket, with the suites and groups that uvsmtp
 * offers. What it cannot do faster, nobody who uses the same mbedTLS can.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct bare_tls_s bare_tls_t;

/* Shakes hands over a socket that blocks. `ca_file` NULL: whatever certificate. NULL: failed. */
bare_tls_t *bare_tls_open(int fd, const char *ca_file);
void bare_tls_free(bare_tls_t *tls);

/* As read and write, with errno: what was not written as EAGAIN has to be offered again. */
ssize_t bare_tls_read(bare_tls_t *tls, void *bytes, size_t size);
ssize_t bare_tls_write(bare_tls_t *tls, const void *bytes, size_t len);

#endif
