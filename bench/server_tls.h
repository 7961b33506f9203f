#ifndef UVSMTP_BENCH_SERVER_TLS_H
#define UVSMTP_BENCH_SERVER_TLS_H

/*
 * The TLS of bench/server, between two pieces of memory. OpenSSL, since its ciphers are ten times
 * as fast as mbedTLS's, so that the server costs little beside the client that is measured.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ssl_st server_tls_t;

/* Handshakes that were finished, and those of them that resumed a session. */
extern uint64_t server_tls_handshakes, server_tls_resumed;

/* Makes a key and a certificate for 127.0.0.1 and localhost, and writes the latter to a file. */
bool server_tls_begin(const char *certificate_file);

/* NULL: no memory. */
server_tls_t *server_tls_new(void);
void server_tls_free(server_tls_t *tls);

/* Ciphertext that was received. */
bool server_tls_feed(server_tls_t *tls, const char *bytes, size_t len);
/* Plaintext: how much of it, 0 when more has to be fed first, -1 at the end. */
int server_tls_read(server_tls_t *tls, char *bytes, size_t size);
bool server_tls_write(server_tls_t *tls, const char *bytes, size_t len);
/* Ciphertext that is to be sent: takes up to `size` octets of it. */
size_t server_tls_output(server_tls_t *tls, char *bytes, size_t size);

#endif
