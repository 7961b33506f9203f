#ifndef TEST_PROTOCOL_SECURE_H
#define TEST_PROTOCOL_SECURE_H

/*
 * TLS between the transcripts' server and the protocol: a client engine and a server engine in
 * memory. Octets are encrypted in records of random length, the ciphertext is cut at random
 * places, and what the other engine decrypts goes to a function, in pieces of random length too.
 *
 * One pair serves the whole program, since a handshake costs more than a row. A row that fails
 * leaves in the middle of something, so the next one gets a new pair.
 */
#include <stddef.h>
#include <stdint.h>

/* Gets decrypted octets, which are gone when it returns. */
typedef void (*secure_take_fn)(void *ctx, const char *bytes, size_t len);

void secure_begin(uint64_t seed);
/* Fails the test if anything is left on the way. */
void secure_end(void);
/* Gives the pair up, if there is one. */
void secure_close(void);

void secure_to_client(const char *bytes, size_t len, secure_take_fn take, void *ctx);
void secure_to_server(const char *bytes, size_t len, secure_take_fn take, void *ctx);

#endif
